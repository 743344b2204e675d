//! The format matrix, on the decoder alone: ffmpeg makes every kind of file from the bundled recording, whole and
//! damaged, and what comes out of them is compared with what went in.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::*;

/// Seconds of the bundled recording that are used.
const LENGTH: f64 = 10.0;

/// File ending, ffmpeg's options.
const DECODED: &[(&str, &str)] = &[
    // Bit depths and number formats.
    ("wav", "-c:a pcm_u8 -ar 16000"),
    ("wav", "-c:a pcm_s16le -ar 16000"),
    ("wav", "-c:a pcm_s24le -ar 48000 -ac 2"),
    ("wav", "-c:a pcm_s32le -ar 44100"),
    ("wav", "-c:a pcm_f32le -ar 48000 -ac 2"),
    ("wav", "-c:a pcm_f64le -ar 96000"),
    ("wav", "-c:a pcm_alaw -ar 8000"),
    ("wav", "-c:a pcm_mulaw -ar 8000 -ac 2"),
    ("wav", "-c:a pcm_s16le -rf64 always -ar 44100"),
    ("wav", "-c:a adpcm_ms -ar 22050"),
    ("wav", "-c:a adpcm_ima_wav -ar 44100 -ac 2"),
    // Rates.
    ("wav", "-c:a pcm_s16le -ar 8000"),
    ("wav", "-c:a pcm_s16le -ar 11025 -ac 2"),
    ("wav", "-c:a pcm_s16le -ar 22050"),
    ("wav", "-c:a pcm_s16le -ar 32000"),
    ("wav", "-c:a pcm_s16le -ar 44100 -ac 2"),
    ("wav", "-c:a pcm_s16le -ar 88200"),
    ("wav", "-c:a pcm_s24le -ar 192000 -ac 2"),
    // Channels.
    ("wav", "-c:a pcm_s16le -ar 48000 -ac 3"),
    ("wav", "-c:a pcm_s16le -ar 48000 -ac 4"),
    ("wav", "-c:a pcm_s16le -ar 48000 -ac 5"),
    ("wav", "-c:a pcm_s16le -ar 48000 -ac 6"),
    ("wav", "-c:a pcm_s16le -ar 48000 -ac 7"),
    ("wav", "-c:a pcm_s16le -ar 48000 -ac 8"),
    // Other containers of plain samples.
    ("aiff", "-c:a pcm_s16be -ar 44100 -ac 2"),
    ("aiff", "-c:a pcm_s24be -ar 48000"),
    ("aiff", "-c:a pcm_s8 -ar 22050"),
    ("caf", "-c:a pcm_s16be -ar 44100"),
    ("caf", "-c:a pcm_f32le -ar 48000 -ac 2"),
    ("mkv", "-c:a pcm_s16le -ar 48000 -ac 2"),
    ("mov", "-c:a pcm_s16le -ar 48000 -ac 2"),
    ("mov", "-c:a pcm_s24be -ar 48000"),
    // Lossless.
    ("flac", "-c:a flac -ar 8000"),
    ("flac", "-c:a flac -sample_fmt s32 -ar 96000 -ac 2"),
    ("flac", "-c:a flac -ar 48000 -ac 6"),
    ("ogg", "-c:a flac -ar 44100"),
    ("mkv", "-c:a flac -ar 48000 -ac 2"),
    ("m4a", "-c:a alac -ar 44100 -ac 2"),
    ("m4a", "-c:a alac -sample_fmt s32p -ar 96000"),
    ("caf", "-c:a alac -ar 48000"),
    // MP3 and its ancestors.
    ("mp3", "-c:a libmp3lame -b:a 32k -ar 8000"),
    ("mp3", "-c:a libmp3lame -b:a 64k -ar 22050 -ac 2"),
    ("mp3", "-c:a libmp3lame -q:a 4 -ar 44100 -ac 2"),
    ("mp3", "-c:a libmp3lame -b:a 128k -ar 48000 -write_xing 0"),
    ("mp2", "-c:a mp2 -b:a 128k -ar 48000"),
    ("mkv", "-c:a libmp3lame -b:a 96k -ar 44100"),
    // AAC.
    ("aac", "-c:a aac -b:a 64k -ar 16000"),
    ("aac", "-c:a aac -b:a 128k -ar 44100 -ac 2"),
    ("m4a", "-c:a aac -b:a 96k -ar 44100"),
    ("m4a", "-c:a aac -b:a 128k -ar 48000 -ac 2 -movflags +faststart"),
    ("m4a", "-c:a aac -b:a 48k -ar 8000"),
    ("mp4", "-c:a aac -b:a 96k -ar 48000 -movflags +frag_keyframe+empty_moov+delay_moov"),
    ("mov", "-c:a aac -b:a 96k -ar 44100"),
    ("mkv", "-c:a aac -b:a 96k -ar 44100 -ac 2"),
    // Opus and Vorbis.
    ("opus", "-c:a libopus -b:a 24k -application voip"),
    ("ogg", "-c:a libopus -b:a 96k -ac 2"),
    ("opus", "-c:a libopus -b:a 16k -frame_duration 60 -ar 8000"),
    ("opus", "-c:a libopus -b:a 256k -ac 6 -mapping_family 1"),
    ("opus", "-c:a libopus -b:a 256k -ac 8 -mapping_family 1"),
    ("webm", "-c:a libopus -b:a 48k -ac 2"),
    ("mkv", "-c:a libopus -b:a 48k"),
    ("mp4", "-c:a libopus -b:a 48k -ac 2"),
    ("ogg", "-c:a libvorbis -q:a 3 -ar 44100 -ac 2"),
    ("webm", "-c:a libvorbis -q:a 3 -ar 48000"),
    ("mkv", "-c:a libvorbis -q:a 3 -ar 22050"),
    // Beside pictures.
    ("mp4", "-map 1:v -map 0:a -c:v mpeg4 -c:a aac -b:a 96k -ar 48000 -ac 2"),
    ("mov", "-map 1:v -map 0:a -c:v mpeg4 -c:a pcm_s16be -ar 44100"),
    ("mkv", "-map 1:v -map 0:a -c:v mpeg4 -c:a libvorbis -ar 48000"),
    ("webm", "-map 1:v -map 0:a -c:v libvpx -c:a libopus"),
    // The first audio track cannot be decoded, the second can.
    ("mkv", "-map 0:a -map 0:a -c:a:0 ac3 -c:a:1 libopus -ar 48000"),
    ("mkv", "-map 1:v -map 0:a -c:v mpeg4 -c:a pcm_s16le -ar 44100 -ac 2"),
];

/// File ending, ffmpeg's options, what the refusal has to name.
const REFUSED: &[(&str, &str, &str)] = &[
    ("wma", "-c:a wmav2 -ar 44100", "Windows Media"),
    ("ac3", "-c:a ac3 -ar 48000", "AC-3"),
    ("mkv", "-c:a ac3 -ar 48000", "AC-3"),
    ("mp4", "-c:a ac3 -ar 48000", "AC-3"),
    ("mp4", "-c:a eac3 -ar 48000", "E-AC-3"),
    ("m4a", "-c:a aac -ar 48000 -ac 6", "AAC"),
    ("wv", "-c:a wavpack -ar 44100", "WavPack"),
    ("tta", "-c:a tta -ar 44100", "True Audio"),
    ("ogg", "-c:a libspeex -ar 16000", "Speex"),
    ("au", "-c:a pcm_s16be -ar 16000", "Sun"),
    ("avi", "-c:a libmp3lame -ar 44100", "AVI"),
    ("ts", "-c:a aac -ar 44100", "MPEG transport stream"),
    ("flv", "-c:a aac -ar 44100", "Flash video"),
    ("w64", "-c:a pcm_s16le -ar 16000", "Wave64"),
    ("mov", "-c:a alac -ar 44100", "Apple Lossless"),
    ("gsm.wav", "-c:a libgsm_ms -ar 8000", "GSM"),
    ("wma.wav", "-c:a wmav2 -ar 44100", "Windows Media"),
    ("amr", "-c:a libopencore_amrnb -ar 8000", "AMR"),
];

/// Rows that this ffmpeg has no encoder for are told and left out; more than these few are a broken set-up.
const MOST_SKIPPED: usize = 2;

#[test]
fn every_kind_of_file_is_heard_in_its_own_time() {
    let original = original();
    let skipped = for_each(DECODED, |file, row| {
        let mut recording = Recording::open(file).unwrap_or_else(|fault| panic!("{row}: {}", fault.detail));
        let claimed = recording.info().duration;
        let heard = read_all(&mut recording);
        assert_eq!(recording.take_damage(), [], "{row}");
        let length = heard.len() as f64 / f64::from(SAMPLE_RATE);
        assert!((length - LENGTH).abs() < 0.13, "{row}: {length} s");
        // A raw stream does not know its length; what it says is a guess.
        let guess = row.starts_with("aac");
        assert!(guess || claimed.is_none_or(|claimed| (claimed - LENGTH).abs() < 0.2), "{row}: claims {claimed:?}");
        let (lag, like) = likeness(&original, &heard);
        assert!(lag.abs() < 0.02 && like > 0.9, "{row}: {lag} s late, {like:.3} alike");
    });
    assert!(skipped <= MOST_SKIPPED);
}

#[test]
fn what_is_not_decoded_is_named_with_a_remedy() {
    let rows: Vec<_> = REFUSED.iter().map(|(ending, options, _)| (*ending, *options)).collect();
    let skipped = for_each(&rows, |file, row| {
        let fault = Recording::open(file).err().unwrap_or_else(|| panic!("{row}: decoded"));
        assert_eq!(fault.kind, FaultKind::BadInput, "{row}");
        let wanted = REFUSED.iter().find(|(ending, options, _)| row == format!("{ending} {options}")).map(|row| row.2);
        let named = wanted.is_some_and(|name| fault.detail.contains(name));
        assert!(named && fault.detail.contains("ffmpeg -i"), "{row}: {}", fault.detail);
    });
    assert!(skipped <= MOST_SKIPPED);
}

/// What is done to a file.
const HARM: [&str; 5] =
    ["cut in half", "a hole of zeros", "random flips", "a lying header", "random flips in the header"];

fn harmed(bytes: &[u8], how: &str, row: &str) -> Vec<u8> {
    // The same for the same row.
    let mut state =
        row.bytes().fold(0x9e37_79b9_u64, |state, byte| (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)) | 1;
    let mut below = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % limit as u64).unwrap_or(0)
    };
    let (mut bytes, length) = (bytes.to_vec(), bytes.len());
    match how {
        "cut in half" => bytes.truncate(length / 2),
        "a hole of zeros" => bytes[length * 48 / 100..length / 2].fill(0),
        "random flips" => (0..20).for_each(|_| bytes[1024 + below(length - 1024)] ^= 1 << below(8)),
        "a lying header" => (0..4).for_each(|_| bytes[16 + below(200)..][..4].fill(0xff)),
        _ => (0..8).for_each(|_| bytes[4 + below(400)] ^= 1 << below(8)),
    }
    bytes
}

#[test]
fn damaged_files_are_heard_as_far_as_they_can_be_or_refused() {
    let original = original();
    for_each(DECODED, |file, row| {
        let whole = std::fs::read(file).expect("it was just made");
        for how in HARM {
            let path = file.with_extension("harmed");
            std::fs::write(&path, harmed(&whole, how, row)).expect("a file");
            match Recording::open(&path) {
                Ok(recording) => judge_harmed(recording, &original, row, how),
                Err(fault) => {
                    assert!(
                        fault.kind == FaultKind::BadInput && fault.detail.contains("ffmpeg"),
                        "{row}, {how}: {fault:?}"
                    );
                    // Without its index, or its last chunk, symphonia finds nothing in it.
                    let index_is_last = ["m4a", "mp4", "mov", "caf"].iter().any(|ending| row.starts_with(ending));
                    let hopeless = how.contains("header") || how.contains("flips") || (how == HARM[0] && index_is_last);
                    assert!(hopeless, "{row}, {how}: {}", fault.detail);
                }
            }
            let _ = std::fs::remove_file(path);
        }
    });
}

fn judge_harmed(mut recording: Recording, original: &[f32], row: &str, how: &str) {
    let heard = read_all(&mut recording);
    let damage = recording.take_damage();
    let length = heard.len() as f64 / f64::from(SAMPLE_RATE);
    let context = format!("{row}, {how}: {length:.2} s, {damage:?}");
    let is = |endings: &[&str]| endings.iter().any(|ending| row.starts_with(ending));
    // Streams of frames without a clock or a length.
    let raw = is(&["aac", "mp2", "mp3"]);
    match how {
        "cut in half" => {
            assert!((3.9..6.0).contains(&length), "{context}");
            assert!(raw || row.contains("rf64") || damage.iter().any(|damage| damage.at > 3.9), "{context}");
        }
        // symphonia does not find the next cluster.
        "a hole of zeros" if is(&["mkv", "webm"]) => assert!(length > 4.0 && !damage.is_empty(), "{context}"),
        "a hole of zeros" => {
            assert!((length - LENGTH).abs() < 0.35, "{context}");
            let tail = original.len() * 3 / 4;
            let (lag, like) = likeness(&original[tail..], heard.get(tail..).unwrap_or_default());
            assert!(raw || (lag.abs() < 0.1 && like > 0.85), "{context}: its end is {lag} s late, {like:.3} alike");
        }
        _ => {
            assert!(length < 4.5 * 3600.0, "{context}");
            assert!(heard.iter().all(|sample| sample.is_finite()), "{context}");
        }
    }
}

/// Makes each row's file and hands it to `check`; gives the number of those that cannot be made here.
fn for_each(rows: &[(&str, &str)], check: impl Fn(&Path, &str) + Sync) -> usize {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (next, skipped) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        loop {
            let at = next.fetch_add(1, Relaxed);
            let Some((ending, options)) = rows.get(at) else { break };
            let row = format!("{ending} {options}");
            let path = folder.path().join(format!("{at}.{ending}"));
            match make(options, &path) {
                Ok(()) => check(&path, &row),
                Err(why) => {
                    skipped.fetch_add(1, Relaxed);
                    println!("SKIPPED {row}: {why}");
                }
            }
            let _ = std::fs::remove_file(path);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
    skipped.into_inner()
}

/// The bundled recording in another form; an error if ffmpeg has no such encoder.
fn make(options: &str, path: &Path) -> Result<(), String> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-y", "-i"]).arg(bundled());
    if options.contains("-map") {
        ffmpeg.args(["-f", "lavfi", "-i", "testsrc=size=64x64:rate=10"]);
    } else {
        ffmpeg.args(["-map", "0:a"]);
    }
    let output =
        ffmpeg.args(["-t", &LENGTH.to_string()]).args(options.split(' ')).arg(path).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("ffmpeg is needed to make recordings: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("Unknown encoder") {
        return Err(said.lines().next().unwrap_or_default().to_owned());
    }
    assert!(output.status.success(), "ffmpeg {options}: {said}");
    Ok(())
}

fn bundled() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../supervisor/demo/meeting.flac")
}

fn original() -> Vec<f32> {
    let mut recording = Recording::open(&bundled()).expect("the bundled recording");
    let mut samples = read_all(&mut recording);
    samples.truncate((LENGTH * 16e3) as usize);
    samples
}

fn read_all(recording: &mut Recording) -> Vec<f32> {
    let (mut all, mut part) = (Vec::new(), Vec::new());
    while recording.read(&mut part).expect("a readable file") {
        all.append(&mut part);
    }
    all.append(&mut part);
    all
}

/// Seconds that `heard` comes later than `original`, and how alike they are then (1: the same but for loudness).
fn likeness(original: &[f32], heard: &[f32]) -> (f64, f64) {
    const FOLD: usize = 8;
    const FURTHEST: i64 = 500;
    let fold =
        |samples: &[f32]| samples.chunks(FOLD).map(|part| f64::from(part.iter().sum::<f32>())).collect::<Vec<_>>();
    let (original, heard) = (fold(original), fold(heard));
    let energy = |samples: &[f64]| samples.iter().map(|sample| sample * sample).sum::<f64>();
    let scale = (energy(&original) * energy(&heard)).sqrt().max(f64::MIN_POSITIVE);
    let product = |lag: i64| {
        let (skip_a, skip_b) = ((-lag).max(0) as usize, lag.max(0) as usize);
        original.iter().skip(skip_a).zip(heard.iter().skip(skip_b)).map(|(a, b)| a * b).sum::<f64>() / scale
    };
    let best = (-FURTHEST..=FURTHEST).max_by(|&a, &b| product(a).total_cmp(&product(b))).unwrap_or(0);
    (best as f64 * FOLD as f64 / 16e3, product(best))
}
