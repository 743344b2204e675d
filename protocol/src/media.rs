//! Kinds of files by their first bytes: what the supervisor lets through to a worker, and what neither of them can
//! read but both can name.

/// First bytes that are enough to tell; fewer are judged as far as they go.
pub const HEAD: usize = 512;

/// What a file starts like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// A container that the speech worker may be able to read.
    Known(&'static str),
    /// Not decoded here, by this name.
    Foreign(&'static str),
}

/// Judges by content alone; `None` is nothing that is known.
#[must_use]
pub fn of_start(head: &[u8]) -> Option<Media> {
    let at = |offset: usize, magic: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    // Containers that begin like another one come first.
    let foreign = [
        ("Windows Media (WMA or WMV)", at(0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11")),
        ("AMR speech (wideband)", at(0, b"#!AMR-WB")),
        ("AMR speech", at(0, b"#!AMR")),
        ("AVI video", at(0, b"RIFF") && at(8, b"AVI ")),
        ("an MPEG transport stream", packets_of(head, 0, 188) || packets_of(head, 4, 192)),
        ("an MPEG program stream", at(0, b"\x00\x00\x01\xba")),
        ("Flash video", at(0, b"FLV")),
        ("RealMedia", at(0, b".RMF") || at(0, b".ra\xfd")),
        ("WavPack", at(0, b"wvpk")),
        ("Monkey's Audio", at(0, b"MAC ")),
        ("True Audio", at(0, b"TTA1") || at(0, b"TTA2")),
        ("Musepack", at(0, b"MPCK") || at(0, b"MP+")),
        ("AC-3", at(0, b"\x0b\x77")),
        ("DTS", at(0, b"\x7f\xfe\x80\x01") || at(0, b"\xfe\x7f\x01\x80")),
        ("a Sun audio file", at(0, b".snd")),
        ("a Wave64 file", at(0, b"riff\x2e\x91\xcf\x11")),
        ("Olympus dictation (DSS)", at(0, b"\x02dss") || at(0, b"\x03dss") || at(0, b"\x03ds2")),
        ("DSD audio", at(0, b"DSD ") || at(0, b"FRM8")),
        ("Speex", at(0, b"OggS") && at(28, b"Speex   ")),
        ("MIDI, which is notes and not sound", at(0, b"MThd")),
        ("a PDF document", at(0, b"%PDF")),
        ("a ZIP archive", at(0, b"PK\x03\x04")),
        ("a PNG picture", at(0, b"\x89PNG")),
        ("a JPEG picture", at(0, b"\xff\xd8\xff")),
        ("a model", at(0, b"ggml") || at(0, b"lmgg") || at(0, b"GGUF")),
    ];
    let known = [
        ("wav", (at(0, b"RIFF") || at(0, b"RIFX") || at(0, b"RF64") || at(0, b"BW64")) && at(8, b"WAVE")),
        ("flac", at(0, b"fLaC")),
        ("ogg", at(0, b"OggS")),
        ("mp4", at(4, b"ftyp")),
        ("mp3", at(0, b"ID3")),
        ("aiff", at(0, b"FORM") && (at(8, b"AIFF") || at(8, b"AIFC"))),
        ("caf", at(0, b"caff")),
        ("mkv", at(0, b"\x1A\x45\xDF\xA3")),
        ("mp4", at(4, b"moov") || at(4, b"mdat") || at(4, b"wide") || at(4, b"free") || at(4, b"skip")),
        ("mpeg", is_mpeg_frame(head)),
    ];
    let first = |kinds: &[(&'static str, bool)]| kinds.iter().find(|(_, matches)| *matches).map(|(name, _)| *name);
    first(&foreign).map(Media::Foreign).or_else(|| first(&known).map(Media::Known))
}

/// Two packets of a transport stream, one after the other: each begins with the same byte.
fn packets_of(head: &[u8], first: usize, length: usize) -> bool {
    const SYNC: Option<&u8> = Some(&0x47);
    head.get(first) == SYNC && head.get(first + length) == SYNC
}

/// An MPEG audio or ADTS frame header: eleven (twelve for ADTS) set bits, then fields that must not be "reserved".
fn is_mpeg_frame(head: &[u8]) -> bool {
    let [0xFF, second, third, ..] = *head else { return false };
    let layer = (second >> 1) & 0b11;
    if second & 0xF0 == 0xF0 && layer == 0 {
        // ADTS: the sampling frequency index 13 to 15 is reserved.
        return (third >> 2) & 0b1111 < 13;
    }
    let version = (second >> 3) & 0b11;
    // Layer I (3) is not looked for: its first bytes are those of a text in UTF-16.
    second & 0xE0 == 0xE0
        && version != 0b01
        && matches!(layer, 1 | 2)
        && third >> 4 != 0b1111
        && (third >> 2) & 0b11 != 0b11
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_known_by_their_magic() {
        for (head, name) in [
            (&b"RIFF\x24\0\0\0WAVEfmt "[..], "wav"),
            (b"RF64\xff\xff\xff\xffWAVEds64", "wav"),
            (b"fLaC\0\0\0\x22", "flac"),
            (b"OggS\0\x02", "ogg"),
            (b"\0\0\0\x20ftypM4A ", "mp4"),
            (b"ID3\x04", "mp3"),
            (&[0xFF, 0xFB, 0x90, 0x64], "mpeg"),
            (&[0xFF, 0xF1, 0x50, 0x80], "mpeg"),
        ] {
            assert_eq!(of_start(head), Some(Media::Known(name)));
        }
    }

    #[test]
    fn what_is_not_decoded_has_a_name() {
        let mut stream = vec![0_u8; HEAD];
        stream[0] = 0x47;
        assert_eq!(of_start(&stream), None);
        stream[188] = 0x47;
        for (head, name) in [
            (&b"RIFF\x24\0\0\0AVI LIST"[..], "AVI"),
            (b"#!AMR\n", "AMR"),
            (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9", "Windows Media"),
            (&stream, "transport stream"),
            (b"%PDF-1.7", "PDF"),
        ] {
            let Some(Media::Foreign(found)) = of_start(head) else { panic!("{name} is not named") };
            assert!(found.contains(name), "{found}");
        }
    }

    #[test]
    fn text_and_half_magics_are_nothing() {
        for head in [&b"hello, this is a text"[..], b"RIFF\x24\0\0\0", b"RIFF", b"", &[0xFF, 0xFF], &[0xFF, 0xFE, b'a']]
        {
            assert_eq!(of_start(head), None);
        }
    }
}
