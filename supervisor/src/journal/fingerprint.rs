//! Whether a file is still the one it was, without reading gigabytes.
//!
//! Size, time of last change, and a hash over up to 16 evenly spaced blocks of 64 KiB, first and last included. A
//! file of at most 1 MiB is hashed whole, and its time does not matter: a copy is as good. In a larger one a
//! change may lie between the blocks, and the time is what tells of it; a copy whose time was not kept counts as
//! another file, which costs work but mixes nothing.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

const BLOCK: u64 = 64 * 1024;
const BLOCKS: u64 = 16;

/// What a file was like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    pub size: u64,
    /// Nanoseconds since 1970; `None` where the file system keeps no times.
    pub modified: Option<i64>,
    /// Over the sampled blocks.
    pub sha256: Digest,
}

impl Fingerprint {
    /// True when both were taken of the same content, as far as can be told.
    pub fn matches(&self, other: &Self) -> bool {
        let whole = self.size <= BLOCK * BLOCKS;
        self.size == other.size && self.sha256 == other.sha256 && (whole || self.modified == other.modified)
    }
}

/// A SHA-256 sum; in text, 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Digest([u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for Digest {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        const WRONG: &str = "not 64 hexadecimal digits";
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(WRONG);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let [high, low] = [pair[0], pair[1]].map(|digit| char::from(digit).to_digit(16));
            let (Some(high), Some(low)) = (high, low) else { return Err(WRONG) };
            *byte = u8::try_from(high * 16 + low).map_err(|_| WRONG)?;
        }
        Ok(Self(bytes))
    }
}

/// Of texts, such that moving a word from one to the next changes it.
pub fn digest<'a>(texts: impl IntoIterator<Item = &'a str>) -> Digest {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    Digest(hash.finalize().into())
}

/// Takes the fingerprint of a regular file.
///
/// # Errors
/// What the file system says; [`ErrorKind::InvalidInput`] for what is no regular file; `UnexpectedEof` for one
/// that shrinks meanwhile.
pub fn fingerprint(path: &Path) -> io::Result<Fingerprint> {
    // Asked before opening: opening a pipe would wait for its other end.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    let size = metadata.len();
    let mut hash = Sha256::new();
    let mut block = vec![0; BLOCK as usize];
    for (start, len) in samples(size) {
        let part = &mut block[..usize::try_from(len).unwrap_or(BLOCK as usize)];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(part)?;
        hash.update(&*part);
    }
    let modified = metadata.modified().ok().map(|time| match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos),
    });
    Ok(Fingerprint { size, modified, sha256: Digest(hash.finalize().into()) })
}

/// Start and length of what is hashed.
fn samples(size: u64) -> Vec<(u64, u64)> {
    if size <= BLOCK * BLOCKS {
        return (0..size.div_ceil(BLOCK)).map(|i| (i * BLOCK, BLOCK.min(size - i * BLOCK))).collect();
    }
    // Divided before multiplied: a size near 2^64 must not overflow.
    let (step, rest) = ((size - BLOCK) / (BLOCKS - 1), (size - BLOCK) % (BLOCKS - 1));
    (0..BLOCKS).map(|i| (i * step + i * rest / (BLOCKS - 1), BLOCK)).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write;
    use std::time::Duration;

    use super::*;

    const WHOLE: u64 = BLOCK * BLOCKS;

    #[test]
    fn samples_lie_within_the_file_and_reach_both_ends() {
        for size in [1, 5, BLOCK - 1, BLOCK, BLOCK + 1, WHOLE - 1, WHOLE, WHOLE + 1, WHOLE + 17, 1 << 33, u64::MAX] {
            let samples = samples(size);
            assert!(samples.len() as u64 <= BLOCKS, "{size}");
            assert_eq!(samples[0].0, 0);
            assert!(
                samples.iter().all(|(start, len)| *len <= BLOCK && start.checked_add(*len) <= Some(size)),
                "{size}"
            );
            assert_eq!(samples.last().map(|(start, len)| start + len), Some(size));
            assert!(samples.is_sorted(), "{size}");
            if size <= WHOLE {
                assert_eq!(samples.iter().map(|(_, len)| len).sum::<u64>(), size);
            }
        }
        assert!(samples(0).is_empty());
    }

    #[test]
    fn any_changed_byte_of_a_small_file_is_found_and_a_copy_is_as_good() {
        let dir = tempfile::tempdir().expect("a folder");
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        let mut content = vec![7; 70_000];
        fs::write(&a, &content).expect("written");
        fs::write(&b, &content).expect("written");
        File::options().write(true).open(&b).and_then(|f| f.set_modified(UNIX_EPOCH)).expect("set");
        let (first, copy) = (fingerprint(&a).expect("taken"), fingerprint(&b).expect("taken"));
        assert!(first.matches(&copy) && first != copy);
        content[69_999] = 8;
        fs::write(&b, &content).expect("written");
        assert!(!first.matches(&fingerprint(&b).expect("taken")));
    }

    #[test]
    fn a_large_file_is_told_by_its_samples_its_size_and_its_time() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a");
        fs::write(&path, vec![7; WHOLE as usize + 5000]).expect("written");
        let first = fingerprint(&path).expect("taken");
        assert!(first.matches(&fingerprint(&path).expect("taken")));
        let file = OpenOptions::new().append(true).open(&path).expect("opened");
        file.set_modified(UNIX_EPOCH + Duration::from_secs(1)).expect("set");
        let touched = fingerprint(&path).expect("taken");
        assert_eq!(touched.modified, Some(1_000_000_000));
        assert!(!first.matches(&touched) && first.sha256 == touched.sha256);
        (&file).write_all(b"x").expect("written");
        assert!(!first.matches(&fingerprint(&path).expect("taken")));
    }

    #[test]
    fn folders_and_missing_files_have_none() {
        let dir = tempfile::tempdir().expect("a folder");
        assert_eq!(fingerprint(dir.path()).expect_err("a folder").kind(), ErrorKind::InvalidInput);
        assert_eq!(fingerprint(&dir.path().join("x")).expect_err("missing").kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_digest_survives_text_and_refuses_other_text() {
        let sum = digest(["a", "bc"]);
        assert_eq!(Digest::try_from(sum.to_string()), Ok(sum));
        assert_ne!(sum, digest(["ab", "c"]));
        assert_ne!(digest([]), digest([""]));
        for wrong in [String::new(), "g".repeat(64), "é".repeat(32), "0".repeat(63)] {
            assert!(Digest::try_from(wrong).is_err());
        }
    }
}
