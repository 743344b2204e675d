//! What `summarize` and `report` read: transcripts and accounts of runs, written by this program, by others, or by hand.

use meetcap_supervisor::output::{Segment, Speaker, Stretch, SttUsed, Transcript, Word, json, subtitles, text};
use meetcap_supervisor::report;
use meetcap_tests::rng::Rng;

use crate::{Target, Verdict, meter, scratch};

pub const TRANSCRIPT: Target = Target {
    name: "transcript",
    read: transcript,
    seeds: transcripts,
    words: &[
        "audio_path",
        "sample_rate",
        "language",
        "segments",
        "duration",
        "stt",
        "speakers",
        "gaps",
        "dropped",
        "words",
        "start",
        "end",
        "text",
        "speaker_id",
        "confidence",
        "suspect",
        "1e9",
        "1e308",
        "-0.0",
        "4294967295",
        "null",
        "\\u2028",
        "\\u202e",
        "-->",
        "WEBVTT",
        "\u{feff}",
    ],
    longest: 16 << 10,
};

pub const LEDGER: Target = Target {
    name: "ledger",
    read: ledger,
    seeds: ledgers,
    words: &[
        "timeline",
        "samples",
        "marks",
        "t_ms",
        "phases",
        "admissions",
        "fallbacks",
        "checkpoints",
        "limits",
        "outputs",
        "warnings",
        "exit",
        "deaths",
        "memory",
        "release",
        "18446744073709551615",
        "1e308",
        "-1e308",
        "null",
        "<script>",
        "\\u202e",
        "\\u001b[2J",
        "\"mark\":\"spawn\"",
    ],
    longest: 32 << 10,
};

/// A tree of values takes some times what its text takes; more than in proportion it never takes.
fn in_proportion(len: usize) -> usize {
    64 * len + (1 << 20)
}

fn transcript(bytes: &[u8]) -> Verdict {
    let parsed = meter::within(in_proportion(bytes.len()), "reading a transcript", || json::parse(bytes));
    if let Ok(transcript) = &parsed {
        every_format(transcript);
        let written = json::render(transcript);
        let again = json::parse(written.as_bytes()).expect("a transcript is read back");
        assert_eq!(json::render(&again), written, "written otherwise the second time");
    }
    Verdict::of(parsed.map_err(|error| error.to_string()).is_ok())
}

/// All that a transcript is written as.
pub(crate) fn every_format(transcript: &Transcript) {
    let plain = text::render(transcript);
    let lines = text::lines(transcript);
    assert_eq!(lines.len(), transcript.segments.len(), "a segment is a line");
    assert_eq!(plain.lines().count(), lines.len() + transcript.gaps.len(), "a segment or gap is a line");
    for line in &lines {
        assert!(!line.chars().any(char::is_control), "a line commands the terminal");
        let statements: usize = text::statements(line).map(str::len).sum();
        assert!(statements <= line.len());
        text::words(line);
    }
    subtitles::srt(transcript);
    assert!(subtitles::vtt(transcript).starts_with("WEBVTT\n"));
}

fn transcripts(_: &mut Rng) -> Vec<Vec<u8>> {
    let word = |start, text: &str| Word { start, end: start + 0.5, text: text.into(), confidence: Some(0.5) };
    let segment =
        |id, start, text: &str| Segment { id, start, end: start + 2.5, text: text.into(), ..Segment::default() };
    let stretch = |start, reason: &str| Stretch { start, end: start + 1.0, reason: reason.to_owned(), suspect: true };
    let full = Transcript {
        audio_path: "/meetings/talk.wav".to_owned(),
        sample_rate: 48_000,
        language: "en".to_owned(),
        segments: vec![
            Segment { words: vec![word(0.0, "Good"), word(0.5, "morning.")], ..segment(0, 0.0, "Good morning.") },
            Segment {
                speaker_id: Some(1), confidence: Some(0.9), suspect: true, ..segment(1, 3.0, "Grüße — 会議。")
            },
            segment(
                2,
                9.0,
                "A sentence that is long enough, with its clauses, to be cut into two, or even three, lines of subtitles.",
            ),
        ],
        duration: 12.0,
        stt: SttUsed { engine: "whisper.cpp".to_owned(), model_name: "tiny".to_owned(), ..SttUsed::default() },
        speakers: Some(vec![Speaker { id: 1, label: "Ann".into() }]),
        diarization_enabled: Some(true),
        gaps: vec![stretch(6.0, "the worker died")],
        dropped: vec![stretch(7.5, "repetition")],
    };
    let foreign =
        "\u{feff}{\"audio_path\":\"a.wav\",\"segments\":[{\"start\":0,\"end\":1,\"text\":\"Hi.\"}],\"new\":{\"x\":[]}}";
    vec![json::render(&full).into_bytes(), foreign.as_bytes().to_vec()]
}

fn ledger(bytes: &[u8]) -> Verdict {
    let path = scratch::file("talk.run.json", bytes);
    let read = meter::within(in_proportion(bytes.len()), "reading an account", || report::read(&path));
    if let Ok(ledger) = &read {
        let plain = report::text(ledger);
        assert!(!plain.chars().any(|c| c.is_control() && c != '\n'), "the account commands the terminal");
        let page = report::html(ledger);
        assert!(!page.contains("<script"), "the page runs something");
        report::memory_lines(ledger);
        report::sparkline(ledger, 60);
    }
    Verdict::of(read.map_err(|error| error.to_string()).is_ok())
}

/// An account from before there were timelines, and the same with one.
fn ledgers(_: &mut Rng) -> Vec<Vec<u8>> {
    const OLD: &str = include_str!("../../../supervisor/src/report/testdata/without_timeline.run.json");
    const TIMELINE: &str = "{\"samples\":[\
        {\"t_ms\":0,\"phase\":\"stt\",\"pid\":7,\"anonymous_bytes\":1000000,\"file_backed_bytes\":500000,\"gpu_bytes\":0,\
        \"available_bytes\":8000000000,\"limit_bytes\":16000000000},\
        {\"t_ms\":900,\"phase\":\"stt\",\"pid\":7,\"anonymous_bytes\":90000000,\"swapped_bytes\":1,\"file_backed_bytes\":500000,\
        \"gpu_bytes\":0,\"available_bytes\":7000000000,\"limit_bytes\":16000000000},\
        {\"t_ms\":2000,\"phase\":\"llm\",\"pid\":8,\"anonymous_bytes\":70000000,\"file_backed_bytes\":500000,\
        \"gpu_bytes\":1,\"available_bytes\":7000000000,\"limit_bytes\":16000000000}],\
        \"marks\":[{\"t_ms\":0,\"mark\":\"spawn\",\"phase\":\"stt\",\"pid\":7},\
        {\"t_ms\":100,\"mark\":\"loaded\",\"phase\":\"stt\",\"pid\":7},\
        {\"t_ms\":1000,\"mark\":\"exit\",\"phase\":\"stt\",\"pid\":7,\"class\":\"clean\"},\
        {\"t_ms\":1001,\"mark\":\"checkpoint\",\"name\":\"stt_unloaded\"}]}";
    let (old, end) = (OLD.trim_end(), OLD.trim_end().len() - 1);
    let with_timeline = format!("{},\"timeline\":{TIMELINE}}}", &old[..end]);
    vec![OLD.as_bytes().to_vec(), with_timeline.into_bytes()]
}
