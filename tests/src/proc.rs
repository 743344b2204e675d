//! Processes as `/proc` shows them.

use std::path::Path;

/// Whether the process is there and has not ended.
pub fn is_alive(pid: u32) -> bool {
    state_and_parent(pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

fn state_and_parent(pid: u32) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut words = stat.rsplit_once(')')?.1.split_whitespace();
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}

fn all() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Children of this process that have ended and were not reaped.
pub fn zombies() -> usize {
    let this = std::process::id();
    all().filter_map(state_and_parent).filter(|(state, parent)| *state == 'Z' && *parent == this).count()
}

/// Whether `parent` has a child now, whatever it is called.
pub fn has_child(parent: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let mut lists = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists.any(|list| !list.trim().is_empty())
}

/// Living processes that work in `folder`. One that has ended has no folder.
///
/// # Panics
/// When there is no such folder.
pub fn working_in(folder: &Path) -> Vec<u32> {
    let folder = folder.canonicalize().expect("a folder that is there");
    let works_there = |pid: &u32| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == folder);
    all().filter(works_there).collect()
}

/// A number from a process's status, such as `RssAnon:`; `None` once it has ended.
pub fn status(pid: u32, field: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let rest = status.lines().find_map(|line| line.strip_prefix(field))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Bytes that a process (`self` is this one) has had read from disks so far; none where the kernel does not count them.
pub fn read_from_disk(process: &str) -> u64 {
    let io = std::fs::read_to_string(format!("/proc/{process}/io")).unwrap_or_default();
    io.lines().find_map(|line| line.strip_prefix("read_bytes: ")?.parse().ok()).unwrap_or_default()
}

/// Open descriptors of this process, the one that looks included.
pub fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// Time that all threads of a process have had on a processor; `None` once it has ended, or where the kernel does not
/// count it.
pub fn cpu_time(pid: u32) -> Option<std::time::Duration> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    let nanoseconds = |thread: std::fs::DirEntry| {
        std::fs::read_to_string(thread.path().join("schedstat")).ok()?.split_whitespace().next()?.parse().ok()
    };
    let times: Vec<u64> = threads.filter_map(nanoseconds).collect();
    (!times.is_empty()).then(|| std::time::Duration::from_nanos(times.iter().sum()))
}
