//! A journal on any [`Storage`]: found, judged, continued or started over, and written to.

use std::io;
use std::ops::Range;

use super::decide::{Notice, Resume, Verdict, summary_difference, verdict};
use super::format::{self, HEAD, Kind, MAX_FILE, Next, Reader, TailFault, Unfit};
use super::progress::{LlmProgress, Misplaced, Order, Progress};
use super::record::{Chunk, Header, LlmHeader, Record, Session};
use super::storage::Storage;

/// Why a record does not count.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    #[error("a result came out of order: {0}")]
    Misplaced(#[from] Misplaced),
    #[error("a result of {bytes} bytes is too long for the journal")]
    TooLong { bytes: usize },
    #[error("a result holds what the journal cannot keep")]
    Malformed,
    #[error("the journal has reached its greatest size")]
    Full,
    /// If `broken`, nothing more can be appended in this run; else it may be tried again.
    #[error("the journal could not be written")]
    Io {
        #[source]
        source: io::Error,
        broken: bool,
    },
    #[error("the journal failed earlier and takes no more; start the program again to continue from it")]
    Broken,
}

/// What was cut off the end of a journal that is continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    pub bytes: u64,
    pub fault: TailFault,
}

/// What an earlier run has done of the summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryResumed {
    /// In order from line 0.
    pub chunks: Vec<Chunk>,
    /// Planned, and not done.
    pub remaining: Vec<Range<usize>>,
    pub notice: Option<Notice>,
}

/// What a file holds.
pub(super) struct Found {
    pub(super) kind: Kind,
    pub(super) progress: Progress,
    /// Bytes in the file.
    len: u64,
    /// The end of the last good record, its start, and the number of records.
    end: u64,
    last: u64,
    seq: u64,
    fault: Option<TailFault>,
}

/// Reads as far as it makes sense. Changes nothing.
pub(super) fn replay<S: Storage>(storage: &S) -> io::Result<Found> {
    let (kind, len) = (format::kind(storage)?, storage.len()?);
    let mut found = Found { kind, progress: Progress::default(), len, end: 0, last: 0, seq: 0, fault: None };
    if kind != Kind::Journal {
        return Ok(found);
    }
    let mut reader = Reader::new(storage)?;
    found.end = reader.position();
    loop {
        match reader.next()? {
            Next::Record(record) => {
                if found.progress.apply(*record).is_err() {
                    found.fault = Some(TailFault::Misplaced);
                    return Ok(found);
                }
                found.last = found.end;
                found.end = reader.position();
                found.seq += 1;
            }
            Next::End => return Ok(found),
            Next::Fault(fault) => {
                found.fault = Some(fault);
                return Ok(found);
            }
        }
    }
}

/// An open journal.
#[derive(Debug)]
pub(super) struct Log<S> {
    storage: S,
    /// Behind the last record that counts.
    end: u64,
    /// Of the next record.
    seq: u64,
    order: Order,
    broken: bool,
}

/// A log, and what was in it.
#[derive(Debug)]
pub(super) struct OpenedLog<S> {
    pub(super) log: Log<S>,
    pub(super) progress: Progress,
    pub(super) notice: Option<Notice>,
    pub(super) cut: Option<Cut>,
}

impl<S: Storage> Log<S> {
    /// Continues what is there, or starts over.
    pub(super) fn open(mut storage: S, header: &Header, resume: Resume, session: Session) -> io::Result<OpenedLog<S>> {
        let found = replay(&storage)?;
        let mut opened = match verdict(found.kind, &found.progress, header, resume) {
            Verdict::StartOver(notice) => {
                let (log, progress) = Self::start(storage, header, found.len)?;
                OpenedLog { log, progress, notice, cut: None }
            }
            Verdict::Continue => {
                let cut = found.fault.map(|fault| Cut { bytes: found.len.saturating_sub(found.end), fault });
                if found.len > found.end {
                    storage.truncate(found.end)?;
                }
                write_again(&mut storage, found.last, found.end)?;
                let order = found.progress.order();
                let log = Self { storage, end: found.end, seq: found.seq, order, broken: false };
                OpenedLog { log, progress: found.progress, notice: None, cut }
            }
        };
        opened.log.append(&Record::Session(session)).map_err(|error| match error {
            AppendError::Io { source, .. } => source,
            other => io::Error::other(other),
        })?;
        opened.progress.session = Some(session);
        Ok(opened)
    }

    fn start(mut storage: S, header: &Header, len: u64) -> io::Result<(Self, Progress)> {
        if len > 0 {
            storage.truncate(0)?;
        }
        let record = Record::Header(header.clone());
        let frame = format::encode(0, &record).map_err(|_| io::Error::other("the journal's header is too long"))?;
        let mut first = format::preamble();
        first.extend(frame);
        storage.write_at(&first, 0)?;
        storage.sync_data()?;
        storage.sync_name()?;
        let mut progress = Progress::default();
        progress.apply(record).map_err(io::Error::other)?;
        let log = Self { storage, end: first.len() as u64, seq: 1, order: progress.order(), broken: false };
        Ok((log, progress))
    }

    /// Writes one record and makes it durable.
    pub(super) fn append(&mut self, record: &Record) -> Result<(), AppendError> {
        if self.broken {
            return Err(AppendError::Broken);
        }
        let mut order = self.order;
        order.admit(record)?;
        let frame = format::encode(self.seq, record).map_err(|unfit| match unfit {
            Unfit::TooLong { bytes } => AppendError::TooLong { bytes },
            Unfit::Malformed => AppendError::Malformed,
        })?;
        let end = self.end + frame.len() as u64;
        if end > MAX_FILE {
            return Err(AppendError::Full);
        }
        if let Err(source) = self.storage.write_at(&frame, self.end) {
            self.broken = self.storage.truncate(self.end).is_err();
            return Err(AppendError::Io { source, broken: self.broken });
        }
        if let Err(source) = self.storage.sync_data() {
            // Broken whatever becomes of the cut, which only spares the next run a record that nobody counted.
            self.broken = true;
            let _ = self.storage.truncate(self.end);
            return Err(AppendError::Io { source, broken: true });
        }
        (self.end, self.seq, self.order) = (end, self.seq + 1, order);
        Ok(())
    }

    /// Continues the summary where it fits, and writes down what it is made with where it does not.
    pub(super) fn resume_summary(
        &mut self,
        header: &LlmHeader,
        before: Option<LlmProgress>,
    ) -> Result<SummaryResumed, AppendError> {
        let notice = match before {
            Some(before) => match summary_difference(&before, header) {
                None => {
                    let remaining = before.remaining();
                    return Ok(SummaryResumed { chunks: before.chunks, remaining, notice: None });
                }
                notice => notice.filter(|_| !before.chunks.is_empty()),
            },
            None => None,
        };
        self.append(&Record::LlmHeader(header.clone()))?;
        Ok(SummaryResumed { chunks: Vec::new(), remaining: header.chunks.clone(), notice })
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    pub(super) fn storage(&self) -> &S {
        &self.storage
    }
}

/// The sync of the last record may have failed, and its pages may count as clean since then. Written once more,
/// it is durable with the next sync, before anything behind it counts.
fn write_again<S: Storage>(storage: &mut S, start: u64, end: u64) -> io::Result<()> {
    let len = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX).min(HEAD + format::MAX_PAYLOAD);
    let mut frame = vec![0; len];
    if !super::storage::read_fully(storage, &mut frame, start)? {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    storage.write_at(&frame, start)
}
