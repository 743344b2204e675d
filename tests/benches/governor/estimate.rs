//! Predictions from a file's head alone against what real workers take, on shapes that people use and on shapes that a
//! seed draws.

use std::path::Path;

use meetcap_supervisor::Model;
use meetcap_supervisor::memory::{MemoryPolicy, read_system};
use meetcap_supervisor::planning::{self, Layout};
use meetcap_tests::bins;
use meetcap_tests::figures::Results;
use meetcap_tests::rng::Rng;
use meetcap_tests::shapes::{Shape, measure as worker};

use super::models::Models;
use super::pair::mib;

const SPEECH: [&str; 9] = [
    "whisper-tiny-f16",
    "whisper-tiny-q8_0",
    "whisper-tiny-q5_0",
    "whisper-base-f16",
    "whisper-base-q8_0",
    "whisper-base-q5_0",
    "whisper-small-f16",
    "whisper-small-q8_0",
    "whisper-small-q5_0",
];
const SUMMARY: [&str; 6] =
    ["llama-150m-q4_0", "llama-150m-q8_0", "llama-150m-f16", "llama-1b-q4_0", "llama-1b-q8_0", "llama-1b-f16"];
const CONTEXTS: [u32; 2] = [1024, 8192];
/// Of each kind.
const DRAWN: usize = 3;
/// The context of a drawn one.
const DRAWN_CONTEXT: u32 = 2048;
const LOW: f64 = 0.95;
const HIGH: f64 = 1.25;
/// One window.
const SECONDS: u32 = 26;
const WINDOW_TOKENS: u32 = 16;
/// More than a batch: room is made for the whole context at once, and what follows takes little more.
const PROMPT: u32 = 700;
/// How little is shown with one that is filled to its end.
const FILLED: (&str, u32) = ("llama-150m-q4_0", 8192);

pub(crate) fn measure() {
    let models = Models::new();
    let recording = models.recording(SECONDS);
    let mut results = Results::new(18, "predictions against measured peaks", "estimate");
    let mut judged = 0;
    for name in SPEECH {
        judged += report(&mut results, name, &speech(&models.named(name), &recording));
    }
    for name in SUMMARY {
        for n_ctx in CONTEXTS {
            let layout = format!("{name}, {n_ctx} tokens");
            let model = models.named(name);
            judged += report(&mut results, &layout, &summary(&model, n_ctx, Some(PROMPT)));
        }
        if name == FILLED.0 {
            let filled = format!("{name}, {} tokens, all of them used", FILLED.1);
            judged += report(&mut results, &filled, &summary(&models.named(name), FILLED.1, None));
        }
        std::fs::remove_file(models.named(name)).expect("our own file");
    }
    let mut rng = Rng::fresh("shapes");
    let seed = rng.state();
    for number in 1..=DRAWN {
        let shape = Shape::named("random-whisper", &mut rng).expect("a shape");
        let model = models.of_shape(&format!("drawn-{number}"), &shape);
        judged += report(&mut results, &described(&shape), &speech(&model, &recording));
        let shape = Shape::named("random-llama", &mut rng).expect("a shape");
        let model = models.of_shape(&format!("drawn-{number}"), &shape);
        let name = format!("{}, {DRAWN_CONTEXT} tokens", described(&shape));
        judged += report(&mut results, &name, &summary(&model, DRAWN_CONTEXT, Some(PROMPT)));
    }
    results.plain("shapes and layouts", f64::from(judged), "");
    results.note(format!(
        "Predicted: by the file's head alone, uncalibrated. Measured: the highest cost of the real worker, read every \
         millisecond, with random weights of that shape and one thread: one window of {SECONDS} s and {WINDOW_TOKENS} \
         tokens; a prompt of {PROMPT} tokens. Where weights stay in the page cache, what is resident is compared. \
         Shapes without a name were drawn from MEETCAP_TEST_SEED={seed}."
    ));
    results.write("estimate");
}

/// In bytes.
struct Compared {
    predicted: u64,
    measured: u64,
}

fn speech(model: &Path, recording: &Path) -> Compared {
    let layout = predicted(model, None);
    let program = bins::find("meetcap-worker-stt");
    let peaks = worker::speech(&program, model, recording, 1, Some(WINDOW_TOKENS));
    Compared { predicted: layout.need.cost.0, measured: peaks.peak }
}

/// With a prompt of so many tokens, or one that fills the context.
fn summary(model: &Path, n_ctx: u32, prompt: Option<u32>) -> Compared {
    let layout = predicted(model, Some(n_ctx));
    let setup = layout.setup.expect("a summary model is laid out");
    let peaks = worker::summary(&bins::find("meetcap-worker-llm"), model, setup, 1, prompt);
    if setup.map_weights {
        Compared { predicted: layout.need.total().0, measured: peaks.resident }
    } else {
        Compared { predicted: layout.need.cost.0, measured: peaks.peak }
    }
}

/// The first layout is the one with the full precision of the context.
fn predicted(model: &Path, n_ctx: Option<u32>) -> Layout {
    let system = read_system();
    let told = planning::estimate(&Model::from_path(model), n_ctx, &MemoryPolicy::default(), &system);
    told.expect("a model").layouts.into_iter().next().expect("a layout")
}

/// Counts it.
fn report(results: &mut Results, name: &str, compared: &Compared) -> u32 {
    let Compared { predicted, measured } = *compared;
    let name = format!("{name}: {:.0} MiB predicted / {:.0} MiB measured", mib(predicted), mib(measured));
    results.between(name, predicted as f64 / measured as f64, "", LOW, HIGH);
    1
}

fn described(shape: &Shape) -> String {
    match shape {
        Shape::Whisper(shape) => format!(
            "whisper of {} heads of {}, {} and {} layers, {}",
            shape.heads,
            shape.state / shape.heads,
            shape.audio_layers,
            shape.text_layers,
            shape.weights.name()
        ),
        Shape::Llama(shape) => format!(
            "llama of {} layers of {}, {} of {} heads, {} words, {}",
            shape.layers,
            shape.embedding,
            shape.kv_heads,
            shape.heads,
            shape.vocabulary,
            shape.weights.name()
        ),
    }
}
