//! The few boxes of an MP4 or QuickTime file that symphonia reads past: which edit a track begins with (its first
//! samples may only warm the decoder up), what its codec is called when symphonia does not know it, and which end
//! of its plain samples comes first.
//!
//! ```text
//!  moov ─► trak ─┬─► tkhd  the track's number
//!                ├─► edts ─► elst  the edits
//!                └─► mdia ─┬─► mdhd  ticks per second
//!                          └─► minf ─► stbl ─► stsd  the codec
//! ```
//!
//! Nothing fails: what cannot be found is not there. Reads a few hundred bytes and never more than a bounded number
//! of boxes, whatever they claim.

use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

/// More boxes than any file has before the last `stsd`.
const MOST_BOXES: u32 = 4096;
/// Bytes of one box that are looked at.
const MOST_BYTES: u64 = 1024;

#[derive(Debug, Default, PartialEq)]
pub(super) struct TrackBoxes {
    pub(super) id: u32,
    /// The codec's four letters.
    pub(super) codec: [u8; 4],
    /// Seconds of decoded sound that come before the track's beginning.
    pub(super) before: Option<f64>,
    /// Plain samples: the low byte first.
    pub(super) little_endian: bool,
    ticks: u32,
    first_edit: Option<u64>,
}

/// What is said about the tracks of `path`; empty if it is no such file.
pub(super) fn tracks(path: &Path) -> Vec<TrackBoxes> {
    let mut walk = match File::open(path) {
        Ok(file) => {
            Walk { end: file.metadata().map_or(0, |data| data.len()), file: BufReader::new(file), left: MOST_BOXES }
        }
        Err(_) => return Vec::new(),
    };
    let mut tracks = Vec::new();
    let end = walk.end;
    let _ = walk.boxes(0, end, &mut tracks);
    for track in &mut tracks {
        track.before = track.first_edit.filter(|_| track.ticks > 0).map(|edit| edit as f64 / f64::from(track.ticks));
    }
    tracks
}

struct Walk {
    file: BufReader<File>,
    end: u64,
    left: u32,
}

impl Walk {
    /// Visits the boxes from `at` to `end`. `None` when something is not as it should be.
    fn boxes(&mut self, mut at: u64, end: u64, tracks: &mut Vec<TrackBoxes>) -> Option<()> {
        while at + 8 <= end {
            self.left = self.left.checked_sub(1)?;
            let head = self.read(at, 16.min(end - at))?;
            let kind = *head[4..].first_chunk::<4>()?;
            let (start, length) = match number(&head, 0)? {
                0 => (8, end - at),
                1 => (16, u64::from_be_bytes(*head[8..].first_chunk()?)),
                length => (8, u64::from(length)),
            };
            let next = at.checked_add(length.max(start))?.min(end);
            match &kind {
                b"moov" => return self.boxes(at + start, next, tracks),
                b"trak" => {
                    tracks.push(TrackBoxes::default());
                    self.boxes(at + start, next, tracks);
                }
                b"edts" | b"mdia" | b"minf" | b"stbl" => {
                    self.boxes(at + start, next, tracks);
                }
                b"tkhd" | b"mdhd" | b"elst" | b"stsd" => {
                    let body = self.read(at + start, (next - at - start).min(MOST_BYTES))?;
                    if let Some(track) = tracks.last_mut() {
                        track.learn(kind, &body);
                    }
                }
                _ => {}
            }
            at = next;
        }
        Some(())
    }

    fn read(&mut self, at: u64, length: u64) -> Option<Vec<u8>> {
        self.file.seek(SeekFrom::Start(at)).ok()?;
        let mut bytes = Vec::new();
        (&mut self.file).take(length).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }
}

impl TrackBoxes {
    /// Every field is optional: a box cut short says less.
    fn learn(&mut self, kind: [u8; 4], body: &[u8]) -> Option<()> {
        // Version 1 has times of 64 bits.
        let long = *body.first()? == 1;
        match &kind {
            b"tkhd" => self.id = number(body, if long { 20 } else { 12 })?,
            b"mdhd" => self.ticks = number(body, if long { 20 } else { 12 })?,
            b"elst" => {
                let entry = if long { 20 } else { 12 };
                let media_time = |at: usize| {
                    let from = 8 + at * entry + if long { 8 } else { 4 };
                    let bytes = body.get(from..)?;
                    Some(if long {
                        i64::from_be_bytes(*bytes.first_chunk()?)
                    } else {
                        i64::from(i32::from_be_bytes(*bytes.first_chunk()?))
                    })
                };
                let count = number(body, 4)?.min(8) as usize;
                // -1 is a pause before the track.
                self.first_edit = (0..count).map_while(media_time).find_map(|time| u64::try_from(time).ok());
            }
            _ => {
                self.codec = *body.get(12..)?.first_chunk()?;
                let enda = body.windows(4).position(|word| word == b"enda");
                self.little_endian = enda.is_some_and(|at| body.get(at + 4..at + 6) == Some(&[0, 1]));
            }
        }
        Some(())
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(body.len() + 8).expect("small").to_be_bytes().to_vec();
        bytes.extend(kind);
        bytes.extend(body);
        bytes
    }

    fn movie() -> Vec<u8> {
        let tkhd = boxed(b"tkhd", &[&[0; 12][..], &7_u32.to_be_bytes(), &[0; 60]].concat());
        let edit = |time: i32| [&[0, 0, 0, 9][..], &time.to_be_bytes(), &[0, 1, 0, 0]].concat();
        let elst = boxed(b"elst", &[&[0, 0, 0, 0, 0, 0, 0, 2][..], &edit(-1), &edit(2112)].concat());
        let mdhd = boxed(b"mdhd", &[&[0; 12][..], &44_100_u32.to_be_bytes(), &[0; 8]].concat());
        let stsd =
            boxed(b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 40][..], b"in24", &[0; 20], b"enda", &[0, 1]].concat());
        let stbl = boxed(b"minf", &boxed(b"stbl", &stsd));
        let trak = [tkhd, boxed(b"edts", &elst), boxed(b"mdia", &[mdhd, stbl].concat())].concat();
        [boxed(b"ftyp", b"isom"), boxed(b"free", &[1; 100]), boxed(b"moov", &boxed(b"trak", &trak))].concat()
    }

    fn read(bytes: &[u8]) -> Vec<TrackBoxes> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), bytes).expect("written");
        tracks(file.path())
    }

    #[test]
    fn what_stands_in_the_boxes_is_found() {
        let found = read(&movie());
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].id, &found[0].codec, found[0].little_endian), (7, b"in24", true));
        assert!((found[0].before.expect("an edit") - 2112.0 / 44_100.0).abs() < 1e-9);
    }

    #[test]
    fn cut_and_lying_boxes_end_the_search_and_nothing_else() {
        let whole = movie();
        for cut in 0..whole.len() {
            let _ = read(&whole[..cut]);
        }
        for at in 0..whole.len() {
            for value in [0, 1, 8, 255] {
                let mut lies = whole.clone();
                lies[at] = value;
                let _ = read(&lies);
            }
        }
        // Boxes of no length, for ever.
        let _ = read(&[0, 0, 0, 8, b'f', b'r', b'e', b'e'].repeat(10_000));
    }
}
