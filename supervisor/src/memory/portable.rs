//! What sysinfo tells on every platform: the machine's totals, and on other systems than Linux the resident
//! set of a process tree. Those systems' own figures (`phys_footprint`, private commit) are not read yet, so
//! there the resident set stands in for anonymous memory; README says so.

use sysinfo::{MemoryRefreshKind, RefreshKind, System};

use super::{Bytes, Limit, LimitOf, SystemReading};

/// Memory of the machine now; zeros where the system does not tell.
pub(crate) fn read_system() -> SystemReading {
    let what = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let Ok(system) = System::new_with_specifics(what) else { return SystemReading::default() };
    let (total, available) = (Bytes(system.total_memory()), Bytes(system.available_memory()));
    let machine = Limit { of: LimitOf::Machine, limit: total, used: total - available };
    SystemReading { total, available, limits: vec![machine], ..SystemReading::default() }
}

/// `None` when the process is gone.
#[cfg(not(target_os = "linux"))]
pub(crate) fn read_tree(pid: u32) -> Option<super::MemoryReading> {
    use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate};
    let mut system = System::new().ok()?;
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, ProcessRefreshKind::nothing().with_memory());
    let root = Pid::from_u32(pid);
    let descends = |process: &sysinfo::Process| {
        let mut ancestor = Some(process.pid());
        // The table is a snapshot: a recycled number could close a circle, so the walk is bounded.
        for _ in 0..64 {
            match ancestor {
                Some(pid) if pid == root => return true,
                Some(pid) => ancestor = system.process(pid).and_then(sysinfo::Process::parent),
                None => return false,
            }
        }
        false
    };
    system.process(root)?;
    let processes = system.processes().values().filter(|process| descends(process));
    Some(processes.fold(super::MemoryReading::default(), |sum, process| {
        let rss = Bytes(process.memory());
        sum + super::MemoryReading { anonymous: rss, rss, vms: Bytes(process.virtual_memory()), ..Default::default() }
    }))
}
