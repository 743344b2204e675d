//! A disk in memory that fails on command and tells what a power cut leaves, and a run's records to write on it.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use meetcap_protocol::payload::stt::{AudioInfo, DropReason, Segment, Word};

use super::fingerprint::{Fingerprint, digest};
use super::record::{
    Chunk, Damaged, Dropped, Gap, Header, LlmHeader, ModelIdentity, Parameters, Record, Session, SttDone, United,
    Window,
};
use super::storage::Storage;
use crate::service::SpeechOptions;
use crate::summary::{Gist, Group, Summary};

/// What can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Len,
    Read,
    Write,
    Sync,
    Truncate,
    SyncName,
}

/// When and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fault {
    /// `None` counts operations of every kind.
    pub(super) op: Option<Op>,
    pub(super) nth: usize,
    pub(super) for_good: bool,
    pub(super) errno: i32,
    /// Of a failing write so many parts of eight reach the cache; a truncation that gets any is done, not synced.
    pub(super) eighths: usize,
}

#[derive(Debug, Default)]
struct State {
    /// What a reader sees.
    cache: Vec<u8>,
    /// Bytes of the cache that the next sync would write.
    dirty: Vec<bool>,
    durable: Vec<u8>,
    fault: Option<Fault>,
    count: usize,
    failed: bool,
}

/// Clones are the same disk: what a killed process leaves behind.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk(Rc<RefCell<State>>);

impl Disk {
    pub(super) fn holding(bytes: &[u8]) -> Self {
        let (cache, durable, dirty) = (bytes.to_vec(), bytes.to_vec(), vec![false; bytes.len()]);
        Self(Rc::new(RefCell::new(State { cache, dirty, durable, ..State::default() })))
    }

    pub(super) fn fail(&self, fault: Option<Fault>) {
        let mut state = self.0.borrow_mut();
        (state.fault, state.count, state.failed) = (fault, 0, false);
    }

    /// Whether the fault has struck.
    pub(super) fn has_failed(&self) -> bool {
        self.0.borrow().failed
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.borrow().cache.clone()
    }

    /// The disk after a power cut: what was synced, and whichever of the other bytes had got there by then.
    pub(super) fn after_power_cut(&self, random: &mut Random) -> Self {
        let state = self.0.borrow();
        let mut left = state.durable.clone();
        let chance = random.below(4);
        if state.cache.len() > left.len() && random.below(4) < chance {
            let more = random.below(state.cache.len() - left.len() + 1);
            left.resize(left.len() + more, 0);
        }
        for block in (0..left.len().min(state.cache.len())).step_by(32) {
            let arrived = random.below(4) < chance;
            for at in block..(block + 32).min(left.len()).min(state.cache.len()) {
                if arrived && state.dirty[at] {
                    left[at] = state.cache[at];
                }
            }
        }
        Self::holding(&left)
    }

    /// Counts an operation; an error with what it is to leave behind if it is to fail.
    fn strikes(&self, op: Op) -> Result<(), (io::Error, usize)> {
        let mut state = self.0.borrow_mut();
        let Some(fault) = state.fault.filter(|fault| fault.op.is_none_or(|wanted| wanted == op)) else {
            return Ok(());
        };
        let now = state.count;
        state.count += 1;
        if now == fault.nth || (fault.for_good && now > fault.nth) {
            state.failed = true;
            return Err((io::Error::from_raw_os_error(fault.errno), fault.eighths));
        }
        Ok(())
    }
}

impl State {
    fn put(&mut self, bytes: &[u8], offset: u64) {
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        if self.cache.len() < end {
            self.cache.resize(end, 0);
            self.dirty.resize(end, false);
        }
        self.cache[start..end].copy_from_slice(bytes);
        self.dirty[start..end].fill(true);
    }

    fn flush(&mut self) {
        self.durable.resize(self.cache.len(), 0);
        for (at, dirty) in self.dirty.iter_mut().enumerate() {
            if std::mem::take(dirty) {
                self.durable[at] = self.cache[at];
            }
        }
    }
}

impl Storage for Disk {
    fn len(&self) -> io::Result<u64> {
        self.strikes(Op::Len).map_err(|(error, _)| error)?;
        Ok(self.0.borrow().cache.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.strikes(Op::Read).map_err(|(error, _)| error)?;
        let state = self.0.borrow();
        let rest = state.cache.get(offset as usize..).unwrap_or_default();
        // Short reads are allowed; half of them here.
        let count = rest.len().min(buffer.len()).min(buffer.len() / 2 + 1);
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let struck = self.strikes(Op::Write);
        let written = struck.as_ref().map_or_else(|(_, eighths)| bytes.len() * eighths / 8, |()| bytes.len());
        self.0.borrow_mut().put(&bytes[..written], offset);
        struck.map_err(|(error, _)| error)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        let struck = self.strikes(Op::Sync);
        let mut state = self.0.borrow_mut();
        match struck {
            Ok(()) => state.flush(),
            // As on Linux: what could not be written counts as clean, and no later sync will write it.
            Err(_) => state.dirty.fill(false),
        }
        struck.map_err(|(error, _)| error)
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let struck = self.strikes(Op::Truncate);
        let mut state = self.0.borrow_mut();
        if struck.as_ref().map_or_else(|(_, eighths)| *eighths > 0, |()| true) {
            state.cache.truncate(len as usize);
            state.dirty.truncate(len as usize);
        }
        match struck {
            Ok(()) => state.flush(),
            Err(_) => state.dirty.fill(false),
        }
        struck.map_err(|(error, _)| error)
    }

    fn sync_name(&mut self) -> io::Result<()> {
        self.strikes(Op::SyncName).map_err(|(error, _)| error)
    }
}

/// A small generator; its seed belongs into every message.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit.max(1)
    }
}

pub(super) const SESSION: Session = Session { pid: 7, started: 1_700_000_000_000 };

fn file(size: u64, content: &str) -> Fingerprint {
    Fingerprint { size, modified: Some(1), sha256: digest([content]) }
}

pub(super) fn header() -> Header {
    Header {
        audio: file(5_000_000, "audio"),
        stt: ModelIdentity { requested: "tiny".into(), name: "tiny".into(), file: file(77_000_000, "stt") },
        parameters: Parameters { window_rule: 1, ..Parameters::new(Some("en".into()), &SpeechOptions::default()) },
    }
}

pub(super) fn llm_header() -> LlmHeader {
    LlmHeader {
        model: ModelIdentity { requested: "llm".into(), name: "llm".into(), file: file(500_000_000, "llm") },
        instructions: digest(["do"]),
        lines: digest(["hello", "again"]),
        seed: 1,
        temperature: 0.2,
        n_ctx: 512,
        max_tokens: 256,
        chunks: vec![0..2, 2..5],
    }
}

pub(super) fn united() -> United {
    let gist = Gist { title: "all \"of\" it".into(), summary: "one\n\ntwo".into() };
    United { group: Group { level: 0, parts: 0..3 }, gist }
}

fn window(unit: u64) -> Record {
    let start = unit as f64 * 27.0;
    let text = format!("words of window {unit}, \"quoted\" \n äöü \u{0} 😀");
    let word = Word { start, end: start + 0.5, text: "words".into(), confidence: Some(0.5) };
    let confidence = Some(0.875);
    let segment =
        Segment { confidence, suspect: unit == 4, words: vec![word], ..Segment::new(start, start + 1.125, text) };
    Record::Window(Window {
        unit,
        start: Some(start),
        segments: vec![segment; unit as usize % 3],
        dropped: vec![Dropped { start, end: start + 2.0, reason: DropReason::NoText }; usize::from(unit == 1)],
        damaged: vec![Damaged { at: start, detail: "bad frame".into() }; usize::from(unit == 2)],
    })
}

/// What a whole run appends, apart from header and session.
pub(super) fn script() -> Vec<Record> {
    let chunk =
        |lines| Record::Chunk(Chunk { lines, summary: Summary { title: "Title".into(), ..Summary::default() } });
    let gap = Gap { unit: 3, start: 81.0, end: 108.0, reason: "given up".into() };
    let done = SttDone { sample_rate: 44_100, duration: 150.25, language: "en".into(), units: 6 };
    vec![
        Record::Audio(AudioInfo { sample_rate: 44_100, channels: 2, duration: Some(150.25) }),
        window(0),
        window(1),
        window(2),
        Record::Gap(gap),
        window(4),
        window(5),
        Record::SttDone(done),
        Record::LlmHeader(llm_header()),
        chunk(0..2),
        chunk(2..3),
        chunk(3..5),
        Record::United(united()),
    ]
}
