//! Pressure stall information: how long tasks had to wait for memory.
//!
//! Of the machine, and of the process's own control group where the kernel tells of it (version 2): a group at its
//! limit can be starved while the machine is idle. The larger of the two counts.

use std::path::Path;

use super::cgroup::Group;
use super::kept;
use super::roots::Roots;
use crate::memory::Pressure;

/// `None` where the kernel does not keep it.
pub(super) fn pressure(roots: &Roots, groups: &[Group]) -> Option<Pressure> {
    let machine = read(&roots.proc("pressure/memory"));
    let own = groups.iter().find_map(Group::pressure).and_then(|path| read(&path));
    machine
        .into_iter()
        .chain(own)
        .reduce(|one, other| Pressure { some: one.some.max(other.some), full: one.full.max(other.full) })
}

fn read(path: &Path) -> Option<Pressure> {
    let text = kept::text(path)?;
    let percent = |name: &str| {
        let line = text.lines().find(|line| line.split(' ').next() == Some(name))?;
        let value = line.split(' ').find_map(|field| field.strip_prefix("avg10="))?.parse::<f64>().ok()?;
        value.is_finite().then(|| value.clamp(0.0, 100.0))
    };
    // The machine's `full` is told since Linux 5.13 only.
    Some(Pressure { some: percent("some")?, full: percent("full").unwrap_or(0.0) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::linux::cgroup::groups_of;
    use crate::memory::linux::recorded::{PID, Recorded};

    const MACHINE: &str =
        "some avg10=1.50 avg60=9.00 avg300=0.00 total=1\nfull avg10=0.25 avg60=9.00 avg300=0.00 total=1\n";
    const GROUP: &str =
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=1\nfull avg10=40.00 avg60=0.00 avg300=0.00 total=1\n";

    fn told(recorded: &Recorded) -> Option<Pressure> {
        let roots = recorded.roots();
        pressure(&roots, &groups_of(&roots, PID))
    }

    #[test]
    fn of_machine_and_own_group_the_larger_share_counts() {
        let recorded = Recorded::v2("/a/b").file("proc/pressure/memory", MACHINE);
        assert_eq!(told(&recorded), Some(Pressure { some: 1.5, full: 0.25 }));
        let recorded = recorded.group("a/b", &[("memory.pressure", GROUP)]);
        assert_eq!(told(&recorded), Some(Pressure { some: 1.5, full: 40.0 }));
    }

    #[test]
    fn an_ancestors_pressure_is_not_ours() {
        let recorded = Recorded::v2("/a/b").group("a", &[("memory.pressure", GROUP)]);
        assert_eq!(told(&recorded), None);
    }

    #[test]
    fn nonsense_is_no_pressure() {
        for text in ["", "some", "some avg10=", "some avg10=NaN", "some avg10=inf", "full avg10=1.0", "someavg10=1"] {
            assert_eq!(told(&Recorded::v2("/").file("proc/pressure/memory", text)), None, "{text}");
        }
        let lying = Recorded::v2("/").file("proc/pressure/memory", "some avg10=1e300\nfull avg10=-7");
        assert_eq!(told(&lying), Some(Pressure { some: 100.0, full: 0.0 }));
    }
}
