//! `cargo xtask test`: every check in order, each with a headline, its time and a clear word when it fails.
//!
//! A failing check does not stop the others; a failing build stops those that need what it would have built. The last
//! line counts.
//!
//! Each worker is built, linted and tested with its own `-p`, never with the rest of the workspace. Cargo unifies
//! features over one command: the workers would get tokio, and the engines' build scripts would get differently
//! configured helpers and build the engines a second time.

mod elsewhere;
mod supply;

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::binaries::{self, SUPERVISOR, WORKERS};
use crate::boundaries::{self, LONG_FILE, TOO_LONG_FILE, TREE_RULES};
use crate::dist;
use crate::sources;
use crate::tests_report::TestCount;
use crate::workspace::Workspace;

/// `Ok` with a note for the summary, which may be empty, or why it failed.
type Verdict = Result<String, String>;

enum Outcome {
    Passed(String),
    Failed(String),
    /// What it needs is not on this machine, and nothing that is shipped depends on it.
    Skipped(String),
    NotRun,
}

impl From<Verdict> for Outcome {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Ok(note) => Self::Passed(note),
            Err(why) => Self::Failed(why),
        }
    }
}

struct Context {
    workspace: Workspace,
    /// Each shipped program as it was built.
    shipped: BTreeMap<&'static str, u64>,
    engines_before: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// When it fails, whatever needs the programs is not run.
    Build,
    NeedsBuilds,
    Anytime,
}

struct Check {
    name: String,
    kind: Kind,
    run: Box<dyn Fn(&mut Context) -> Outcome>,
}

fn check<V: Into<Outcome>>(name: impl Into<String>, kind: Kind, run: impl Fn(&mut Context) -> V + 'static) -> Check {
    Check { name: name.into(), kind, run: Box::new(move |context| run(context).into()) }
}

fn all_checks() -> Vec<Check> {
    let mut checks = vec![check("format", Kind::Anytime, format)];
    for program in [WORKERS[0], WORKERS[1], SUPERVISOR] {
        checks.push(check(format!("build {program}"), Kind::Build, move |context| build_shipped(context, program)));
    }
    checks.push(check("build the tests' programs", Kind::Build, |context| {
        cargo(context, "build --release --locked -p meetcap-tests")
    }));
    for worker in WORKERS {
        checks.push(check(format!("lints of {worker}"), Kind::NeedsBuilds, move |context| {
            lint(context, &format!("-p {worker} --all-targets"))
        }));
    }
    checks.push(check("lints of everything else", Kind::NeedsBuilds, |context| {
        lint(context, &format!("--workspace --exclude {} --exclude {} --all-targets", WORKERS[0], WORKERS[1]))
    }));
    checks.push(check("lints of the library without its command line", Kind::NeedsBuilds, |context| {
        lint(context, "-p meetcap-supervisor --lib --no-default-features")
    }));
    for target in elsewhere::TARGETS {
        let name = format!("lints of what {target} gets, engines apart");
        checks.push(check(name, Kind::Anytime, move |context| elsewhere::lints(context, target)));
    }
    checks.push(check("who depends on what", Kind::Anytime, dependencies));
    checks.push(check("lock file of the fuzzing project", Kind::Anytime, fuzzing_lock));
    checks.push(check("licences and origins of dependencies", Kind::Anytime, supply::licences));
    checks.push(check("known vulnerabilities of dependencies", Kind::Anytime, supply::vulnerabilities));
    checks.push(check("no tokio in the workers", Kind::NeedsBuilds, tokio_in_programs));
    checks.push(check("the codec is one file", Kind::Anytime, codec));
    checks.push(check("top-level folders", Kind::Anytime, folders));
    checks.push(check("length of the sources", Kind::Anytime, lengths));
    for package in [
        "meetcap-protocol --features worker",
        "meetcap-supervisor",
        "meetcap-worker-stt",
        "meetcap-worker-llm",
        "meetcap-tests",
        "meetcap-fuzz-targets",
        "xtask",
    ] {
        let name = package.split(' ').next().unwrap_or(package);
        checks.push(check(format!("tests of {name}"), Kind::NeedsBuilds, move |context| tests(context, package)));
    }
    checks.push(check("packages of what was built, installed and run", Kind::NeedsBuilds, |context| {
        dist::already_built(&context.workspace)
    }));
    checks.push(check("shipped programs as they were built", Kind::NeedsBuilds, shipped_unchanged));
    checks.push(check("each engine built once", Kind::Anytime, engines_once));
    checks.push(check("documentation", Kind::Anytime, documentation));
    checks
}

pub(crate) fn run_all(workspace: Workspace) -> Result<ExitCode, String> {
    let engines_before = binaries::engine_builds(&workspace.release);
    let mut context = Context { workspace, shipped: BTreeMap::new(), engines_before };
    let results = run(all_checks(), &mut context);
    Ok(report(&results))
}

struct Done {
    name: String,
    outcome: Outcome,
    took: Duration,
}

fn run(checks: Vec<Check>, context: &mut Context) -> Vec<Done> {
    let total = checks.len();
    let mut built = true;
    let mut results = Vec::new();
    for (index, check) in checks.into_iter().enumerate() {
        println!("\n== {}/{total} {}", index + 1, check.name);
        let start = Instant::now();
        let outcome = if !built && check.kind != Kind::Anytime {
            println!("-- not run: a build failed");
            Outcome::NotRun
        } else {
            (check.run)(context)
        };
        let took = start.elapsed();
        match &outcome {
            Outcome::Passed(_) => println!("-- passed in {:.1} s", took.as_secs_f64()),
            Outcome::Failed(why) => println!("-- FAILED in {:.1} s: {why}", took.as_secs_f64()),
            Outcome::Skipped(why) => println!("-- skipped: {why}"),
            Outcome::NotRun => {}
        }
        built &= check.kind != Kind::Build || matches!(outcome, Outcome::Passed(_));
        results.push(Done { name: check.name, outcome, took });
    }
    results
}

fn report(results: &[Done]) -> ExitCode {
    println!("\n== summary");
    for done in results {
        let (word, note) = match &done.outcome {
            Outcome::Passed(note) => ("ok", note.as_str()),
            Outcome::Failed(why) => ("FAILED", why.as_str()),
            Outcome::Skipped(why) => ("skipped", why.as_str()),
            Outcome::NotRun => ("not run", ""),
        };
        let line = format!("{word:>8} {:>7.1} s  {:<46} {note}", done.took.as_secs_f64(), done.name);
        println!("{}", line.trim_end());
    }
    println!("{:>8} {:>7.1} s", "", results.iter().map(|done| done.took).sum::<Duration>().as_secs_f64());
    println!("{}", totals(results));
    let clean = results.iter().all(|done| matches!(done.outcome, Outcome::Passed(_) | Outcome::Skipped(_)));
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn totals(results: &[Done]) -> String {
    let count = |wanted: fn(&Outcome) -> bool| results.iter().filter(|done| wanted(&done.outcome)).count();
    let passed = count(|outcome| matches!(outcome, Outcome::Passed(_)));
    let failed = count(|outcome| matches!(outcome, Outcome::Failed(_)));
    let mut line = format!("xtask: {passed} passed, {failed} failed");
    for (wanted, word) in [
        ((|outcome| matches!(outcome, Outcome::Skipped(_))) as fn(&Outcome) -> bool, "skipped"),
        (|outcome| matches!(outcome, Outcome::NotRun), "not run"),
    ] {
        let number = count(wanted);
        if number > 0 {
            line.push_str(&format!(", {number} {word}"));
        }
    }
    line
}

/// The fuzzing project is no member of the workspace.
fn format(context: &mut Context) -> Verdict {
    cargo(context, "fmt --all --check")?;
    cargo(context, "fmt --check --manifest-path tests/fuzz/Cargo.toml")
}

fn cargo(context: &Context, words: &str) -> Verdict {
    context.workspace.cargo().words(words).succeed().map(|()| String::new())
}

/// The shipped programs, one command each. The demo builds them the same way.
pub(crate) fn build(workspace: &Workspace, program: &str) -> Result<(), String> {
    workspace.cargo().words("build --release --locked -p").args([program]).succeed()
}

fn build_shipped(context: &mut Context, program: &'static str) -> Verdict {
    build(&context.workspace, program)?;
    let fingerprint = binaries::fingerprint(&context.workspace.program(program))?;
    context.shipped.insert(program, fingerprint);
    Ok(String::new())
}

fn lint(context: &Context, what: &str) -> Verdict {
    cargo(context, &format!("clippy --release --locked {what} -- -D warnings"))
}

fn dependencies(context: &mut Context) -> Verdict {
    let mut violations = Vec::new();
    for rule in &TREE_RULES {
        let words = "tree --locked --all-features --target all -e normal,build --prefix none --format {p} -p";
        let tree = context.workspace.cargo().words(words).args([rule.package]).output()?;
        violations.extend(boundaries::tree_violations(rule, &tree));
    }
    none_of(&violations)
}

/// It follows the workspace's by hand: `cargo metadata` there brings it up to date.
fn fuzzing_lock(context: &mut Context) -> Verdict {
    let words = "metadata --locked --format-version 1 --manifest-path tests/fuzz/Cargo.toml";
    context.workspace.cargo().words(words).output().map(|_| String::new())
}

/// The same search has to find tokio in the supervisor, or it would prove nothing about the workers.
fn tokio_in_programs(context: &mut Context) -> Verdict {
    let traces = |program: &str| {
        let file = context.workspace.program(program);
        let bytes = std::fs::read(&file).map_err(|cause| format!("{} could not be read: {cause}", file.display()))?;
        Ok::<_, String>(binaries::tokio_traces(&bytes))
    };
    let known = traces(SUPERVISOR)?;
    println!("{SUPERVISOR}: {}", known.join(", "));
    let mut violations = Vec::new();
    if known.is_empty() {
        violations.push(format!("the search finds no tokio in {SUPERVISOR} either, so it is blind"));
    }
    for worker in WORKERS {
        let found = traces(worker)?;
        println!("{worker}: {}", if found.is_empty() { "none".to_owned() } else { found.join(", ") });
        if !found.is_empty() {
            violations.push(format!("{worker} carries tokio ({})", found.join(", ")));
        }
    }
    none_of(&violations)
}

fn codec(context: &mut Context) -> Verdict {
    none_of(&boundaries::codec_violations(&sources::read_all(&context.workspace.root)?))
}

fn folders(context: &mut Context) -> Verdict {
    none_of(&boundaries::folder_violations(&sources::top_level_folders(&context.workspace.root)?))
}

fn lengths(context: &mut Context) -> Verdict {
    let sources = sources::read_all(&context.workspace.root)?;
    let long = boundaries::longer_than(LONG_FILE, &sources);
    for (lines, path) in &long {
        println!("warning: {path} has {lines} lines and wants splitting");
    }
    let too_long = boundaries::longer_than(TOO_LONG_FILE, &sources);
    let too_long: Vec<String> = too_long.iter().map(|(lines, path)| format!("{path} has {lines} lines")).collect();
    none_of(&too_long)?;
    Ok(if long.is_empty() { String::new() } else { format!("{} over {LONG_FILE} lines", long.len()) })
}

fn tests(context: &mut Context, package: &str) -> Verdict {
    let mut count = TestCount::default();
    let step = context.workspace.cargo().words("test --release --locked --no-fail-fast -p").words(package);
    let ran = step.env("MEETCAP_BIN_DIR", &context.workspace.release).tee(|line| count.read(line))?;
    count.judge(ran)
}

fn shipped_unchanged(context: &mut Context) -> Verdict {
    let mut violations = Vec::new();
    for (program, fingerprint) in &context.shipped {
        if binaries::fingerprint(&context.workspace.program(program))? != *fingerprint {
            violations
                .push(format!("{program} was linked again after it was built: what was tested is not what is shipped"));
        }
    }
    none_of(&violations)
}

fn engines_once(context: &mut Context) -> Verdict {
    let now = binaries::engine_builds(&context.workspace.release);
    none_of(&binaries::built_again(&context.engines_before, &now))
}

fn documentation(context: &mut Context) -> Verdict {
    let words = "doc --release --locked --no-deps --lib --all-features -p meetcap-protocol -p meetcap-supervisor";
    context.workspace.cargo().words(words).env("RUSTDOCFLAGS", "-D warnings").succeed().map(|()| String::new())
}

fn none_of(violations: &[String]) -> Verdict {
    if violations.is_empty() { Ok(String::new()) } else { Err(violations.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        let workspace = Workspace { root: ".".into(), release: ".".into() };
        Context { workspace, shipped: BTreeMap::new(), engines_before: BTreeSet::new() }
    }

    fn passes(kind: Kind) -> Check {
        check("passes", kind, |_| Verdict::Ok(String::new()))
    }

    fn fails(kind: Kind) -> Check {
        check("fails", kind, |_| Verdict::Err("no".to_owned()))
    }

    #[test]
    fn what_is_skipped_is_told_and_fails_nothing() {
        let skipped = check("skipped", Kind::Anytime, |_| Outcome::Skipped("no tool".to_owned()));
        let results = run(vec![skipped, passes(Kind::Build)], &mut context());
        assert_eq!(totals(&results), "xtask: 1 passed, 0 failed, 1 skipped");
        assert_eq!(report(&results), ExitCode::SUCCESS);
    }

    #[test]
    fn a_failing_check_does_not_stop_the_others() {
        let results = run(vec![fails(Kind::Anytime), passes(Kind::Build), passes(Kind::NeedsBuilds)], &mut context());
        assert_eq!(totals(&results), "xtask: 2 passed, 1 failed");
    }

    #[test]
    fn a_failing_build_stops_what_needs_it_and_nothing_else() {
        let checks = vec![fails(Kind::Build), passes(Kind::Build), passes(Kind::NeedsBuilds), passes(Kind::Anytime)];
        assert_eq!(totals(&run(checks, &mut context())), "xtask: 1 passed, 1 failed, 2 not run");
    }

    #[test]
    fn workers_are_never_built_linted_or_tested_together_with_the_rest() {
        let names: Vec<String> = all_checks().into_iter().map(|check| check.name).collect();
        for worker in WORKERS {
            for what in ["build", "lints of", "tests of"] {
                assert!(names.contains(&format!("{what} {worker}")), "{what} {worker}");
            }
        }
    }
}
