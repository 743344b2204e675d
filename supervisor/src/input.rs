//! The first look at an input: its first bytes, before anything is started. No audio is parsed here; what
//! looks like audio goes to the worker, which has the last word.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use meetcap_protocol::Spoken;
use meetcap_protocol::media::{self, Media};
use thiserror::Error;

use crate::bounded::{self, Unread};

/// An input that is refused at first sight.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InputError {
    #[error("cannot read `{}`: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("`{}` is not audio: {detail}", path.display())]
    NotAudio { path: PathBuf, detail: String },
    #[error("`{}` is {name}, which is not decoded here; convert it with: ffmpeg -i INPUT -ac 1 -ar 16000 out.wav", path.display())]
    Foreign { path: PathBuf, name: &'static str },
    #[error("`{}` cannot be used as a prompt: {detail}", path.display())]
    Prompt { path: PathBuf, detail: &'static str },
    #[error("no words are found in `{}`, so there is nothing to summarise; name another recording", path.display())]
    NoWords { path: PathBuf },
}

/// The same path from wherever it is read: in files, events and the workers' orders. Where this process has no folder, as
/// it was given.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// Checks that `path` is a file that starts as audio does.
///
/// # Errors
/// Unreadable, a folder, empty, or starting like nothing that is known or like something that is not decoded.
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
    let mut head = Vec::with_capacity(media::HEAD);
    file.take(media::HEAD as u64).read_to_end(&mut head).map_err(unreadable)?;
    if head.is_empty() {
        return Err(not_audio("it is empty"));
    }
    match media::of_start(&head) {
        Some(Media::Known(_)) => Ok(()),
        Some(Media::Foreign(name)) => Err(InputError::Foreign { path: path.to_path_buf(), name }),
        None => Err(not_audio(
            "it does not start like any audio format (WAV, FLAC, MP3, AAC, M4A, MP4, MOV, OGG, Opus, AIFF, CAF, MKV and \
             WebM are known)",
        )),
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

/// Bytes of a prompt; the model takes the last 224 tokens of it, which are a quarter of this.
const LONGEST_PROMPT: u64 = 4096;

/// Reads the text that the speech model is to go by.
///
/// # Errors
/// It cannot be read, is no text, holds none, or is too long.
pub fn read_prompt(path: &Path) -> Result<Spoken, InputError> {
    let unfit = |detail: &'static str| InputError::Prompt { path: path.to_path_buf(), detail };
    let bytes = bounded::read(path, LONGEST_PROMPT).map_err(|unread| match unread {
        Unread::Io(source) => InputError::Unreadable { path: path.to_path_buf(), source },
        Unread::NotAFile => unfit("it is not a regular file"),
        Unread::TooLarge => unfit("it is longer than 4096 bytes; the model takes about 200 words of it: shorten it"),
    })?;
    let text = String::from_utf8(bytes).map_err(|_| unfit("it is not UTF-8; convert it"))?;
    if text.contains('\0') {
        return Err(unfit("it holds a NUL; save it as plain text"));
    }
    let words: Vec<&str> = text.trim_start_matches('\u{feff}').split_whitespace().collect();
    if words.is_empty() {
        return Err(unfit("it is empty; write the names and words to expect into it"));
    }
    Ok(Spoken(words.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_foreign_is_named_with_a_remedy_and_text_is_not_audio() {
        let folder = tempfile::tempdir().expect("folder");
        for (head, says) in [
            (&b"#!AMR\n and more"[..], &["AMR", "ffmpeg -i"][..]),
            (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", &["Windows Media", "ffmpeg -i"]),
            (b"hello, this is a text", &["does not start like any audio format"]),
        ] {
            let path = folder.path().join("a.wav");
            std::fs::write(&path, head).expect("write");
            let refusal = check_audio(&path).expect_err("refused").to_string();
            assert!(says.iter().all(|words| refusal.contains(words)), "{refusal}");
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
