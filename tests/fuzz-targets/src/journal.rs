//! The journal of an earlier run, which may have come with the recording from wherever that came from.
//!
//! ```text
//!  input: choice │ the file                           choice: whether the frames are built around the rest, so that
//!         choice │ payloads, one a line                       checksums fit, and what comes before the payloads
//! ```
//!
//! A journal is opened twice, as by two runs: the second finds what the first found, and nothing to cut. What is read
//! goes into the transcript and the summary, and no text in it becomes a heading there.

use meetcap_protocol::payload::stt::{AudioInfo, DropReason, Segment, SttItem, Word};
use meetcap_supervisor::journal::{
    Chunk, FORMAT_VERSION, Fingerprint, Gap, Header, Journal, LlmHeader, ModelIdentity, Parameters, Progress, Record,
    Resume, Session, SttDone, United, Window, digest,
};
use meetcap_supervisor::output::Transcript;
use meetcap_supervisor::service::SpeechOptions;
use meetcap_supervisor::summary::{self, Gist, Group};
use meetcap_tests::rng::Rng;

use crate::answers::holds_to_its_headings;
use crate::documents::every_format;
use crate::{Target, Verdict, meter, scratch};

pub const TARGET: Target = Target {
    name: "journal",
    read,
    seeds,
    words: &[
        "header",
        "session",
        "audio",
        "model",
        "window",
        "gap",
        "stt_done",
        "llm_header",
        "chunk",
        "united",
        "null",
        "1e308",
        "-0.0",
        "18446744073709551615",
        "\\n## Summary",
        "\\ud800",
        "[[[[",
        "{\"start\":0,\"end\":1}",
    ],
    longest: 32 << 10,
};

/// Payloads are given, one a line.
const LINES: u8 = 1;
/// The header that fits is put before them; or all up to the plan of a summary.
const HEADER: u8 = 2;
const PLANNED: u8 = 4;

/// What one record takes at most, as the journal promises.
const RECORD: usize = 4 << 20;
/// All records are kept, and may take some times what they take in the file.
const TIMES: usize = 16;

fn read(input: &[u8]) -> Verdict {
    let Some((choice, bytes)) = input.split_first() else { return Verdict::Refused };
    let file = if choice & LINES == 0 { bytes.to_vec() } else { framed(bytes, &before(*choice)) };
    let path = scratch::file(".talk.meetcap-journal", &file);
    let promised = RECORD + TIMES * file.len() + (64 << 10);
    let open = || meter::within(promised, "opening a journal", || Journal::open(&path, &header(), Resume::Auto));
    let first = open().expect("a journal of any content can be opened");
    let before = first.progress;
    drop(first.journal);
    let again = open().expect("a journal can be opened twice");
    assert_eq!(again.cut, None, "the second time something was cut");
    let mut found = again.progress;
    // Each run leaves its own.
    found.session = before.session;
    assert_eq!(found, before, "the second time something else was found");
    told(&found);
    if before.is_empty() { Verdict::Refused } else { Verdict::Taken }
}

/// What becomes of it.
fn told(progress: &Progress) {
    let mut transcript = Transcript::default();
    progress.windows.iter().flat_map(|window| &window.segments).for_each(|segment| transcript.push(segment));
    every_format(&transcript);
    if let Some(llm) = &progress.llm {
        assert!(llm.remaining().iter().all(|lines| lines.start <= lines.end));
        let parts: Vec<_> = llm.chunks.iter().map(|chunk| chunk.summary.clone()).collect();
        holds_to_its_headings(&summary::merge(&parts), &[]);
    }
}

/// Records that are put before the payloads.
fn before(choice: u8) -> Vec<Record> {
    let header = (choice & (HEADER | PLANNED) != 0).then(|| Record::Header(header()));
    let others = if choice & PLANNED == 0 { Vec::new() } else { records() };
    let others = others.into_iter().take_while(|record| !matches!(record, Record::Chunk(_)));
    header.into_iter().chain(others).collect()
}

/// A file of these records and payloads, each with its length, checksum and number.
fn framed(lines: &[u8], before: &[Record]) -> Vec<u8> {
    let mut file = b"\x89MCJ\r\n\x1a\n".to_vec();
    file.extend(FORMAT_VERSION.to_le_bytes());
    let given = lines.split(|byte| *byte == b'\n').map(<[u8]>::to_vec);
    for (number, payload) in (0_u64..).zip(before.iter().map(payload).chain(given)) {
        let mut hash = crc32fast::Hasher::new();
        hash.update(&number.to_le_bytes());
        hash.update(&payload);
        file.extend(u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
        file.extend(hash.finalize().to_le_bytes());
        file.extend(number.to_le_bytes());
        file.extend(payload);
    }
    file
}

fn payload(record: &Record) -> Vec<u8> {
    serde_json::to_vec(record).expect("a record can be written")
}

fn header() -> Header {
    let file = Fingerprint { size: 7, modified: Some(1), sha256: digest(["a"]) };
    let stt = ModelIdentity { requested: "tiny".to_owned(), name: "tiny".to_owned(), file: file.clone() };
    Header { audio: file, stt, parameters: Parameters::new(Some("en".to_owned()), &SpeechOptions::default()) }
}

/// A run to its end, one to its middle, and the payloads alone.
fn seeds(_: &mut Rng) -> Vec<Vec<u8>> {
    let records = records();
    let lines = |records: &[Record]| records.iter().map(payload).collect::<Vec<_>>().join(&b'\n');
    let half = &records[..records.len() / 2];
    let mut seeds = vec![
        [&[0][..], &framed(&lines(&records), &before(HEADER))].concat(),
        [&[LINES | HEADER][..], &lines(&records)].concat(),
        [&[LINES | HEADER][..], &lines(half)].concat(),
    ];
    let path = scratch::path("seed.meetcap-journal");
    let mut journal = Journal::open(&path, &header(), Resume::Never).expect("a folder in memory").journal;
    half.iter().for_each(|record| journal.append(record).expect("in order"));
    seeds.push([&[0][..], &std::fs::read(&path).expect("it is there")].concat());
    seeds.extend(records.iter().map(|record| [&[LINES | HEADER][..], &payload(record)].concat()));
    let (chunk, united) = records.split_at(records.len() - 1);
    let chunk = &chunk[chunk.len() - 1..];
    seeds.extend([chunk, &[chunk, united].concat()].map(|records| [&[LINES | PLANNED][..], &lines(records)].concat()));
    seeds
}

/// One of each kind, in an order that makes sense.
#[expect(clippy::single_range_in_vec_init, reason = "a plan of one chunk is a list of one range")]
fn records() -> Vec<Record> {
    let mut window = Window { start: Some(0.0), ..Window::new(0) };
    let words = vec![Word { start: 0.5, end: 1.0, text: "Hello".into(), confidence: Some(0.5) }];
    for item in [
        SttItem::Segment(Segment { confidence: Some(0.25), words, ..Segment::new(0.5, 2.0, "Hello. — ü") }),
        SttItem::Dropped { start: 2.0, end: 3.0, reason: DropReason::NoText },
        SttItem::Damaged { at: 3.5, detail: "bad frame".to_owned() },
    ] {
        window.hear(item);
    }
    let model = header().stt;
    let summary = summary::parse(
        "## Meeting Title\nPlan\n## Summary\nWe plan.\n## Participants\n- Ann\n## Decisions Made\n- go\n## Action Items\n- [ ] Ann — do it (due: Monday)",
    );
    let gist = Gist { title: "Plan".to_owned(), summary: "We plan.".to_owned() };
    vec![
        Record::Session(Session { pid: 7, started: 1_700_000_000_000 }),
        Record::Audio(AudioInfo { sample_rate: 16_000, channels: 1, duration: Some(60.0) }),
        Record::Window(window),
        Record::Gap(Gap { unit: 1, start: 30.0, end: 60.0, reason: "the worker died".to_owned() }),
        Record::SttDone(SttDone { sample_rate: 16_000, duration: 60.0, language: "en".to_owned(), units: 2 }),
        Record::LlmHeader(LlmHeader {
            model,
            instructions: digest(["i"]),
            lines: digest(["l"]),
            seed: 1,
            temperature: 0.25,
            n_ctx: 4096,
            max_tokens: 512,
            chunks: vec![0..2],
        }),
        Record::Chunk(Chunk { lines: 0..2, summary }),
        Record::United(United { group: Group { level: 0, parts: 0..1 }, gist }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_built_around_payloads_is_read_to_its_end() {
        let lines: Vec<Vec<u8>> = records().iter().map(payload).collect();
        let path = scratch::file("built.meetcap-journal", &framed(&lines.join(&b'\n'), &before(HEADER)));
        let opened = Journal::open(&path, &header(), Resume::Auto).expect("opened");
        assert!(opened.cut.is_none() && opened.notice.is_none(), "{:?} {:?}", opened.cut, opened.notice);
        let llm = opened.progress.llm.expect("a summary was begun");
        assert_eq!((opened.progress.windows.len(), llm.chunks.len(), llm.united.len()), (1, 1, 1));
    }
}
