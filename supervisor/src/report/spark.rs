//! Memory over time in one line of text. Pure.

use crate::event::Phase;
use crate::memory::{Bytes, Ledger, Sample};

const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Columns of a phase, however short it is; and of all phases together.
const LEAST: usize = 3;
const MOST: usize = 40;

/// `memory  stt ▁▄▇▇▇█ 255 MiB · llm ▁▅██ 310 MiB`, in at most so many columns: each phase as wide as it was long, all
/// to the same scale. `None` without a timeline, and where so many columns hold no picture.
pub fn sparkline(ledger: &Ledger, columns: usize) -> Option<String> {
    let samples = ledger.timeline.as_ref()?.samples();
    let phases = [Phase::Stt, Phase::Llm].map(|phase| (phase, of_phase(samples, phase)));
    let phases: Vec<(Phase, Vec<&Sample>)> = phases.into_iter().filter(|(_, samples)| !samples.is_empty()).collect();
    let labels: Vec<(String, String)> =
        phases.iter().map(|(phase, samples)| (phase.to_string(), peak(ledger, *phase, samples).to_string())).collect();
    let words: usize = labels.iter().map(|(name, peak)| name.chars().count() + peak.chars().count() + 2).sum();
    let separators = 3 * labels.len().saturating_sub(1);
    let room = columns.checked_sub("memory  ".len() + words + separators)?.min(MOST);
    let lengths: Vec<u64> = phases.iter().map(|(_, samples)| span(samples)).collect();
    let widths = shares(&lengths, room)?;
    let highest = samples.iter().map(Sample::cost).max().unwrap_or_default();
    let parts: Vec<String> = phases
        .iter()
        .zip(&labels)
        .zip(widths)
        .map(|(((_, samples), (name, peak)), width)| format!("{name} {} {peak}", bars(samples, width, highest)))
        .collect();
    (!parts.is_empty()).then(|| format!("memory  {}", parts.join(" · ")))
}

fn of_phase(samples: &[Sample], phase: Phase) -> Vec<&Sample> {
    samples.iter().filter(|sample| sample.phase == phase).collect()
}

/// As the ledger tells it, which knows of peaks between two samples.
fn peak(ledger: &Ledger, phase: Phase, samples: &[&Sample]) -> Bytes {
    let told = ledger.phases.iter().filter(|record| record.phase == phase).map(|record| record.memory.peak_bytes);
    let seen = samples.iter().map(|sample| sample.cost());
    told.chain(seen).max().unwrap_or_default()
}

/// Milliseconds.
fn span(samples: &[&Sample]) -> u64 {
    let ends = samples.first().zip(samples.last());
    ends.map_or(0, |(first, last)| last.t_ms.saturating_sub(first.t_ms))
}

/// Columns for each, by length; `None` where there are too few.
fn shares(lengths: &[u64], room: usize) -> Option<Vec<usize>> {
    let spare = room.checked_sub(LEAST * lengths.len())?;
    let all: u128 = lengths.iter().copied().map(u128::from).sum::<u128>().max(1);
    let share = |length: &u64| usize::try_from(spare as u128 * u128::from(*length) / all).unwrap_or(0);
    Some(lengths.iter().map(|length| LEAST + share(length)).collect())
}

/// The highest sample of each column's time; a column without one is as high as the one before.
fn bars(samples: &[&Sample], width: usize, highest: Bytes) -> String {
    let Some(first) = samples.first() else { return String::new() };
    let mut columns: Vec<Option<Bytes>> = vec![None; width];
    let span = u128::from(span(samples)) + 1;
    for sample in samples {
        let at = u128::from(sample.t_ms.saturating_sub(first.t_ms)) * width as u128 / span;
        let column = usize::try_from(at).unwrap_or(0).min(width.saturating_sub(1));
        columns[column] = columns[column].max(Some(sample.cost()));
    }
    let mut last = first.cost();
    let step = |bytes: Bytes| {
        let top = STEPS.len() as u128 - 1;
        let at = (u128::from(bytes.0) * top + u128::from(highest.0) / 2) / u128::from(highest.0.max(1));
        STEPS[usize::try_from(at.min(top)).unwrap_or(0)]
    };
    let mut line = String::new();
    for column in columns {
        last = column.unwrap_or(last);
        line.push(step(last));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::ledger;

    #[test]
    fn a_run_in_a_line_shows_both_phases_to_one_scale() {
        let line = sparkline(&ledger(), 80).expect("there is a timeline");
        assert!(line.starts_with("memory  stt ▅"), "{line}");
        assert!(line.contains("█ 300 MiB · llm ") && line.ends_with(" 120 MiB"), "{line}");
        assert_eq!(
            line.matches('█').count(),
            line.split('·').next().unwrap_or_default().matches('█').count(),
            "{line}"
        );
    }

    #[test]
    fn no_line_is_wider_than_there_is_room() {
        for columns in 0..200 {
            if let Some(line) = sparkline(&ledger(), columns) {
                assert!(line.chars().count() <= columns, "{columns}: {line}");
            }
        }
        assert!(sparkline(&ledger(), 20).is_none() && sparkline(&ledger(), 60).is_some());
    }

    #[test]
    fn without_a_timeline_there_is_no_line() {
        let mut ledger = ledger();
        ledger.timeline = None;
        assert_eq!(sparkline(&ledger, 80), None);
    }

    #[test]
    fn a_phase_of_a_single_sample_is_drawn_too() {
        assert_eq!(shares(&[100, 0], 20), Some(vec![17, 3]));
        assert_eq!(shares(&[0], 2), None);
    }
}
