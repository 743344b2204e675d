//! Memory of NVIDIA's graphics processors, as their driver tells it (NVML).
//!
//! The driver's library is loaded when it is asked for the first time, never before: a supervisor that uses no
//! graphics processor does not pay for one. Where there is no library, no driver or no permission, that is found
//! once and remembered; nothing is told then, silently. A driver installed later is not noticed by a running
//! program.
//!
//! A process's own share is not always told: in a container whose process numbers the driver does not share, and
//! under Windows' display driver model, which manages the memory itself. It is `None` then. What is free on a
//! device is told everywhere, and releases are judged by that.
//!
//! Processors of other makers and platforms are not read: Apple's share the main memory, and are counted there.

use super::{Bytes, GpuReading};

/// Memory of every graphics processor; empty where none tells.
pub fn read_gpus() -> Vec<GpuReading> {
    driver::read_gpus()
}

/// What a process and all its descendants hold on all graphics processors. `None` where the driver does not tell,
/// or does not know them.
pub fn read_tree_gpu(pid: u32) -> Option<Bytes> {
    driver::used_by(|| super::platform::tree_pids_of(pid))
}

#[cfg(all(feature = "nvml", any(target_os = "linux", windows)))]
mod driver {
    use std::collections::BTreeMap;
    use std::sync::OnceLock;

    use nvml_wrapper::enums::device::UsedGpuMemory;
    use nvml_wrapper::{Device, Nvml};

    use super::{Bytes, GpuReading};

    /// Loaded or found missing once.
    fn nvml() -> Option<&'static Nvml> {
        static NVML: OnceLock<Option<Nvml>> = OnceLock::new();
        let load =
            || Nvml::init().inspect_err(|error| tracing::debug!("no graphics processor tells its memory: {error}"));
        NVML.get_or_init(|| load().ok()).as_ref()
    }

    fn devices() -> impl Iterator<Item = Device<'static>> {
        let nvml = nvml();
        let count = nvml.and_then(|nvml| nvml.device_count().ok()).unwrap_or(0);
        (0..count).filter_map(move |index| nvml?.device_by_index(index).ok())
    }

    pub(super) fn read_gpus() -> Vec<GpuReading> {
        let read = |device: Device<'_>| {
            let memory = device.memory_info().ok()?;
            let name = device.name().unwrap_or_else(|_| "NVIDIA GPU".to_owned());
            Some(GpuReading { name, total: Bytes(memory.total), free: Bytes(memory.free) })
        };
        devices().filter_map(read).collect()
    }

    pub(super) fn used_by(pids: impl FnOnce() -> Vec<u32>) -> Option<Bytes> {
        let devices: Vec<_> = devices().collect();
        if devices.is_empty() {
            return None;
        }
        let pids = pids();
        let per_device = devices.iter().map(|device| {
            let computing = device.running_compute_processes().unwrap_or_default();
            let drawing = device.running_graphics_processes().unwrap_or_default();
            let told = computing.into_iter().chain(drawing).filter(|process| pids.contains(&process.pid));
            sum_once(told.filter_map(|process| match process.used_gpu_memory {
                UsedGpuMemory::Used(bytes) => Some((process.pid, Bytes(bytes))),
                UsedGpuMemory::Unavailable => None,
            }))
        });
        per_device.flatten().reduce(|sum, bytes| sum + bytes)
    }

    /// A process that draws and computes is on both lists with one figure. `None` when none is on any.
    fn sum_once(told: impl Iterator<Item = (u32, Bytes)>) -> Option<Bytes> {
        let once: BTreeMap<u32, Bytes> = told.collect();
        (!once.is_empty()).then(|| once.into_values().sum())
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_process_on_both_lists_counts_once() {
            let told = [(7, Bytes::mib(500)), (8, Bytes::mib(20)), (7, Bytes::mib(500))];
            assert_eq!(sum_once(told.into_iter()), Some(Bytes::mib(520)));
        }

        #[test]
        fn a_process_that_the_driver_does_not_know_is_not_told_as_nothing() {
            assert_eq!(sum_once(std::iter::empty()), None);
        }
    }
}

#[cfg(not(all(feature = "nvml", any(target_os = "linux", windows))))]
mod driver {
    use super::{Bytes, GpuReading};

    pub(super) fn read_gpus() -> Vec<GpuReading> {
        Vec::new()
    }

    pub(super) fn used_by(_pids: impl FnOnce() -> Vec<u32>) -> Option<Bytes> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_machine_has_is_told_and_nothing_fails() {
        for gpu in read_gpus() {
            assert!(gpu.total > Bytes(0) && gpu.free <= gpu.total && !gpu.name.is_empty(), "{gpu:?}");
        }
        // This process has nothing on any of them.
        assert_eq!(read_tree_gpu(std::process::id()), None);
    }
}
