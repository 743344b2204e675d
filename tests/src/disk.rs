//! A small file system for one test, in memory: it is full when a test wants it to be.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Mounted as long as it lives.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Over this folder. `None`, loudly, where mounting is not allowed.
    pub fn mount(folder: &Path, kib: u32) -> Option<Self> {
        let options = format!("size={kib}k,mode=700");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder).output();
        if mount.is_ok_and(|mount| mount.status.success()) {
            return Some(Self(folder.to_path_buf()));
        }
        eprintln!("SKIPPED: a tmpfs cannot be mounted here; a full disk was not tested");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
