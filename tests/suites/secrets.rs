//! What was said is in the transcript, the summary, the journal, and in no other place: not in what is logged at the most
//! talkative level, not in what everybody may read of a process, not in the account, nor in temporary files. And those
//! files are for nobody who may not hear the recording.
#![cfg(unix)]

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use meetcap_tests::case::{Case, JOURNAL};
use meetcap_tests::demo::{run, spoken};
use meetcap_tests::fake::{SECRET, window_text};
use meetcap_tests::room::Room;
use meetcap_tests::run::{Invocation, Running};
use meetcap_tests::{bins, meeting};

const LIMIT: Duration = Duration::from_secs(60);

fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// What was said, three words at a time: enough not to be met by chance.
fn phrases(said: &str) -> BTreeSet<String> {
    words(said).windows(3).map(|three| three.join(" ")).collect()
}

/// Those of the phrases that stand somewhere in it.
fn found<'a>(phrases: &'a BTreeSet<String>, place: &[u8]) -> Vec<&'a String> {
    let text = words(&String::from_utf8_lossy(place)).join(" ");
    phrases.iter().filter(|phrase| text.contains(phrase.as_str())).collect()
}

fn assert_silent(phrases: &BTreeSet<String>, place: &[u8], name: &str) {
    let found = found(phrases, place);
    assert!(found.is_empty(), "{} phrases of what was said are in {name}", found.len());
}

/// Every file below a folder.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten();
    let below = |entry: std::fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => files_below(&entry.path()),
        Ok(kind) if kind.is_file() => vec![entry.path()],
        _ => Vec::new(),
    };
    entries.flat_map(below).collect()
}

/// What everybody, or their debugger, gets of a process without its memory.
#[cfg(target_os = "linux")]
fn assert_process_is_silent(phrases: &BTreeSet<String>, pid: u32) {
    for what in ["cmdline", "environ", "comm", "status"] {
        let read = std::fs::read(format!("/proc/{pid}/{what}")).expect("a live process");
        assert_silent(phrases, &read, what);
    }
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("a live process");
    let dump = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit on dumps");
    // One byte holds no dump, and is what the kernel takes as none at all.
    let none = dump.split_whitespace().filter(|word| *word == "1").count();
    assert_eq!(none, 2, "a crash would leave what was said on the disk: {dump}");
}

#[cfg(target_os = "linux")]
#[test]
fn what_was_said_is_where_it_belongs_and_nowhere_else() {
    let phrases = phrases(&meeting::text(&spoken().sentences));
    let room = Room::new();
    room.file("talk.wav", &spoken().wav);
    // Everything that may be written lies in folders of this test.
    for folder in ["temp", "runtime", "cache"] {
        std::fs::create_dir(room.path(folder)).expect("a folder");
        set_mode(&room.path(folder), 0o700);
    }
    let command = run(&room).args(["--stt", "demo", "--llm", "demo", "-vv", "--events", "jsonl", "--memory-report"]);
    let command = command.env("MEETCAP_LOG", "trace").env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full");
    let command = command.env("TMPDIR", room.path("temp")).env("XDG_RUNTIME_DIR", room.path("runtime"));
    let running = command.env("XDG_CACHE_HOME", room.path("cache")).arg("talk.wav").start();
    for (phase, wanted) in [("stt", "segment"), ("llm", "summary_delta")] {
        running.event(|event| event["event"] == wanted);
        for pid in running.workers().into_iter().chain([running.pid]) {
            assert_process_is_silent(&phrases, pid);
        }
        println!("{phase}: looked at");
    }
    let finished = running.finish().expect_code(0);
    assert!(finished.stderr.contains("TRACE"), "it was not talkative: {}", finished.stderr);
    assert_silent(&phrases, finished.stderr.as_bytes(), "the log");
    assert_silent(&phrases, room.text("talk.run.json").as_bytes(), "the account");
    let mut seen = 0;
    for file in ["temp", "runtime", "cache"].iter().flat_map(|folder| files_below(&room.path(folder))) {
        assert_silent(&phrases, &std::fs::read(&file).expect("a file"), &file.display().to_string());
        seen += 1;
    }
    println!("{} phrases; {} bytes of log, {seen} other files", phrases.len(), finished.stderr.len());
    // The search finds what is there; files and events have something between sentences.
    for name in ["talk.transcript.txt", "talk.transcript.json", "talk.summary.md"] {
        let found = found(&phrases, room.text(name).as_bytes()).len();
        assert!(found * 2 > phrases.len(), "{name}: {found} of {}", phrases.len());
    }
    assert!(found(&phrases, finished.stdout.as_bytes()).len() * 2 > phrases.len(), "events tell segments");
}

#[test]
fn a_worker_that_dies_with_words_in_its_mouth_takes_them_along() {
    for how in ["panic", "abort", "exit 3", "kill", "fault Engine it broke"] {
        for phase in ["stt", "llm"] {
            let case = Case::new();
            let command = case.command(&format!("{phase} window 1: {how}\nllm window 0: {how}")).arg("-vv");
            let command = command.env("MEETCAP_LOG", "trace").env("TMPDIR", case.room.folder());
            let finished = command.env("XDG_RUNTIME_DIR", case.room.folder()).within(LIMIT).run();
            let account = case.room.text("talk.run.json");
            for secret in [SECRET.to_owned(), window_text(0), window_text(2)] {
                assert!(!finished.stderr.contains(&secret), "{how}: {finished:#?}");
                assert!(!account.contains(&secret), "{how}: {account}");
            }
            assert!(case.room.text("talk.transcript.txt").contains(&window_text(0)), "{how}");
        }
    }
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("ours");
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("there").mode() & 0o777
}

/// The same command with an umask of its own.
fn with_umask(case: &Case, umask: &str, script: &str) -> Invocation {
    let script = case.room.file("script", script);
    let shell = Invocation::new("/bin/sh".into(), case.room.folder()).args(["-c", "umask \"$0\"; exec \"$@\"", umask]);
    let shell = shell.arg(bins::find(bins::SUPERVISOR)).env("MEETCAP_FAKE_SCRIPT", script);
    let shell = shell.env("MEETCAP_WORKER_STT", bins::find(bins::FAKE_STT));
    let shell = shell.env("MEETCAP_WORKER_LLM", bins::find(bins::FAKE_LLM));
    let shell = shell.env("XDG_CACHE_HOME", case.room.path("cache"));
    let shell = shell.args(["run", "talk.wav", "--stt", "speech.bin", "--llm", "summary.gguf", "--events", "jsonl"]);
    shell.args(["--format", "txt,json,srt,vtt"]).within(LIMIT)
}

/// What the run leaves, the hidden included.
fn written(case: &Case) -> Vec<String> {
    let names = case.room.names("talk.").into_iter().chain(case.room.names("."));
    names.filter(|name| name != "talk.wav").collect()
}

fn paused_in_the_summary(running: &Running) {
    running.event(|event| event["event"] == "state" && event["phase"] == "llm" && event["state"] == "processing");
}

#[test]
fn what_is_written_is_for_nobody_who_may_not_hear_the_recording() {
    for (recording, umask, expected) in [
        (0o600, "022", 0o600),
        (0o400, "022", 0o600),
        (0o640, "022", 0o640),
        (0o644, "022", 0o644),
        (0o666, "000", 0o666),
        (0o644, "077", 0o600),
    ] {
        let case = Case::new();
        set_mode(&case.room.path("talk.wav"), recording);
        let running = with_umask(&case, umask, "llm window 0: slow 1000").start();
        paused_in_the_summary(&running);
        // The transcript is there, the journal still is, and others are being written.
        assert!(case.room.path(JOURNAL).exists());
        for name in written(&case) {
            let mode = mode(&case.room.path(&name));
            assert_eq!(mode & !expected, 0, "{name} has {mode:o} while it runs, of a recording with {recording:o}");
        }
        assert_eq!(mode(&case.room.path(JOURNAL)), 0o600);
        let _ = running.finish().expect_code(0);
        let written = written(&case);
        assert_eq!(written.len(), 6, "{written:?}");
        for name in written {
            let mode = mode(&case.room.path(&name));
            assert_eq!(mode, expected, "{name} has {mode:o}, of a recording with {recording:o} and umask {umask}");
        }
    }
}

#[test]
fn what_was_wider_before_is_not_when_it_is_written_again() {
    let case = Case::new();
    set_mode(&case.room.path("talk.wav"), 0o600);
    for name in ["talk.transcript.txt", "talk.summary.md", "talk.run.json"] {
        case.room.file(name, "from before");
        set_mode(&case.room.path(name), 0o666);
    }
    let _ = with_umask(&case, "022", "").run().expect_code(0);
    for name in written(&case) {
        assert_eq!(mode(&case.room.path(&name)), 0o600, "{name}");
    }
}

#[test]
fn a_summary_follows_its_transcript_and_a_page_its_account() {
    let case = Case::new();
    let _ = with_umask(&case, "022", "").run().expect_code(0);
    for name in ["talk.transcript.json", "talk.run.json"] {
        set_mode(&case.room.path(name), 0o600);
    }
    std::fs::remove_file(case.room.path("talk.summary.md")).expect("there");
    let command = case.room.scripted("").args(["summarize", "talk.transcript.json", "--llm", "summary.gguf"]);
    let _ = command.run().expect_code(0);
    assert_eq!(mode(&case.room.path("talk.summary.md")), 0o600);
    let _ = case.room.supervisor().args(["report", "talk.run.json", "--html", "page.html"]).run().expect_code(0);
    assert_eq!(mode(&case.room.path("page.html")), 0o600);
}
