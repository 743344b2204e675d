//! Small files made here, decoded whole.

use std::path::PathBuf;

use super::mix::down_mix;
use super::*;

struct TempFile(PathBuf);

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn file(bytes: &[u8]) -> TempFile {
    let name = format!("meetcap-audio-{}-{:?}", std::process::id(), std::thread::current().id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, bytes).expect("a file in the temp folder");
    TempFile(path)
}

/// A WAV of 16-bit samples whose header claims `claimed` bytes of them.
fn wav(rate: u32, channels: u16, samples: &[i16], claimed: u32) -> Vec<u8> {
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36_u32.saturating_add(claimed)).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16_u32.to_le_bytes());
    bytes.extend(1_u16.to_le_bytes());
    bytes.extend(channels.to_le_bytes());
    bytes.extend(rate.to_le_bytes());
    bytes.extend(rate.wrapping_mul(u32::from(channels) * 2).to_le_bytes());
    bytes.extend((channels * 2).to_le_bytes());
    bytes.extend(16_u16.to_le_bytes());
    bytes.extend(b"data");
    bytes.extend(claimed.to_le_bytes());
    bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    bytes
}

fn read_all(recording: &mut Recording) -> Vec<f32> {
    let (mut all, mut part) = (Vec::new(), Vec::new());
    loop {
        let more = recording.read(&mut part).expect("a readable file");
        all.append(&mut part);
        if !more {
            return all;
        }
    }
}

fn refusal(bytes: &[u8]) -> String {
    let file = file(bytes);
    let fault = Recording::open(&file.0).err().expect("a refusal");
    assert_eq!(fault.kind, FaultKind::BadInput);
    fault.detail
}

#[test]
fn a_wav_is_decoded_whole() {
    let samples: Vec<i16> = (0..44_100).flat_map(|n| [(n % 100) as i16 * 100, 0]).collect();
    let file = file(&wav(44_100, 2, &samples, 44_100 * 4));
    let mut recording = Recording::open(&file.0).expect("a WAV");
    assert_eq!(recording.info(), &AudioInfo { sample_rate: 44_100, channels: 2, duration: Some(1.0) });
    assert_eq!(read_all(&mut recording).len(), 16_000);
    assert_eq!(recording.take_damage(), []);
    assert!((recording.duration() - 1.0).abs() < 1e-9);
}

#[test]
fn the_right_rate_passes_unchanged() {
    let samples: Vec<i16> = (0..20_000).map(|n| (n % 1000) as i16).collect();
    let file = file(&wav(16_000, 1, &samples, 40_000));
    let mut recording = Recording::open(&file.0).expect("a WAV");
    let wanted: Vec<f32> = samples.iter().map(|&sample| f32::from(sample) / 32_768.0).collect();
    assert!(read_all(&mut recording) == wanted);
}

#[test]
fn a_file_that_was_cut_off_gives_what_is_there_and_says_so() {
    let file = file(&wav(16_000, 1, &vec![1000; 16_000], 320_000));
    let mut recording = Recording::open(&file.0).expect("a WAV");
    assert_eq!(recording.info().duration, Some(10.0));
    assert_eq!(read_all(&mut recording).len(), 16_000);
    let damage = recording.take_damage();
    assert_eq!(damage.len(), 1, "{damage:?}");
    assert!((damage[0].at - 1.0).abs() < 1e-9);
}

#[test]
fn a_header_without_a_length_is_no_damage() {
    for claimed in [u32::MAX, 0xffff_ff00, 0x7fff_ffff] {
        let file = file(&wav(16_000, 1, &vec![1000; 16_000], claimed));
        let mut recording = Recording::open(&file.0).expect("a WAV");
        assert!(recording.info().duration.is_none_or(|duration| duration < 1.1), "{claimed:#x}");
        assert_eq!(read_all(&mut recording).len(), 16_000);
        assert_eq!(recording.take_damage(), [], "{claimed:#x}");
    }
}

#[test]
fn what_is_no_audio_is_refused_with_a_remedy() {
    assert!(refusal(b"just a few words that nobody ever said").contains("ffmpeg -i"));
    assert!(refusal(b"%PDF-1.7 and so on").contains("PDF"));
    assert!(refusal(b"").contains("is empty"));
    assert!(refusal(&wav(16_000, 1, &[], 0)).contains("holds no audio"));
    assert!(refusal(&wav(4_000_000_000, 1, &[1; 4000], 8000)).contains("sample rate"));
    let missing = std::env::temp_dir().join("meetcap-audio-that-is-not-there");
    assert_eq!(Recording::open(&missing).err().map(|fault| fault.kind), Some(FaultKind::BadInput));
    assert!(Recording::open(&std::env::temp_dir()).err().expect("a refusal").detail.contains("is not a file"));
}

#[test]
fn channels_are_averaged_and_what_is_no_number_is_silence() {
    let mut mono = Vec::new();
    down_mix(&[0.5, -0.5, 1.0, 0.0, f32::NAN, 0.5, f32::INFINITY, f32::NEG_INFINITY], 2, &mut mono);
    assert_eq!(mono, [0.0, 0.5, 0.25, 0.0]);
    mono.clear();
    down_mix(&[0.1, 0.2, 0.3], 1, &mut mono);
    assert_eq!(mono, [0.1, 0.2, 0.3]);
    mono.clear();
    down_mix(&[f32::MAX; 6], 6, &mut mono);
    assert!(mono[0].is_finite());
}
