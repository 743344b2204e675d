//! How a worker stands to the machine's memory: the first to be taken when there is none left, and quick to give
//! back what it has freed, but for the time of a load. Nothing here can fail in a way that matters: a
//! system that does not offer it, or does not allow it, leaves the worker as it was.

#![cfg_attr(all(target_os = "linux", target_env = "gnu"), expect(unsafe_code, reason = "the allocator is set in C"))]

/// What a worker has on top of its own badness when the kernel looks for a victim, out of 1000. It makes up for a
/// host application of up to 30 % of memory more, without standing out among what is no part of this program.
#[cfg(any(target_os = "linux", test))]
const OOM_SCORE: i32 = 300;

/// For the first lines of `main`.
pub(super) fn prepare() {
    be_taken_first();
    give_back_at_once();
}

/// A worker is worth less than the application it works for: its loss costs a window, and is started again.
fn be_taken_first() {
    #[cfg(target_os = "linux")]
    {
        const FILE: &str = "/proc/self/oom_score_adj";
        if let Some(score) = std::fs::read_to_string(FILE).ok().and_then(|current| raised(&current)) {
            // Anybody may raise a score. If this fails there is nothing to do about it and nobody to tell.
            let _ = std::fs::write(FILE, score.to_string());
        }
    }
}

/// The score to set in place of `current`; `None` if that is high enough, or nothing that can be understood.
#[cfg(any(target_os = "linux", test))]
fn raised(current: &str) -> Option<i32> {
    let current: i32 = current.trim().parse().ok()?;
    (current < OOM_SCORE).then_some(OOM_SCORE)
}

/// Reads weights. llama.cpp takes and frees a block for every tensor that it lays out anew: as mappings of their own,
/// each touched for the first time, those cost a third of the whole load. So blocks come from the heap meanwhile, and
/// what is free of it is given back before anything else is allocated.
pub fn while_reading_weights<T>(read: impl FnOnce() -> T) -> T {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        /// The most that glibc allows.
        const MAPPED_FROM: libc::c_int = 32 << 20;
        const KEPT_ON_TOP: libc::c_int = 64 << 20;
        set_thresholds(MAPPED_FROM, KEPT_ON_TOP);
        let weights = read();
        give_back_at_once();
        // SAFETY: gives back free pages; takes the allocator's own locks.
        unsafe { libc::malloc_trim(0) };
        weights
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    read()
}

/// glibc learns from the first large block that is freed to take such blocks from the heap, where they stay, and
/// where the next ones do not quite fit: whisper.cpp's later windows peaked 8 to 50 % above the first. Fixed
/// thresholds keep every large block a mapping of its own. They are above what the engines allocate for every
/// token, for which a mapping would be slow.
fn give_back_at_once() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const MAPPED_FROM: libc::c_int = 512 << 10;
        const KEPT_ON_TOP: libc::c_int = 4 << 20;
        set_thresholds(MAPPED_FROM, KEPT_ON_TOP);
    }
}

/// In bytes: from where on a block is a mapping of its own, and how much may stay free at the top of the heap.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn set_thresholds(mapped_from: libc::c_int, kept_on_top: libc::c_int) {
    // SAFETY: sets two numbers of the allocator, which takes its own lock for it.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, mapped_from);
        libc::mallopt(libc::M_TRIM_THRESHOLD, kept_on_top);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_raised_and_never_lowered() {
        assert_eq!(raised("0\n"), Some(OOM_SCORE));
        assert_eq!(raised("-1000\n"), Some(OOM_SCORE));
        assert_eq!(raised("299"), Some(OOM_SCORE));
        for enough in ["300\n", "301\n", "1000\n"] {
            assert_eq!(raised(enough), None, "{enough:?}");
        }
    }

    #[test]
    fn what_is_no_score_is_left_alone() {
        for nothing in ["", "\n", "high", "1e3", "99999999999999999999"] {
            assert_eq!(raised(nothing), None, "{nothing:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_kernel_takes_it() {
        prepare();
        let score = std::fs::read_to_string("/proc/self/oom_score_adj").expect("Linux has it");
        assert_eq!(raised(&score), None, "it is {score}");
    }
}
