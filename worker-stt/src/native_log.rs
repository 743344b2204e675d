//! What whisper.cpp and ggml write. Warnings and errors go on to standard error, which the supervisor reads; the
//! rest, some of which could quote what was spoken, goes nowhere. An error about memory ends the process, see
//! [`crate::memory`].
//!
//! May not panic: it is called from C.

#![expect(unsafe_code, reason = "whisper.cpp calls back")]

use std::ffi::{CStr, c_char, c_void};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use whisper_rs_sys::{
    ggml_log_level, ggml_log_level_GGML_LOG_LEVEL_CONT as CONTINUED, ggml_log_level_GGML_LOG_LEVEL_ERROR as ERROR,
    ggml_log_level_GGML_LOG_LEVEL_WARN as WARN,
};

use crate::memory;

static LAST_SHOWN: AtomicBool = AtomicBool::new(false);

/// Takes over the engine's log.
pub(crate) fn install() {
    // SAFETY: the callback is a function of this program, keeps no pointer, needs no user data and does not
    // unwind.
    unsafe { whisper_rs::set_log_callback(Some(receive), std::ptr::null_mut()) };
}

unsafe extern "C" fn receive(level: ggml_log_level, text: *const c_char, _user_data: *mut c_void) {
    if text.is_null() {
        return;
    }
    let shown = if level == CONTINUED { LAST_SHOWN.load(Ordering::Relaxed) } else { level == WARN || level == ERROR };
    LAST_SHOWN.store(shown, Ordering::Relaxed);
    if !shown {
        return;
    }
    // SAFETY: ggml hands over a string that ends with a NUL and lives until this function returns.
    let text = unsafe { CStr::from_ptr(text) }.to_bytes();
    let _ = std::io::stderr().write_all(text);
    if level != WARN && says_out_of_memory(text) {
        memory::ran_out(&String::from_utf8_lossy(text));
    }
}

fn says_out_of_memory(text: &[u8]) -> bool {
    let text = text.to_ascii_lowercase();
    let has = |words: &[u8]| text.windows(words.len()).any(|window| window == words);
    has(b"failed to alloc") || has(b"insufficient memory") || has(b"out of memory") || has(b"bad_alloc")
}

#[cfg(test)]
mod tests {
    use super::says_out_of_memory;

    #[test]
    fn the_engines_words_for_no_memory_are_known() {
        assert!(says_out_of_memory(b"ggml_aligned_malloc: insufficient memory (attempted to allocate 12.00 MB)\n"));
        assert!(says_out_of_memory(b"ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 9"));
        assert!(says_out_of_memory(b"ggml_gallocr_reserve_n: failed to allocate CPU buffer"));
        assert!(!says_out_of_memory(b"whisper_full_with_state: failed to encode\n"));
    }
}
