//! Names for what cannot be decoded, so that a refusal can say what the file is. Pure look-up; knows nothing more
//! than these few and says so.

use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::{AudioCodecParameters, well_known as codec};

use super::mp4::TrackBoxes;

/// The codec of a WAV file, by the tag in its first chunk.
pub(super) fn of_wave(head: &[u8]) -> Option<String> {
    if !head.starts_with(b"RIFF") || head.get(8..16) != Some(b"WAVEfmt ") {
        return None;
    }
    let tag = u16::from_le_bytes(*head.get(20..)?.first_chunk()?);
    let names = [
        (0x0031, "GSM"),
        (0x0050, "MPEG layer 1 or 2"),
        (0x0055, "MP3"),
        (0x0064, "G.726"),
        (0x0022, "TrueSpeech"),
        (0x0160, "Windows Media Audio"),
        (0x0161, "Windows Media Audio"),
        (0x0162, "Windows Media Audio"),
        (0x0163, "Windows Media Audio"),
        (0x2000, "AC-3"),
        (0x2001, "DTS"),
        (0x00ff, "AAC"),
        (0x1610, "AAC"),
        (0xa109, "Speex"),
    ];
    match names.iter().find(|(known, _)| *known == tag) {
        Some((_, name)) => Some((*name).to_owned()),
        // Plain samples, floats, ADPCM, logarithms, and "see below": not the codec's fault.
        None if matches!(tag, 1 | 2 | 3 | 6 | 7 | 0x11 | 0xfffe) => None,
        None => Some(format!("the codec {tag:#06x}")),
    }
}

/// The codec of an MP4 or QuickTime track, if it is one that symphonia does not know.
pub(super) fn of_four_letters(letters: [u8; 4]) -> Option<&'static str> {
    let names: [(&[u8; 4], &str); 10] = [
        (b"samr", "AMR speech"),
        (b"sawb", "AMR speech (wideband)"),
        (b"sawp", "AMR speech (wideband, extended)"),
        (b"alac", "Apple Lossless in QuickTime's older layout"),
        (b"QDM2", "QDesign music"),
        (b"Qclp", "Qualcomm PureVoice"),
        (b"ima4", "IMA ADPCM in QuickTime's layout"),
        (b"agsm", "GSM"),
        (b"dtsc", "DTS"),
        (b"mha1", "MPEG-H"),
    ];
    names.iter().find(|(known, _)| **known == letters).map(|(_, name)| *name)
}

/// The codec's name.
pub(super) fn of_codec(parameters: &AudioCodecParameters, boxes: Option<&TrackBoxes>) -> String {
    let id = parameters.codec;
    if let Some(name) = boxes.and_then(|boxes| of_four_letters(boxes.codec)) {
        return name.to_owned();
    }
    let channels = parameters.channels.as_ref().map_or(0, Channels::count);
    if id == codec::CODEC_ID_AAC && channels > 2 {
        return format!("AAC with {channels} channels");
    }
    let names = [
        (codec::CODEC_ID_OPUS, "Opus"),
        (codec::CODEC_ID_SPEEX, "Speex"),
        (codec::CODEC_ID_MUSEPACK, "Musepack"),
        (codec::CODEC_ID_MP1, "MPEG layer 1"),
        (codec::CODEC_ID_MP2, "MPEG layer 2"),
        (codec::CODEC_ID_AAC, "a rare kind of AAC (neither LC nor HE, or with more than two channels)"),
        (codec::CODEC_ID_AC3, "AC-3"),
        (codec::CODEC_ID_EAC3, "E-AC-3"),
        (codec::CODEC_ID_AC4, "AC-4"),
        (codec::CODEC_ID_DCA, "DTS"),
        (codec::CODEC_ID_WMA, "Windows Media Audio"),
        (codec::CODEC_ID_WAVPACK, "WavPack"),
        (codec::CODEC_ID_MONKEYS_AUDIO, "Monkey's Audio"),
        (codec::CODEC_ID_TTA, "True Audio"),
        (codec::CODEC_ID_TRUEHD, "TrueHD"),
        (codec::CODEC_ID_ADPCM_G722, "G.722"),
        (codec::CODEC_ID_ADPCM_G726, "G.726"),
    ];
    let name = names.iter().find(|(known, _)| *known == id).map(|(_, name)| (*name).to_owned());
    name.unwrap_or_else(|| "a codec that is not known here".to_owned())
}
