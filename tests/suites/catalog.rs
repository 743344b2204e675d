//! What the catalogue says that models take, against what the plan says of files of their shapes. No weights are there:
//! the plan reads nothing but what describes them.
#![cfg(unix)]

use meetcap_protocol::payload::llm::{KvType, LlmSetup};
use meetcap_supervisor::memory::Bytes;
use meetcap_supervisor::memory::estimate::{llm_need, should_map_weights, stt_need};
use meetcap_supervisor::models::catalog::{Catalog, Entry, Kind};
use meetcap_supervisor::models::choice::USUAL_CONTEXT;
use meetcap_supervisor::models::shape::{ModelShape, read_shape};
use meetcap_tests::rng::Rng;
use meetcap_tests::room::Room;
use meetcap_tests::shapes::Shape;

/// How a need may differ from the plan's: it is told in whole MiB, and weights are kept in other ways than here.
const WITHIN: f64 = 0.02;

/// Shapes of summary models as their makers publish them (`config.json`: layers, hidden size, intermediate size, heads of
/// queries and of keys, width of a head, vocabulary, whether input and output share their matrix).
const SUMMARIES: [(&str, [u32; 8]); 9] = [
    ("qwen3-0.6b", [28, 1024, 3072, 16, 8, 128, 151_936, 1]),
    ("qwen3-1.7b", [28, 2048, 6144, 16, 8, 128, 151_936, 1]),
    ("qwen3-4b", [36, 2560, 9728, 32, 8, 128, 151_936, 1]),
    ("qwen3-8b", [36, 4096, 12_288, 32, 8, 128, 151_936, 0]),
    ("llama-3.2-1b", [16, 2048, 8192, 32, 8, 64, 128_256, 1]),
    ("llama-3.2-3b", [28, 3072, 8192, 24, 8, 128, 128_256, 1]),
    ("phi-4-mini", [32, 3072, 8192, 24, 8, 128, 200_064, 1]),
    ("smollm2-360m", [32, 960, 2560, 15, 5, 64, 49_152, 1]),
    ("smollm2-1.7b", [24, 2048, 8192, 32, 32, 64, 49_152, 1]),
];

/// The shape of a model, kept in one of the ways that are written here; nothing for families that cannot be written.
fn shape(entry: &Entry) -> Option<Shape> {
    let kept = [("q8_0", "q8_0"), ("q5_1", "q5_0"), ("q5_0", "q5_0"), ("q4_0", "q4_0")];
    let kept = kept.into_iter().find(|(ending, _)| entry.name.ends_with(ending)).map(|(_, kept)| kept);
    let mut rng = Rng::new(1);
    match entry.kind {
        Kind::Detector => None,
        Kind::Speech => {
            let sizes = ["tiny", "base", "small", "medium", "large-v3-turbo", "large-v3", "large-v2"];
            let bare = entry.name.strip_prefix("whisper-")?;
            let size = sizes.into_iter().find(|size| bare.starts_with(size))?;
            // The second large one has the layers of the third.
            let size = if size == "large-v2" { "large-v3" } else { size };
            Shape::named(&format!("whisper-{size}-{}", kept.unwrap_or("f16")), &mut rng).ok()
        }
        Kind::Summary => {
            let numbers =
                SUMMARIES.iter().find(|(name, _)| entry.name.starts_with(name)).map(|(_, numbers)| numbers)?;
            // Rows of 960 numbers are not made of blocks of 256.
            let usual = if numbers[1] % 256 == 0 { "q4_k" } else { "q4_0" };
            let mut shape = Shape::named(&format!("llama-1b-{}", kept.unwrap_or(usual)), &mut rng).ok()?;
            let names =
                ["layers", "embedding", "feed_forward", "heads", "kv_heads", "head_width", "vocabulary", "tied"];
            names
                .iter()
                .zip(numbers)
                .for_each(|(name, value)| shape.set(name, *value).expect("a number of this shape"));
            Some(shape)
        }
    }
}

/// What the plan says of a file of this shape, and of so many bytes more or less of weights.
fn planned(room: &Room, entry: &Entry, shape: &Shape) -> Bytes {
    let path = room.path("model");
    shape.write_sparse(&path).expect("room on the disk");
    let file = std::fs::metadata(&path).expect("a file").len();
    let need = match read_shape(&path).expect("sound").expect("says enough") {
        ModelShape::Whisper(shape) => stt_need(&shape, None, false),
        ModelShape::Llama(shape) => {
            let map_weights = should_map_weights(&shape);
            let setup = LlmSetup { n_ctx: USUAL_CONTEXT, kv: KvType::F16, gpu_layers: Some(0), map_weights };
            llm_need(&shape, &setup, false)
        }
    };
    let bytes = entry.bytes.expect("looked at before").0;
    Bytes((need.total().0 + bytes).saturating_sub(file))
}

#[test]
fn needs_in_the_catalogue_are_those_of_the_plan() {
    let room = Room::new();
    let (mut wrong, mut held) = (Vec::new(), 0);
    for entry in Catalog::bundled().entries() {
        let Some(shape) = shape(entry).filter(|_| entry.bytes.is_some()) else {
            assert_eq!(entry.need, None, "{}: nothing here could tell that it is right", entry.name);
            continue;
        };
        let planned = planned(&room, entry, &shape);
        let is_right = entry.need.is_some_and(|need| (need.0 as f64 / planned.0 as f64 - 1.0).abs() <= WITHIN);
        held += usize::from(is_right);
        if !is_right {
            wrong.push(format!("{}: need_mib = {}", entry.name, planned.0.div_ceil(1 << 20)));
        }
    }
    assert!(wrong.is_empty(), "these should be in the catalogue:\n{}", wrong.join("\n"));
    assert!(held > 30, "{held}");
}
