//! `ps`: what is running, as a table for people or as JSON for programs. This is what was asked for, so it goes
//! to standard output.

use std::io::{self, ErrorKind, Write};
use std::time::SystemTime;

use meetcap_supervisor::ExitCode;
use meetcap_supervisor::event::Phase;
use meetcap_supervisor::memory::MemoryReading;
use meetcap_supervisor::output::text::clock;
use meetcap_supervisor::registry::{self, Running};
use serde::Serialize;

use super::render::{json_for_terminal, printable};
use super::table::{absent, aligned, shortened};

/// Characters of a name that are shown. Nothing is cut in JSON.
const WIDEST_MODEL: usize = 32;
const WIDEST_FILE: usize = 64;

/// Prints the runs of this user on this machine. That there are none is an answer as well.
pub(crate) fn print(json: bool) -> ExitCode {
    let (runs, now) = (registry::list(), SystemTime::now());
    let text = if json { array(&runs, now) } else { table(&runs, now) };
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::Done,
        Err(error) => {
            eprintln!("error: cannot write the list: {error}");
            ExitCode::Output
        }
        Ok(()) => ExitCode::Done,
    }
}

fn table(runs: &[Running], now: SystemTime) -> String {
    const COLUMNS: usize = 7;
    const HEAD: [&str; COLUMNS] = ["PID", "PHASE", "MODEL", "WORKER", "MEMORY", "RUNNING FOR", "FILE"];
    const RIGHT: [bool; COLUMNS] = [true, false, false, true, true, true, false];
    if runs.is_empty() {
        return "nothing is running".to_owned();
    }
    let row = |run: &Running| {
        let model = run.model_name.as_deref().map(printable).filter(|name| !name.is_empty());
        [
            run.pid.to_string(),
            phase(run),
            model.map_or_else(absent, |name| shortened(&name, WIDEST_MODEL)),
            run.worker_pid.map_or_else(absent, |pid| pid.to_string()),
            run.memory.anonymous.to_string(),
            clock(running_for(run, now)),
            shortened(&printable(&run.audio_path), WIDEST_FILE),
        ]
    };
    let rows: Vec<[String; COLUMNS]> = std::iter::once(HEAD.map(str::to_owned)).chain(runs.iter().map(row)).collect();
    aligned(&rows, RIGHT).join("\n")
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 100")]
fn phase(run: &Running) -> String {
    match (run.phase, run.progress) {
        (None, _) => absent(),
        (Some(phase), None) => phase.to_string(),
        (Some(phase), Some(done)) => format!("{phase} {}%", (done.clamp(0.0, 1.0) * 100.0).round() as u8),
    }
}

/// Seconds; none when the clock was set back meanwhile.
fn running_for(run: &Running, now: SystemTime) -> f64 {
    now.duration_since(run.started).unwrap_or_default().as_secs_f64()
}

/// A run, as programs see it; the names are those of the events.
#[derive(Serialize)]
struct Shown<'a> {
    pid: u32,
    audio_path: &'a str,
    /// UTC; nothing when the year has more than four digits.
    started: Option<String>,
    running_seconds: u64,
    phase: Option<Phase>,
    model_name: Option<&'a str>,
    worker_pid: Option<u32>,
    progress: Option<f64>,
    anonymous_bytes: u64,
    file_backed_bytes: u64,
    swapped_bytes: u64,
    rss_bytes: u64,
}

impl<'a> Shown<'a> {
    fn new(run: &'a Running, now: SystemTime) -> Self {
        let MemoryReading { anonymous, file_backed, swapped, rss, .. } = run.memory;
        Self {
            pid: run.pid,
            audio_path: &run.audio_path,
            started: jiff::Timestamp::try_from(run.started).ok().map(|time| time.to_string()),
            running_seconds: now.duration_since(run.started).unwrap_or_default().as_secs(),
            phase: run.phase,
            model_name: run.model_name.as_deref(),
            worker_pid: run.worker_pid,
            progress: run.progress,
            anonymous_bytes: anonymous.0,
            file_backed_bytes: file_backed.0,
            swapped_bytes: swapped.0,
            rss_bytes: rss.0,
        }
    }
}

fn array(runs: &[Running], now: SystemTime) -> String {
    let shown: Vec<Shown<'_>> = runs.iter().map(|run| Shown::new(run, now)).collect();
    json_for_terminal(&shown)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use meetcap_supervisor::memory::Bytes;

    use super::*;

    fn busy() -> Running {
        Running {
            pid: 4711,
            audio_path: "/meetings/monday.wav".to_owned(),
            started: UNIX_EPOCH + Duration::from_secs(1_000),
            phase: Some(Phase::Stt),
            model_name: Some("ggml-small".to_owned()),
            worker_pid: Some(4712),
            progress: Some(0.42),
            memory: MemoryReading { anonymous: Bytes::mib(640), rss: Bytes::mib(900), ..Default::default() },
        }
    }

    fn between_phases() -> Running {
        let memory = MemoryReading { anonymous: Bytes::mib(4), ..Default::default() };
        Running { pid: 99, phase: None, model_name: None, worker_pid: None, progress: None, memory, ..busy() }
    }

    fn after(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_000 + seconds)
    }

    #[test]
    fn columns_are_aligned() {
        let expected = [
            " PID  PHASE    MODEL       WORKER   MEMORY  RUNNING FOR  FILE",
            "4711  stt 42%  ggml-small    4712  640 MiB      1:01:05  /meetings/monday.wav",
            "  99  -        -                -  4.0 MiB      1:01:05  /meetings/monday.wav",
        ];
        assert_eq!(table(&[busy(), between_phases()], after(3665)).lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn nothing_is_an_answer() {
        assert_eq!(table(&[], after(0)), "nothing is running");
        assert_eq!(array(&[], after(0)), "[]");
    }

    #[test]
    fn a_clock_that_was_set_back_is_no_harm() {
        let text = table(&[busy()], UNIX_EPOCH);
        assert!(text.contains("00:00"), "{text}");
    }

    #[test]
    fn names_cannot_command_a_terminal() {
        let hostile = "/m/\u{1b}]0;owned\u{7}a\u{1b}[31m\u{9b}2J\r\nb\u{202e}vaw.wav";
        let run = Running { audio_path: hostile.to_owned(), model_name: Some("\u{1b}\u{7}".to_owned()), ..busy() };
        let shown = table(std::slice::from_ref(&run), after(1));
        assert_eq!(shown.lines().count(), 2);
        assert!(shown.ends_with("/m/]0;owneda[31m2Jbvaw.wav"), "{shown}");
        assert!(!shown.chars().any(|c| c != '\n' && c.is_control()));

        let text = array(&[run], after(1));
        assert!(!text.chars().any(|c| c != '\n' && c.is_control()), "{text}");
        let parsed: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(parsed[0]["audio_path"], hostile, "a program gets the name as it is");
    }

    #[test]
    fn a_long_name_is_cut_for_people_and_whole_for_programs() {
        let run = Running { audio_path: format!("/{}/end.wav", "x".repeat(300)), ..busy() };
        let text = table(std::slice::from_ref(&run), after(0));
        assert!(text.ends_with("xx/end.wav") && text.lines().all(|line| line.chars().count() < 160), "{text}");
        assert!(array(&[run], after(0)).contains(&"x".repeat(300)), "whole in JSON");
    }

    #[test]
    fn programs_get_numbers_and_a_time_they_can_read() {
        let parsed: serde_json::Value =
            serde_json::from_str(&array(&[busy(), between_phases()], after(65))).expect("JSON");
        assert_eq!(parsed[0]["started"], "1970-01-01T00:16:40Z");
        assert_eq!((&parsed[0]["running_seconds"], &parsed[0]["pid"]), (&65.into(), &4711.into()));
        assert_eq!((&parsed[0]["phase"], &parsed[1]["phase"]), (&"stt".into(), &serde_json::Value::Null));
        assert_eq!(parsed[0]["anonymous_bytes"], 640 << 20);
        let endless = Running { started: UNIX_EPOCH + Duration::from_secs(1 << 60), ..busy() };
        assert!(array(&[endless], after(0)).contains("\"started\": null"));
    }
}
