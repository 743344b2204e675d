//! Does a worker outlive its supervisor? Reads `/proc`; elsewhere it finds nothing.

use std::path::Path;

/// A running process that might be a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    /// As the kernel keeps it: the first 15 characters.
    pub(crate) name: String,
}

/// The kernel keeps 15 characters, which is just this; both workers share it.
const WORKER: &str = "meetcap-worker-";
const SUPERVISOR: &str = "meetcap-supervi";

/// Every process of this machine that can be read.
pub(crate) fn processes() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| read(&entry.path())).collect()
}

fn read(folder: &Path) -> Option<Process> {
    let pid = folder.file_name()?.to_str()?.parse().ok()?;
    let status = std::fs::read_to_string(folder.join("status")).ok()?;
    parse_status(pid, &status)
}

/// A process that has ended but was not reaped holds nothing any more: it is left out.
fn parse_status(pid: u32, status: &str) -> Option<Process> {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    if field("State:")?.starts_with('Z') {
        return None;
    }
    Some(Process { pid, parent: field("PPid:")?.parse().ok()?, name: field("Name:")?.to_owned() })
}

/// Workers that are there now, were not there before, and have no supervisor above them (so another run that happens
/// at the same time is not blamed).
pub(crate) fn left_behind(before: &[Process], now: &[Process]) -> Vec<u32> {
    now.iter()
        .filter(|process| process.name.starts_with(WORKER))
        .filter(|process| !before.iter().any(|earlier| earlier.pid == process.pid))
        .filter(|process| !now.iter().any(|other| other.pid == process.parent && other.name == SUPERVISOR))
        .map(|process| process.pid)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, parent: u32, name: &str) -> Process {
        Process { pid, parent, name: name.to_owned() }
    }

    #[test]
    fn a_new_worker_without_a_supervisor_was_left_behind() {
        let now = [process(1, 0, "init"), process(70, 1, "meetcap-worker-")];
        assert_eq!(left_behind(&[], &now), [70]);
    }

    #[test]
    fn workers_of_another_run_and_older_ones_are_not_blamed() {
        let older = process(60, 1, "meetcap-worker-");
        let now = [older.clone(), process(69, 1, "meetcap-supervi"), process(70, 69, "meetcap-worker-")];
        assert_eq!(left_behind(&[older], &now), []);
    }

    #[test]
    fn the_status_file_is_read_and_the_dead_are_left_out() {
        let status = "Name:\tmeetcap-worker-\nUmask:\t0022\nState:\tS (sleeping)\nPid:\t70\nPPid:\t1\n";
        assert_eq!(parse_status(70, status), Some(process(70, 1, "meetcap-worker-")));
        assert_eq!(parse_status(70, &status.replace("S (sleeping)", "Z (zombie)")), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_very_process_is_seen() {
        assert!(processes().iter().any(|process| process.pid == std::process::id()));
    }
}
