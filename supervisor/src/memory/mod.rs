//! Memory, measured. This room reads; it decides nothing.
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
pub mod give_back;
mod gpu;
mod ledger;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;
mod oom;
#[cfg(not(any(target_os = "linux", windows)))]
mod portable;
mod reading;
mod sampler;
mod tree;
#[cfg(windows)]
mod windows;

pub use gpu::{read_gpus, read_tree_gpu};
pub use ledger::{ExitRecord, Ledger, PhaseMemory, PhaseRecord};
pub use oom::{OomCounters, OomEvidence};
pub use reading::{
    Bytes, GpuReading, Limit, LimitOf, MemoryReading, MemoryUsage, Pressure, PressureLevel, SystemReading,
};
pub(crate) use sampler::{Sampler, Samples};

#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(target_os = "macos")]
use macos as platform;
#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
use portable as platform;
#[cfg(windows)]
use windows as platform;

pub use platform::{read_system, read_system_of};
pub use tree::{read_tree, read_tree_with_pss};

/// The calling process and whatever is below it.
pub fn read_self() -> MemoryReading {
    read_tree(std::process::id()).unwrap_or_default()
}
