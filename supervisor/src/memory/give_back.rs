//! Giving memory back that nobody will miss: the page cache of a model that is no longer needed, and the free heap
//! of this process. Both are favours to others on the machine; neither can fail in a way that matters.

use std::fs::File;
use std::io;
use std::path::Path;

/// Asks the kernel to drop a file's clean pages from its page cache (Linux; elsewhere there is no such call and
/// nothing happens). Pages that a process has mapped, and those not yet on disk, stay. Takes some milliseconds for
/// each GiB.
///
/// # Errors
/// When the file cannot be opened for reading.
pub fn drop_page_cache_of(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    #[cfg(target_os = "linux")]
    {
        use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
        // From the start to the end.
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    }
    drop(file);
    Ok(())
}

/// Gives free pages of the heap back to the system. glibc keeps them otherwise, as long as anything above them is in
/// use; other allocators are not asked.
#[cfg_attr(all(target_os = "linux", target_env = "gnu"), expect(unsafe_code, reason = "the allocator is asked in C"))]
pub fn trim_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: takes a number and no pointer, may be called at any time by any thread, and touches only memory that
        // the allocator knows to be free.
        unsafe { libc::malloc_trim(0) };
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;
    use crate::memory::Bytes;
    use crate::memory::platform::read_process;

    const SIZE: usize = 4 << 20;

    /// Whether the file's first byte can be had without reading the disk. `None` where the file system cannot tell.
    #[expect(unsafe_code, reason = "the one call that tells what is cached has no other form")]
    fn is_cached(file: &File) -> Option<bool> {
        let mut byte = 0_u8;
        let part = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
        // SAFETY: the file is open, and the one part is one byte of ours that outlives the call.
        let read = unsafe { libc::preadv2(file.as_raw_fd(), &raw const part, 1, 0, libc::RWF_NOWAIT) };
        match read {
            1 => Some(true),
            _ if io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock => Some(false),
            _ => None,
        }
    }

    #[test]
    fn a_file_is_dropped_from_the_page_cache_and_can_still_be_read() {
        // Not in a temporary folder, which may be held in memory itself.
        let program = std::env::current_exe().expect("this program has a file");
        let folder = program.parent().expect("in a folder");
        let path = tempfile::NamedTempFile::new_in(folder).expect("a file").into_temp_path();
        std::fs::write(&path, vec![7; SIZE]).expect("written");
        let file = File::open(&path).expect("opened");
        file.sync_all().expect("on disk");
        if is_cached(&file) != Some(true) {
            eprintln!("SKIPPED: this file system does not tell what it has cached");
            return;
        }
        drop_page_cache_of(&path).expect("dropped");
        assert_eq!(is_cached(&file), Some(false));
        assert_eq!(std::fs::read(&path).expect("read").len(), SIZE);
    }

    #[test]
    fn a_file_that_is_not_there_is_told() {
        assert!(drop_page_cache_of(Path::new("/nowhere/at/all")).is_err());
    }

    #[cfg(target_env = "gnu")]
    #[test]
    fn free_heap_below_something_in_use_is_given_back() {
        // Small pieces come from the heap itself, which cannot shrink below the last one.
        let pieces: Vec<Box<[u8; 1024]>> = (0..64 << 10).map(|_| Box::new([1; 1024])).collect();
        let last = Box::new([1_u8; 1024]);
        drop(pieces);
        let anonymous = || read_process(std::process::id()).expect("we live").anonymous;
        let before = anonymous();
        trim_heap();
        let after = anonymous();
        drop(last);
        assert!(before - after > Bytes::mib(32), "{before} before, {after} after");
    }
}
