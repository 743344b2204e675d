//! What only a worker that was taken over says: well-formed frames, in number, that cannot be true where they stand.
//!
//! The script names one with the step `lie`. Before it the worker is honest, and behind it as well, as if nothing had
//! happened: what it says then carries [`AFTER`], so that a test can see that nothing of it was taken.

use std::iter::{repeat_n, repeat_with};

use meetcap_protocol::payload::Role;
use meetcap_protocol::payload::llm::{Finish, Llm, LlmCount, LlmItem, LlmOutput, LlmPlanReport, LlmSize};
use meetcap_protocol::payload::stt::{AudioInfo, DropReason, Segment, Stt, SttItem, SttOutput, Word};
use meetcap_protocol::version::BuildVersion;
use meetcap_protocol::{FaultKind, FromWorker, LoadReport, SandboxStatus, WorkerFault, WorkerHello};

use super::Scripted;

/// In every text that comes with a lie or behind it.
pub const AFTER: &str = "said-with-a-lie-or-after-it";
/// In every text that comes before.
pub const BEFORE: &str = "said-before-any-lie";

/// When the lie is told, in one write with what is honest there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Behind the Hello, unasked.
    Connected,
    /// When it was asked to plan, before the answer; the same below.
    Planning,
    Loading,
    /// Behind the answer, unasked.
    Loaded,
    Working,
    /// Behind the final frame.
    Answered,
    /// When that was acknowledged, unasked.
    Acknowledged,
    Leaving,
    /// Behind the farewell.
    Gone,
}

/// A lie.
#[derive(Debug)]
pub struct Lie<R: Role> {
    pub(super) place: Place,
    pub(super) messages: Vec<FromWorker<R>>,
    /// Told again and again until nobody listens.
    pub(super) endless: bool,
}

impl<R: Role> Lie<R> {
    fn once(place: Place, messages: impl IntoIterator<Item = FromWorker<R>>) -> Self {
        Self { place, messages: messages.into_iter().collect(), endless: false }
    }

    fn for_ever(place: Place, message: FromWorker<R>) -> Self {
        Self { place, messages: vec![message], endless: true }
    }
}

fn engine(name: &str) -> LoadReport {
    LoadReport { engine: name.to_owned(), device: "cpu".to_owned() }
}

/// Lies that either role can tell.
pub(super) fn of_any<E: Scripted>(name: &str) -> Option<Lie<E::Role>> {
    use FromWorker as From;
    use Place as P;
    let load = |fraction| From::LoadProgress { fraction };
    let progress = |done, total| From::Progress { done, total };
    let fault = |kind, detail: &str| From::Fault(WorkerFault::new(kind, detail));
    let (build, pid, sandbox) = (BuildVersion::CURRENT, std::process::id(), SandboxStatus::Full);
    Some(match name {
        "loaded-before-it-was-asked" => Lie::once(P::Connected, [From::Loaded(engine("fake"))]),
        "hello-again" => Lie::once(P::Planning, [From::Hello(WorkerHello { build, pid, sandbox })]),
        "load-progress-while-planning" => Lie::once(P::Planning, [load(0.5)]),
        "farewell-while-planning" => Lie::once(P::Planning, [From::Unloaded]),
        "unit-while-loading" => Lie::once(P::Loading, [From::UnitStarted { unit: 0, start: 0.0, end: 1.0 }]),
        "load-goes-back" => Lie::once(P::Loading, [load(0.5), load(0.25)]),
        "load-is-no-number" => Lie::once(P::Loading, [load(f32::NAN)]),
        "load-is-more-than-all" => Lie::once(P::Loading, [load(1.5)]),
        "load-progress-for-ever" => Lie::for_ever(P::Loading, load(0.5)),
        "heartbeats-for-ever" => Lie::for_ever(P::Loading, From::Heartbeat),
        "engine-commands-the-terminal" => Lie::once(P::Loading, [From::Loaded(engine("\u{1b}[2Jowned"))]),
        "engine-has-a-long-name" => Lie::once(P::Loading, [From::Loaded(engine(&"x".repeat(100_000)))]),
        "unit-before-the-job" => Lie::once(P::Loaded, [From::UnitDone { unit: 0 }]),
        "done-before-the-job" => Lie::once(P::Loaded, [From::Done(E::honest().1)]),
        "cancelled-by-nobody" => Lie::once(P::Working, [fault(FaultKind::Cancelled, "stopped on request")]),
        "farewell-in-the-job" => Lie::once(P::Working, [From::Unloaded]),
        "progress-is-no-number" => Lie::once(P::Working, [progress(f64::NAN, None)]),
        "progress-is-negative" => Lie::once(P::Working, [progress(1.0, Some(-1.0))]),
        "progress-for-ever" => Lie::for_ever(P::Working, progress(1.0, None)),
        "done-twice" => Lie::once(P::Answered, [From::Done(E::honest().1)]),
        "unit-between-jobs" => Lie::once(P::Acknowledged, [From::UnitDone { unit: 0 }]),
        "progress-while-leaving" => Lie::once(P::Leaving, [progress(1.0, None)]),
        "heartbeats-after-the-farewell" => Lie::for_ever(P::Gone, From::Heartbeat),
        "fault-commands-the-terminal" => {
            let words = "it is broken\u{1b}]0;owned\u{7}\u{202e} and\nhas lines ";
            Lie::once(P::Working, [fault(FaultKind::BadInput, &words.repeat(20_000))])
        }
        _ => return None,
    })
}

fn unit(unit: u64, start: f64, end: f64) -> FromWorker<Stt> {
    FromWorker::UnitStarted { unit, start, end }
}

fn segment(start: f64, end: f64) -> Segment {
    Segment::new(start, end, AFTER)
}

/// A second of the recording.
pub(super) fn honest_speech() -> (Vec<FromWorker<Stt>>, SttOutput) {
    let messages = vec![
        FromWorker::Item(SttItem::Audio(AudioInfo { sample_rate: 16_000, channels: 1, duration: Some(1.0) })),
        unit(0, 0.0, 1.0),
        FromWorker::Item(SttItem::Segment(Segment::new(0.0, 1.0, BEFORE))),
        FromWorker::UnitDone { unit: 0 },
    ];
    (messages, SttOutput { sample_rate: 16_000, duration: 1.0, language: "en".to_owned(), units: 1 })
}

/// Told in the second window, unless it is about windows; that window is then closed as if all were well.
pub(super) fn of_speech(name: &str) -> Option<Lie<Stt>> {
    let working = |messages: Vec<FromWorker<Stt>>| Lie::once(Place::Working, messages);
    let item = FromWorker::<Stt>::Item;
    let in_window = |lies: Vec<SttItem>| {
        let opened = [unit(1, 1.0, 2.0), item(SttItem::Segment(segment(1.0, 1.5)))];
        working(
            opened.into_iter().chain(lies.into_iter().map(item)).chain([FromWorker::UnitDone { unit: 1 }]).collect(),
        )
    };
    let said = |segment: Segment| in_window(vec![SttItem::Segment(segment)]);
    let (_, honest) = honest_speech();
    let done = |output: SttOutput| working(vec![FromWorker::Done(output)]);
    let words = |words: Vec<(f64, f64)>| {
        let word = |(start, end)| Word { start, end, text: AFTER.into(), confidence: None };
        said(Segment { words: words.into_iter().map(word).collect(), ..segment(1.5, 2.0) })
    };
    Some(match name {
        "segment-outside" => working(vec![item(SttItem::Segment(segment(1.0, 1.5)))]),
        "segment-ends-before-it-begins" => said(segment(1.9, 1.6)),
        "segment-behind-the-window" => said(segment(1.6, 7.0)),
        "segment-before-the-last" => said(segment(1.1, 1.9)),
        "segment-is-no-number" => said(segment(f64::NAN, 2.0)),
        "segment-is-endless" => said(segment(1.6, f64::INFINITY)),
        "segment-is-too-sure" => said(Segment { confidence: Some(7.0), ..segment(1.6, 1.8) }),
        "segment-is-too-long" => said(Segment::new(1.6, 1.8, AFTER.repeat(35_000))),
        "segments-for-ever" => Lie::for_ever(Place::Working, item(SttItem::Segment(segment(1.0, 1.0)))),
        "segments-without-number" => in_window(repeat_n(SttItem::Segment(segment(1.5, 1.5)), 20_000).collect()),
        // Each holds what a window can hold.
        "full-windows" => {
            let window = |number: u32| {
                let (start, end) = (f64::from(number), f64::from(number) + 1.0);
                let said = item(SttItem::Segment(Segment::new(start, end, BEFORE.repeat(9_000))));
                [unit(number.into(), start, end), said, FromWorker::UnitDone { unit: number.into() }]
            };
            working((1..40).flat_map(window).collect())
        }
        "words-that-nobody-asked-for" => words(vec![(1.5, 1.6)]),
        "words-in-disorder" => words(vec![(1.8, 1.9), (1.5, 1.6)]),
        "word-outside" => words(vec![(0.1, 0.2)]),
        "dropped-outside" => in_window(vec![SttItem::Dropped { start: 40.0, end: 41.0, reason: DropReason::NoText }]),
        "damage-is-no-number" => in_window(vec![SttItem::Damaged { at: f64::NAN, detail: AFTER.to_owned() }]),
        "damage-for-ever" => {
            let damage = || SttItem::Damaged { at: 1.0, detail: AFTER.repeat(1000) };
            in_window(repeat_with(damage).take(200).collect())
        }
        "recording-described-twice" => {
            let info = AudioInfo { sample_rate: 16_000, channels: 1, duration: None };
            working(vec![item(SttItem::Audio(info))])
        }
        "window-skipped" => working(vec![unit(2, 2.0, 3.0), FromWorker::UnitDone { unit: 2 }]),
        "window-repeated" => working(vec![unit(0, 0.0, 1.0), FromWorker::UnitDone { unit: 0 }]),
        "window-leaves-a-hole" => working(vec![unit(1, 5.0, 6.0), FromWorker::UnitDone { unit: 1 }]),
        "window-without-length" => working(vec![unit(1, 1.0, 1.0), FromWorker::UnitDone { unit: 1 }]),
        "window-is-too-long" => working(vec![unit(1, 1.0, 400.0), FromWorker::UnitDone { unit: 1 }]),
        "window-is-no-number" => working(vec![unit(1, 1.0, f64::NAN), FromWorker::UnitDone { unit: 1 }]),
        "window-in-a-window" => working(vec![unit(1, 1.0, 2.0), unit(2, 2.0, 3.0)]),
        "another-window-closed" => working(vec![unit(1, 1.0, 2.0), FromWorker::UnitDone { unit: 7 }]),
        "done-in-a-window" => working(vec![unit(1, 1.0, 2.0), FromWorker::Done(honest)]),
        "done-with-more" => done(SttOutput { units: 9, ..honest }),
        "done-with-another-length" => done(SttOutput { duration: 5000.0, ..honest }),
        "done-with-another-rate" => done(SttOutput { sample_rate: 8_000, ..honest }),
        "language-commands-the-terminal" => done(SttOutput { language: "e\u{1b}[2J".to_owned(), ..honest }),
        "segment-after-done" => Lie::once(Place::Answered, [item(SttItem::Segment(segment(0.0, 1.0)))]),
        _ => return None,
    })
}

/// An answer.
pub(super) fn honest_answer() -> (Vec<FromWorker<Llm>>, LlmOutput) {
    let text = format!("## Meeting Title\n{BEFORE}\n\n## Summary\n{BEFORE}\n");
    let messages = vec![FromWorker::Item(LlmItem::Delta(text.as_str().into()))];
    (messages, LlmOutput { finish: Finish::EndOfText, prompt_tokens: 80, thought_tokens: 0, answer_tokens: 60 })
}

pub(super) fn of_summaries(name: &str) -> Option<Lie<Llm>> {
    let (_, honest) = honest_answer();
    let planning = |report| Lie::once(Place::Planning, [FromWorker::<Llm>::Planned(report)]);
    let counted = |count| planning(LlmPlanReport::Counted(count));
    let done = |output| Lie::once(Place::Working, [FromWorker::<Llm>::Done(output)]);
    let delta = |text: &str| FromWorker::<Llm>::Item(LlmItem::Delta(text.into()));
    Some(match name {
        "count-of-no-lines" => counted(LlmCount::default()),
        "count-of-many-lines" => counted(LlmCount { lines: vec![1; 100_000], ..LlmCount::default() }),
        "count-is-too-large" => counted(LlmCount { lines: vec![u32::MAX; 3], ..LlmCount::default() }),
        "template-is-too-large" => counted(LlmCount { overhead: u32::MAX, lines: vec![5; 3], ..LlmCount::default() }),
        "sized-instead-of-counted" => planning(LlmPlanReport::Sized(vec![LlmSize::default()])),
        "answer-in-units" => Lie::once(Place::Working, [FromWorker::UnitStarted { unit: 0, start: 0.0, end: 1.0 }]),
        // Up to what there can be of it, an answer is one.
        "answer-for-ever" => Lie::for_ever(Place::Working, delta(BEFORE)),
        "answer-in-one-piece" => Lie::once(Place::Working, [delta(&AFTER.repeat(35_000))]),
        "answer-of-nothing-for-ever" => Lie::for_ever(Place::Working, delta("")),
        "more-tokens-than-asked" => done(LlmOutput { answer_tokens: 1_000_000, ..honest }),
        "more-tokens-than-room" => done(LlmOutput { thought_tokens: u32::MAX, ..honest }),
        "no-room-but-an-answer" => done(LlmOutput { finish: Finish::NoRoom, ..honest }),
        "delta-after-done" => Lie::once(Place::Answered, [delta(AFTER)]),
        "delta-commands-the-terminal" => Lie::once(Place::Working, [delta("\u{1b}]0;owned\u{7}\u{9b}2J done")]),
        _ => return None,
    })
}
