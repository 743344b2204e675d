//! The engines without anything around them: `worker-stt/examples/bare.rs` and `worker-llm/examples/bare.rs`.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use meetcap_tests::bins;

use super::supervised::{ANSWER_TOKENS, THREADS, WINDOW_TOKENS};

/// How the summary model's weights are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loading {
    Once,
    /// As the binding does it.
    Default,
}

/// Whether it locks itself in first, as a worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Walls {
    Real,
    None,
}

/// A program that loads, works and holds; it ends when this is dropped.
pub(crate) struct Bare {
    child: Child,
    told: BufReader<ChildStdout>,
    begun: Instant,
}

/// Of a program from its start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// To its model being ready.
    pub(crate) loaded: Duration,
    /// To the end of its process.
    pub(crate) whole: Duration,
}

impl Bare {
    pub(crate) fn speech(model: &Path, recording: &Path) -> Self {
        Self::speech_behind(Walls::None, model, recording)
    }

    pub(crate) fn speech_behind(walls: Walls, model: &Path, recording: &Path) -> Self {
        let rest = [WINDOW_TOKENS.to_string(), THREADS.to_string()];
        let arguments = [model.into(), recording.into()].into_iter().chain(rest.map(OsString::from));
        Self::start(walls, "bare-stt", arguments)
    }

    /// Decodes these stretches of the recording alone, in seconds.
    pub(crate) fn speech_of(model: &Path, recording: &Path, windows: &[(f64, f64)]) -> Self {
        let list: Vec<String> = windows.iter().map(|(start, end)| format!("{start}-{end}")).collect();
        let rest = [WINDOW_TOKENS.to_string(), THREADS.to_string(), "windows".to_owned(), list.join(",")];
        let arguments = [model.into(), recording.into()].into_iter().chain(rest.map(OsString::from));
        Self::start(Walls::None, "bare-stt", arguments)
    }

    /// With a context and a prompt of so many tokens.
    pub(crate) fn summary(loading: Loading, model: &Path, n_ctx: u64, kv: &str, prompt: u32) -> Self {
        Self::summary_behind(Walls::None, loading, model, n_ctx, kv, prompt)
    }

    pub(crate) fn summary_behind(
        walls: Walls,
        loading: Loading,
        model: &Path,
        n_ctx: u64,
        kv: &str,
        prompt: u32,
    ) -> Self {
        let loading = match loading {
            Loading::Once => "--once",
            Loading::Default => "--default",
        };
        let work =
            [n_ctx.to_string(), kv.to_owned(), prompt.to_string(), ANSWER_TOKENS.to_string(), THREADS.to_string()];
        let arguments = [loading.into(), model.into()].into_iter().chain(work.map(OsString::from));
        Self::start(walls, "bare-llm", arguments)
    }

    fn start(walls: Walls, name: &str, arguments: impl Iterator<Item = OsString>) -> Self {
        let mut command = Command::new(bins::find(&format!("examples/{name}")));
        if walls == Walls::Real {
            command.env("BARE_BEHIND_WALLS", "1");
        }
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let begun = Instant::now();
        let mut child = command.spawn().expect("the program starts");
        let told = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, told, begun }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until its work is done. It holds everything from then on.
    pub(crate) fn work(&mut self) {
        self.hear("loaded");
        self.hear("done");
    }

    /// Lets it work and end, without holding anything.
    pub(crate) fn finish(mut self) -> Times {
        drop(self.child.stdin.take());
        self.hear("loaded");
        let loaded = self.begun.elapsed();
        self.hear("done");
        assert!(self.child.wait().expect("our own child").success(), "the engine alone failed");
        Times { loaded, whole: self.begun.elapsed() }
    }

    fn hear(&mut self, word: &str) {
        let mut line = String::new();
        self.told.read_line(&mut line).expect("a pipe");
        assert_eq!(line.trim(), word, "the engine alone did not get that far");
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
