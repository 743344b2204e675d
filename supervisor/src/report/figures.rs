//! `--memory-report`: the specification's checkpoints (section 4.1), and what each model was predicted to take, took, and
//! gave back.

use crate::memory::{Bytes, Ledger, PhaseRecord};

/// The report, line by line.
pub fn lines(ledger: &Ledger) -> Vec<String> {
    let mut lines = vec!["Memory Usage Report".to_owned()];
    let checkpoints = ledger.checkpoints.checkpoints();
    if checkpoints.is_empty() {
        lines.push("  no checkpoints: enable_monitoring is false".to_owned());
    } else {
        lines.push(format!("  {:<14} {:>12} {:>13} {:>8}", "checkpoint", "RSS", "virtual", "percent"));
    }
    for checkpoint in checkpoints {
        let usage = &checkpoint.usage;
        let (rss, vms, percent) = (usage.rss_mb, usage.vms_mb, usage.percent);
        lines.push(format!("  {:<14} {rss:>9.1} MB {vms:>10.1} MB {percent:>6.2} %", checkpoint.name));
    }
    if ledger.phases.is_empty() {
        return lines;
    }
    lines.push(String::new());
    let name = |record: &PhaseRecord| record.model_name.chars().take(28).collect::<String>();
    let width = ledger.phases.iter().map(|record| name(record).chars().count()).max().unwrap_or(5).max(5);
    lines.push(format!(
        "  {:<5} {:<width$} {:>10} {:>10} {:>10} {:>10} {:>11}",
        "phase", "model", "predicted", "peak", "after", "residue", "back within"
    ));
    for record in &ledger.phases {
        let memory = &record.memory;
        let predicted = record.predicted.map_or_else(|| "-".to_owned(), |need| need.total().to_string());
        let release = memory.release.map_or_else(
            || "-".to_owned(),
            |release| format!("{:.0} ms{}", release.release_ms.ceil(), if release.suspect { " ?" } else { "" }),
        );
        lines.push(format!(
            "  {:<5} {:<width$} {predicted:>10} {:>10} {:>10} {:>10} {release:>11}",
            record.phase.to_string(),
            name(record),
            memory.peak_bytes.to_string(),
            memory.after_bytes.to_string(),
            memory.residue_bytes.to_string(),
        ));
    }
    if ledger.saved_bytes > Bytes(0) {
        let highest = ledger.phases.iter().map(|record| record.memory.peak_bytes).max().unwrap_or_default();
        let both = highest + ledger.saved_bytes;
        let percent = 100.0 * ledger.saved_bytes.as_mib() / both.as_mib();
        lines.push(format!(
            "  saved against both models in memory at once: {} of {both} ({percent:.0} %)",
            ledger.saved_bytes
        ));
    }
    lines
}
