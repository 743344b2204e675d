//! Voice detectors: Silero's network in whisper.cpp's ggml format, which tells where somebody speaks.
//!
//! ```text
//!  magic │ kind │ version │ window, context │ layers (in, out, kernel)* │ widths │ 15 tensors, each once:
//!                                            (dimensions, name length, type; shape; name; data)
//! ```
//!
//! whisper.cpp believes lengths and types that it reads, computes with four layers of fixed widths whatever the file
//! says, and loads one that was cut off. There is one shape only (Silero's versions 5 and 6 share it), so a file is held
//! to it. The data is jumped over. Failures: [`ModelError`], told before anything is started.

use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use meetcap_protocol::FileIdentity;
use meetcap_protocol::silero::{F16, KIND, LONGEST_NAME, SHAPE, TENSORS, Tensor};

use super::header::{ModelError, ModelFormat, Opened, open};
use super::walk::{Damage, Walk};

/// The word that stands for no file where a detector is asked for.
pub const ENERGY: &str = "energy";
/// What names of detectors' files begin and end with.
const FILE: (&str, &str) = ("ggml-silero-v", ".bin");

/// What tells where somebody speaks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Detector {
    /// The level of the sound.
    #[default]
    Energy,
    /// Silero's network in this file.
    Silero(PathBuf),
}

impl Detector {
    /// As in transcripts and ledgers.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Energy => ENERGY,
            Self::Silero(_) => "silero",
        }
    }

    /// Its file, if it has one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Energy => None,
            Self::Silero(path) => Some(path),
        }
    }

    /// What was asked for: a file, or [`ENERGY`]. Without a wish, the newest detector beside the speech model, else the
    /// newest in the folder for models, else the level of the sound.
    pub fn choose(wish: Option<&Path>, speech: &Path, models: Option<&Path>) -> Self {
        match wish {
            Some(word) if word == Path::new(ENERGY) => Self::Energy,
            Some(path) => Self::Silero(path.to_path_buf()),
            None => speech.parent().into_iter().chain(models).find_map(newest).map_or(Self::Energy, Self::Silero),
        }
    }

    /// Whether it can be used.
    ///
    /// # Errors
    /// Its file is missing, damaged, or no detector.
    pub fn check(&self) -> Result<(), ModelError> {
        self.inspect().map(drop)
    }

    /// The same, and which file it was that was looked over.
    ///
    /// # Errors
    /// See [`Self::check`].
    pub fn inspect(&self) -> Result<Option<FileIdentity>, ModelError> {
        self.file().map_or(Ok(None), check)
    }
}

/// Of the detectors in a folder the one of the highest version.
fn newest(folder: &Path) -> Option<PathBuf> {
    // The folder of a bare file name is this one.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| Some((version(&name)?, name))).max().map(|(_, name)| folder.join(name))
}

/// The version in a detector's file name, part by part.
fn version(name: &str) -> Option<Vec<u32>> {
    let version = name.strip_prefix(FILE.0)?.strip_suffix(FILE.1)?;
    Some(version.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse().ok()).collect())
}

fn check(path: &Path) -> Result<Option<FileIdentity>, ModelError> {
    let missing = |source| ModelError::Missing { path: path.to_path_buf(), source };
    let invalid = |detail: &str| ModelError::Invalid {
        path: path.to_path_buf(),
        detail: format!("{detail}; name another voice detector with --vad, or do without: --vad energy"),
    };
    let Opened { file, metadata, .. } = match open(path) {
        Ok(opened) if opened.format == ModelFormat::WhisperGgml => opened,
        Ok(_) => return Err(invalid("it is a GGUF file and no voice detector")),
        Err(ModelError::Invalid { detail, .. }) => return Err(invalid(&detail)),
        Err(error) => return Err(error),
    };
    read(file, metadata.len()).map_err(|damage| match damage {
        Damage::Unreadable(source) => missing(source),
        damage => invalid(&damage.to_string()),
    })?;
    Ok(FileIdentity::of(&metadata))
}

fn read(reader: impl Read + Seek, len: u64) -> Result<(), Damage> {
    let mut walk = Walk::new(reader, len);
    // The magic was looked at before.
    walk.bytes::<4>()?;
    if walk.u32()? as usize != KIND.len() || walk.bytes()? != *KIND {
        return Err(Damage::lie("it is not a voice detector (Silero, 16 kHz, in ggml format)"));
    }
    // Its version, of which nothing depends.
    walk.skip(12)?;
    for (place, expected) in SHAPE.into_iter().enumerate() {
        let found = walk.u32()?.cast_signed();
        if found != expected.cast_signed() {
            return Err(Damage::lie(format!("it is damaged: number {place} of its shape is {found}, not {expected}")));
        }
    }
    let mut missing = TENSORS.to_vec();
    while walk.at() < len {
        tensor(&mut walk, &mut missing)?;
    }
    match missing.first() {
        None => Ok(()),
        Some((name, ..)) => Err(Damage::lie(format!("it is cut short: it has no {name}; fetch it again"))),
    }
}

/// Passes one tensor, which must be one of those that are missing.
fn tensor<R: Read + Seek>(walk: &mut Walk<R>, missing: &mut Vec<Tensor>) -> Result<(), Damage> {
    let at = walk.at();
    let damaged = || Damage::lie(format!("it is damaged: no tensor can begin as this does at byte {at}"));
    let (dimensions, length, kind) = (walk.u32()? as usize, walk.u32()? as usize, walk.u32()?);
    // A single number has no dimension.
    if dimensions > 3 || !(1..=LONGEST_NAME).contains(&length) {
        return Err(damaged());
    }
    let mut shape = [1; 3];
    for size in &mut shape[..dimensions] {
        *size = walk.u32()?;
    }
    let mut name = [0; LONGEST_NAME];
    walk.fill(&mut name[..length])?;
    let place = missing.iter().position(|(known, ..)| known.as_bytes() == &name[..length]).ok_or_else(damaged)?;
    let (known, expected_kind, expected_shape) = missing.swap_remove(place);
    if (kind, shape) != (expected_kind, expected_shape) {
        return Err(Damage::lie(format!("it is damaged: its {known} has the wrong type or shape")));
    }
    let numbers: u64 = shape.iter().map(|size| u64::from(*size)).product();
    walk.skip_data(numbers * if kind == F16 { 2 } else { 4 })
}

#[cfg(test)]
pub(in crate::models) mod tests {
    use super::*;

    /// A sound file whose weights are all zero.
    pub(in crate::models) fn silero() -> Vec<u8> {
        let mut bytes = 0x6767_6d6c_u32.to_le_bytes().to_vec();
        let put = |bytes: &mut Vec<u8>, numbers: &[u32]| bytes.extend(numbers.iter().flat_map(|n| n.to_le_bytes()));
        put(&mut bytes, &[10]);
        bytes.extend(KIND);
        put(&mut bytes, &[5, 1, 2]);
        put(&mut bytes, &SHAPE);
        for (name, kind, shape) in TENSORS {
            let dimensions = shape.iter().rposition(|size| *size != 1).map_or(0, |last| last + 1);
            put(&mut bytes, &[dimensions as u32, name.len() as u32, kind]);
            put(&mut bytes, &shape[..dimensions]);
            bytes.extend(name.as_bytes());
            let numbers: u32 = shape.iter().product();
            bytes.resize(bytes.len() + numbers as usize * if kind == F16 { 2 } else { 4 }, 0);
        }
        bytes
    }

    /// Bytes before the first tensor.
    const HEAD: usize = 4 + 4 + 10 + 12 + 4 * SHAPE.len();

    fn verdict(bytes: &[u8]) -> Result<(), String> {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        std::fs::write(file.path(), bytes).expect("written");
        Detector::Silero(file.path().into()).check().map_err(|error| error.to_string())
    }

    #[test]
    fn a_whole_file_passes_and_is_as_long_as_the_published_one() {
        assert_eq!((verdict(&silero()), silero().len()), (Ok(()), 885_098));
    }

    #[test]
    fn shorter_and_longer_files_are_refused_with_the_remedy() {
        let whole = silero();
        for len in (0..HEAD + 30).step_by(7).chain((200..whole.len()).step_by(9973)).chain([whole.len() - 1]) {
            let why = verdict(&whole[..len]).expect_err("cut");
            assert!(why.contains("--vad energy"), "{len} bytes: {why}");
        }
        assert!(verdict(&[&whole[..], &whole[HEAD..]].concat()).is_err(), "every tensor twice");
        assert!(verdict(&[&whole[..], &[0]].concat()).is_err(), "something is left over");
    }

    #[test]
    fn every_number_that_is_another_is_refused() {
        let whole = silero();
        for at in [0, 4, 8].into_iter().chain((30..HEAD + 24).step_by(4)) {
            for value in [0, 3, 9, u32::MAX] {
                let mut bytes = whole.clone();
                bytes[at..at + 4].copy_from_slice(&u32::to_le_bytes(value));
                assert_eq!(verdict(&bytes).is_ok(), bytes == whole, "{value} at byte {at}");
            }
        }
        let other = verdict(&[b"GGUF\x03\0\0\0", &[0; 64][..]].concat()).expect_err("another model");
        assert!(other.contains("no voice detector"), "{other}");
    }

    #[test]
    fn the_newest_beside_the_speech_model_is_found_then_that_in_the_folder_for_models() {
        let (near, far) = (tempfile::tempdir().expect("folder"), tempfile::tempdir().expect("folder"));
        let speech = near.path().join("ggml-small.bin");
        let choose = |wish: Option<&str>| Detector::choose(wish.map(Path::new), &speech, Some(far.path()));
        assert_eq!(choose(None), Detector::Energy);
        let put = |folder: &Path, name: &str| {
            std::fs::write(folder.join(name), "").expect("written");
            Detector::Silero(folder.join(name))
        };
        let distant = put(far.path(), "ggml-silero-v6.2.0.bin");
        assert_eq!(choose(None), distant);
        for other in ["ggml-silero.bin", "silero-v9.bin", "ggml-silero-v9.txt", "ggml-small.bin"] {
            put(near.path(), other);
        }
        assert_eq!(choose(None), distant);
        put(near.path(), "ggml-silero-v5.1.2.bin");
        let newest = put(near.path(), "ggml-silero-v5.10.0.bin");
        assert_eq!(choose(None), newest);
        assert_eq!(choose(Some("energy")), Detector::Energy);
        assert_eq!(choose(Some("a/b.bin")), Detector::Silero("a/b.bin".into()));
    }
}
