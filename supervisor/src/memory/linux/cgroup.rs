//! Limits of control groups, version 1 and 2, on a process and on everything above it.
//!
//! Every ancestor counts: a child may say `max` while its parent is tight, and the kernel charges a page to all of
//! them. A group without a limit, or without the memory controller, says nothing and is passed over.
//!
//! # What is a limit
//!
//! * Version 2: the lower of `memory.max` and `memory.high`. Above `high` nobody is killed, but every allocation is
//!   put to sleep until something was given back: a model loaded there would never get done, which is no better
//!   than not fitting.
//! * Version 1: `memory.limit_in_bytes`, or the limit on memory and swap together (`memory.memsw.*`) where that has
//!   less room. The soft limit binds only while the whole machine is short, and the machine is read anyway. An
//!   ancestor binds only where `memory.use_hierarchy` is on (always, since Linux 5.11).
//!
//! # What is used
//!
//! The kernel's count less what it would take back before it refuses a page: both lists of file pages
//! (`inactive_file`, `active_file`), and in version 2 reclaimable slab. The machine's `MemAvailable` is made of the
//! same three, so a group and the machine are measured alike. Looking closer at what could be taken off or left:
//!
//! * *Active* file pages are as clean as inactive ones; a file that was read twice is on that list. With only the
//!   inactive ones taken off, a limit that is full of page cache looks full.
//! * *Dirty* pages and those being written are taken off as well. They come back after the disk has them; a group at
//!   its limit waits for that, it does not fail.
//! * *Mapped* pages, such as another program's weights, are taken off. They can be had back, if at the price of
//!   reading them again. That price is on the side of the need (weights that have to stay resident) and shows as
//!   pressure; counting it here would make a worker that maps its weights look like one that fills its group.
//! * Shared memory and tmpfs are *not* taken off: they are on the lists of anonymous pages and can only be swapped.
//!   Locked pages are on neither list. Kernel memory of version 1 is not told by kind, so all of it is used.
//!
//! Figures are read one file after the other and lag by some pages per CPU, so all differences stop at zero.

use std::path::PathBuf;

use super::kept;
use super::place::{Version, sights};
use super::roots::{Roots, entries, entry};
use crate::memory::{Bytes, Limit, LimitOf};

/// Version 1 writes "no limit" as the largest multiple of the page size in an `i64`; nobody means so large a number.
const NO_LIMIT: u64 = 1 << 62;

/// One control group that a process is in, directly or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::memory) struct Group {
    version: Version,
    /// As the kernel names it to us.
    pub(in crate::memory) path: String,
    folder: PathBuf,
    is_own: bool,
}

/// All of a process's, innermost first.
pub(in crate::memory) fn groups_of(roots: &Roots, pid: u32) -> Vec<Group> {
    let cgroup = kept::text(&roots.process(pid).join("cgroup")).unwrap_or_default();
    let sights = sights(&cgroup, &roots.mounts).into_iter();
    sights
        .map(|sight| Group { version: sight.version, path: sight.path, folder: sight.folder, is_own: sight.is_own })
        .collect()
}

impl Group {
    /// The bound that this group sets, if it does.
    pub(in crate::memory) fn limit(&self) -> Option<Limit> {
        let (limit, used) = match self.version {
            Version::V1 => self.bound_v1()?,
            Version::V2 => self.bound_v2()?,
        };
        Some(Limit { of: LimitOf::Cgroup(self.path.clone()), limit, used })
    }

    /// The limit at which the kernel kills.
    pub(in crate::memory) fn hard_limit(&self) -> Option<Bytes> {
        match self.version {
            Version::V1 => self.limit_in("memory.limit_in_bytes"),
            Version::V2 => self.limit_in("memory.max"),
        }
    }

    /// Processes of this group that the kernel has killed for lack of memory since the group was made.
    pub(in crate::memory) fn oom_kills(&self) -> Option<u64> {
        let file = match self.version {
            Version::V1 => "memory.oom_control",
            Version::V2 => "memory.events",
        };
        entry(&self.folder.join(file), "oom_kill")
    }

    /// How often this group's own limit was past all help (version 2).
    pub(in crate::memory) fn ooms(&self) -> Option<u64> {
        (self.version == Version::V2).then(|| entry(&self.folder.join("memory.events"), "oom")).flatten()
    }

    /// Whether version 1's mark of the highest usage has ever come up to this limit; page cache may have brought it
    /// there. Its counter of refusals (`failcnt`) would say more, but Linux 6.18 was seen to leave it at zero.
    pub(in crate::memory) fn has_reached(&self, limit: Bytes) -> bool {
        // The last allocation, which did not fit, is not in the mark.
        let nearly = Bytes(limit.0 - limit.0 / 64);
        self.version == Version::V1 && self.usage("memory.max_usage_in_bytes") >= nearly
    }

    /// Where the kernel tells how long this group's tasks waited for memory; only of the group a process is in.
    pub(super) fn pressure(&self) -> Option<PathBuf> {
        (self.version == Version::V2 && self.is_own).then(|| self.folder.join("memory.pressure"))
    }

    fn bound_v2(&self) -> Option<(Bytes, Bytes)> {
        let limits = [self.limit_in("memory.max"), self.limit_in("memory.high")];
        let limit = limits.into_iter().flatten().min()?;
        let cache = self.reclaimable(&["inactive_file", "active_file", "slab_reclaimable"]);
        Some((limit, self.usage("memory.current") - cache))
    }

    fn bound_v1(&self) -> Option<(Bytes, Bytes)> {
        let memory = self.limit_in("memory.limit_in_bytes");
        let with_swap = self.limit_in("memory.memsw.limit_in_bytes");
        if memory.or(with_swap).is_none() || !(self.is_own || self.number("memory.use_hierarchy") != Some(0)) {
            return None;
        }
        let cache = self.reclaimable(&["total_inactive_file", "total_active_file"]);
        let bound = |limit: Option<Bytes>, usage| Some((limit?, self.usage(usage) - cache));
        let bounds = [bound(memory, "memory.usage_in_bytes"), bound(with_swap, "memory.memsw.usage_in_bytes")];
        bounds.into_iter().flatten().min_by_key(|(limit, used)| *limit - *used)
    }

    fn limit_in(&self, file: &str) -> Option<Bytes> {
        self.number(file).filter(|limit| *limit < NO_LIMIT).map(Bytes)
    }

    /// Nothing where it is not told: a limit whose use is unknown still bounds the whole.
    fn usage(&self, file: &str) -> Bytes {
        Bytes(self.number(file).unwrap_or(0))
    }

    fn reclaimable(&self, names: &[&str]) -> Bytes {
        let stat = kept::text(&self.folder.join("memory.stat")).unwrap_or_default();
        entries(&stat).filter(|(name, _)| names.contains(name)).map(|(_, value)| Bytes(value)).sum()
    }

    fn number(&self, file: &str) -> Option<u64> {
        kept::number(&self.folder.join(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::linux::recorded::{PID, Recorded};

    const MIB: u64 = 1 << 20;

    fn limits(recorded: &Recorded) -> Vec<Limit> {
        groups_of(&recorded.roots(), PID).iter().filter_map(Group::limit).collect()
    }

    fn limit(path: &str, limit_mib: u64, used_mib: u64) -> Limit {
        Limit { of: LimitOf::Cgroup(path.to_owned()), limit: Bytes::mib(limit_mib), used: Bytes::mib(used_mib) }
    }

    #[test]
    fn a_tight_parent_is_found_behind_a_child_without_a_limit() {
        let recorded = Recorded::v2("/user/app")
            .group("user/app", &[("memory.max", "max"), ("memory.high", "max"), ("memory.current", "1048576")])
            .group("user", &[("memory.max", &(512 * MIB).to_string()), ("memory.current", &(100 * MIB).to_string())])
            .group("", &[("memory.stat", "inactive_file 1")]);
        assert_eq!(limits(&recorded), [limit("/user", 512, 100)]);
    }

    #[test]
    fn limits_are_told_innermost_first() {
        let recorded = Recorded::v2("/a/b")
            .group("a/b", &[("memory.max", &(64 * MIB).to_string()), ("memory.current", "0")])
            .group("a", &[("memory.max", &(32 * MIB).to_string()), ("memory.current", "0")]);
        assert_eq!(limits(&recorded), [limit("/a/b", 64, 0), limit("/a", 32, 0)]);
    }

    #[test]
    fn the_high_mark_bounds_like_a_limit() {
        let (max, high, current) = ((100 * MIB).to_string(), (80 * MIB).to_string(), (10 * MIB).to_string());
        let files = [("memory.max", max.as_str()), ("memory.high", &high), ("memory.current", &current)];
        assert_eq!(limits(&Recorded::v2("/a").group("a", &files)), [limit("/a", 80, 10)]);
        let files = [("memory.max", "max"), ("memory.high", &high), ("memory.current", &current)];
        assert_eq!(limits(&Recorded::v2("/a").group("a", &files)), [limit("/a", 80, 10)]);
    }

    #[test]
    fn a_limit_filled_with_page_cache_is_hardly_used() {
        let stat = format!(
            "anon {}\nfile {}\nshmem {}\nfile_dirty {}\ninactive_file {}\nactive_file {}\nslab_reclaimable {}\n",
            20 * MIB,
            930 * MIB,
            30 * MIB,
            400 * MIB,
            600 * MIB,
            300 * MIB,
            22 * MIB
        );
        let (max, current) = ((1000 * MIB).to_string(), (990 * MIB).to_string());
        let files = [("memory.max", max.as_str()), ("memory.current", &current), ("memory.stat", &stat)];
        // What is left: anonymous memory, shared memory, and what the kernel needs.
        assert_eq!(limits(&Recorded::v2("/a").group("a", &files)), [limit("/a", 1000, 68)]);
    }

    #[test]
    fn a_container_is_bounded_by_the_root_that_it_sees() {
        let files = [("memory.max", "536870912"), ("memory.high", "max"), ("memory.current", "104857600")];
        assert_eq!(limits(&Recorded::v2("/").group("", &files)), [limit("/", 512, 100)]);
    }

    #[test]
    fn a_process_in_the_root_of_the_machine_has_no_limit() {
        let recorded = Recorded::v2("/").group("", &[("memory.stat", "anon 1"), ("cgroup.controllers", "cpu memory")]);
        assert_eq!(limits(&recorded), []);
    }

    #[test]
    fn a_child_without_the_controller_is_bounded_by_its_parent() {
        let files = [("memory.max", "536870912"), ("memory.current", "0")];
        let recorded = Recorded::v2("/a/b").group("a/b", &[("cgroup.procs", "4242")]).group("a", &files);
        assert_eq!(limits(&recorded), [limit("/a", 512, 0)]);
    }

    #[test]
    fn on_a_hybrid_machine_the_first_version_has_the_limits() {
        let recorded = Recorded::hybrid("/job", "/session")
            .group("memory/job", &[("memory.limit_in_bytes", "67108864"), ("memory.usage_in_bytes", "1048576")])
            .group("unified/session", &[("cgroup.procs", "4242")]);
        assert_eq!(limits(&recorded), [limit("/job", 64, 1)]);
    }

    #[test]
    fn the_first_versions_ancestors_bind_and_its_marks_for_no_limit_do_not() {
        let stat = format!("inactive_file 7\ntotal_inactive_file {}\ntotal_active_file {}\n", 200 * MIB, 100 * MIB);
        for none in ["9223372036854771712", "9223372036854775807", "9223372036854710272"] {
            let recorded = Recorded::v1("/a/b")
                .group("memory/a/b", &[("memory.limit_in_bytes", none), ("memory.usage_in_bytes", "1")])
                .group(
                    "memory/a",
                    &[
                        ("memory.limit_in_bytes", "536870912"),
                        ("memory.usage_in_bytes", &(450 * MIB).to_string()),
                        ("memory.stat", &stat),
                        ("memory.use_hierarchy", "1\n"),
                    ],
                )
                .group("memory", &[("memory.limit_in_bytes", none)]);
            assert_eq!(limits(&recorded), [limit("/a", 512, 150)]);
        }
    }

    #[test]
    fn a_parent_that_does_not_count_its_children_does_not_bind_them() {
        let files = [("memory.limit_in_bytes", "1048576"), ("memory.use_hierarchy", "0\n")];
        let recorded = Recorded::v1("/a/b").group("memory/a/b", &files).group("memory/a", &files);
        assert_eq!(limits(&recorded), [limit("/a/b", 1, 0)]);
    }

    #[test]
    fn the_limit_on_memory_and_swap_counts_where_it_has_less_room() {
        let with_swap = |swap_limit: u64, swap_usage: u64| {
            limits(&Recorded::v1("/a").group(
                "memory/a",
                &[
                    ("memory.limit_in_bytes", &(100 * MIB).to_string()),
                    ("memory.usage_in_bytes", &(50 * MIB).to_string()),
                    ("memory.memsw.limit_in_bytes", &(swap_limit * MIB).to_string()),
                    ("memory.memsw.usage_in_bytes", &(swap_usage * MIB).to_string()),
                ],
            ))
        };
        assert_eq!(with_swap(100, 90), [limit("/a", 100, 90)]);
        assert_eq!(with_swap(200, 90), [limit("/a", 100, 50)]);
    }

    #[test]
    fn a_lying_file_is_no_danger() {
        let huge = u64::MAX.to_string();
        let nonsense = ["", "\n", "max", "-1", "1e9", "0x10", "99999999999999999999999", &huge, "\u{fffd}\0", "1 2"];
        for none in nonsense {
            for usage in nonsense {
                let stat =
                    format!("total_inactive_file {usage}\ntotal_active_file {huge}\ninactive_file {huge}\n{none}");
                let files = [
                    ("memory.max", none),
                    ("memory.current", usage),
                    ("memory.limit_in_bytes", none),
                    ("memory.usage_in_bytes", usage),
                    ("memory.stat", &stat),
                ];
                assert_eq!(limits(&Recorded::v2("/a").group("a", &files)), [], "{none} {usage}");
                let recorded = Recorded::v1("/a").group("memory/a", &files);
                assert_eq!(limits(&recorded), [], "{none} {usage}");
                // With an honest limit, more is taken off than there can be.
                let recorded = recorded.group("memory/a", &[("memory.limit_in_bytes", "1048576")]);
                assert_eq!(limits(&recorded), [limit("/a", 1, 0)], "{usage}");
            }
        }
    }

    #[test]
    fn a_limit_of_nothing_and_one_whose_use_is_not_told_are_limits() {
        let recorded =
            Recorded::v2("/a/b").group("a/b", &[("memory.max", "0")]).group("a", &[("memory.high", "1048576")]);
        assert_eq!(limits(&recorded), [limit("/a/b", 0, 0), limit("/a", 1, 0)]);
    }

    #[test]
    fn without_anything_to_read_there_are_no_groups() {
        assert_eq!(groups_of(&Recorded::empty().roots(), PID), []);
    }
}
