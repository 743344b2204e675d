//! The engines without anything around them: `worker-stt/examples/bare.rs` and `worker-llm/examples/bare.rs`.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use meetcap_tests::bins;

use super::supervised::{ANSWER_TOKENS, THREADS, WINDOW_TOKENS};

/// How the summary model's weights are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loading {
    Once,
    /// As the binding does it.
    Default,
}

/// A program that loads, works and holds; it ends when this is dropped.
pub(crate) struct Bare {
    child: Child,
    told: BufReader<ChildStdout>,
}

impl Bare {
    pub(crate) fn speech(model: &Path, recording: &Path) -> Self {
        let rest = [WINDOW_TOKENS.to_string(), THREADS.to_string()];
        let arguments = [model.into(), recording.into()].into_iter().chain(rest.map(OsString::from));
        Self::start("bare-stt", arguments)
    }

    /// With a context and a prompt of so many tokens.
    pub(crate) fn summary(loading: Loading, model: &Path, n_ctx: u64, kv: &str, prompt: u32) -> Self {
        let loading = match loading {
            Loading::Once => "--once",
            Loading::Default => "--default",
        };
        let work =
            [n_ctx.to_string(), kv.to_owned(), prompt.to_string(), ANSWER_TOKENS.to_string(), THREADS.to_string()];
        let arguments = [loading.into(), model.into()].into_iter().chain(work.map(OsString::from));
        Self::start("bare-llm", arguments)
    }

    fn start(name: &str, arguments: impl Iterator<Item = OsString>) -> Self {
        let mut command = Command::new(bins::find(&format!("examples/{name}")));
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the program starts");
        let told = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, told }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until its work is done. It holds everything from then on.
    pub(crate) fn work(&mut self) {
        for word in ["loaded", "done"] {
            let mut line = String::new();
            self.told.read_line(&mut line).expect("a pipe");
            assert_eq!(line.trim(), word, "the engine alone did not get that far");
        }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
