//! Linux: `/proc/<pid>/status`, which costs microseconds, for a process and all its descendants.

use procfs::process::Process;

use super::{Bytes, MemoryReading};

/// `None` when the process is gone.
pub(crate) fn read_tree(pid: u32) -> Option<MemoryReading> {
    let process = Process::new(i32::try_from(pid).ok()?).ok()?;
    let root = read_one(&process)?;
    Some(children(&process).filter_map(read_tree).fold(root, |sum, child| sum + child))
}

fn read_one(process: &Process) -> Option<MemoryReading> {
    let status = process.status().ok()?;
    let kib = |field: Option<u64>| Bytes::kib(field.unwrap_or(0));
    // A zombie has no memory and none of these fields.
    status.vmrss?;
    Some(MemoryReading {
        anonymous: kib(status.rssanon),
        file_backed: kib(status.rssfile) + kib(status.rssshmem),
        swapped: kib(status.vmswap),
        rss: kib(status.vmrss),
        vms: kib(status.vmsize),
        rss_peak: kib(status.vmhwm),
        ..MemoryReading::default()
    })
}

fn children(process: &Process) -> impl Iterator<Item = u32> {
    let tasks = process.tasks().into_iter().flatten().flatten();
    tasks.flat_map(|task| task.children().unwrap_or_default())
}
