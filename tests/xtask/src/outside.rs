//! Memory of another program and of its workers as the kernel tells it, without asking them. Linux only: reads `/proc`.

use std::path::Path;

use crate::binaries::WORKERS;
use crate::chart::Sample;

/// What the supervisor and its workers use now; `None` when the supervisor is gone.
pub(crate) fn sample(seconds: f64, supervisor: u32) -> Option<Sample> {
    let mut sample = Sample { seconds, supervisor: memory(supervisor)?, ..Sample::default() };
    for child in children(supervisor) {
        match (program(child).as_deref(), memory(child)) {
            (Some(name), Some(memory)) if name == WORKERS[0] => sample.stt = Some(memory),
            (Some(name), Some(memory)) if name == WORKERS[1] => sample.llm = Some(memory),
            // A child that is still a copy of the supervisor shares the supervisor's memory.
            _ => {}
        }
    }
    Some(sample)
}

/// Each thread has a list of its own.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| parse_children(&list)).collect()
}

fn parse_children(list: &str) -> Vec<u32> {
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// The program's file name, by what it was called with: the kernel's own name is cut at 15 characters.
fn program(pid: u32) -> Option<String> {
    let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
    let called = line.split('\0').next()?;
    Some(Path::new(called).file_name()?.to_string_lossy().into_owned())
}

fn memory(pid: u32) -> Option<f64> {
    anonymous_mebibytes(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

/// All that is in memory, files included.
pub(crate) fn resident_mebibytes(pid: u32) -> Option<f64> {
    Some(kibibytes(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "VmRSS:")? / 1024.0)
}

/// In memory or swapped out. A process that has ended but was not reaped has no such lines.
fn anonymous_mebibytes(status: &str) -> Option<f64> {
    Some((kibibytes(status, "RssAnon:")? + kibibytes(status, "VmSwap:").unwrap_or(0.0)) / 1024.0)
}

fn kibibytes(status: &str, name: &str) -> Option<f64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
    rest.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_swapped_out_counts_and_files_do_not() {
        let status =
            "Name:\tx\nVmRSS:\t    9000 kB\nRssAnon:\t    2048 kB\nRssFile:\t    6952 kB\nVmSwap:\t    1024 kB\n";
        assert_eq!(anonymous_mebibytes(status), Some(3.0));
        assert_eq!(anonymous_mebibytes("Name:\tx\nState:\tZ (zombie)\n"), None);
    }

    #[test]
    fn a_list_of_children_is_read() {
        assert_eq!(parse_children("14 15 \n"), [14, 15]);
        assert_eq!(parse_children(""), [0; 0]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_very_process_uses_memory_and_has_no_workers() {
        let sample = sample(0.5, std::process::id()).expect("this process runs");
        assert!(sample.supervisor > 0.0);
        assert_eq!((sample.seconds, sample.stt, sample.llm), (0.5, None, None));
    }
}
