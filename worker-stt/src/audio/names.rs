//! Names for what cannot be decoded, so that a refusal can say what the file is. Pure look-up; knows nothing more
//! than these few and says so.

use symphonia::core::codecs::audio::{AudioCodecId, well_known as codec};

/// What the first bytes of a file say that no container reader took.
pub(super) fn of_start(start: &[u8]) -> Option<&'static str> {
    const ASF: &[u8] = &[0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11];
    let has = |at: usize, text: &[u8]| start.get(at..at + text.len()) == Some(text);
    let names: [(usize, &[u8], &str); 13] = [
        (0, ASF, "Windows Media"),
        (8, b"AVI ", "AVI"),
        (0, b"wvpk", "WavPack"),
        (0, b"MAC ", "Monkey's Audio"),
        (0, b"#!AMR", "AMR"),
        (0, b"FLV", "Flash video"),
        (0, b".RMF", "RealMedia"),
        (0, b"MThd", "MIDI"),
        (0, b"RF64", "RF64 WAV"),
        (0, b"%PDF", "a PDF document"),
        (0, b"PK\x03\x04", "a ZIP archive"),
        (0, b"\x89PNG", "a PNG picture"),
        (0, b"ggml", "a model"),
    ];
    names.iter().find(|(at, text, _)| has(*at, text)).map(|(_, _, name)| *name)
}

/// The codec's name.
pub(super) fn of_codec(id: AudioCodecId) -> String {
    let names = [
        (codec::CODEC_ID_OPUS, "Opus"),
        (codec::CODEC_ID_SPEEX, "Speex"),
        (codec::CODEC_ID_MUSEPACK, "Musepack"),
        (codec::CODEC_ID_MP1, "MPEG layer 1"),
        (codec::CODEC_ID_MP2, "MPEG layer 2"),
        (codec::CODEC_ID_AAC, "this kind of AAC (HE-AAC or a rarer profile)"),
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
    name.unwrap_or_else(|| format!("codec {id}"))
}
