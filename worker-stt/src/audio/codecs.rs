//! Which track is heard, and which decoder it gets: symphonia's, libopus, or for HE-AAC the one of the AAC-LC inside.
//!
//! The default audio track is taken, or else the first one that there is a decoder for.
//!
//! HE-AAC is AAC-LC at half the rate with instructions for guessing the upper half of the spectrum (and, in version
//! 2, the second channel). Nothing here can follow the instructions. Whisper hears up to 8 kHz, and the core reaches
//! higher than that at every rate that is used for speech or music, so the core is all that is needed.

use std::path::Path;
use std::sync::OnceLock;

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::well_known as codec;
use symphonia::core::codecs::audio::well_known::CODEC_ID_AAC;
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::codecs::registry::CodecRegistry;
use symphonia::core::errors::Result;
use symphonia::core::formats::well_known::FORMAT_ID_ISOMP4;
use symphonia::core::formats::{FormatReader, Track, TrackType};

use super::decode::guarded;
use super::mp4::{self, TrackBoxes};
use super::names;
use super::priming::Priming;

/// The track that is heard.
pub(super) struct Chosen {
    pub(super) codec: Box<dyn AudioDecoder>,
    pub(super) track: Track,
    pub(super) priming: Priming,
}

/// Finds it.
///
/// # Errors
/// What the file holds instead.
pub(super) fn choose(format: &dyn FormatReader, path: &Path) -> std::result::Result<Chosen, String> {
    let boxes = if format.format_info().format == FORMAT_ID_ISOMP4 { mp4::tracks(path) } else { Vec::new() };
    let default = format.default_track(TrackType::Audio).into_iter();
    let others = format.tracks().iter().filter(|track| track.track_type() == Some(TrackType::Audio));
    let mut refused = None;
    for track in default.chain(others) {
        let Some(CodecParameters::Audio(parameters)) = &track.codec_params else { continue };
        let boxes = boxes.iter().find(|boxes| boxes.id == track.id);
        let mut parameters = parameters.clone();
        parameters.codec = with_its_byte_order(parameters.codec, boxes);
        if let Ok(codec) = guarded(|| make(&parameters)) {
            let priming = Priming::of(track, &parameters, boxes);
            return Ok(Chosen { codec, track: track.clone(), priming });
        }
        refused = refused.or_else(|| Some(names::of_codec(&parameters, boxes)));
    }
    let container = format.format_info().long_name;
    // A track that symphonia cannot make anything of has no type.
    let unknown = || boxes.iter().find_map(|boxes| names::of_four_letters(boxes.codec)).map(str::to_owned);
    Err(refused.or_else(unknown).map_or_else(
        || format!("the {container} file has no audio track that is understood here"),
        |name| format!("the {container} file holds {name}, which is not decoded here"),
    ))
}

/// QuickTime's plain samples of more than 16 bits have the high byte first unless a box says otherwise; symphonia
/// does not look.
fn with_its_byte_order(id: AudioCodecId, boxes: Option<&TrackBoxes>) -> AudioCodecId {
    match boxes {
        Some(TrackBoxes { codec, little_endian: false, .. }) => match codec {
            b"in24" => codec::CODEC_ID_PCM_S24BE,
            b"in32" => codec::CODEC_ID_PCM_S32BE,
            b"fl32" => codec::CODEC_ID_PCM_F32BE,
            b"fl64" => codec::CODEC_ID_PCM_F64BE,
            _ => id,
        },
        _ => id,
    }
}

fn registry() -> &'static CodecRegistry {
    static REGISTRY: OnceLock<CodecRegistry> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        let mut registry = CodecRegistry::new();
        symphonia::default::register_enabled_codecs(&mut registry);
        #[cfg(feature = "opus")]
        registry.register_audio_decoder::<super::opus::OpusDecoder>();
        registry
    })
}

/// A decoder for what `parameters` describe.
fn make(parameters: &AudioCodecParameters) -> Result<Box<dyn AudioDecoder>> {
    let options = AudioDecoderOptions::default();
    registry().make_audio_decoder(parameters, &options).or_else(|error| {
        let config = parameters.extra_data.as_deref().filter(|_| parameters.codec == CODEC_ID_AAC);
        let Some(core) = config.and_then(core_of_he_aac) else { return Err(error) };
        let mut parameters = parameters.clone();
        parameters.with_extra_data(Box::new(core));
        registry().make_audio_decoder(&parameters, &options)
    })
}

/// The AudioSpecificConfig (ISO 14496-3, 1.6.2.1) of the AAC-LC inside of HE-AAC, if `config` says HE-AAC: object
/// type (5 bits), rate (4) and channels (4) of the core, then rate (4) and object type (5) of what is in it.
fn core_of_he_aac(config: &[u8]) -> Option<[u8; 2]> {
    const LC: u32 = 2;
    const SBR: u32 = 5;
    const PS: u32 = 29;
    /// A rate that is not in the table follows in 24 bits; nobody encodes HE-AAC so.
    const RATE_FOLLOWS: u32 = 15;
    let bits = u32::from_be_bytes(*config.first_chunk::<4>()?);
    let field = |from: u32, length: u32| (bits >> (32 - from - length)) & ((1 << length) - 1);
    let (kind, rate, channels) = (field(0, 5), field(5, 4), field(9, 4));
    let (outer_rate, inner) = (field(13, 4), field(17, 5));
    let is_he = matches!(kind, SBR | PS) && inner == LC && rate != RATE_FOLLOWS && outer_rate != RATE_FOLLOWS;
    let core = (LC << 11) | (rate << 7) | (channels << 3);
    u16::try_from(core).ok().filter(|_| is_he).map(u16::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn he_aac_is_told_from_other_kinds() {
        // 24 kHz stereo in 48 kHz; 22.05 kHz mono with parametric stereo in 44.1 kHz.
        assert_eq!(core_of_he_aac(&[0x2b, 0x11, 0x88, 0x00]), Some([0x13, 0x10]));
        assert_eq!(core_of_he_aac(&[0xeb, 0x8a, 0x08, 0x00]), Some([0x13, 0x88]));
        // AAC-LC with a remark, AAC-LC, USAC, and too little.
        for other in [&[0x12, 0x10, 0x56, 0xe5, 0x00][..], &[0x12, 0x10], &[0xf9, 0x46, 0x43, 0x22], &[]] {
            assert_eq!(core_of_he_aac(other), None);
        }
    }
}
