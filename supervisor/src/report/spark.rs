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
    let mut line = String::new();
    for column in columns {
        last = column.unwrap_or(last);
        line.push(step(last.as_mib() / highest.as_mib()));
    }
    line
}

/// The step for a share of the whole height.
fn step(share: f64) -> char {
    let top = STEPS.len() - 1;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "between 0 and the last step"
    )]
    let at = if share.is_nan() { 0 } else { (share.clamp(0.0, 1.0) * top as f64).round() as usize };
    STEPS[at.min(top)]
}

/// A series in at most so many columns, from its lowest value to its highest; each column is as high as the highest
/// value in it. All at the bottom where all are the same.
pub fn strip(values: &[f64], columns: usize) -> String {
    if values.is_empty() || columns == 0 {
        return String::new();
    }
    let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(low, high), value| (value.min(low), value.max(high)));
    let columns = columns.min(values.len());
    let part = |column: usize| &values[column * values.len() / columns..(column + 1) * values.len() / columns];
    let highest = |part: &[f64]| part.iter().copied().fold(f64::MIN, f64::max);
    (0..columns).map(|column| step((highest(part(column)) - low) / (high - low))).collect()
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
    fn a_series_is_drawn_from_its_lowest_to_its_highest_value_in_as_many_columns_as_there_are() {
        assert_eq!(strip(&[100.0, 101.0, 107.0], 10), "▁▂█");
        assert_eq!(strip(&[1.0, 8.0, 1.0, 1.0], 2), "█▁");
        assert_eq!(strip(&[5.0; 4], 4), "▁▁▁▁");
        assert_eq!((strip(&[], 4), strip(&[1.0], 0)), (String::new(), String::new()));
        for columns in 1..50 {
            let strip = strip(&(0..40).map(f64::from).collect::<Vec<_>>(), columns);
            assert_eq!(strip.chars().count(), columns.min(40));
            assert!(strip.chars().is_sorted() && strip.ends_with('█'), "{strip}");
        }
    }

    #[test]
    fn a_phase_of_a_single_sample_is_drawn_too() {
        assert_eq!(shares(&[100, 0], 20), Some(vec![17, 3]));
        assert_eq!(shares(&[0], 2), None);
    }
}
