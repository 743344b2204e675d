//! The first bytes of a model file, read before anything is started. Cheap, bounded, and only to tell apart:
//! the engines check the rest, inside their worker.

use std::fs::{File, Metadata};
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use meetcap_protocol::WorkerKind;
use thiserror::Error;

use super::vad::Detector;
use crate::event::Phase;

/// What a file's first bytes say it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelFormat {
    /// whisper.cpp's own format.
    WhisperGgml,
    /// GGUF of this version.
    Gguf { version: u32 },
}

/// A model file that cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelError {
    #[error("model `{}` is missing: {source}; check the path", path.display())]
    Missing { path: PathBuf, source: std::io::Error },
    #[error("model `{}` is invalid: {detail}", path.display())]
    Invalid { path: PathBuf, detail: String },
    #[error("model `{name}` is missing: no such file, and no model is known by this name{}", meant(similar))]
    Unknown { name: String, similar: Vec<String> },
    #[error("model `{name}` is not here; fetch it with: meetcap-supervisor models pull {name}")]
    NotHere { name: String },
    #[error("there is no folder for models, as HOME is not set; set models_dir")]
    NoFolder,
    #[error("model `{name}` cannot be run here: {why}; take {instead} instead")]
    NoEngine { name: String, why: String, instead: String },
    #[error("no {} model was named and none is here; name one, or fetch one with: meetcap-supervisor models pull NAME (`meetcap-supervisor models list --available` has names)", phase.purpose())]
    NotNamed { phase: Phase },
}

fn meant(similar: &[String]) -> String {
    match similar {
        [] => "; `meetcap-supervisor models list --available` has names".to_owned(),
        names => format!("; did you mean {}?", names.join(" or ")),
    }
}

/// `ggml` as a little-endian number.
const GGML_MAGIC: [u8; 4] = 0x6767_6d6c_u32.to_le_bytes();
const GGUF_MAGIC: [u8; 4] = *b"GGUF";
/// The smallest files that hold a header: 11 numbers after whisper's magic; GGUF's magic, version and counts.
const MIN_LEN: u64 = 24;

/// A file that begins as a model does. It was opened once; who reads on reads from here, from its start.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: File,
    /// Its own, not that of whatever has its name by now.
    pub(super) metadata: Metadata,
    pub(super) format: ModelFormat,
}

/// Reads the file's magic.
///
/// # Errors
/// Missing, unreadable, a folder, or neither format.
pub fn identify(path: &Path) -> Result<ModelFormat, ModelError> {
    open(path).map(|opened| opened.format)
}

/// Opens the file and reads its magic.
///
/// # Errors
/// See [`identify`].
pub(super) fn open(path: &Path) -> Result<Opened, ModelError> {
    let missing = |source| ModelError::Missing { path: path.to_path_buf(), source };
    let mut file = meetcap_protocol::file::open(path).map_err(missing)?;
    let metadata = file.metadata().map_err(missing)?;
    let format = format(path, &mut file, &metadata)?;
    file.rewind().map_err(missing)?;
    Ok(Opened { file, metadata, format })
}

fn format(path: &Path, file: &mut File, metadata: &Metadata) -> Result<ModelFormat, ModelError> {
    let missing = |source| ModelError::Missing { path: path.to_path_buf(), source };
    let invalid = |detail: String| ModelError::Invalid { path: path.to_path_buf(), detail };
    if !metadata.is_file() {
        return Err(invalid("it is not a file".to_owned()));
    }
    if metadata.len() < MIN_LEN {
        return Err(invalid(format!("it has {} bytes, too few for a model; fetch it again", metadata.len())));
    }
    let mut head = [0; 8];
    file.read_exact(&mut head).map_err(missing)?;
    let (magic, rest) = head.split_at(4);
    if magic == GGML_MAGIC {
        return Ok(ModelFormat::WhisperGgml);
    }
    if magic == GGUF_MAGIC {
        let version = u32::from_le_bytes([rest[0], rest[1], rest[2], rest[3]]);
        if matches!(version, 2 | 3) {
            return Ok(ModelFormat::Gguf { version });
        }
        return Err(invalid(format!("GGUF version {version} is not known here (2 and 3 are)")));
    }
    Err(invalid("it is neither a whisper ggml file nor a GGUF file".to_owned()))
}

/// Checks that the file is a model for this phase.
///
/// # Errors
/// See [`identify`]; also a model of the other phase.
pub fn check(path: &Path, kind: WorkerKind) -> Result<(), ModelError> {
    let detail = match (identify(path)?, kind) {
        (ModelFormat::WhisperGgml, WorkerKind::Stt) if Detector::Silero(path.to_path_buf()).check().is_ok() => {
            "it is a voice detector and no speech model; name it with --vad"
        }
        (ModelFormat::WhisperGgml, WorkerKind::Stt) | (ModelFormat::Gguf { .. }, WorkerKind::Llm) => return Ok(()),
        (ModelFormat::WhisperGgml, WorkerKind::Llm) => {
            "it is a speech model (whisper ggml); a summary needs a GGUF file"
        }
        (ModelFormat::Gguf { .. }, WorkerKind::Stt) => "it is a GGUF file; speech needs a whisper model in ggml format",
    };
    Err(ModelError::Invalid { path: path.to_path_buf(), detail: detail.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        std::fs::write(file.path(), bytes).expect("write");
        file
    }

    fn with_magic(magic: &[u8]) -> tempfile::NamedTempFile {
        let mut bytes = magic.to_vec();
        bytes.resize(64, 0);
        file(&bytes)
    }

    #[test]
    fn a_model_is_known_by_its_first_bytes() {
        let whisper = with_magic(&GGML_MAGIC);
        assert!(matches!(identify(whisper.path()), Ok(ModelFormat::WhisperGgml)));
        let gguf = with_magic(b"GGUF\x03\0\0\0");
        assert!(matches!(identify(gguf.path()), Ok(ModelFormat::Gguf { version: 3 })));
        assert!(check(whisper.path(), WorkerKind::Stt).is_ok());
        assert!(check(gguf.path(), WorkerKind::Llm).is_ok());
    }

    #[test]
    fn a_model_of_the_other_phase_is_refused() {
        assert!(check(with_magic(&GGML_MAGIC).path(), WorkerKind::Llm).is_err());
        assert!(check(with_magic(b"GGUF\x03\0\0\0").path(), WorkerKind::Stt).is_err());
    }

    #[test]
    fn short_foreign_and_too_new_files_are_refused() {
        for bytes in [&b""[..], b"GGUF", &[0; 64], b"GGUF\x09\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"] {
            assert!(matches!(identify(file(bytes).path()), Err(ModelError::Invalid { .. })), "{} bytes", bytes.len());
        }
    }

    #[test]
    fn a_missing_file_and_a_folder_are_told_apart() {
        let folder = tempfile::tempdir().expect("folder");
        assert!(matches!(identify(&folder.path().join("no")), Err(ModelError::Missing { .. })));
        assert!(matches!(identify(folder.path()), Err(ModelError::Invalid { .. } | ModelError::Missing { .. })));
    }
}
