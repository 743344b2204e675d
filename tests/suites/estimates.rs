//! What models are estimated to take against what real workers take for them: shapes drawn from a printed seed, no
//! calibration. Under-prediction above 5 % fails, and so does over-prediction above 25 %, which would refuse what fits.
#![cfg(target_os = "linux")]

use std::num::NonZeroU8;
use std::path::{Path, PathBuf};
use std::time::Duration;

use meetcap_protocol::payload::llm::KvType;
use meetcap_protocol::payload::stt::{SttJob, SttLoad};
use meetcap_supervisor::memory::estimate::{Need, further_window_need, llm_need, should_map_weights, stt_need};
use meetcap_supervisor::models::shape::{ModelShape, read_shape};
use meetcap_tests::bins;
use meetcap_tests::deadline::within;
use meetcap_tests::rng::Rng;
use meetcap_tests::room::Room;
use meetcap_tests::shapes::{Shape, measure};
use meetcap_tests::wav::Mono;

const LIMIT: Duration = Duration::from_secs(600);
/// In bytes. Too much by this refuses nobody, and of the smallest shapes that are drawn it is a quarter.
const NOBODY_REFUSED: u64 = 6 << 20;
/// Only as many as a window's start; memory does not grow with them.
const TOKENS: u32 = 8;

fn model(room: &Room, name: &str, rng: &mut Rng) -> (PathBuf, Shape, ModelShape) {
    let shape = Shape::named(name, rng).expect("a known name");
    let path = room.path("model");
    shape.write(&path, rng).expect("room on the disk");
    let read = read_shape(&path).expect("sound").expect("says enough");
    (path, shape, read)
}

#[track_caller]
fn holds(shape: Shape, estimate: Need, measured: u64) {
    let ratio = estimate.total().0 as f64 / measured as f64;
    println!("{ratio:.3}: {} estimated, {} MiB measured, {shape:?}", estimate.total(), measured >> 20);
    let surplus = estimate.total().0.saturating_sub(measured);
    let holds = ratio >= 0.95 && (ratio <= 1.25 || surplus <= NOBODY_REFUSED);
    assert!(holds, "{ratio:.3}: {estimate:?}, {} MiB measured, {shape:?}", measured >> 20);
}

fn worker(name: &str) -> PathBuf {
    bins::find(name)
}

/// Taken for speech.
fn noise(room: &Room, rng: &mut Rng) -> PathBuf {
    room.file("noise.wav", Mono::syllables(16_000, 40, rng).to_bytes())
}

#[test]
fn speech_models_of_any_shape_take_what_was_estimated() {
    within(LIMIT, || {
        let mut rng = Rng::fresh("speech models");
        let room = Room::new();
        let audio = noise(&room, &mut rng);
        for _ in 0..3 {
            let (path, shape, read) = model(&room, "random-whisper", &mut rng);
            let ModelShape::Whisper(whisper) = &read else { panic!("{read:?}") };
            let peaks = measure::speech(&worker("meetcap-worker-stt"), &path, &audio, 1, Some(TOKENS));
            holds(shape, stt_need(whisper, None, false), peaks.peak);
        }
    });
}

/// Of a shape in use: with few layers the first window is done before the second takes all that it needs.
#[test]
fn two_windows_at_once_take_what_was_estimated() {
    within(LIMIT, || {
        let mut rng = Rng::fresh("two windows");
        let room = Room::new();
        let audio = noise(&room, &mut rng);
        let (path, shape, read) = model(&room, "whisper-base-q5_0", &mut rng);
        let ModelShape::Whisper(whisper) = &read else { panic!("{read:?}") };
        let load = SttLoad { model: path.as_path().into(), threads: 2, gpu: false, vad: None };
        let job = SttJob { windows: NonZeroU8::new(2), ..measure::fixed_job(&audio, Some(TOKENS)) };
        let peaks = measure::speech_as(&worker("meetcap-worker-stt"), load, job);
        holds(shape, stt_need(whisper, None, false) + further_window_need(whisper, None), peaks.peak);
    });
}

#[test]
fn summary_models_of_any_shape_take_what_was_estimated() {
    within(LIMIT, || {
        let mut rng = Rng::fresh("summary models");
        let room = Room::new();
        for _ in 0..4 {
            let (path, shape, read) = model(&room, "random-llama", &mut rng);
            let ModelShape::Llama(llama) = &read else { panic!("{read:?}") };
            let setup = measure::on_cpu(256 * *rng.pick(&[2, 3, 6, 12]), KvType::F16, should_map_weights(llama));
            let peaks = measure::summary(&worker("meetcap-worker-llm"), Path::new(&path), setup, 1, None);
            // A worker that maps holds the weights as pages of the file.
            let need = llm_need(llama, &setup, false);
            let total = if peaks.loaded < need.mapped.0 { peaks.peak + need.mapped.0 } else { peaks.peak };
            holds(shape, need, total);
        }
    });
}
