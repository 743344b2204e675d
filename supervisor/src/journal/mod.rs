//! What a run has done so far, on disk, so that a crash at minute 90 costs seconds.
//!
//! # Theory
//!
//! The recording is transcribed window by window and summarised chunk by chunk. Each result becomes one record
//! at the end of one hidden file beside the outputs, and counts only once it is durable: then, and not before,
//! the worker is told that it may forget it ([`Journal::append`] returns). The next run replays the records and
//! goes on after them. When all outputs are in place the file is removed ([`Journal::finish`]).
//!
//! Replay is a pure fold ([`Progress::apply`]) over records in the one order that makes sense; what the fold
//! would refuse is refused on the way in as well, so that whatever was acknowledged can be read back.
//!
//! # The file
//!
//! ```text
//! magic (8 bytes) │ format version (u32)                       all numbers little-endian
//! ┌──────────────┬─────────────┬──────────┬────────────────┐
//! │ length (u32) │ CRC-32      │ seq (u64)│ payload (JSON) │   record 0: Header
//! ├──────────────┼─────────────┼──────────┼────────────────┤
//! │ of payload   │ seq+payload │ from 0   │ ≤ 1 MiB        │   then Session, Audio, Model, Window | Gap …, SttDone,
//! └──────────────┴─────────────┴──────────┴────────────────┘        LlmHeader, Chunk …, United …; a Session per run
//! ```
//!
//! Any change to [`Record`] or to what it is made of raises [`FORMAT_VERSION`]. Times are kept in milliseconds
//! and confidences in thousandths, as the transcript has them: those survive JSON bit for bit, and a worker's
//! NaN, which JSON would turn into a record that cannot be read, does not get in.
//!
//! # States
//!
//! ```text
//!            lock, replay ┌─ same recording, model, parameters: cut the tail ─┐
//! open ───────────────────┤                                                   ├─► Open ──finish──► gone
//!                         └─ anything else: start over, with a Notice ────────┘   │  ▲
//!                                                       write failed, tail cut    └──┘ append
//!                                                       sync or cut failed ──► Broken: refuses every append
//! ```
//!
//! # Failures
//!
//! - A torn, corrupt, repeated or misplaced record ends the replay; it and all after it are cut off on open.
//! - A failed **write** (a full disk keeps a prefix) is cut back to the last good end, durably; appending can be
//!   tried again. If the cut fails too, another record would fuse with the torn one: broken.
//! - A failed **sync** leaves the journal broken even if the cut works. The kernel may have marked the lost pages
//!   clean, so neither reading them back nor a later, successful sync proves anything. What was acknowledged
//!   before had its own sync and stays; the next run goes on from there.
//! - A record that was never acknowledged may still be found by the next run, if it is whole: it is a true result
//!   and is used. Since its sync may be the one that failed, the last record found is written and synced once
//!   more before anything is put behind it.
//! - A journal that cannot be *read* (an I/O error, not bad content) is an error and stays as it is.
//! - Another run holds it: [`JournalError::HeldBy`]. The lock is on the file, and the file may be removed by its
//!   holder between opening and locking: after locking, the path must still lead to it, or all starts again. A
//!   file system that cannot lock costs that protection and is told as [`Warning::NotLocked`].
//!
//! Words of the recording are in the file (mode 0600) and nowhere else: not in `Debug`, errors or notices.

#![forbid(unsafe_code)]

mod decide;
mod file;
mod fingerprint;
mod format;
mod log;
mod progress;
mod record;
mod storage;

#[cfg(test)]
mod tests_disk;
#[cfg(test)]
mod tests_faults;
#[cfg(test)]
mod tests_files;
#[cfg(test)]
mod tests_mutations;

pub use decide::{Notice, Resume};
pub use file::{Journal, JournalError, Opened, Warning, path_in};
pub use fingerprint::{Digest, Fingerprint, digest, fingerprint};
pub use format::{FORMAT_VERSION, TailFault};
pub use log::{AppendError, Cut, SummaryResumed};
pub use progress::{LlmProgress, Misplaced, Progress};
pub use record::{
    Chunk, Damaged, Dropped, Gap, Header, LlmHeader, ModelIdentity, ModelUsed, Parameters, Record, Session, SttDone,
    United, Window,
};
