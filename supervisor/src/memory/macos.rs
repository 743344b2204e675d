//! macOS: the *physical footprint*, which is what the system itself charges a process with.
//!
//! The resident set says little there: compressed pages are not in it, and memory shared with the graphics processor
//! is in part. The footprint has both, and no clean pages of files, so it stands for anonymous and swapped memory
//! together. Whatever of the resident set is beyond it is taken for pages of files; the mark of the highest resident
//! set is put together in the same way, from the footprint's own mark.
//!
//! Limits: only the machine. Pressure is told as a level, by the same sysctl that the system's own tools read.
//!
//! Written against Apple's headers (`libproc.h`, `sys/resource.h`) and documentation. Not run by us: checked
//! against the declarations of the crate `libc`, and compiled for no Mac.

#![expect(unsafe_code, reason = "calls to the system")]

use std::ffi::c_int;

use super::portable::read_machine_totals;
use super::{Bytes, MemoryReading, PressureLevel, SystemReading};

/// Children of one process that are looked at, and processes of one tree.
const MAX_CHILDREN: usize = 256;
const MAX_PROCESSES: usize = 4096;

/// Memory of the machine.
pub fn read_system() -> SystemReading {
    SystemReading { pressure_level: pressure_level(), ..read_machine_totals() }
}

/// The same: nothing bounds one process and not another.
pub fn read_system_of(_pid: u32) -> SystemReading {
    read_system()
}

/// A process and all its descendants, itself first.
pub(super) fn tree_pids_of(root: u32) -> Vec<u32> {
    let mut pids = vec![root];
    let mut next = 0;
    while let Some(&pid) = pids.get(next).filter(|_| pids.len() < MAX_PROCESSES) {
        next += 1;
        pids.extend(children(pid));
    }
    pids
}

fn children(pid: u32) -> Vec<u32> {
    let mut buffer: [c_int; MAX_CHILDREN] = [0; MAX_CHILDREN];
    let (Ok(pid), Ok(size)) = (c_int::try_from(pid), c_int::try_from(size_of_val(&buffer))) else { return Vec::new() };
    // SAFETY: the buffer is ours, of the size that is told in bytes, and outlives the call.
    unsafe { libc::proc_listchildpids(pid, buffer.as_mut_ptr().cast(), size) };
    // What was not filled in is still zero, which is nobody's child.
    buffer.into_iter().filter_map(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0).collect()
}

/// A process alone. `None` when it is gone or is another user's.
pub(super) fn read_process(pid: u32) -> Option<MemoryReading> {
    let pid = c_int::try_from(pid).ok()?;
    // SAFETY: a structure of numbers, for which zeros are a value.
    let mut usage: libc::rusage_info_v4 = unsafe { std::mem::zeroed() };
    // SAFETY: the flavour names the structure that the pointer is to; it is ours and outlives the call.
    let told = unsafe { libc::proc_pid_rusage(pid, libc::RUSAGE_INFO_V4, (&raw mut usage).cast()) };
    if told != 0 {
        return None;
    }
    let (footprint, rss) = (Bytes(usage.ri_phys_footprint), Bytes(usage.ri_resident_size));
    // A zombie.
    if footprint == Bytes(0) && rss == Bytes(0) {
        return None;
    }
    let file_backed = rss - footprint;
    Some(MemoryReading {
        anonymous: footprint,
        file_backed,
        rss,
        vms: virtual_size(pid),
        rss_peak: Bytes(usage.ri_lifetime_max_phys_footprint) + file_backed,
        ..MemoryReading::default()
    })
}

/// The same: this system does not tell proportional sets.
pub(super) fn read_process_with_pss(pid: u32) -> Option<MemoryReading> {
    read_process(pid)
}

/// Nothing where it is not told.
fn virtual_size(pid: c_int) -> Bytes {
    // SAFETY: a structure of numbers, for which zeros are a value.
    let mut info: libc::proc_taskinfo = unsafe { std::mem::zeroed() };
    let Ok(size) = c_int::try_from(size_of_val(&info)) else { return Bytes(0) };
    // SAFETY: the flavour names the structure that the pointer is to, of the size that is told; it is ours and outlives
    // the call.
    unsafe { libc::proc_pidinfo(pid, libc::PROC_PIDTASKINFO, 0, (&raw mut info).cast(), size) };
    Bytes(info.pti_virtual_size)
}

/// The levels of `dispatch/source.h`: 1 normal, 2 warning, 4 critical.
fn pressure_level() -> Option<PressureLevel> {
    let mut level: c_int = 0;
    let mut size = size_of_val(&level);
    // SAFETY: the name ends with a zero; the value is a number of ours, of the size that is told; nothing is set.
    let told = unsafe {
        libc::sysctlbyname(
            c"kern.memorystatus_vm_pressure_level".as_ptr(),
            (&raw mut level).cast(),
            &raw mut size,
            std::ptr::null_mut(),
            0,
        )
    };
    match level {
        1 if told == 0 => Some(PressureLevel::Normal),
        2 if told == 0 => Some(PressureLevel::Warning),
        4 if told == 0 => Some(PressureLevel::Critical),
        _ => None,
    }
}
