//! Against real control groups of version 1, where this machine lets us make some; skipped loudly elsewhere. Version 2
//! is tested on recorded trees only.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use super::kept::number;
use super::roots::Roots;
use super::{read_system_of, system};
use crate::memory::{Bytes, Limit, LimitOf, OomCounters, OomEvidence};

const HIERARCHY: &str = "/sys/fs/cgroup/memory";

/// Removed when dropped, after the helpers that are in it.
#[derive(Debug)]
struct Group {
    folder: PathBuf,
}

impl Group {
    /// `None` where there is no such hierarchy or it is not ours to change.
    fn make(name: &str) -> Option<Self> {
        let folder = Path::new(HIERARCHY).join(format!("meetcap-test-{}-{name}", std::process::id()));
        let made = fs::create_dir(&folder).ok().filter(|()| folder.join("memory.limit_in_bytes").exists());
        if made.is_none() {
            let _ = fs::remove_dir(&folder);
            eprintln!("SKIPPED: no control group can be made in {HIERARCHY}");
        }
        made.map(|()| Self { folder })
    }

    fn child(&self, name: &str) -> Self {
        let folder = self.folder.join(name);
        fs::create_dir(&folder).expect("a group in a group of ours");
        Self { folder }
    }

    fn bound(&self, limit: Bytes) {
        fs::write(self.folder.join("memory.limit_in_bytes"), limit.0.to_string()).expect("a limit");
        // So that nothing is swapped instead; not every kernel counts swap.
        let _ = fs::write(self.folder.join("memory.memsw.limit_in_bytes"), limit.0.to_string());
    }

    /// Whether the kernel means this group. In a container its name for it can have more in front.
    fn is(&self, named: &LimitOf) -> bool {
        let own = self.folder.strip_prefix(HIERARCHY).expect("below it");
        matches!(named, LimitOf::Cgroup(name) if Path::new(name).ends_with(own))
    }

    fn limit_of(&self, pid: u32) -> Option<Limit> {
        read_system_of(pid).limits.into_iter().find(|limit| self.is(&limit.of))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A reaped process leaves its group a moment later.
        for _ in 0..10_000 {
            if fs::remove_dir(&self.folder).is_ok() {
                return;
            }
            std::thread::yield_now();
        }
        eprintln!("the control group {} is left behind", self.folder.display());
    }
}

/// A shell in a group, which does what it is for when it is told to, and ends with this test whatever happens.
#[derive(Debug)]
struct Helper {
    shell: Child,
    says: BufReader<ChildStdout>,
}

impl Helper {
    fn start(group: &Group, task: &str) -> Self {
        let script = format!("echo $$ > \"$0\" && echo there && read go && {task}");
        let mut shell = Command::new("sh")
            .args(["-c", &script])
            .arg(group.folder.join("cgroup.procs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let says = BufReader::new(shell.stdout.take().expect("its output"));
        let mut helper = Self { shell, says };
        assert_eq!(helper.hear(), "there");
        helper
    }

    fn pid(&self) -> u32 {
        self.shell.id()
    }

    fn go(&mut self) {
        self.shell.stdin.as_mut().expect("its input").write_all(b"\n").expect("it lives");
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.says.read_line(&mut line).expect("it speaks or ends");
        line.trim().to_owned()
    }

    fn end(&mut self) -> ExitStatus {
        self.shell.wait().expect("it ends")
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

/// What must not be in a temporary folder, which may be held in memory itself.
fn file_on_disk() -> tempfile::TempPath {
    let program = std::env::current_exe().expect("this program has a file");
    let folder = program.parent().expect("in a folder");
    tempfile::NamedTempFile::new_in(folder).expect("a file").into_temp_path()
}

#[test]
fn the_limit_of_a_parent_is_found_behind_a_child_that_has_none() {
    let Some(parent) = Group::make("nested") else { return };
    let child = parent.child("worker");
    parent.bound(Bytes::mib(64));
    let helper = Helper::start(&child, "true");
    let limit = parent.limit_of(helper.pid()).expect("the parent's limit");
    assert_eq!(limit.limit, Bytes::mib(64));
    assert_eq!(child.limit_of(helper.pid()), None);
    // This process is not in it.
    assert_eq!(parent.limit_of(std::process::id()), None);
    child.bound(Bytes::mib(32));
    let told: Vec<_> = read_system_of(helper.pid()).limits.into_iter().map(|limit| limit.of).collect();
    assert!(told[0] == LimitOf::Machine && child.is(&told[1]) && parent.is(&told[2]), "{told:?}");
}

#[test]
fn a_real_limit_filled_with_page_cache_is_hardly_used() {
    let Some(group) = Group::make("cache") else { return };
    group.bound(Bytes::mib(32));
    let file = file_on_disk();
    let mut helper =
        Helper::start(&group, &format!("head -c 48M /dev/zero > '{}' && echo full && read end", file.display()));
    helper.go();
    assert_eq!(helper.hear(), "full");
    let charged = Bytes(number(&group.folder.join("memory.usage_in_bytes")).expect("a number"));
    assert!(charged > Bytes::mib(24), "{charged} are charged to the group");
    let limit = group.limit_of(helper.pid()).expect("its limit");
    assert!(limit.used < Bytes::mib(12), "{} of {charged} count as used", limit.used);
}

#[test]
fn a_real_kill_for_lack_of_memory_is_evidence_and_one_by_hand_is_not() {
    let Some(group) = Group::make("kill") else { return };
    group.bound(Bytes::mib(16));
    // Stands for the supervisor, which is in its worker's group.
    let supervisor = Helper::start(&group, "true");
    let counters = || OomCounters::read_of(supervisor.pid());
    // Remembers all that it reads; held from outside as well, should the group not hold it.
    let mut greedy = Helper::start(&group, "ulimit -v 200000 && exec tail /dev/zero");
    let mut victim = Helper::start(&group, "true");

    let before = counters();
    victim.shell.kill().expect("ours");
    assert_eq!(victim.end().signal(), Some(9));
    assert_eq!(counters().evidence_since(&before), None);

    greedy.go();
    assert_eq!(greedy.end().signal(), Some(9));
    let evidence = counters().evidence_since(&before).expect("the kernel has counted it");
    let OomEvidence { counted_by, kills, limit } = evidence;
    assert!(group.is(&counted_by) && kills == 1, "{kills} counted by {counted_by}");
    let (of, limit) = limit.expect("the limit that ran out");
    assert!(group.is(&of) && limit == Bytes::mib(16), "{limit} of {of}");
}

#[test]
fn a_process_that_is_gone_is_bounded_by_the_machine_alone() {
    let limits = system(Roots::machine(), u32::MAX).limits;
    assert_eq!(limits.iter().map(|limit| &limit.of).collect::<Vec<_>>(), [&LimitOf::Machine]);
}
