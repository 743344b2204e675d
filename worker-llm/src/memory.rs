//! What becomes of llama.cpp when memory runs out. Most of its allocations are looked at and come back as a null with
//! a word in the log. The rest throw, where Rust cannot catch, or abort: those end the process with a fault that
//! tells why.
//!
//! ```text
//!  operator new fails ────────────────────────► handler ──┐
//!  ggml aborts, and has complained about memory ► aborts ─┴─► last words ─► _exit
//! ```
//!
//! Where the system promises memory that it does not have, neither happens: the kernel kills the worker.

#![cfg_attr(unix, expect(unsafe_code, reason = "C++ is told what to do when memory runs out"))]

use std::ffi::{CStr, c_char};
use std::io::Write;

use llama_cpp_sys_2 as sys;
use meetcap_protocol::runtime::last_words;
use meetcap_protocol::{FaultKind, WorkerFault};

use crate::log;

/// Takes care of both. May be called again.
pub(crate) fn install() {
    #[cfg(unix)]
    // SAFETY: sets a pointer to a function that lives as long as the process and does not return to C++.
    unsafe {
        set_new_handler(Some(new_failed))
    };
    // SAFETY: as above; this one returns, and ggml goes on to abort.
    unsafe { sys::ggml_set_abort_callback(Some(aborts)) };
}

#[cfg(unix)]
unsafe extern "C" {
    /// `std::set_new_handler`, by the name that every C++ library with the common ABI gives it.
    #[link_name = "_ZSt15set_new_handlerPFvvE"]
    fn set_new_handler(handler: Option<extern "C" fn()>) -> Option<extern "C" fn()>;
}

#[cfg(unix)]
extern "C" fn new_failed() {
    last_words(|| fault("operator new failed"))
}

/// With this in place ggml leaves it to us to print what it aborts for.
unsafe extern "C" fn aborts(message: *const c_char) {
    if !message.is_null() {
        // SAFETY: ggml hands a NUL-terminated string that lives until this call returns; null is ruled out.
        let message = unsafe { CStr::from_ptr(message) };
        let _ = std::io::stderr().write_all(message.to_bytes()).and_then(|()| std::io::stderr().write_all(b"\n"));
    }
    let errors = log::errors();
    if log::is_about_memory(&errors) {
        last_words(|| fault(&errors));
    }
}

fn fault(why: &str) -> WorkerFault {
    let detail = format!("no memory for llama.cpp ({why}); close other programs or use a smaller model or context");
    WorkerFault::new(FaultKind::AllocationFailed, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn the_handler_is_the_one_that_failed_allocations_call() {
        install();
        // SAFETY: as in `install`; the handler found is the one put back.
        let found = unsafe { set_new_handler(Some(new_failed)) };
        assert!(found.is_some_and(|found| std::ptr::fn_addr_eq(found, new_failed as extern "C" fn())));
    }

    #[test]
    fn the_fault_names_the_reason_and_the_remedy() {
        let fault = fault("ggml_aligned_malloc: insufficient memory (attempted to allocate  19.73 MB)");
        assert_eq!(fault.kind, FaultKind::AllocationFailed);
        assert!(fault.detail.contains("19.73 MB") && fault.detail.contains("context"), "{}", fault.detail);
    }
}
