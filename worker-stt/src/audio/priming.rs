//! How much of what a decoder gives lies before the recording: encoders put something in front of it, and the first
//! block of a codec with overlapping blocks is never whole. Taken off, so that times are those of the recording.
//!
//! Where the file says how much, that counts; symphonia trims Ogg Vorbis and MP3 by itself when told. Where nobody
//! says, it is the least that the codec can have had.

use symphonia::core::codecs::audio::{AudioCodecParameters, well_known as codec};
use symphonia::core::formats::Track;

use super::mp4::TrackBoxes;

/// A longer stretch before the first edit was cut off by somebody who edited the recording; it is kept.
const LONGEST: f64 = 1.0;
/// Frames: one block of AAC-LC, whose first half overlaps with nothing.
const AAC: u64 = 1024;
/// Frames: 528 + 1 of every MP3 decoder, 576 of the encoder (LAME's, and about that of others).
const MP3: u64 = 1105;
/// Frames: of the filter bank of layers 1 and 2.
const MP2: u64 = 481;

/// What is still to be taken off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Priming {
    Frames(u64),
    /// Not yet put into frames: the decoder's rate may be another than the container's.
    Seconds(f64),
}

impl Priming {
    pub(super) fn of(track: &Track, parameters: &AudioCodecParameters, boxes: Option<&TrackBoxes>) -> Self {
        let head = parameters.extra_data.as_deref().unwrap_or_default();
        let edit = boxes.and_then(|boxes| boxes.before).filter(|before| *before <= LONGEST);
        match (parameters.codec, edit) {
            (codec::CODEC_ID_OPUS, _) => Self::Frames(pre_skip(head).unwrap_or(0)),
            (_, Some(before)) => Self::Seconds(before),
            (codec::CODEC_ID_AAC, None) => Self::Frames(AAC),
            (codec::CODEC_ID_MP3, None) if track.delay.is_none() => Self::Frames(MP3),
            (codec::CODEC_ID_MP1 | codec::CODEC_ID_MP2, None) => Self::Frames(MP2),
            _ => Self::Frames(0),
        }
    }

    /// How many of the next `frames` are to be taken off.
    pub(super) fn take(&mut self, frames: usize, rate: u32) -> usize {
        let left = match *self {
            Self::Frames(left) => left,
            Self::Seconds(seconds) => (seconds * f64::from(rate)).round() as u64,
        };
        let now = left.min(frames as u64);
        *self = Self::Frames(left - now);
        usize::try_from(now).unwrap_or(frames)
    }
}

/// From Opus's identification header (RFC 7845, 5.1), in frames at 48 kHz. In MP4 (version 0) the high byte is
/// first.
fn pre_skip(head: &[u8]) -> Option<u64> {
    let [version, _, a, b, ..] = *head.strip_prefix(b"OpusHead")? else { return None };
    Some(u64::from(if version == 0 { u16::from_be_bytes([a, b]) } else { u16::from_le_bytes([a, b]) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_taken_off_over_as_many_blocks_as_it_takes() {
        let mut priming = Priming::Frames(1105);
        assert_eq!([1152, 1152].map(|frames| priming.take(frames, 8_000)), [1105, 0]);
        let mut priming = Priming::Seconds(0.05);
        assert_eq!([960, 960, 960].map(|frames| priming.take(frames, 48_000)), [960, 960, 480]);
        assert_eq!(priming.take(0, 48_000), 0);
    }

    #[test]
    fn opus_says_its_own_in_both_byte_orders() {
        assert_eq!(pre_skip(b"OpusHead\x01\x02\x38\x01\x80\xbb"), Some(312));
        assert_eq!(pre_skip(b"OpusHead\x00\x02\x01\x38\0\0"), Some(312));
        assert_eq!(pre_skip(b"OpusHead"), None);
        assert_eq!(pre_skip(b""), None);
    }
}
