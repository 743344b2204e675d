//! llama.cpp's log: on to standard error, where the supervisor keeps the tail, and its errors kept aside,
//! because a failed load returns a null pointer and says why in the log alone.
//!
//! llama.cpp logs sizes, names and metadata, never the text it is given. Nothing here may add any.

#![expect(unsafe_code, reason = "llama.cpp calls back")]

use std::ffi::{CStr, c_char, c_void};
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use llama_cpp_sys_2 as sys;

/// The errors since [`start`], cut to [`KEPT`] bytes.
static ERRORS: Mutex<String> = Mutex::new(String::new());
const KEPT: usize = 600;

/// Routes the log through here. May be called again.
pub(crate) fn install() {
    // SAFETY: the callback is a plain function that lives as long as the process and ignores its user data.
    unsafe { sys::llama_log_set(Some(record), std::ptr::null_mut()) };
}

/// Forgets earlier errors.
pub(crate) fn start() {
    ERRORS.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

/// What was complained about since [`start`], on one line.
pub(crate) fn errors() -> String {
    ERRORS.lock().unwrap_or_else(PoisonError::into_inner).trim().replace('\n', "; ")
}

/// Whether the complaint is about memory. llama.cpp has no code for it.
pub(crate) fn is_about_memory(errors: &str) -> bool {
    let errors = errors.to_ascii_lowercase();
    ["alloc", "out of memory", "insufficient memory", "not enough memory"].iter().any(|sign| errors.contains(sign))
}

/// Called from any thread of llama.cpp; must not unwind, so nothing in it may panic (a closed standard error
/// is no reason to).
unsafe extern "C" fn record(level: sys::ggml_log_level, text: *const c_char, _: *mut c_void) {
    if text.is_null() || level == sys::GGML_LOG_LEVEL_DEBUG {
        return;
    }
    // SAFETY: llama.cpp hands a NUL-terminated string that lives until this call returns; null is ruled out.
    let text = unsafe { CStr::from_ptr(text) };
    let _ = std::io::stderr().write_all(text.to_bytes());
    if level == sys::GGML_LOG_LEVEL_ERROR {
        let mut errors = ERRORS.lock().unwrap_or_else(PoisonError::into_inner);
        if errors.len() < KEPT {
            errors.extend(text.to_string_lossy().chars().take(KEPT));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_about_memory_are_told_from_others() {
        assert!(is_about_memory("unable to allocate CPU buffer"));
        assert!(is_about_memory("cudaMalloc failed: out of memory"));
        assert!(is_about_memory("std::bad_alloc"));
        assert!(!is_about_memory("tensor 'output.weight' data is not within the file bounds"));
    }
}
