//! Windows: *private commit*, memory that only this process can use and that the system has promised to back by RAM or
//! a page file. It has to come back when the process ends, wherever its pages are, so it stands for anonymous and
//! swapped memory together. Whatever of the working set is beyond it is taken for pages of files.
//!
//! The machine is bound twice: by its RAM, and by the sum of all promises (the commit limit). An allocation fails when
//! either is used up, so the one with less room counts. Beyond that a job object can bound the memory of all processes
//! in it together, or of each alone. Only the innermost job is told to a process, so limits of jobs around it are not
//! seen.
//!
//! A process number is given away again soon, and the number of a parent that has ended stays with its children: a
//! child counts only when it was started after its parent.
//!
//! Written against Microsoft's documentation of the interface. Not run by us: checked against the declarations of the
//! crate `windows-sys`, and compiled for no Windows.

#![expect(unsafe_code, reason = "calls to the system")]

use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr::null_mut;

use windows_sys::Win32::Foundation::{FILETIME, INVALID_HANDLE_VALUE};
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, PROCESSENTRY32W, Process32FirstW, Process32NextW, TH32CS_SNAPPROCESS,
};
use windows_sys::Win32::System::JobObjects::{
    JOB_OBJECT_LIMIT_JOB_MEMORY, JOB_OBJECT_LIMIT_PROCESS_MEMORY, JOBOBJECT_EXTENDED_LIMIT_INFORMATION,
    JobObjectBasicProcessIdList, JobObjectExtendedLimitInformation, QueryInformationJobObject,
};
use windows_sys::Win32::System::Memory::{
    CreateMemoryResourceNotification, LowMemoryResourceNotification, QueryMemoryResourceNotification,
};
use windows_sys::Win32::System::ProcessStatus::{GetProcessMemoryInfo, PROCESS_MEMORY_COUNTERS_EX};
use windows_sys::Win32::System::SystemInformation::{GlobalMemoryStatusEx, MEMORYSTATUSEX};
use windows_sys::Win32::System::Threading::{
    GetProcessTimes, OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_VM_READ,
};

use super::{Bytes, Limit, LimitOf, MemoryReading, PressureLevel, SystemReading};

/// Processes of a job that are looked at.
const MAX_IN_JOB: usize = 1024;

/// Memory of the machine, and the bounds on a worker of this process.
pub fn read_system() -> SystemReading {
    read_system_of(std::process::id())
}

/// The same with the bounds on another process of the same job.
pub fn read_system_of(pid: u32) -> SystemReading {
    let mut status = MEMORYSTATUSEX::default();
    status.dwLength = size_of_u32(&status);
    // SAFETY: the structure is ours, tells its own size, and outlives the call.
    if unsafe { GlobalMemoryStatusEx(&raw mut status) } == 0 {
        return SystemReading { limits: job_limits(pid), pressure_level: pressure_level(), ..SystemReading::default() };
    }
    let total = Bytes(status.ullTotalPhys);
    let available = Bytes(status.ullAvailPhys).min(Bytes(status.ullAvailPageFile)).min(total);
    let machine = Limit { of: LimitOf::Machine, limit: total, used: total - available };
    let limits = std::iter::once(machine).chain(job_limits(pid)).collect();
    SystemReading { total, available, limits, pressure_level: pressure_level(), ..SystemReading::default() }
}

/// A process and all its descendants, itself first. Lists every process of the machine, which takes milliseconds.
pub(super) fn tree_pids_of(root: u32) -> Vec<u32> {
    let processes = processes();
    let mut pids = vec![root];
    let mut next = 0;
    while let Some(&parent) = pids.get(next) {
        next += 1;
        let children = processes.iter().filter(|(pid, of)| *of == parent && *pid != parent).map(|(pid, _)| *pid);
        let children: Vec<u32> =
            children.filter(|pid| !pids.contains(pid) && start_time(*pid) >= start_time(parent)).collect();
        pids.extend(children);
    }
    pids
}

/// Every process of the machine with its parent's number.
fn processes() -> Vec<(u32, u32)> {
    let mut found = Vec::new();
    // SAFETY: takes no pointer; an invalid handle is checked, any other is ours.
    let snapshot = unsafe {
        let snapshot = CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0);
        if snapshot == INVALID_HANDLE_VALUE {
            return found;
        }
        OwnedHandle::from_raw_handle(snapshot)
    };
    let mut entry = PROCESSENTRY32W::default();
    entry.dwSize = size_of_u32(&entry);
    // SAFETY: the handle is a snapshot of processes and open; the structure is ours, tells its own size, and outlives
    // the call.
    let mut more = unsafe { Process32FirstW(snapshot.as_raw_handle(), &raw mut entry) } != 0;
    while more {
        found.push((entry.th32ProcessID, entry.th32ParentProcessID));
        // SAFETY: as above.
        more = unsafe { Process32NextW(snapshot.as_raw_handle(), &raw mut entry) } != 0;
    }
    found
}

fn open(pid: u32) -> Option<OwnedHandle> {
    // SAFETY: takes no pointer; a null answer is checked, any other is a handle of ours.
    unsafe {
        let process = OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_VM_READ, 0, pid);
        (!process.is_null()).then(|| OwnedHandle::from_raw_handle(process))
    }
}

/// In the system's own unit; `None` when it is gone, which is before everything.
fn start_time(pid: u32) -> Option<u64> {
    let process = open(pid)?;
    let [mut created, mut exited, mut kernel, mut user] = [FILETIME::default(); 4];
    // SAFETY: the handle is open; all four are ours and outlive the call.
    let told = unsafe {
        GetProcessTimes(process.as_raw_handle(), &raw mut created, &raw mut exited, &raw mut kernel, &raw mut user)
    };
    (told != 0).then_some(u64::from(created.dwHighDateTime) << 32 | u64::from(created.dwLowDateTime))
}

/// A process alone. `None` when it is gone or may not be looked at.
pub(super) fn read_process(pid: u32) -> Option<MemoryReading> {
    let process = open(pid)?;
    let mut counters = PROCESS_MEMORY_COUNTERS_EX::default();
    let size = size_of_u32(&counters);
    // SAFETY: the handle is open. The function wants the shorter structure, which this one begins with, and fills in as
    // much as the size says; it is ours and outlives the call.
    let told = unsafe { GetProcessMemoryInfo(process.as_raw_handle(), (&raw mut counters).cast(), size) };
    let bytes = |size: usize| Bytes(u64::try_from(size).unwrap_or(u64::MAX));
    let (private, rss) = (bytes(counters.PrivateUsage), bytes(counters.WorkingSetSize));
    // One that has ended stays open to us as long as somebody holds a handle to it.
    if told == 0 || rss == Bytes(0) {
        return None;
    }
    Some(MemoryReading {
        anonymous: private,
        file_backed: rss - private,
        rss,
        // The address space itself is not told; this much of it is promised.
        vms: private,
        rss_peak: bytes(counters.PeakWorkingSetSize),
        ..MemoryReading::default()
    })
}

/// The same: this system does not tell proportional sets.
pub(super) fn read_process_with_pss(pid: u32) -> Option<MemoryReading> {
    read_process(pid)
}

fn job_limits(pid: u32) -> Vec<Limit> {
    let mut told = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
    let size = size_of_u32(&told);
    // SAFETY: no handle means the job that this process is in; the structure is the one that this class of information
    // wants, of the size that is told; it is ours and outlives the call; the length that was written is not asked for.
    let known = unsafe {
        QueryInformationJobObject(
            null_mut(),
            JobObjectExtendedLimitInformation,
            (&raw mut told).cast(),
            size,
            null_mut(),
        )
    };
    // Not in a job.
    if known == 0 {
        return Vec::new();
    }
    let limit = |size: usize, used| Limit {
        of: LimitOf::JobObject,
        limit: Bytes(u64::try_from(size).unwrap_or(u64::MAX)),
        used,
    };
    let private = |pid: u32| read_process(pid).unwrap_or_default().anonymous;
    let flags = told.BasicLimitInformation.LimitFlags;
    let together = (flags & JOB_OBJECT_LIMIT_JOB_MEMORY != 0)
        .then(|| limit(told.JobMemoryLimit, pids_in_job().into_iter().map(private).sum()));
    // Each process is bound alone: a worker that is yet to be started has used nothing of it.
    let alone = (flags & JOB_OBJECT_LIMIT_PROCESS_MEMORY != 0).then(|| {
        let used = if pid == std::process::id() { Bytes(0) } else { private(pid) };
        limit(told.ProcessMemoryLimit, used)
    });
    together.into_iter().chain(alone).collect()
}

/// `JOBOBJECT_BASIC_PROCESS_ID_LIST` with room for more than one number.
#[repr(C)]
struct PidsInJob {
    assigned: u32,
    listed: u32,
    pids: [usize; MAX_IN_JOB],
}

fn pids_in_job() -> Vec<u32> {
    let mut list = PidsInJob { assigned: 0, listed: 0, pids: [0; MAX_IN_JOB] };
    let size = size_of_u32(&list);
    // SAFETY: no handle means the job that this process is in; the structure is laid out as this class of information
    // wants it, and the size tells how many numbers fit; it is ours and outlives the call. A job with more processes
    // than fit makes the call fail after it has listed what fits.
    unsafe {
        QueryInformationJobObject(null_mut(), JobObjectBasicProcessIdList, (&raw mut list).cast(), size, null_mut());
    }
    let listed = usize::try_from(list.listed).unwrap_or(0).min(MAX_IN_JOB);
    list.pids[..listed].iter().filter_map(|pid| u32::try_from(*pid).ok()).collect()
}

/// Whether the system has signalled that RAM is running low; what it begins to do then, it does to everybody.
fn pressure_level() -> Option<PressureLevel> {
    // SAFETY: takes no pointer; a null answer is checked, any other is a handle of ours.
    let notification = unsafe {
        let notification = CreateMemoryResourceNotification(LowMemoryResourceNotification);
        if notification.is_null() {
            return None;
        }
        OwnedHandle::from_raw_handle(notification)
    };
    let mut low = 0;
    // SAFETY: the handle is open and of the kind that is wanted; the answer is a number of ours.
    let told = unsafe { QueryMemoryResourceNotification(notification.as_raw_handle(), &raw mut low) };
    (told != 0).then_some(if low != 0 { PressureLevel::Critical } else { PressureLevel::Normal })
}

/// Structures tell their size as a number of 32 bits.
fn size_of_u32<T>(structure: &T) -> u32 {
    u32::try_from(size_of_val(structure)).unwrap_or(0)
}
