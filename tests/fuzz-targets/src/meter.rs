//! Counts what the thread that asks allocates: every program that links this crate allocates through it.
//!
//! Memory that grows counts as if it were copied each time, the old and the new at once: what the system's allocator
//! does in place, another need not.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    /// Since the thread began; below zero where others' memory was freed here.
    static NOW: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn add(bytes: usize) {
    let now = NOW.get().wrapping_add_unsigned(bytes);
    NOW.set(now);
    PEAK.set(PEAK.get().max(now));
}

fn remove(bytes: usize) {
    NOW.set(NOW.get().wrapping_sub_unsigned(bytes));
}

#[expect(unsafe_code, reason = "an allocator is unsafe to write")]
// SAFETY: every call goes to the system's allocator with what it came with; counting in cells that are made without
// allocation and need no destructor changes nothing about the memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller promises what the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        remove(layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        add(size);
        remove(layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Does something on this thread; gives also the bytes that it held at most, beside what was held before.
pub fn peak<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = NOW.get();
    let outer = PEAK.replace(before);
    let result = work();
    let peak = PEAK.get();
    PEAK.set(outer.max(peak));
    (usize::try_from(peak.wrapping_sub(before)).unwrap_or(0), result)
}

/// Does something that was promised to take no more than `promised` bytes.
///
/// # Panics
/// When it takes more.
pub fn within<T>(promised: usize, what: &str, work: impl FnOnce() -> T) -> T {
    let (peak, result) = peak(work);
    assert!(peak <= promised, "{what} took {peak} bytes, and {promised} were promised");
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_at_once_counts_and_what_was_freed_does_not() {
        let (bytes, ()) = peak(|| {
            drop(vec![1_u8; 3000]);
            drop((vec![0_u8; 1000], vec![1_u8; 1500]));
        });
        assert_eq!(bytes, 3000);
    }

    #[test]
    fn growing_counts_old_and_new() {
        let (bytes, kept) = peak(|| {
            let mut kept: Vec<u8> = Vec::with_capacity(1000);
            kept.reserve_exact(4000);
            kept
        });
        assert_eq!((bytes, kept.capacity()), (5000, 4000));
    }

    #[test]
    fn an_inner_count_leaves_the_outer_one_right() {
        let (outer, (inner, _kept)) = peak(|| {
            let kept = vec![0_u8; 500];
            let (inner, ()) = peak(|| drop(vec![0_u8; 200]));
            (inner, kept)
        });
        assert_eq!((outer, inner), (700, 200));
    }

    #[test]
    #[should_panic(expected = "took 101 bytes, and 100 were promised")]
    fn a_byte_too_many_is_found() {
        within(100, "a vector", || drop(std::hint::black_box(vec![0_u8; 101])));
    }
}
