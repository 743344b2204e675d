//! `meetcap-supervisor` as people use it: real workers with the bundled tiny models, on speech that the tests make.
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use meetcap_tests::meeting::{self, Sentence};
use meetcap_tests::rng::Rng;
use meetcap_tests::room::{Room, names};
use meetcap_tests::run::{Finished, Invocation, of_kind};
use meetcap_tests::speech::{convert, speak};
use meetcap_tests::wav::Mono;
use meetcap_tests::wer::WordErrors;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// One meeting, spoken once for all tests.
struct Meeting {
    folder: tempfile::TempDir,
    sentences: Vec<Sentence>,
}

impl Meeting {
    fn wav(&self) -> PathBuf {
        self.folder.path().join("meeting.wav")
    }
}

fn spoken() -> &'static Meeting {
    static MEETING: OnceLock<Meeting> = OnceLock::new();
    MEETING.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut rng = Rng::fresh("the meeting of this suite");
        let sentences = meeting::meeting(&mut rng, 7);
        speak(&sentences, &mut rng, &folder.path().join("meeting.wav"));
        Meeting { folder, sentences }
    })
}

/// A room with the meeting in it, under this name.
fn room_with(name: &str) -> Room {
    let room = Room::new();
    std::fs::copy(spoken().wav(), room.path(name)).expect("a copy");
    room
}

fn demo(room: &Room) -> Invocation {
    run(room).args(["--stt", "demo", "--llm", "demo"])
}

fn run(room: &Room) -> Invocation {
    room.supervisor().within(Duration::from_secs(120)).args(["run", "--threads", "1"])
}

fn json_of(room: &Room, name: &str) -> Value {
    serde_json::from_str(&room.text(name)).expect("JSON")
}

fn assert_heard(text: &str, file: &str) {
    let said = meeting::text(&spoken().sentences);
    let errors = WordErrors::between(&said, text);
    assert!(errors.percent() <= 2.0, "{file}: {errors:?}\nsaid:  {said}\nheard: {text}");
}

/// The lines under a heading.
fn section<'a>(markdown: &'a str, heading: &str) -> Vec<&'a str> {
    let start = format!("## {heading}");
    let lines = markdown.lines().skip_while(|line| *line != start).skip(1);
    lines.take_while(|line| !line.starts_with("## ") && *line != "---").filter(|line| !line.is_empty()).collect()
}

#[test]
fn every_usual_format_is_transcribed() {
    let forms: [(&str, &[&str], u32); 6] = [
        ("stereo.wav", &["-ar", "44100", "-ac", "2"], 44_100),
        ("lossless.flac", &["-ar", "48000"], 48_000),
        ("music.mp3", &["-ar", "44100", "-b:a", "128k"], 44_100),
        ("phone.m4a", &["-ar", "44100", "-c:a", "aac", "-b:a", "96k"], 44_100),
        ("free.ogg", &["-ar", "44100", "-c:a", "libvorbis", "-q:a", "5"], 44_100),
        ("deep.wav", &["-ar", "16000", "-c:a", "pcm_s24le"], 16_000),
    ];
    let room = room_with("mono.wav");
    for (name, options, _) in forms {
        convert(&spoken().wav(), options, &room.path(name));
    }
    let files = ["mono.wav"].into_iter().chain(forms.iter().map(|form| form.0));
    let _ = run(&room).args(["--stt", "demo", "--no-summary"]).args(files).run().expect_code(0);
    assert_heard(&room.text("mono.transcript.txt"), "mono.wav");
    for (name, _, rate) in forms {
        let stem = name.split('.').next().expect("a stem");
        assert_heard(&room.text(&format!("{stem}.transcript.txt")), name);
        let transcript = json_of(&room, &format!("{stem}.transcript.json"));
        assert_eq!(transcript["sample_rate"], rate, "{name}");
        let seconds = Mono::read(&spoken().wav()).samples.len() as f64 / 16_000.0;
        let duration = transcript["duration"].as_f64().expect("a number");
        assert!((duration - seconds).abs() < 0.3, "{name}: {duration} s of {seconds} s");
    }
}

#[test]
fn a_telephone_recording_just_works() {
    let room = Room::new();
    convert(&spoken().wav(), &["-ar", "8000"], &room.path("call.wav"));
    let _ = run(&room).args(["--stt", "demo", "--no-summary", "call.wav"]).run().expect_code(0);
    assert_eq!(json_of(&room, "call.transcript.json")["sample_rate"], 8000);
    assert!(!room.text("call.transcript.txt").is_empty());
}

#[test]
fn names_with_dots_blanks_and_umlauts_stay_what_they_are() {
    for name in ["a.b c — ü.wav", "-dash.wav", "会議.WAV", "it's \"quoted\" $HOME.wav"] {
        let room = room_with(name);
        let _ = demo(&room).args(["--format", "srt,vtt,txt,json", "--", name]).run().expect_code(0);
        let stem = &name[..name.len() - 4];
        let endings = ["WAV", "run.json", "srt", "summary.md", "transcript.json", "transcript.txt", "vtt", "wav"];
        let expected: Vec<String> = endings
            .iter()
            .filter(|ending| !ending.eq_ignore_ascii_case("wav") || name.ends_with(*ending))
            .map(|ending| format!("{stem}.{ending}"))
            .collect();
        assert_eq!(names(room.folder()), expected);
    }
}

/// The keys of an indented JSON text at one depth, in the order in which they first come.
fn keys_at(json: &str, depth: usize) -> Vec<String> {
    let indent = " ".repeat(2 * depth) + "\"";
    let mut keys: Vec<String> = Vec::new();
    for key in json.lines().filter_map(|line| line.strip_prefix(&indent)?.split_once("\":")) {
        if !keys.contains(&key.0.to_owned()) {
            keys.push(key.0.to_owned());
        }
    }
    keys
}

#[test]
fn the_transcript_has_the_promised_fields_in_the_promised_order() {
    let room = room_with("talk.wav");
    let _ = run(&room).args(["--stt", "demo", "--no-summary", "talk.wav"]).run().expect_code(0);
    let text = room.text("talk.transcript.json");
    let top = ["audio_path", "sample_rate", "language", "segments", "duration", "stt"];
    assert_eq!(keys_at(&text, 1), top);
    assert_eq!(keys_at(&text, 2), ["engine", "model_name", "model_path", "model_requested"]);
    assert_eq!(keys_at(&text, 3), ["id", "start", "end", "text", "speaker_id", "confidence"]);
    let transcript: Value = serde_json::from_str(&text).expect("JSON");
    let audio = Path::new(transcript["audio_path"].as_str().expect("a path"));
    assert!(audio.is_absolute() && audio.ends_with("talk.wav"));
    assert_eq!(transcript["language"], "en");
    assert_eq!(transcript["stt"]["model_requested"], "demo");
    let segments = transcript["segments"].as_array().expect("segments");
    let mut before = 0.0;
    for (id, segment) in segments.iter().enumerate() {
        assert_eq!(segment["id"], id);
        let (start, end) = (segment["start"].as_f64().expect("start"), segment["end"].as_f64().expect("end"));
        assert!(before <= start && start <= end, "segment {id}: {start} to {end} after {before}");
        before = start;
    }
    assert!(before < transcript["duration"].as_f64().expect("duration"));
    let lines: Vec<&str> = segments.iter().map(|segment| segment["text"].as_str().expect("text")).collect();
    assert_eq!(room.text("talk.transcript.txt"), lines.join("\n") + "\n");
}

#[test]
fn every_form_of_the_transcript_has_every_segment() {
    let room = room_with("talk.wav");
    let command = run(&room).args(["--stt", "demo", "--no-summary", "--format", "srt,vtt,txt,json", "talk.wav"]);
    let _ = command.run().expect_code(0);
    let count = json_of(&room, "talk.transcript.json")["segments"].as_array().expect("segments").len();
    assert!(count > 0);
    assert_eq!(room.text("talk.transcript.txt").lines().count(), count);
    assert_eq!(room.text("talk.srt").matches(" --> ").count(), count);
    let vtt = room.text("talk.vtt");
    assert!(vtt.starts_with("WEBVTT"));
    assert_eq!(vtt.matches(" --> ").count(), count);
    assert_heard(&room.text("talk.transcript.txt"), "talk.transcript.txt");
}

fn assert_events_are_well_formed(events: &[Value]) {
    let first = events.first().expect("events");
    let last = events.last().expect("events");
    assert_eq!((&first["event"], &last["event"]), (&json!("run_started"), &json!("run_finished")));
    assert_eq!(of_kind(events, "run_started").len(), 1);
    assert_eq!(of_kind(events, "run_finished").len(), 1);
    let mut before = 0;
    for event in events {
        assert_eq!(event["v"], 1, "{event}");
        assert!(event["event"].is_string(), "{event}");
        let now = event["t_ms"].as_u64().expect("a time");
        assert!(before <= now, "{event} came before {before} ms");
        before = now;
    }
}

fn answer_of(events: &[Value]) -> String {
    of_kind(events, "summary_delta").iter().map(|event| event["text"].as_str().expect("text")).collect()
}

/// What stands in the model's answer stands in the summary.
fn assert_sections_agree(answer: &str, summary: &str) {
    for heading in ["Meeting Title", "Summary", "Key Discussion Points", "Decisions Made", "Meeting Tone"] {
        let said = section(answer, heading);
        assert!(!said.is_empty(), "no {heading} in: {answer}");
        let none = said.iter().any(|line| line.starts_with("no ") || *line == "none");
        assert!(none || section(summary, heading) == said, "{heading}\n{answer}\n---\n{summary}");
    }
    for action in section(answer, "Action Items").iter().filter(|line| line.starts_with("- ")) {
        let written = section(summary, "Action Items").iter().any(|line| line.starts_with(action));
        assert!(written, "{action} is not in:\n{summary}");
    }
}

#[test]
fn events_tell_the_run_from_start_to_finish_and_agree_with_the_files() {
    let room = room_with("talk.wav");
    let finished = demo(&room).args(["--events", "jsonl", "talk.wav"]).run().expect_code(0);
    let events = finished.events();
    assert_events_are_well_formed(&events);

    let transcript = json_of(&room, "talk.transcript.json");
    let written = transcript["segments"].as_array().expect("segments");
    let told = of_kind(&events, "segment");
    assert_eq!(told.len(), written.len());
    for (told, written) in told.iter().zip(written) {
        for field in ["id", "start", "end", "text", "confidence"] {
            assert_eq!(told[field], written[field], "{field}");
        }
    }
    assert_sections_agree(&answer_of(&events), &room.text("talk.summary.md"));

    let last = events.last().expect("events");
    assert_eq!((&last["outcome"], &last["exit_code"]), (&json!("done"), &json!(0)));
    let outputs = last["outputs"].as_array().expect("outputs");
    let outputs = outputs.iter().map(|path| PathBuf::from(path.as_str().expect("a path")));
    let mut outputs: Vec<_> = outputs.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect();
    outputs.sort();
    let expected = ["talk.run.json", "talk.summary.md", "talk.transcript.json", "talk.transcript.txt"];
    assert_eq!(outputs, expected);
    for phase in ["stt", "llm"] {
        let memory = of_kind(&events, "memory");
        let highest = memory.iter().filter(|event| event["phase"] == phase).filter_map(|e| e["rss_bytes"].as_u64()).max();
        assert!(highest.is_some_and(|bytes| bytes > 1 << 20), "{phase}: {highest:?}");
    }
}

#[test]
fn the_first_worker_is_gone_before_the_second_loads() {
    let room = room_with("talk.wav");
    let events = demo(&room).args(["--events", "jsonl", "talk.wav"]).run().expect_code(0).events();
    let place = |kind: &str, phase: &str| {
        let found = events.iter().position(|event| event["event"] == kind && event["phase"] == phase);
        found.unwrap_or_else(|| panic!("no {kind} of {phase}"))
    };
    assert!(place("worker_exit", "stt") < place("state", "llm"));
    assert!(of_kind(&events, "worker_exit").iter().all(|exit| exit["class"] == "clean"));
    let loads = of_kind(&events, "load_progress");
    assert!(loads.iter().all(|load| (0.0..=1.0).contains(&load["fraction"].as_f64().expect("a fraction"))));
}

#[test]
fn without_events_standard_output_is_empty_and_errors_are_all_that_quiet_says() {
    let room = room_with("talk.wav");
    let finished = demo(&room).args(["-q", "talk.wav"]).run().expect_code(0);
    assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("", ""));
    let finished = demo(&room).arg("talk.wav").run().expect_code(0).says("talk.summary.md");
    assert_eq!(finished.stdout, "");
    assert!(!finished.stderr.contains('\x1b') && !finished.stderr.contains('\r'), "{finished:#?}");
    let finished = demo(&room).args(["-q", "gone.wav"]).run().expect_code(3).says("gone.wav");
    assert_eq!(finished.stdout, "");
}

/// A summary without the time it was made at.
fn timeless(summary: &str) -> String {
    summary.lines().filter(|line| !line.starts_with("*Generated: ")).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_transcript_summarised_later_gives_the_summary_of_the_run() {
    let room = room_with("talk.wav");
    let _ = demo(&room).arg("talk.wav").run().expect_code(0);
    let summary = room.text("talk.summary.md");
    let headings: Vec<&str> = summary.lines().filter(|line| line.starts_with('#')).collect();
    assert_eq!(
        headings,
        [
            "# Meeting Summary",
            "## Meeting Title",
            "## Summary",
            "## Participants",
            "## Key Discussion Points",
            "## Decisions Made",
            "## Action Items",
            "## Notable Quotes",
            "## Meeting Tone",
            "## Full Transcript"
        ]
    );
    let transcript = room.text("talk.transcript.txt");
    assert!(summary.ends_with(&transcript), "{summary}");
    for from in ["talk.transcript.json", "talk.transcript.txt"] {
        std::fs::remove_file(room.path("talk.summary.md")).expect("there");
        let again = room.supervisor().args(["summarize", from, "--llm", "demo", "--threads", "1"]);
        let _ = again.run().expect_code(0);
        assert_eq!(timeless(&room.text("talk.summary.md")), timeless(&summary), "{from}");
    }
}

#[test]
fn the_same_recording_gives_the_same_files_again_and_replaces_them() {
    let room = room_with("talk.wav");
    let texts = || ["talk.transcript.json", "talk.transcript.txt", "talk.summary.md"].map(|n| timeless(&room.text(n)));
    let _ = demo(&room).arg("talk.wav").run().expect_code(0);
    let first = texts();
    for name in ["talk.transcript.json", "talk.transcript.txt", "talk.summary.md"] {
        room.file(name, "old");
    }
    let _ = demo(&room).arg("talk.wav").run().expect_code(0);
    assert_eq!(texts(), first);
}

#[test]
fn an_output_folder_is_made_and_used() {
    let room = room_with("talk.wav");
    let _ = demo(&room).args(["-o", "notes/today", "talk.wav"]).run().expect_code(0);
    assert_eq!(names(room.folder()), ["notes", "talk.wav"]);
    assert_eq!(names(&room.path("notes/today")).len(), 4);
}

#[test]
fn no_summary_means_no_summary() {
    let room = room_with("talk.wav");
    let finished = run(&room).args(["--stt", "demo", "--no-summary", "--events", "jsonl", "talk.wav"]).run();
    let events = finished.expect_code(0).events();
    assert_eq!(names(room.folder()), ["talk.run.json", "talk.transcript.json", "talk.transcript.txt", "talk.wav"]);
    assert!(events.iter().all(|event| event["phase"] != "llm"));
}

/// Runs on `name` and expects `code`, `words`, no output and no process.
fn refused(room: &Room, command: Invocation, code: i32, words: &str) -> Finished {
    let before = names(room.folder());
    let finished = command.args(["--events", "jsonl"]).run().expect_code(code).says(words);
    assert!(of_kind(&finished.events(), "state").is_empty(), "a process was started: {finished:#?}");
    assert_eq!(names(room.folder()), before);
    finished
}

#[test]
fn what_is_not_audio_is_refused_before_anything_is_started() {
    let room = Room::new();
    room.file("text.wav", "Dear diary, this is not a recording.");
    room.file("empty.wav", "");
    std::fs::create_dir(room.path("folder.wav")).expect("a folder");
    for (name, words) in [("text.wav", "text.wav"), ("empty.wav", "empty"), ("folder.wav", "folder"), ("gone.wav", "gone")] {
        refused(&room, demo(&room).arg(name), 3, words);
    }
}

#[test]
fn a_wav_without_a_sample_is_bad_input() {
    let room = Room::new();
    Mono { rate: 16_000, samples: Vec::new() }.write(&room.path("none.wav"));
    let _ = demo(&room).arg("none.wav").run().expect_code(3).says("none.wav");
    let left = names(room.folder());
    assert!(!left.iter().any(|name| name.contains("transcript") || name.starts_with('.')), "{left:?}");
}

#[test]
fn a_recording_cut_inside_its_header_is_bad_input() {
    let room = Room::new();
    for (name, options) in [("a.flac", &[][..]), ("b.ogg", &["-c:a", "libvorbis"]), ("c.m4a", &["-c:a", "aac"])] {
        convert(&spoken().wav(), options, &room.path("whole.".to_owned().as_str()).with_extension(&name[2..]));
        let whole = std::fs::read(room.path("whole").with_extension(&name[2..])).expect("converted");
        room.file(name, &whole[..40]);
        let _ = demo(&room).arg(name).run().expect_code(3);
    }
}

#[test]
fn a_recording_cut_in_the_middle_gives_what_can_be_read() {
    let room = Room::new();
    for (name, options) in [("a.wav", &[][..]), ("b.flac", &[]), ("c.mp3", &["-b:a", "128k"])] {
        convert(&spoken().wav(), options, &room.path("whole").with_extension(&name[2..]));
        let whole = std::fs::read(room.path("whole").with_extension(&name[2..])).expect("converted");
        room.file(name, &whole[..whole.len() * 2 / 3]);
        let _ = run(&room).args(["--stt", "demo", "--no-summary", name]).run().expect_code(0);
        let heard = room.text(&format!("{}.transcript.txt", &name[..1]));
        assert!(heard.lines().count() >= 2, "{name}: {heard}");
    }
}

fn hears_nothing(samples: Mono) {
    let room = Room::new();
    samples.write(&room.path("quiet.wav"));
    let finished = demo(&room).args(["--events", "jsonl", "quiet.wav"]).run().expect_code(0);
    let events = finished.events();
    assert!(of_kind(&events, "warning").iter().any(|warning| warning["code"] == "no_speech"), "{finished:#?}");
    assert!(events.iter().all(|event| event["phase"] != "llm"), "{finished:#?}");
    assert_eq!(room.text("quiet.transcript.txt"), "");
    assert_eq!(json_of(&room, "quiet.transcript.json")["segments"], json!([]));
    assert!(!room.path("quiet.summary.md").exists());
}

#[test]
fn fifty_milliseconds_hold_no_speech() {
    hears_nothing(Mono::silence(16_000, 50));
}

#[test]
fn ten_seconds_of_silence_hold_no_speech() {
    hears_nothing(Mono::silence(16_000, 10_000));
}

#[test]
fn faint_noise_holds_no_speech() {
    let mut rng = Rng::new(7);
    let samples = (0..16_000 * 5).map(|_| i16::try_from(rng.below(41)).expect("small") - 20).collect();
    hears_nothing(Mono { rate: 16_000, samples });
}

#[test]
fn without_models_the_way_to_get_them_is_told() {
    let room = room_with("talk.wav");
    let _ = run(&room).arg("talk.wav").run().expect_code(4).says("--stt demo --llm demo").says("ggml");
    let command = run(&room).args(["--stt", "demo", "talk.wav"]);
    let _ = command.run().expect_code(4).says("--llm demo").says("GGUF").says("--no-summary");
    assert_eq!(names(room.folder()), ["talk.wav"]);
}

#[test]
fn what_is_not_the_right_model_is_refused_before_anything_is_started() {
    let room = room_with("talk.wav");
    room.file("text.bin", "this is no model, it is only text, more than a few bytes of it");
    room.file("short.bin", "lmgg");
    let (speech, summary) = (room.speech_model(), room.summary_model());
    let with = |stt: &Path, llm: &Path| run(&room).arg("talk.wav").arg("--stt").arg(stt).arg("--llm").arg(llm);
    refused(&room, with(&room.path("gone.bin"), &summary), 4, "gone.bin");
    refused(&room, with(&room.path("text.bin"), &summary), 4, "text.bin");
    refused(&room, with(&room.path("short.bin"), &summary), 4, "short.bin");
    refused(&room, with(&summary, &summary), 4, "GGUF");
    refused(&room, with(&speech, &room.path("gone.gguf")), 4, "gone.gguf");
    refused(&room, with(&speech, &room.path("text.bin")), 4, "text.bin");
    refused(&room, with(&speech, &speech), 4, "speech");
    refused(&room, with(room.folder(), &summary), 4, "invalid");
}

/// Where the bundled models are, learnt from the ledger of a run.
fn demo_models() -> &'static (PathBuf, PathBuf) {
    static MODELS: OnceLock<(PathBuf, PathBuf)> = OnceLock::new();
    MODELS.get_or_init(|| {
        let room = room_with("talk.wav");
        let _ = demo(&room).arg("talk.wav").run().expect_code(0);
        let ledger = json_of(&room, "talk.run.json");
        let path = |phase: usize| PathBuf::from(ledger["phases"][phase]["model_path"].as_str().expect("a path"));
        (path(0), path(1))
    })
}

#[test]
fn a_model_that_is_cut_short_is_invalid_and_named() {
    let (speech, summary) = demo_models();
    let room = room_with("talk.wav");
    let speech = std::fs::read(speech).expect("the bundled model");
    for percent in [1, 20, 50, 80, 99] {
        let cut = room.file("cut.bin", &speech[..speech.len() * percent / 100]);
        let command = run(&room).args(["--no-summary", "talk.wav", "--stt"]).arg(cut);
        let _ = command.run().expect_code(4).says("cut.bin");
    }
    let summary = std::fs::read(summary).expect("the bundled model");
    for percent in [1, 20, 50, 80, 99] {
        let cut = room.file("cut.gguf", &summary[..summary.len() * percent / 100]);
        let command = run(&room).args(["talk.wav", "--stt", "demo", "--llm"]).arg(cut);
        let _ = command.run().expect_code(4).says("cut.gguf").says("summarize");
        assert!(room.path("talk.transcript.txt").exists());
    }
}

#[test]
fn a_model_given_by_its_path_works_as_well() {
    let (speech, summary) = demo_models();
    let room = room_with("talk.wav");
    std::fs::copy(speech, room.path("my model é.bin")).expect("a copy");
    std::fs::copy(summary, room.path("my model.v2.gguf")).expect("a copy");
    let command = run(&room).args(["talk.wav", "--stt", "my model é.bin", "--llm", "my model.v2.gguf"]);
    let _ = command.run().expect_code(0);
    let transcript = json_of(&room, "talk.transcript.json");
    assert_eq!(transcript["stt"]["model_name"], "my model é");
    assert_eq!(transcript["stt"]["model_requested"], "my model é.bin");
    assert_heard(&room.text("talk.transcript.txt"), "talk.wav");
}

#[test]
fn a_folder_that_cannot_be_written_is_told_before_anything_is_started() {
    let room = room_with("talk.wav");
    room.file("in-the-way", "");
    for folder in ["in-the-way", "in-the-way/below", "/proc/nowhere"] {
        refused(&room, demo(&room).args(["talk.wav", "-o", folder]), 8, folder);
    }
    std::fs::create_dir(room.path("talk.summary.md")).expect("a folder in a file's place");
    refused(&room, demo(&room).arg("talk.wav"), 8, "talk.summary.md");
}

#[test]
fn two_recordings_that_would_write_the_same_files_are_refused() {
    let room = room_with("talk.wav");
    convert(&spoken().wav(), &[], &room.path("talk.flac"));
    refused(&room, demo(&room).args(["talk.wav", "talk.flac"]), 2, "same files");
    refused(&room, demo(&room).args(["talk.wav", "./talk.wav"]), 2, "same files");
}

#[test]
fn a_wrong_command_line_exits_two() {
    let room = room_with("talk.wav");
    for arguments in [
        &["run"][..],
        &["run", "talk.wav", "--no-such-flag"],
        &["run", "talk.wav", "--format", "doc"],
        &["run", "talk.wav", "--threads", "0"],
        &["run", "talk.wav", "--events", "xml"],
        &["no-such-command"],
        &[],
    ] {
        let _ = room.supervisor().args(arguments).run().expect_code(2);
    }
    assert_eq!(names(room.folder()), ["talk.wav"]);
    let _ = room.supervisor().arg("--help").run().expect_code(0);
    let _ = room.supervisor().arg("--version").run().expect_code(0);
}

#[test]
fn the_gravest_of_several_codes_is_told_and_the_good_recordings_are_done() {
    let room = room_with("good.wav");
    std::fs::copy(room.path("good.wav"), room.path("blocked.wav")).expect("a copy");
    std::fs::create_dir(room.path("blocked.transcript.txt")).expect("a folder in a file's place");
    room.file("text.wav", "this is text");
    let finished = demo(&room).args(["text.wav", "good.wav", "blocked.wav", "gone.wav"]).run();
    let _ = finished.expect_code(8).says("text.wav").says("blocked").says("gone.wav");
    assert_heard(&room.text("good.transcript.txt"), "good.wav");
    assert!(room.path("good.summary.md").exists());
    let _ = demo(&room).args(["text.wav", "gone.wav"]).run().expect_code(3);
}

/// A longer meeting, so that there is time to interrupt it.
fn long_meeting(room: &Room) {
    let sound = Mono::read(&spoken().wav());
    Mono { rate: sound.rate, samples: sound.samples.repeat(6) }.write(&room.path("long.wav"));
}

fn interrupted_at(wanted: impl Fn(&Value) -> bool, signal: Signal, code: i32) -> Room {
    let room = Room::new();
    long_meeting(&room);
    let running = demo(&room).args(["--events", "jsonl", "long.wav"]).start();
    running.event(wanted);
    running.signal(signal);
    let asked = Instant::now();
    let finished = running.finish().expect_code(code);
    assert!(asked.elapsed() < Duration::from_secs(3), "it took {:?} to stop", asked.elapsed());
    let events = finished.events();
    assert_eq!(events.last().expect("events")["outcome"], "interrupted");
    let left = names(room.folder());
    assert!(!left.iter().any(|name| name.starts_with('.') || name.ends_with(".tmp")), "{left:?}");
    room
}

#[test]
fn ctrl_c_while_a_model_loads_or_works_leaves_nothing_half() {
    for state in ["loading", "processing"] {
        let room = interrupted_at(|event| event["event"] == "state" && event["state"] == state, Signal::SIGINT, 130);
        assert!(!names(room.folder()).iter().any(|name| name.contains("transcript")));
    }
    let room = interrupted_at(|event| event["event"] == "segment", Signal::SIGINT, 130);
    assert!(!names(room.folder()).iter().any(|name| name.contains("transcript")));
}

#[test]
fn ctrl_c_in_the_summary_keeps_the_transcript() {
    let room = interrupted_at(|event| event["event"] == "summary_delta", Signal::SIGINT, 130);
    assert!(room.path("long.transcript.json").exists() && !room.path("long.summary.md").exists());
}

#[test]
fn sigterm_exits_143_and_leaves_nothing_half() {
    let room = interrupted_at(|event| event["event"] == "segment", Signal::SIGTERM, 143);
    assert!(!names(room.folder()).iter().any(|name| name.contains("transcript")));
}

#[test]
fn the_demo_runs_without_any_argument_and_hears_its_recording() {
    let room = Room::new();
    let finished = room.supervisor().args(["demo", "-o", "out"]).within(Duration::from_secs(60)).run().expect_code(0);
    assert_eq!(finished.stdout.trim_end(), "out");
    let written = names(&room.path("out"));
    assert_eq!(written.len(), 4, "{written:?}");
    let said = Path::new(env!("CARGO_MANIFEST_DIR")).join("../supervisor/demo/meeting.txt");
    let said = std::fs::read_to_string(said).expect("the words of the demo's recording");
    let heard = room.text("out/meeting.transcript.txt");
    assert_eq!(WordErrors::between(&said, &heard).errors, 0, "{heard}");
}
