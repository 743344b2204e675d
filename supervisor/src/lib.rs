//! Runs speech-to-text and summary models in short-lived worker processes and accounts for their memory.
//!
//! # Theory of operation
//!
//! A recording goes in; a transcript, a summary and a ledger of memory come out. Each phase runs in a process
//! of its own ([`worker`]), started for it and ended after it: unloading a model *is* the end of its process,
//! and the operating system takes back all of its memory, on the CPU and on the GPU. The supervisor itself
//! links no inference engine and parses no audio.
//!
//! Two phases never hold models at once: a worker may load only with the one [`permit::LoadPermit`], which
//! comes back after its process was reaped.
//!
//! The result of a phase is on disk before its worker is told that it may forget it. Success is a worker's
//! final frame, never its exit status: engines are known to abort while they exit.
//!
//! # Use
//!
//! [`Supervisor::run`] does a [`Job`], [`Supervisor::run_many`] several with one load of each model; what happens is told as [`event::Event`]s. The pieces it is made of,
//! [`service::SttService`] and [`service::LlmService`], can be used alone.
//!
//! ```no_run
//! # async fn example() {
//! use meetcap_supervisor::event::EventSink;
//! use meetcap_supervisor::{Job, Model, Stop, Supervisor, WorkerPrograms};
//!
//! let supervisor = Supervisor::new(WorkerPrograms::beside("/opt/app/bin".as_ref()));
//! let job = Job { language: Some("en".to_owned()), ..Job::new("meeting.wav", Model::from_path("ggml-small.bin")) };
//! let events = EventSink::new(|event, _| println!("{event:?}"));
//! let report = supervisor.run(&job, events, &Stop::default()).await;
//! # drop(report);
//! # }
//! ```
//!
//! The library needs a tokio runtime with time enabled. It installs no signal handler and no global state.

pub mod config;
pub mod errors;
pub mod event;
pub mod exit_code;
pub mod fallback;
pub mod input;
pub mod journal;
pub mod memory;
pub mod models;
pub mod output;
pub mod permit;
mod pipeline;
pub mod planning;
pub mod programs;
pub mod registry;
pub mod restart;
pub mod service;
pub mod stop;
pub mod summary;
pub mod worker;

pub use config::Device;
pub use errors::JobError;
pub use exit_code::ExitCode;
pub use meetcap_protocol::payload::llm::KvType;
pub use meetcap_protocol::{FaultKind, LifecycleState, WorkerFault, WorkerKind};
pub use models::Model;
pub use pipeline::{Exact, Heard, Job, Resources, RunReport, SummarizeJob, Supervisor, default_threads};
pub use programs::WorkerPrograms;
pub use stop::Stop;

/// What a worker of this build answers to `--version`, its name left out.
pub fn worker_version() -> String {
    use meetcap_protocol::version::{BuildVersion, ProtocolVersion};
    format!("{} (protocol {})", BuildVersion::CURRENT, ProtocolVersion::CURRENT)
}
