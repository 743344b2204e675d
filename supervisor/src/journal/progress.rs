//! Where a journal's records lead: a pure fold, and the one order in which records make sense.
//!
//! ```text
//! Header ─► ( Audio? , (Window | Gap of unit 0, 1, 2 …) ) ─► SttDone ─► ( LlmHeader ─► Chunk* ─► United* )*
//!           a Session may stand anywhere after the Header, a Model anywhere between Header and SttDone
//! ```

use std::ops::Range;

use meetcap_protocol::payload::stt::AudioInfo;

use super::record::{Chunk, Gap, Header, LlmHeader, ModelUsed, Record, Session, SttDone, United, Window};

/// What is done.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Progress {
    pub header: Option<Header>,
    /// The latest run's.
    pub session: Option<Session>,
    pub audio: Option<AudioInfo>,
    /// Which model wrote what: each writes from its unit up to the next one's.
    pub models: Vec<(u64, ModelUsed)>,
    /// In order. Together with the gaps they are all units before [`Self::next_unit`].
    pub windows: Vec<Window>,
    pub gaps: Vec<Gap>,
    pub stt_done: Option<SttDone>,
    pub llm: Option<LlmProgress>,
    order: Order,
}

/// What is done of a summary.
#[derive(Debug, Clone, PartialEq)]
pub struct LlmProgress {
    pub header: LlmHeader,
    /// In order; together all lines before the first that is not done.
    pub chunks: Vec<Chunk>,
    /// Once all chunks are done.
    pub united: Vec<United>,
}

impl LlmProgress {
    /// The planned chunks that are not done, the first of them perhaps in part.
    pub fn remaining(&self) -> Vec<Range<usize>> {
        let next = self.chunks.last().map_or(0, |chunk| chunk.lines.end);
        let open = self.header.chunks.iter().filter(|lines| lines.end > next);
        open.map(|lines| lines.start.max(next)..lines.end).collect()
    }
}

/// A record that does not follow from those before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misplaced {
    #[error("the journal must begin with its header")]
    NoHeader,
    #[error("the journal has a header already")]
    SecondHeader,
    #[error("the recording was described already")]
    SecondAudio,
    #[error("unit {found} came where unit {expected} was due")]
    Unit { expected: u64, found: u64 },
    #[error("the transcript is complete already")]
    AfterSttDone,
    #[error("{found} units are said to be done, and {expected} are")]
    UnitCount { expected: u64, found: u64 },
    #[error("the transcript is not complete yet")]
    BeforeSttDone,
    #[error("the chunks of the plan are not all lines in order")]
    Plan,
    #[error("a chunk came before any plan")]
    NoPlan,
    #[error("parts were united before line {expected} of {lines} was done")]
    BeforeChunks { expected: usize, lines: usize },
    #[error("lines {} to {} came where line {expected} of {lines} was due", found.start, found.end)]
    Lines { expected: usize, lines: usize, found: Range<usize> },
}

impl Progress {
    /// Takes the next record.
    ///
    /// # Errors
    /// [`Misplaced`]; then nothing has changed.
    pub fn apply(&mut self, record: Record) -> Result<(), Misplaced> {
        self.order.admit(&record)?;
        match record {
            Record::Header(header) => self.header = Some(header),
            Record::Session(session) => self.session = Some(session),
            Record::Audio(audio) => self.audio = Some(audio),
            Record::Model(model) => {
                // One that wrote nothing is of no interest.
                self.models.retain(|(from, _)| *from != self.order.units);
                self.models.push((self.order.units, model));
            }
            Record::Window(window) => self.windows.push(window),
            Record::Gap(gap) => self.gaps.push(gap),
            Record::SttDone(done) => self.stt_done = Some(done),
            Record::LlmHeader(header) => {
                self.llm = Some(LlmProgress { header, chunks: Vec::new(), united: Vec::new() });
            }
            Record::Chunk(chunk) => {
                // `admit` has seen the header.
                if let Some(llm) = &mut self.llm {
                    llm.chunks.push(chunk);
                }
            }
            Record::United(united) => {
                if let Some(llm) = &mut self.llm {
                    llm.united.push(united);
                }
            }
        }
        Ok(())
    }

    /// The first unit that is not done.
    pub fn next_unit(&self) -> u64 {
        self.order.units
    }

    /// True when no work would be lost with it.
    pub fn is_empty(&self) -> bool {
        self.audio.is_none() && self.next_unit() == 0 && self.stt_done.is_none()
    }

    pub(super) fn order(&self) -> Order {
        self.order
    }
}

/// What decides whether a record may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Order {
    header: bool,
    audio: bool,
    units: u64,
    done: bool,
    plan: Option<Lines>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lines {
    next: usize,
    all: usize,
}

impl Order {
    pub(super) fn admit(&mut self, record: &Record) -> Result<(), Misplaced> {
        match (record, self.header) {
            (Record::Header(_), false) => self.header = true,
            (Record::Header(_), true) => return Err(Misplaced::SecondHeader),
            (_, false) => return Err(Misplaced::NoHeader),
            (Record::Session(_), true) => {}
            (Record::Audio(_) | Record::Model(_) | Record::Window(_) | Record::Gap(_) | Record::SttDone(_), true)
                if self.done =>
            {
                return Err(Misplaced::AfterSttDone);
            }
            (Record::Model(_), true) => {}
            (Record::Audio(_), true) if self.audio => return Err(Misplaced::SecondAudio),
            (Record::Audio(_), true) => self.audio = true,
            (Record::Window(Window { unit, .. }) | Record::Gap(Gap { unit, .. }), true) => self.unit(*unit)?,
            (Record::SttDone(done), true) if done.units != self.units => {
                return Err(Misplaced::UnitCount { expected: self.units, found: done.units });
            }
            (Record::SttDone(_), true) => self.done = true,
            (Record::LlmHeader(_) | Record::Chunk(_) | Record::United(_), true) if !self.done => {
                return Err(Misplaced::BeforeSttDone);
            }
            (Record::LlmHeader(header), true) => {
                self.plan = Some(Lines { next: 0, all: tiled(&header.chunks).ok_or(Misplaced::Plan)? });
            }
            (Record::Chunk(chunk), true) => {
                let plan = self.plan.as_mut().ok_or(Misplaced::NoPlan)?;
                let found = &chunk.lines;
                if found.start != plan.next || found.is_empty() || found.end > plan.all {
                    return Err(Misplaced::Lines { expected: plan.next, lines: plan.all, found: found.clone() });
                }
                plan.next = found.end;
            }
            (Record::United(_), true) => {
                let plan = self.plan.ok_or(Misplaced::NoPlan)?;
                if plan.next != plan.all {
                    return Err(Misplaced::BeforeChunks { expected: plan.next, lines: plan.all });
                }
            }
        }
        Ok(())
    }

    fn unit(&mut self, found: u64) -> Result<(), Misplaced> {
        let expected = self.units;
        let after = expected.checked_add(1).filter(|_| found == expected);
        self.units = after.ok_or(Misplaced::Unit { expected, found })?;
        Ok(())
    }
}

/// The number of lines of chunks that follow each other without a hole.
fn tiled(chunks: &[Range<usize>]) -> Option<usize> {
    chunks.iter().try_fold(0, |next, chunk| (chunk.start == next && !chunk.is_empty()).then_some(chunk.end))
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "a plan of one chunk is a list of one range")]
mod tests {
    use super::*;
    use crate::journal::tests_disk::{header, llm_header, script};
    use crate::summary::Summary;

    fn begun() -> Progress {
        let mut progress = Progress::default();
        progress.apply(Record::Header(header())).expect("the header");
        progress
    }

    fn window(unit: u64) -> Record {
        Record::Window(Window::new(unit))
    }

    fn gap(unit: u64) -> Record {
        Record::Gap(Gap { unit, start: 0.0, end: 1.0, reason: "given up".to_owned() })
    }

    fn done(units: u64) -> Record {
        Record::SttDone(SttDone { sample_rate: 8000, duration: 1.0, language: "en".to_owned(), units })
    }

    fn chunk(lines: Range<usize>) -> Record {
        Record::Chunk(Chunk { lines, summary: Summary::default() })
    }

    /// Applies all; the last must be refused and change nothing.
    fn refusal(records: Vec<Record>) -> Misplaced {
        let mut progress = begun();
        let mut last = None;
        for record in records {
            assert_eq!(last, None, "only the last is refused");
            let before = progress.clone();
            last = progress.apply(record).err();
            assert!(last.is_none() || progress == before);
        }
        last.expect("refused")
    }

    #[test]
    fn windows_and_gaps_tile_the_recording_from_zero() {
        let mut progress = begun();
        for record in [window(0), gap(1), window(2), done(3)] {
            progress.apply(record).expect("in order");
        }
        assert_eq!((progress.next_unit(), progress.windows.len(), progress.gaps.len()), (3, 2, 1));
        assert_eq!(refusal(vec![window(1)]), Misplaced::Unit { expected: 0, found: 1 });
        assert_eq!(refusal(vec![window(0), window(0)]), Misplaced::Unit { expected: 1, found: 0 });
        assert_eq!(refusal(vec![window(0), gap(0)]), Misplaced::Unit { expected: 1, found: 0 });
        assert_eq!(refusal(vec![window(0), window(2)]), Misplaced::Unit { expected: 1, found: 2 });
        assert_eq!(refusal(vec![window(0), done(2)]), Misplaced::UnitCount { expected: 1, found: 2 });
        assert_eq!(refusal(vec![window(0), done(1), window(1)]), Misplaced::AfterSttDone);
        assert_eq!(refusal(vec![done(0), done(0)]), Misplaced::AfterSttDone);
    }

    #[test]
    fn the_header_comes_first_and_once() {
        assert_eq!(Progress::default().apply(window(0)), Err(Misplaced::NoHeader));
        assert_eq!(refusal(vec![Record::Header(header())]), Misplaced::SecondHeader);
        let audio = || Record::Audio(AudioInfo { sample_rate: 1, channels: 1, duration: None });
        assert_eq!(refusal(vec![audio(), audio()]), Misplaced::SecondAudio);
    }

    #[test]
    fn chunks_follow_a_plan_line_by_line() {
        let plan = || Record::LlmHeader(LlmHeader { chunks: vec![0..4, 4..9], ..llm_header() });
        assert_eq!(refusal(vec![plan()]), Misplaced::BeforeSttDone);
        assert_eq!(refusal(vec![done(0), chunk(0..1)]), Misplaced::NoPlan);
        let wrong = |found: Range<usize>| Misplaced::Lines { expected: 4, lines: 9, found };
        #[expect(clippy::reversed_empty_ranges, reason = "a file may hold anything")]
        for found in [5..9, 3..9, 4..4, 4..3, 4..10] {
            assert_eq!(refusal(vec![done(0), plan(), chunk(0..4), chunk(found.clone())]), wrong(found));
        }
        #[expect(clippy::reversed_empty_ranges, reason = "a file may hold anything")]
        for chunks in [vec![1..2], vec![0..0], vec![0..2, 3..4], vec![0..2, 1..4], vec![0..2, 2..1]] {
            let plan = Record::LlmHeader(LlmHeader { chunks, ..llm_header() });
            assert_eq!(refusal(vec![done(0), plan]), Misplaced::Plan);
        }
    }

    #[test]
    fn parts_are_united_once_all_of_them_are_done() {
        let united = || Record::United(crate::journal::tests_disk::united());
        let plan = || Record::LlmHeader(LlmHeader { chunks: vec![0..4, 4..9], ..llm_header() });
        assert_eq!(refusal(vec![united()]), Misplaced::BeforeSttDone);
        assert_eq!(refusal(vec![done(0), united()]), Misplaced::NoPlan);
        let early = Misplaced::BeforeChunks { expected: 4, lines: 9 };
        assert_eq!(refusal(vec![done(0), plan(), chunk(0..4), united()]), early);
        let mut progress = begun();
        for record in [done(0), plan(), chunk(0..4), chunk(4..9), united()] {
            progress.apply(record).expect("in order");
        }
        assert_eq!(progress.llm.as_ref().map(|llm| llm.united.len()), Some(1));
        progress.apply(plan()).expect("another plan");
        assert!(progress.llm.is_some_and(|llm| llm.united.is_empty()), "a new plan starts over");
    }

    #[test]
    fn what_remains_of_a_plan_begins_where_the_last_chunk_ended() {
        let mut progress = begun();
        progress.apply(done(0)).expect("done");
        progress.apply(Record::LlmHeader(LlmHeader { chunks: vec![0..4, 4..9], ..llm_header() })).expect("planned");
        let mut remaining = Vec::new();
        for lines in [0..2, 2..4, 4..6, 6..9] {
            remaining.push(progress.llm.as_ref().map(LlmProgress::remaining).expect("planned"));
            progress.apply(chunk(lines)).expect("next");
        }
        remaining.push(progress.llm.as_ref().map(LlmProgress::remaining).expect("planned"));
        assert_eq!(remaining, [vec![0..4, 4..9], vec![2..4, 4..9], vec![4..9], vec![6..9], vec![]]);
        progress.apply(Record::LlmHeader(llm_header())).expect("another plan");
        assert!(progress.llm.is_some_and(|llm| llm.chunks.is_empty()), "a new plan starts over");
    }

    #[test]
    fn a_session_may_stand_anywhere_behind_the_header() {
        let session = |pid| Record::Session(Session { pid, started: 0 });
        assert_eq!(Progress::default().apply(session(1)), Err(Misplaced::NoHeader));
        let (mut plain, mut mixed) = (begun(), begun());
        for (pid, record) in (1..).zip(script()) {
            plain.apply(record.clone()).expect("in order");
            mixed.apply(session(pid)).expect("anywhere");
            mixed.apply(record).expect("in order");
        }
        assert_eq!(mixed.session.map(|session| session.pid), Some(script().len() as u32));
        mixed.session = None;
        assert_eq!(plain, mixed);
    }
}
