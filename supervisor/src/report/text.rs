//! The account as lines for a terminal. Pure.

use crate::memory::Ledger;

use super::shown::one_line;
use super::{figures, sentences, spark};

/// Columns of the picture in one line.
const COLUMNS: usize = 78;

/// The whole account.
pub fn text(ledger: &Ledger) -> String {
    let (sign, word, error) = sentences::outcome(ledger);
    let code = ledger.exit_code.map_or_else(String::new, |code| format!(" (exit code {code})"));
    let mut out = vec![
        format!("Account of {}", one_line(&ledger.audio_path)),
        format!("  {}, meetcap-supervisor {}", one_line(&ledger.started), one_line(&ledger.version)),
        format!("  {sign} {word}{code}"),
    ];
    out.extend(error.map(|error| format!("  {error}")));
    out.extend(sentences::verdict(ledger).into_iter().map(|line| format!("  {line}")));
    out.extend(spark::sparkline(ledger, COLUMNS).map(|line| format!("  {line}")));
    out.push(String::new());
    out.extend(figures::lines(ledger).iter().map(|line| one_line(line)));
    section(&mut out, "Phases", ledger.phases.iter().flat_map(phase));
    section(&mut out, "Decisions on loads", sentences::admissions(ledger));
    section(&mut out, "Steps down", ledger.fallbacks.iter().map(sentences::fallback));
    section(&mut out, "Limits", limits(ledger));
    section(&mut out, "Warnings", ledger.warnings.iter().map(|warning| one_line(warning)));
    section(&mut out, "Written", ledger.outputs.iter().map(|path| one_line(&path.to_string_lossy())));
    out.push(String::new());
    out.join("\n")
}

fn section(out: &mut Vec<String>, title: &str, lines: impl IntoIterator<Item = String>) {
    let mut lines = lines.into_iter().peekable();
    if lines.peek().is_some() {
        out.extend([String::new(), title.to_owned()]);
        out.extend(lines.map(|line| format!("  {line}")));
    }
}

fn phase(record: &crate::memory::PhaseRecord) -> Vec<String> {
    let time = |seconds: f64| sentences::seconds(seconds);
    let mut lines = vec![format!(
        "{} with {}: {} to load, {} at work, {} to unload",
        sentences::phase_name(record.phase),
        one_line(&record.model_name),
        time(record.load_seconds),
        time(record.process_seconds),
        time(record.unload_seconds)
    )];
    lines.extend(sentences::foretold(record).map(|line| format!("  {line}")));
    lines.push(format!("  {}", sentences::given_back(record)));
    lines.extend(record.deaths.iter().map(|exit| format!("  {}", sentences::end(exit))));
    lines
}

fn limits(ledger: &Ledger) -> Vec<String> {
    let limit = |limit: &crate::memory::Limit| {
        let of = one_line(&limit.of.to_string());
        format!("{of} has {}, of which {} were in use when the run began", limit.limit, limit.used)
    };
    let mut lines: Vec<String> = ledger.limits.iter().map(limit).collect();
    lines.extend(ledger.thresholds.map(|thresholds| {
        let (warning, critical) = (thresholds.warning, thresholds.critical);
        format!("a limit counts as short of memory from {warning} % on, as critically short from {critical} % on")
    }));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{hostile, ledger};

    #[test]
    fn the_account_has_everything_a_reader_looks_for() {
        let text = text(&ledger());
        for wanted in [
            "Account of /talks/meeting.flac",
            "✓ done (exit code 0)",
            "memory  stt ▅",
            "Memory Usage Report",
            "Speech with small: 1.2 s to load",
            "Decisions on loads",
            "Limits",
            "from 80 % on",
        ] {
            assert!(text.contains(wanted), "{wanted} is not in:\n{text}");
        }
    }

    #[test]
    fn nothing_in_a_ledger_commands_the_terminal_that_shows_it() {
        let text = text(&hostile("\u{1b}[2J\u{202e}\nWarnings\n"));
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
        assert_eq!(text.lines().filter(|line| line.trim() == "Warnings").count(), 1, "{text}");
    }
}
