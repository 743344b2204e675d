//! One round: a fresh folder, runs that are killed, a run to the end, and the comparison.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::journal;
use super::plan::{self, Victim};
use super::tally::Tally;
use super::watch::{self, Hit, Seen};
use crate::rng::Rng;

const OUTPUTS: [&str; 4] =
    ["meeting.run.json", "meeting.summary.md", "meeting.transcript.json", "meeting.transcript.txt"];
const SUMMARY: &str = OUTPUTS[1];
const TRANSCRIPTS: [&str; 2] = [OUTPUTS[2], OUTPUTS[3]];
const JOURNAL: &str = ".meeting.meetcap-journal";
/// The one line of a summary that differs from run to run.
const DATE: &str = "*Generated: ";
/// How long a worker may outlive its supervisor, plus [`PER_MEBIBYTE`].
const ORPHAN: Duration = Duration::from_millis(250);
const PER_MEBIBYTE: f64 = 0.25e-3;
/// Windows decoded at once, at most. What comes of it is compared with one at a time.
const WIDEST: u64 = 2;
/// Kills in one round, at most.
const MOST: u64 = 10;

/// The folder that every run works in: always the same, because outputs name it.
pub(super) struct Room {
    folder: PathBuf,
    recording: PathBuf,
    supervisor: PathBuf,
}

impl Room {
    pub(super) fn new(folder: PathBuf, recording: PathBuf, supervisor: PathBuf) -> Self {
        Self { folder, recording, supervisor }
    }

    fn refresh(&self) -> Result<(), String> {
        let failed = |cause: std::io::Error| format!("{} could not be made: {cause}", self.folder.display());
        if self.folder.exists() {
            std::fs::remove_dir_all(&self.folder).map_err(failed)?;
        }
        std::fs::create_dir_all(self.folder.join("tmp")).map_err(failed)?;
        // Linked, not copied: to a journal, another time of the file may be another recording.
        std::fs::hard_link(&self.recording, self.folder.join("meeting.flac")).map_err(failed)
    }

    /// That decodes so many windows at once, each with a thread.
    fn command(&self, width: u64) -> Command {
        let mut command = Command::new(&self.supervisor);
        let words = "run meeting.flac --stt demo --llm demo --events jsonl -o out";
        let width = width.to_string();
        command.args(words.split(' ')).args(["--threads", &width, "--windows", &width]);
        command.current_dir(&self.folder).env("TMPDIR", self.folder.join("tmp"));
        command
    }

    fn output(&self, name: &str) -> PathBuf {
        self.folder.join("out").join(name)
    }

    fn windows(&self) -> u64 {
        journal::windows(&self.output(JOURNAL))
    }

    /// Everything is in place and the journal has gone: a kill after that disturbs nothing.
    fn is_done(&self) -> bool {
        !self.output(JOURNAL).exists() && OUTPUTS.iter().all(|name| self.output(name).exists())
    }

    /// All files of the output folder.
    fn outputs(&self) -> Result<Vec<(String, Vec<u8>)>, String> {
        let read = |name: String| {
            let bytes = std::fs::read(self.output(&name)).map_err(|cause| format!("{name}: {cause}"))?;
            Ok((name, bytes))
        };
        names(&self.folder.join("out")).into_iter().map(read).collect()
    }

    fn put_outputs(&self, files: &[(String, Vec<u8>)]) -> Result<(), String> {
        let made = std::fs::create_dir_all(self.folder.join("out"));
        let written =
            made.and_then(|()| files.iter().try_for_each(|(name, text)| std::fs::write(self.output(name), text)));
        written.map_err(|cause| format!("the half-done run could not be laid out: {cause}"))
    }

    fn texts(&self) -> Result<Vec<(&'static str, String)>, String> {
        let text = |name: &'static str| {
            let text = std::fs::read_to_string(self.output(name)).map_err(|cause| format!("{name}: {cause}"))?;
            Ok((name, if name == SUMMARY { without_date(&text) } else { text }))
        };
        TRANSCRIPTS.into_iter().chain([SUMMARY]).map(text).collect()
    }

    fn run(&self, kills: &[plan::Kill], width: u64) -> Result<Seen, String> {
        watch::run(self.command(width), &self.folder.join("stderr.txt"), kills)
    }

    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(self.folder.join("stderr.txt")).unwrap_or_default();
        text.lines().rev().take(3).collect::<Vec<_>>().join(" | ")
    }
}

fn without_date(summary: &str) -> String {
    summary.lines().filter(|line| !line.starts_with(DATE)).collect::<Vec<_>>().join("\n")
}

/// What an undisturbed run gives.
pub(super) struct Reference {
    texts: Vec<(&'static str, String)>,
    /// Output folder of a run that was killed when its summary began, to start rounds from: else most kills would hit
    /// the speech phase, which takes nearly all of the time.
    half_done: Vec<(String, Vec<u8>)>,
    pub(super) windows: u64,
    pub(super) took: Duration,
}

impl Reference {
    pub(super) fn take(room: &Room) -> Result<Self, String> {
        room.refresh()?;
        let seen = room.run(&[], 1)?;
        if !(seen.status.success() && seen.computed > 0 && room.is_done()) {
            return Err(format!("the undisturbed run failed ({}): {}", seen.status, room.last_words()));
        }
        let texts = room.texts()?;
        room.refresh()?;
        room.run(&[plan::SUPERVISOR_AT_SUMMARY], 1)?;
        if room.windows() != seen.computed {
            return Err(format!("no run with all windows in its journal could be made: {}", room.last_words()));
        }
        Ok(Self { texts, half_done: room.outputs()?, windows: seen.computed, took: seen.took })
    }

    /// About what is left after so many windows.
    fn time_left(&self, done: u64) -> Duration {
        let share = self.windows.saturating_sub(done) as f64 / self.windows as f64;
        self.took.mul_f64(share) + Duration::from_millis(400)
    }
}

/// Plays a round with at most `most` kills; what goes wrong is in the tally.
pub(super) fn play(room: &Room, reference: &Reference, rng: &mut Rng, most: u64, tally: &mut Tally) {
    let half_done = if rng.percent(60) { &reference.half_done[..] } else { &[] };
    let ready = room.refresh().and_then(|()| room.put_outputs(half_done));
    match ready.and_then(|()| runs(room, reference, rng, most, tally)) {
        Ok(()) => compare(room, reference, tally),
        Err(why) => tally.failures.push(why),
    }
}

/// Runs until one ends by itself.
fn runs(room: &Room, reference: &Reference, rng: &mut Rng, most: u64, tally: &mut Tally) -> Result<(), String> {
    let mut budget = rng.one_to(MOST).min(most);
    loop {
        let before = room.windows();
        let mut kills = if budget == 0 {
            Vec::new()
        } else {
            plan::draw(rng, reference.windows.saturating_sub(before), reference.time_left(before))
        };
        kills.truncate(usize::try_from(budget).unwrap_or(usize::MAX));
        let seen = room.run(&kills, rng.one_to(WIDEST))?;
        budget -= seen.hits.len() as u64;
        judge_rework(room, reference, before, &seen, tally);
        tally.count(&seen.hits);
        match seen.hits.iter().find(|hit| hit.victim == Victim::Supervisor) {
            Some(hit) if seen.status.code().is_none() => {
                judge_orphans(room, &seen, hit, tally);
                if room.is_done() {
                    return Ok(());
                }
            }
            _ if seen.status.success() => return Ok(()),
            _ => return Err(format!("a run ended with {} after {:?}: {}", seen.status, seen.hits, room.last_words())),
        }
    }
}

/// Windows that were computed in this run and are not in the journal after it were computed for nothing.
fn judge_rework(room: &Room, reference: &Reference, before: u64, seen: &Seen, tally: &mut Tally) {
    // The journal goes at the end of a run; then everything is done.
    let after = if seen.finished || room.is_done() { reference.windows } else { room.windows() };
    let rework = seen.computed.saturating_sub(after.saturating_sub(before));
    tally.rework(rework, seen.hits.len() as u64);
}

fn judge_orphans(room: &Room, seen: &Seen, hit: &Hit, tally: &mut Tally) {
    let limit = ORPHAN + Duration::from_secs_f64(PER_MEBIBYTE * hit.resident);
    match watch::gone_within(&room.folder, seen.ended, limit) {
        Ok(took) => tally.gone_after(took),
        Err(left) => tally.orphan(format!("{left:?} lived on {} ms after the supervisor", limit.as_millis())),
    }
}

fn compare(room: &Room, reference: &Reference, tally: &mut Tally) {
    match room.texts() {
        Err(why) => tally.failures.push(why),
        Ok(texts) => {
            for ((name, text), (_, wanted)) in
                texts.iter().zip(&reference.texts).filter(|(text, wanted)| text != wanted)
            {
                tally.differs(name, &keep(name, text, wanted));
            }
        }
    }
    for name in names(&room.folder.join("out")).iter().filter(|name| !OUTPUTS.contains(&name.as_str())) {
        tally.left_behind(name);
    }
    // Runs that were killed while they waited for their worker to connect.
    tally.sockets += names(&room.folder.join("tmp")).iter().filter(|name| is_socket_folder(name)).count();
}

/// The list of runs is in `meetcap-<user>`, in digits.
fn is_socket_folder(name: &str) -> bool {
    name.strip_prefix("meetcap-").is_some_and(|rest| !rest.chars().all(|letter| letter.is_ascii_digit()))
}

/// Puts both texts where they can be looked at, and says where.
fn keep(name: &str, text: &str, wanted: &str) -> String {
    let kept = crate::demo::fresh_folder("soak-differs").and_then(|folder| {
        let write = |what: &str, text: &str| std::fs::write(folder.join(format!("{what}-{name}")), text);
        let written = write("found", text).and_then(|()| write("wanted", wanted));
        written.map(|()| folder).map_err(|cause| cause.to_string())
    });
    kept.map_or_else(|why| why, |folder| folder.display().to_string())
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_runs_is_no_socket() {
        assert!(is_socket_folder("meetcap-x1Y2z3") && !is_socket_folder("meetcap-1000") && !is_socket_folder("other"));
    }

    #[test]
    fn summaries_are_compared_without_their_date() {
        let at = |date: &str| without_date(&format!("# A\n*Generated: {date}*\ntext"));
        assert_eq!(at("today"), at("tomorrow"));
        assert_ne!(at("today"), without_date("# B\n*Generated: today*\ntext"));
    }
}
