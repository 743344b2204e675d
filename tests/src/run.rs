//! Runs a program under test: in its own folder, in its own process group, with a deadline, and with a look
//! afterwards at whether any worker was left behind.

use std::cell::OnceCell;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::Value;

use crate::processes;

/// What to run.
#[derive(Debug)]
pub struct Invocation {
    command: Command,
    room: PathBuf,
    limit: Duration,
}

impl Invocation {
    /// `program` in the folder `room`, with nothing of the product's in its environment.
    pub fn new(program: PathBuf, room: &Path) -> Self {
        let mut command = Command::new(program);
        command.current_dir(room).process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MEETCAP_")) {
            command.env_remove(name);
        }
        // Nobody's own configuration and measurements.
        command.env("HOME", home()).env_remove("XDG_CACHE_HOME");
        Self { command, room: room.to_path_buf(), limit: Duration::from_secs(60) }
    }

    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.command.env(name, value.into());
        self
    }

    /// Runs it inside this control group, from its first instruction on.
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn inside(self, group: &crate::cgroup::Cgroup) -> Self {
        let Self { command, room, limit } = self;
        let mut wrapped = Command::new("sh");
        // The shell moves itself and then becomes the program.
        wrapped.args(["-c", "echo 0 > \"$0\" && exec \"$@\""]).arg(group.procs());
        wrapped.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => wrapped.env(name, value),
                None => wrapped.env_remove(name),
            };
        }
        wrapped.current_dir(&room).process_group(0);
        wrapped.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command: wrapped, room, limit }
    }

    /// Its standard input is open for [`Running::say`].
    #[must_use]
    pub fn talking(mut self) -> Self {
        self.command.stdin(Stdio::piped());
        self
    }

    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Starts it at a terminal of its own.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn at_a_terminal(self) -> crate::terminal::Session {
        crate::terminal::Session::start(self.command, self.limit)
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it cannot be started, takes too long, or leaves a worker behind.
    pub fn run(self) -> Finished {
        self.start().finish()
    }

    /// Starts it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(mut self) -> Running {
        let until = Instant::now() + self.limit;
        let mut child = self.command.spawn().expect("the program starts");
        let (pid, input) = (child.id(), child.stdin.take());
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let (line, lines) = channel();
        let out = std::thread::spawn(move || {
            let mut text = String::new();
            for read in BufReader::new(out.expect("a pipe")).split(b'\n').map_while(Result::ok) {
                let read = String::from_utf8_lossy(&read).into_owned();
                text.push_str(&read);
                text.push('\n');
                let _ = line.send(read);
            }
            text
        });
        let err = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = err.expect("a pipe").read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let (exit, exited) = channel();
        std::thread::spawn(move || exit.send(wait(child)));
        Running {
            pid,
            input,
            room: self.room,
            until,
            started: Instant::now(),
            lines,
            out: Some(out),
            err: Some(err),
            exited,
            status: OnceCell::new(),
        }
    }
}

/// A home of the tests' own, kept for the models that the demo unpacks there.
fn home() -> PathBuf {
    let home = std::env::temp_dir().join(format!("meetcap-tests-home-{}", nix::unistd::getuid()));
    std::fs::create_dir_all(&home).expect("a folder for temporary files");
    home
}

fn wait(mut child: Child) -> ExitStatus {
    child.wait().expect("our own child")
}

/// A program at work.
#[derive(Debug)]
pub struct Running {
    pub pid: u32,
    input: Option<ChildStdin>,
    room: PathBuf,
    until: Instant,
    started: Instant,
    lines: Receiver<String>,
    out: Option<JoinHandle<String>>,
    err: Option<JoinHandle<String>>,
    exited: Receiver<ExitStatus>,
    status: OnceCell<ExitStatus>,
}

impl Running {
    /// Writes a line to its standard input.
    ///
    /// # Panics
    /// When it is not [talking](Invocation::talking), or does not read.
    pub fn say(&mut self, line: &str) {
        let input = self.input.as_mut().expect("an open standard input");
        input.write_all(format!("{line}\n").as_bytes()).expect("the program reads");
    }

    /// Ends its standard input.
    pub fn hang_up(&mut self) {
        self.input = None;
    }

    /// Waits for an event on standard output for which `wanted` holds.
    ///
    /// # Panics
    /// When it does not come in time.
    pub fn event(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let left = self.until.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).expect("the event comes");
            let event = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
            if wanted(&event) {
                return event;
            }
        }
    }

    /// The next event, whatever it is; `None` when there will be no more.
    ///
    /// # Panics
    /// When it does not come in time.
    pub fn next_event(&self) -> Option<Value> {
        match self.lines.recv_timeout(self.until.saturating_duration_since(Instant::now())) {
            Ok(line) => Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"))),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no event came in time"),
        }
    }

    /// Waits for the end, but not longer than `limit`; whether it came.
    pub fn ends_within(&self, limit: Duration) -> bool {
        if self.status.get().is_none()
            && let Ok(status) = self.exited.recv_timeout(limit)
        {
            let _ = self.status.set(status);
        }
        self.status.get().is_some()
    }

    /// Workers that are at work in its folder.
    pub fn workers(&self) -> Vec<u32> {
        processes::workers_in(&self.room)
    }

    /// Bytes that the program has had read from disks so far, as far as the kernel counts them.
    pub fn read_from_disk(&self) -> u64 {
        crate::proc::read_from_disk(&self.pid.to_string())
    }

    /// Sends a signal to the program alone.
    pub fn signal(&self, signal: Signal) {
        processes::signal(self.pid, signal);
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// When it takes too long or leaves a worker behind.
    pub fn finish(self) -> Finished {
        let room = self.room.clone();
        let finished = self.finish_leaving_workers();
        let left = processes::workers_in(&room);
        processes::kill(&left);
        assert!(left.is_empty(), "workers {left:?} were left running by: {finished:#?}");
        finished
    }

    /// Waits for the end and does not look for workers.
    ///
    /// # Panics
    /// When it takes too long.
    pub fn finish_leaving_workers(mut self) -> Finished {
        let left = self.until.saturating_duration_since(Instant::now());
        self.ends_within(left);
        let status = self.status.get().copied();
        if status.is_none() {
            self.kill();
        }
        let text =
            |reader: Option<JoinHandle<String>>| reader.and_then(|reader| reader.join().ok()).unwrap_or_default();
        let (stdout, stderr) = (text(self.out.take()), text(self.err.take()));
        let Some(status) = status else {
            panic!("not done in time; it said:\n{stderr}\n{stdout}");
        };
        Finished { code: status.code(), signal: status.signal(), stdout, stderr, took: self.started.elapsed() }
    }

    fn kill(&self) {
        let _ = killpg(Pid::from_raw(i32::try_from(self.pid).expect("a process number")), Signal::SIGKILL);
        processes::kill(&processes::workers_in(&self.room));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.err.is_some() {
            self.kill();
        }
    }
}

/// How it went.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Finished {
    /// # Panics
    /// When it ended in another way.
    #[must_use]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// # Panics
    /// When its standard error does not hold `words`.
    #[must_use]
    pub fn says(self, words: &str) -> Self {
        assert!(self.stderr.contains(words), "no `{words}` in: {self:#?}");
        self
    }

    /// The events on standard output.
    ///
    /// # Panics
    /// When a line is no JSON object.
    pub fn events(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        self.stdout.lines().map(parse).collect()
    }
}

/// The events of one kind.
pub fn of_kind<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == kind).collect()
}
