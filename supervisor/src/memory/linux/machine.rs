//! Anonymous memory of the whole machine, and who holds it: what a release is judged by. Linux.
//!
//! In a container the machine's figure counts processes that cannot be seen from here. So the sum over all processes
//! is compared with it first: where too much of the memory belongs to nobody in sight, there is no answer.

use std::fs;

use super::roots::{entries, text};
use super::{Bytes, Roots};
use crate::memory::release::Machine;

/// Less than this share of the machine's anonymous memory in sight, in percent, and growth cannot be attributed.
const IN_SIGHT: u64 = 80;

/// `None` where the machine's memory cannot be attributed.
pub(crate) fn read_machine() -> Option<Machine> {
    let roots = Roots::machine();
    let meminfo = text(&roots.proc("meminfo"))?;
    let all = field(&meminfo, "AnonPages")? + (field(&meminfo, "SwapTotal")? - field(&meminfo, "SwapFree")?);
    let processes = fs::read_dir(roots.proc("")).ok()?.flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let holders: Vec<Holder> = pids.filter_map(|pid| holder(roots, pid)).collect();
    attribute(all, &holders, std::process::id())
}

/// A process and its anonymous and swapped memory.
#[derive(Debug, Clone, Copy)]
struct Holder {
    pid: u32,
    cost: Bytes,
}

fn holder(roots: &Roots, pid: u32) -> Option<Holder> {
    let status = text(&roots.process(pid).join("status"))?;
    // Kernel threads and zombies have none.
    let cost = field(&status, "RssAnon")? + field(&status, "VmSwap").unwrap_or_default();
    Some(Holder { pid, cost })
}

fn field(text: &str, name: &str) -> Option<Bytes> {
    entries(text).find_map(|(found, kib)| (found == name).then_some(Bytes::kib(kib)))
}

/// Pure: what is not held by the process `own`.
fn attribute(all: Bytes, processes: &[Holder], own: u32) -> Option<Machine> {
    let seen: Bytes = processes.iter().map(|holder| holder.cost).sum();
    if u128::from(seen.0) * 100 < u128::from(all.0) * u128::from(IN_SIGHT) {
        return None;
    }
    let others = processes.iter().filter(|holder| holder.pid != own).map(|holder| holder.cost).sum();
    Some(Machine { all, others })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(pid: u32, mib: u64) -> Holder {
        Holder { pid, cost: Bytes::mib(mib) }
    }

    #[test]
    fn one_process_is_told_from_the_others() {
        let machine = attribute(Bytes::mib(175), &[holder(1, 100), holder(7, 25), holder(8, 50)], 7).expect("in sight");
        assert_eq!(machine, Machine { all: Bytes::mib(175), others: Bytes::mib(150) });
    }

    #[test]
    fn where_most_memory_belongs_to_nobody_in_sight_there_is_no_answer() {
        assert_eq!(attribute(Bytes::mib(1000), &[holder(1, 100), holder(7, 5)], 7), None);
    }

    #[test]
    fn this_machine_is_read() {
        let machine = read_machine();
        assert!(machine.is_none_or(|machine| machine.all > Bytes(0)), "{machine:?}");
    }
}
