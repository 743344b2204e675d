//! whisper.cpp without anything of this project's around it: what one process costs that loads a model and uses it. The
//! benchmarks `pair`, `overhead` and `oneshot` compare the supervisor with it.
//!
//! ```text
//! [BARE_BEHIND_WALLS=1] bare-stt MODEL RECORDING.wav TOKENS THREADS [whole | whole-alone | parallel STATES | flash | windows LIST]
//! ```
//!
//! Prints `loaded`, decodes the recording (16 bits, one channel, 16 kHz) in windows of at most 29.5 s with so many tokens
//! each, as the worker does with the same order, prints `done`, and then holds everything until standard input closes.
//! One state serves all windows: the least that a program can do with.
//!
//! With `whole` the recording is given to the engine in one call instead, which walks through it in windows of 30 s with
//! so many tokens each and hands every window the text before it, as it does by itself; with `whole-alone` it does not
//! hand it on.
//!
//! With `parallel` so many states share the weights, and each takes the next window that nobody has taken, with so many
//! threads of its own. With `windows` it decodes these alone, as a list of seconds: `0-28.4,28.6-57`. With `flash` the engine computes attention in the fused way that it calls flash attention.

#[path = "../src/exact.rs"]
mod exact;

use std::error::Error;
use std::io::Read;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use meetcap_protocol::runtime::{self, Computes};
use meetcap_protocol::{SandboxStatus, SupervisorHello, WirePath, dump};
use whisper_rs::{FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters, WhisperError, WhisperState};

/// Samples of the longest window.
const WINDOW: usize = 59 * 16_000 / 2;
/// Of a WAV file without extras.
const HEAD: usize = 44;
const USAGE: &str =
    "usage: bare-stt MODEL RECORDING.wav TOKENS THREADS [whole | whole-alone | parallel STATES | flash | windows LIST]";

/// As a worker does, before anything is read.
fn lock_in(readable: &[&String]) {
    dump::leave_none().expect("a limit may be lowered");
    let readable = readable.iter().map(|path| WirePath::from(Path::new(path.as_str()))).collect();
    let hello = SupervisorHello { readable, scratch: None, heartbeat: Duration::ZERO };
    assert_eq!(runtime::lock_in(&hello, Computes::OnCpu), SandboxStatus::Full);
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (arguments, how) = arguments.split_at_checked(4).ok_or(USAGE)?;
    let [model, recording, tokens, threads] = arguments else { return Err(USAGE.into()) };
    if std::env::var_os("BARE_BEHIND_WALLS").is_some() {
        lock_in(&[model, recording]);
    }
    let mut parameters = WhisperContextParameters::new();
    parameters.use_gpu(false);
    parameters.flash_attn(how == ["flash"]);
    let context = WhisperContext::new_with_params(model, parameters)?;
    let states = match how {
        [how, states] if how == "parallel" => states.parse()?,
        _ => 1,
    };
    let mut states = (0..states).map(|_| context.create_state()).collect::<Result<Vec<_>, _>>()?;
    println!("loaded");

    let mut parameters = FullParams::new(SamplingStrategy::Greedy { best_of: 1 });
    parameters.set_n_threads(threads.parse()?);
    parameters.set_language(Some("en"));
    parameters.set_no_context(true);
    parameters.set_print_special(false);
    parameters.set_print_progress(false);
    parameters.set_print_realtime(false);
    parameters.set_print_timestamps(false);
    exact::fix_length(&mut parameters, tokens.parse()?, context.n_text_ctx());
    let samples = samples(recording)?;
    let window = match how {
        [] => WINDOW,
        [how] if how == "flash" => WINDOW,
        [how, _] if how == "parallel" || how == "windows" => WINDOW,
        [how] if how == "whole" => samples.len(),
        [how] if how == "whole-alone" => {
            parameters.set_n_max_text_ctx(0);
            samples.len()
        }
        _ => return Err(USAGE.into()),
    };
    let windows = match how {
        [how, list] if how == "windows" => listed(&samples, list)?,
        _ => samples.chunks(window).collect(),
    };
    let windows = Mutex::new(windows.into_iter());
    let work = |state: &mut WhisperState| {
        // The lock is held while a window is taken, not while it is decoded.
        while let Some(window) = windows.lock().ok().and_then(|mut windows| windows.next()) {
            state.full(parameters.clone(), window)?;
        }
        Ok::<_, WhisperError>(())
    };
    match &mut states[..] {
        [state] => work(state)?,
        states => std::thread::scope(|scope| {
            let at_work: Vec<_> = states.iter_mut().map(|state| scope.spawn(|| work(state))).collect();
            at_work
                .into_iter()
                .try_for_each(|thread| thread.join().map_err(|_| "a thread panicked")?.map_err(Box::from))
        })
        .map_err(|error: Box<dyn Error>| error)?,
    }
    println!("done");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    drop((states, context));
    Ok(())
}

fn listed<'samples>(samples: &'samples [f32], list: &str) -> Result<Vec<&'samples [f32]>, Box<dyn Error>> {
    let place =
        |seconds: &str| seconds.parse::<f64>().map(|seconds| ((seconds * 16_000.0) as usize).min(samples.len()));
    let window = |window: &str| {
        let (start, end) = window.split_once('-').ok_or(USAGE)?;
        Ok(samples.get(place(start)?..place(end)?).ok_or(USAGE)?)
    };
    list.split(',').map(window).collect()
}

fn samples(recording: &str) -> Result<Vec<f32>, Box<dyn Error>> {
    let bytes = std::fs::read(recording)?;
    let data = bytes.get(HEAD..).filter(|_| bytes.starts_with(b"RIFF")).ok_or("not a WAV file")?;
    Ok(data.chunks_exact(2).map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0).collect())
}
