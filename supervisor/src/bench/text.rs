//! The report as a table for a terminal: 72 columns at most, without least and most on a narrow one. Pure.

use super::report::{Figure, PhaseReport, Report, Spreads};
use super::statistics::Spread;
use crate::memory::Bytes;
use crate::report::{file_name, one_line};

/// Columns that the whole table takes.
const WIDE: usize = 72;

/// And without least and most.
#[cfg(test)]
const NARROW: usize = 50;

/// Of less memory, time for each GiB tells what ending a process takes and nothing of memory.
const LEAST_FOR_A_RATE: Bytes = Bytes::mib(64);

/// Name, level below its phase, and which figure it is.
type Row = (&'static str, usize, fn(&Spreads) -> Option<Spread>);

const ROWS: [Row; 7] = [
    ("load", 0, |spreads| spreads.load_seconds),
    ("spawn", 1, |spreads| spreads.spawn_seconds),
    ("handshake", 1, |spreads| spreads.handshake_seconds),
    ("count", 1, |spreads| spreads.count_seconds),
    ("process", 0, |spreads| spreads.process_seconds),
    ("unload", 0, |spreads| spreads.unload_seconds),
    ("total", 0, |spreads| spreads.total_seconds),
];

/// Lines, for so many columns.
pub fn table(report: &Report, columns: usize) -> Vec<String> {
    let is_wide = columns >= WIDE;
    let Report { runs, threads, recording_seconds, .. } = report;
    let mut lines = vec![
        format!("{}, {recording_seconds:.1} s", file_name(&report.recording)),
        format!("{} after a warm-up, {}", counted(*runs, "run"), counted(u32::from(*threads), "thread")),
        String::new(),
        head(is_wide),
    ];
    for phase in &report.phases {
        lines.push(headline(phase));
        lines.extend(ROWS.iter().filter_map(|(name, level, of)| {
            let indent = "  ".repeat(level + 1);
            Some(row(&format!("{indent}{name}"), &of(&phase.spreads)?, is_wide))
        }));
        let per_gib = phase.spreads.unload_seconds_per_gib.filter(|_| phase.peak_bytes >= LEAST_FOR_A_RATE);
        lines.extend(per_gib.map(|spread| row("  unload per GiB", &spread, is_wide)));
        if phase.suspect_releases > 0 {
            lines.push(format!("  memory was not seen to come back in {}", counted_of(phase.suspect_releases, *runs)));
        }
    }
    let figure = |name: &str, figure: &Figure| Some(row(name, figure.spread.as_ref()?, is_wide));
    lines.extend(figure("both phases", &report.cycle_seconds));
    if let Some(refusal) = &report.refusal {
        lines.extend(figure("refusal", &refusal.refusal_seconds));
        let started = refusal.workers_started;
        lines.push(format!("  of what does not fit; workers started for it: {started}"));
    }
    lines
}

fn head(is_wide: bool) -> String {
    let spread = if is_wide { format!("  {:>7} … {:<10}", "min", "max") } else { String::new() };
    format!("{:<16}  {:>7} ± {:<10}{spread}  {:>10}", "", "mean", "σ", "median")
}

fn headline(phase: &PhaseReport) -> String {
    let PhaseReport { phase: kind, peak_bytes, model_name, device, .. } = phase;
    let (name, device) = (one_line(model_name), one_line(device));
    let room = phase.setup.map_or_else(String::new, |setup| format!(", {} tokens", setup.n_ctx));
    format!("{kind}: {name}{room}, {peak_bytes} on {device}")
}

fn row(name: &str, spread: &Spread, is_wide: bool) -> String {
    let scale = Scale::of(spread.highest);
    let with_unit = |seconds: f64| format!("{} {}", scale.number(seconds), scale.name);
    let deviation = spread.deviation.map_or_else(|| "-".to_owned(), with_unit);
    let mean = scale.number(spread.mean);
    let between = if is_wide {
        format!("  {:>7} … {:<10}", scale.number(spread.lowest), with_unit(spread.highest))
    } else {
        String::new()
    };
    format!("{name:<16}  {mean:>7} ± {deviation:<10}{between}  {:>10}", with_unit(spread.median))
}

/// One for all figures of a row, so that they can be compared at sight.
struct Scale {
    name: &'static str,
    per_second: f64,
    decimals: usize,
}

impl Scale {
    fn of(highest: f64) -> Self {
        let (name, per_second) = match highest {
            seconds if seconds < 0.001 => ("µs", 1e6),
            seconds if seconds < 1.0 => ("ms", 1e3),
            _ => ("s", 1.0),
        };
        let decimals = match highest * per_second {
            number if number < 10.0 => 2,
            number if number < 10_000.0 => 1,
            _ => 0,
        };
        Self { name, per_second, decimals }
    }

    fn number(&self, seconds: f64) -> String {
        format!("{:.*}", self.decimals, seconds * self.per_second)
    }
}

fn counted(number: u32, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn counted_of(number: usize, of: u32) -> String {
    format!("{number} of {}", counted(of, "run"))
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::super::report::{REPORT_VERSION, Refusal, Sample};
    use super::*;
    use crate::event::Phase;

    fn report(seconds: f64) -> Report {
        let sample = |run: f64| Sample {
            spawn_seconds: seconds * run,
            handshake_seconds: seconds / 100.0,
            count_seconds: None,
            load_seconds: seconds * run,
            process_seconds: seconds * 10.0 * run,
            unload_seconds: seconds / 10.0,
            total_seconds: seconds * 12.0 * run,
            peak_bytes: Bytes::mib(700),
            release_seconds: seconds / 20.0,
            unload_seconds_per_gib: seconds,
            residue_bytes: Bytes(0),
            suspect: false,
        };
        let samples = vec![sample(1.0), sample(1.5)];
        let phase = |phase| PhaseReport {
            phase,
            model_name: "ggml-small".to_owned(),
            model_path: "/m/ggml-small.bin".to_owned(),
            model_bytes: Bytes::mib(400),
            engine: "whisper.cpp".to_owned(),
            device: "cpu".to_owned(),
            setup: None,
            peak_bytes: Bytes::mib(700),
            suspect_releases: 0,
            warm_up: sample(2.0),
            spreads: Spreads::of(&samples),
            samples: samples.clone(),
        };
        Report {
            v: REPORT_VERSION,
            version: "0",
            started: String::new(),
            recording: "/a/meeting\u{1b}.flac".to_owned(),
            recording_seconds: 31.0,
            threads: 1,
            runs: 2,
            phases: vec![phase(Phase::Stt), phase(Phase::Llm)],
            cycle_seconds: Figure::of(None, vec![seconds * 24.0, seconds * 25.0]),
            refusal: Some(Refusal { refusal_seconds: Figure::of(None, vec![seconds]), workers_started: 0 }),
        }
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_whatever_the_times() {
        for seconds in [1e-6, 0.0123, 0.99, 7.0, 5000.0] {
            for (columns, most) in [(WIDE, WIDE), (200, WIDE), (WIDE - 1, NARROW), (NARROW, NARROW)] {
                for line in table(&report(seconds), columns) {
                    assert!(line.width() <= most, "{} of {most} columns: {line}", line.width());
                    assert!(!line.contains('\u{1b}'), "{line:?}");
                }
            }
        }
    }

    #[test]
    fn all_figures_of_a_row_have_one_unit() {
        let spread = Spread::of(&[0.000_9, 1.5]).expect("two");
        assert_eq!(row("load", &spread, true).matches(" s").count(), 3);
        assert_eq!(row("load", &spread, true).matches("ms").count(), 0);
    }

    #[test]
    fn a_rate_is_told_only_of_memory_that_is_worth_one() {
        let mut report = report(1.0);
        let rates = |report: &Report| table(report, WIDE).iter().filter(|line| line.contains("per GiB")).count();
        assert_eq!(rates(&report), 2);
        report.phases[1].peak_bytes = Bytes::mib(8);
        assert_eq!(rates(&report), 1);
    }

    #[test]
    fn a_phase_tells_when_memory_did_not_come_back() {
        let mut report = report(1.0);
        report.phases[0].suspect_releases = 1;
        assert!(table(&report, WIDE).iter().any(|line| line.contains("not seen to come back in 1 of 2 runs")));
    }
}
