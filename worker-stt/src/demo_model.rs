//! Tests of whisper.cpp itself, with the demo model and the demo recording.

use std::io::{Read, Write};
use std::path::PathBuf;

use meetcap_protocol::FaultKind;
use meetcap_protocol::payload::stt::SttLoad;
use meetcap_protocol::runtime::Cancel;

use crate::audio::Recording;
use crate::loader::Watch;
use crate::native_log;
use crate::whisper::{Model, Options};
use crate::window::{Window, Windower};

fn demo(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../supervisor/demo").join(file)
}

fn model() -> Model {
    changed(|_| ())
}

/// The demo model with something changed in its file.
fn changed(change: impl FnOnce(&mut Vec<u8>)) -> Model {
    native_log::install();
    let packed = std::fs::File::open(demo("demo-stt-q5_0.bin.zst")).expect("the demo model is in the repository");
    let mut unpacked = ruzstd::decoding::StreamingDecoder::new(packed).expect("it is compressed with zstd");
    let mut bytes = Vec::new();
    unpacked.read_to_end(&mut bytes).expect("it unpacks");
    change(&mut bytes);
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(&bytes).and_then(|()| file.flush()).expect("room for it");
    let load = SttLoad { model: file.path().into(), threads: 1, gpu: false, vad: None };
    Model::load(&load, &Watch { progress: &|_| (), cancel: &Cancel::default() }).expect("it loads")
}

fn first_window() -> Window {
    let mut recording = Recording::open(&demo("meeting.flac")).expect("the demo recording is in the repository");
    let (mut windower, mut samples) = (Windower::default(), Vec::new());
    loop {
        let more = recording.read(&mut samples).expect("it decodes");
        windower.push(&samples);
        if !more {
            windower.finish();
        }
        if let Some(window) = windower.next_window().expect("levels are judged without fail") {
            return window;
        }
    }
}

#[test]
fn a_fixed_length_is_kept_whatever_the_model_would_say() {
    let (model, window) = (model(), first_window());
    let run = |length| {
        let options = Options { exact_tokens: length, ..Options::default() };
        let settings = model.settings("en", &options, &Cancel::default());
        let state = model.run(settings, &window.samples).expect("it decodes");
        let tokens = state.as_iter().map(|segment| segment.n_tokens()).sum::<i32>();
        (state.full_n_segments(), tokens)
    };
    let (segments, said) = run(None);
    assert!(segments > 1, "the window holds several sentences");
    assert_eq!(run(Some(5)), (1, 5), "shorter than what was said");
    let longer = said + 60;
    assert_eq!(run(Some(longer.unsigned_abs())), (1, longer), "longer than what was said");
    assert_eq!(run(Some(u32::MAX)), (1, 220), "no more than whisper.cpp decodes at once");
}

#[test]
fn a_model_that_computes_no_numbers_is_named_and_not_tried_again_and_again() {
    let (name, width) = (b"decoder.ln.weight", 96);
    let model = changed(|bytes| {
        let at = bytes.windows(name.len()).position(|part| part == name).expect("it is there") + name.len();
        bytes[at..at + 4 * width].fill(0xff);
    });
    let settings = model.settings("en", &Options::default(), &Cancel::default());
    let fault = model.decode(&settings, 0.0, &first_window().samples).err().expect("no text can come of it");
    assert_eq!(fault.kind, FaultKind::ModelInvalid);
    assert!(fault.detail.contains("no numbers") && fault.detail.contains("/"), "{}", fault.detail);
}
