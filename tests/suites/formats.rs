//! What a recording may come in: the same meeting in many kinds of files, damaged ones and hostile ones, through the
//! real program with the bundled model. The full matrix is a test of the decoder, in `worker-stt`.
#![cfg(unix)]

use meetcap_tests::demo::{assert_heard, room_with, run, spoken};
use meetcap_tests::room::Room;
use meetcap_tests::run::{Finished, of_kind};
use meetcap_tests::speech::convert;
use meetcap_tests::wav::Mono;

/// More than a worker takes for a plain recording, in bytes: what a decoder may have.
const DECODER: u64 = 256 << 20;

/// Name, ffmpeg's options.
const KINDS: [(&str, &str); 9] = [
    ("phone.m4a", "-c:a aac -b:a 96k -ar 48000"),
    ("voice.ogg", "-c:a libopus -b:a 32k -application voip"),
    ("meeting.webm", "-c:a libopus -b:a 64k -ac 2"),
    ("meeting.mkv", "-c:a libvorbis -q:a 5 -ar 48000"),
    ("room.flac", "-c:a flac -ar 48000 -ac 6"),
    ("studio.wav", "-c:a pcm_f64le -ar 96000 -ac 2"),
    ("long.wav", "-c:a pcm_s24le -rf64 always -ar 48000"),
    ("raw.aac", "-c:a aac -b:a 96k -ar 44100"),
    ("camera.mov", "-c:a pcm_s24be -ar 48000 -ac 2"),
];

fn transcribe(room: &Room, name: &str) -> Finished {
    run(room).args(["--stt", "demo", "--no-summary", "--events", "jsonl", name]).run()
}

fn peak(finished: &Finished) -> u64 {
    let events = finished.events();
    of_kind(&events, "worker_exit").iter().filter_map(|event| event["peak_bytes"].as_u64()).max().unwrap_or(0)
}

/// Warnings of damage.
fn damage(finished: &Finished) -> Vec<String> {
    let events = finished.events();
    let warnings = of_kind(&events, "warning").into_iter().filter(|warning| warning["code"] == "damaged_audio");
    warnings.map(|warning| warning["message"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn the_same_words_are_heard_in_every_kind_of_file() {
    let room = Room::new();
    for (name, options) in KINDS {
        convert(&spoken().wav, &options.split(' ').collect::<Vec<_>>(), &room.path(name));
        let finished = transcribe(&room, name).expect_code(0);
        assert_eq!(damage(&finished), [""; 0], "{name}");
        let stem = name.split('.').next().unwrap_or(name);
        assert_heard(&room.text(&format!("{stem}.transcript.txt")), name);
    }
}

#[test]
fn the_content_decides_and_not_the_name() {
    let room = Room::new();
    convert(&spoken().wav, &["-c:a", "libopus", "-b:a", "64k", "-f", "ogg"], &room.path("lies.mp3"));
    convert(&spoken().wav, &["-c:a", "libmp3lame", "-b:a", "128k", "-f", "mp3"], &room.path("wrong.wav"));
    for name in ["lies.mp3", "wrong.wav"] {
        let _ = transcribe(&room, name).expect_code(0);
        assert_heard(&room.text(&format!("{}.transcript.txt", &name[..name.len() - 4])), name);
    }
}

#[test]
fn what_is_not_decoded_is_named_with_the_way_out() {
    let room = Room::new();
    convert(&spoken().wav, &["-c:a", "wmav2"], &room.path("a.wma"));
    convert(&spoken().wav, &["-c:a", "ac3", "-ar", "48000"], &room.path("b.mp4"));
    room.file("c.amr", b"#!AMR\n\x3c\x91\x17\x16\xbe\x66");
    for (name, words) in [("a.wma", "Windows Media"), ("b.mp4", "AC-3"), ("c.amr", "AMR")] {
        let _ = transcribe(&room, name).expect_code(3).says(words).says("ffmpeg -i");
    }
}

#[test]
fn a_damaged_file_is_heard_as_far_as_it_goes_and_the_damage_is_told_with_its_time() {
    let room = Room::new();
    let made = |name: &str, options: &str| {
        convert(&spoken().wav, &options.split(' ').collect::<Vec<_>>(), &room.path(name));
        std::fs::read(room.path(name)).expect("converted")
    };
    let cut = made("a.m4a", "-c:a aac -b:a 96k -movflags +faststart");
    room.file("a.m4a", &cut[..cut.len() * 6 / 10]);
    let mut hole = made("b.ogg", "-c:a libopus -b:a 48k");
    let length = hole.len();
    hole[length * 48 / 100..length / 2].fill(0);
    room.file("b.ogg", &hole);
    let mut hole = made("c.flac", "-c:a flac");
    let length = hole.len();
    hole[length * 48 / 100..length / 2].fill(0);
    room.file("c.flac", &hole);
    for name in ["a.m4a", "b.ogg", "c.flac"] {
        let finished = transcribe(&room, name).expect_code(0);
        let told = damage(&finished);
        assert!(told.first().is_some_and(|first| first.starts_with("at 00:")), "{name}: {told:?}");
        let heard = room.text(&format!("{}.transcript.txt", &name[..1]));
        assert!(heard.lines().count() >= 3, "{name}: {heard}");
    }
}

/// A WAV header over `samples` with these fields, whatever sense they make.
fn wav(kind: u16, channels: u16, rate: u32, bits: u16, claimed: u32, samples: &[u8]) -> Vec<u8> {
    let mut bytes = b"RIFF".to_vec();
    bytes.extend(claimed.saturating_add(36).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0");
    bytes.extend([kind.to_le_bytes(), channels.to_le_bytes()].concat());
    bytes.extend(rate.to_le_bytes());
    bytes.extend(rate.wrapping_mul(u32::from(channels) * u32::from(bits / 8)).to_le_bytes());
    bytes.extend([channels.wrapping_mul(bits / 8).to_le_bytes(), bits.to_le_bytes()].concat());
    bytes.extend(b"data");
    bytes.extend(claimed.to_le_bytes());
    bytes.extend(samples);
    bytes
}

/// The bytes `after` the first `word` are replaced.
fn with_lie(mut file: Vec<u8>, word: &[u8], after: usize, lie: &[u8]) -> Vec<u8> {
    let at = file.windows(word.len()).position(|part| part == word).expect("the word is there") + word.len() + after;
    file[at..at + lie.len()].copy_from_slice(lie);
    file
}

fn hostile(room: &Room) -> Vec<(&'static str, Vec<u8>)> {
    let made = |name: &str, options: &str| {
        convert(&spoken().wav, &options.split(' ').collect::<Vec<_>>(), &room.path(name));
        std::fs::read(room.path(name)).expect("converted")
    };
    let noise: Vec<u8> = (0..64_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let nan = f32::NAN.to_le_bytes().repeat(16_000);
    let mp4 = made("x.m4a", "-c:a aac -b:a 96k");
    let mkv = made("x.mkv", "-c:a libvorbis");
    let flac = made("x.flac", "-c:a flac");
    let aiff = made("x.aiff", "-c:a pcm_s16be");
    let caf = made("x.caf", "-c:a pcm_s16be");
    let huge = [0x7f, 0xff, 0xff, 0xff];
    vec![
        ("nan.wav", wav(3, 1, 16_000, 32, 64_000, &nan)),
        ("size.wav", wav(1, 1, 16_000, 16, 0x7fff_fff0, &noise)),
        ("channels.wav", wav(1, u16::MAX, 16_000, 16, 64_000, &noise)),
        ("nothing.wav", wav(1, 0, 16_000, 16, 64_000, &noise)),
        ("bits.wav", wav(1, 1, 16_000, 0, 64_000, &noise)),
        ("rate.wav", wav(1, 1, 0, 16, 64_000, &noise)),
        ("fast.wav", wav(1, 8, 384_000, 32, 64_000, &noise)),
        ("adpcm.wav", wav(2, 2, 16_000, 4, 64_000, &noise)),
        ("samples.m4a", with_lie(mp4.clone(), b"stsz", 8, &huge)),
        ("sample.m4a", with_lie(mp4.clone(), b"stsz", 4, &huge)),
        ("times.m4a", with_lie(mp4.clone(), b"stts", 4, &huge)),
        ("chunks.m4a", with_lie(mp4.clone(), b"stsc", 4, &huge)),
        ("offsets.m4a", with_lie(mp4, b"stco", 4, &huge)),
        ("cluster.mkv", with_lie(mkv.clone(), b"\x1f\x43\xb6\x75", 0, &[0x01, 0x7f, 0xff, 0xff, 0xff])),
        ("private.mkv", with_lie(mkv, b"\x63\xa2", 0, &[0x10, 0xff, 0xff, 0xff])),
        ("length.flac", with_lie(flac.clone(), b"fLaC", 17, &[0x4f, 0xff, 0xff, 0xff, 0xff])),
        ("blocks.flac", with_lie(flac, b"fLaC", 4, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])),
        ("common.aiff", with_lie(aiff, b"COMM", 4, &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff])),
        ("packet.caf", with_lie(caf, b"desc", 24, &[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff])),
        ("id3.mp3", [&b"ID3\x04\0\0\x7f\x7f\x7f\x7f"[..], &noise].concat()),
    ]
}

#[test]
fn hostile_files_end_in_words_or_in_a_clear_refusal_and_within_bounded_memory() {
    let room = room_with("plain.wav");
    let plain = peak(&transcribe(&room, "plain.wav").expect_code(0));
    assert!(plain > 0, "the peak is measured");
    for (name, bytes) in hostile(&room) {
        room.file(name, &bytes);
        let finished = transcribe(&room, name);
        assert!(matches!(finished.code, Some(0 | 3)), "{name}: {finished:#?}");
        assert!(finished.code == Some(0) || finished.stderr.contains(name), "{name}: {finished:#?}");
        let above = peak(&finished).saturating_sub(plain);
        assert!(above < DECODER, "{name} took {} MiB more than a plain recording", above >> 20);
        println!(
            "{name}: exit {:?}, {} KiB above a plain recording, {:?}",
            finished.code,
            above >> 10,
            damage(&finished)
        );
    }
}

#[test]
fn a_microphone_wired_the_wrong_way_round_is_heard() {
    let room = Room::new();
    let sound = Mono::from_bytes(&spoken().wav);
    let against = sound.samples.iter().flat_map(|&sample| [sample, sample.saturating_neg()]);
    let bytes: Vec<u8> = against.flat_map(i16::to_le_bytes).collect();
    let length = u32::try_from(bytes.len()).expect("small");
    room.file("stage.wav", wav(1, 2, sound.rate, 16, length, &bytes));
    let _ = transcribe(&room, "stage.wav").expect_code(0);
    assert_heard(&room.text("stage.transcript.txt"), "stage.wav");
}
