//! Memory of a process and all its descendants, put together from a reading of each.

use super::MemoryReading;
use super::platform::{read_process, read_process_with_pss, tree_pids_of};

/// Memory of a process and all its descendants, without proportional shares and GPU memory. `None` when the process
/// is gone, or may not be looked at.
pub fn read_tree(pid: u32) -> Option<MemoryReading> {
    sum_of(&tree_pids_of(pid), read_process)
}

/// The same of a tree that is looked at this once, such as another supervisor's: nothing of it is kept open for a next
/// look. On a machine with many supervisors what is kept of theirs would fill up slowly, and would look like a leak.
pub(crate) fn read_strange_tree(pid: u32) -> Option<MemoryReading> {
    let pids = tree_pids_of(pid);
    let reading = sum_of(&pids, read_process);
    #[cfg(target_os = "linux")]
    pids.iter().filter(|pid| **pid != std::process::id()).for_each(|pid| super::platform::forget(*pid));
    reading
}

/// The same with the proportional set, which takes milliseconds for each GiB. It is `None` in the reading where one
/// of the processes does not let us see it, and on other systems than Linux.
pub fn read_tree_with_pss(pid: u32) -> Option<MemoryReading> {
    sum_of(&tree_pids_of(pid), read_process_with_pss)
}

/// Of the first and whichever of the others are still there; `None` when the first is gone.
pub(super) fn sum_of(pids: &[u32], read: impl Fn(u32) -> Option<MemoryReading>) -> Option<MemoryReading> {
    let (root, below) = pids.split_first()?;
    let root = read(*root)?;
    Some(below.iter().filter_map(|pid| read(*pid)).fold(root, |sum, process| sum + process))
}
