//! Whether the kernel killed for lack of memory, told by its own counters.
//!
//! A worker that died of SIGKILL which we did not send may have met the kernel's out-of-memory killer, or anybody
//! else. The kernel counts its kills, so the counters are read before a worker is started and after it has died:
//!
//! ```text
//!  the group that the worker was in counts kills ─ more than before ─► evidence
//!    │                                             └ no more ────────► none, whatever others count
//!    └ it does not (no memory controller, an old kernel, the machine's root in version 2)
//!        └─► the next group above that counts ─► … ─► the whole machine (/proc/vmstat)
//! ```
//!
//! The nearest counter decides alone. The kernel adds to the count of the victim's own group before it sends the
//! signal, whichever limit ran out, a distant ancestor's or the machine's. So a group that counted nothing has lost
//! nobody, and kills elsewhere are other people's.
//!
//! The evidence makes a *suspicion*, not a certainty: counters do not name the victim. When a sibling in the same group
//! was killed by the kernel and the worker by somebody else between the same two readings, both look alike. A killer
//! that is a program of its own (earlyoom, systemd-oomd) is not counted by the kernel at all: no evidence.
//!
//! Which limit ran out is told where a group says so, innermost first: version 2 counts the times its own limit was
//! past all help; of version 1 there is only the mark of the highest usage, which says that the limit was reached at
//! some time, if not why. In version 2 the mark (`memory.peak`) is not read: page cache and every other process of the
//! group are in it, and the counter says more.

use std::fmt;

use super::{Bytes, LimitOf};

/// What was counted up to one moment. Outside Linux nothing is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OomCounters {
    /// Innermost first.
    groups: Vec<GroupCount>,
    /// Of the whole machine.
    machine_kills: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct GroupCount {
    path: String,
    kills: Option<u64>,
    limit: Option<Bytes>,
    /// How often its own limit was past all help.
    ooms: Option<u64>,
    /// Its usage has been at its own limit at some time.
    at_limit: bool,
}

/// That the kernel has killed between two readings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OomEvidence {
    /// Whose counter it is.
    pub counted_by: LimitOf,
    /// By how much the counter has grown; at least 1.
    pub kills: u64,
    /// The limit that ran out, where one is known to.
    pub limit: Option<(LimitOf, Bytes)>,
}

impl OomCounters {
    /// Of this process and everything above it. A worker is started in the same groups.
    pub fn read() -> Self {
        Self::read_of(std::process::id())
    }

    /// Of another process, which has to be alive.
    #[cfg(target_os = "linux")]
    pub fn read_of(pid: u32) -> Self {
        Self::read_from(super::linux::Roots::machine(), pid)
    }

    /// Nothing is counted on this system.
    #[cfg(not(target_os = "linux"))]
    pub fn read_of(_pid: u32) -> Self {
        Self::default()
    }

    #[cfg(target_os = "linux")]
    fn read_from(roots: &super::linux::Roots, pid: u32) -> Self {
        let groups = super::linux::groups_of(roots, pid).into_iter().map(|group| GroupCount {
            kills: group.oom_kills(),
            limit: group.hard_limit(),
            ooms: group.ooms(),
            at_limit: group.hard_limit().is_some_and(|limit| group.has_reached(limit)),
            path: group.path,
        });
        // The hierarchy without the memory controller tells nothing, and may have groups of the same names.
        let groups = groups.filter(|group| group.kills.is_some() || group.limit.is_some());
        let machine_kills = super::linux::entry(&roots.proc("vmstat"), "oom_kill");
        Self { groups: groups.collect(), machine_kills }
    }

    /// What has been counted since an earlier reading of the same process, or of one in the same groups.
    pub fn evidence_since(&self, earlier: &Self) -> Option<OomEvidence> {
        let Some(nearest) = self.groups.iter().find(|group| group.kills.is_some()) else {
            let kills = grown(self.machine_kills, earlier.machine_kills)?;
            return Some(OomEvidence { counted_by: LimitOf::Machine, kills, limit: self.limit_hit_since(earlier) });
        };
        let before = earlier.group(&nearest.path)?;
        let kills = grown(nearest.kills, before.kills)?;
        let counted_by = LimitOf::Cgroup(nearest.path.clone());
        Some(OomEvidence { counted_by, kills, limit: self.limit_hit_since(earlier) })
    }

    fn limit_hit_since(&self, earlier: &Self) -> Option<(LimitOf, Bytes)> {
        self.groups.iter().find_map(|group| {
            let ran_out = group.at_limit || grown(group.ooms, earlier.group(&group.path)?.ooms).is_some();
            Some((LimitOf::Cgroup(group.path.clone()), group.limit.filter(|_| ran_out)?))
        })
    }

    fn group(&self, path: &str) -> Option<&GroupCount> {
        self.groups.iter().find(|group| group.path == path)
    }
}

/// By how much, if at all. A group that was made anew counts from zero.
fn grown(now: Option<u64>, before: Option<u64>) -> Option<u64> {
    now?.checked_sub(before?).filter(|growth| *growth > 0)
}

impl fmt::Display for OomEvidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kills = if self.kills == 1 { "kill" } else { "kills" };
        write!(f, "{} counted {} more {kills} by the kernel for lack of memory", self.counted_by, self.kills)?;
        match &self.limit {
            Some((of, limit)) if *of == self.counted_by => write!(f, " (limit {limit})"),
            Some((of, limit)) => write!(f, " (limit {limit} of {of})"),
            None => Ok(()),
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::memory::linux::recorded::{PID, Recorded};

    fn read(recorded: &Recorded) -> OomCounters {
        OomCounters::read_from(&recorded.roots(), PID)
    }

    fn evidence(before: &OomCounters, after: &OomCounters) -> Option<String> {
        after.evidence_since(before).map(|evidence| evidence.to_string())
    }

    fn events(oom: u64, kills: u64) -> String {
        format!("low 0\nhigh 3\nmax 9\noom {oom}\noom_kill {kills}\noom_group_kill 0\n")
    }

    /// A worker in `/a/b`, below a limit of 512 MiB on `/a`.
    fn nested(own_kills: u64, parent_oom: u64, parent_kills: u64) -> OomCounters {
        let (own, parent) = (events(0, own_kills), events(parent_oom, parent_kills));
        let recorded = Recorded::v2("/a/b")
            .file("proc/vmstat", &format!("pgfault 7\noom_kill {}\n", parent_kills + 5))
            .group("a/b", &[("memory.events", &own), ("memory.max", "max")])
            .group("a", &[("memory.events", &parent), ("memory.max", "536870912")]);
        read(&recorded)
    }

    #[test]
    fn a_kill_in_the_workers_group_is_evidence_and_names_the_limit_that_ran_out() {
        let told = "control group /a/b counted 1 more kill by the kernel for lack of memory \
                    (limit 512 MiB of control group /a)";
        assert_eq!(evidence(&nested(4, 1, 4), &nested(5, 2, 5)).as_deref(), Some(told));
    }

    #[test]
    fn a_kill_by_the_whole_machines_shortage_names_no_limit() {
        let told = "control group /a/b counted 2 more kills by the kernel for lack of memory";
        assert_eq!(evidence(&nested(0, 1, 4), &nested(2, 1, 6)).as_deref(), Some(told));
    }

    #[test]
    fn a_kill_in_another_group_is_not_the_workers() {
        assert_eq!(evidence(&nested(4, 1, 4), &nested(4, 2, 9)), None);
    }

    #[test]
    fn without_a_kill_there_is_no_evidence() {
        assert_eq!(evidence(&nested(4, 1, 4), &nested(4, 1, 4)), None);
        // The group was removed and made again.
        assert_eq!(evidence(&nested(4, 1, 4), &nested(0, 0, 0)), None);
    }

    #[test]
    fn the_first_versions_own_group_decides_and_tells_its_limit() {
        let group = |kills: u64, mark: u64, above: u64| {
            let control = |kills: u64| format!("oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n");
            let (own, above) = (control(kills), control(above));
            let files = [
                ("memory.oom_control", own.as_str()),
                ("memory.max_usage_in_bytes", &(mark << 20).to_string()),
                ("memory.limit_in_bytes", "536870912\n"),
            ];
            read(&Recorded::v1("/a").group("memory/a", &files).group("memory", &[("memory.oom_control", &above)]))
        };
        let told = "control group /a counted 1 more kill by the kernel for lack of memory";
        assert_eq!(evidence(&group(0, 100, 0), &group(1, 512, 0)), Some(format!("{told} (limit 512 MiB)")));
        // The machine ran out, not the group.
        assert_eq!(evidence(&group(0, 100, 0), &group(1, 200, 0)).as_deref(), Some(told));
        // A limit reached by page cache, and a kill among those directly in the root.
        assert_eq!(evidence(&group(0, 100, 0), &group(0, 512, 1)), None);
    }

    #[test]
    fn a_group_of_the_same_name_in_the_other_hierarchy_does_not_stand_in_the_way() {
        let hybrid = |kills: u64| {
            read(
                &Recorded::hybrid("/job", "/job")
                    .file(&format!("proc/{PID}/cgroup"), "0::/job\n4:memory:/job\n")
                    .group("unified/job", &[("cgroup.procs", "4242")])
                    .group("memory/job", &[("memory.oom_control", &format!("oom_kill {kills}\n"))]),
            )
        };
        let told = "control group /job counted 1 more kill by the kernel for lack of memory";
        assert_eq!(evidence(&hybrid(0), &hybrid(1)).as_deref(), Some(told));
    }

    #[test]
    fn where_no_group_counts_the_machine_does() {
        let machine =
            |kills: u64| read(&Recorded::v2("/").group("", &[]).file("proc/vmstat", &format!("oom_kill {kills}\n")));
        let told = "this machine counted 3 more kills by the kernel for lack of memory";
        assert_eq!(evidence(&machine(7), &machine(10)).as_deref(), Some(told));
        assert_eq!(evidence(&machine(7), &machine(7)), None);
    }

    #[test]
    fn where_nothing_counts_there_is_no_evidence() {
        let nothing = read(&Recorded::empty());
        assert_eq!(nothing, OomCounters::default());
        assert_eq!(evidence(&nothing, &nothing), None);
    }

    #[test]
    fn a_worker_that_was_moved_meanwhile_is_not_judged_by_another_groups_past() {
        let elsewhere = read(&Recorded::v2("/c").group("c", &[("memory.events", &events(0, 9))]));
        assert_eq!(evidence(&nested(0, 0, 0), &elsewhere), None);
    }
}
