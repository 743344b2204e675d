//! What tells a process from a later one that was given the same number.

/// A process, named so that no other can be taken for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) pid: u32,
    /// In the system's own unit and from its own origin: good for comparing, and for nothing else.
    pub(super) start_time: u64,
    /// In which `pid` means something, where the system has more than one.
    pub(super) namespace: Option<String>,
}

impl Identity {
    /// `None` where the system does not tell, such as without `/proc`.
    pub(super) fn of_self() -> Option<Self> {
        let pid = std::process::id();
        Some(Self { pid, start_time: start_time(pid)?, namespace: namespace() })
    }
}

/// `None` when there is no such process, or only what is left of it until its parent asks.
#[cfg(target_os = "linux")]
pub(super) fn start_time(pid: u32) -> Option<u64> {
    let process = procfs::process::Process::new(i32::try_from(pid).ok()?).ok()?;
    let stat = process.stat().ok()?;
    (!matches!(stat.state, 'Z' | 'X')).then_some(stat.starttime)
}

/// `None` when there is no such process.
#[cfg(not(target_os = "linux"))]
pub(super) fn start_time(pid: u32) -> Option<u64> {
    use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};
    let pid = Pid::from_u32(pid);
    let mut system = System::new().ok()?;
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, ProcessRefreshKind::nothing());
    system.process(pid).map(sysinfo::Process::start_time)
}

#[cfg(target_os = "linux")]
fn namespace() -> Option<String> {
    std::fs::read_link("/proc/self/ns/pid").ok().map(|name| name.to_string_lossy().into_owned())
}

#[cfg(not(target_os = "linux"))]
fn namespace() -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_itself_and_nobody_has_the_largest_number() {
        let identity = Identity::of_self().expect("readable");
        assert_eq!(Identity::of_self(), Some(identity));
        assert_eq!(start_time(u32::MAX), None);
        assert_eq!(start_time(i32::MAX as u32), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_zombie_is_gone() {
        let mut child = std::process::Command::new(std::env::current_exe().expect("known"))
            .arg("--list")
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("started");
        let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
        let ended = nix::sys::wait::WaitPidFlag::WEXITED | nix::sys::wait::WaitPidFlag::WNOWAIT;
        nix::sys::wait::waitid(nix::sys::wait::Id::Pid(pid), ended).expect("ended");
        assert_eq!(start_time(child.id()), None);
        child.wait().expect("reaped");
    }
}
