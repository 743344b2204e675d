//! What a scripted worker is told to do, and the doing of it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use meetcap_protocol::payload::llm::{Finish, Subject};
use meetcap_protocol::payload::stt::DropReason;
use meetcap_protocol::preamble::WorkerKind;
use meetcap_protocol::runtime::Computes;
use meetcap_protocol::{FaultKind, SandboxStatus, WorkerFault};

use super::memory::Memory;
use super::raw::Trick;

/// Where in a worker's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Start,
    Hello,
    Plan,
    Load,
    Window(u64),
    /// A recording is begun.
    Job(String),
    /// A window of this recording.
    WindowOf(u64, String),
    Unload,
}

/// What to do there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// `ok`
    Ok,
    /// `fault KIND TEXT`
    Fault(FaultKind, String),
    /// `panic`: with words in its message that nobody may repeat.
    Panic,
    /// `abort`: as ggml does, after a last word.
    Abort,
    /// `exit CODE`
    Exit(i32),
    /// `kill`: as the out-of-memory killer does.
    Kill,
    /// `hang`: computes for ever; the heartbeat goes on.
    Hang,
    /// `stop`: the whole process stands still.
    Stop,
    /// `slow MS`
    Slow(u64),
    /// `allocate MIB`: anonymous memory, touched, and kept until the process ends.
    Allocate(usize),
    /// `spam N`: so many bytes to standard error.
    Spam(usize),
    /// `escape FOLDER`: tries everything that a worker must not be able to do, there and elsewhere, from the engine's
    /// thread and from another; ends with a fault that tells what came of each.
    Escape(PathBuf),
    /// `say`: bytes that are no text and no good for a terminal, on both outputs.
    Say,
}

/// Written before a violent end, so that a test can find it again.
pub const LAST_WORDS: &str = "fake worker: these are the last words";
/// Part of the panic's message.
pub const SECRET: &str = "the-secret-that-was-spoken";

/// How the worker is locked in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Walls {
    /// As a real one that computes so is.
    Real(Computes),
    /// Not at all; this is what it says.
    Played(SandboxStatus),
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    step: Step,
    action: Action,
    /// How often, over all workers of the script; always when not given.
    times: Option<usize>,
    /// In the script.
    number: usize,
}

/// What a summary worker answers: `answer 3: TEXT` to its fourth job, `answer parts: TEXT` whenever it is asked to unite
/// parts. `\n` in the text is a new line; `echo` repeats what was asked; `cut …` ends at the token limit, `no-room`
/// reads nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    /// `None` for all jobs on parts.
    job: Option<u64>,
    pub(super) text: String,
    pub(super) finish: Finish,
}

impl Reply {
    fn parse(job: &str, text: &str) -> Self {
        let (text, finish) = match text.split_once(' ').unwrap_or((text, "")) {
            ("cut", text) => (text, Finish::TokenLimit),
            ("no-room", text) => (text, Finish::NoRoom),
            _ => (text, Finish::EndOfText),
        };
        let job = (job != "parts").then(|| job.parse().expect("a number of a job, or `parts`"));
        Self { job, text: text.replace("\\n", "\n"), finish }
    }
}

/// All lines for one role.
#[derive(Debug, Clone, Default)]
pub struct Script {
    role: &'static str,
    lines: Vec<Line>,
    trick: Option<Trick>,
    lie: Option<String>,
    windows: Option<u64>,
    /// Windows whose text is dropped, and why.
    drops: Vec<(u64, DropReason)>,
    /// Mebibytes that each set-up takes, as the worker tells; the last one holds for all that follow.
    sizes: Vec<u64>,
    replies: Vec<Reply>,
    walls: Option<Walls>,
    /// What survives this process.
    memory: Option<Arc<Memory>>,
}

impl Script {
    /// As the environment or the program's own folder says; empty when there is none.
    ///
    /// # Panics
    /// When a line makes no sense, so that a test with a spelling mistake fails.
    pub fn of_this_program(kind: WorkerKind) -> Self {
        let beside = || std::env::args_os().next().map(|program| PathBuf::from(program).with_extension("script"));
        let file = std::env::var_os("MEETCAP_FAKE_SCRIPT").map(PathBuf::from).or_else(beside);
        let Some((file, text)) = file.and_then(|file| Some((file.clone(), std::fs::read_to_string(file).ok()?))) else {
            return Self { role: kind.phase(), ..Self::default() };
        };
        let memory = Memory::beside(&file);
        Self { memory: Some(Arc::new(memory)), ..Self::parse(&text, kind) }
    }

    /// # Panics
    /// See [`Self::of_this_program`].
    pub fn parse(text: &str, kind: WorkerKind) -> Self {
        let mut script = Self { role: kind.phase(), ..Self::default() };
        for (number, line) in text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty()) {
            let (step, action) = line.split_once(": ").unwrap_or_else(|| panic!("no action in: {line}"));
            let (role, step) = match step.split_once(' ') {
                Some((role @ ("stt" | "llm"), step)) => (role, step),
                _ => (kind.phase(), step),
            };
            if role != kind.phase() {
                continue;
            }
            match step {
                "raw" => script.trick = Some(Trick::parse(action)),
                "lie" => script.lie = Some(action.to_owned()),
                "sizes" => script.sizes = action.split(' ').map(|mib| mib.parse().expect("mebibytes")).collect(),
                "drops" => {
                    let (window, reason) = action.split_once(' ').expect("a window and a reason");
                    script.drops.push((window.parse().expect("a number of a window"), parse_reason(reason)));
                }
                _ if step.starts_with("answer ") => {
                    script.replies.push(Reply::parse(&step["answer ".len()..], action));
                }
                "sandbox" => script.walls = Some(parse_walls(action)),
                "windows" => script.windows = Some(action.parse().expect("a number of windows")),
                _ => {
                    let (times, action) = parse_times(action);
                    script.lines.push(Line { step: parse_step(step), action: parse_action(action), times, number });
                }
            }
        }
        script
    }

    pub(super) fn trick(&self) -> Option<Trick> {
        self.trick
    }

    /// For a worker that can write no files.
    pub(super) fn without_memory(self) -> Self {
        Self { memory: None, ..self }
    }

    pub(super) fn walls(&self) -> Walls {
        self.walls.clone().unwrap_or(Walls::Played(SandboxStatus::Full))
    }

    pub(super) fn lie(&self) -> Option<&str> {
        self.lie.as_deref()
    }

    /// Windows of every recording.
    pub(super) fn windows(&self) -> u64 {
        self.windows.unwrap_or(super::WINDOWS)
    }

    /// What is answered to a job, if not the usual.
    pub(super) fn reply(&self, job: u64, subject: Subject) -> Option<&Reply> {
        let wanted = |reply: &&Reply| reply.job.map_or(subject == Subject::Parts, |wanted| wanted == job);
        self.replies.iter().find(wanted)
    }

    /// Why the text of a window is dropped.
    pub(super) fn drops(&self, window: u64) -> Option<DropReason> {
        self.drops.iter().find(|(dropped, _)| *dropped == window).map(|(_, reason)| *reason)
    }

    /// Bytes that set-up number `index` takes.
    pub(super) fn size(&self, index: usize) -> u64 {
        self.sizes.get(index).or(self.sizes.last()).copied().unwrap_or(3) << 20
    }

    /// Does what is due at `step`. Starts, recordings and windows are written down before.
    ///
    /// # Errors
    /// The fault that the script wants.
    pub fn act(&self, step: &Step) -> Result<(), WorkerFault> {
        if let Some(memory) = &self.memory {
            match step {
                Step::Start => memory.log(&format!("{} start", self.role)),
                Step::Window(window) => memory.log(&format!("{} window {window}", self.role)),
                Step::Job(name) => memory.log(&format!("{} job {name}", self.role)),
                _ => {}
            }
        }
        let due = self.lines.iter().filter(|line| line.step == *step && self.is_due(line));
        due.map(|line| &line.action).try_for_each(perform)
    }

    fn is_due(&self, line: &Line) -> bool {
        match (line.times, &self.memory) {
            (Some(times), Some(memory)) => memory.count(self.role, line.number) < times,
            _ => true,
        }
    }
}

/// What the workers of a script did, in order: `stt start`, `stt window 3`, `llm start` …; see [`Script::act`].
pub fn log_of(script: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(super::memory::log_path(script)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// `once ACTION` and `times K ACTION`.
fn parse_times(action: &str) -> (Option<usize>, &str) {
    match action.split_once(' ') {
        Some(("once", action)) => (Some(1), action),
        Some(("times", rest)) => {
            let (times, action) = rest.split_once(' ').expect("a number and an action");
            (Some(times.parse().expect("a number of times")), action)
        }
        _ => (None, action),
    }
}

fn parse_step(step: &str) -> Step {
    match step.split_once(' ') {
        Some(("job", name)) => Step::Job(name.to_owned()),
        Some(("window", window)) => {
            let number = |number: &str| number.parse().expect("a number of a window");
            match window.split_once(" of ") {
                Some((window, name)) => Step::WindowOf(number(window), name.to_owned()),
                None => Step::Window(number(window)),
            }
        }
        None if step == "start" => Step::Start,
        None if step == "hello" => Step::Hello,
        None if step == "plan" => Step::Plan,
        None if step == "load" => Step::Load,
        None if step == "unload" => Step::Unload,
        _ => panic!("unknown step: {step}"),
    }
}

fn parse_action(action: &str) -> Action {
    let (word, rest) = action.split_once(' ').unwrap_or((action, ""));
    match word {
        "ok" => Action::Ok,
        "fault" => {
            let (kind, text) = rest.split_once(' ').unwrap_or((rest, "as the script says"));
            Action::Fault(parse_fault(kind), text.to_owned())
        }
        "panic" => Action::Panic,
        "abort" => Action::Abort,
        "exit" => Action::Exit(rest.parse().expect("an exit code")),
        "kill" => Action::Kill,
        "hang" => Action::Hang,
        "stop" => Action::Stop,
        "slow" => Action::Slow(rest.parse().expect("milliseconds")),
        "allocate" => Action::Allocate(rest.parse().expect("mebibytes")),
        "spam" => Action::Spam(rest.parse().expect("a number of bytes")),
        "say" => Action::Say,
        "escape" => Action::Escape(rest.into()),
        _ => panic!("unknown action: {action}"),
    }
}

fn parse_walls(name: &str) -> Walls {
    match name {
        "cpu" => Walls::Real(Computes::OnCpu),
        "cuda" => Walls::Real(Computes::WithCuda),
        "vulkan" => Walls::Real(Computes::WithVulkan),
        "none" => Walls::Played(SandboxStatus::None { why: "scripted".to_owned() }),
        _ => panic!("unknown sandbox: {name}"),
    }
}

fn parse_reason(name: &str) -> DropReason {
    let all = [DropReason::NoText, DropReason::Repetition, DropReason::NoSpeech, DropReason::Silence];
    all.into_iter().find(|reason| reason.name() == name).unwrap_or_else(|| panic!("unknown reason: {name}"))
}

fn parse_fault(kind: &str) -> FaultKind {
    match kind {
        "ModelMissing" => FaultKind::ModelMissing,
        "ModelInvalid" => FaultKind::ModelInvalid,
        "AllocationFailed" => FaultKind::AllocationFailed,
        "BadInput" => FaultKind::BadInput,
        "Cancelled" => FaultKind::Cancelled,
        "Engine" => FaultKind::Engine { code: -7 },
        "Panic" => FaultKind::Panic,
        _ => panic!("unknown fault: {kind}"),
    }
}

fn perform(action: &Action) -> Result<(), WorkerFault> {
    match action {
        Action::Ok => {}
        Action::Fault(kind, text) => return Err(WorkerFault::new(*kind, text.as_str())),
        Action::Panic => panic!("{SECRET} at {}", std::process::id()),
        Action::Abort => {
            eprintln!("{LAST_WORDS}");
            std::process::abort();
        }
        Action::Exit(code) => {
            eprintln!("{LAST_WORDS}");
            std::process::exit(*code);
        }
        Action::Kill => {
            eprintln!("{LAST_WORDS}");
            end_by_signal(Deadly::Kill);
        }
        Action::Hang => loop {
            std::thread::park();
        },
        Action::Stop => end_by_signal(Deadly::Stop),
        Action::Slow(milliseconds) => std::thread::sleep(Duration::from_millis(*milliseconds)),
        Action::Allocate(mib) => {
            // Ones, because zeros would not be touched.
            std::mem::forget(vec![1_u8; mib << 20]);
        }
        Action::Spam(bytes) => {
            let line = [b'x'; 99].iter().chain(b"\n").copied().collect::<Vec<u8>>();
            let mut error = std::io::stderr().lock();
            for _ in 0..bytes.div_ceil(line.len()) {
                let _ = error.write_all(&line);
            }
        }
        Action::Escape(folder) => {
            #[cfg(target_os = "linux")]
            let told = super::escape::tell(folder);
            #[cfg(not(target_os = "linux"))]
            let told = format!("nothing is tried here, with {}", folder.display());
            return Err(WorkerFault::new(FaultKind::Engine { code: 0 }, told));
        }
        Action::Say => {
            let noise = b"\x1b[2J\x1b]0;title\x07\xff\xfe\0\x00\xc3(\r\n";
            let _ = std::io::stdout().write_all(noise).and_then(|()| std::io::stdout().flush());
            let _ = std::io::stderr().write_all(noise);
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Deadly {
    Kill,
    Stop,
}

fn end_by_signal(what: Deadly) {
    #[cfg(unix)]
    {
        use nix::sys::signal::{Signal, raise};
        let signal = match what {
            Deadly::Kill => Signal::SIGKILL,
            Deadly::Stop => Signal::SIGSTOP,
        };
        raise(signal).expect("a signal to ourselves");
    }
    #[cfg(not(unix))]
    match what {
        Deadly::Kill => std::process::exit(9),
        Deadly::Stop => loop {
            std::thread::park();
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_sees_its_own_lines_and_those_for_everybody() {
        let text = "llm load: abort\n\nwindow 2: fault BadInput not audio\nstt unload: exit 3\n";
        let script = Script::parse(text, WorkerKind::Stt);
        let fault = Action::Fault(FaultKind::BadInput, "not audio".to_owned());
        let line = |step, action, number| Line { step, action, times: None, number };
        assert_eq!(script.lines, [line(Step::Window(2), fault, 2), line(Step::Unload, Action::Exit(3), 3)]);
        assert_eq!(script.windows(), 3);
    }

    #[test]
    fn a_line_may_hold_for_a_number_of_times_only() {
        let script = Script::parse("windows: 40\nload: once abort\nwindow 1: times 2 exit 3", WorkerKind::Stt);
        let times: Vec<_> = script.lines.iter().map(|line| (line.times, line.action.clone())).collect();
        assert_eq!(times, [(Some(1), Action::Abort), (Some(2), Action::Exit(3))]);
        assert_eq!(script.windows(), 40);
    }
}
