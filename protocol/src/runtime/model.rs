//! A model's file, opened once: everything that reads it reads from this one descriptor, or from what stands for it.
//!
//! ```text
//!  ModelFile ─► open ─► the one that was looked over? ─► our own look ─► the engine reads ─► still the same?
//!                              no ▼                                                      no ▼
//!                         ModelInvalid: it changed                                  ModelInvalid
//! ```
//!
//! What changes its content while the engine reads is caught by the second comparison, after the fact: an engine that
//! stumbles over it does so inside the sandbox. Failures: `ModelMissing`, `ModelInvalid`; they name the file.

use std::borrow::Cow;
use std::fs::{File, Metadata};
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::fault::{FaultKind, WorkerFault};
use crate::file::{self, FileIdentity, ModelFile};

/// An open model.
#[derive(Debug)]
pub struct OpenModel {
    path: PathBuf,
    file: File,
    length: u64,
    identity: Option<FileIdentity>,
}

impl OpenModel {
    /// Opens it.
    ///
    /// # Errors
    /// It cannot be opened, is no file, or is not the one that was looked over.
    pub fn open(model: &ModelFile) -> Result<Self, WorkerFault> {
        let path = model.path.to_path();
        let missing = |why: &str| {
            let detail = format!("{}: cannot be opened: {why}", path.display());
            WorkerFault::new(FaultKind::ModelMissing, detail)
        };
        let file = file::open(&path).map_err(|error| missing(&error.to_string()))?;
        let metadata = file.metadata().map_err(|error| missing(&error.to_string()))?;
        if !metadata.is_file() {
            return Err(missing("it is not a file"));
        }
        compare(&path, model.checked.as_ref(), &metadata)?;
        Ok(Self { length: metadata.len(), identity: FileIdentity::of(&metadata), path, file })
    }

    /// For messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The file from its beginning. There is one place in it for all who read.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn rewound(&self) -> Result<&File, WorkerFault> {
        let mut file = &self.file;
        match file.seek(SeekFrom::Start(0)) {
            Ok(_) => Ok(file),
            Err(error) => {
                let detail = format!("{}: cannot be read: {error}", self.path.display());
                Err(WorkerFault::new(FaultKind::ModelMissing, detail))
            }
        }
    }

    /// What an engine that takes nothing but names may open: a name for this very file where there is one (Linux), else
    /// the path.
    pub fn name_for_engine(&self) -> Cow<'_, Path> {
        #[cfg(target_os = "linux")]
        {
            use std::os::fd::AsRawFd;
            let name = PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()));
            if name.exists() {
                return name.into();
            }
        }
        Cow::Borrowed(&self.path)
    }

    /// Puts the real path into what an engine says that was given [another name](Self::name_for_engine).
    pub fn in_its_own_name(&self, said: &str) -> String {
        match self.name_for_engine().to_str() {
            Some(name) if name != self.path.as_os_str() => said.replace(name, &self.path.to_string_lossy()),
            _ => said.to_owned(),
        }
    }

    /// Whether nobody has written to it since it was opened.
    ///
    /// # Errors
    /// Somebody has.
    pub fn confirm(&self) -> Result<(), WorkerFault> {
        match self.file.metadata() {
            Ok(metadata) => compare(&self.path, self.identity.as_ref(), &metadata),
            Err(_) => Ok(()),
        }
    }
}

fn compare(path: &Path, checked: Option<&FileIdentity>, metadata: &Metadata) -> Result<(), WorkerFault> {
    let difference = match (checked, FileIdentity::of(metadata)) {
        (Some(checked), Some(now)) => checked.difference(&now),
        _ => None,
    };
    match difference {
        None => Ok(()),
        Some(difference) => {
            let detail = format!("{}: the model changed after it was checked: {difference}; run again", path.display());
            Err(WorkerFault::new(FaultKind::ModelInvalid, detail))
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    /// A file of the test's own, gone with it.
    struct Own(PathBuf);

    impl Own {
        fn new(content: &[u8]) -> Self {
            let name = format!("meetcap-model-{}-{:?}", std::process::id(), std::thread::current().id());
            let own = Self(std::env::temp_dir().join(name));
            own.write(content);
            own
        }

        fn write(&self, content: &[u8]) {
            std::fs::write(&self.0, content).expect("a writable folder");
        }

        fn checked(&self) -> ModelFile {
            let metadata = std::fs::metadata(&self.0).expect("it is there");
            ModelFile { checked: FileIdentity::of(&metadata), ..ModelFile::from(self.0.as_path()) }
        }
    }

    impl Drop for Own {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn the_file_that_was_checked_is_read() {
        let file = Own::new(b"weights");
        let model = OpenModel::open(&file.checked()).expect("the same");
        for _ in 0..2 {
            let mut read = String::new();
            model.rewound().expect("a file").read_to_string(&mut read).expect("text");
            assert_eq!((read.as_str(), model.length()), ("weights", 7));
        }
        assert_eq!(model.confirm(), Ok(()));
    }

    #[test]
    fn another_file_under_its_name_is_refused() {
        let file = Own::new(b"weights");
        let checked = file.checked();
        let other = file.0.with_extension("new");
        std::fs::write(&other, b"weights").expect("a writable folder");
        std::fs::rename(&other, &file.0).expect("the same folder");
        let fault = OpenModel::open(&checked).expect_err("another file");
        assert_eq!(fault.kind, FaultKind::ModelInvalid);
        let name = file.0.display().to_string();
        for words in [name.as_str(), "changed after it was checked", "another file", "run again"] {
            assert!(fault.detail.contains(words), "{}", fault.detail);
        }
        let unchecked = ModelFile::from(file.0.as_path());
        assert!(OpenModel::open(&unchecked).is_ok(), "nothing to compare with");
    }

    #[test]
    fn what_is_written_to_it_is_seen_before_and_after() {
        let file = Own::new(b"weights");
        let checked = file.checked();
        let model = OpenModel::open(&checked).expect("the same");
        let mut writer = File::options().append(true).open(&file.0).expect("our own file");
        writer.write_all(b"!").expect("room");
        assert!(model.confirm().expect_err("longer").detail.contains("it had 7 bytes and has 8"));
        assert!(OpenModel::open(&checked).is_err());
    }

    #[test]
    fn a_folder_and_nothing_at_all_are_no_models() {
        for path in [std::env::temp_dir(), std::env::temp_dir().join("meetcap-there-is-none")] {
            let fault = OpenModel::open(&path.as_path().into()).expect_err("no model");
            assert_eq!(fault.kind, FaultKind::ModelMissing);
            assert!(fault.detail.contains(&path.display().to_string()), "{}", fault.detail);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_engine_that_opens_names_gets_the_open_file_whatever_its_name_stands_for() {
        let file = Own::new(b"weights");
        let model = OpenModel::open(&file.checked()).expect("the same");
        std::fs::remove_file(&file.0).expect("our own file");
        file.write(b"another");
        let name = model.name_for_engine();
        assert_eq!(std::fs::read(&name).expect("it can be read"), b"weights");
        let said = model.in_its_own_name(&format!("failed to open {}", name.display()));
        assert_eq!(said, format!("failed to open {}", file.0.display()));
    }
}
