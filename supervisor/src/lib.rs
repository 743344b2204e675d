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
//! A [`Supervisor`] takes [`Job`]s into its [`queue`] and does one after the other; a [`JobHandle`] tells what happens
//! as a stream of [`event::Event`]s, cancels, and gives the outcome.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use meetcap_supervisor::{Job, Model, Supervisor, WorkerPrograms};
//!
//! let supervisor = Supervisor::builder().programs(WorkerPrograms::beside("/opt/app/bin".as_ref())).build();
//! let job = Job { language: Some("en".to_owned()), ..Job::new("meeting.wav", Model::from_path("ggml-small.bin")) };
//! let handle = supervisor.submit(job).await?;
//! let mut events = handle.events();
//! while let Some(told) = events.next().await {
//!     println!("{:?}", told.event);
//! }
//! let report = handle.outcome().await;
//! println!("{:?}: {:?}", report.exit_code, report.ledger.outputs);
//! # Ok(())
//! # }
//! ```
//!
//! It needs a tokio runtime with I/O and time enabled; a host that has none uses [`blocking`]. [`Supervisor::run`] does
//! a job at once, past the queue, and [`Supervisor::run_many`] several with one load of each model. The pieces they are
//! made of, [`service::SttService`] and [`service::LlmService`], can be used alone.
//!
//! The library installs no signal handler, no subscriber and no global state, and takes the worker programs from where
//! it is told. The host links no inference engine: it can be a graphical program with a heap of any size.

pub mod bench;
pub mod blocking;
mod bounded;
pub mod clock;
pub mod config;
pub mod errors;
pub mod event;
pub mod exit_code;
pub mod fallback;
pub mod input;
pub mod journal;
pub mod leak;
pub mod memory;
pub mod models;
pub mod output;
pub mod permit;
mod pipeline;
pub mod planning;
pub mod programs;
pub mod queue;
pub mod registry;
pub mod report;
pub mod restart;
#[cfg(test)]
mod schema;
pub mod server;
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
pub use pipeline::{
    Builder, Exact, Heard, Job, Resources, RunReport, SummarizeJob, Supervisor, default_threads, useful_threads,
};
pub use programs::{CpuLevel, WorkerPrograms};
pub use queue::{Closing, JobHandle, JobId, JobStatus, Submission, SubmitError};
pub use stop::Stop;

/// What a worker of this build answers to `--version`, its name left out.
pub fn worker_version() -> String {
    use meetcap_protocol::version::{BuildVersion, ProtocolVersion};
    format!("{} (protocol {})", BuildVersion::CURRENT, ProtocolVersion::CURRENT)
}

/// What is wrong with a worker that answers this to `--version`, its name left out; `None` when it is of this build.
pub fn worker_mismatch(answer: &str) -> Option<String> {
    use meetcap_protocol::version::{BuildVersion, Older, ProtocolVersion};
    let own = worker_version();
    if answer == own {
        return None;
    }
    let build = answer.split_once(' ').and_then(|(build, _)| parse_build(build));
    let protocol = answer.split_once("(protocol ").and_then(|(_, rest)| rest.strip_suffix(')')?.parse().ok());
    let older = Older::between(Some(BuildVersion::CURRENT), build)
        .or_else(|| Older::between(Some(ProtocolVersion::CURRENT), protocol.map(ProtocolVersion::from_wire)));
    let older = match (build, protocol, older) {
        (Some(_), Some(_), Some(older)) => older.to_string(),
        _ => "install both from one build".to_owned(),
    };
    Some(format!("is of version {answer}, this program needs {own}: {older}"))
}

fn parse_build(text: &str) -> Option<meetcap_protocol::version::BuildVersion> {
    let mut numbers = text.split('.').map(str::parse);
    let mut next = || numbers.next()?.ok();
    let build = meetcap_protocol::version::BuildVersion { major: next()?, minor: next()?, patch: next()? };
    numbers.next().is_none().then_some(build)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_of_another_build_is_told_by_which_side_is_older() {
        assert_eq!(worker_mismatch(&worker_version()), None);
        for (answer, told) in [
            ("0.0.1 (protocol 1)", "the worker is older"),
            ("99.0.0 (protocol 1)", "the supervisor is older"),
            (&format!("{} (protocol 9999)", env!("CARGO_PKG_VERSION")), "the supervisor is older"),
            (&format!("{} (protocol 1)", env!("CARGO_PKG_VERSION")), "the worker is older"),
            ("", "install both from one build"),
            ("of nobody", "install both from one build"),
            ("1.2 (protocol x)", "install both from one build"),
        ] {
            let mismatch = worker_mismatch(answer).expect("another build");
            assert!(mismatch.contains(told) && mismatch.contains(answer), "{mismatch}");
        }
    }
}
