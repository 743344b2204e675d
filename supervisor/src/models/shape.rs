//! The shape of a model, read from its file before anything is started: what memory will be taken by it.
//!
//! Three outcomes. A shape. *Unknown* (`Ok(None)`): the file begins like a model but says too little of itself, as a
//! file of a few bytes does or one that holds a vocabulary alone; whoever asks falls back to
//! [`crate::models::named`], and the worker has the last word. An error: the file is damaged beyond doubt (cut short, or
//! saying what no engine here accepts), so that loading it is not worth a try.
//!
//! The readers never panic, whatever the bytes, and allocate no more than some kilobytes.

use std::path::Path;

use meetcap_protocol::FileIdentity;

use super::gguf::{self, LlmShape};
use super::header::{ModelError, ModelFormat, Opened, open};
use super::walk::Damage;
use super::whisper::{self, WhisperShape};

/// What is known of a model's size in all directions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelShape {
    Whisper(WhisperShape),
    Llama(LlmShape),
}

/// What a look at a file found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected<S> {
    /// `None` when the file says too little.
    pub shape: Option<S>,
    /// Which file it was; `None` where the platform does not tell.
    pub identity: Option<FileIdentity>,
}

impl<S> Inspected<S> {
    fn and_then<T>(self, narrower: impl FnOnce(S) -> Option<T>) -> Inspected<T> {
        Inspected { shape: self.shape.and_then(narrower), identity: self.identity }
    }
}

/// Looks over the model in a file, which is opened once.
///
/// # Errors
/// Missing, unreadable, neither format, cut short, or damaged.
pub fn inspect(path: &Path) -> Result<Inspected<ModelShape>, ModelError> {
    let Opened { file, metadata, format } = open(path)?;
    let missing = |source| ModelError::Missing { path: path.to_path_buf(), source };
    let len = metadata.len();
    let shape = match format {
        ModelFormat::WhisperGgml => whisper::read(file, len).map(|shape| shape.map(ModelShape::Whisper)),
        ModelFormat::Gguf { .. } => gguf::read(file, len).map(|shape| shape.map(ModelShape::Llama)),
    };
    let shape = shape.map_err(|damage| match damage {
        Damage::Unreadable(source) => missing(source),
        damage => ModelError::Invalid { path: path.to_path_buf(), detail: damage.to_string() },
    })?;
    Ok(Inspected { shape, identity: FileIdentity::of(&metadata) })
}

/// Reads the shape of the model in a file. `None` when the file says too little.
///
/// # Errors
/// Those of [`inspect`].
pub fn read_shape(path: &Path) -> Result<Option<ModelShape>, ModelError> {
    inspect(path).map(|inspected| inspected.shape)
}

/// Looks over a speech model; without a shape also if it is of the other kind.
///
/// # Errors
/// Those of [`inspect`].
pub fn inspect_speech(path: &Path) -> Result<Inspected<WhisperShape>, ModelError> {
    Ok(inspect(path)?.and_then(|shape| match shape {
        ModelShape::Whisper(shape) => Some(shape),
        ModelShape::Llama(_) => None,
    }))
}

/// Looks over a summary model; without a shape also if it is of the other kind.
///
/// # Errors
/// Those of [`inspect`].
pub fn inspect_language(path: &Path) -> Result<Inspected<LlmShape>, ModelError> {
    Ok(inspect(path)?.and_then(|shape| match shape {
        ModelShape::Llama(shape) => Some(shape),
        ModelShape::Whisper(_) => None,
    }))
}

/// The shape of a speech model; `None` when the file says too little, or is of the other kind.
///
/// # Errors
/// Those of [`inspect`].
pub fn speech_shape(path: &Path) -> Result<Option<WhisperShape>, ModelError> {
    inspect_speech(path).map(|inspected| inspected.shape)
}

/// The shape of a summary model; `None` when the file says too little, or is of the other kind.
///
/// # Errors
/// Those of [`inspect`].
pub fn language_shape(path: &Path) -> Result<Option<LlmShape>, ModelError> {
    inspect_language(path).map(|inspected| inspected.shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        std::fs::write(file.path(), bytes).expect("write");
        file
    }

    #[test]
    fn a_file_that_only_begins_like_a_model_has_an_unknown_shape() {
        for magic in [&0x6767_6d6c_u32.to_le_bytes()[..], b"GGUF\x03\0\0\0"] {
            let mut bytes = magic.to_vec();
            bytes.resize(64, 0);
            assert!(matches!(read_shape(file(&bytes).path()), Ok(None)));
        }
    }

    #[test]
    fn what_is_no_model_is_refused() {
        assert!(matches!(read_shape(file(&[7; 64]).path()), Err(ModelError::Invalid { .. })));
        assert!(matches!(read_shape(Path::new("/nowhere/model.bin")), Err(ModelError::Missing { .. })));
    }
}
