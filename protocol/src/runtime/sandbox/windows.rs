//! Windows: a worker gives up what it can give up itself. It starts no process, makes no memory executable, loads no
//! library from elsewhere, and falls to the low integrity level, at which it can write to nothing of the user's. That it
//! is alone in its job is the supervisor's doing (`supervisor/src/worker/windows.rs`). Reading files and reaching the
//! network would take an application container, which has to be made by whoever starts the process; so this is never
//! full. Written against the interface's documentation and checked to compile; not run by us.

#![expect(unsafe_code, reason = "calls to the system")]

use std::ffi::c_void;

use windows_sys::Win32::Foundation::{CloseHandle, HANDLE};
use windows_sys::Win32::Security::{
    CreateWellKnownSid, SECURITY_MAX_SID_SIZE, SID_AND_ATTRIBUTES, SetTokenInformation, TOKEN_ADJUST_DEFAULT,
    TOKEN_MANDATORY_LABEL, TOKEN_QUERY, TokenIntegrityLevel, WinLowLabelSid,
};
use windows_sys::Win32::System::SystemServices::SE_GROUP_INTEGRITY;
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, OpenProcessToken, PROCESS_MITIGATION_POLICY, ProcessChildProcessPolicy,
    ProcessDynamicCodePolicy, ProcessExtensionPointDisablePolicy, ProcessImageLoadPolicy, SetProcessMitigationPolicy,
};

use super::Computes;
use crate::message::SandboxStatus;

pub(super) fn enter(computes: Computes) -> SandboxStatus {
    // The lowest bit of each is the policy itself; of images, the next one is those of low integrity.
    let mut policies = vec![
        ("start processes", ProcessChildProcessPolicy, 1),
        ("be extended from outside", ProcessExtensionPointDisablePolicy, 1),
        ("load libraries from elsewhere", ProcessImageLoadPolicy, 3),
    ];
    if computes == Computes::OnCpu {
        policies.push(("run what it has written", ProcessDynamicCodePolicy, 1));
    }
    let open = policies.into_iter().filter(|(_, policy, flags)| !set(*policy, *flags)).map(|(what, ..)| what);
    let writes = (!fall_to_low_integrity()).then_some("write files");
    let never = ["read files of others", "reach the network"];
    let can: Vec<&str> = never.into_iter().chain(writes).chain(open).collect();
    SandboxStatus::Partial { why: format!("a worker could still {}", can.join(", ")) }
}

fn set(policy: PROCESS_MITIGATION_POLICY, flags: u32) -> bool {
    // SAFETY: each of these policies is a structure of one number of 32 bits, which lives through the call.
    unsafe { SetProcessMitigationPolicy(policy, (&raw const flags).cast::<c_void>(), size_of::<u32>()) != 0 }
}

fn fall_to_low_integrity() -> bool {
    let mut sid = [0_u8; SECURITY_MAX_SID_SIZE as usize];
    let mut size = SECURITY_MAX_SID_SIZE;
    let mut token: HANDLE = std::ptr::null_mut();
    // SAFETY: the buffer is as large as is told and as any SID can be; the token is opened for the process itself and
    // closed once; the label points into the buffer, which lives through the call.
    unsafe {
        if CreateWellKnownSid(WinLowLabelSid, std::ptr::null_mut(), sid.as_mut_ptr().cast(), &raw mut size) == 0
            || OpenProcessToken(GetCurrentProcess(), TOKEN_ADJUST_DEFAULT | TOKEN_QUERY, &raw mut token) == 0
        {
            return false;
        }
        let attributes = SE_GROUP_INTEGRITY.cast_unsigned();
        let label = TOKEN_MANDATORY_LABEL {
            Label: SID_AND_ATTRIBUTES { Sid: sid.as_mut_ptr().cast(), Attributes: attributes },
        };
        let length = u32::try_from(size_of::<TOKEN_MANDATORY_LABEL>()).unwrap_or(0) + size;
        let set = SetTokenInformation(token, TokenIntegrityLevel, (&raw const label).cast(), length);
        CloseHandle(token);
        set != 0
    }
}
