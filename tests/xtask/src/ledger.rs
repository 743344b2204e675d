//! The few figures that the demo shows from a run's ledger (`<stem>.run.json`).
//!
//! Not a JSON reader: within each phase it looks for the keys it knows, and shows a dash for what it does not find.
//! Nothing is judged by it.

use crate::workspace::string_after;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Phase {
    pub(crate) name: String,
    pub(crate) model: Option<String>,
    pub(crate) load_seconds: Option<f64>,
    pub(crate) work_seconds: Option<f64>,
    pub(crate) unload_seconds: Option<f64>,
    /// Anonymous memory of the worker: what it allocated.
    pub(crate) peak_bytes: Option<f64>,
    /// With the program's own code and other mapped files.
    pub(crate) peak_resident_bytes: Option<f64>,
    /// What is left once the worker is gone: the supervisor.
    pub(crate) after_bytes: Option<f64>,
}

/// The phases that say anything about time or memory, in the ledger's order.
pub(crate) fn phases(ledger: &str) -> Vec<Phase> {
    let dense = ledger.replace("\": ", "\":");
    dense.split("\"phase\":\"").skip(1).filter_map(phase).collect()
}

fn phase(text: &str) -> Option<Phase> {
    let phase = Phase {
        name: text.split('"').next()?.to_owned(),
        model: string_after(text, "\"model_name\":\""),
        load_seconds: number_after(text, "\"load_seconds\":"),
        work_seconds: number_after(text, "\"process_seconds\":"),
        unload_seconds: number_after(text, "\"unload_seconds\":"),
        peak_bytes: number_after(text, "\"peak_bytes\":"),
        peak_resident_bytes: number_after(text, "\"peak_rss_bytes\":"),
        after_bytes: number_after(text, "\"after_bytes\":"),
    };
    (phase.load_seconds.is_some() || phase.peak_bytes.is_some()).then_some(phase)
}

fn number_after(json: &str, key: &str) -> Option<f64> {
    let start = json.find(key)? + key.len();
    json[start..].split([',', '}', '\n', ' ']).next()?.parse().ok()
}

const HEADINGS: [&str; 8] = ["phase", "model", "load s", "work s", "unload s", "peak MiB", "resident MiB", "after MiB"];

/// The first two columns are words and stand on the left, figures stand on the right.
const WORDS: usize = 2;

/// An aligned table, headings first.
pub(crate) fn table(phases: &[Phase]) -> Vec<String> {
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    rows.extend(phases.iter().map(row));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEADINGS.len()).map(width).collect();
    rows.iter().map(|row| aligned(row, &widths)).collect()
}

fn row(phase: &Phase) -> [String; 8] {
    const MIB: f64 = 1024.0 * 1024.0;
    let shown = |number: Option<f64>, unit: f64, decimals: usize| match number {
        Some(number) => format!("{:.decimals$}", number / unit),
        None => "-".to_owned(),
    };
    [
        phase.name.clone(),
        phase.model.clone().unwrap_or_else(|| "-".to_owned()),
        shown(phase.load_seconds, 1.0, 3),
        shown(phase.work_seconds, 1.0, 3),
        shown(phase.unload_seconds, 1.0, 3),
        shown(phase.peak_bytes, MIB, 1),
        shown(phase.peak_resident_bytes, MIB, 1),
        shown(phase.after_bytes, MIB, 1),
    ]
}

fn aligned(row: &[String], widths: &[usize]) -> String {
    let cell = |(column, (text, &width)): (usize, (&String, &usize))| {
        if column < WORDS { format!("{text:<width$}") } else { format!("{text:>width$}") }
    };
    row.iter().zip(widths).enumerate().map(cell).collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEDGER: &str = r#"{
  "phases": [
    {
      "phase": "stt",
      "model_name": "demo",
      "load_seconds": 0.062313681,
      "process_seconds": 1.807389621,
      "unload_seconds": 0.019203688,
      "memory": { "baseline_bytes": 1, "peak_bytes": 52428800, "peak_rss_bytes": 104857600, "after_bytes": 629146 }
    },
    { "phase": "llm", "model_name": "a \"b\"", "load_seconds": 12, "unload_seconds": null, "memory": {"peak_bytes":20971520} }
  ]
}"#;

    #[test]
    fn each_phase_is_read_with_its_model_times_and_memory() {
        let phases = phases(LEDGER);
        assert_eq!(phases.len(), 2);
        assert_eq!(phases[0].name, "stt");
        assert_eq!(phases[0].model.as_deref(), Some("demo"));
        assert_eq!(phases[0].work_seconds, Some(1.807_389_621));
        assert_eq!(phases[0].peak_resident_bytes, Some(104_857_600.0));
        assert_eq!(phases[1].model.as_deref(), Some("a \"b\""));
        assert_eq!((phases[1].load_seconds, phases[1].unload_seconds), (Some(12.0), None));
        assert_eq!(phases[1].peak_bytes, Some(20_971_520.0));
    }

    #[test]
    fn a_phase_without_figures_and_a_file_that_is_no_ledger_show_nothing() {
        assert_eq!(phases(r#"{"phase":"stt","peak_bytes":null}"#), []);
        assert_eq!(phases("not json at all"), []);
    }

    #[test]
    fn the_table_is_aligned_and_shows_a_dash_for_what_is_not_known() {
        let lines = table(&phases(LEDGER));
        assert_eq!(lines[0], "phase  model  load s  work s  unload s  peak MiB  resident MiB  after MiB");
        assert_eq!(lines[1], "stt    demo    0.062   1.807     0.019      50.0         100.0        0.6");
        assert_eq!(lines[2], "llm    a \"b\"  12.000       -         -      20.0             -          -");
    }
}
