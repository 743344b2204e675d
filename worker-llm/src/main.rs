//! The summary worker: one GGUF model, run by llama.cpp, for as long as one supervisor wants it.
//!
//! ```text
//!  model_file ── is this a GGUF that C may read?
//!  template ──── the model's own chat template, rendered around a stand-in for the transcript
//!  vocabulary ── the little that the prompt needs of one
//!  prompt ────── the stand-in replaced by the transcript, as tokens that cannot be control tokens
//!  plan ──────── the same, counted
//!  thoughts ──── what a model thinks before it answers, kept out of the answer
//!  size ──────── what set-ups take, before anything is loaded
//!  llama ─────── context and sampler; nearly all `unsafe` of the crate
//!  engine ────── plan, load, process, unload
//!  text, log ─── whole characters out of token pieces; what llama.cpp complained about
//!  memory ────── the end, where there is none left
//!  backends ──── ggml's code for this processor, where it is a shared library
//! ```

#[cfg(all(any(feature = "portable", test), target_os = "linux"))]
#[cfg_attr(not(feature = "portable"), expect(dead_code, reason = "built to be checked and tested"))]
mod backends;
#[cfg(test)]
mod demo_jobs;
#[cfg(test)]
mod demo_model;
mod engine;
mod llama;
mod log;
mod memory;
mod model_file;
mod plan;
mod prompt;
mod size;
mod template;
#[cfg(test)]
mod template_formats;
mod text;
mod thoughts;
#[cfg(test)]
mod toy;
mod vocabulary;

use std::process::ExitCode;

#[expect(unsafe_code, reason = "the environment is set before there is another thread")]
fn main() -> ExitCode {
    // ggml would fork a debugger and wait for it before it aborts; the sandbox forbids that, and nobody looks.
    // SAFETY: this is the first statement of `main`, no other thread exists that could read the environment.
    unsafe { std::env::set_var("GGML_NO_BACKTRACE", "1") };
    #[cfg(all(feature = "portable", target_os = "linux"))]
    {
        // SAFETY: as above.
        if let Err(why) = unsafe { backends::load() } {
            eprintln!("meetcap-worker-llm: {why}");
            return ExitCode::FAILURE;
        }
        if std::env::args_os().nth(1).is_some_and(|argument| argument == "--processor") {
            println!("{}", backends::loaded().unwrap_or_default());
            return ExitCode::SUCCESS;
        }
    }
    meetcap_protocol::runtime::worker_main(engine::LlmEngine::default)
}
