//! Is any worker left? Found in `/proc` by name and by the folder it works in or was started from; where there is
//! no `/proc` nothing is found.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill as send};
use nix::unistd::Pid;

/// Workers, real or scripted, that belong to `room`. One that has ended and waits to be reaped holds nothing and
/// is not counted.
pub fn workers_in(room: &Path) -> Vec<u32> {
    let Ok(room) = room.canonicalize() else { return Vec::new() };
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| worker_in(&entry.path(), &room)).collect()
}

fn worker_in(process: &Path, room: &Path) -> Option<u32> {
    let pid = process.file_name()?.to_str()?.parse().ok()?;
    let stat = std::fs::read_to_string(process.join("stat")).ok()?;
    let (name, rest) = (stat.split_once('(')?.1, stat.rsplit_once(')')?.1);
    let is_worker = name.starts_with("meetcap-worker-") || name.starts_with("fake-worker-");
    if !is_worker || rest.trim_start().starts_with(['Z', 'X']) {
        return None;
    }
    let works_here = std::fs::read_link(process.join("cwd")).is_ok_and(|folder| folder == room);
    let command = std::fs::read(process.join("cmdline")).unwrap_or_default();
    let started_here = command.starts_with(room.as_os_str().as_encoded_bytes());
    (works_here || started_here).then_some(pid)
}

/// Waits until none is left; how long it took.
///
/// # Panics
/// When some are left after `limit`; they are ended.
pub fn await_no_workers_in(room: &Path, limit: Duration) -> Duration {
    let started = Instant::now();
    loop {
        let left = workers_in(room);
        if left.is_empty() {
            return started.elapsed();
        }
        if started.elapsed() > limit {
            kill(&left);
            panic!("workers {left:?} were still there after {limit:?}");
        }
        std::thread::yield_now();
    }
}

/// A figure of `/proc/PID/status` in KiB, such as `RssAnon`; `None` when the process is gone.
pub fn memory_kib(pid: u32, field: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    value.trim().trim_end_matches("kB").trim().parse().ok()
}

/// Whether the process is there and was not reaped yet.
pub fn exists(pid: u32) -> bool {
    send(raw(pid), None).is_ok()
}

/// Sends a signal; false when nobody is there.
pub fn signal(pid: u32, signal: Signal) -> bool {
    send(raw(pid), signal).is_ok()
}

/// Ends them all at once.
pub fn kill(pids: &[u32]) {
    for pid in pids {
        signal(*pid, Signal::SIGKILL);
    }
}

fn raw(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).expect("a process number"))
}
