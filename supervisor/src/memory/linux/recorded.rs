//! Small trees of the kernel's files for tests.

use std::fs;

use tempfile::TempDir;

use super::roots::Roots;

/// The process that recorded trees tell of.
pub(in crate::memory) const PID: u32 = 4242;

/// A tree below a temporary folder.
#[derive(Debug)]
pub(in crate::memory) struct Recorded {
    folder: TempDir,
}

impl Recorded {
    /// Nothing at all, not even `/proc`.
    pub(in crate::memory) fn empty() -> Self {
        Self { folder: TempDir::new().expect("a temporary folder") }
    }

    /// Version 2 alone; the process is in `group`.
    pub(in crate::memory) fn v2(group: &str) -> Self {
        Self::cgroups(
            "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n",
            &format!("0::{group}\n"),
        )
        .group("", &[])
    }

    /// Version 1 alone, each controller by itself.
    pub(in crate::memory) fn v1(group: &str) -> Self {
        Self::hybrid(group, "/")
    }

    /// Version 1 with the memory controller, and version 2 without any.
    pub(in crate::memory) fn hybrid(group: &str, unified: &str) -> Self {
        let mountinfo = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
                         32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                         35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                         41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let cgroup = format!("9:name=systemd:/\n4:memory:{group}\n1:cpu:/elsewhere\n0::{unified}\n");
        Self::cgroups(mountinfo, &cgroup).group("memory", &[]).group("unified", &[])
    }

    fn cgroups(mountinfo: &str, cgroup: &str) -> Self {
        Self::empty().file("proc/self/mountinfo", mountinfo).file(&format!("proc/{PID}/cgroup"), cgroup)
    }

    /// Files of a control group, by its path below `/sys/fs/cgroup`.
    pub(in crate::memory) fn group(self, path: &str, files: &[(&str, &str)]) -> Self {
        let folder = format!("sys/fs/cgroup/{path}");
        fs::create_dir_all(self.folder.path().join(&folder)).expect("a folder");
        files.iter().fold(self, |recorded, (name, text)| recorded.file(&format!("{folder}/{name}"), text))
    }

    /// Any file, replaced where it is there.
    pub(in crate::memory) fn file(self, path: &str, text: &str) -> Self {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().expect("below a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
        self
    }

    pub(in crate::memory) fn roots(&self) -> Roots {
        Roots::below(self.folder.path())
    }
}
