//! `leak-check`: arguments in, the library's check, its account as table, JSON and JUnit out.

mod args;
mod junit;
mod progress;
mod show;

use std::path::{Path, PathBuf};

use meetcap_supervisor::config::{self, Arguments, Config};
use meetcap_supervisor::event::Phase;
use meetcap_supervisor::leak::{self, Account, Baseline, BaselineError, Bundle, Check, LeakError, Scope, Verdict};
use meetcap_supervisor::memory::Bytes;
use meetcap_supervisor::output::check_targets;
use meetcap_supervisor::{ExitCode, JobError, Stop};
use serde::Serialize;

use super::render::{json_for_terminal, say};
use super::report_command::print;
use super::targets::{put, unwritable};
use super::{Refusal, Setup, demo};
pub(crate) use args::{EXAMPLES, LeakCheckArgs};
use progress::Progress;

static BUNDLE: Bundle =
    Bundle { recording: demo::RECORDING.packed, transcript: include_str!("../../../../demo/meeting.txt") };

pub(crate) async fn run(args: LeakCheckArgs, stop: &Stop) -> Result<ExitCode, Refusal> {
    let scope = match args.phase {
        Some(phase) => phase.into(),
        // Of the self-test the cycle itself is not the point, and this one is the shortest.
        None if args.self_test => Scope::Llm,
        None => Scope::Pipeline,
    };
    if args.reuse && scope == Scope::Pipeline {
        return Err(LeakError::ReuseOfBoth.into());
    }
    refuse_targets(&args)?;
    let (setup, check) = prepare(&args, scope)?;
    if args.self_test {
        return self_test(&args, &setup, &check, stop).await;
    }
    // What cannot be judged in the end is said before the beginning.
    let baseline = match &args.baseline {
        Some(path) if !args.update_baseline => {
            let baseline = Baseline::read(path)?;
            baseline.fits(&Account::new(&check), path)?;
            Some(baseline)
        }
        _ => None,
    };
    let progress = Progress::new(&args.loudness);
    progress.headline(&check);
    let checked = leak::check(&setup.supervisor, &check, &BUNDLE, stop, |step| progress.step(step)).await;
    progress.finish();
    let mut account = match checked {
        Ok(account) => account,
        Err(error) => return ended(error),
    };
    if let Some(baseline) = &baseline {
        baseline.judge(&mut account);
    }
    write(&args, &account)?;
    if !args.loudness.quiet {
        print(&show::account(&account, show::columns()))?;
    }
    tell(&account, args.loudness.quiet);
    // What leaks has been told, and is no baseline.
    let is_kept = args.update_baseline && account.verdict != Verdict::Leak;
    if let Some(path) = args.baseline.as_ref().filter(|_| is_kept) {
        Baseline::write(&account, path)?;
        say!("wrote {}", path.display());
    }
    Ok(account.exit_code())
}

fn prepare(args: &LeakCheckArgs, scope: Scope) -> Result<(Setup, Check), Refusal> {
    let arguments = Arguments { threads: args.threads, ..Arguments::default() };
    let Config { mut memory, supervisor } = config::load(args.config.as_deref(), arguments)?.config;
    // A check is of the models that it names, and of no others.
    memory.auto_fallback = false;
    let setup = Setup::of(Config { memory, supervisor }, false)?;
    let bundled = Path::new("demo");
    let model = |given: &Option<PathBuf>, phase| setup.model(given.as_deref().unwrap_or(bundled), phase);
    let (stt, llm) = (model(&args.stt, Phase::Stt)?, model(&args.llm, Phase::Llm)?);
    let is_bundled = |given: &Option<PathBuf>| given.as_deref().is_none_or(|given| given == bundled);
    let check = Check {
        scope,
        stt,
        llm,
        reuse: args.reuse,
        cycles: args.cycles,
        budget: Bytes::kib(args.budget),
        max_duration: args.max_duration,
        seed: args.seed,
        threads: setup.threads_for(is_bundled(&args.stt) && is_bundled(&args.llm)),
    };
    Ok((setup, check))
}

async fn self_test(args: &LeakCheckArgs, setup: &Setup, check: &Check, stop: &Stop) -> Result<ExitCode, Refusal> {
    let progress = Progress::new(&args.loudness);
    let told = |injected: &'static str, step| progress.step_of(injected, step);
    let tested = leak::self_test(&setup.supervisor, check, &BUNDLE, stop, told).await;
    progress.finish();
    let tested = match tested {
        Ok(tested) => tested,
        Err(error) => return ended(error),
    };
    if let Some(path) = &args.json {
        put("--json", path, json(&tested))?;
    }
    if !args.loudness.quiet {
        print(&show::trials(&tested))?;
    }
    let wrong: Vec<&str> = tested.trials.iter().filter(|trial| !trial.is_right()).map(|trial| trial.injected).collect();
    if wrong.is_empty() {
        return Ok(ExitCode::Done);
    }
    let why = "the gate does not tell a leak from none here, so its verdicts mean nothing on this machine now";
    Err(Refusal::new(ExitCode::Internal, format!("self-test failed with: {}; {why}", wrong.join("; "))))
}

/// What has to be said beside the table.
fn tell(account: &Account, quiet: bool) {
    let parts = account.series.iter().map(|series| (Some(series.verdict), &series.explanation));
    let peaks = account.peaks.iter().map(|peak| (peak.verdict, &peak.explanation));
    for (verdict, explanation) in parts.chain(peaks) {
        match verdict {
            Some(Verdict::Leak) => say!("error: leak: {explanation}"),
            Some(Verdict::Noticed) if !quiet => say!("warning: {explanation}"),
            _ => {}
        }
    }
    if account.verdict == Verdict::Insufficient && !quiet {
        let (kept, least) = (account.kept(), leak::LEAST_KEPT);
        let asked = account.cycles_asked;
        let why = if account.cycles < asked {
            format!("there was time for {} of {asked} cycles; allow more with --max-duration", account.cycles)
        } else {
            format!("ask for at least {} with --cycles", leak::WARM_UP as usize + least)
        };
        say!(
            "warning: insufficient: {kept} of {} cycles were kept, and a verdict takes {least}; {why}",
            account.cycles
        );
    }
}

/// Whatever cannot be written is better said before the check than after it.
fn refuse_targets(args: &LeakCheckArgs) -> Result<(), Refusal> {
    let written = args.baseline.as_deref().filter(|_| args.update_baseline).map(|path| ("--baseline", path));
    let targets = [("--junit", args.junit.as_deref()), ("--json", args.json.as_deref())];
    let targets = targets.into_iter().filter_map(|(option, path)| Some((option, path?))).chain(written);
    let mut seen: Vec<(&str, &Path)> = Vec::new();
    for (option, path) in targets {
        if path.as_os_str() == "-" {
            let why = format!("{option} takes the path of a file, not `-`; name one, such as leaks.json");
            return Err(Refusal::new(ExitCode::Usage, why));
        }
        if let Some((other, _)) = seen.iter().find(|(_, earlier)| *earlier == path) {
            let why = format!("{other} and {option} name the same file; name two");
            return Err(Refusal::new(ExitCode::Usage, why));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            let why = format!("cannot write `{}`: there is no folder {}; make it", path.display(), folder.display());
            return Err(Refusal::new(ExitCode::Output, why));
        }
        check_targets(&[path.to_path_buf()]).map_err(|error| unwritable(option, path, &error))?;
        seen.push((option, path));
    }
    Ok(())
}

fn write(args: &LeakCheckArgs, account: &Account) -> Result<(), Refusal> {
    if let Some(path) = &args.json {
        put("--json", path, json(account))?;
    }
    if let Some(path) = &args.junit {
        let text = junit::report(account).map_err(|error| Refusal::new(ExitCode::Internal, error.to_string()))?;
        put("--junit", path, text)?;
    }
    Ok(())
}

fn json(value: &impl Serialize) -> String {
    json_for_terminal(value) + "\n"
}

/// Who interrupts knows why; everything else is an error.
fn ended(error: LeakError) -> Result<ExitCode, Refusal> {
    match &error {
        LeakError::Cycle { error: job, cycle, .. } if matches!(job.root(), JobError::Interrupted) => {
            say!("interrupted in cycle {cycle}; nothing was judged");
            Ok(error.exit_code())
        }
        _ => Err(error.into()),
    }
}

impl From<LeakError> for Refusal {
    fn from(error: LeakError) -> Self {
        let code = error.exit_code();
        let message = match &error {
            LeakError::Cycle { error: job, .. } => match job.root() {
                JobError::Refused(refused) => refused.to_string(),
                _ => error.to_string(),
            },
            _ => error.to_string(),
        };
        Self::new(code, message)
    }
}

impl From<BaselineError> for Refusal {
    fn from(error: BaselineError) -> Self {
        let code = match &error {
            BaselineError::Unwritable(_) => ExitCode::Output,
            _ => ExitCode::Usage,
        };
        Self::new(code, error.to_string())
    }
}
