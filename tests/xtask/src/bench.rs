//! `cargo xtask bench`: builds what is measured, measures it, writes the results and the page made of them.

use std::process::ExitCode;

use crate::binaries::{SUPERVISOR, WORKERS};
use crate::checks;
use crate::criteria;
use crate::run::Step;
use crate::tools::{self, Tool};
use crate::workspace::Workspace;

/// A program of `tests/benches`.
struct Benchmark {
    name: &'static str,
    parts: &'static [&'static str],
    /// Parts that are measured only when they are named.
    on_request: &'static [&'static str],
    /// Packages whose programs it measures, in the order in which they are built.
    packages: &'static [&'static str],
    /// Examples that it measures: package and name.
    examples: &'static [(&'static str, &'static str)],
}

const BENCHMARKS: [Benchmark; 3] = [
    Benchmark {
        name: "processes",
        parts: &["start", "memory", "orphans", "stop", "host"],
        on_request: &[],
        packages: &[WORKERS[0], SUPERVISOR, "meetcap-tests"],
        examples: &[],
    },
    Benchmark {
        name: "governor",
        parts: &["pair", "overhead", "cold", "release", "refusal", "oom", "estimate", "sampling", "sandbox"],
        // In one Python process, with packages that are fetched and built.
        on_request: &["python"],
        packages: &[WORKERS[0], WORKERS[1], SUPERVISOR, "meetcap-tests"],
        examples: &[(WORKERS[0], "bare-stt"), (WORKERS[1], "bare-llm")],
    },
    RECORDINGS,
];

const RECORDINGS: Benchmark = Benchmark {
    name: "recordings",
    parts: &["meetings", "oneshot", "parallel"],
    on_request: &[],
    packages: &[WORKERS[0], WORKERS[1], SUPERVISOR, "meetcap-tests"],
    examples: &[(WORKERS[0], "bare-stt")],
};

/// What has to be on the machine: recordings are spoken by other programs.
pub(crate) fn tools(parts: &[String]) -> &'static [Tool] {
    if RECORDINGS.share(parts).is_empty() { tools::FOR_BUILD } else { tools::FOR_CHECKS }
}

/// Whether there is something of this name to be measured.
pub(crate) fn is_part(name: &str) -> bool {
    BENCHMARKS.iter().any(|benchmark| benchmark.parts.contains(&name) || benchmark.on_request.contains(&name))
}

impl Benchmark {
    /// Of the parts that are asked for, those that are this one's; all of them when none is asked for.
    fn share(&self, parts: &[String]) -> Vec<&'static str> {
        let is_named = |part: &&str| parts.iter().any(|named| named == part);
        let usual = self.parts.iter().copied().filter(|part| parts.is_empty() || is_named(part));
        usual.chain(self.on_request.iter().copied().filter(is_named)).collect()
    }

    /// What runs it; its parts are the arguments that are missing.
    fn step(&self, workspace: &Workspace) -> Step {
        let words = format!("bench --locked -p meetcap-tests --bench {} --", self.name);
        workspace.cargo().words(&words).env("MEETCAP_BIN_DIR", &workspace.release)
    }

    fn build(&self, workspace: &Workspace) -> Result<(), String> {
        self.packages.iter().try_for_each(|package| checks::build(workspace, package))?;
        self.examples.iter().try_for_each(|(package, example)| {
            workspace
                .cargo()
                .words("build --release --locked -p")
                .args([package])
                .args(["--example", example])
                .succeed()
        })
    }
}

pub(crate) fn run(workspace: &Workspace, parts: &[String]) -> Result<ExitCode, String> {
    if !cfg!(target_os = "linux") {
        return Err("`bench` reads memory and processes from /proc, which only Linux has".to_owned());
    }
    for benchmark in &BENCHMARKS {
        let share = benchmark.share(parts);
        if share.is_empty() {
            continue;
        }
        benchmark.build(workspace)?;
        benchmark.step(workspace).args(share).succeed()?;
    }
    criteria::write(workspace)
}

/// `cargo xtask soak --recording`: takes too long to be a part of the others.
pub(crate) fn long_recording(workspace: &Workspace, hours: u64, seed: Option<u64>) -> Result<ExitCode, String> {
    if !cfg!(target_os = "linux") {
        return Err("`soak` reads memory from /proc, which only Linux has".to_owned());
    }
    RECORDINGS.build(workspace)?;
    let step = RECORDINGS.step(workspace).args(["long", &(hours * 60).to_string()]);
    seed.into_iter().fold(step, |step, seed| step.env("MEETCAP_TEST_SEED", seed.to_string())).succeed()?;
    criteria::write(workspace)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(parts: &[&str]) -> Vec<Vec<&'static str>> {
        let parts: Vec<String> = parts.iter().map(|&part| part.to_owned()).collect();
        BENCHMARKS.iter().map(|benchmark| benchmark.share(&parts)).collect()
    }

    #[test]
    fn each_program_measures_its_own_parts_and_everything_when_nothing_is_named() {
        assert_eq!(shares(&["pair", "stop", "start"]), [vec!["start", "stop"], vec!["pair"], vec![]]);
        assert_eq!(shares(&["oom", "oneshot"]), [vec![], vec!["oom"], vec!["oneshot"]]);
        assert_eq!(shares(&["python"]), [vec![], vec!["python"], vec![]], "only when it is named");
        assert_eq!(shares(&[]), BENCHMARKS.each_ref().map(|benchmark| benchmark.parts.to_vec()));
    }
}
