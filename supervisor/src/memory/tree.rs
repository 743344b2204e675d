//! Memory of a process and all its descendants, put together from a reading of each.

use super::MemoryReading;
use super::platform::{read_process, read_process_with_pss, tree_pids_of};

/// Memory of a process and all its descendants, without proportional shares and GPU memory. `None` when the process
/// is gone, or may not be looked at.
pub fn read_tree(pid: u32) -> Option<MemoryReading> {
    sum_of(&tree_pids_of(pid), read_process)
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
