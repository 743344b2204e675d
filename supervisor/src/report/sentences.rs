//! What happened in a run, in plain sentences. Pure; shared by the text and the page.

use crate::event::{Decision, Outcome, Phase};
use crate::memory::{AdmissionRecord, Bytes, ExitRecord, FallbackRecord, Ledger, PhaseRecord};

use super::shown::one_line;

/// What a phase is called.
pub(super) fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Stt => "Speech",
        Phase::Llm => "Summary",
    }
}

/// How the run ended: a sign that is no colour, a word, and the reason where there is one.
pub(super) fn outcome(ledger: &Ledger) -> (&'static str, &'static str, Option<String>) {
    let (sign, word) = match ledger.outcome {
        Some(Outcome::Done) => ("✓", "done"),
        Some(Outcome::Failed) => ("✗", "failed"),
        Some(Outcome::Interrupted) => ("◼", "interrupted"),
        None => ("?", "unfinished"),
    };
    (sign, word, ledger.error.as_deref().map(one_line))
}

/// The run in one or two sentences.
pub(super) fn verdict(ledger: &Ledger) -> Vec<String> {
    let Some(highest) = highest(ledger) else {
        return vec!["No model was loaded in this run, so there is nothing to account for.".to_owned()];
    };
    let peak = highest.memory.peak_bytes;
    let mut lines = Vec::new();
    if ledger.saved_bytes > Bytes(0) {
        lines.push(format!(
            "The workers never held more than {peak} of memory at a time. Both models at once would have taken {}.",
            peak + ledger.saved_bytes
        ));
    } else {
        lines.push(format!("The worker held at most {peak} of memory."));
    }
    let suspects = ledger.phases.iter().filter(|record| is_suspect(record)).count();
    let residue = ledger.phases.iter().map(|record| record.memory.residue_bytes).max().unwrap_or_default();
    lines.push(match suspects {
        0 => format!("All of it came back; the supervisor itself kept {residue} at most."),
        1 => "Not all of it was seen to come back after one phase; see below.".to_owned(),
        several => format!("Not all of it was seen to come back after {several} phases; see below."),
    });
    lines
}

/// The phase whose worker cost most.
pub(super) fn highest(ledger: &Ledger) -> Option<&PhaseRecord> {
    ledger.phases.iter().max_by_key(|record| record.memory.peak_bytes)
}

pub(super) fn is_suspect(record: &PhaseRecord) -> bool {
    record.memory.release.is_some_and(|release| release.suspect)
}

/// Every decision on a load, in order.
pub(super) fn admissions(ledger: &Ledger) -> Vec<String> {
    let records = &ledger.admissions;
    (0..records.len()).map(|at| admission(&records[at], waited(&records[..at], &records[at]))).collect()
}

/// Milliseconds since this load began to wait, if it did.
fn waited(earlier: &[AdmissionRecord], decided: &AdmissionRecord) -> Option<u64> {
    let last = earlier.last().filter(|last| last.decision == Decision::Wait && last.phase == decided.phase)?;
    decided.t_ms?.checked_sub(last.t_ms?)
}

fn admission(record: &AdmissionRecord, waited: Option<u64>) -> String {
    let (asked, used) = (one_line(&record.model), one_line(&record.model_used));
    let what = match record.decision {
        Decision::Admit => format!("{used} was let in"),
        Decision::Fallback => format!("{asked} did not fit, so {used} was let in instead"),
        Decision::Wait => format!("{asked} did not fit at once, and memory was waited for"),
        Decision::Refuse => format!("{asked} was refused, because it does not fit"),
        Decision::Forced => format!("{used} did not fit and was loaded all the same, by force"),
    };
    let after = waited.map_or_else(String::new, |waited| format!(" after a wait of {}", seconds(waited as f64 / 1e3)));
    let sum = match &record.arithmetic {
        Some(sum) => format!(": it {}", one_line(&sum.to_string())),
        None => ": how much memory there is could not be read, which is no reason to refuse".to_owned(),
    };
    format!("{}: {what}{after}{sum}.", phase_name(record.phase))
}

/// A step down.
pub(super) fn fallback(record: &FallbackRecord) -> String {
    let FallbackRecord { phase, from, to, reason } = record;
    format!("{}: {} took the place of {}: {}.", phase_name(*phase), one_line(to), one_line(from), one_line(reason))
}

/// How the memory of a phase compares with what was foretold.
pub(super) fn foretold(record: &PhaseRecord) -> Option<String> {
    let foretold = record.predicted?;
    let (predicted, peak) = (foretold.total(), record.memory.peak_bytes);
    if predicted == Bytes(0) || peak == Bytes(0) {
        return None;
    }
    let percent = (100.0 * peak.as_mib() / predicted.as_mib()).round();
    let compared = if percent > 100.0 {
        format!("{:.0} % more than foretold", percent - 100.0)
    } else if percent < 100.0 {
        format!("{:.0} % less than foretold", 100.0 - percent)
    } else {
        "just what was foretold".to_owned()
    };
    Some(format!("Foretold were {predicted}, {peak} were taken: {compared}."))
}

/// How the memory of a phase came back.
pub(super) fn given_back(record: &PhaseRecord) -> String {
    let memory = &record.memory;
    match memory.release {
        None => "Its worker never held a model.".to_owned(),
        Some(release) if release.suspect => {
            let missing = release.residue_bytes.max(release.unattributed_bytes.unwrap_or_default());
            format!(
                "{missing} of memory and {} of GPU memory were not seen to come back within {}.",
                release.gpu_missing_bytes,
                milliseconds(release.release_ms)
            )
        }
        Some(release) => format!(
            "{} were back within {}; the supervisor kept {}.",
            memory.peak_bytes,
            milliseconds(release.release_ms),
            memory.residue_bytes
        ),
    }
}

/// What became of a worker.
pub(super) fn end(exit: &ExitRecord) -> String {
    let spot = exit.spot.as_deref().map_or_else(String::new, |spot| format!(", at {}", one_line(spot)));
    format!(
        "Process {} {} while it was {}{spot}; it held {} at most.",
        exit.pid,
        one_line(&exit.detail),
        one_line(&exit.state),
        exit.peak_bytes
    )
}

/// Seconds as people say them.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded, and not below two minutes")]
pub(super) fn seconds(seconds: f64) -> String {
    if seconds < 0.0995 {
        format!("{:.0} ms", seconds.max(0.0) * 1e3)
    } else if seconds < 9.95 {
        format!("{seconds:.1} s")
    } else if seconds < 119.5 {
        format!("{seconds:.0} s")
    } else {
        long(seconds.min(1e9).round() as u64)
    }
}

fn long(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours} h {minutes} min") } else { format!("{minutes} min {seconds} s") }
}

pub(super) fn milliseconds(milliseconds: f64) -> String {
    if milliseconds < 1000.0 { format!("{:.0} ms", milliseconds.max(0.0).ceil()) } else { seconds(milliseconds / 1e3) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::estimate::Need;
    use crate::report::tests::{ledger, phase};

    fn decided(decision: Decision, t_ms: u64) -> AdmissionRecord {
        AdmissionRecord {
            phase: Phase::Llm,
            model: "large".to_owned(),
            model_used: "small".to_owned(),
            need: Need::of_total(Bytes::mib(10)),
            arithmetic: None,
            decision,
            t_ms: Some(t_ms),
        }
    }

    #[test]
    fn a_run_is_told_by_its_peak_and_by_what_both_models_would_have_taken() {
        let told = verdict(&ledger());
        assert!(told[0].contains("never held more than 300 MiB") && told[0].contains("taken 420 MiB"), "{told:?}");
        assert!(told[1].starts_with("All of it came back"), "{told:?}");
    }

    #[test]
    fn memory_that_is_not_back_is_never_called_back() {
        let mut ledger = ledger();
        if let Some(release) = &mut ledger.phases[1].memory.release {
            release.suspect = true;
        }
        assert!(verdict(&ledger)[1].starts_with("Not all of it"));
        assert!(given_back(&ledger.phases[1]).contains("were not seen to come back"));
    }

    #[test]
    fn a_wait_is_told_with_its_length() {
        let mut ledger = ledger();
        ledger.admissions = vec![decided(Decision::Wait, 1_000), decided(Decision::Admit, 13_400)];
        let told = admissions(&ledger);
        assert!(told[0].contains("memory was waited for"), "{told:?}");
        assert!(told[1].contains("small was let in after a wait of 12 s"), "{told:?}");
    }

    #[test]
    fn every_decision_says_which_model_it_is_about() {
        let told = |decision| admission(&decided(decision, 0), None);
        assert!(told(Decision::Fallback).contains("large did not fit, so small was let in instead"));
        assert!(told(Decision::Refuse).contains("large was refused"));
        assert!(told(Decision::Forced).contains("small did not fit and was loaded all the same"));
    }

    #[test]
    fn a_prediction_is_compared_with_what_was_taken() {
        let told = foretold(&phase(Phase::Stt)).expect("a prediction");
        assert!(told.contains("Foretold were 320 MiB, 300 MiB were taken: 6 % less"), "{told}");
    }

    #[test]
    fn times_are_said_as_people_say_them() {
        assert_eq!(
            [0.0445, 1.73, 42.4, 95.0, 185.0, 7265.0].map(seconds),
            ["44 ms", "1.7 s", "42 s", "95 s", "3 min 5 s", "2 h 1 min"]
        );
        assert_eq!([0.2, 12.4, 1500.0].map(milliseconds), ["1 ms", "13 ms", "1.5 s"]);
    }
}
