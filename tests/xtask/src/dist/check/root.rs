//! The .deb, installed into a root folder of its own: by `dpkg`, which checks what it depends on, with the libraries of
//! just those packages, and then run in there. A library that nobody has named is missing there.
//!
//! ```text
//!  root/  lib…, usr/lib…   libraries of the packages in Depends, from this machine
//!         var/lib/dpkg     a list of what is installed: those packages
//!         usr/…            by `dpkg --root`
//!         proc, dev/null   mounted for the run alone
//! ```
//!
//! It needs root, and the right to mount. Without, the files are unpacked beside one another and run as they lie.

use std::fs;
use std::path::{Path, PathBuf};

use super::text::{Text, demo, is_root};
use crate::run::{Step, on_path};

/// Installs and runs; how, in one line.
pub(crate) fn installed(deb: &Path, scratch: &Path, expected: &Text) -> Result<String, String> {
    if !on_path("dpkg") {
        return Ok(".deb written but not installed, for there is no dpkg here".to_owned());
    }
    let root = scratch.join("root");
    fs::create_dir(&root).map_err(|cause| format!("{}: {cause}", root.display()))?;
    if !(is_root() && may_mount()) {
        Step::new("dpkg-deb").args(["-x"]).args([deb, &root]).output()?;
        demo(&root.join("usr/bin/meetcap-supervisor"), &[])?.compare(expected, "the .deb")?;
        return Ok(".deb unpacked and run; only root may install it into a folder".to_owned());
    }
    let depends = Step::new("dpkg-deb").args(["-f"]).args([deb]).args(["Depends"]).output()?;
    let packages: Vec<&str> =
        depends.split(',').filter_map(|one| one.split_whitespace().next()).filter(|name| !name.is_empty()).collect();
    prepare(&root, &packages)?;
    dpkg(&root, "--install", deb.as_os_str())?;
    run(&root)?;
    Text::read(&root.join("out"))?.compare(expected, "the .deb")?;
    if without(&root, "libgcc_s.so.1")? == 0 || run(&root).is_ok() {
        return Err("the root folder is no proof: the program runs there without a library that it needs".to_owned());
    }
    dpkg(&root, "--purge", "meetcap-supervisor".as_ref())?;
    let left: Vec<PathBuf> = ["usr/bin/meetcap-supervisor", "usr/libexec/meetcap", "usr/share/doc/meetcap-supervisor"]
        .iter()
        .map(|path| root.join(path))
        .filter(|path| path.exists())
        .collect();
    if !left.is_empty() {
        return Err(format!("removing the package leaves {left:?}"));
    }
    Ok(format!(".deb installed with {} and nothing else, run and removed", packages.join(", ")))
}

fn may_mount() -> bool {
    on_path("unshare") && Step::new("unshare").words("--mount --propagation private true").output().is_ok()
}

fn dpkg(root: &Path, what: &str, which: &std::ffi::OsStr) -> Result<String, String> {
    Step::new("dpkg").args([format!("--root={}", root.display())]).args([what]).args([which]).output()
}

fn prepare(root: &Path, packages: &[&str]) -> Result<(), String> {
    let failed = |cause| format!("{} could not be prepared: {cause}", root.display());
    for folder in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "proc", "dev", "tmp", "out"] {
        fs::create_dir_all(root.join(folder)).map_err(failed)?;
    }
    for folder in ["tmp", "out"] {
        super::super::tree::permit(&root.join(folder), 0o777).map_err(failed)?;
    }
    fs::write(root.join("dev/null"), b"").map_err(failed)?;
    let mut status = String::new();
    for package in packages {
        status.push_str(&Step::new("dpkg-query").args(["--status", package]).output()?);
        status.push('\n');
        for file in Step::new("dpkg-query").args(["--listfiles", package]).output()?.lines().map(Path::new) {
            let is_library = file.file_name().is_some_and(|name| name.to_string_lossy().contains(".so"));
            // What those packages depend on in their turn is not copied: it holds no libraries.
            if is_library && file.is_file() {
                let to = root.join(file.strip_prefix("/").unwrap_or(file));
                fs::create_dir_all(to.parent().unwrap_or(root)).map_err(failed)?;
                fs::copy(file, &to).map_err(failed)?;
            }
        }
    }
    fs::write(root.join("var/lib/dpkg/status"), status).map_err(failed)
}

/// Removes what has this name, wherever it lies; how many there were.
fn without(folder: &Path, name: &str) -> Result<usize, String> {
    let mut removed = 0;
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            removed += without(&path, name)?;
        } else if entry.file_name() == name {
            fs::remove_file(&path).map_err(|cause| format!("{} could not be removed: {cause}", path.display()))?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// In the root folder, with `/proc` and `/dev/null`, as a user who owns nothing.
fn run(root: &Path) -> Result<(), String> {
    const SCRIPT: &str = "set -e
mount -t proc proc \"$1/proc\"
mount --bind /dev/null \"$1/dev/null\"
exec env -i \"$(command -v chroot)\" --userspec=65534:65534 \"$1\" /usr/bin/meetcap-supervisor demo -o /out";
    let step = Step::new("unshare").words("--mount --propagation private sh -c").args([SCRIPT, "sh"]).args([root]);
    step.output().map(drop)
}
