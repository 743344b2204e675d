//! Where the workers' programs are.

use std::path::{Path, PathBuf};

use meetcap_protocol::WorkerKind;

use crate::errors::JobError;

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
}

impl WorkerPrograms {
    /// Looks beside the program in `folder`, then in `../libexec/meetcap` of it.
    #[must_use]
    pub fn beside(folder: &Path) -> Self {
        let folders = vec![folder.to_path_buf(), folder.join("../libexec/meetcap")];
        Self { folders, ..Self::default() }
    }

    /// The program for `kind`.
    ///
    /// # Errors
    /// [`JobError::WorkerMissing`] with the places that were looked at.
    pub fn find(&self, kind: WorkerKind) -> Result<PathBuf, JobError> {
        let told = match kind {
            WorkerKind::Stt => &self.stt,
            WorkerKind::Llm => &self.llm,
        };
        let name = format!("{}{}", kind.program(), std::env::consts::EXE_SUFFIX);
        let candidates: Vec<PathBuf> = match told {
            Some(path) => vec![path.clone()],
            None => self.folders.iter().map(|folder| folder.join(&name)).collect(),
        };
        candidates.iter().find(|path| path.is_file()).cloned().ok_or_else(|| JobError::WorkerMissing {
            program: kind.program(),
            searched: candidates.iter().map(|path| path.display().to_string()).collect(),
            variable: variable(kind),
        })
    }
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

    #[test]
    fn a_told_program_is_used_and_nothing_else() {
        let folder = tempfile::tempdir().expect("folder");
        let name = format!("{}{}", WorkerKind::Stt.program(), std::env::consts::EXE_SUFFIX);
        std::fs::write(folder.path().join(&name), b"").expect("write");
        let found = WorkerPrograms::beside(folder.path());
        assert_eq!(found.find(WorkerKind::Stt).expect("found"), folder.path().join(&name));
        let told = WorkerPrograms { stt: Some(folder.path().join("other")), ..found };
        assert!(matches!(told.find(WorkerKind::Stt), Err(JobError::WorkerMissing { .. })));
    }

    #[test]
    fn what_is_missing_is_named_with_every_place_looked_at() {
        let folder = tempfile::tempdir().expect("folder");
        let error = WorkerPrograms::beside(folder.path()).find(WorkerKind::Llm).expect_err("missing");
        let text = error.to_string();
        assert!(text.contains("libexec") && text.contains("MEETCAP_WORKER_LLM"), "{text}");
    }
}
