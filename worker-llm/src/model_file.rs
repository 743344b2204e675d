//! A look at a model file before C++ sees it. llama.cpp aborts the process on some malformed files where it
//! should return an error; an abort tells nobody what to do about it.
//!
//! Walks the whole metadata with bounds on every step, reads no weights and keeps nothing but [`Summary`].
//! Failures: the file is not a model this worker can use (`ModelInvalid`).

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufReader, Read, Seek, SeekFrom};

use meetcap_protocol::runtime::OpenModel;
use meetcap_protocol::{FaultKind, WorkerFault};

/// Keys are short names; llama.cpp's own limit is 65535.
const MAX_KEY: u64 = 65_535;
/// Of a vocabulary; none has one of a hundredth of that.
const LONGEST_WORD: u64 = 1 << 20;
/// What a key-value pair and a tensor's description take at least.
const MIN_PAIR: u64 = 8 + 1 + 4 + 1;
const MIN_TENSOR: u64 = 8 + 1 + 4 + 8 + 4 + 8;

mod kind {
    pub(super) const BOOL: u32 = 7;
    pub(super) const STRING: u32 = 8;
    pub(super) const ARRAY: u32 = 9;
}

/// What the walk found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) tensors: u64,
}

/// Checks an open file.
///
/// # Errors
/// `ModelInvalid`, with what to do about it; `ModelMissing` when it cannot be read.
pub(crate) fn check(model: &OpenModel) -> Result<Summary, WorkerFault> {
    inspect(BufReader::new(model.rewound()?), model.length())
        .map_err(|why| WorkerFault::new(FaultKind::ModelInvalid, format!("{}: {why}", model.path().display())))
}

fn inspect(reader: impl Read + Seek, len: u64) -> Result<Summary, String> {
    let mut walk = Walk { reader, len, at: 0 };
    let magic = walk.bytes::<4>()?;
    if &magic != b"GGUF" {
        return Err(foreign(magic));
    }
    match walk.u32()? {
        2 | 3 => {}
        1 => return Err("is GGUF version 1, which nothing reads any more; convert it anew".to_owned()),
        version if version.trailing_zeros() >= 16 => {
            return Err("was written for a machine of the other byte order; convert it anew".to_owned());
        }
        version => {
            return Err(format!("is GGUF version {version}, this build reads 2 and 3; a newer build may read it"));
        }
    }
    let tensors = walk.u64()?;
    let pairs = walk.u64()?;
    let least = pairs.saturating_mul(MIN_PAIR).saturating_add(tensors.saturating_mul(MIN_TENSOR));
    if least > len.saturating_sub(walk.at) {
        return Err(format!("is cut short or damaged: {len} bytes cannot hold {pairs} keys and {tensors} tensors"));
    }
    for _ in 0..pairs {
        pair(&mut walk)?;
    }
    Ok(Summary { tensors })
}

fn pair<R: Read + Seek>(walk: &mut Walk<R>) -> Result<(), String> {
    let key = walk.string(MAX_KEY)?;
    if key.is_empty() {
        return Err("is damaged: a key without a name".to_owned());
    }
    let kind = walk.u32()?;
    // These are read as text without a look at their kind.
    let text = ["general.architecture", "tokenizer.ggml.model", "tokenizer.chat_template"];
    if text.contains(&key.as_str()) && kind != kind::STRING {
        return Err(format!("is damaged: {key} is not text"));
    }
    if key == "split.count" && walk.peek_number(kind)? > 1 {
        return Err("is one part of a split model; join the parts with llama-gguf-split --merge".to_owned());
    }
    if key == "general.type" && kind == kind::STRING {
        let value = walk.string(MAX_KEY)?;
        return match value.as_str() {
            "adapter" | "imatrix" | "mmproj" => Err(format!("holds no language model but its companion, {value}")),
            _ => Ok(()),
        };
    }
    if key == "tokenizer.ggml.tokens" && kind == kind::ARRAY {
        return words(walk);
    }
    walk.skip_value(kind)
}

/// The vocabulary. llama.cpp aborts where two of its words are the same, which end for it at the first NUL; of an empty
/// one it makes one that no other is.
fn words<R: Read + Seek>(walk: &mut Walk<R>) -> Result<(), String> {
    let (of, count) = (walk.u32()?, walk.u64()?);
    if of != kind::STRING {
        return walk.skip_array(of, count);
    }
    let (mut seen, state) = (HashSet::new(), RandomState::new());
    for number in 0..count {
        let word = walk.bytes_of(LONGEST_WORD)?;
        let word = word.split(|byte| *byte == 0).next().unwrap_or_default();
        if !word.is_empty() && !seen.insert(state.hash_one(word)) {
            return Err(format!("is damaged: word {number} of its vocabulary is there twice"));
        }
    }
    Ok(())
}

fn foreign(magic: [u8; 4]) -> String {
    match &magic {
        b"lmgg" => "is a whisper model, not a language model".to_owned(),
        b"tjgg" | b"fmgg" | b"algg" => "is in a format older than GGUF; convert it anew".to_owned(),
        b"vers" => "is a pointer of Git LFS, not the model; fetch it with git lfs pull".to_owned(),
        b"PK\x03\x04" => "is a ZIP or PyTorch file, not GGUF; convert it first".to_owned(),
        _ => "is not a GGUF model".to_owned(),
    }
}

/// Reads forward and never past the end.
struct Walk<R> {
    reader: R,
    len: u64,
    at: u64,
}

impl<R: Read + Seek> Walk<R> {
    fn advance(&mut self, by: u64) -> Result<(), String> {
        self.at =
            self.at.checked_add(by).filter(|&at| at <= self.len).ok_or("is cut short or damaged: it ends early")?;
        Ok(())
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.advance(N as u64)?;
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes).map_err(|error| format!("cannot be read: {error}"))?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn string(&mut self, longest: u64) -> Result<String, String> {
        self.bytes_of(longest).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A text as it is written.
    fn bytes_of(&mut self, longest: u64) -> Result<Vec<u8>, String> {
        let len = self.u64()?;
        if len > longest {
            return Err("is damaged: a name is too long".to_owned());
        }
        self.advance(len)?;
        let mut bytes = Vec::new();
        let read = self.reader.by_ref().take(len).read_to_end(&mut bytes);
        read.map_err(|error| format!("cannot be read: {error}"))?;
        Ok(bytes)
    }

    fn skip(&mut self, by: u64) -> Result<(), String> {
        self.advance(by)?;
        // Seeking inside the buffer costs nothing; a plain `seek` would throw the buffer away each time.
        let offset = i64::try_from(by).map_err(|_| "is damaged: a length is out of range")?;
        self.reader.seek_relative(offset).map_err(|error| format!("cannot be read: {error}"))
    }

    fn skip_value(&mut self, kind: u32) -> Result<(), String> {
        match kind {
            kind::STRING => {
                let len = self.u64()?;
                self.skip(len)
            }
            kind::ARRAY => {
                let (of, count) = (self.u32()?, self.u64()?);
                self.skip_array(of, count)
            }
            _ => self.skip(fixed_size(kind)?),
        }
    }

    fn skip_array(&mut self, of: u32, count: u64) -> Result<(), String> {
        if of == kind::STRING {
            for _ in 0..count {
                self.skip_value(of)?;
            }
            return Ok(());
        }
        let size = fixed_size(of)?;
        self.skip(count.checked_mul(size).ok_or("is damaged: a length is out of range")?)
    }

    /// The number at the current place, which stays where it is.
    fn peek_number(&mut self, kind: u32) -> Result<u64, String> {
        let size = fixed_size(kind)?;
        let mut bytes = [0; 8];
        let used = usize::try_from(size).map_err(|_| "is damaged")?;
        self.advance(size)?;
        let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
        self.reader.read_exact(&mut bytes[..used]).map_err(unreadable)?;
        self.reader.seek(SeekFrom::Current(-(used as i64))).map_err(unreadable)?;
        self.at -= size;
        Ok(u64::from_le_bytes(bytes))
    }
}

/// Bytes of a value of a kind that has a fixed size.
fn fixed_size(kind: u32) -> Result<u64, String> {
    match kind {
        0 | 1 | kind::BOOL => Ok(1),
        2 | 3 => Ok(2),
        4..=6 => Ok(4),
        10..=12 => Ok(8),
        _ => Err(format!("is damaged: a value of the unknown kind {kind}")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn inspect_bytes(bytes: &[u8]) -> Result<Summary, String> {
        inspect(Cursor::new(bytes), bytes.len() as u64)
    }

    fn refusal(bytes: &[u8]) -> String {
        inspect_bytes(bytes).expect_err("is refused")
    }

    fn text(value: &str) -> Vec<u8> {
        [&(value.len() as u64).to_le_bytes()[..], value.as_bytes()].concat()
    }

    fn pair_of(key: &str, kind: u32, value: &[u8]) -> Vec<u8> {
        [&text(key)[..], &kind.to_le_bytes(), value].concat()
    }

    fn file(tensors: u64, pairs: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(3_u32.to_le_bytes());
        bytes.extend(tensors.to_le_bytes());
        bytes.extend((pairs.len() as u64).to_le_bytes());
        bytes.extend(pairs.concat());
        bytes
    }

    fn good() -> Vec<Vec<u8>> {
        let tokens = [&kind::STRING.to_le_bytes()[..], &2_u64.to_le_bytes(), &text("a"), &text("bc")].concat();
        let scores = [&6_u32.to_le_bytes()[..], &2_u64.to_le_bytes(), &[0; 8]].concat();
        vec![
            pair_of("general.architecture", kind::STRING, &text("llama")),
            pair_of("tokens", kind::ARRAY, &tokens),
            pair_of("scores", kind::ARRAY, &scores),
            pair_of("split.count", 2, &1_u16.to_le_bytes()),
            pair_of("flag", kind::BOOL, &[1]),
        ]
    }

    #[test]
    fn a_well_formed_head_passes() {
        assert_eq!(inspect_bytes(&file(0, &good())), Ok(Summary { tensors: 0 }));
    }

    #[test]
    fn a_head_cut_anywhere_is_refused() {
        let whole = file(0, &good());
        for end in 0..whole.len() {
            assert!(inspect_bytes(&whole[..end]).is_err(), "{end} bytes");
        }
    }

    #[test]
    fn other_files_are_named() {
        assert!(refusal(b"lmgg....").contains("whisper"));
        assert!(refusal(b"version https://git-lfs").contains("LFS"));
        assert!(refusal(b"tjgg1234").contains("older"));
        assert!(refusal(b"#!/bin/sh").contains("not a GGUF"));
    }

    #[test]
    fn versions_are_told_apart() {
        let with = |version: u32| {
            let mut bytes = file(0, &good());
            bytes[4..8].copy_from_slice(&version.to_le_bytes());
            bytes
        };
        assert!(inspect_bytes(&with(2)).is_ok());
        assert!(refusal(&with(1)).contains("version 1"));
        assert!(refusal(&with(4)).contains("newer build"));
        assert!(refusal(&with(3_u32.swap_bytes())).contains("byte order"));
    }

    #[test]
    fn counts_that_the_file_cannot_hold_are_refused_at_once() {
        let mut bytes = file(0, &good());
        bytes[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(refusal(&bytes).contains("cannot hold"));
    }

    #[test]
    fn what_llama_cpp_would_abort_on_is_refused() {
        let refused = |pair: Vec<u8>| refusal(&file(0, &[pair]));
        assert!(refused(pair_of("", kind::BOOL, &[1; 20])).contains("without a name"));
        assert!(refused(pair_of("general.architecture", 4, &[0; 4])).contains("not text"));
        assert!(refused(pair_of("split.count", 2, &5_u16.to_le_bytes())).contains("split"));
        assert!(refused(pair_of("general.type", kind::STRING, &text("adapter"))).contains("adapter"));
        assert!(refused(pair_of("odd", 77, &[0; 20])).contains("unknown kind 77"));
        let words = |words: &[&str]| {
            let mut value = [&kind::STRING.to_le_bytes()[..], &(words.len() as u64).to_le_bytes()].concat();
            words.iter().for_each(|word| value.extend(text(word)));
            file(0, &[pair_of("tokenizer.ggml.tokens", kind::ARRAY, &value)])
        };
        assert!(inspect_bytes(&words(&["a", "", "b", "", "A"])).is_ok());
        assert!(refusal(&words(&["a", "b", "a"])).contains("word 2 of its vocabulary is there twice"));
        assert!(refusal(&words(&["a", "a\0b"])).contains("word 1"));
        let nested = [&kind::ARRAY.to_le_bytes()[..], &1_u64.to_le_bytes(), &[0; 20]].concat();
        assert!(refused(pair_of("nested", kind::ARRAY, &nested)).contains("unknown kind 9"));
    }
}
