//! Subtitles as players read them: whatever was said, at whatever times, every line fits, no two cues are on screen at
//! once, and no word is lost.
#![cfg(unix)]

use meetcap_supervisor::output::subtitles::{srt, vtt};
use meetcap_supervisor::output::{Segment, Stretch, Transcript};
use meetcap_tests::demo::{room_with, run};
use meetcap_tests::room::Room;
use meetcap_tests::subtitles::{Cue, parse_srt, parse_vtt};
use proptest::prelude::*;
use unicode_width::UnicodeWidthChar;

fn width(line: &str) -> usize {
    line.chars().map(|c| c.width().unwrap_or(0)).sum()
}

fn letters<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    texts.into_iter().flat_map(str::chars).filter(|c| !c.is_whitespace() && !c.is_control()).collect()
}

/// What holds of all subtitles. SRT stands for an arrow with another.
fn assert_sane(transcript: &Transcript) -> Vec<Cue> {
    let cues = parse_vtt(&vtt(transcript)).unwrap_or_else(|wrong| panic!("VTT: {wrong}"));
    let other = parse_srt(&srt(transcript)).unwrap_or_else(|wrong| panic!("SRT: {wrong}"));
    assert_eq!(cues.len(), other.len());
    for (cue, other) in cues.iter().zip(&other) {
        assert_eq!((cue.start, cue.end, cue.lines.len()), (other.start, other.end, other.lines.len()));
        assert!(cue.lines.len() <= 2, "{cue:?}");
        assert!(cue.lines.iter().all(|line| width(line) <= 42), "{cue:?}");
        assert!(cue.lines.iter().all(|line| line.trim() == line), "{cue:?}");
        assert!(cue.end - cue.start <= 7000, "{cue:?}");
    }
    // What takes no room on the screen by itself is no word.
    let said = transcript.segments.iter().map(|segment| segment.text.0.as_str()).filter(|text| width(text) > 0);
    let shown = cues.iter().flat_map(|cue| cue.lines.iter().map(String::as_str));
    if transcript.segments.iter().all(|segment| segment.speaker_id.is_none()) {
        assert_eq!(letters(said), letters(shown), "no word is lost, none is added");
    }
    cues
}

fn segment(start: f64, end: f64, text: &str, speaker_id: Option<u32>) -> Segment {
    Segment { start, end, text: text.into(), speaker_id, ..Segment::default() }
}

/// People who take turns, as a speech model writes them down: in order, with silences.
fn meeting() -> impl Strategy<Value = Transcript> {
    let word = prop_oneof!["[a-z]{1,12}", "[A-Z][a-z]{0,8}", "[a-z]{2,7}[,;]", "[a-z]{2,7}[.!?]"];
    let spaced = prop::collection::vec(word, 1..60).prop_map(|words| words.join(" "));
    let wide = "[一-龥ぁ-ん、。「」]{1,120}";
    let text = prop_oneof![4 => spaced, 1 => wide];
    let said = (0.0..3.0_f64, 0.05..0.4_f64, text);
    prop::collection::vec(said, 0..30).prop_map(|said| {
        let mut now = 0.0;
        let segments = said.into_iter().map(|(silence, pace, text)| {
            let start = now + silence;
            now = start + pace * text.split(' ').count() as f64 + 0.02 * width(&text) as f64;
            segment(start, now, &text, None)
        });
        Transcript { segments: segments.collect(), ..Transcript::default() }
    })
}

/// Anything at all.
fn anything() -> impl Strategy<Value = Transcript> {
    let time = prop_oneof![0.0..100.0_f64, any::<f64>()];
    let text = prop_oneof![".{0,200}", "[&<> \\-\n\r\t\u{2028}\u{85}\0x]{0,60}", "x{0,300}", "\\PC{0,100}"];
    let said = (time.clone(), time, text, prop::option::of(0..3_u32));
    prop::collection::vec(said, 0..20).prop_map(|said| {
        let segments = said.into_iter().map(|(start, end, text, speaker)| segment(start, end, &text, speaker));
        Transcript { segments: segments.collect(), ..Transcript::default() }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_meeting_gives_subtitles_that_fit(transcript in meeting()) {
        let cues = assert_sane(&transcript);
        for (at, cue) in cues.iter().enumerate() {
            let columns: usize = cue.lines.iter().map(|line| width(line)).sum();
            // What is on screen too briefly to be read has the next cue right behind it.
            let is_hurried = cue.end - cue.start < 1000 || (columns as u64 * 1000) / (cue.end - cue.start) > 20;
            let followed = cues.get(at + 1).is_some_and(|next| next.start == cue.end);
            prop_assert!(!is_hurried || followed, "{cue:?} {:?}", cues.get(at + 1));
        }
    }

    #[test]
    fn nothing_that_could_be_said_breaks_the_format(transcript in anything()) {
        assert_sane(&transcript);
    }
}

#[test]
fn what_takes_no_room_is_no_word() {
    let nothing = segment(0.0, 1.0, "\u{feff}", None);
    assert!(assert_sane(&Transcript { segments: vec![nothing], ..Transcript::default() }).is_empty());
}

#[test]
fn parts_that_are_missing_leave_a_silence() {
    let stretch = |start, end| Stretch { start, end, reason: "worker_died".to_owned(), suspect: false };
    let transcript = Transcript {
        segments: vec![segment(0.0, 2.0, "Before.", Some(0)), segment(60.0, 62.0, "After.", Some(1))],
        gaps: vec![stretch(2.0, 40.0)],
        dropped: vec![stretch(40.0, 50.0)],
        ..Transcript::default()
    };
    let cues = assert_sane(&transcript);
    let lines: Vec<&str> = cues.iter().flat_map(|cue| &cue.lines).map(String::as_str).collect();
    assert_eq!(lines, ["[Speaker 1]: Before.", "[Speaker 2]: After."]);
    assert_eq!((cues[0].end, cues[1].start), (2000, 60_000));
}

/// How many packets an independent reader finds, and the last one's end.
fn packets(room: &Room, name: &str) -> (usize, f64) {
    let options = ["-v", "error", "-show_entries", "packet=pts_time,duration_time", "-of", "csv=p=0"];
    let output =
        std::process::Command::new("ffprobe").args(options).arg(room.path(name)).output().expect("ffprobe runs");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    let ends = text.lines().map(|line| {
        let mut fields = line.split(',').map(|field| field.parse::<f64>().expect("seconds"));
        fields.next().expect("a start") + fields.next().expect("a length")
    });
    ends.fold((0, 0.0), |(count, _), end| (count + 1, end))
}

#[test]
fn subtitles_of_a_meeting_are_read_by_others() {
    let room = room_with("talk.wav");
    let _ =
        run(&room).args(["--stt", "demo", "--no-summary", "--format", "srt,vtt,json", "talk.wav"]).run().expect_code(0);
    let cues = parse_srt(&room.text("talk.srt")).expect("well-formed");
    assert_eq!(parse_vtt(&room.text("talk.vtt")).expect("well-formed").len(), cues.len());
    let end = cues.last().expect("cues").end as f64 / 1000.0;
    for name in ["talk.srt", "talk.vtt"] {
        let (count, last) = packets(&room, name);
        assert_eq!(count, cues.len(), "{name}");
        assert!((last - end).abs() < 0.002, "{name}: {last} s and not {end} s");
    }
}
