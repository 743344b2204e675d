//! Job objects on Windows: the counterpart of a process group and of a parent-death signal in one. The job ends
//! all its processes when its last handle is closed, so also when the supervisor is killed. Written against the
//! interface's documentation; not run by us.
//!
//! The worker is put into the job right after it was started. What it started before that would not be in the
//! job; a worker waits for its endpoint first and starts nothing.

#![expect(unsafe_code, reason = "calls to the system")]

use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::os::windows::process::CommandExt;
use std::process::{Child, Command};

use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation, SetInformationJobObject,
    TerminateJobObject,
};
use windows_sys::Win32::System::Threading::CREATE_NEW_PROCESS_GROUP;

/// A group of its own: Ctrl-C in the console is for the supervisor, which then ends its workers in order.
pub(super) fn isolate(command: &mut Command) {
    command.creation_flags(CREATE_NEW_PROCESS_GROUP);
}

/// A job that holds one worker and whatever it starts. Without a job (the system refused) nothing can be killed
/// by it; the worker then ends when its socket does.
#[derive(Debug)]
pub(super) struct Group(Option<OwnedHandle>);

impl Group {
    pub(super) fn of(child: &Child) -> Self {
        Self(job().filter(|job| {
            // SAFETY: both handles are open and owned, one here and one by `child`; the call keeps neither.
            unsafe { AssignProcessToJobObject(job.as_raw_handle(), child.as_raw_handle()) != 0 }
        }))
    }

    pub(super) fn kill(&self) {
        if let Some(job) = &self.0 {
            // SAFETY: the handle is open and owned here. Fails only when nobody is left.
            unsafe { TerminateJobObject(job.as_raw_handle(), 1) };
        }
    }

    pub(super) fn kill_leftovers(&self) {
        self.kill();
    }
}

fn job() -> Option<OwnedHandle> {
    // SAFETY: no attributes and no name are asked for; a null answer is checked, any other is a handle of ours.
    let job = unsafe {
        let job = CreateJobObjectW(std::ptr::null(), std::ptr::null());
        if job.is_null() {
            return None;
        }
        OwnedHandle::from_raw_handle(job)
    };
    let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
    limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
    let size = u32::try_from(size_of_val(&limits)).ok()?;
    // SAFETY: `limits` is the structure that this class of information wants, of the size that is told.
    let set = unsafe {
        SetInformationJobObject(
            job.as_raw_handle(),
            JobObjectExtendedLimitInformation,
            (&raw const limits).cast(),
            size,
        )
    };
    (set != 0).then_some(job)
}

/// A handle keeps the process's number taken on Windows; waiting and reaping are one.
pub(super) fn wait_without_reaping(_child: &Child) {}

/// Reaps a child that has ended.
pub(super) fn reap(child: &mut Child) -> super::process::Ended {
    super::process::Ended { status: child.wait().ok(), ..super::process::Ended::default() }
}
