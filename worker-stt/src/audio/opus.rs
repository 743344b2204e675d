//! Opus, by libopus, for symphonia: which reads the containers that Opus comes in, but does not decode it.
//!
//! One decoder serves every layout of channels: what is mono or stereo is to libopus a multistream of one stream.
//! The identification header (RFC 7845, 5.1; in MP4 the same fields the other way round) says how streams become
//! channels, and how loud it is meant. (Its pre-skip is [`super::priming`]'s.)
//!
//! Failures: a header that cannot be is refused; a packet that libopus refuses is a decode error, and the next one
//! is decoded as if nothing had been before it.

#![expect(unsafe_code, reason = "libopus is called here and nowhere else")]

use std::ffi::c_int;
use std::ptr::NonNull;

use opusic_sys as ffi;
use symphonia::core::audio::{
    AsGenericAudioBufferRef, AudioBuffer, AudioMut, AudioSpec, Channels, GenericAudioBufferRef,
};
use symphonia::core::codecs::CodecInfo;
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions, FinalizeResult};
use symphonia::core::codecs::registry::{RegisterableAudioDecoder, SupportedAudioCodec};
use symphonia::core::errors::{Result, decode_error, unsupported_error};
use symphonia::core::packet::PacketRef;

/// Opus has no rate of its own; this is the one its times are counted in.
const RATE: u32 = 48_000;
/// Frames of the longest packet, 120 ms.
const LONGEST_PACKET: usize = RATE as usize * 120 / 1000;
/// More are no recording of people.
const MOST_CHANNELS: u8 = 64;

/// The identification header.
#[derive(Debug, Clone, PartialEq)]
struct Head {
    channels: u8,
    /// Factor.
    gain: f32,
    streams: u8,
    coupled: u8,
    /// For each channel, which decoded one it is; 255 is silence.
    mapping: Vec<u8>,
}

impl Head {
    /// Mono or stereo, when the container says no more.
    fn plain(channels: u8) -> Self {
        Self { channels, gain: 1.0, streams: 1, coupled: channels - 1, mapping: (0..channels).collect() }
    }

    /// `None` if it is no header, or one that cannot be decoded.
    fn read(bytes: &[u8]) -> Option<Self> {
        let fields = bytes.strip_prefix(b"OpusHead")?;
        let [version, channels, _, _, _, _, _, _, gain_a, gain_b, family, table @ ..] = fields else {
            return None;
        };
        // MP4 has version 0 and the high byte first, all others version 1 and the low byte first.
        let pair = [*gain_a, *gain_b];
        let gain = if *version == 0 { i16::from_be_bytes(pair) } else { i16::from_le_bytes(pair) };
        let plain = || (1..=2).contains(channels).then(|| Self::plain(*channels));
        let streams = match (family, table) {
            (0, _) => plain()?,
            (_, [streams, coupled, mapping @ ..]) => {
                let mapping = mapping.get(..usize::from(*channels))?.to_vec();
                Self { channels: *channels, streams: *streams, coupled: *coupled, mapping, ..Self::plain(1) }
            }
            _ => return None,
        };
        // In steps of 1/256 dB.
        let gain = 10_f32.powf(f32::from(gain) / (20.0 * 256.0));
        Some(Self { gain, ..streams }).filter(|head| (1..=MOST_CHANNELS).contains(&head.channels))
    }
}

/// libopus's decoder, with its memory.
struct Native(NonNull<ffi::OpusMSDecoder>);

// SAFETY: the decoder is plain memory without ties to a thread, and `Native` is its only owner.
unsafe impl Send for Native {}
// SAFETY: libopus touches it only in calls that take `&mut self` here.
unsafe impl Sync for Native {}

impl Native {
    /// `None` where libopus finds that the streams and channels do not fit together.
    fn new(head: &Head) -> Option<Self> {
        debug_assert_eq!(head.mapping.len(), usize::from(head.channels));
        let mut error = ffi::OPUS_OK;
        // SAFETY: `mapping` has one entry for each of `channels`, which is all that libopus reads of it, and only
        // during this call; `error` outlives it. Impossible counts are answered with an error and a null pointer.
        let made = unsafe {
            ffi::opus_multistream_decoder_create(
                RATE.cast_signed(),
                c_int::from(head.channels),
                c_int::from(head.streams),
                c_int::from(head.coupled),
                head.mapping.as_ptr(),
                &raw mut error,
            )
        };
        NonNull::new(made).filter(|_| error == ffi::OPUS_OK).map(Self)
    }

    /// Frames decoded into the interleaved `samples`, which have room for `room` frames.
    fn decode(&mut self, packet: &[u8], samples: &mut [f32], room: usize) -> Option<usize> {
        let length = i32::try_from(packet.len()).ok()?;
        // SAFETY: the decoder is alive; `packet` is readable for `length`; `samples` holds `room` frames of all
        // channels (the only caller allocates it so), which is how much libopus writes at most.
        let frames = unsafe {
            ffi::opus_multistream_decode_float(
                self.0.as_ptr(),
                packet.as_ptr(),
                length,
                samples.as_mut_ptr(),
                c_int::try_from(room).ok()?,
                0,
            )
        };
        usize::try_from(frames).ok()
    }

    fn reset(&mut self) {
        // SAFETY: the decoder is alive, and this request takes no further argument.
        unsafe { ffi::opus_multistream_decoder_ctl(self.0.as_ptr(), ffi::OPUS_RESET_STATE) };
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        // SAFETY: it came from `create` and is not used after this.
        unsafe { ffi::opus_multistream_decoder_destroy(self.0.as_ptr()) };
    }
}

/// Opus packets to samples at 48 kHz.
pub(super) struct OpusDecoder {
    parameters: AudioCodecParameters,
    native: Native,
    gain: f32,
    /// Room for the longest packet.
    interleaved: Vec<f32>,
    buffer: AudioBuffer<f32>,
    channels: usize,
}

impl OpusDecoder {
    fn new(parameters: &AudioCodecParameters) -> Result<Self> {
        let head = match (&parameters.extra_data, parameters.channels.as_ref().map(Channels::count)) {
            (Some(bytes), _) => Head::read(bytes),
            (None, Some(1)) => Some(Head::plain(1)),
            (None, Some(2)) => Some(Head::plain(2)),
            (None, _) => None,
        };
        let Some((head, native)) = head.and_then(|head| Native::new(&head).map(|native| (head, native))) else {
            return unsupported_error("opus: a header that cannot be");
        };
        let channels = usize::from(head.channels);
        let layout = Channels::Discrete(u16::from(head.channels));
        let mut parameters = parameters.clone();
        parameters.with_channels(layout.clone()).with_sample_rate(RATE);
        Ok(Self {
            parameters,
            native,
            gain: head.gain,
            interleaved: vec![0.0; LONGEST_PACKET * channels],
            buffer: AudioBuffer::new(AudioSpec::new(RATE, layout), LONGEST_PACKET),
            channels,
        })
    }
}

impl AudioDecoder for OpusDecoder {
    fn reset(&mut self) {
        self.native.reset();
    }

    fn codec_info(&self) -> &CodecInfo {
        &Self::supported_codecs()[0].info
    }

    fn codec_params(&self) -> &AudioCodecParameters {
        &self.parameters
    }

    fn decode_ref(&mut self, packet: &PacketRef<'_>) -> Result<GenericAudioBufferRef<'_>> {
        self.buffer.clear();
        // No bytes would ask libopus to make something up.
        if packet.data.is_empty() {
            return decode_error("opus: an empty packet");
        }
        let Some(frames) = self.native.decode(packet.data, &mut self.interleaved, LONGEST_PACKET) else {
            return decode_error("opus: a packet that cannot be decoded");
        };
        let samples = &mut self.interleaved[..frames * self.channels];
        if self.gain != 1.0 {
            samples.iter_mut().for_each(|sample| *sample *= self.gain);
        }
        self.buffer.render_uninit(Some(frames));
        self.buffer.copy_from_slice_interleaved(&&*samples);
        let frames_of = |duration: u64| usize::try_from(duration).unwrap_or(usize::MAX);
        self.buffer.trim(frames_of(packet.trim_start.get()), frames_of(packet.trim_end.get()));
        Ok(self.buffer.as_generic_audio_buffer_ref())
    }

    fn finalize(&mut self) -> FinalizeResult {
        FinalizeResult::default()
    }

    fn last_decoded(&self) -> GenericAudioBufferRef<'_> {
        self.buffer.as_generic_audio_buffer_ref()
    }
}

impl RegisterableAudioDecoder for OpusDecoder {
    fn try_registry_new(parameters: &AudioCodecParameters, _: &AudioDecoderOptions) -> Result<Box<dyn AudioDecoder>> {
        Ok(Box::new(Self::new(parameters)?))
    }

    fn supported_codecs() -> &'static [SupportedAudioCodec] {
        const INFO: CodecInfo = CodecInfo { short_name: "opus", long_name: "Opus", profiles: &[] };
        &[SupportedAudioCodec { id: CODEC_ID_OPUS, info: INFO }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(version: u8, pre_skip: [u8; 2], gain: [u8; 2], rest: &[u8]) -> Vec<u8> {
        let channels = rest[0];
        let mut bytes = b"OpusHead".to_vec();
        bytes.extend([version, channels, pre_skip[0], pre_skip[1], 0x80, 0xbb, 0, 0, gain[0], gain[1]]);
        bytes.extend(&rest[1..]);
        bytes
    }

    #[test]
    fn the_header_is_read_in_both_byte_orders() {
        let ogg = Head::read(&head(1, [0x38, 0x01], [0, 0], &[2, 0])).expect("a header");
        assert_eq!((ogg.channels, ogg.streams, ogg.coupled), (2, 1, 1));
        assert_eq!(Head::read(&head(0, [0x01, 0x38], [0, 0], &[2, 0])), Some(ogg));
        let loud = Head::read(&head(1, [0, 0], 1536_i16.to_le_bytes(), &[1, 0])).expect("a header");
        assert!((loud.gain - 1.995).abs() < 0.001, "6 dB, not {}", loud.gain);
        assert_eq!(Head::read(&head(0, [0, 0], 1536_i16.to_be_bytes(), &[1, 0])), Some(loud));
        let surround = Head::read(&head(1, [0, 0], [0, 0], &[6, 1, 4, 2, 0, 4, 1, 2, 3, 5])).expect("a header");
        assert_eq!((surround.streams, surround.coupled, &surround.mapping[..]), (4, 2, &[0, 4, 1, 2, 3, 5][..]));
        assert!(Native::new(&surround).is_some());
    }

    #[test]
    fn headers_that_cannot_be_are_refused() {
        for bytes in [
            &b"OpusHead"[..],
            b"OpusTags and so on, long enough",
            &head(1, [0, 0], [0, 0], &[0, 0]),
            &head(1, [0, 0], [0, 0], &[3, 0]),
            &head(1, [0, 0], [0, 0], &[6, 1, 4, 2, 0, 4]),
            &head(1, [0, 0], [0, 0], &[0, 1, 1, 0]),
        ] {
            assert_eq!(Head::read(bytes), None, "{bytes:?}");
        }
        // Well formed, but no such streams: libopus says no.
        let lies = Head::read(&head(1, [0, 0], [0, 0], &[2, 1, 1, 0, 0, 9])).expect("a header");
        assert!(Native::new(&lies).is_none());
        let none = Head::read(&head(1, [0, 0], [0, 0], &[2, 1, 0, 0, 0, 0])).expect("a header");
        assert!(Native::new(&none).is_none());
    }
}
