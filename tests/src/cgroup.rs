//! Real control groups with real memory limits, where this machine allows making them (version 1, as root). Where it
//! does not, a test that needs one says so loudly and ends.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A group; removed when dropped, after whatever is left in it was ended.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    /// As the kernel names it.
    name: String,
}

const ROOT: &str = "/sys/fs/cgroup/memory";

impl Cgroup {
    /// A group below this process's own with this limit, without swap; `None` where none can be made, which is told.
    pub fn limited(mib: u64) -> Option<Self> {
        match Self::below(&own(), Some(mib)) {
            Ok(group) => Some(group),
            Err(error) => {
                eprintln!("SKIPPED: a control group with a memory limit cannot be made here ({error})");
                None
            }
        }
    }

    /// A group below this one; without a limit of its own when none is given.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn child(&self, mib: Option<u64>) -> Self {
        Self::below(&self.name, mib).expect("a group below a group of our own")
    }

    fn below(parent: &str, mib: Option<u64>) -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}/meetcap-test-{}-{number}", parent.trim_end_matches('/'), std::process::id());
        let group = Self { path: PathBuf::from(format!("{ROOT}{name}")), name };
        fs::create_dir(&group.path)?;
        if let Some(mib) = mib {
            fs::write(group.path.join("memory.limit_in_bytes"), (mib << 20).to_string())?;
            // Where swap is accounted for; without swap there is nothing to forbid.
            let _ = fs::write(group.path.join("memory.memsw.limit_in_bytes"), (mib << 20).to_string());
        }
        Ok(group)
    }

    /// As the kernel names it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where new members are written to.
    pub fn procs(&self) -> PathBuf {
        self.path.join("cgroup.procs")
    }

    /// Bytes in use, page cache included.
    ///
    /// # Panics
    /// When the kernel does not tell.
    pub fn usage(&self) -> u64 {
        self.number("memory.usage_in_bytes")
    }

    /// Kills for lack of memory.
    ///
    /// # Panics
    /// When the kernel does not tell.
    pub fn oom_kills(&self) -> u64 {
        let text = fs::read_to_string(self.path.join("memory.oom_control")).expect("a counter");
        let line = text.lines().find_map(|line| line.strip_prefix("oom_kill ")).expect("a counter of kills");
        line.trim().parse().expect("a number")
    }

    fn number(&self, file: &str) -> u64 {
        fs::read_to_string(self.path.join(file)).expect("a figure").trim().parse().expect("a number")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let members = fs::read_to_string(self.procs()).unwrap_or_default();
        crate::processes::kill(&members.lines().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>());
        let _ = fs::write(self.path.join("memory.force_empty"), "0");
        // A process that was just killed leaves a moment later.
        for _ in 0..2000 {
            match fs::remove_dir(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => std::thread::yield_now(),
                _ => return,
            }
        }
        eprintln!("left behind: {}", self.path.display());
    }
}

/// This process's own group, as the kernel names it.
fn own() -> String {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = groups.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        controllers.split(',').any(|controller| controller == "memory").then(|| path.to_owned())
    });
    own.filter(|path| Path::new(&format!("{ROOT}{path}")).is_dir()).unwrap_or_else(|| "/".to_owned())
}
