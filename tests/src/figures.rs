//! Measured numbers, their targets, and the file that keeps them.

use std::path::Path;

use serde::Serialize;

/// The order of the fields is the order in the file.
#[derive(Debug, Serialize)]
struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    target: String,
    met: Option<bool>,
}

/// What one criterion came to.
#[derive(Debug, Serialize)]
pub struct Results {
    criterion: u8,
    name: &'static str,
    command: String,
    machine: String,
    figures: Vec<Figure>,
    notes: Vec<String>,
}

impl Results {
    /// For a criterion of `supervisor/docs/specification.md`, measured by this part of the benchmarks.
    pub fn new(criterion: u8, name: &'static str, part: &str) -> Self {
        Self::by_hand(criterion, name, format!("cargo xtask bench --part {part}"))
    }

    /// Measured by this command.
    pub fn by_hand(criterion: u8, name: &'static str, command: String) -> Self {
        Self { criterion, name, command, machine: machine(), figures: Vec::new(), notes: Vec::new() }
    }

    /// A figure that only informs.
    pub fn plain(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        self.push(name.into(), value, unit, String::new(), None);
    }

    /// A figure that may not be above `limit`.
    pub fn at_most(&mut self, name: impl Into<String>, value: f64, unit: &'static str, limit: f64) {
        let target = if limit == 0.0 { "0".to_owned() } else { format!("≤ {limit}") };
        self.judged(name, value, unit, target, value <= limit);
    }

    /// A figure whose target is no simple limit.
    pub fn judged(
        &mut self,
        name: impl Into<String>,
        value: f64,
        unit: &'static str,
        target: impl Into<String>,
        met: bool,
    ) {
        self.push(name.into(), value, unit, target.into(), Some(met));
    }

    fn push(&mut self, name: String, value: f64, unit: &'static str, target: String, met: Option<bool>) {
        let value = (value * 1000.0).round() / 1000.0;
        let verdict = met.map_or("", |met| if met { "met" } else { "MISSED" });
        println!("  {name}: {value} {unit} {target} {verdict}");
        self.figures.push(Figure { name, value, unit, target, met });
    }

    /// How it was measured, in a sentence or two.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// A figure that has to lie between two others.
    pub fn between(&mut self, name: impl Into<String>, value: f64, unit: &'static str, low: f64, high: f64) {
        self.judged(name, value, unit, format!("{low} to {high}"), (low..=high).contains(&value));
    }

    /// Into `supervisor/docs/results/<file>.json`.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, file: &str) {
        if is_quick() {
            println!("  {QUICK} is set: a try, of which {file}.json learns nothing");
            return;
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../supervisor/docs/results");
        std::fs::create_dir_all(&folder).expect("a folder for results");
        let text = serde_json::to_string_pretty(self).expect("plain data") + "\n";
        std::fs::write(folder.join(format!("{file}.json")), text).expect("a results file");
    }
}

/// The variable that makes a measurement a quick try, where a part knows one.
const QUICK: &str = "MEETCAP_BENCH_QUICK";

/// Whether small models and few rounds are to do, to see that a part works. Nothing is written then.
pub fn is_quick() -> bool {
    std::env::var_os(QUICK).is_some_and(|value| !value.is_empty())
}

/// Processor, cores and kernel, without the machine's name.
fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model.trim());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {cores} cores, linux {}", kernel.trim())
}

/// The smallest value that `percent` of all do not exceed.
///
/// # Panics
/// When there are none.
pub fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted[rank - 1]
}

/// The largest of all.
pub fn highest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}
