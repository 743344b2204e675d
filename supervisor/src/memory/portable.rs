//! What sysinfo tells on every platform: the machine's totals. Where a system is none of those that are read by their
//! own interface, also the resident set of a process tree; it stands in for anonymous memory there.

use sysinfo::{MemoryRefreshKind, RefreshKind, System};

use super::{Bytes, Limit, LimitOf, SystemReading};

/// Memory of the machine now; nothing where the system does not tell.
pub(super) fn read_machine_totals() -> SystemReading {
    let what = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let Ok(system) = System::new_with_specifics(what) else { return SystemReading::default() };
    let total = Bytes(system.total_memory());
    let available = Bytes(system.available_memory()).min(total);
    let machine = (total > Bytes(0)).then(|| Limit { of: LimitOf::Machine, limit: total, used: total - available });
    SystemReading { total, available, limits: machine.into_iter().collect(), ..SystemReading::default() }
}

#[cfg(not(any(target_os = "macos", windows)))]
pub(super) use other::{read_process, tree_pids_of};
#[cfg(not(any(target_os = "macos", windows)))]
pub use other::{read_system, read_system_of, read_tree, read_tree_with_pss};

#[cfg(not(any(target_os = "macos", windows)))]
mod other {
    use sysinfo::{Pid, Process, ProcessRefreshKind, ProcessesToUpdate, System};

    use super::read_machine_totals;
    use crate::memory::{Bytes, MemoryReading, SystemReading};

    /// Memory of a process and all its descendants. `None` when the process is gone.
    pub fn read_tree(pid: u32) -> Option<MemoryReading> {
        let system = processes()?;
        system.process(Pid::from_u32(pid))?;
        Some(tree(&system, pid).map(reading).fold(MemoryReading::default(), |sum, process| sum + process))
    }

    pub(in crate::memory) fn read_process(pid: u32) -> Option<MemoryReading> {
        processes()?.process(Pid::from_u32(pid)).map(reading)
    }

    fn reading(process: &Process) -> MemoryReading {
        let rss = Bytes(process.memory());
        MemoryReading { anonymous: rss, rss, vms: Bytes(process.virtual_memory()), ..MemoryReading::default() }
    }

    /// The same: proportional sets are not read.
    pub fn read_tree_with_pss(pid: u32) -> Option<MemoryReading> {
        read_tree(pid)
    }

    /// Memory of the machine.
    pub fn read_system() -> SystemReading {
        read_machine_totals()
    }

    /// The same: what bounds one process and not another is not read.
    pub fn read_system_of(_pid: u32) -> SystemReading {
        read_system()
    }

    pub(in crate::memory) fn tree_pids_of(pid: u32) -> Vec<u32> {
        processes().map(|system| tree(&system, pid).map(|process| process.pid().as_u32()).collect()).unwrap_or_default()
    }

    fn processes() -> Option<System> {
        let mut system = System::new().ok()?;
        system.refresh_processes_specifics(ProcessesToUpdate::All, true, ProcessRefreshKind::nothing().with_memory());
        Some(system)
    }

    fn tree(system: &System, pid: u32) -> impl Iterator<Item = &Process> {
        let root = Pid::from_u32(pid);
        let descends = move |process: &&Process| {
            let mut ancestor = Some(process.pid());
            // The table is a snapshot: a recycled number could close a circle, so the walk is bounded.
            for _ in 0..64 {
                match ancestor {
                    Some(pid) if pid == root => return true,
                    Some(pid) => ancestor = system.process(pid).and_then(Process::parent),
                    None => return false,
                }
            }
            false
        };
        system.processes().values().filter(descends)
    }
}
