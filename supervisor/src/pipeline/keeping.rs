//! Results between a worker and the outputs: what is done, in memory, and on disk in the journal.
//!
//! A run goes on without its journal when it must (a full disk, a folder that takes no file): it says so once,
//! and once more when the journal has caught up. What waits to be written is kept in order, because a journal
//! with a hole is worth nothing behind the hole.

use std::collections::VecDeque;
use std::path::Path;

use super::Job;
use crate::errors::JobError;
use crate::event::EventSink;
use crate::journal::{
    AppendError, Chunk, Header, Journal, JournalError, LlmHeader, Misplaced, ModelIdentity, Opened, Parameters,
    Progress, Record, Resume, fingerprint, path_in,
};
use crate::output::OutputNames;

#[derive(Debug)]
pub(super) struct Keeping {
    journal: Option<Journal>,
    pub(super) progress: Progress,
    /// Not on disk yet.
    waiting: VecDeque<Record>,
    /// What the user was told, for the ledger.
    told: Vec<String>,
    events: EventSink,
}

impl Keeping {
    /// Opens the journal of this run, or goes without.
    ///
    /// # Errors
    /// [`JobError::Held`]: another run works on this recording.
    pub(super) fn open(
        names: &OutputNames,
        header: &Header,
        resume: Resume,
        events: EventSink,
    ) -> Result<Self, JobError> {
        let mut keeping =
            Self { journal: None, progress: Progress::default(), waiting: VecDeque::new(), told: Vec::new(), events };
        match Journal::open(&path_in(&names.dir, &names.stem), header, resume) {
            Ok(Opened { journal, progress, notice, cut: _, warning }) => {
                if let Some(notice) = notice {
                    keeping.tell("journal", notice.to_string());
                }
                if let Some(warning) = warning {
                    keeping.tell("journal", warning.to_string());
                }
                keeping.journal = Some(journal);
                keeping.progress = progress;
            }
            Err(held @ JournalError::HeldBy { .. }) => return Err(JobError::Held(held)),
            Err(error) => {
                let cause = cause(&error);
                keeping.tell("journal", format!("{error}{cause}; an interruption will cost all work"));
                // The fold wants to begin with its header, on disk or not.
                let _ = keeping.progress.apply(Record::Header(header.clone()));
            }
        }
        Ok(keeping)
    }

    fn tell(&mut self, code: &'static str, message: String) {
        self.told.push(format!("{code}: {message}"));
        self.events.warn(code, message);
    }

    /// What was told since the last call.
    pub(super) fn take_told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }

    /// Takes a result. When this returns it is durable, or the user knows that it is not.
    ///
    /// # Errors
    /// The result does not follow from those before it; nothing was kept.
    pub(super) fn keep(&mut self, record: Record) -> Result<(), Misplaced> {
        self.progress.apply(record.clone())?;
        if self.journal.is_some() {
            self.waiting.push_back(record);
            self.write();
        }
        Ok(())
    }

    fn write(&mut self) {
        let was_behind = self.waiting.len() > 1;
        let Some(journal) = &mut self.journal else { return };
        while let Some(record) = self.waiting.front() {
            match journal.append(record) {
                Ok(()) => {
                    self.waiting.pop_front();
                }
                Err(error) => {
                    self.stumble(&error, was_behind);
                    return;
                }
            }
        }
        if was_behind {
            self.tell("journal", "the journal can be written again and has caught up".to_owned());
        }
    }

    fn stumble(&mut self, error: &AppendError, was_behind: bool) {
        let cause = cause(error);
        if matches!(error, AppendError::Io { broken: false, .. }) {
            if !was_behind {
                let message = format!("{error}{cause}; the run goes on, and what it does now is not safe yet");
                self.tell("journal", message);
            }
        } else {
            self.tell("journal", format!("{error}{cause}; the run goes on, and an interruption costs what comes now"));
            self.waiting.clear();
            self.journal = None;
        }
    }

    /// Begins or continues the summary: what is done already, and which lines are not.
    pub(super) fn resume_summary(&mut self, header: &LlmHeader) -> (Vec<Chunk>, Vec<std::ops::Range<usize>>) {
        let fresh = (Vec::new(), header.chunks.clone());
        let before = self.progress.llm.clone();
        let Some(journal) = self.journal.as_mut().filter(|_| self.waiting.is_empty()) else {
            let _ = self.keep(Record::LlmHeader(header.clone()));
            return fresh;
        };
        match journal.resume_summary(header, before) {
            Ok(resumed) => {
                if let Some(notice) = resumed.notice {
                    self.tell("journal", notice.to_string());
                }
                if resumed.chunks.is_empty() {
                    let _ = self.progress.apply(Record::LlmHeader(header.clone()));
                }
                (resumed.chunks, resumed.remaining)
            }
            Err(error) => {
                self.stumble(&error, false);
                let _ = self.progress.apply(Record::LlmHeader(header.clone()));
                if self.journal.is_some() {
                    self.waiting.push_back(Record::LlmHeader(header.clone()));
                }
                fresh
            }
        }
    }

    /// Whether the next run would find something to go on from.
    pub(super) fn is_of_use(&self) -> bool {
        self.journal.is_some() && (self.progress.next_unit() > 0 || self.progress.stt_done.is_some())
    }

    /// Removes the journal: it has served.
    pub(super) fn finish(mut self) -> Vec<String> {
        if let Some(journal) = self.journal.take()
            && let Err(error) = journal.finish()
        {
            self.tell("journal", format!("the journal could not be removed ({error}); it does no harm"));
        }
        self.told
    }
}

/// What lies behind an error, in brackets, where there is something.
fn cause(error: &dyn std::error::Error) -> String {
    error.source().map(|cause| format!(" ({cause})")).unwrap_or_default()
}

/// The header for a recording, a speech model, a voice detector and how to write.
///
/// # Errors
/// A file cannot be read.
pub(super) fn header(audio: &Path, job: &Job) -> std::io::Result<Header> {
    Ok(Header {
        audio: fingerprint(audio)?,
        stt: ModelIdentity::new(&job.stt, fingerprint(&job.stt.path)?),
        parameters: Parameters {
            vad: job.vad.file().map(fingerprint).transpose()?.map(|file| file.sha256),
            ..Parameters::new(job.language.clone(), &job.speech)
        },
    })
}
