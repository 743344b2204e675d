//! `cargo xtask fuzz`: feeds every reader of strangers' bytes for some time, guided by coverage.
//!
//! ```text
//!  tests/fuzz ─ built with coverage ─► a program for each target ─► seeds, dictionary ─► libFuzzer, N seconds each ─► a table
//!      │
//!      └─ cannot be built here (no C++ compiler, or not Linux or macOS): says so ─► the suite `fuzz`, N seconds each
//! ```
//!
//! Coverage is an option of any compiler of Rust, so neither a nightly one nor `cargo fuzz` is needed; that works, too
//! (`cd tests/fuzz; cargo fuzz run frames`), and adds the address sanitizer. The crates under test forbid `unsafe` nearly
//! everywhere, and what they must not do they say by a panic: fuzzing without a sanitizer finds the same in half the time.
//!
//! What is found stays in `target/fuzz/artifacts`; inputs that reached something new stay in `target/fuzz/corpus` and are
//! where the next run begins.

mod told;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use self::told::Told;
use crate::run::Step;
use crate::workspace::Workspace;

/// A project of its own below the root.
const PROJECT: &str = "tests/fuzz";
/// The package that knows the targets, and its program that writes what each begins with.
const TARGETS: &str = "meetcap-fuzz-targets";
const SEEDS: &str = "fuzz-seeds";
/// What makes a program count where it has been, as libFuzzer reads it.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
                        -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";
/// More memory, in MiB, or more time for one input, in seconds, is a finding.
const MEMORY: u32 = 2048;
const TIME: u32 = 25;

/// A target as `fuzz-seeds --list` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    name: String,
    /// Bytes of an input at most.
    longest: String,
}

pub(crate) fn run(workspace: &Workspace, seconds: u64, names: &[String]) -> Result<ExitCode, String> {
    let targets = chosen(targets(workspace)?, names)?;
    let folder = workspace.target().join("fuzz");
    let guided = match build(workspace, &folder, &targets) {
        Ok(programs) => programs,
        Err(why) => {
            println!("\ncoverage cannot guide here: {why}");
            println!("the suite `fuzz` feeds the same readers, by mutations alone:");
            return unguided(workspace, seconds, &targets);
        }
    };
    let seeds = folder.join("seeds");
    let names = targets.iter().map(|target| &target.name);
    Step::new(workspace.program(SEEDS)).args([&seeds]).args(names).succeed()?;
    let mut all = Vec::new();
    for target in &targets {
        println!("\n== {}", target.name);
        let program = guided.join(format!("{}{}", target.name, std::env::consts::EXE_SUFFIX));
        all.push((target.name.clone(), feed(&program, &folder, target, seconds)?));
    }
    println!("\n{}", told::table(&all));
    let is_clean = all.iter().all(|(_, told)| told.finding.is_none());
    println!("corpus and findings are in {}", folder.display());
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All there are.
fn targets(workspace: &Workspace) -> Result<Vec<Target>, String> {
    workspace.cargo().words("build --release --locked -p").args([TARGETS, "--bin", SEEDS]).succeed()?;
    Ok(parse_list(&Step::new(workspace.program(SEEDS)).args(["--list"]).output()?))
}

fn parse_list(list: &str) -> Vec<Target> {
    let target = |(name, longest): (&str, &str)| Target { name: name.to_owned(), longest: longest.to_owned() };
    list.lines().filter_map(|line| line.split_once(' ')).map(target).collect()
}

/// Those that are named; all when none is.
fn chosen(all: Vec<Target>, names: &[String]) -> Result<Vec<Target>, String> {
    if let Some(unknown) = names.iter().find(|name| all.iter().all(|target| target.name != **name)) {
        let known: Vec<&str> = all.iter().map(|target| target.name.as_str()).collect();
        return Err(format!("there is no target `{unknown}`; there are {}", known.join(", ")));
    }
    Ok(all.into_iter().filter(|target| names.is_empty() || names.contains(&target.name)).collect())
}

/// The folder with the programs.
fn build(workspace: &Workspace, folder: &Path, targets: &[Target]) -> Result<PathBuf, String> {
    if !cfg!(any(target_os = "linux", target_os = "macos")) {
        return Err("libFuzzer is used on Linux and macOS only".to_owned());
    }
    let version = workspace.cargo().words("version --verbose").output()?;
    let host = host(&version).ok_or("cargo does not say what machine this is")?;
    // With a target named, build scripts and macros are left without coverage.
    let mut step = workspace.cargo().words("build --release --locked --manifest-path");
    step = step.args([workspace.root.join(PROJECT).join("Cargo.toml")]).words(&format!("--target {host} --target-dir"));
    step = step.args([folder.join("build")]);
    for target in targets {
        step = step.args(["--bin", &target.name]);
    }
    step.env("RUSTFLAGS", COVERAGE).succeed()?;
    Ok(folder.join("build").join(host).join("release"))
}

fn host(version: &str) -> Option<&str> {
    version.lines().find_map(|line| line.strip_prefix("host: ")).map(str::trim)
}

/// Runs one target for its time, or to its first finding.
fn feed(program: &Path, folder: &Path, target: &Target, seconds: u64) -> Result<Told, String> {
    let corpus = folder.join("corpus").join(&target.name);
    let artifacts = folder.join("artifacts").join(&target.name);
    for folder in [&corpus, &artifacts] {
        fs::create_dir_all(folder).map_err(|cause| format!("{} cannot be made: {cause}", folder.display()))?;
    }
    let seeds = folder.join("seeds");
    let limits =
        format!("-max_total_time={seconds} -max_len={} -timeout={TIME} -rss_limit_mb={MEMORY}", target.longest);
    let step = Step::new(program).words(&limits).words("-print_final_stats=1").args([
        format!("-dict={}", seeds.join(format!("{}.dict", target.name)).display()),
        format!("-artifact_prefix={}/", artifacts.display()),
        corpus.display().to_string(),
        seeds.join(&target.name).display().to_string(),
    ]);
    let mut told = Told::default();
    let ran = step.tee_stderr(|line| told.read(line))?;
    if told.finding.is_none() {
        told.finding = ran.err();
    }
    Ok(told)
}

/// The suite: the same readers without coverage.
fn unguided(workspace: &Workspace, seconds: u64, targets: &[Target]) -> Result<ExitCode, String> {
    let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
    println!("({} at once with all others)", names.join(", "));
    let step = workspace.cargo().words("test --release --locked -p meetcap-tests --test fuzz");
    step.env("MEETCAP_FUZZ_SECONDS", seconds.to_string()).succeed()?;
    Ok(ExitCode::SUCCESS)
}

impl Workspace {
    /// Cargo's folder for what it builds.
    fn target(&self) -> &Path {
        self.release.parent().unwrap_or(&self.release)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::string_after;

    fn known() -> Vec<Target> {
        parse_list("frames 8192\nrpc 4096\n")
    }

    #[test]
    fn targets_are_read_with_the_longest_input_that_each_is_worth() {
        let all = known();
        assert_eq!((all.len(), all[1].name.as_str(), all[1].longest.as_str()), (2, "rpc", "4096"));
        assert_eq!(parse_list(""), []);
    }

    #[test]
    fn all_are_fed_unless_some_are_named_and_what_is_unknown_is_told() {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        assert_eq!(chosen(known(), &[]), Ok(known()));
        assert_eq!(chosen(known(), &names(&["rpc"])), Ok(known()[1..].to_vec()));
        let why = chosen(known(), &names(&["frame"])).expect_err("unknown");
        assert!(why.contains("`frame`") && why.contains("frames, rpc"), "{why}");
    }

    #[test]
    fn the_host_is_what_cargo_says() {
        assert_eq!(
            host("cargo 1.95.0\nhost: x86_64-unknown-linux-gnu\nos: Debian\n"),
            Some("x86_64-unknown-linux-gnu")
        );
        assert_eq!(host("cargo 1.95.0\n"), None);
    }

    #[test]
    fn the_project_has_a_lock_file_of_its_own() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("two folders below the root");
        let lock = fs::read_to_string(root.join(PROJECT).join("Cargo.lock")).expect("a lock file");
        assert!(string_after(&lock, "name = \"libfuzzer-sys\"\nversion = \"").is_some());
    }
}
