use meetcap_protocol::WirePath;
use meetcap_protocol::payload::stt::DropReason;

use super::*;

fn job(first_unit: u64, words: bool) -> SttJob {
    SttJob { first_unit, words, ..SttJob::new(WirePath::from(std::path::Path::new("a.wav"))) }
}

fn judge() -> SpeechJudge {
    SpeechJudge::new(&job(0, true), 0)
}

/// In the middle of the first window, from 0 to 30 s.
fn within_a_window() -> SpeechJudge {
    let mut judge = judge();
    judge.unit_started(0, 0.0, 30.0).expect("the first window");
    judge
}

fn segment(start: f64, end: f64) -> SttItem {
    SttItem::Segment(Segment::new(start, end, "secret words"))
}

fn info(sample_rate: u32, channels: u16, duration: Option<f64>) -> SttItem {
    SttItem::Audio(AudioInfo { sample_rate, channels, duration })
}

fn output(units: u64, duration: f64) -> SttOutput {
    SttOutput { sample_rate: 44_100, duration, language: "en".to_owned(), units }
}

#[test]
fn what_an_engine_tells_is_taken() {
    let mut judge = judge();
    judge.item(info(44_100, 2, Some(10.0))).expect("longer than its header says");
    for unit in 0..40_u64 {
        let start = unit as f64 * 29.5;
        judge.unit_started(unit, start, start + 29.5).expect("the next window");
        let damaged = SttItem::Damaged { at: start - 0.7, detail: "a bad\u{1b} frame".to_owned() };
        let tame = SttItem::Damaged { at: start - 0.7, detail: "a bad frame".to_owned() };
        if unit > 0 {
            assert_eq!(judge.item(damaged), Ok(tame));
        }
        judge.item(segment(start, start + 2.0)).expect("a segment");
        judge.item(segment(start + 2.0, start + 2.0)).expect("one without a length");
        judge.item(segment(start + 20.0, start + 29.5)).expect("up to the end");
        let reason = DropReason::NoText;
        judge.item(SttItem::Dropped { start: start + 3.0, end: start + 9.0, reason }).expect("told afterwards");
        judge.progress(start + 29.5, Some(1180.0)).expect("progress");
        judge.unit_done();
    }
    assert_eq!(judge.done(&output(40, 1180.01)), Ok(()));
}

#[test]
fn a_job_that_skips_windows_begins_where_it_was_told_to() {
    let mut judge = SpeechJudge::new(&job(17, false), 0);
    assert!(judge.unit_started(0, 0.0, 1.0).is_err());
    judge.unit_started(17, 480.0, 500.0).expect("anywhere");
    judge.unit_done();
    assert!(judge.unit_started(18, 480.0, 500.0).is_err(), "it has to follow");
    assert_eq!(judge.done(&output(18, 500.0)), Ok(()));
    assert_eq!(SpeechJudge::new(&job(17, false), 0).done(&output(17, 500.0)), Ok(()), "nothing was left to do");
}

#[test]
fn windows_follow_each_other_and_are_no_longer_than_windows_are() {
    for (unit, start, end) in [
        (1, 0.0, 30.0),
        (u64::MAX, 0.0, 30.0),
        (0, 1.0, 30.0),
        (0, -1.0, 30.0),
        (0, 0.0, 0.0),
        (0, 0.0, -1.0),
        (0, 0.0, 301.0),
        (0, f64::NAN, 30.0),
        (0, 0.0, f64::NAN),
        (0, 0.0, f64::INFINITY),
        (0, f64::NEG_INFINITY, 30.0),
    ] {
        assert!(judge().unit_started(unit, start, end).is_err(), "{unit}: {start} to {end}");
    }
    let mut judge = within_a_window();
    judge.unit_done();
    assert!(judge.unit_started(1, 29.0, 40.0).is_err(), "overlaps");
    assert!(judge.unit_started(1, 31.0, 40.0).is_err(), "leaves a hole");
    assert!(judge.unit_started(0, 0.0, 30.0).is_err(), "again");
    judge.unit_started(1, 30.0, 330.0).expect("the longest");
}

#[test]
fn segments_lie_in_their_window_one_after_the_other() {
    for (start, end) in [
        (10.0, 9.0),
        (-1.0, 2.0),
        (29.0, 31.0),
        (f64::NAN, 3.0),
        (1.0, f64::NAN),
        (1.0, f64::INFINITY),
        (f64::NEG_INFINITY, 1.0),
    ] {
        assert!(within_a_window().item(segment(start, end)).is_err(), "{start} to {end}");
        let dropped = SttItem::Dropped { start, end, reason: DropReason::Silence };
        assert!(within_a_window().item(dropped).is_err(), "{start} to {end}");
    }
    let mut judge = within_a_window();
    judge.item(segment(5.0, 10.0)).expect("a segment");
    let error = judge.item(segment(8.0, 12.0)).expect_err("it begins before the last one ended");
    assert!(!error.to_string().contains("secret"), "{error}");
    assert!(SpeechJudge::new(&job(0, false), 0).item(segment(0.0, 1.0)).is_err(), "outside of any window");
}

#[test]
fn words_are_asked_for_and_lie_in_their_segment_in_order() {
    let word = |start, end, confidence| Word { start, end, text: "secret".into(), confidence };
    let item = |words| SttItem::Segment(Segment { words, ..Segment::new(1.0, 5.0, "secret") });
    let good = vec![word(1.0, 2.0, Some(0.5)), word(2.0, 5.0, Some(f32::NAN))];
    let Ok(SttItem::Segment(taken)) = within_a_window().item(item(good.clone())) else { panic!("taken") };
    assert_eq!(taken.words.iter().map(|word| word.confidence).collect::<Vec<_>>(), [Some(0.5), None]);
    let mut unasked = SpeechJudge::new(&job(0, false), 0);
    unasked.unit_started(0, 0.0, 30.0).expect("a window");
    assert!(unasked.item(item(good)).is_err(), "nobody asked");
    for words in [
        vec![word(0.5, 2.0, None)],
        vec![word(1.0, 6.0, None)],
        vec![word(3.0, 2.0, None)],
        vec![word(1.0, 3.0, None), word(2.0, 4.0, None)],
        vec![word(f64::NAN, 2.0, None)],
        vec![word(1.0, 2.0, Some(1.5))],
    ] {
        assert!(within_a_window().item(item(words.clone())).is_err(), "{words:?}");
    }
    let unsure = SttItem::Segment(Segment { confidence: Some(-0.5), ..Segment::new(1.0, 2.0, "secret") });
    assert!(within_a_window().item(unsure).is_err());
}

#[test]
fn a_window_holds_what_a_window_can_hold() {
    let mut judge = SpeechJudge::new(&job(0, true), u64::MAX);
    judge.unit_started(0, 0.0, 30.0).expect("a window");
    let taken = (0..).take_while(|_| judge.item(segment(1.0, 1.0)).is_ok()).count() as u64;
    assert_eq!(taken, WINDOW / (ITEM + TEXT * 12));
    let long = SttItem::Segment(Segment::new(1.0, 2.0, "x".repeat(1 << 19)));
    assert!(within_a_window().item(long).is_err());
    let words = vec![Word { start: 1.0, end: 1.0, text: "a".into(), confidence: None }; 9_000];
    let many = SttItem::Segment(Segment { words, ..Segment::new(1.0, 2.0, "a") });
    assert!(within_a_window().item(many).is_err());
    let mut judge = within_a_window();
    let damaged = || SttItem::Damaged { at: 1.0, detail: "x".repeat(1 << 20) };
    assert!((0..100).any(|_| judge.item(damaged()).is_err()), "damage without an end");
}

#[test]
fn a_recording_holds_no_more_than_its_size_allows() {
    let windows = |size: u64| {
        let mut judge = SpeechJudge::new(&job(0, false), size);
        (0_u64..)
            .take_while(|unit| {
                let start = *unit as f64;
                let began = judge.unit_started(*unit, start, start + 1.0);
                judge.unit_done();
                began.is_ok()
            })
            .count() as u64
    };
    assert_eq!(windows(0), RECORDING / UNIT, "four thousand windows of any recording");
    assert_eq!(windows(1 << 20), (RECORDING + (1 << 19)) / UNIT);
}

#[test]
fn ten_hours_of_fast_talk_at_eight_kilobits_are_no_lie() {
    let seconds = 10 * 3600;
    let mut judge = SpeechJudge::new(&job(0, true), seconds * 1000);
    for unit in 0..seconds / 30 {
        let start = unit as f64 * 30.0;
        judge.unit_started(unit, start, start + 30.0).expect("a window");
        for part in 0..6 {
            let at = start + f64::from(part) * 5.0;
            let word = |_| Word { start: at, end: at, text: "wordy".into(), confidence: None };
            let words = (0..15).map(word).collect();
            let item = SttItem::Segment(Segment { words, ..Segment::new(at, at + 5.0, "wordy ".repeat(15)) });
            judge.item(item).expect("three words a second");
        }
        judge.unit_done();
    }
}

#[test]
fn the_recording_is_described_once_before_its_windows() {
    for odd in [
        info(0, 1, None),
        info(999, 1, None),
        info(u32::MAX, 1, None),
        info(16_000, 0, None),
        info(16_000, 1, Some(f64::NAN)),
        info(16_000, 1, Some(-1.0)),
        info(16_000, 1, Some(f64::INFINITY)),
    ] {
        assert!(judge().item(odd.clone()).is_err(), "{odd:?}");
    }
    let mut judge = judge();
    judge.item(info(16_000, 1, None)).expect("once");
    assert!(judge.item(info(16_000, 1, None)).is_err(), "again");
    assert!(within_a_window().item(info(16_000, 1, None)).is_err(), "in a window");
}

#[test]
fn damage_has_a_place_in_time() {
    for at in [f64::NAN, -1.0, f64::INFINITY, 1e12] {
        let item = SttItem::Damaged { at, detail: String::new() };
        assert!(within_a_window().item(item).is_err(), "{at}");
    }
    assert!(judge().item(SttItem::Damaged { at: 0.0, detail: String::new() }).is_err(), "outside of any window");
}

#[test]
fn progress_is_a_number_and_not_told_for_ever() {
    for (done, total) in [(f64::NAN, None), (-1.0, None), (1.0, Some(f64::NAN)), (1.0, Some(-1.0)), (1e300, None)] {
        assert!(judge().progress(done, total).is_err(), "{done} of {total:?}");
    }
    let mut judge = within_a_window();
    assert_eq!((0..1000).take_while(|_| judge.progress(1.0, None).is_ok()).count(), 64);
}

#[test]
fn the_account_at_the_end_fits_what_was_said() {
    let heard = || {
        let mut judge = judge();
        judge.item(info(44_100, 2, None)).expect("described");
        judge.unit_started(0, 0.0, 30.0).expect("a window");
        judge.unit_done();
        judge
    };
    assert_eq!(heard().done(&output(1, 30.2)), Ok(()));
    let lies = [
        output(2, 30.0),
        output(0, 30.0),
        output(1, 25.0),
        output(1, 3000.0),
        output(1, f64::NAN),
        SttOutput { sample_rate: 16_000, ..output(1, 30.0) },
        SttOutput { sample_rate: 0, ..output(1, 30.0) },
        SttOutput { language: String::new(), ..output(1, 30.0) },
        SttOutput { language: "e\u{1b}[2J".to_owned(), ..output(1, 30.0) },
        SttOutput { language: "x".repeat(65), ..output(1, 30.0) },
    ];
    for lie in lies {
        assert!(heard().done(&lie).is_err(), "{lie:?}");
    }
}
