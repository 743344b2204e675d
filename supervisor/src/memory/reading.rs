//! Plain data: what was measured.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Sub};

use serde::{Deserialize, Serialize};

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Bytes(pub u64);

impl Bytes {
    /// Kibibytes.
    pub const fn kib(n: u64) -> Self {
        Self(n.saturating_mul(1 << 10))
    }

    /// Mebibytes.
    pub const fn mib(n: u64) -> Self {
        Self(n.saturating_mul(1 << 20))
    }

    /// In mebibytes, for people and for the specification's `rss_mb`.
    #[expect(clippy::cast_precision_loss, reason = "a figure for reading; 2^53 bytes are not in reach")]
    pub fn as_mib(self) -> f64 {
        self.0 as f64 / 1_048_576.0
    }

    /// The difference, or nothing when `other` is larger.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Add for Bytes {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Bytes {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self.saturating_sub(other)
    }
}

impl Sum for Bytes {
    fn sum<I: Iterator<Item = Self>>(bytes: I) -> Self {
        bytes.fold(Self(0), Add::add)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = self.as_mib();
        if mib >= 10_240.0 {
            write!(f, "{:.1} GiB", mib / 1024.0)
        } else if mib >= 100.0 {
            write!(f, "{mib:.0} MiB")
        } else if mib >= 1.0 {
            write!(f, "{mib:.1} MiB")
        } else {
            write!(f, "{:.0} KiB", mib * 1024.0)
        }
    }
}

/// Memory of a process tree, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MemoryReading {
    /// Heap, stacks and other private memory in RAM.
    pub anonymous: Bytes,
    /// Pages of mapped files and shared memory in RAM.
    pub file_backed: Bytes,
    /// Anonymous memory that was swapped out.
    pub swapped: Bytes,
    /// Resident set: anonymous and file-backed together.
    pub rss: Bytes,
    /// Held on graphics processors, where a driver tells.
    pub gpu: Bytes,
    /// Proportional set: resident pages, shared ones divided by their users. Costs more to read than the rest, so
    /// it is known only where it was asked for.
    pub pss: Option<Bytes>,
    /// Address space; says nothing about use.
    pub vms: Bytes,
    /// The kernel's own high-water mark of the resident set, where it keeps one.
    /// Of several processes the sum, though they need not have been at their marks together.
    pub rss_peak: Bytes,
}

impl MemoryReading {
    /// What has to come back when the processes end.
    pub fn cost(&self) -> Bytes {
        self.anonymous + self.swapped + self.gpu
    }
}

impl Add for MemoryReading {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            anonymous: self.anonymous + other.anonymous,
            file_backed: self.file_backed + other.file_backed,
            swapped: self.swapped + other.swapped,
            gpu: self.gpu + other.gpu,
            rss: self.rss + other.rss,
            pss: self.pss.zip(other.pss).map(|(one, other)| one + other),
            vms: self.vms + other.vms,
            rss_peak: self.rss_peak + other.rss_peak,
        }
    }
}

/// Memory of the machine, and of whatever bounds this process more tightly. In bytes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SystemReading {
    /// Of the machine.
    pub total: Bytes,
    /// Of the machine: what can be had without swapping; the page cache counts as available.
    pub available: Bytes,
    /// Everything that bounds this process: the machine first, then the control groups above it that have a limit,
    /// innermost first.
    pub limits: Vec<Limit>,
    /// How long tasks had to wait for memory, where the kernel tells.
    pub pressure: Option<Pressure>,
    /// The system's own judgement, where it makes one (macOS, Windows).
    #[serde(default)]
    pub pressure_level: Option<PressureLevel>,
    /// Memory of graphics processors; empty where there is none, no driver tells, or nobody asked.
    pub gpus: Vec<GpuReading>,
}

/// One bound on memory and how far it is used, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Limit {
    pub of: LimitOf,
    pub limit: Bytes,
    /// Without the page cache that can be given back.
    pub used: Bytes,
}

/// Whose limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LimitOf {
    Machine,
    /// A control group, by its path as the kernel names it.
    Cgroup(String),
    /// The job object that this process is in (Windows).
    JobObject,
    /// A graphics processor, by its name.
    Gpu(String),
}

/// Share of the last ten seconds in which tasks waited for memory, in percent (Linux: pressure stall information).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Pressure {
    /// At least one task waited.
    pub some: f64,
    /// All tasks waited.
    pub full: f64,
}

/// How short of memory the system finds itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PressureLevel {
    Normal,
    /// It has begun to compress or swap.
    Warning,
    /// It has begun to end programs, or is about to.
    Critical,
}

/// Memory of one graphics processor, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GpuReading {
    pub name: String,
    pub total: Bytes,
    pub free: Bytes,
}

impl Limit {
    /// What is left below the limit.
    pub fn available(&self) -> Bytes {
        self.limit - self.used
    }

    /// Share that would be in use with `more` on top, in percent. An empty limit is full.
    pub fn percent_with(&self, more: Bytes) -> f64 {
        if self.limit == Bytes(0) { 100.0 } else { 100.0 * (self.used + more).as_mib() / self.limit.as_mib() }
    }
}

impl SystemReading {
    /// The bound with the least room, `None` where nothing could be read.
    pub fn tightest(&self) -> Option<&Limit> {
        self.limits.iter().min_by_key(|limit| limit.available())
    }
}

impl fmt::Display for LimitOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine => f.write_str("this machine"),
            Self::Cgroup(path) => write!(f, "control group {path}"),
            Self::JobObject => f.write_str("the job object"),
            Self::Gpu(name) => write!(f, "the graphics processor {name}"),
        }
    }
}

/// The specification's figures (section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MemoryUsage {
    /// Resident set in MiB.
    pub rss_mb: f64,
    /// Address space in MiB.
    pub vms_mb: f64,
    /// Resident set in percent of the machine's memory.
    pub percent: f64,
}

impl MemoryUsage {
    /// From a tree's and the machine's reading.
    pub fn new(tree: &MemoryReading, system: &SystemReading) -> Self {
        let total = system.total.as_mib();
        let percent = if total > 0.0 { 100.0 * tree.rss.as_mib() / total } else { 0.0 };
        Self { rss_mb: tree.rss.as_mib(), vms_mb: tree.vms.as_mib(), percent }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_well_at_every_size() {
        assert_eq!(Bytes::kib(512).to_string(), "512 KiB");
        assert_eq!(Bytes::mib(5).to_string(), "5.0 MiB");
        assert_eq!(Bytes::mib(640).to_string(), "640 MiB");
        assert_eq!(Bytes::mib(20 * 1024).to_string(), "20.0 GiB");
    }

    #[test]
    fn numbers_that_no_machine_can_hold_stop_at_the_largest() {
        assert_eq!((Bytes::kib(u64::MAX), Bytes::mib(1 << 60)), (Bytes(u64::MAX), Bytes(u64::MAX)));
        assert_eq!(Bytes(u64::MAX) + Bytes(1), Bytes(u64::MAX));
    }

    #[test]
    fn mapped_files_are_no_cost() {
        let reading =
            MemoryReading { anonymous: Bytes(5), swapped: Bytes(2), file_backed: Bytes(100), ..Default::default() };
        assert_eq!(reading.cost(), Bytes(7));
    }
}
