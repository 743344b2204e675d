//! What the supervisor and its workers must agree on. No engine, no clock, no policy lives here.
//!
//! # Roles
//!
//! The *supervisor* listens on a private local socket, starts one *worker* process for one phase of the work
//! and accepts exactly one connection from it. A worker serves one [`Role`] ([`payload::stt::Stt`] or
//! [`payload::llm::Llm`]), may hold at most one model, and never outlives its socket.
//!
//! # Sequence
//!
//! ```text
//!  supervisor                                     worker
//!      │  spawn; Endpoint line on its stdin          │
//!      │◄──────────── Preamble (fixed bytes) ────────┤   magic, version, kind, codec, token
//!      ├──────────── PreambleReply (fixed bytes) ───►│   accepted, or who is too old
//!      ├── Hello { allow-list, heartbeat } ─────────►│   enters its sandbox, then starts its threads
//!      │◄───────────────────────────── Hello { … } ──┤
//!      ├── Plan ────────────────────────────────────►│   counts; loads no weights
//!      │◄─────────────────────────────── Planned ────┤
//!      ├── Load ────────────────────────────────────►│
//!      │◄────────────── LoadProgress* , Loaded ──────┤
//!      ├── Process ─────────────────────────────────►│
//!      │◄──── (UnitStarted, Item*, UnitDone)* ───────┤   Committed lets the next unit start
//!      │◄────────────────────────────────── Done ────┤   the final frame
//!      ├── Acknowledge ─────────────────────────────►│   only after the result is durable
//!      ├── Unload ──────────────────────────────────►│   frees the model
//!      │◄────────────────────────────── Unloaded ────┤   then `_exit(0)`
//! ```
//!
//! `Heartbeat` may come at any time after the worker's `Hello`; `Fault` ends the conversation at any time.
//! `Cancel` asks for the fault `Cancelled`.
//!
//! # Invariants
//!
//! - The preamble never changes its layout: a worker of any age can be told that it is too old.
//! - Frames carry a sequence number per direction; a frame out of order, too long, or with bytes left over
//!   is an error, never skipped.
//! - What was spoken travels only inside [`Spoken`], whose `Debug` shows a length and nothing else.
//! - [`codec`] is the only file that names the serialisation library.
//!
//! # Adding a message
//!
//! Add the variant at the **end** of its enum, add a named constant to [`version::ProtocolVersion`], raise
//! [`version::ProtocolVersion::CURRENT`], extend the golden frames in `tests/suites/wire.rs`.

pub mod codec;
pub mod dump;
pub mod endpoint;
pub mod fault;
pub mod file;
pub mod lifecycle;
pub mod media;
pub mod message;
pub mod payload;
pub mod preamble;
#[cfg(feature = "worker")]
pub mod runtime;
pub mod silero;
pub mod version;
pub mod whisper;

pub use fault::{FaultKind, WorkerFault};
pub use file::{FileIdentity, ModelFile};
pub use lifecycle::{IllegalTransition, LifecycleEvent, LifecycleState};
pub use message::{FromWorker, LoadReport, SandboxStatus, SupervisorHello, ToWorker, WirePath, WorkerHello};
pub use payload::{Role, Spoken, Wire};
pub use preamble::WorkerKind;
pub use version::{BuildVersion, ProtocolVersion};
