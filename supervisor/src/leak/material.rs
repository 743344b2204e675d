//! Inputs of different lengths, made of the bundled recording and its transcript.
//!
//! A recording shall be longer this time and shorter the next, so that nothing passes because every buffer has the same
//! size. FLAC is a head and frames that stand for themselves, so the beginning of a recording is a recording: its
//! frames, and a head that tells how many samples there are. Where frames begin is found by their numbers, which
//! count up. **This is no reader of audio**: it knows the one file that is in the program, and refuses any other.
//!
//! ```text
//!  fLaC │ STREAMINFO … samples, checksum │ other blocks │ frame 0 │ frame 1 │ … │ frame n │ …
//!                      ▲ the new number, no checksum                         ▲ cut here
//! ```
//!
//! The order is drawn in rounds: each input once, then again in another order. So no length comes more often early
//! than late, which would be a trend of its own.

use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use thiserror::Error;

/// Seconds of the recordings: short ones, because a speech model takes as long for a second as for half a minute.
const SECONDS: [u64; 5] = [6, 10, 14, 20, 26];
/// Lines of the transcripts. All fit into the context of the bundled model.
const LINES: [usize; 5] = [4, 6, 8, 10, 12];

const MAGIC: &[u8] = b"fLaC";
const STREAM_INFO: usize = 34;
/// Where the block after the magic and its own head begins.
const INFO_AT: usize = 8;

/// What lies in the program.
#[derive(Debug, Clone, Copy)]
pub struct Bundle {
    /// A FLAC file with frames of one size.
    pub recording: &'static [u8],
    /// A statement a line.
    pub transcript: &'static str,
}

/// What is bundled is not what it should be.
#[derive(Debug, Error)]
#[error("the bundled recording cannot be cut into inputs: {0}; this program was not built as it should be")]
pub struct BundleError(&'static str);

/// Files in a folder that goes with this.
#[derive(Debug)]
pub(super) struct Inputs {
    folder: TempDir,
    pub(super) recordings: Vec<PathBuf>,
    pub(super) transcripts: Vec<PathBuf>,
    order: Order,
}

impl Inputs {
    /// Made and written.
    pub(super) fn write(bundle: &Bundle, seed: u64) -> Result<Self, super::LeakError> {
        let mut draw = Draw(seed);
        let recordings = SECONDS.map(|seconds| beginning(bundle.recording, seconds));
        let transcripts = LINES.map(|count| some_lines(bundle.transcript, count, &mut draw));
        let write = || {
            let folder = tempfile::Builder::new().prefix("meetcap-leak-check-").tempdir()?;
            let file = |name: String, content: &[u8]| {
                let path = folder.path().join(name);
                std::fs::write(&path, content).map(|()| path)
            };
            let mut texts = Vec::new();
            for (count, text) in LINES.iter().zip(&transcripts) {
                texts.push(file(format!("lines-{count}.txt"), text.as_bytes())?);
            }
            Ok((folder, texts))
        };
        let (folder, transcripts) = write().map_err(super::LeakError::Scratch)?;
        let mut paths = Vec::new();
        for (seconds, recording) in SECONDS.iter().zip(recordings) {
            let path = folder.path().join(format!("seconds-{seconds}.flac"));
            std::fs::write(&path, recording?).map_err(super::LeakError::Scratch)?;
            paths.push(path);
        }
        Ok(Self { folder, recordings: paths, transcripts, order: Order { draw, round: Vec::new() } })
    }

    /// Where a cycle may write; emptied of what the one before has left.
    pub(super) fn output(&self) -> io::Result<PathBuf> {
        let path = self.folder.path().join("out");
        if path.exists() {
            std::fs::remove_dir_all(&path)?;
        }
        std::fs::create_dir(&path)?;
        Ok(path)
    }

    /// What the next cycle is given: one of each.
    pub(super) fn next(&mut self) -> (&Path, &Path) {
        let at = self.order.next();
        (&self.recordings[at], &self.transcripts[at])
    }
}

/// Rounds through all inputs.
#[derive(Debug)]
struct Order {
    draw: Draw,
    round: Vec<usize>,
}

impl Order {
    fn next(&mut self) -> usize {
        if self.round.is_empty() {
            self.round = (0..SECONDS.len()).collect();
            self.draw.shuffle(&mut self.round);
        }
        self.round.pop().unwrap_or(0)
    }
}

/// Numbers that look random and are the same for the same seed (SplitMix64).
#[derive(Debug, Clone)]
pub(super) struct Draw(pub(super) u64);

impl Draw {
    pub(super) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.number() % (end.max(1) as u64)).unwrap_or(0)
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// So many lines, drawn, in the order in which they were said.
fn some_lines(transcript: &str, count: usize, draw: &mut Draw) -> String {
    let lines: Vec<&str> = transcript.lines().collect();
    let mut drawn: Vec<usize> = (0..lines.len()).collect();
    draw.shuffle(&mut drawn);
    drawn.truncate(count);
    drawn.sort_unstable();
    drawn.into_iter().map(|at| format!("{}\n", lines[at])).collect()
}

/// The first seconds of a recording, rounded up to a whole frame.
fn beginning(flac: &[u8], seconds: u64) -> Result<Vec<u8>, BundleError> {
    let info = flac.get(INFO_AT..INFO_AT + STREAM_INFO).filter(|_| flac.starts_with(MAGIC));
    let info = info.ok_or(BundleError("it is no FLAC file"))?;
    let block = u64::from(u16::from_be_bytes([info[0], info[1]]));
    let packed = info[10..18].iter().fold(0_u64, |packed, byte| packed << 8 | u64::from(*byte));
    let (rate, samples) = (packed >> 44, packed & 0xf_ffff_ffff);
    if info[..2] != info[2..4] || block == 0 {
        return Err(BundleError("its frames are of different sizes"));
    }
    let frames = (seconds * rate).div_ceil(block);
    if frames * block > samples {
        return Err(BundleError("it is too short"));
    }
    let mut at = first_frame(flac).ok_or(BundleError("its head has no end"))?;
    let begin = flac.get(at..at + 4).ok_or(BundleError("it has no frame"))?;
    for number in 1..=frames {
        let wanted: Vec<u8> = begin.iter().copied().chain(coded(number)).collect();
        let rest = flac.get(at + 1..).unwrap_or_default();
        let next = rest.windows(wanted.len()).position(|window| window == wanted);
        at += 1 + next.ok_or(BundleError("a frame is missing"))?;
    }
    let mut cut = flac[..at].to_vec();
    let packed = (packed & !0xf_ffff_ffff) | (frames * block);
    cut[INFO_AT + 10..INFO_AT + 18].copy_from_slice(&packed.to_be_bytes());
    // The checksum of all samples: not known.
    cut[INFO_AT + 18..INFO_AT + STREAM_INFO].fill(0);
    Ok(cut)
}

/// Behind the last block of the head.
fn first_frame(flac: &[u8]) -> Option<usize> {
    let mut at = MAGIC.len();
    loop {
        let head = flac.get(at..at + 4)?;
        let length = head[1..].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        at += 4 + length;
        if head[0] & 0x80 != 0 {
            return Some(at);
        }
    }
}

/// A frame's number as FLAC writes it, which is how UTF-8 writes a character.
fn coded(number: u64) -> Vec<u8> {
    let character = u32::try_from(number).ok().and_then(char::from_u32);
    character.map(|character| character.to_string().into_bytes()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(in crate::leak) static BUNDLE: Bundle = Bundle {
        recording: include_bytes!("../../demo/meeting.flac"),
        transcript: include_str!("../../demo/meeting.txt"),
    };

    #[test]
    fn the_beginning_of_the_recording_tells_its_own_length_and_ends_with_a_whole_frame() {
        let mut lengths = Vec::new();
        for seconds in SECONDS {
            let cut = beginning(BUNDLE.recording, seconds).expect("long enough");
            let samples = u64::from_be_bytes(cut[18..26].try_into().expect("8 bytes")) & 0xf_ffff_ffff;
            assert!((seconds * 16_000..seconds * 16_000 + 1152).contains(&samples), "{samples}");
            let next = &BUNDLE.recording[cut.len()..];
            assert!(next.starts_with(&BUNDLE.recording[8256..8260]), "what follows is a frame");
            lengths.push(cut.len());
        }
        assert!(lengths.is_sorted());
    }

    #[test]
    fn what_is_not_the_bundled_recording_is_refused() {
        for bytes in [&b""[..], b"fLaC", b"RIFF....WAVE", &BUNDLE.recording[..9000], &BUNDLE.recording[..40]] {
            assert!(beginning(bytes, 6).is_err(), "{} bytes", bytes.len());
        }
        assert!(beginning(BUNDLE.recording, 60).is_err());
    }

    #[test]
    fn every_round_has_each_input_once_and_a_seed_repeats_all() {
        let order = |seed| {
            let mut order = Order { draw: Draw(seed), round: Vec::new() };
            (0..40).map(|_| order.next()).collect::<Vec<_>>()
        };
        for round in order(7).chunks(SECONDS.len()) {
            let mut sorted = round.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4]);
        }
        assert_eq!(order(7), order(7));
        assert_ne!(order(7), order(8));
    }

    #[test]
    fn transcripts_have_their_lines_in_the_order_in_which_they_were_said() {
        let all: Vec<&str> = BUNDLE.transcript.lines().collect();
        for count in LINES {
            let text = some_lines(BUNDLE.transcript, count, &mut Draw(3));
            let places: Vec<usize> =
                text.lines().map(|line| all.iter().position(|other| *other == line).expect("said")).collect();
            assert!(places.len() == count && places.is_sorted());
        }
    }
}
