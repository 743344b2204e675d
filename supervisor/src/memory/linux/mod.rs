//! Linux: the kernel's own files.
//!
//! *A process* is its `/proc/<pid>/status`, and what is below it is found by the `children` files of each of its
//! threads (a child belongs to the thread that forked it). Measured on a machine of two cores: 11 µs for a status and
//! 5 µs for each thread's children, and about 40 µs more when they have not been looked at for a while. So whoever
//! looks often remembers who is below. Proportional shares are another matter: the kernel walks the page tables for
//! them, 11 ms for each GiB, so they are read only where asked for.
//!
//! *The system* is `/proc/meminfo`, every control group above the process ([`cgroup`]) and pressure ([`psi`]): about
//! 0.1 ms.
//!
//! What is not told is not made up, and never an error: a kernel without `children` files (CONFIG_PROC_CHILDREN)
//! shows the process alone; one that does not split the resident set has all of it counted as anonymous; a process
//! that is gone, or whose shares may not be seen, is `None`.

mod cgroup;
mod kept;
mod machine;
mod place;
mod psi;
#[cfg(test)]
mod real;
#[cfg(test)]
pub(super) mod recorded;
mod roots;

pub(super) use cgroup::{Group, groups_of};
pub(crate) use machine::read_machine;
pub(super) use roots::{Roots, entry};

use std::fs;

use roots::{entries, text};

use super::{Bytes, Limit, LimitOf, MemoryReading, SystemReading};

/// More processes in one tree than this are not looked at.
const MAX_PROCESSES: usize = 4096;

/// Memory of the machine, and the bounds on this process. Graphics processors are asked only by
/// [`read_gpus`](super::read_gpus).
pub fn read_system() -> SystemReading {
    read_system_of(std::process::id())
}

/// The same with the bounds on another process; on the machine alone when it is gone.
pub fn read_system_of(pid: u32) -> SystemReading {
    system(Roots::machine(), pid)
}

/// Nothing more will be read of a process: what was kept open for that is closed.
pub(super) fn forget(pid: u32) {
    kept::close_below(&Roots::machine().process(pid));
}

/// A process alone. `None` when it is gone.
pub(super) fn read_process(pid: u32) -> Option<MemoryReading> {
    read_one(Roots::machine(), pid)
}

/// The same with its proportional set, `None` where that may not be seen.
pub(super) fn read_process_with_pss(pid: u32) -> Option<MemoryReading> {
    let pss = entry(&Roots::machine().process(pid).join("smaps_rollup"), "Pss").map(Bytes::kib);
    Some(MemoryReading { pss, ..read_process(pid)? })
}

/// A process and all its descendants, itself first.
pub(super) fn tree_pids_of(pid: u32) -> Vec<u32> {
    tree_pids(Roots::machine(), pid)
}

fn tree_pids(roots: &Roots, root: u32) -> Vec<u32> {
    let mut pids = vec![root];
    let mut next = 0;
    while let Some(&pid) = pids.get(next).filter(|_| pids.len() < MAX_PROCESSES) {
        next += 1;
        let tasks = fs::read_dir(roots.process(pid).join("task")).into_iter().flatten().flatten();
        for children in tasks.filter_map(|task| text(&task.path().join("children"))) {
            pids.extend(children.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
    }
    pids
}

fn read_one(roots: &Roots, pid: u32) -> Option<MemoryReading> {
    let status = kept::text(&roots.process(pid).join("status"))?;
    let mut reading = MemoryReading::default();
    let (mut rss, mut anonymous) = (None, None);
    for (name, value) in entries(&status) {
        let value = Bytes::kib(value);
        match name {
            "VmSize" => reading.vms = value,
            "VmHWM" => reading.rss_peak = value,
            "VmRSS" => rss = Some(value),
            "RssAnon" => anonymous = Some(value),
            "RssFile" | "RssShmem" => reading.file_backed = reading.file_backed + value,
            "VmSwap" => reading.swapped = value,
            _ => {}
        }
    }
    // A zombie has no memory and none of these lines.
    reading.rss = rss?;
    reading.anonymous = anonymous.unwrap_or(reading.rss);
    Some(reading)
}

fn system(roots: &Roots, pid: u32) -> SystemReading {
    let meminfo = kept::text(&roots.proc("meminfo")).unwrap_or_default();
    let field = |name: &str| entries(&meminfo).find_map(|(found, kib)| (found == name).then_some(Bytes::kib(kib)));
    let total = field("MemTotal").unwrap_or_default();
    let available = field("MemAvailable").or_else(|| field("MemFree")).unwrap_or_default().min(total);
    let machine = (total > Bytes(0)).then(|| Limit { of: LimitOf::Machine, limit: total, used: total - available });
    let groups = groups_of(roots, pid);
    let limits = machine.into_iter().chain(groups.iter().filter_map(Group::limit)).collect();
    SystemReading { total, available, limits, pressure: psi::pressure(roots, &groups), ..SystemReading::default() }
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::sync::Barrier;
    use std::time::Duration;

    use nix::time::{ClockId, clock_gettime};

    use super::recorded::{PID, Recorded};
    use super::*;
    use crate::memory::tree::{read_tree, read_tree_with_pss, sum_of};

    /// Time that this thread has spent on a processor, ours and the kernel's: other programs do not disturb it.
    fn processor_time() -> Duration {
        clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock").into()
    }

    fn time_of<T>(rounds: u32, mut work: impl FnMut() -> T) -> Duration {
        black_box(work());
        let begun = processor_time();
        for _ in 0..rounds {
            black_box(work());
        }
        (processor_time() - begun) / rounds
    }

    fn status(pid: u32, lines: &str) -> (String, String) {
        (format!("proc/{pid}/status"), format!("Name:\tworker\nUmask:\t0022\n{lines}"))
    }

    const LINES: &str = "VmSize:\t 100 kB\nVmHWM:\t  30 kB\nVmRSS:\t  20 kB\nRssAnon:\t  11 kB\nRssFile:\t   7 kB\n\
                         RssShmem:\t   2 kB\nVmSwap:\t   5 kB\n";

    fn with_processes(processes: &[(u32, &str, &str)]) -> Recorded {
        processes.iter().fold(Recorded::empty(), |recorded, (pid, lines, children)| {
            let (path, text) = status(*pid, lines);
            recorded.file(&path, &text).file(&format!("proc/{pid}/task/{pid}/children"), children)
        })
    }

    fn tree(recorded: &Recorded, pid: u32) -> Option<MemoryReading> {
        let roots = recorded.roots();
        sum_of(&tree_pids(&roots, pid), |pid| read_one(&roots, pid))
    }

    #[test]
    fn a_status_is_read_by_kind() {
        let reading = tree(&with_processes(&[(PID, LINES, "")]), PID);
        let expected = MemoryReading {
            anonymous: Bytes::kib(11),
            file_backed: Bytes::kib(9),
            swapped: Bytes::kib(5),
            rss: Bytes::kib(20),
            vms: Bytes::kib(100),
            rss_peak: Bytes::kib(30),
            ..MemoryReading::default()
        };
        assert_eq!(reading, Some(expected));
    }

    #[test]
    fn children_of_every_thread_and_their_children_belong_to_the_tree() {
        let recorded = with_processes(&[(PID, LINES, "7 "), (7, LINES, ""), (8, LINES, "9"), (9, LINES, "10 x")])
            .file(&format!("proc/{PID}/task/4243/children"), "8 ");
        // 10 is gone.
        let reading = tree(&recorded, PID).expect("there");
        assert_eq!(reading.anonymous, Bytes::kib(4 * 11));
    }

    #[test]
    fn a_zombie_counts_for_nothing_and_a_process_that_is_gone_is_none() {
        let recorded = with_processes(&[(PID, LINES, "7"), (7, "State:\tZ (zombie)\n", "")]);
        assert_eq!(tree(&recorded, PID).map(|reading| reading.rss), Some(Bytes::kib(20)));
        assert_eq!(tree(&recorded, 7), None);
        assert_eq!(tree(&recorded, 8), None);
        assert_eq!(read_tree(u32::MAX), None);
    }

    #[test]
    fn a_kernel_that_does_not_split_the_resident_set_has_it_counted_in_full() {
        let reading = tree(&with_processes(&[(PID, "VmRSS: 20 kB\n", "")]), PID);
        assert_eq!(reading.map(|reading| reading.cost()), Some(Bytes::kib(20)));
    }

    #[test]
    fn a_circle_of_recycled_numbers_ends() {
        let recorded = with_processes(&[(PID, LINES, "7"), (7, LINES, &PID.to_string())]);
        assert!(tree(&recorded, PID).is_some());
    }

    #[test]
    fn numbers_that_no_machine_can_hold_do_not_overflow() {
        let huge = u64::MAX;
        let lines = format!("VmRSS: {huge} kB\nRssAnon: {huge} kB\nRssFile: {huge} kB\nRssShmem: {huge} kB\n");
        let recorded = with_processes(&[(PID, &lines, "7"), (7, &lines, "")])
            .file("proc/meminfo", &format!("MemTotal: {huge} kB\nMemAvailable: {huge} kB\n"));
        assert_eq!(tree(&recorded, PID).map(|reading| reading.rss), Some(Bytes(huge)));
        assert_eq!(system(&recorded.roots(), PID).total, Bytes(huge));
    }

    #[test]
    fn the_machine_comes_first_and_then_the_groups() {
        let recorded = Recorded::v2("/a")
            .file("proc/meminfo", "MemTotal: 4096 kB\nMemFree: 1 kB\nMemAvailable: 1024 kB\n")
            .group("a", &[("memory.max", "1048576"), ("memory.current", "0")]);
        let system = system(&recorded.roots(), PID);
        assert_eq!((system.total, system.available), (Bytes::kib(4096), Bytes::kib(1024)));
        let machine = Limit { of: LimitOf::Machine, limit: Bytes::kib(4096), used: Bytes::kib(3072) };
        let group = Limit { of: LimitOf::Cgroup("/a".to_owned()), limit: Bytes::mib(1), used: Bytes(0) };
        assert_eq!(system.limits, [machine, group]);
    }

    #[test]
    fn a_machine_that_tells_nothing_is_read_as_nothing() {
        assert_eq!(system(&Recorded::empty().roots(), PID), SystemReading::default());
    }

    #[test]
    fn this_process_is_read_with_its_child() {
        let alone = read_tree(std::process::id()).expect("we live");
        assert!(alone.anonymous > Bytes(0) && alone.rss >= alone.anonymous && alone.rss_peak >= alone.rss);
        // It waits for its standard input to end.
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().expect("cat");
        let pids = tree_pids(Roots::machine(), std::process::id());
        assert!(pids.contains(&child.id()), "{pids:?}");
        drop(child.stdin.take());
        child.wait().expect("ended");
    }

    #[test]
    fn the_proportional_set_of_this_process_is_between_its_anonymous_and_its_resident_memory() {
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().expect("cat");
        let reading = read_tree_with_pss(child.id()).expect("it lives");
        drop(child.stdin.take());
        child.wait().expect("ended");
        let pss = reading.pss.expect("its own user may see it");
        // The kernel counts the resident set lazily, some pages for each processor.
        let slack = Bytes::mib(2);
        assert!(reading.anonymous <= pss + slack && pss <= reading.rss + slack, "{reading:?}");
    }

    #[test]
    fn this_machine_is_read() {
        let system = read_system();
        assert!(system.total > Bytes::mib(64) && system.available <= system.total);
        assert_eq!(system.limits[0].of, LimitOf::Machine);
        assert_eq!(system.limits[0].available(), system.available);
    }

    #[test]
    fn a_reading_of_the_system_takes_less_than_a_millisecond() {
        let time = time_of(200, read_system);
        println!("read_system: {time:?}");
        assert!(time < Duration::from_millis(1), "{time:?}");
    }

    #[test]
    fn a_reading_of_a_tree_takes_microseconds_for_each_thread() {
        let end = Barrier::new(17);
        let time = std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| end.wait());
            }
            let time = time_of(200, || read_tree(std::process::id()));
            end.wait();
            time
        });
        println!("read_tree of 16 threads and more: {time:?}");
        assert!(time < Duration::from_millis(1), "{time:?}");
    }

    #[test]
    fn sampling_costs_less_than_half_a_percent_of_a_core() {
        let pid = std::process::id();
        let (process, below, system) = (
            time_of(200, || read_process(pid)),
            time_of(200, || tree_pids_of(pid)),
            time_of(200, || read_system_of(pid)),
        );
        let a_second = 10 * process + below + system;
        println!("10 x {process:?} + {below:?} + {system:?}");
        assert!(a_second < Duration::from_millis(5), "{a_second:?} of every second");
    }
}
