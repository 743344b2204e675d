//! What libFuzzer says of itself, line by line, made a table.

use std::fmt::Write;

/// What was said of one target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) inputs: u64,
    /// Places in the program that were reached, and ways through them that were told apart.
    pub(crate) places: u64,
    pub(crate) ways: u64,
    pub(crate) per_second: u64,
    /// Of the fuzzer's whole process.
    pub(crate) peak_mib: u64,
    pub(crate) finding: Option<String>,
}

impl Told {
    /// Takes a line. Progress looks like
    /// `#4096 pulse  cov: 512 ft: 2048 corp: 97/12Kb lim: 4096 exec/s: 2048 rss: 44Mb`, the end like
    /// `stat::number_of_executed_units: 4096`, and a finding like `==1== ERROR: libFuzzer: deadly signal`.
    pub(crate) fn read(&mut self, line: &str) {
        let number = |name: &str| {
            let rest = line.split_once(name)?.1.trim_start();
            rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        };
        let take = |field: &mut u64, name: &str| *field = number(name).unwrap_or(*field);
        if line.starts_with('#') {
            take(&mut self.places, " cov: ");
            take(&mut self.ways, " ft: ");
        }
        take(&mut self.inputs, "stat::number_of_executed_units:");
        take(&mut self.per_second, "stat::average_exec_per_sec:");
        take(&mut self.peak_mib, "stat::peak_rss_mb:");
        // A panic's place says more than the signal that follows it.
        for (mark, word) in [("panicked at ", "panicked at "), ("ERROR: libFuzzer: ", "")] {
            if let Some((_, what)) = line.split_once(mark) {
                self.finding.get_or_insert_with(|| format!("{word}{}", what.trim()));
            }
        }
        if let (Some((_, file)), Some(finding)) = (line.split_once("Test unit written to "), &mut self.finding) {
            let _ = write!(finding, " ({})", file.trim());
        }
    }
}

/// One line for each target.
pub(crate) fn table(all: &[(String, Told)]) -> String {
    let mut table = format!(
        "{:<14} {:>12} {:>9} {:>8} {:>8} {:>9}  finding\n",
        "target", "inputs", "a second", "places", "ways", "peak MiB"
    );
    for (name, told) in all {
        let finding = told.finding.as_deref().unwrap_or("none");
        let Told { inputs, per_second, places, ways, peak_mib, .. } = told;
        let _ =
            writeln!(table, "{name:<14} {inputs:>12} {per_second:>9} {places:>8} {ways:>8} {peak_mib:>9}  {finding}");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &str) -> Told {
        let mut told = Told::default();
        lines.lines().for_each(|line| told.read(line));
        told
    }

    #[test]
    fn progress_and_figures_are_read() {
        let told = told(
            "INFO: seed corpus: files: 20\n\
             #21\tINITED cov: 300 ft: 900 corp: 12/3Kb exec/s: 0 rss: 40Mb\n\
             #4096\tpulse  cov: 512 ft: 2048 corp: 97/12Kb lim: 4096 exec/s: 2048 rss: 44Mb\n\
             Done 5000 runs in 3 second(s)\n\
             stat::number_of_executed_units: 5000\nstat::average_exec_per_sec:     1666\nstat::peak_rss_mb:              45\n",
        );
        let expected = Told { inputs: 5000, places: 512, ways: 2048, per_second: 1666, peak_mib: 45, finding: None };
        assert_eq!(told, expected);
    }

    #[test]
    fn a_finding_is_named_with_its_place_and_its_input() {
        let found = told(
            "thread '<unnamed>' panicked at protocol/src/codec.rs:7:9:\nindex out of bounds\n\
             ==77== ERROR: libFuzzer: deadly signal\n\
             artifact_prefix='a/'; Test unit written to a/crash-1f\n",
        );
        let finding = found.finding.clone().expect("a finding");
        assert!(finding.contains("codec.rs:7:9") && finding.contains("a/crash-1f"), "{finding}");
        assert!(table(&[("frames".to_owned(), found)]).contains("a/crash-1f"));
        let slow = told("==7== ERROR: libFuzzer: timeout after 25 seconds\n").finding;
        assert_eq!(slow.as_deref(), Some("timeout after 25 seconds"));
    }

    #[test]
    fn a_target_without_a_finding_says_none() {
        assert!(table(&[("rpc".to_owned(), Told::default())]).trim_end().ends_with("none"));
    }
}
