//! Reading the next model's file into the page cache while another one is at work, so that its load does not wait for
//! the disk.
//!
//! ```text
//!  disk:    ─ speech model ─┐          ┌─ summary model ─┐
//!  engine:                  └─ load ─┬─ windows ─────────────────┬─ load ─┬─ summary ─
//!                                    └ begins where there is room         └ from the page cache
//! ```
//!
//! Page cache is nobody's memory and the kernel takes it back when it is needed; but taking it back costs the one who
//! waits for it, and a file that is read in vain costs the disk. So a file is fetched only where every bound on memory
//! would hold it *as if it could not be taken back*, beside all that this run is going to need, below the warning
//! threshold. That is looked at again for every [`STRETCH`], and the fetching ends with the first no, with the end of
//! the phase, or with an error, which is the load's to tell.
//!
//! The pages are asked for and not copied: what waits is a thread, what works is the disk. Only Linux is asked; elsewhere
//! nothing happens.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Bytes, SystemReading};

/// Between two looks at memory.
#[cfg(target_os = "linux")]
const STRETCH: Bytes = Bytes::mib(64);

/// Something that is fetched until this is dropped.
#[derive(Debug)]
pub(crate) struct Prefetch {
    over: Arc<AtomicBool>,
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// Whether `file` fits into every bound beside what is used and `reserved`, below `warning` percent.
fn has_room(reading: &SystemReading, file: Bytes, reserved: Bytes, warning: u8) -> bool {
    reading.limits.iter().all(|limit| limit.percent_with(file + reserved) <= f64::from(warning))
}

impl Prefetch {
    /// Begins to fetch a file if there is room for it beside `reserved`, which is what this run is going to need.
    pub(crate) fn begin(path: &Path, reserved: Bytes, warning: u8) -> Option<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let (path, goes_on) = (PathBuf::from(path), over.clone());
        let fetch = move || {
            let room =
                |rest| !goes_on.load(Ordering::Relaxed) && has_room(&super::read_system(), rest, reserved, warning);
            if let Err(error) = fetch(&path, room) {
                tracing::debug!(%error, "the next model's file is not fetched early");
            }
        };
        // Without a thread to be had the load reads the file as ever.
        std::thread::Builder::new().name("prefetch".to_owned()).stack_size(128 << 10).spawn(fetch).ok()?;
        Some(Self { over })
    }
}

/// Fetches the file as long as there is room for the rest of it; how much was fetched.
#[cfg(target_os = "linux")]
fn fetch(path: &Path, room: impl Fn(Bytes) -> bool) -> std::io::Result<Bytes> {
    use std::os::unix::fs::FileExt as _;

    use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

    /// What the kernel reads at once when it is asked is bounded by the disk, and never below this.
    const REQUEST: u64 = 128 << 10;
    /// How much is asked for before the first of it is waited for.
    const AHEAD: u64 = 8 << 20;

    let file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    let mut at = 0;
    while at < length {
        if at % STRETCH.0 == 0 && !room(Bytes(length - at)) {
            break;
        }
        let end = length.min(at + AHEAD);
        for from in (at..end).step_by(usize::try_from(REQUEST).unwrap_or(usize::MAX)) {
            let offset = |bytes: u64| libc::off_t::try_from(bytes).unwrap_or(libc::off_t::MAX);
            posix_fadvise(&file, offset(from), offset(REQUEST), PosixFadviseAdvice::POSIX_FADV_WILLNEED)?;
        }
        // One byte of it, so that no more is asked for than the disk gives.
        file.read_exact_at(&mut [0], end - 1)?;
        at = end;
    }
    Ok(Bytes(at))
}

#[cfg(not(target_os = "linux"))]
fn fetch(_path: &Path, _room: impl Fn(Bytes) -> bool) -> std::io::Result<Bytes> {
    Ok(Bytes(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Limit, LimitOf};

    fn bound(of: LimitOf, limit: u64, used: u64) -> Limit {
        Limit { of, limit: Bytes::mib(limit), used: Bytes::mib(used) }
    }

    #[test]
    fn a_file_needs_room_under_every_bound() {
        let machine = bound(LimitOf::Machine, 10_000, 2_000);
        let reading = |limits| SystemReading { limits, ..SystemReading::default() };
        let fits = |limits, file| has_room(&reading(limits), Bytes::mib(file), Bytes::mib(1_000), 80);
        assert!(fits(vec![machine.clone()], 5_000));
        assert!(!fits(vec![machine.clone()], 5_001));
        let group = bound(LimitOf::Cgroup("/tight".to_owned()), 3_000, 400);
        assert!(fits(vec![machine.clone(), group.clone()], 1_000));
        assert!(!fits(vec![machine, group], 1_001));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_is_fetched_as_long_as_there_is_room() {
        // Not in a temporary folder, which may be held in memory itself.
        let program = std::env::current_exe().expect("this program has a file");
        let path = tempfile::NamedTempFile::new_in(program.parent().expect("in a folder")).expect("a file");
        let length = STRETCH.0 * 2 + 5;
        path.as_file().set_len(length).expect("a sparse file");
        assert_eq!(fetch(path.path(), |_| true).expect("it can be read"), Bytes(length));
        let rests = std::cell::RefCell::new(Vec::new());
        let once = |rest: Bytes| {
            rests.borrow_mut().push(rest.0);
            rests.borrow().len() < 2
        };
        assert_eq!(fetch(path.path(), once).expect("it can be read"), STRETCH);
        assert_eq!(rests.into_inner(), [length, length - STRETCH.0]);
        assert!(fetch(Path::new("/nowhere/at/all"), |_| true).is_err());
    }
}
