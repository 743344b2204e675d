//! Memory, measured. This room reads ([`read_system`], [`read_tree`]), keeps the account ([`Ledger`]), and holds the pure policies that
//! decide on what was read ([`gate`], [`pressure`]); it starts and stops nothing.
//!
//! *Cost* is what must come back when a worker ends: anonymous memory, what of it was swapped out, and GPU
//! memory. Clean pages of mapped files are counted apart: the kernel takes those back whenever it likes, and
//! calling them used leads to false refusals and false leaks.
//!
//! Every system is read by its own interface, one module each with the same functions: Linux completely, macOS by
//! its physical footprint, Windows by private commit. What a system does not tell is absent, never an error and
//! never a guess.

pub mod calibrate;
pub mod estimate;
pub mod gate;
pub mod give_back;
mod gpu;
mod ledger;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;
mod monitor;
mod oom;
mod policy;
#[cfg(not(any(target_os = "linux", windows)))]
mod portable;
pub(crate) mod prefetch;
pub mod pressure;
mod reading;
mod recorder;
mod release;
mod sampler;
mod timeline;
mod tree;
#[cfg(windows)]
mod windows;

pub use gate::{Promised, Thresholds};
pub use gpu::{read_gpus, read_tree_gpu};
pub use ledger::{AdmissionRecord, ExitRecord, FallbackRecord, Ledger, PhaseMemory, PhaseRecord};
pub(crate) use ledger::{LEDGER_VERSION, saved};
pub use monitor::{Checkpoint, MemoryMonitor};
pub use oom::{OomCounters, OomEvidence};
pub use policy::MemoryPolicy;
pub use reading::{
    Bytes, GpuReading, Limit, LimitOf, MemoryReading, MemoryUsage, Pressure, PressureLevel, SystemReading,
};
pub(crate) use recorder::{Probe, Recorder};
pub use release::Release;
pub(crate) use release::{Baseline, is_scarce};
pub(crate) use sampler::{REPORTS_PER_SECOND, Sampler, Samples};
pub use timeline::{Mark, Moment, Sample, Timeline};

#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(target_os = "macos")]
use macos as platform;
#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
use portable as platform;
#[cfg(windows)]
use windows as platform;

#[cfg(target_os = "linux")]
pub(crate) use linux::read_machine;
pub use platform::{read_system, read_system_of};
pub(crate) use tree::read_strange_tree;
pub use tree::{read_tree, read_tree_with_pss};

/// Nobody tells who holds the machine's memory here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn read_machine() -> Option<release::Machine> {
    None
}

/// The calling process alone.
pub fn read_own() -> MemoryReading {
    platform::read_process(std::process::id()).unwrap_or_default()
}
