//! From nothing to the first transcript: a person at a terminal is offered models and says no, or yes; a script is told
//! the command. What is fetched is found again, listed, checked and removed. The hub is a server on this machine.
#![cfg(unix)]

use std::time::Duration;

use meetcap_tests::bins;
use meetcap_tests::demo::{assert_heard, demo_models, spoken};
use meetcap_tests::hub::Hub;
use meetcap_tests::room::{Room, names};
use meetcap_tests::run::Invocation;
use nix::sys::signal::Signal;
use serde_json::Value;

/// Names of the user's own, for the bundled models: there is no other that may be given away.
const SPEECH: &str = "tiny-ears";
const SUMMARY: &str = "tiny-notes";

/// A home with a recording in it, and a configuration that names models of this hub.
struct Home {
    room: Room,
    hub: Hub,
}

impl Home {
    fn new(settings: &str) -> Self {
        Self::with(settings, Duration::ZERO)
    }

    fn with(settings: &str, pause: Duration) -> Self {
        let (speech, summary) = demo_models();
        let read = |path| std::fs::read(path).expect("a model");
        let files = [("/m/ears.bin".to_owned(), read(speech)), ("/m/notes.gguf".to_owned(), read(summary))];
        let hub = Hub::new(files, pause);
        let room = Room::new();
        room.file("meeting.wav", &spoken().wav);
        let address = hub.address();
        room.file(
            "meetcap.toml",
            format!(
                "[supervisor]\nmodels_dir = \"models\"\nthreads = 1\n{settings}\n[supervisor.models]\n\
                 {SPEECH} = \"{address}/m/ears.bin\"\n{SUMMARY} = {{ url = \"{address}/m/notes.gguf\", licence = \"MIT\" }}\n"
            ),
        );
        Self { room, hub }
    }

    fn command(&self, arguments: &[&str]) -> Invocation {
        let command = self.room.supervisor().env("HF_ENDPOINT", self.hub.address()).env("NO_COLOR", "1");
        let (name, rest) = arguments.split_first().expect("a command");
        command.args(name.split(' ')).args(rest).args(["--config", "meetcap.toml"])
    }

    fn models(&self) -> Vec<String> {
        let folder = self.room.path("models");
        if folder.is_dir() { names(&folder) } else { Vec::new() }
    }

    fn list(&self) -> Value {
        let listed = self.command(&["models list", "--json"]).run().expect_code(0);
        serde_json::from_str(&listed.stdout).expect("JSON")
    }
}

/// Both are named, and neither is here.
const BOTH: &str = "stt = \"tiny-ears\"\nllm = \"tiny-notes\"";

#[test]
fn whoever_says_no_has_fetched_nothing_and_is_told_the_command() {
    for (settings, offered) in [(BOTH, [SPEECH, SUMMARY]), ("", ["whisper-", "qwen3-"])] {
        let home = Home::new(settings);
        let mut session = home.command(&["run", "meeting.wav"]).at_a_terminal();
        session.waits_for("Fetch them now? [y/N]");
        session.types("n\n");
        let (code, screen) = session.ends();
        assert_eq!(code, Some(4), "{screen}");
        for part in [offered[0], offered[1], "nothing was fetched", "meetcap-supervisor models pull ", "free)"] {
            assert!(screen.contains(part), "no `{part}` on:\n{screen}");
        }
        assert_eq!((home.hub.asked(), home.models()), (Vec::new(), Vec::new()));
    }
}

#[test]
fn whatever_is_no_yes_is_a_no() {
    for keys in ["\n", "yeah\n", "N\n", "\u{4}"] {
        let home = Home::new(BOTH);
        let mut session = home.command(&["run", "meeting.wav"]).at_a_terminal();
        session.waits_for("[y/N]");
        session.types(keys);
        assert_eq!(session.ends().0, Some(4), "{keys:?}");
        assert_eq!(home.models(), Vec::<String>::new());
    }
}

#[test]
fn whoever_says_yes_has_a_transcript_and_the_models_for_the_next_time() {
    let home = Home::new(BOTH);
    let mut session = home.command(&["run", "meeting.wav"]).at_a_terminal();
    session.waits_for("What was named is not here yet");
    session.waits_for("[y/N]");
    session.types("y\n");
    session.waits_for("fetched tiny-ears");
    session.waits_for("fetched tiny-notes");
    let (code, screen) = session.ends();
    assert_eq!(code, Some(0), "{screen}");
    assert_heard(&home.room.text("meeting.transcript.txt"), "meeting.transcript.txt");
    assert!(home.room.text("meeting.summary.md").contains("# Meeting Summary"));
    let pins = [".ears.bin.meetcap.json", ".notes.gguf.meetcap.json"];
    assert_eq!(home.models(), [pins[0], pins[1], "ears.bin", "notes.gguf"], "and nothing half fetched");

    // Nothing is fetched twice, and nobody is asked again.
    let asked = home.hub.asked().len();
    let _ = home.command(&["run", "meeting.wav", "--resume", "never"]).run().expect_code(0);
    let _ = home.command(&["models pull", SPEECH, SUMMARY]).run().expect_code(0).says("is here already");
    assert_eq!(home.hub.asked().len(), asked);
    let listed = home.list();
    for model in listed.as_array().expect("a list") {
        assert_eq!((&model["fits_now"], model["pin"]["last_used"].is_u64()), (&true.into(), true), "{listed}");
    }
}

#[test]
fn without_any_name_the_largest_that_is_here_is_taken_and_told() {
    let home = Home::new("");
    let _ = home.command(&["models pull", SPEECH, SUMMARY]).run().expect_code(0);
    let told = home.command(&["run", "meeting.wav"]).run().expect_code(0);
    let told =
        told.says("speech model: tiny-ears, the largest here").says("summary model: tiny-notes, the largest here");
    assert!(told.stderr.contains("--stt names another"), "{}", told.stderr);
    let transcript: Value = serde_json::from_str(&home.room.text("meeting.transcript.json")).expect("JSON");
    assert_eq!(transcript["stt"]["model_name"], SPEECH);
}

#[test]
fn a_script_is_told_the_command_and_nothing_is_fetched() {
    let home = Home::new(BOTH);
    let told = home.command(&["run", "meeting.wav"]).run().expect_code(4);
    let command = "meetcap-supervisor models pull tiny-ears tiny-notes";
    assert!(told.says(command).stdout.is_empty());
    let home = Home::new("");
    let told = home.command(&["run", "meeting.wav"]).run().expect_code(4);
    let told = told.says("a speech model and a summary model are missing");
    assert!(told.stderr.contains("meetcap-supervisor models pull whisper-"), "{}", told.stderr);
    let _ =
        home.command(&["run", "meeting.wav", "--no-summary"]).run().expect_code(4).says("a speech model is missing");
    let summary = home.command(&["summarize", "meeting.wav"]).run().expect_code(4);
    assert!(!summary.says("a summary model is missing").stderr.contains("--no-summary"));
    // At a terminal, but for a program.
    let session = home.command(&["run", "meeting.wav", "--events", "jsonl"]).at_a_terminal();
    assert_eq!(session.ends().0, Some(4));
    assert_eq!(home.hub.asked(), Vec::<String>::new());
}

#[test]
fn nothing_is_offered_for_a_recording_that_cannot_be_heard() {
    let home = Home::new(BOTH);
    home.room.file("notes.txt", "no sound at all");
    for recording in ["notes.txt", "absent.wav"] {
        let session = home.command(&["run", recording]).at_a_terminal();
        let (code, screen) = session.ends();
        assert_eq!((code, screen.contains("[y/N]")), (Some(3), false), "{screen}");
    }
}

#[test]
fn what_the_catalogue_does_not_know_or_cannot_run_is_refused_with_what_would_do() {
    let home = Home::new("");
    for (name, told) in [
        ("whisper-smal", "did you mean whisper-small"),
        ("vosk-small", "no Vosk engine"),
        ("mlx-whisper-large-v3-turbo", "take whisper-large-v3-turbo instead"),
        ("quite-unheard-of", "models list --available"),
    ] {
        let _ = home.command(&["models pull", SPEECH, name]).run().expect_code(4).says(told);
        let _ = home.command(&["run", "meeting.wav", "--no-summary", "--stt", name]).run().expect_code(4).says(told);
    }
    assert_eq!((home.hub.asked(), home.models()), (Vec::new(), Vec::new()), "no other name was fetched either");
}

#[test]
fn what_comes_in_place_of_a_known_model_never_gets_its_name() {
    let home = Home::new("");
    let (speech, _) = demo_models();
    // The hub has another file there.
    let path = "/ggerganov/whisper.cpp/resolve/main/ggml-tiny.bin".to_owned();
    let other = Hub::new([(path, std::fs::read(speech).expect("a model"))], Duration::ZERO);
    let pull = |hub: &Hub| home.command(&["models pull", "whisper-tiny"]).env("HF_ENDPOINT", hub.address()).run();
    let _ = pull(&other).expect_code(4).says("77691713 were expected");
    let _ = pull(&home.hub).expect_code(4).says("does not have `whisper-tiny`");
    let offline = home.command(&["models pull", "whisper-tiny"]).env("HF_HUB_OFFLINE", "1").run();
    let _ = offline.expect_code(4).says("HF_HUB_OFFLINE forbids");
    let nobody = home.command(&["models pull", "whisper-tiny"]).env("HF_ENDPOINT", "http://127.0.0.1:9").run();
    let _ = nobody.expect_code(4).says("no connection to 127.0.0.1:9");
    assert!(home.models().iter().all(|name| name.starts_with('.')), "{:?}", home.models());
}

#[test]
fn a_fetch_that_is_interrupted_goes_on_where_it_was() {
    let home = Home::with(BOTH, Duration::from_millis(40));
    let mut session = home.command(&["models pull", SPEECH]).at_a_terminal();
    session.waits_for("kB of ");
    meetcap_tests::processes::signal(session.pid(), Signal::SIGINT);
    let (code, screen) = session.ends();
    assert_eq!(code, Some(130), "{screen}");
    assert!(screen.contains("the same command goes on from there"), "{screen}");
    assert!(home.models().contains(&".ears.bin.part.json".to_owned()), "{:?}", home.models());
    let _ = home.command(&["models pull", SPEECH]).run().expect_code(0).says("fetched tiny-ears");
    assert_eq!(home.models(), [".ears.bin.meetcap.json", "ears.bin"]);
}

#[test]
fn what_is_half_fetched_is_not_taken_for_a_model() {
    let home = Home::with(BOTH, Duration::from_millis(40));
    let mut session = home.command(&["models pull", SPEECH]).at_a_terminal();
    session.waits_for("kB of ");
    meetcap_tests::processes::signal(session.pid(), Signal::SIGINT);
    assert_eq!(session.ends().0, Some(130));
    assert!(home.models().contains(&".ears.bin.part".to_owned()), "{:?}", home.models());
    // Its head is whole already, and its length that of the whole.
    home.room.file("meetcap.toml", "[supervisor]\nmodels_dir = \"models\"\n");
    let told = home.command(&["run", "meeting.wav", "--no-summary"]).run().expect_code(4);
    let _ = told.says("a speech model is missing");
    let doctor = home.command(&["doctor"]).run().expect_code(0).stdout;
    assert!(doctor.contains("speech: none") && doctor.contains("none in "), "{doctor}");
}

#[test]
fn models_are_taken_in_listed_checked_and_removed() {
    let home = Home::new("");
    let (speech, summary) = demo_models();
    let _ = home.command(&["models list"]).run().expect_code(0).says("no model is in");
    for (file, source) in [("a.bin", speech), ("b.gguf", summary)] {
        std::fs::copy(source, home.room.path(file)).expect("a copy");
    }
    let _ = home.command(&["models add", "a.bin"]).run().expect_code(0);
    let _ = home.command(&["models add", "b.gguf", "--link"]).run().expect_code(0);
    let _ = home.command(&["models add", "meeting.wav"]).run().expect_code(4).says("no model that can be used here");
    let _ = home.command(&["models add", "absent.bin"]).run().expect_code(4).says("absent.bin");
    let table = home.command(&["models list"]).run().expect_code(0).stdout;
    for part in ["NAME", "FITS NOW", "LAST USED", "a ", "speech", "b ", "summary"] {
        assert!(table.contains(part), "no `{part}` in:\n{table}");
    }
    let _ = home.command(&["models verify"]).run().expect_code(0).says("a: good, as it came");
    // A byte in the middle becomes another one.
    let path = home.room.path("models/a.bin");
    let mut bytes = std::fs::read(&path).expect("a model");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).expect("write");
    let _ = home.command(&["models verify"]).run().expect_code(4).says("error: a: CHANGED: it has SHA-256");
    std::fs::write(&path, &bytes[..middle]).expect("write");
    let _ = home.command(&["models verify", "b"]).run().expect_code(0);
    let _ = home.command(&["models remove", "a.bin", "b"]).run().expect_code(0).says("removed a");
    assert_eq!((home.models(), home.room.path("b.gguf").is_file()), (Vec::new(), true), "what was linked stays");
    let _ = home.command(&["models remove", "a"]).run().expect_code(4).says("there is no `a`");
    for outside in ["../meeting.wav", "/etc/passwd", ".hidden"] {
        let _ = home.command(&["models remove", outside]).run().expect_code(4);
    }
    assert!(home.room.path("meeting.wav").is_file());
}

#[test]
fn all_that_can_be_fetched_is_listed_with_licence_and_need() {
    let home = Home::new("");
    let table = home.command(&["models list", "--available"]).run().expect_code(0).stdout;
    for part in
        ["whisper-large-v3-turbo", "qwen3-4b", "silero-v5.1.2", "Apache-2.0", "English only", SPEECH, "3885 MiB"]
    {
        assert!(table.contains(part), "no `{part}` in:\n{table}");
    }
    let listed = home.command(&["models list", "--available", "--json"]).run().expect_code(0).stdout;
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    assert!(listed.as_array().expect("a list").len() > 50);
    let told = home.command(&["models estimate", "qwen3-8b", "--json"]).run().expect_code(0).stdout;
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!((&told["basis"], &told["phase"]), (&"name".into(), &"llm".into()), "{told}");
}

#[test]
fn the_doctor_says_whether_this_machine_is_ready_and_what_to_do_if_not() {
    let home = Home::new("");
    let doctor = |home: &Home| home.command(&["doctor"]);
    let bare = doctor(&home).run().expect_code(0).stdout;
    for part in ["speech: none", "ready     yes, but", "meetcap-supervisor models pull whisper-", "free for models"] {
        assert!(bare.contains(part), "no `{part}` in:\n{bare}");
    }
    let _ = home.command(&["models pull", SPEECH, SUMMARY]).run().expect_code(0);
    let healthy = doctor(&home).run().expect_code(0).stdout;
    for part in ["speech: tiny-ears, needs", "fits now", "ready     yes\n", "2 in "] {
        assert!(healthy.contains(part), "no `{part}` in:\n{healthy}");
    }
    let without = doctor(&home).env("MEETCAP_WORKER_STT", "/nowhere").run().expect_code(2).stdout;
    assert!(without.contains("NOT READY") && without.contains("MEETCAP_WORKER_STT"), "{without}");
    // A worker that is older, one that is newer, and something that is no worker.
    for (answer, told) in [
        ("meetcap-worker-stt 0.0.1 (protocol 1)", "the worker is older"),
        ("meetcap-worker-stt 99.0.0 (protocol 99)", "the supervisor is older"),
        ("hello", "does not answer as meetcap-worker-stt does"),
    ] {
        let other = home.room.file("other", format!("#!/bin/sh\necho '{answer}'\n"));
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&other, mode).expect("permissions");
        let told_of = doctor(&home).env("MEETCAP_WORKER_STT", &other).run().expect_code(2).stdout;
        assert!(told_of.contains(told) && told_of.contains("NOT USABLE"), "{told_of}");
    }
    let home = Home::new("stt = \"absent.bin\"");
    let broken = doctor(&home).run().expect_code(2).stdout;
    assert!(broken.contains("the configured speech model cannot be used"), "{broken}");
    let json = home.command(&["doctor", "--json"]).run().expect_code(2).stdout;
    let findings: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&findings["ready"], &findings["models"]["speech"]["is_configured"]), (&false.into(), &true.into()));
    assert!(bins::find(bins::SUPERVISOR).is_file());
}

#[test]
#[cfg(target_os = "linux")]
fn the_doctor_says_that_no_model_fits_where_memory_is_scarce() {
    let home = Home::new("");
    let _ = home.command(&["models pull", SPEECH, SUMMARY]).run().expect_code(0);
    let Some(group) = meetcap_tests::cgroup::Cgroup::limited(60) else { return };
    let scarce = home.command(&["doctor"]).inside(&group).run();
    let text = scarce.stdout;
    assert!(text.contains("DOES NOT FIT NOW") && text.contains("name a smaller speech model with --stt"), "{text}");
}
