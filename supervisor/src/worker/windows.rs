//! Windows: the process alone, through its handle. Written, not run: a job object, which would take the
//! worker's own children along, is still missing, and README says so.

use std::os::windows::io::{AsHandle, OwnedHandle};
use std::os::windows::process::CommandExt;
use std::process::{Child, Command};

/// A group of its own: Ctrl-C in the console is for the supervisor.
const CREATE_NEW_PROCESS_GROUP: u32 = 0x0000_0200;

pub(super) fn isolate(command: &mut Command) {
    command.creation_flags(CREATE_NEW_PROCESS_GROUP);
}

/// The process, by a handle of our own.
#[derive(Debug)]
pub(super) struct Group(Option<OwnedHandle>);

impl Group {
    pub(super) fn of(child: &Child) -> Self {
        Self(child.as_handle().try_clone_to_owned().ok())
    }

    pub(super) fn kill(&self) {
        use std::os::windows::io::AsRawHandle;
        unsafe extern "system" {
            fn TerminateProcess(process: *mut std::ffi::c_void, exit_code: u32) -> i32;
        }
        if let Some(handle) = &self.0 {
            // SAFETY: the handle is owned and open; the call touches no memory of ours.
            unsafe {
                TerminateProcess(handle.as_raw_handle(), 1);
            }
        }
    }

    pub(super) fn kill_leftovers(&self) {}
}

/// A handle keeps the process's number taken on Windows; waiting and reaping are one.
pub(super) fn wait_without_reaping(_child: &Child) {}
