//! The supervisor as the attacked side. A worker parses what strangers made and may be somebody else's by the time it
//! speaks: whatever it says, it is killed for a lie and not asked again, nothing of the lie is kept, what it said
//! before stays, and the supervisor stays small and awake.
#![cfg(unix)]

use std::path::Path;
use std::time::{Duration, Instant};

use meetcap_supervisor::event::EventSink;
use meetcap_supervisor::service::{Host, ModelService, SttService};
use meetcap_supervisor::worker::{Deadlines, ExitClass};
use meetcap_supervisor::{JobError, Model, Stop, Supervisor, WorkerPrograms};
use meetcap_tests::case::{ALL, Case, JOURNAL, TRANSCRIPT};
use meetcap_tests::deadline::within;
use meetcap_tests::fake::{AFTER, BEFORE, window_text};
use meetcap_tests::run::{Finished, of_kind};
use meetcap_tests::{bins, processes};

/// Lies told before any answer, in the middle of a job, and what the supervisor says of each.
const LIES_BEFORE: [(&str, &str); 13] = [
    ("loaded-before-it-was-asked", "Loaded out of phase"),
    ("hello-again", "Hello out of phase"),
    ("load-progress-while-planning", "LoadProgress out of phase"),
    ("farewell-while-planning", "Unloaded out of phase"),
    ("unit-while-loading", "UnitStarted out of phase"),
    ("load-goes-back", "the progress of a load"),
    ("load-is-no-number", "the progress of a load"),
    ("load-is-more-than-all", "the progress of a load"),
    ("load-progress-for-ever", "a thousand times"),
    ("heartbeats-for-ever", "heartbeats in the time of"),
    ("engine-commands-the-terminal", "is no name"),
    ("engine-has-a-long-name", "is no name"),
    ("unit-before-the-job", "UnitDone out of phase"),
];

const LIES_IN_ANY_JOB: [(&str, &str); 5] = [
    ("cancelled-by-nobody", "which nobody asked of it"),
    ("farewell-in-the-job", "Unloaded out of phase"),
    ("progress-is-no-number", "done with NaN"),
    ("progress-is-negative", "of -1.000"),
    ("progress-for-ever", "its progress"),
];

const LIES_ABOUT_SPEECH: [(&str, &str); 30] = [
    ("segment-outside", "outside of any window"),
    ("segment-ends-before-it-begins", "a segment from 1.900 to 1.600 s"),
    ("segment-behind-the-window", "a segment from 1.600 to 7.000 s"),
    ("segment-before-the-last", "between 1.500 and 2.000 s"),
    ("segment-is-no-number", "a segment from NaN"),
    ("segment-is-endless", "to inf s"),
    ("segment-is-too-sure", "a confidence of 7.000"),
    ("segment-is-too-long", "more than one window can hold"),
    ("segments-for-ever", "outside of any window"),
    ("words-that-nobody-asked-for", "words that nobody asked for"),
    ("words-in-disorder", "words that nobody asked for"),
    ("word-outside", "words that nobody asked for"),
    ("dropped-outside", "a dropped stretch from 40.000"),
    ("damage-is-no-number", "damage at NaN"),
    ("damage-for-ever", "more than one window can hold"),
    ("segments-without-number", "more than one window can hold"),
    ("recording-described-twice", "described the recording again"),
    ("window-skipped", "window 2 came where window 1 was due"),
    ("window-repeated", "window 0 came where window 1 was due"),
    ("window-leaves-a-hole", "behind 1.000 s"),
    ("window-without-length", "cannot lie from 1.000 to 1.000 s"),
    ("window-is-too-long", "cannot lie from 1.000 to 400.000 s"),
    ("window-is-no-number", "cannot lie from 1.000 to NaN s"),
    ("window-in-a-window", "UnitStarted out of phase"),
    ("another-window-closed", "UnitDone out of phase"),
    ("done-in-a-window", "Done out of phase"),
    ("done-with-more", "9 windows are said to be done, and 1 are"),
    ("done-with-another-length", "has 5000.000 s"),
    ("done-with-another-rate", "8000 Hz all at once"),
    ("language-commands-the-terminal", "a code that is none"),
];

const LIES_ABOUT_SUMMARIES: [(&str, &str); 12] = [
    ("count-of-no-lines", "counted 0 lines of 3"),
    ("count-of-many-lines", "counted 100000 lines of 3"),
    ("count-is-too-large", "counted 4294967295 tokens"),
    ("template-is-too-large", "4294967295 tokens without any line"),
    ("sized-instead-of-counted", "sized where it should count"),
    ("answer-in-units", "a summary has no units"),
    ("answer-for-ever", "it answered more than"),
    ("answer-in-one-piece", "it answered more than"),
    ("answer-of-nothing-for-ever", "it answered more than"),
    ("more-tokens-than-asked", "1000000 tokens of answer"),
    ("more-tokens-than-room", "4294967295"),
    ("no-room-but-an-answer", "no room for"),
];

/// Told when the answer is in: the work stands, the worker does not.
const LIES_AFTERWARDS: [(&str, &str); 3] = [
    ("done-twice", "Done out of phase"),
    ("unit-between-jobs", "UnitDone out of phase"),
    ("progress-while-leaving", "Progress out of phase"),
];

fn holds(case: &Case, name: &str, word: &str) -> bool {
    let written = std::fs::read(case.room.path(name)).expect("a file");
    written.windows(word.len()).any(|window| window == word.as_bytes())
}

/// What a program that reads the events, a person, and the disk get to see.
fn assert_clean(case: &Case, finished: &Finished, lie: &str) {
    let shown = &finished.stderr;
    assert!(shown.len() < 16 << 10, "{lie}: {} bytes of words", shown.len());
    assert!(!finished.stdout.contains(AFTER), "{lie}: it is in the events; {shown}");
    assert!(!shown.contains(AFTER), "{lie}: it is shown; {shown}");
    assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{lie}: {shown:?}");
    for name in case.room.names("") {
        assert!(!holds(case, &name, AFTER), "{lie}: it is in {name}");
    }
}

/// Runs with a lying worker: it is killed, told of, and not asked again.
fn caught(phase: &str, lie: &str, words: &str) -> (Case, Finished) {
    let case = Case::new();
    let finished = case.run(&format!("{phase} lie: {lie}")).expect_code(6).says("it broke the protocol").says(words);
    assert_clean(&case, &finished, lie);
    let events = finished.events();
    let exits = of_kind(&events, "worker_exit");
    let classes: Vec<_> = exits.iter().filter(|exit| exit["phase"] == phase).map(|exit| &exit["class"]).collect();
    assert_eq!(classes, ["killed_by_us"], "{lie}: {}", finished.stderr);
    assert_eq!(case.log().starts(phase), 1, "{lie}: a liar was asked again");
    (case, finished)
}

fn segments(finished: &Finished) -> Vec<String> {
    let events = finished.events();
    of_kind(&events, "segment").iter().map(|event| event["text"].as_str().expect("a text").to_owned()).collect()
}

#[test]
fn a_lie_before_the_work_leaves_no_trace_but_its_name() {
    for (lie, words) in LIES_BEFORE {
        let (case, finished) = caught("stt", lie, words);
        assert!(case.outputs().is_empty(), "{lie}: {:?}", case.outputs());
        case.assert_no_output_half();
        assert!(segments(&finished).is_empty(), "{lie}: {finished:#?}");
    }
}

#[test]
fn a_lie_in_the_middle_of_a_recording_loses_the_open_window_and_nothing_before() {
    for (lie, words) in LIES_IN_ANY_JOB.into_iter().chain(LIES_ABOUT_SPEECH) {
        let (case, finished) = caught("stt", lie, words);
        assert!(case.outputs().is_empty(), "{lie}: {:?}", case.outputs());
        case.assert_resumable();
        assert_eq!(segments(&finished), [BEFORE], "{lie}: {}", finished.stderr);
        assert!(holds(&case, JOURNAL, BEFORE), "{lie}: what it said before is gone");
    }
}

#[test]
fn an_honest_worker_goes_on_behind_what_a_liar_had_done() {
    let (case, _) = caught("stt", "segment-behind-the-window", "a segment from 1.600");
    let finished = case.run("windows: 3").expect_code(0);
    assert_eq!(segments(&finished), [BEFORE, &window_text(1), &window_text(2)]);
    assert_eq!(case.outputs(), ALL);
    case.assert_nothing_half();
}

#[test]
fn words_that_were_asked_for_are_judged_as_well() {
    for (lie, words) in [("words-in-disorder", "a word from 1.500"), ("word-outside", "a word from 0.100")] {
        let case = Case::new();
        let finished = case.events(&format!("stt lie: {lie}")).arg("--words").run().expect_code(6).says(words);
        assert_clean(&case, &finished, lie);
        assert_eq!(segments(&finished), [BEFORE], "{lie}");
    }
}

#[test]
fn a_lie_in_a_summary_leaves_the_transcript_alone() {
    for (lie, words) in LIES_IN_ANY_JOB.into_iter().chain(LIES_ABOUT_SUMMARIES).chain(LIES_BEFORE) {
        let (case, _) = caught("llm", lie, words);
        assert_eq!(case.outputs(), TRANSCRIPT, "{lie}");
    }
}

#[test]
fn a_lie_after_the_answer_costs_the_worker_and_not_the_work() {
    let after = [("segment-after-done", "Item out of phase")];
    for (lie, words) in LIES_AFTERWARDS.into_iter().chain(after) {
        let case = Case::new();
        let command = case.room.scripted(&format!("stt lie: {lie}")).args(["run", "talk.wav", "--stt", "speech.bin"]);
        let finished = command.args(["--no-summary", "--events", "jsonl"]).run().expect_code(0).says(words);
        assert_clean(&case, &finished, lie);
        assert_eq!(case.outputs(), TRANSCRIPT, "{lie}");
        assert_eq!(case.room.text("talk.transcript.txt"), format!("{BEFORE}\n"), "{lie}");
    }
    for (lie, words) in LIES_AFTERWARDS.into_iter().chain([("delta-after-done", "Item out of phase")]) {
        let case = Case::new();
        let finished = case.run(&format!("llm lie: {lie}")).expect_code(0).says(words);
        assert_clean(&case, &finished, lie);
        assert_eq!(case.outputs(), ALL, "{lie}");
        assert!(case.room.text("talk.summary.md").contains(BEFORE), "{lie}");
    }
}

#[test]
fn what_a_worker_says_commands_no_terminal() {
    let case = Case::new();
    let finished =
        case.run("stt lie: fault-commands-the-terminal").expect_code(3).says("it is broken]0;owned and has lines");
    assert_clean(&case, &finished, "a fault");
    let case = Case::new();
    let finished = case.run("llm lie: delta-commands-the-terminal").expect_code(0);
    assert_clean(&case, &finished, "an answer");
    let events = finished.events();
    let told: String = of_kind(&events, "summary_delta").iter().filter_map(|event| event["text"].as_str()).collect();
    assert!(told.contains("2J done") && !told.contains(|c: char| c.is_control() && c != '\n'), "{told:?}");
}

/// Bounds of row 21.
const MOST_MEMORY_KIB: u64 = 16 << 10;
const SOON: Duration = Duration::from_secs(20);

#[cfg(target_os = "linux")]
#[test]
fn a_flood_does_not_make_the_supervisor_large() {
    let floods = [
        ("stt", "segments-for-ever"),
        ("stt", "segments-without-number"),
        ("stt", "full-windows"),
        ("stt", "progress-for-ever"),
        ("stt", "heartbeats-for-ever"),
        ("stt", "load-progress-for-ever"),
        ("stt", "damage-for-ever"),
        ("llm", "answer-for-ever"),
        ("llm", "answer-of-nothing-for-ever"),
        ("llm", "count-of-many-lines"),
    ];
    for (phase, flood) in floods {
        let case = Case::new();
        let running = case.events(&format!("{phase} lie: {flood}")).within(SOON).start();
        let (mut most, mut looks) = (0, 0_u32);
        while !running.ends_within(Duration::from_micros(500)) {
            if let Some(now) = processes::memory_kib(running.pid, "RssAnon") {
                (most, looks) = (most.max(now), looks + 1);
            }
        }
        let finished = running.finish().expect_code(6).says("it broke the protocol");
        println!("{flood}: {most} KiB at most in {looks} looks, {:?}", finished.took);
        assert!(most > 0 && most <= MOST_MEMORY_KIB, "{flood}: {most} KiB");
    }
}

/// A supervisor's shared parts, with workers that are links in the case's room, each with its script beside it.
fn host(case: &Case, script: &str) -> Host {
    for program in [bins::FAKE_STT, bins::FAKE_LLM] {
        std::os::unix::fs::symlink(bins::find(program), case.room.path(program)).expect("a link");
        case.room.file(&format!("{program}.script"), script);
    }
    let (stt, llm) = (Some(case.room.path(bins::FAKE_STT)), Some(case.room.path(bins::FAKE_LLM)));
    let deadlines = Deadlines {
        connect: Duration::from_secs(4),
        heartbeat: Duration::from_millis(50),
        silence: Duration::from_millis(800),
        farewell: Duration::from_secs(4),
        release: Duration::from_millis(50),
        ..Deadlines::default()
    };
    let programs = WorkerPrograms { stt, llm, ..WorkerPrograms::default() };
    let supervisor = Supervisor::builder().programs(programs).deadlines(deadlines).build();
    supervisor.host(EventSink::none(), &Stop::default())
}

fn service(host: Host, audio: &Path, case: &Case) -> SttService {
    SttService::new(host, Model::from_path(case.room.path("speech.bin")), audio.to_path_buf(), 1)
}

/// On one thread, where whoever does not let others have their turn has it alone.
fn alone<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

#[test]
fn a_worker_that_talks_without_end_keeps_nobody_from_their_turn() {
    within(SOON, || {
        let (talker, other) = (Case::new(), Case::new());
        let audio = talker.room.path("talk.wav");
        let mut talks = service(host(&talker, "stt lie: heartbeats-after-the-farewell"), &audio, &talker);
        let mut works = service(host(&other, "windows: 5"), &other.room.path("talk.wav"), &other);
        let (left, done) = alone(async {
            talks.load_model().await.expect("loaded");
            talks.transcribe(None, 0, |_| Ok(())).await.expect("transcribed");
            talks.acknowledge().await.expect("acknowledged");
            tokio::join!(
                async {
                    let exit = talks.unload_model().await.expect("a worker");
                    assert!(matches!(exit.class, ExitClass::KilledByUs { .. }), "{exit}");
                    Instant::now()
                },
                async {
                    works.load_model().await.expect("loaded beside it");
                    works.transcribe(None, 0, |_| Ok(())).await.expect("transcribed beside it");
                    works.acknowledge().await.expect("acknowledged");
                    Instant::now()
                }
            )
        });
        // Four seconds of patience with the one, and some tenths of one for the other's work.
        assert!(done < left, "the other waited {:?} longer", done.duration_since(left));
    });
}

#[test]
fn a_peer_that_sends_a_byte_in_a_while_is_cut_at_the_deadline() {
    within(SOON, || {
        // The preamble has two seconds, and then is hung up on. Who is in may be silent for as long as a hung worker.
        type Expected = fn(&ExitClass) -> bool;
        let peers: [(&str, Duration, Expected); 2] = [
            ("slow-preamble", Duration::from_secs(2), |class| *class == ExitClass::Code(70)),
            ("slow-hello", Duration::from_millis(800), |class| matches!(class, ExitClass::Deadline { .. })),
        ];
        for (trick, cut, expected) in peers {
            let case = Case::new();
            let mut stt = service(host(&case, &format!("raw: {trick}")), &case.room.path("talk.wav"), &case);
            let started = Instant::now();
            let error = alone(stt.load_model()).expect_err(trick);
            let JobError::Worker(exit) = &error else { panic!("{trick}: {error:?}") };
            assert!(expected(&exit.class), "{trick}: {exit}");
            let took = started.elapsed();
            assert!(took >= cut && took < cut + Duration::from_secs(2), "{trick}: {took:?}");
            assert!(processes::workers_in(case.room.folder()).is_empty(), "{trick}");
        }
    });
}

#[test]
fn output_without_an_end_ends_the_worker() {
    let case = Case::new();
    // Half as much again as any log has.
    let finished = case.run("stt window 1: spam 100000000").expect_code(6).says("more to its output");
    assert_eq!(segments(&finished), [window_text(0)]);
    assert_eq!(case.log().starts("stt"), 1);
}
