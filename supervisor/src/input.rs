//! The first look at an input: its first bytes, before anything is started. No audio is parsed here; what
//! looks like audio goes to the worker, which has the last word.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// An input that is refused at first sight.
#[derive(Debug, Error)]
pub enum InputError {
    #[error("cannot read `{}`: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("`{}` is not audio: {detail}", path.display())]
    NotAudio { path: PathBuf, detail: String },
}

/// Bytes that are looked at.
const HEAD: usize = 64;

/// Checks that `path` is a file that starts as audio does.
///
/// # Errors
/// Unreadable, a folder, empty, or starting like nothing that is known.
pub fn check_audio(path: &Path) -> Result<(), InputError> {
    let unreadable = |source| InputError::Unreadable { path: path.to_path_buf(), source };
    let not_audio = |detail: &str| InputError::NotAudio { path: path.to_path_buf(), detail: detail.to_owned() };
    // Before it is opened: opening a pipe waits for whoever writes to it.
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(not_audio("it is a folder"));
    }
    if !metadata.is_file() {
        return Err(not_audio("it is a pipe or a device; save the recording to a file first"));
    }
    let file = File::open(path).map_err(unreadable)?;
    let mut head = Vec::with_capacity(HEAD);
    file.take(HEAD as u64).read_to_end(&mut head).map_err(unreadable)?;
    if head.is_empty() {
        return Err(not_audio("it is empty"));
    }
    if container(&head).is_some() {
        Ok(())
    } else {
        Err(not_audio("it does not start like any audio format (WAV, FLAC, MP3, M4A, OGG, AIFF, CAF, MKV are known)"))
    }
}

/// The codes that whisper has for the languages it knows.
const LANGUAGES: &str = "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no \
th ur hr bg lt la mi ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so \
af oc ka be tg sd gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su yue";

/// Takes a language's code in any case.
///
/// # Errors
/// A code that whisper does not have.
pub fn parse_language(given: &str) -> Result<String, String> {
    let code = given.to_ascii_lowercase();
    if LANGUAGES.split(' ').any(|known| known == code) {
        Ok(code)
    } else {
        Err("no language that whisper knows has this code; leave it out to have it found out".to_owned())
    }
}

/// The container by its magic bytes.
fn container(head: &[u8]) -> Option<&'static str> {
    let at = |offset: usize, magic: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    let known: [(&str, bool); 12] = [
        ("wav", at(0, b"RIFF") && at(8, b"WAVE")),
        ("wav", (at(0, b"RF64") || at(0, b"BW64")) && at(8, b"WAVE")),
        ("wav", at(0, b"RIFX") && at(8, b"WAVE")),
        ("flac", at(0, b"fLaC")),
        ("ogg", at(0, b"OggS")),
        ("mp4", at(4, b"ftyp")),
        ("mp3", at(0, b"ID3")),
        ("aiff", at(0, b"FORM") && (at(8, b"AIFF") || at(8, b"AIFC"))),
        ("caf", at(0, b"caff")),
        ("mkv", at(0, b"\x1A\x45\xDF\xA3")),
        ("mp4", at(4, b"moov") || at(4, b"mdat") || at(4, b"wide") || at(4, b"free")),
        ("mpeg", is_mpeg_frame(head)),
    ];
    known.iter().find(|(_, matches)| *matches).map(|(name, _)| *name)
}

/// An MPEG audio or ADTS frame header: eleven (twelve for ADTS) set bits, then fields that must not be
/// "reserved".
fn is_mpeg_frame(head: &[u8]) -> bool {
    let [0xFF, second, third, ..] = *head else { return false };
    let layer = (second >> 1) & 0b11;
    if second & 0xF0 == 0xF0 && layer == 0 {
        // ADTS: the sampling frequency index 13 to 15 is reserved.
        return (third >> 2) & 0b1111 < 13;
    }
    let version = (second >> 3) & 0b11;
    // Layer I (3) is not decoded here, and its first bytes are those of a text in UTF-16.
    second & 0xE0 == 0xE0
        && version != 0b01
        && matches!(layer, 1 | 2)
        && third >> 4 != 0b1111
        && (third >> 2) & 0b11 != 0b11
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_known_by_their_magic() {
        assert_eq!(container(b"RIFF\x24\0\0\0WAVEfmt "), Some("wav"));
        assert_eq!(container(b"fLaC\0\0\0\x22"), Some("flac"));
        assert_eq!(container(b"OggS\0\x02"), Some("ogg"));
        assert_eq!(container(b"\0\0\0\x20ftypM4A "), Some("mp4"));
        assert_eq!(container(b"ID3\x04"), Some("mp3"));
        assert_eq!(container(&[0xFF, 0xFB, 0x90, 0x64]), Some("mpeg"));
        assert_eq!(container(&[0xFF, 0xF1, 0x50, 0x80]), Some("mpeg"));
    }

    #[test]
    fn text_and_half_magics_are_not_audio() {
        for head in
            [&b"hello, this is a text"[..], b"RIFF\x24\0\0\0AVI LIST", b"RIFF", &[0xFF, 0xFF], &[0xFF, 0xFE, b'a']]
        {
            assert_eq!(container(head), None);
        }
    }

    #[test]
    fn languages_are_known_by_their_codes_alone() {
        assert_eq!(parse_language("DE"), Ok("de".to_owned()));
        assert_eq!(parse_language("yue"), Ok("yue".to_owned()));
        for wrong in ["", "xx", "english", "en de"] {
            assert!(parse_language(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn empty_files_and_folders_are_refused_with_their_reason() {
        let folder = tempfile::tempdir().expect("folder");
        let empty = folder.path().join("empty.wav");
        std::fs::write(&empty, b"").expect("write");
        for (path, reason) in [(empty.as_path(), "empty"), (folder.path(), "folder")] {
            assert!(check_audio(path).expect_err("refused").to_string().contains(reason));
        }
    }
}
