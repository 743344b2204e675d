//! The speech-to-text worker: one recording in, segments out. Everything it shares with other workers is in
//! `meetcap_protocol::runtime`; what is here decodes audio, cuts it into windows and runs whisper.cpp.

mod apart;
mod audio;
#[cfg(test)]
mod demo_model;
mod detector;
mod engine;
mod exact;
mod flight;
mod judge;
mod loader;
mod memory;
mod model_file;
mod native;
mod native_log;
#[cfg(test)]
mod noise;
mod place;
mod silero;
mod text;
mod vad;
mod vad_file;
mod whisper;
mod window;
mod words;

use std::process::ExitCode;

#[expect(unsafe_code, reason = "the environment is set before there is another thread")]
fn main() -> ExitCode {
    // ggml forks a debugger and waits for it before it aborts, unless this is set before it is first used.
    // SAFETY: this is the first statement of the process: no other thread exists that could read or write the
    // environment at the same time.
    unsafe { std::env::set_var("GGML_NO_BACKTRACE", "1") };
    meetcap_protocol::runtime::worker_main(engine::SttEngine::new)
}
