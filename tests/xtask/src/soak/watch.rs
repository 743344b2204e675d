//! One run of the supervisor under observation: its events as they come, and the kills when they are due.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::plan::{Kill, Mark, Moment, Victim};
use crate::json::Json;
use crate::outside;

/// Many times what a run takes.
const LIMIT: Duration = Duration::from_secs(120);

/// A kill that hit.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Hit {
    pub(super) victim: Victim,
    /// What the run was last seen doing.
    pub(super) during: String,
    /// Resident memory of the workers just before, in MiB.
    pub(super) resident: f64,
}

#[derive(Debug)]
pub(super) struct Seen {
    pub(super) status: ExitStatus,
    pub(super) hits: Vec<Hit>,
    /// Windows that workers computed to their end.
    pub(super) computed: u64,
    pub(super) finished: bool,
    pub(super) ended: Instant,
    pub(super) took: Duration,
}

/// Runs `command` and kills as planned; kills that are not due before the end do not happen.
pub(super) fn run(mut command: Command, errors: &Path, kills: &[Kill]) -> Result<Seen, String> {
    let failed = |cause: std::io::Error| format!("the supervisor could not be run: {cause}");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(errors).map_err(failed)?);
    let start = Instant::now();
    let mut child = command.spawn().map_err(failed)?;
    let events = child.stdout.take().map(lines).ok_or("no pipe")?;
    let mut watch = Watch { child, start, view: View::default(), hits: Vec::new(), kills: kills.to_vec(), due: None };
    watch.follow(&events)?;
    let status = watch.child.wait().map_err(failed)?;
    let ended = Instant::now();
    let View { computed, finished, .. } = watch.view;
    Ok(Seen { status, hits: watch.hits, computed, finished, ended, took: start.elapsed() })
}

fn lines(output: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

struct Watch {
    child: Child,
    start: Instant,
    view: View,
    hits: Vec<Hit>,
    /// In order; the first is the next.
    kills: Vec<Kill>,
    due: Option<Instant>,
}

impl Watch {
    fn follow(&mut self, events: &Receiver<String>) -> Result<(), String> {
        self.aim();
        loop {
            let until = self.due.unwrap_or(self.start + LIMIT);
            match events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if let Some(mark) = self.view.learn(&line) {
                        self.notice(mark);
                    }
                }
                Err(RecvTimeoutError::Timeout) if self.due.is_some() => self.strike(),
                Err(RecvTimeoutError::Timeout) => {
                    let _ = self.child.kill();
                    return Err(format!("a run did not end within {} s", LIMIT.as_secs()));
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            if self.due.is_some_and(|due| due <= Instant::now()) {
                self.strike();
            }
        }
    }

    fn aim(&mut self) {
        if let Some(Kill { moment: Moment::At(time), .. }) = self.kills.first() {
            self.due = Some((self.start + *time).max(Instant::now()));
        }
    }

    fn notice(&mut self, seen: Mark) {
        if let Some(Kill { moment: Moment::After(mark, delay), .. }) = self.kills.first()
            && *mark == seen
            && self.due.is_none()
        {
            self.due = Some(Instant::now() + *delay);
        }
    }

    fn strike(&mut self) {
        self.due = None;
        let Kill { victim, .. } = self.kills.remove(0);
        let workers = outside::children(self.child.id());
        let resident = workers.iter().filter_map(|pid| outside::resident_mebibytes(*pid)).sum();
        let hit = match victim {
            Victim::Supervisor => self.child.kill().is_ok(),
            // Between the phases there is none.
            Victim::Worker => workers.first().is_some_and(|worker| kill(*worker)),
        };
        if hit {
            self.hits.push(Hit { victim, during: self.view.doing.clone(), resident });
        }
        self.aim();
    }
}

fn kill(pid: u32) -> bool {
    let mut kill = Command::new("kill");
    kill.args(["-KILL", &pid.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
    kill.status().is_ok_and(|status| status.success())
}

/// What the events have told so far.
#[derive(Debug)]
struct View {
    doing: String,
    computed: u64,
    pieces: u64,
    finished: bool,
}

impl Default for View {
    fn default() -> Self {
        Self { doing: "start".to_owned(), computed: 0, pieces: 0, finished: false }
    }
}

impl View {
    /// A line that is cut off by a kill tells nothing.
    fn learn(&mut self, line: &str) -> Option<Mark> {
        let event = Json::parse(line).ok()?;
        let is_speech = event.text("phase") == Some("stt");
        match event.text("event")? {
            "state" => {
                let state = event.text("state")?;
                self.doing = format!("{} {state}", event.text("phase")?);
                match (is_speech, state) {
                    (true, "loading") => Some(Mark::SpeechStarts),
                    (true, "ready") => Some(Mark::SpeechLoaded),
                    (false, "loading") => Some(Mark::SummaryStarts),
                    _ => None,
                }
            }
            "progress" if is_speech => {
                self.computed += 1;
                Some(Mark::Window(self.computed))
            }
            "summary_delta" => {
                self.pieces += 1;
                Some(Mark::Piece(self.pieces))
            }
            "worker_exit" => Some(if is_speech { Mark::SpeechEnded } else { Mark::SummaryEnded }),
            "run_finished" => {
                self.finished = true;
                None
            }
            _ => None,
        }
    }
}

/// Processes that work in `folder`; those that have ended hold nothing and are not counted.
pub(super) fn processes_in(folder: &Path) -> Vec<u32> {
    let Ok(folder) = folder.canonicalize() else { return Vec::new() };
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| works_in(&entry.path(), &folder)).collect()
}

fn works_in(process: &Path, folder: &PathBuf) -> Option<u32> {
    let pid = process.file_name()?.to_str()?.parse().ok()?;
    // What has ended has no folder any more.
    (std::fs::read_link(process.join("cwd")).ok()? == *folder).then_some(pid)
}

/// Waits until nobody works in `folder`, no longer than `limit`: how long it took, or who is left.
pub(super) fn gone_within(folder: &Path, since: Instant, limit: Duration) -> Result<Duration, Vec<u32>> {
    loop {
        let left = processes_in(folder);
        if left.is_empty() {
            return Ok(since.elapsed());
        }
        if since.elapsed() > limit {
            left.iter().for_each(|pid| {
                kill(*pid);
            });
            return Err(left);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_become_marks_and_numbers() {
        let mut view = View::default();
        let progress =
            r#"{"v":1,"t_ms":5,"event":"progress","phase":"stt","done":25.66,"total":null,"unit":"seconds"}"#;
        assert_eq!(view.learn(progress), Some(Mark::Window(1)));
        assert_eq!(view.learn(progress), Some(Mark::Window(2)));
        assert_eq!(view.learn(&progress[..40]), None);
        assert_eq!(
            view.learn(r#"{"event":"state","phase":"llm","state":"loading","pid":1}"#),
            Some(Mark::SummaryStarts)
        );
        assert_eq!((view.computed, view.doing.as_str()), (2, "llm loading"));
        assert_eq!(view.learn(r#"{"event":"run_finished"}"#), None);
        assert!(view.finished);
    }
}
