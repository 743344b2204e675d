//! A recording, two models and workers that fail on command: what most suites about failures begin with.

use std::path::Path;

use serde_json::Value;

use crate::fake::log_of;
use crate::room::Room;
use crate::run::{Finished, Invocation};

/// A room with `talk.wav` in it, and the command that would summarise it with scripted workers.
#[derive(Debug)]
pub struct Case {
    pub room: Room,
}

impl Default for Case {
    fn default() -> Self {
        Self::new()
    }
}

/// The journal of a run over `talk.wav`.
pub const JOURNAL: &str = ".talk.meetcap-journal";
/// What a run that ended with its transcript writes, ledger apart.
pub const TRANSCRIPT: [&str; 2] = ["talk.transcript.json", "talk.transcript.txt"];
/// What a whole run writes, ledger apart.
pub const ALL: [&str; 3] = ["talk.summary.md", "talk.transcript.json", "talk.transcript.txt"];

impl Case {
    pub fn new() -> Self {
        let room = Room::new();
        room.sound("talk.wav");
        room.speech_model();
        room.summary_model();
        Self { room }
    }

    /// The run with workers that follow `script`.
    pub fn command(&self, script: &str) -> Invocation {
        self.room.scripted(script).args(["run", "talk.wav", "--stt", "speech.bin", "--llm", "summary.gguf"])
    }

    /// Runs it to its end, with events.
    pub fn run(&self, script: &str) -> Finished {
        self.events(script).run()
    }

    /// The run with its events on standard output.
    pub fn events(&self, script: &str) -> Invocation {
        self.command(script).args(["--events", "jsonl"])
    }

    /// What the runs wrote, ledger apart.
    pub fn outputs(&self) -> Vec<String> {
        let written = self.room.names("talk.").into_iter();
        written.filter(|name| name != "talk.wav" && name != "talk.run.json").collect()
    }

    /// # Panics
    /// When there is a hidden file: a journal, or an output that was not finished.
    pub fn assert_nothing_half(&self) {
        let hidden = self.room.names(".");
        assert!(hidden.is_empty(), "left: {hidden:?}");
    }

    /// # Panics
    /// When there is a hidden file that is no journal.
    pub fn assert_no_output_half(&self) {
        let hidden = self.room.names(".");
        assert!(hidden.iter().all(|name| name == JOURNAL), "left: {hidden:?}");
    }

    /// # Panics
    /// When the only hidden file is not the journal.
    pub fn assert_resumable(&self) {
        assert_eq!(self.room.names("."), [JOURNAL]);
    }

    /// # Panics
    /// When there is none; here and below, when it is not JSON.
    pub fn ledger(&self) -> Value {
        serde_json::from_str(&self.room.text("talk.run.json")).expect("the ledger is JSON")
    }

    /// # Panics
    /// See [`Self::ledger`].
    pub fn transcript(&self) -> Value {
        serde_json::from_str(&self.room.text("talk.transcript.json")).expect("the transcript is JSON")
    }

    /// What the workers did since the last call.
    pub fn log(&self) -> Log {
        let script = self.room.path("script");
        let log = Log::of(&script);
        self.room.file("script.log", "");
        log
    }
}

/// What scripted workers did, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log(Vec<String>);

impl Log {
    /// What the workers of this script have done so far.
    pub fn of(script: &Path) -> Self {
        Self(log_of(script))
    }

    /// How many workers of this phase were started.
    pub fn starts(&self, phase: &str) -> usize {
        let start = format!("{phase} start");
        self.0.iter().filter(|line| **line == start).count()
    }

    /// The recordings that speech workers began, in order.
    pub fn recordings(&self) -> Vec<&str> {
        self.0.iter().filter_map(|line| line.strip_prefix("stt job ")).collect()
    }

    /// The units that were begun in this phase, in order.
    pub fn windows(&self, phase: &str) -> Vec<u64> {
        let prefix = format!("{phase} window ");
        self.0.iter().filter_map(|line| line.strip_prefix(&prefix)?.parse().ok()).collect()
    }
}
