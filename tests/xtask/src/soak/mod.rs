//! `cargo xtask soak`: whatever is killed at whatever time, the same command run again ends with the same files.
//!
//! ```text
//!  reference: one run, undisturbed ─► its files, its windows, its duration
//!             one killed when its summary begins ─► a half-done folder
//!  round:     fresh or half-done folder ─► run ─ kill ─► run ─ kill ─► … ─► run to its end ─► compare with the reference
//! ```
//!
//! A round draws everything from the seed and its own number, so it can be repeated alone. Linux only: workers are
//! found in `/proc`.

mod journal;
mod plan;
mod round;
mod tally;
mod watch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::binaries::{SUPERVISOR, WORKERS};
use crate::checks;
use crate::demo::fresh_folder;
use crate::results;
use crate::rng::{Rng, fresh_seed};
use crate::run::Step;
use crate::workspace::Workspace;
use round::{Reference, Room};
use tally::Tally;

const RECORDING: &str = "supervisor/demo/meeting.flac";
/// The bundled recording, this often: six windows.
const TIMES: u32 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) kills: u64,
    pub(crate) seed: Option<u64>,
    /// Repeats one round and nothing else.
    pub(crate) only: Option<u64>,
    /// Ends earlier than the kills would.
    pub(crate) minutes: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self { kills: 1000, seed: None, only: None, minutes: None }
    }
}

pub(crate) fn run(workspace: &Workspace, options: Options) -> Result<ExitCode, String> {
    if !cfg!(target_os = "linux") {
        return Err("`soak` looks for workers under /proc, which only Linux has".to_owned());
    }
    for program in [WORKERS[0], WORKERS[1], SUPERVISOR] {
        checks::build(workspace, program)?;
    }
    let folder = fresh_folder("soak")?;
    let soaked = soak(workspace, &folder, options);
    // A failed round's files are copied elsewhere; that these stay behind would harm nobody.
    let _ = std::fs::remove_dir_all(&folder);
    soaked
}

fn soak(workspace: &Workspace, folder: &Path, options: Options) -> Result<ExitCode, String> {
    let seed = options.seed.unwrap_or_else(fresh_seed);
    println!("seed {seed}; repeat with: cargo xtask soak --kills {} --seed {seed}", options.kills);
    let recording = make_recording(workspace, folder)?;
    let room = Room::new(folder.join("room"), recording, copy_programs(workspace, folder)?);
    let reference = Reference::take(&room)?;
    println!("undisturbed: {} windows in {:.1} s", reference.windows, reference.took.as_secs_f64());
    let tally = rounds(&room, &reference, options, seed);
    println!("{}", tally.summary(seed));
    if options.only.is_none() {
        let measurement = tally.measurement(&format!("cargo xtask soak --kills {} --seed {seed}", tally.kills()));
        println!("wrote {}", results::write(&workspace.root, "soak", &measurement)?.display());
    }
    Ok(if tally.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn rounds(room: &Room, reference: &Reference, options: Options, seed: u64) -> Tally {
    let mut tally = Tally::default();
    let start = Instant::now();
    let numbers = options.only.map_or(1..=u64::MAX, |only| only..=only);
    for number in numbers {
        let late = options.minutes.is_some_and(|minutes| start.elapsed().as_secs() >= minutes * 60);
        if options.only.is_none() && (late || tally.kills() >= options.kills) {
            break;
        }
        let left = if options.only.is_some() { u64::MAX } else { options.kills - tally.kills() };
        let before = tally.failures.len();
        round::play(room, reference, &mut Rng::nth(seed, number), left, &mut tally);
        tally.end_round();
        for failure in &tally.failures[before..] {
            println!("FAILED round {number}: {failure}; repeat with: cargo xtask soak --seed {seed} --only {number}");
        }
        progress(&tally, start.elapsed());
    }
    tally
}

fn progress(tally: &Tally, elapsed: Duration) {
    println!(
        "{} kills in {} rounds, {} failures, {:.0} s",
        tally.kills(),
        tally.rounds,
        tally.failures.len(),
        elapsed.as_secs_f64()
    );
}

/// So that a build in the meantime changes nothing. Workers are looked for beside their supervisor.
fn copy_programs(workspace: &Workspace, folder: &Path) -> Result<PathBuf, String> {
    let copy = |name: &str| {
        let (from, to) = (workspace.program(name), folder.join(name));
        std::fs::copy(&from, &to)
            .map(|_| to)
            .map_err(|cause| format!("{} could not be copied: {cause}", from.display()))
    };
    for worker in WORKERS {
        copy(worker)?;
    }
    copy(SUPERVISOR)
}

fn make_recording(workspace: &Workspace, folder: &Path) -> Result<PathBuf, String> {
    let recording = folder.join("meeting.flac");
    let again = (TIMES - 1).to_string();
    let repeat = Step::new("ffmpeg").args(["-v", "error", "-nostdin", "-stream_loop", &again, "-i"]);
    repeat.args([&workspace.root.join(RECORDING), &recording]).succeed()?;
    Ok(recording)
}
