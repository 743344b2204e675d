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
pub(super) use other::{read_process, read_process_with_pss, tree_pids_of};
#[cfg(not(any(target_os = "macos", windows)))]
pub use other::{read_system, read_system_of};

#[cfg(not(any(target_os = "macos", windows)))]
mod other {
    use sysinfo::{Pid, Process, ProcessRefreshKind, ProcessesToUpdate, System};

    use super::read_machine_totals;
    use crate::memory::{Bytes, MemoryReading, SystemReading};

    /// A process alone. `None` when it is gone.
    pub(in crate::memory) fn read_process(pid: u32) -> Option<MemoryReading> {
        let pid = Pid::from_u32(pid);
        let system = processes(ProcessesToUpdate::Some(&[pid]))?;
        let process = system.process(pid)?;
        let rss = Bytes(process.memory());
        Some(MemoryReading { anonymous: rss, rss, vms: Bytes(process.virtual_memory()), ..MemoryReading::default() })
    }

    /// The same: proportional sets are not read.
    pub(in crate::memory) fn read_process_with_pss(pid: u32) -> Option<MemoryReading> {
        read_process(pid)
    }

    /// Memory of the machine.
    pub fn read_system() -> SystemReading {
        read_machine_totals()
    }

    /// The same: what bounds one process and not another is not read.
    pub fn read_system_of(_pid: u32) -> SystemReading {
        read_system()
    }

    /// A process and all its descendants, itself first.
    pub(in crate::memory) fn tree_pids_of(pid: u32) -> Vec<u32> {
        let root = Pid::from_u32(pid);
        let Some(system) = processes(ProcessesToUpdate::All) else { return vec![pid] };
        let descends = |process: &&Process| {
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
        let below = system.processes().values().filter(descends).map(|process| process.pid().as_u32());
        std::iter::once(pid).chain(below.filter(|below| *below != pid)).collect()
    }

    fn processes(which: ProcessesToUpdate<'_>) -> Option<System> {
        let mut system = System::new().ok()?;
        system.refresh_processes_specifics(which, true, ProcessRefreshKind::nothing().with_memory());
        Some(system)
    }
}
