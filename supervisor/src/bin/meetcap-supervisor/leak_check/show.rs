//! An account as a table, as wide as there is room.

use meetcap_supervisor::leak::{Account, PeakRecord, SelfTest, SeriesRecord, Unit, Verdict};
use meetcap_supervisor::memory::Bytes;
use meetcap_supervisor::report::strip;
use unicode_width::UnicodeWidthStr;

use crate::table::{absent, aligned};

/// Columns of a picture.
const LEAST: usize = 8;
const MOST: usize = 35;
/// Between two columns of a table.
const GAP: usize = 2;

/// Of the terminal that standard output is; wide enough for everything elsewhere.
pub(crate) fn columns() -> usize {
    console::Term::stdout().size_checked().map_or(120, |(_, columns)| usize::from(columns))
}

/// All of it.
pub(crate) fn account(account: &Account, columns: usize) -> String {
    let mut lines = Vec::new();
    if !account.series.is_empty() {
        lines.extend(series(account, columns));
    }
    if !account.peaks.is_empty() {
        lines.push(String::new());
        lines.extend(peaks(&account.peaks));
    }
    if !lines.is_empty() {
        lines.push(String::new());
    }
    let (verdict, done) = match account.verdict {
        Verdict::Leak => ("leak found", "judged"),
        Verdict::Noticed => ("no leak of ours", "judged"),
        Verdict::NoLeak => ("no leak", "judged"),
        Verdict::Insufficient => ("insufficient", "kept"),
    };
    let (kept, cycles) = (account.kept(), account.cycles);
    lines.push(format!("{verdict}: {kept} of {cycles} cycles {done}, {:.0} s, seed {}", account.seconds, account.seed));
    lines.join("\n") + "\n"
}

fn series(account: &Account, columns: usize) -> Vec<String> {
    let head = ["SERIES", "FIRST", "LAST", "PER CYCLE", "95 % BOUNDS", "P", "VERDICT"].map(str::to_owned);
    let kept = |series: &SeriesRecord| {
        let kept = series.values.get(account.warm_up as usize..).filter(|kept| !kept.is_empty());
        kept.unwrap_or(&series.values).to_vec()
    };
    let row = |series: &SeriesRecord| {
        let number = |value: Option<f64>| value.map_or_else(absent, |value| amount(value, series.unit));
        let values = kept(series);
        let is_judged = values.len() > 2;
        let judged = |text: String| if is_judged { text } else { absent() };
        [
            series.measure.title().to_owned(),
            number(values.first().copied()),
            number(values.last().copied()),
            judged(rate(series.slope, series.unit)),
            judged(format!("{} to {}", plain(series.slope_low), plain(series.slope_high))),
            judged(chance(series.p_corrected)),
            series.verdict.name().to_owned(),
        ]
    };
    let rows: Vec<[String; 7]> = std::iter::once(head).chain(account.series.iter().map(row)).collect();
    let full = aligned(&rows, [false, true, true, true, true, true, false]);
    let lines = if widest(&full) <= columns {
        full
    } else {
        let narrow: Vec<[String; 4]> = rows
            .iter()
            .map(|[name, _, last, slope, _, _, verdict]| [name, last, slope, verdict].map(Clone::clone))
            .collect();
        aligned(&narrow, [false, true, true, false])
    };
    let width = widest(&lines);
    let beside = columns.saturating_sub(width + GAP).min(MOST);
    let mut out = lines[..1].to_vec();
    for (line, series) in lines[1..].iter().zip(&account.series) {
        let values = kept(series);
        if beside >= LEAST {
            let room = " ".repeat(width - line.width() + GAP);
            out.push(format!("{line}{room}{}", strip(&values, beside)));
        } else {
            out.push(line.clone());
            out.push(format!("  {}", strip(&values, columns.saturating_sub(2).clamp(LEAST, MOST))));
        }
    }
    out
}

fn peaks(peaks: &[PeakRecord]) -> Vec<String> {
    let head = ["WORKERS' PEAKS", "MEDIAN", "HIGHEST", "ALLOWED", "VERDICT"].map(str::to_owned);
    let row = |peak: &PeakRecord| {
        let kib = |kib: Option<f64>| kib.map_or_else(absent, |kib| amount(kib, Unit::Kib));
        let allowed = peak.limit.map_or_else(absent, |limit| {
            format!("{} / {}", amount(limit.median_kib, Unit::Kib), amount(limit.max_kib, Unit::Kib))
        });
        let verdict = match peak.verdict {
            None => "no baseline",
            Some(Verdict::NoLeak) => "within",
            Some(Verdict::Leak) => "ABOVE",
            Some(other) => other.name(),
        };
        let name = match peak.phase {
            meetcap_supervisor::event::Phase::Stt => "speech worker",
            meetcap_supervisor::event::Phase::Llm => "summary worker",
        };
        [name.to_owned(), kib(peak.median_kib), kib(peak.max_kib), allowed, verdict.to_owned()]
    };
    let rows: Vec<[String; 5]> = std::iter::once(head).chain(peaks.iter().map(row)).collect();
    aligned(&rows, [false, true, true, true, false])
}

/// The trials of the self-test.
pub(crate) fn trials(tested: &SelfTest) -> String {
    let head = ["INJECTED", "LEAK EXPECTED IN", "LEAK FOUND IN", "SO"].map(str::to_owned);
    let rows = tested.trials.iter().map(|trial| {
        let expected = trial.expected.map_or_else(absent, |measure| measure.title().to_owned());
        let found: Vec<&str> = trial.found.iter().map(|measure| measure.title()).collect();
        let found = if found.is_empty() { absent() } else { found.join(", ") };
        let so = match (trial.is_right(), trial.account.verdict) {
            (true, _) => "right",
            (false, Verdict::Insufficient) => "INSUFFICIENT",
            (false, _) => "WRONG",
        };
        [trial.injected.to_owned(), expected, found, so.to_owned()]
    });
    let rows: Vec<[String; 4]> = std::iter::once(head).chain(rows).collect();
    let mut lines = aligned(&rows, [false; 4]);
    let word = if tested.is_passed() { "passed" } else { "failed" };
    lines.extend([String::new(), format!("self-test {word}: {} trials", tested.trials.len())]);
    lines.join("\n") + "\n"
}

fn widest(lines: &[String]) -> usize {
    lines.iter().map(|line| line.width()).max().unwrap_or(0)
}

/// A figure as it stands.
fn amount(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Count => format!("{value:.0}"),
        Unit::Kib => {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "not negative, and for reading"
            )]
            let bytes = Bytes((value.abs() * 1024.0) as u64);
            let sign = if value < 0.0 && bytes > Bytes(0) { "-" } else { "" };
            format!("{sign}{bytes}")
        }
    }
}

/// Growth in a cycle.
fn rate(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Count => plain(value),
        Unit::Kib => format!("{} KiB", plain(value)),
    }
}

fn plain(value: f64) -> String {
    let digits = if value.abs() >= 100.0 || value.fract() == 0.0 { 0 } else { 2 };
    let text = format!("{value:.digits$}");
    if text.trim_matches(['-', '0', '.']).is_empty() { "0".to_owned() } else { text }
}

fn chance(p: f64) -> String {
    if p < 0.001 { format!("{p:.0e}") } else { format!("{p:.3}") }
}
