//! Where the workers' programs are, and which of them this processor runs best.
//!
//! ```text
//!  told (option, variable, configuration) ──────────────────────────────────────► as it is
//!    │ nothing
//!    ▼
//!  each folder in order:  …-x86-64-v4 ─► -v3 ─► -v2 ─► -v1 ─► the plain name ───► first that is there
//!                         └─ from this processor's level down ─┘
//! ```
//!
//! whisper.cpp is linked into its worker and fixed, when it is built, to what a processor must be able to do. A package
//! for everybody has one program per level, beside the plain one for whatever is built where it runs. The summary
//! worker has one program: its engine picks at run time what it loads.
//!
//! # What it may not do
//!
//! - Pick a program that this processor cannot run, whatever it is told to aim at.
//! - Look into a second folder because the first has only the plain name: programs of two installations do not mix.

mod level;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use meetcap_protocol::WorkerKind;

pub use level::CpuLevel;

use crate::errors::JobError;

/// No program for a higher level is picked: to find out whether a fault is one of a level's code.
pub const LEVEL_VARIABLE: &str = "MEETCAP_CPU_LEVEL";

/// The two worker programs, as told or to be found, and what is expected of them.
#[derive(Debug, Clone, Default)]
pub struct WorkerPrograms {
    /// Used as it is, when given.
    pub stt: Option<PathBuf>,
    /// Used as it is, when given.
    pub llm: Option<PathBuf>,
    /// Folders to look in, in order, for what is not given.
    pub folders: Vec<PathBuf>,
    /// A worker that is not fully locked in is given nothing to read.
    pub require_sandbox: bool,
    /// The name of the highest [`CpuLevel`] to pick a program for, where this processor's is higher.
    pub at_most: Option<OsString>,
}

/// A worker's program, and why it is this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picked {
    pub path: PathBuf,
    /// What it was built for, when it was picked by that; `None` for one that was told, or that has the plain name.
    pub level: Option<CpuLevel>,
}

impl WorkerPrograms {
    /// Looks beside the program in `folder`, then in `../libexec/meetcap` of it, for the level that
    /// [`LEVEL_VARIABLE`] names at most.
    #[must_use]
    pub fn beside(folder: &Path) -> Self {
        let folders = vec![folder.to_path_buf(), folder.join("../libexec/meetcap")];
        Self { folders, at_most: std::env::var_os(LEVEL_VARIABLE), ..Self::default() }
    }

    /// The program for `kind`.
    ///
    /// # Errors
    /// As for [`WorkerPrograms::pick`].
    pub fn find(&self, kind: WorkerKind) -> Result<PathBuf, JobError> {
        self.pick(kind).map(|picked| picked.path)
    }

    /// The program for `kind`, and what it was picked by.
    ///
    /// # Errors
    /// [`JobError::WorkerMissing`] with the places that were looked at; [`JobError::CpuLevel`] when the level to aim
    /// at is none.
    pub fn pick(&self, kind: WorkerKind) -> Result<Picked, JobError> {
        self.pick_for(kind, CpuLevel::here(), Path::is_file)
    }

    /// The decision alone, for a processor of level `here` and files of which `is_there` tells.
    fn pick_for(
        &self,
        kind: WorkerKind,
        here: Option<CpuLevel>,
        is_there: impl Fn(&Path) -> bool,
    ) -> Result<Picked, JobError> {
        let told = match kind {
            WorkerKind::Stt => &self.stt,
            WorkerKind::Llm => &self.llm,
        };
        let candidates: Vec<Picked> = match told {
            Some(path) => vec![Picked { path: path.clone(), level: None }],
            None => {
                let levels = levels(here, self.at_most()?);
                let names = |folder: &PathBuf| names(kind, folder.clone(), &levels);
                self.folders.iter().flat_map(names).collect()
            }
        };
        let plain = |picked: &&Picked| picked.level.is_none();
        candidates.iter().find(|picked| is_there(&picked.path)).cloned().ok_or_else(|| JobError::WorkerMissing {
            program: kind.program(),
            searched: candidates.iter().filter(plain).map(|picked| picked.path.display().to_string()).collect(),
            variable: variable(kind),
        })
    }

    fn at_most(&self) -> Result<Option<CpuLevel>, JobError> {
        let Some(name) = &self.at_most else { return Ok(None) };
        let level = name.to_str().and_then(|name| name.parse().ok());
        level.map(Some).ok_or_else(|| JobError::CpuLevel { told: name.to_string_lossy().into_owned() })
    }
}

/// Levels whose programs this processor runs, from the best; none where it has none.
fn levels(here: Option<CpuLevel>, at_most: Option<CpuLevel>) -> Vec<CpuLevel> {
    let fits = |level: &CpuLevel| here.is_some_and(|here| *level <= here) && at_most.is_none_or(|most| *level <= most);
    CpuLevel::ALL.into_iter().rev().filter(fits).collect()
}

fn names(kind: WorkerKind, folder: PathBuf, levels: &[CpuLevel]) -> impl Iterator<Item = Picked> {
    let of_level = levels.iter().map(|level| (format!("-{level}"), Some(*level))).collect::<Vec<_>>();
    let endings = of_level.into_iter().chain([(String::new(), None)]);
    endings.map(move |(ending, level)| {
        let name = format!("{}{ending}{}", kind.program(), std::env::consts::EXE_SUFFIX);
        Picked { path: folder.join(name), level }
    })
}

fn variable(kind: WorkerKind) -> &'static str {
    match kind {
        WorkerKind::Stt => "MEETCAP_WORKER_STT",
        WorkerKind::Llm => "MEETCAP_WORKER_LLM",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name as it is on this system.
    fn stt(ending: &str) -> String {
        format!("{}{ending}{}", WorkerKind::Stt.program(), std::env::consts::EXE_SUFFIX)
    }

    /// What a processor of level `here` is given where these are there: folder and ending.
    fn picked(programs: &WorkerPrograms, here: Option<CpuLevel>, there: &[(&str, &str)]) -> Option<Picked> {
        let there: Vec<PathBuf> = there.iter().map(|(folder, ending)| Path::new(folder).join(stt(ending))).collect();
        programs.pick_for(WorkerKind::Stt, here, |path| there.iter().any(|known| known == path)).ok()
    }

    fn in_two_folders() -> WorkerPrograms {
        WorkerPrograms { folders: vec!["bin".into(), "libexec".into()], ..WorkerPrograms::default() }
    }

    #[test]
    fn a_told_program_is_used_and_nothing_else() {
        let folder = tempfile::tempdir().expect("folder");
        std::fs::write(folder.path().join(stt("")), b"").expect("write");
        let found = WorkerPrograms { at_most: None, ..WorkerPrograms::beside(folder.path()) };
        assert_eq!(found.find(WorkerKind::Stt).expect("found"), folder.path().join(stt("")));
        let told = WorkerPrograms { stt: Some(folder.path().join("other")), ..found };
        assert!(matches!(told.find(WorkerKind::Stt), Err(JobError::WorkerMissing { .. })));
    }

    #[test]
    fn what_is_missing_is_named_with_every_place_looked_at() {
        let folder = tempfile::tempdir().expect("folder");
        let programs = WorkerPrograms { at_most: None, ..WorkerPrograms::beside(folder.path()) };
        let text = programs.find(WorkerKind::Llm).expect_err("missing").to_string();
        assert!(text.contains("libexec") && text.contains("MEETCAP_WORKER_LLM"), "{text}");
        assert!(!text.contains("x86-64"), "one name a folder is enough: {text}");
    }

    #[test]
    fn the_best_program_that_the_processor_runs_is_picked() {
        let there = [("libexec", ""), ("libexec", "-x86-64-v2"), ("libexec", "-x86-64-v3"), ("libexec", "-x86-64-v4")];
        let level = |here| picked(&in_two_folders(), here, &there).expect("one is there").level;
        assert_eq!(level(Some(CpuLevel::V4)), Some(CpuLevel::V4));
        assert_eq!(level(Some(CpuLevel::V3)), Some(CpuLevel::V3));
        assert_eq!(level(Some(CpuLevel::V2)), Some(CpuLevel::V2));
        assert_eq!(level(Some(CpuLevel::V1)), None, "the plain one");
        assert_eq!(level(None), None, "another kind of processor");
    }

    #[test]
    fn a_level_that_was_not_packed_leaves_the_next_lower_one() {
        let there = [("libexec", ""), ("libexec", "-x86-64-v2")];
        let found = picked(&in_two_folders(), Some(CpuLevel::V4), &there).expect("one is there");
        assert_eq!(found.level, Some(CpuLevel::V2));
        let only_better = [("libexec", "-x86-64-v4")];
        assert_eq!(picked(&in_two_folders(), Some(CpuLevel::V3), &only_better), None);
    }

    #[test]
    fn a_folder_is_left_only_when_it_has_none() {
        let there = [("bin", ""), ("libexec", "-x86-64-v4")];
        let found = picked(&in_two_folders(), Some(CpuLevel::V4), &there).expect("one is there");
        assert_eq!(found, Picked { path: Path::new("bin").join(stt("")), level: None });
    }

    #[test]
    fn told_to_aim_lower_it_does_and_never_higher() {
        let there = [("bin", ""), ("bin", "-x86-64-v2"), ("bin", "-x86-64-v3"), ("bin", "-x86-64-v4")];
        let aiming = |at_most: &str| WorkerPrograms { at_most: Some(at_most.into()), ..in_two_folders() };
        let level = |at_most, here| picked(&aiming(at_most), here, &there).expect("one is there").level;
        assert_eq!(level("x86-64-v2", Some(CpuLevel::V4)), Some(CpuLevel::V2));
        assert_eq!(level("x86-64-v1", Some(CpuLevel::V4)), None);
        assert_eq!(level("x86-64-v4", Some(CpuLevel::V3)), Some(CpuLevel::V3));
        assert_eq!(level("x86-64-v3", None), None);
    }

    #[test]
    fn what_is_no_level_is_refused_with_those_that_are() {
        let programs = WorkerPrograms { at_most: Some("fast".into()), ..in_two_folders() };
        let error = programs.pick_for(WorkerKind::Stt, Some(CpuLevel::V3), |_| true).expect_err("no level");
        let text = error.to_string();
        assert!(
            ["MEETCAP_CPU_LEVEL", "fast", "x86-64-v1", "x86-64-v4"].iter().all(|part| text.contains(part)),
            "{text}"
        );
        assert_eq!(crate::ExitCode::of(&error), crate::ExitCode::Usage);
    }
}
