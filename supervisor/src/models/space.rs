//! How much more a disk takes.

use std::io;
use std::path::Path;

use crate::memory::Bytes;

/// Free bytes for this user in the file system of a folder, or of the nearest above it that is there: in which it will be
/// made.
///
/// # Errors
/// The system does not tell.
pub fn free_space(folder: &Path) -> io::Result<Bytes> {
    told_of(folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(folder))
}

#[cfg(unix)]
fn told_of(folder: &Path) -> io::Result<Bytes> {
    let told = nix::sys::statvfs::statvfs(folder)?;
    // Their widths differ between systems.
    #[expect(clippy::useless_conversion, reason = "u32 on some systems")]
    Ok(Bytes(u64::from(told.blocks_available()).saturating_mul(u64::from(told.fragment_size()))))
}

#[cfg(windows)]
#[expect(unsafe_code, reason = "the standard library does not tell free space")]
fn told_of(folder: &Path) -> io::Result<Bytes> {
    use std::os::windows::ffi::OsStrExt;

    use windows_sys::Win32::Storage::FileSystem::GetDiskFreeSpaceExW;
    let wide: Vec<u16> = folder.as_os_str().encode_wide().chain([0]).collect();
    let mut free = 0;
    // SAFETY: the path ends with a zero and lives through the call, as does what is written to; null is allowed for the
    // two figures that nobody wants.
    let done = unsafe { GetDiskFreeSpaceExW(wide.as_ptr(), &raw mut free, std::ptr::null_mut(), std::ptr::null_mut()) };
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(Bytes(free)) }
}
