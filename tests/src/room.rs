//! A folder for one test: inputs, models, scripts, and whatever the run under test leaves. Gone afterwards.

use std::path::{Path, PathBuf};

use crate::bins;
use crate::run::Invocation;
use crate::wav::Mono;

/// The folder.
#[derive(Debug)]
pub struct Room {
    folder: tempfile::TempDir,
    /// What the programs keep for next time.
    cache: tempfile::TempDir,
}

impl Default for Room {
    fn default() -> Self {
        Self::new()
    }
}

impl Room {
    /// # Panics
    /// When there is no temporary folder; here and below, when a file cannot be written.
    pub fn new() -> Self {
        let folder = || tempfile::tempdir().expect("a temporary folder");
        Self { folder: folder(), cache: folder() }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("a writable folder");
        path
    }

    /// A second of nothing, as a WAV file.
    pub fn sound(&self, name: &str) -> PathBuf {
        self.file(name, Mono::silence(16_000, 1000).to_bytes())
    }

    /// A file that starts as a whisper model does; enough for a scripted worker.
    pub fn speech_model(&self) -> PathBuf {
        let mut bytes = 0x6767_6d6c_u32.to_le_bytes().to_vec();
        bytes.resize(64, 0);
        self.file("speech.bin", bytes)
    }

    /// A file that starts as a GGUF model does; enough for a scripted worker.
    pub fn summary_model(&self) -> PathBuf {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.resize(64, 0);
        self.file("summary.gguf", bytes)
    }

    /// The file's text.
    pub fn text(&self, name: &str) -> String {
        let path = self.path(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The names in the folder that start with `prefix`, hidden ones included, in order.
    pub fn names(&self, prefix: &str) -> Vec<String> {
        names(self.folder()).into_iter().filter(|name| name.starts_with(prefix)).collect()
    }

    /// The supervisor with this folder to work in, without any measurement of earlier runs in other rooms and without
    /// the models of whoever runs the tests.
    pub fn supervisor(&self) -> Invocation {
        self.program(bins::SUPERVISOR)
    }

    /// The same with another program.
    pub fn program(&self, name: &str) -> Invocation {
        let command = Invocation::new(bins::find(name), self.folder());
        command.env("XDG_CACHE_HOME", self.cache.path()).env("HOME", self.cache.path())
    }

    /// The supervisor with scripted workers; see [`crate::fake`] for the script.
    pub fn scripted(&self, script: &str) -> Invocation {
        let script = self.file("script", script);
        self.supervisor()
            .env("MEETCAP_WORKER_STT", bins::find(bins::FAKE_STT))
            .env("MEETCAP_WORKER_LLM", bins::find(bins::FAKE_LLM))
            .env("MEETCAP_FAKE_SCRIPT", script)
    }
}

/// What is in a folder, in order.
///
/// # Panics
/// When it cannot be read.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
