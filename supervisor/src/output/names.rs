//! Which file an output goes to. Pure: decides names, touches no disk.
//!
//! Names are handled as the platform's own strings, so that a name that is not UTF-8 keeps its bytes.
//! Failures: [`NoFileName`], [`UnknownFormat`].

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A form a transcript can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Txt,
    Json,
    Srt,
    Vtt,
}

impl Format {
    pub const ALL: [Self; 4] = [Self::Txt, Self::Json, Self::Srt, Self::Vtt];
    /// What is written when nobody asks for anything else.
    pub const DEFAULT: [Self; 2] = [Self::Txt, Self::Json];

    /// What stands behind the stem and its dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Txt => "transcript.txt",
            Self::Json => "transcript.json",
            Self::Srt => "srt",
            Self::Vtt => "vtt",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Txt => "txt",
            Self::Json => "json",
            Self::Srt => "srt",
            Self::Vtt => "vtt",
        })
    }
}

/// The name of no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown format `{0}`; use txt, json, srt or vtt")]
pub struct UnknownFormat(pub String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(s: &str) -> Result<Self, UnknownFormat> {
        let wanted = s.trim().to_ascii_lowercase();
        Self::ALL.into_iter().find(|f| f.to_string() == wanted).ok_or_else(|| UnknownFormat(s.to_owned()))
    }
}

/// The input is a path such as `/` or `..` that ends in no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` does not end in a file name, so its outputs cannot be named; give the path of a file", .0.display())]
pub struct NoFileName(pub PathBuf);

/// Where the outputs of one recording go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OutputNames {
    pub dir: PathBuf,
    pub stem: OsString,
}

impl OutputNames {
    /// Outputs of a recording: beside it, or in `dir`. The stem is the file's name without its last extension
    /// only: `a.b.wav` gives `a.b`, `.hidden` stays what it is.
    ///
    /// # Errors
    /// [`NoFileName`]
    pub fn for_audio(audio: &Path, dir: Option<&Path>) -> Result<Self, NoFileName> {
        let stem = audio.file_stem().ok_or_else(|| NoFileName(audio.to_owned()))?.to_owned();
        Ok(Self { dir: folder_of(audio, dir), stem })
    }

    /// Outputs of a transcript that is summarised: `a.transcript.json` belongs to the stem `a`, so that the
    /// summary lands where a full run would have put it.
    ///
    /// # Errors
    /// [`NoFileName`]
    pub fn for_transcript(transcript: &Path, dir: Option<&Path>) -> Result<Self, NoFileName> {
        let mut names = Self::for_audio(transcript, dir)?;
        let inner = Path::new(&names.stem);
        if inner.extension() == Some(OsStr::new("transcript"))
            && let Some(stem) = inner.file_stem().map(OsStr::to_owned)
        {
            names.stem = stem;
        }
        Ok(names)
    }

    pub fn path(&self, format: Format) -> PathBuf {
        self.with(format.extension())
    }

    pub fn summary(&self) -> PathBuf {
        self.with("summary.md")
    }

    /// The ledger.
    pub fn run(&self) -> PathBuf {
        self.with("run.json")
    }

    /// True when both would write the same files. On systems whose file names usually do not tell upper from
    /// lower case, names that differ in nothing else count as the same.
    pub fn clashes_with(&self, other: &Self) -> bool {
        let same_stem = if cfg!(any(target_os = "macos", windows)) {
            self.stem.to_string_lossy().to_lowercase() == other.stem.to_string_lossy().to_lowercase()
        } else {
            self.stem == other.stem
        };
        same_stem && self.dir == other.dir
    }

    fn with(&self, extension: &str) -> PathBuf {
        // `Path::with_extension` would eat the `b` of `a.b`.
        let mut name = self.stem.clone();
        name.push(".");
        name.push(extension);
        self.dir.join(name)
    }
}

fn folder_of(input: &Path, dir: Option<&Path>) -> PathBuf {
    match dir.or_else(|| input.parent()) {
        Some(d) if !d.as_os_str().is_empty() => d.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(audio: &str) -> OutputNames {
        OutputNames::for_audio(Path::new(audio), None).expect("a file name")
    }

    #[test]
    fn only_the_last_extension_is_taken_off() {
        for (audio, text) in [
            ("/m/a.wav", "/m/a.transcript.txt"),
            ("/m/a.b.wav", "/m/a.b.transcript.txt"),
            ("/m/2026.11.23 standup.m4a", "/m/2026.11.23 standup.transcript.txt"),
            ("/m/.hidden", "/m/.hidden.transcript.txt"),
            ("/m/plain", "/m/plain.transcript.txt"),
            ("a.wav", "./a.transcript.txt"),
        ] {
            assert_eq!(names(audio).path(Format::Txt), PathBuf::from(text), "{audio}");
        }
    }

    #[test]
    fn every_output_has_its_name() {
        let n = OutputNames::for_audio(Path::new("/m/a.b.wav"), Some(Path::new("/out"))).expect("a file name");
        assert_eq!(n.path(Format::Json), PathBuf::from("/out/a.b.transcript.json"));
        assert_eq!(n.path(Format::Srt), PathBuf::from("/out/a.b.srt"));
        assert_eq!(n.path(Format::Vtt), PathBuf::from("/out/a.b.vtt"));
        assert_eq!(n.summary(), PathBuf::from("/out/a.b.summary.md"));
        assert_eq!(n.run(), PathBuf::from("/out/a.b.run.json"));
    }

    #[test]
    fn a_transcript_gives_back_the_stem_of_its_recording() {
        for (transcript, summary) in [
            ("/m/a.b.transcript.json", "/m/a.b.summary.md"),
            ("/m/notes.json", "/m/notes.summary.md"),
            ("/m/.transcript.json", "/m/.transcript.summary.md"),
        ] {
            let n = OutputNames::for_transcript(Path::new(transcript), None).expect("a file name");
            assert_eq!(n.summary(), PathBuf::from(summary), "{transcript}");
        }
    }

    #[test]
    fn a_path_without_a_name_is_refused() {
        for path in ["/", "..", "/m/.."] {
            assert!(OutputNames::for_audio(Path::new(path), None).is_err(), "{path}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_name_that_is_not_utf8_keeps_its_bytes() {
        use std::os::unix::ffi::OsStrExt;
        let audio = Path::new(OsStr::from_bytes(b"/m/caf\xe9.wav"));
        let text = OutputNames::for_audio(audio, None).expect("a file name").path(Format::Txt);
        assert_eq!(text.as_os_str().as_bytes(), b"/m/caf\xe9.transcript.txt");
    }

    #[test]
    fn recordings_that_differ_in_the_extension_only_clash() {
        assert!(names("/m/a.wav").clashes_with(&names("/m/a.mp3")));
        assert!(!names("/m/a.wav").clashes_with(&names("/n/a.wav")));
        assert!(!names("/m/a.wav").clashes_with(&names("/m/b.wav")));
    }

    #[test]
    fn formats_are_known_by_name_in_any_case() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
            assert_eq!(format.to_string().to_uppercase().parse(), Ok(format));
        }
        let error = "doc".parse::<Format>().expect_err("no such format");
        assert_eq!(error.to_string(), "unknown format `doc`; use txt, json, srt or vtt");
    }
}
