//! `report`: what a run did with memory, as text or as a page.

use std::io::{ErrorKind, Write};
use std::path::Path;

use meetcap_supervisor::{ExitCode, report};

use super::Refusal;
use super::args::ReportArgs;
use super::targets::put_of;

pub(crate) fn run(args: &ReportArgs) -> Result<ExitCode, Refusal> {
    let ledger = report::read(&args.ledger).map_err(|error| Refusal::new(ExitCode::Input, error.to_string()))?;
    match &args.html {
        None => print(&report::text(&ledger)),
        Some(target) => {
            refuse_targets(&args.ledger, target)?;
            put_of(&args.ledger, "--html", target, report::html(&ledger))?;
            Ok(ExitCode::Done)
        }
    }
}

/// What is no place for a page.
fn refuse_targets(ledger: &Path, target: &Path) -> Result<(), Refusal> {
    let why = if target.as_os_str() == "-" {
        "--html takes the path of a file, not `-`; name one, such as report.html"
    } else if std::fs::canonicalize(target).is_ok_and(|target| std::fs::canonicalize(ledger).is_ok_and(|l| l == target))
    {
        "--html names the account itself, which would be lost; choose another path"
    } else {
        return Ok(());
    };
    Err(Refusal::new(ExitCode::Output, why))
}

/// To standard output, which may be a pipe that nobody reads to its end.
pub(crate) fn print(text: &str) -> Result<ExitCode, Refusal> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Refusal::new(ExitCode::Output, format!("cannot write to standard output: {error}")))
        }
        _ => Ok(ExitCode::Done),
    }
}
