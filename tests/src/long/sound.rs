//! A planned recording as a file, written as it is made: eight hours never lie in memory.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use super::plan::{Stretch, What};
use super::pool::{Piece, RATE};
use crate::rng::Rng;

/// Everything lies in noise of so many steps, -76 dBFS.
const ROOM: u16 = 5;

/// The recording, as the encoder of ffmpeg makes it that fits the ending of `path`.
///
/// # Panics
/// When ffmpeg is not there, or the file cannot be written.
pub fn write(plan: &[Stretch], pool: &[Piece], path: &Path) {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-y", "-f", "s16le", "-ar", &RATE.to_string(), "-ac", "1", "-i", "pipe:0"]);
    // Without these there is a note about ffmpeg in the file, and the head of a WAV file is longer than it need be.
    ffmpeg.args(["-map_metadata", "-1", "-fflags", "+bitexact", "-flags", "+bitexact"]);
    ffmpeg.arg(path).stdin(Stdio::piped());
    let mut child = ffmpeg.spawn().unwrap_or_else(|error| panic!("ffmpeg is needed to make recordings: {error}"));
    let mut to = BufWriter::with_capacity(1 << 16, child.stdin.take().expect("a pipe"));
    for stretch in plan {
        stretch_to(&mut to, stretch, pool).expect("ffmpeg reads on");
    }
    to.flush().expect("ffmpeg reads on");
    drop(to);
    assert!(child.wait().expect("our own child").success(), "ffmpeg could not write {}", path.display());
}

/// One meeting of the pool with the noise that it has wherever it occurs.
///
/// # Panics
/// As [`write()`].
pub fn write_alone(meeting: usize, pool: &[Piece], path: &Path) {
    let end = pool[meeting].samples.len() as u64;
    write(&[Stretch { start: 0, end, what: What::Meeting(meeting) }], pool, path);
}

fn stretch_to(to: &mut impl Write, stretch: &Stretch, pool: &[Piece]) -> std::io::Result<()> {
    match stretch.what {
        What::Meeting(meeting) => {
            let mut rng = Rng::new(meeting as u64);
            pool[meeting].samples.iter().try_for_each(|sample| {
                let loud = sample.saturating_add(noise(ROOM, &mut rng));
                to.write_all(&loud.to_le_bytes())
            })
        }
        What::Silence { noise: level } => {
            let mut rng = Rng::new(stretch.start);
            (stretch.start..stretch.end).try_for_each(|_| to.write_all(&noise(level.max(ROOM), &mut rng).to_le_bytes()))
        }
    }
}

/// Even, up to `level` in both directions.
fn noise(level: u16, rng: &mut Rng) -> i16 {
    let level = level.min(1 << 14);
    i16::try_from(rng.below(2 * usize::from(level) + 1)).expect("small") - level.cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meeting_has_the_same_samples_wherever_it_occurs() {
        let pool = [Piece { sentences: Vec::new(), samples: vec![1000, i16::MAX, -1000] }];
        let bytes = |start| {
            let mut bytes = Vec::new();
            let stretch = Stretch { start, end: start + 3, what: What::Meeting(0) };
            stretch_to(&mut bytes, &stretch, &pool).expect("memory");
            bytes
        };
        assert_eq!(bytes(0), bytes(77));
        assert_eq!(bytes(0).len(), 6);
    }

    #[test]
    fn silence_is_as_loud_as_it_says_and_never_digital() {
        let mut bytes = Vec::new();
        let stretch = Stretch { start: 5, end: 10_005, what: What::Silence { noise: 40 } };
        stretch_to(&mut bytes, &stretch, &[]).expect("memory");
        let samples: Vec<i16> = bytes.chunks(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
        assert_eq!((samples.iter().min(), samples.iter().max()), (Some(&-40), Some(&40)));
    }
}
