//! Does the gate tell a leak from none? On real processes, with leaks that are really there.
//!
//! ```text
//!  nothing                    ─► no leak
//!  0.5 MB kept each cycle     ─► a leak of the supervisor's memory, and of nothing else
//!  a file left open           ─► a leak of descriptors
//!  nothing, one worker        ─► no leak
//!  a process that grows by 0.5 MB each cycle beside the only worker ─► a leak of the worker's memory
//! ```
//!
//! The leaks are in this file, and nothing outside of it can ask for one. A real worker cannot be made to leak, so a
//! shell that grows on request is counted as a part of it; its memory is read from the kernel like the worker's.

use std::fs::File;
use std::io;
#[cfg(unix)]
use std::io::{BufRead, BufReader, Write};
#[cfg(unix)]
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::Serialize;

use super::driver::{Meddler, Nothing, run};
use super::material::Bundle;
use super::{Account, Check, LEAST_KEPT, LeakError, Measure, Scope, Step, Verdict, WARM_UP};
use crate::event::Phase;
use crate::pipeline::Supervisor;
use crate::stop::Stop;

/// The least leak that the gate is held to.
const LEAKED: usize = 500_000;
#[expect(clippy::cast_possible_truncation, reason = "a small constant")]
const LEAST_CYCLES: u32 = LEAST_KEPT as u32;

/// What was tried, and what the gate said.
#[derive(Debug, Clone, Serialize)]
pub struct Trial {
    /// What was injected.
    pub injected: &'static str,
    /// Where a leak has to be found; null where nothing was injected.
    pub expected: Option<Measure>,
    /// Where leaks were found.
    pub found: Vec<Measure>,
    /// What it was told by.
    pub account: Account,
}

impl Trial {
    fn new(injected: &'static str, expected: Option<Measure>, account: Account) -> Self {
        let leaks = account.series.iter().filter(|series| series.verdict == Verdict::Leak);
        Self { injected, expected, found: leaks.map(|series| series.measure).collect(), account }
    }

    /// Whether the gate found what was there and nothing else.
    pub fn is_right(&self) -> bool {
        let is_judged = self.account.verdict != Verdict::Insufficient;
        is_judged && self.found == self.expected.into_iter().collect::<Vec<_>>()
    }
}

/// All trials.
#[derive(Debug, Clone, Serialize)]
pub struct SelfTest {
    pub trials: Vec<Trial>,
}

impl SelfTest {
    /// Whether the gate can be believed.
    pub fn is_passed(&self) -> bool {
        self.trials.iter().all(Trial::is_right)
    }
}

/// Runs the gate over what leaks and what does not. `told` hears of every cycle, with what is injected.
///
/// # Errors
/// A cycle failed, or the shell could not be started.
pub async fn self_test(
    supervisor: &Supervisor,
    check: &Check,
    bundle: &Bundle,
    stop: &Stop,
    mut told: impl FnMut(&'static str, Step),
) -> Result<SelfTest, LeakError> {
    // Fewer cycles are no verdict, and prove nothing about the gate.
    let cycles = check.cycles.max(WARM_UP + LEAST_CYCLES);
    let alone = Check { reuse: false, cycles, ..check.clone() };
    // One worker holds one model.
    let phase = if check.scope == Scope::Stt { Phase::Stt } else { Phase::Llm };
    let scope = if phase == Phase::Stt { Scope::Stt } else { Scope::Llm };
    let one_worker = Check { reuse: true, scope, ..alone.clone() };
    let mut trials = Vec::new();
    macro_rules! attempt {
        ($check:expr, $injected:expr, $expected:expr, $meddler:expr) => {{
            let step = |step: Step| told($injected, step);
            let account = run(supervisor, $check, bundle, stop, step, $meddler).await?;
            trials.push(Trial::new($injected, $expected, account));
        }};
    }
    attempt!(&alone, "nothing", None, &mut Nothing);
    attempt!(&alone, "0.5 MB kept in each cycle", Some(Measure::SupervisorMemory), &mut Memory::default());
    attempt!(&alone, "a file left open in each cycle", Some(Measure::Descriptors), &mut Files::default());
    attempt!(&one_worker, "nothing, with one worker", None, &mut Nothing);
    #[cfg(unix)]
    {
        let mut shell = Shell::start().map_err(LeakError::Leaker)?;
        let expected = Some(Measure::of_worker(phase));
        attempt!(&one_worker, "0.5 MB kept in each cycle beside one worker", expected, &mut shell);
    }
    Ok(SelfTest { trials })
}

/// Keeps memory, all of it written to.
#[derive(Debug, Default)]
struct Memory(Vec<Vec<u8>>);

impl Meddler for Memory {
    fn meddle(&mut self) -> io::Result<()> {
        self.0.push(vec![1; LEAKED]);
        Ok(())
    }
}

/// Keeps files open.
#[derive(Debug, Default)]
struct Files(Vec<File>);

impl Meddler for Files {
    fn meddle(&mut self) -> io::Result<()> {
        self.0.push(File::open(std::env::current_exe()?)?);
        Ok(())
    }
}

/// A shell that makes one of its variables longer for every line that it is given.
#[cfg(unix)]
#[derive(Debug)]
struct Shell {
    process: Child,
    asked: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

#[cfg(unix)]
impl Shell {
    fn start() -> io::Result<Self> {
        // A thousand characters, five hundred times.
        let script = "p=$(printf %01000d 0); u=; i=0; while [ $i -lt 500 ]; do u=$u$p; i=$((i+1)); done; \
                      while read -r line; do kept=$kept$u; echo grown; done";
        let mut process =
            Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (asked, answers) = (process.stdin.take(), process.stdout.take());
        let answers = answers.ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self { process, asked, answers: BufReader::new(answers) })
    }
}

#[cfg(unix)]
impl Meddler for Shell {
    fn meddle(&mut self) -> io::Result<()> {
        self.asked.as_mut().ok_or(io::ErrorKind::BrokenPipe)?.write_all(b"grow\n")?;
        match self.answers.read_line(&mut String::new())? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    fn beside(&self) -> Option<u32> {
        Some(self.process.id())
    }
}

#[cfg(unix)]
impl Drop for Shell {
    /// It ends with its input.
    fn drop(&mut self) {
        self.asked = None;
        let _ = self.process.wait();
    }
}
