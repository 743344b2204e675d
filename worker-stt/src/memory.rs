//! What becomes of whisper.cpp when memory runs out. It looks at few of its allocations: some failures crash it,
//! some abort it, and C++ exceptions end in Rust frames that cannot let them through. So the first failure is the
//! end, with a fault that tells why.
//!
//! ```text
//!  operator new fails ───────► handler ──┐
//!  ggml complains in its log ► ran_out ──┴─► last words ─► _exit
//! ```
//!
//! Where the system promises memory that it does not have, neither happens: the kernel kills the worker.

#![cfg_attr(unix, expect(unsafe_code, reason = "C++ is told what to do when memory runs out"))]

use meetcap_protocol::runtime::last_words;
use meetcap_protocol::{FaultKind, WorkerFault};

/// Takes care of C++'s own allocations.
pub(crate) fn install() {
    #[cfg(unix)]
    {
        // SAFETY: sets a pointer to a function that lives as long as the process and does not return to C++.
        unsafe { set_new_handler(Some(new_failed)) };
    }
}

#[cfg(unix)]
unsafe extern "C" {
    /// `std::set_new_handler`, by the name that every C++ library with the common ABI gives it.
    #[link_name = "_ZSt15set_new_handlerPFvvE"]
    fn set_new_handler(handler: Option<extern "C" fn()>) -> Option<extern "C" fn()>;
}

#[cfg(unix)]
extern "C" fn new_failed() {
    ran_out("operator new failed");
}

/// Ends the process; `complaint` is the engine's, which names sizes and buffers.
pub(crate) fn ran_out(complaint: &str) -> ! {
    last_words(|| fault(complaint.trim()))
}

pub(crate) fn fault(why: &str) -> WorkerFault {
    let detail = format!("no memory for whisper.cpp ({why}); close other programs or choose a smaller model");
    WorkerFault::new(FaultKind::AllocationFailed, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn the_handler_is_the_one_that_failed_allocations_call() {
        install();
        // SAFETY: as in `install`; the handler found is put back.
        let found = unsafe { set_new_handler(Some(new_failed)) };
        assert!(found.is_some_and(|found| std::ptr::fn_addr_eq(found, new_failed as extern "C" fn())));
    }

    #[test]
    fn the_fault_names_the_size_and_the_remedy() {
        let fault = fault("ggml_aligned_malloc: insufficient memory (attempted to allocate  78.91 MB)");
        assert_eq!(fault.kind, FaultKind::AllocationFailed);
        assert!(fault.detail.contains("78.91 MB") && fault.detail.contains("smaller model"), "{}", fault.detail);
    }
}
