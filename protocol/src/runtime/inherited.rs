//! What a worker inherits. A host program may have files open that it did not mark as its own alone; a worker
//! has no business with them, and a copy of a pipe's end would keep it open behind everybody's back.

#![cfg_attr(unix, expect(unsafe_code, reason = "descriptors are closed by their numbers"))]

/// Closes every descriptor but the three standard ones. For the first lines of `main`, when nothing else is open.
pub(super) fn close() {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: nothing in this process owns a descriptor above 2 yet; closing one that is not open is no error.
        let closed = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
        if closed == 0 {
            return;
        }
    }
    #[cfg(unix)]
    {
        let open: Vec<i32> = std::fs::read_dir("/dev/fd")
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|descriptor| *descriptor > 2)
            .collect();
        for descriptor in open {
            // SAFETY: as above; the listing's own descriptor is closed already, and closing it again is no error.
            unsafe { libc::close(descriptor) };
        }
    }
}
