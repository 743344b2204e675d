//! Memory, measured. This room reads; it decides nothing.
//!
//! *Cost* is what must come back when a worker ends: anonymous memory, what of it was swapped out, and GPU
//! memory. Clean pages of mapped files are counted apart: the kernel takes those back whenever it likes, and
//! calling them used leads to false refusals and false leaks.

mod ledger;
#[cfg(target_os = "linux")]
mod linux;
mod portable;
mod reading;
mod sampler;

pub use ledger::{ExitRecord, Ledger, PhaseMemory, PhaseRecord};
pub use reading::{Bytes, GpuReading, Limit, LimitOf, MemoryReading, MemoryUsage, Pressure, SystemReading};
pub(crate) use sampler::{Sampler, Samples};

#[cfg(target_os = "linux")]
pub(crate) use linux::read_tree;
pub(crate) use portable::read_system;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::read_tree;

/// The calling process alone.
pub fn read_self() -> MemoryReading {
    read_tree(std::process::id()).unwrap_or_default()
}
