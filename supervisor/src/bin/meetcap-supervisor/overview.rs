//! The last words on several recordings: a table with a line for each, and how it ended in plain words.

use meetcap_supervisor::errors::JobError;
use meetcap_supervisor::event::Phase;
use meetcap_supervisor::input::InputError;
use meetcap_supervisor::output::text::clock;
use meetcap_supervisor::worker::ExitClass;
use meetcap_supervisor::{FaultKind, RunReport};

use super::table::{absent, aligned, shortened};

/// Characters that are shown of a name.
const WIDEST_FILE: usize = 40;

/// The table's lines. `names` are those of the recordings, in the order of the reports.
pub(crate) fn lines(names: &[String], reports: &[RunReport]) -> Vec<String> {
    let head = ["FILE", "LENGTH", "WORDS", "SPEED", "OUTCOME"].map(str::to_owned);
    let row = |(name, report): (&String, &RunReport)| {
        let heard = report.heard.as_ref();
        [
            shortened(name, WIDEST_FILE),
            heard.map_or_else(absent, |heard| clock(heard.duration)),
            heard.map_or_else(absent, |heard| heard.words.to_string()),
            speed(report).map_or_else(absent, |speed| format!("{speed:.1}×")),
            outcome(report),
        ]
    };
    let rows: Vec<[String; 5]> = std::iter::once(head).chain(names.iter().zip(reports).map(row)).collect();
    aligned(&rows, [false, true, true, true, false])
}

/// Seconds of audio in a second of the speech worker's time. What an earlier run has done does not count.
fn speed(report: &RunReport) -> Option<f64> {
    let worked: f64 = report
        .ledger
        .phases
        .iter()
        .filter(|record| record.phase == Phase::Stt)
        .map(|record| record.process_seconds)
        .sum();
    let done = report.heard.as_ref()?.transcribed;
    (worked > 0.0 && done > 0.0).then(|| done / worked)
}

fn outcome(report: &RunReport) -> String {
    match (&report.result, &report.heard) {
        (Ok(()), Some(heard)) if heard.words == 0 => "done; nobody spoke".to_owned(),
        (Ok(()), _) if report.ledger.warnings.iter().any(|warning| warning.starts_with("gap:")) => {
            "done, but a part is missing".to_owned()
        }
        (Ok(()), _) => "done".to_owned(),
        (Err(error), Some(_)) => format!("transcript only: {}", reason(error)),
        (Err(error), None) => match error.root() {
            JobError::Interrupted if report.ledger.resumable => "interrupted; what was done is kept".to_owned(),
            JobError::Interrupted => reason(error),
            _ => format!("failed: {}", reason(error)),
        },
    }
}

fn reason(error: &JobError) -> String {
    // The whole of it has been told when the recording was closed.
    let plain = match error.root() {
        JobError::Input(InputError::Unreadable { .. }) | JobError::Transcript { .. } => "it cannot be read",
        JobError::Input(_) => "it is not audio",
        JobError::Model(_) => "the model cannot be used",
        JobError::WorkerMissing { .. } => "a worker is not installed",
        JobError::CpuLevel { .. } => "no such level of processors",
        JobError::Start(_) => "the worker cannot be started",
        JobError::Device { .. } => "the device is not there",
        JobError::Refused(_) => "no room in memory",
        JobError::OutOfMemory { .. } => "memory ran out",
        JobError::Summary { .. } => "the model made no summary",
        JobError::Output(_) => "its outputs cannot be written",
        JobError::Held(_) => "another run works on it",
        JobError::Interrupted => "interrupted",
        JobError::Worker(exit) => match &exit.class {
            ExitClass::Fault(fault) if fault.kind == FaultKind::BadInput => "its audio cannot be decoded",
            ExitClass::Fault(fault) if matches!(fault.kind, FaultKind::ModelMissing | FaultKind::ModelInvalid) => {
                "the model cannot be used"
            }
            ExitClass::Deadline { .. } => "the worker hung, again and again",
            _ => "the worker failed, again and again",
        },
        _ => "internal error",
    };
    plain.to_owned()
}
