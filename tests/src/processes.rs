//! Is any worker left? Found in `/proc` by name and by the folder it works in or was started from; where there is
//! no `/proc` nothing is found.

use std::path::Path;

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
