//! Whether what was packed works for those who get it.
//!
//! ```text
//!  archive ─► unpacked in a folder with a blank, for a user without home, variables or PATH ─► demo ─┐
//!  .deb ────► installed into a root folder that has the libraries it asks for and nothing else ─► demo ├─► same text
//!  each level of the speech worker, each kind of ggml that runs here ─► demo ────────────────────────┘
//!  code of each level ─► uses no registers that the level has not      manual, completions ─► read without complaint
//! ```
//!
//! [`already_built`] is the quick half, for every change: the programs that are there anyway, packed and tried.
//! [`everything`] is for what is given away.
//!
//! # What it cannot show
//!
//! That a program of a low level runs on an old processor: there is none here, and an emulator of one program hands the
//! programs that it starts to the real processor. The code is read instead ([`code`]).

mod code;
mod levels;
mod root;
mod text;

use std::path::{Path, PathBuf};

use super::build::Programs;
use super::compress::Xz;
use super::pack::{self, Packed};
use super::target::{Os, Target};
use crate::binaries::SUPERVISOR;
use crate::demo::{fresh_folder, is_what_was_said};
use crate::run::{Step, on_path};
use crate::workspace::Workspace;

use text::{Text, demo};

/// The programs of `cargo build --release`, packed, unpacked, installed and run.
pub(crate) fn already_built(workspace: &Workspace) -> Result<String, String> {
    let target = Target::here()?;
    let programs = super::plain(workspace);
    in_scratch(|scratch| {
        let out = scratch.join("packages");
        let packed = pack::all(workspace, target, &programs, &out, &Xz::Quick)?;
        same_twice(workspace, target, &programs, &packed, (scratch, &Xz::Quick))?;
        let (_, text) = unpacked(workspace, &packed.archive, scratch)?;
        let mut notes = vec!["archive".to_owned()];
        if let Some(deb) = &packed.deb {
            notes.push(root::installed(deb, scratch, &text)?);
        }
        if target.os == Os::Linux {
            manuals(&packed.archive, scratch)?;
        }
        Ok(notes.join(", "))
    })
}

/// All of it, of a portable build.
pub(crate) fn everything(
    workspace: &Workspace,
    target: Target,
    programs: &Programs,
    packed: &Packed,
) -> Result<(), String> {
    in_scratch(|scratch| {
        same_twice(workspace, target, programs, packed, (scratch, &Xz::Small))?;
        say("packed twice: the same bytes");
        if on_path("sha256sum") {
            sums(packed)?;
            say("the sums are those of sha256sum");
        }
        no_paths(workspace, &packed.archive, scratch)?;
        say("no path of this machine in any program");
        let (top, text) = unpacked(workspace, &packed.archive, scratch)?;
        say("the archive, unpacked in a folder with a blank, ran the demo through a link, for a user without anything");
        if let Some(deb) = &packed.deb {
            let how = root::installed(deb, scratch, &text)?;
            say(&format!("the .deb ran the demo: {how}"));
        }
        if target.has_levels() {
            for line in levels::speech(&top, &text)? {
                say(&line);
            }
        }
        for line in levels::summary(&top, scratch, &text)? {
            say(&line);
        }
        if target.has_levels() {
            say(&code::of_levels(&super::folder(workspace), &programs.libraries)?);
        }
        if target.os == Os::Linux {
            for line in manuals(&packed.archive, scratch)? {
                say(&line);
            }
        }
        Ok(())
    })
}

fn say(line: &str) {
    println!("ok: {line}");
}

/// Runs `work` with a folder that others may look into, and removes it.
fn in_scratch<T>(work: impl FnOnce(&Path) -> Result<T, String>) -> Result<T, String> {
    let scratch = fresh_folder("dist-check")?;
    super::tree::permit(&scratch, 0o755).map_err(|cause| format!("{}: {cause}", scratch.display()))?;
    let done = work(&scratch);
    let removed = std::fs::remove_dir_all(&scratch);
    let done = done?;
    removed.map_err(|cause| format!("{} could not be removed: {cause}", scratch.display()))?;
    Ok(done)
}

/// Packs once more and compares.
fn same_twice(
    workspace: &Workspace,
    target: Target,
    programs: &Programs,
    packed: &Packed,
    (scratch, xz): (&Path, &Xz),
) -> Result<(), String> {
    let again = pack::all(workspace, target, programs, &scratch.join("again"), xz)?;
    for (one, other) in packed.files.iter().zip(&again.files) {
        let read = |file: &PathBuf| std::fs::read(file).map_err(|cause| format!("{}: {cause}", file.display()));
        if read(one)? != read(other)? {
            return Err(format!("{} differs from packing to packing", one.display()));
        }
    }
    Ok(())
}

/// As people check them.
fn sums(packed: &Packed) -> Result<(), String> {
    let Some((sums, folder)) = packed.files.last().and_then(|sums| Some((sums, sums.parent()?))) else {
        return Err("there are no sums".to_owned());
    };
    Step::new("env").args(["-C"]).args([folder]).args(["sha256sum", "--check"]).args([sums]).output().map(drop)
}

/// Where this machine has the sources, the crates and the build, nobody else needs to know.
fn no_paths(workspace: &Workspace, archive: &Path, scratch: &Path) -> Result<(), String> {
    let folder = scratch.join("looked into");
    std::fs::create_dir(&folder).map_err(|cause| format!("{}: {cause}", folder.display()))?;
    let top = pack::unpack(archive, &folder)?;
    let mut private = vec![workspace.root.clone(), super::folder(workspace)];
    private.extend(std::env::var_os("CARGO_HOME").map(PathBuf::from));
    private.extend(std::env::home_dir().filter(|home| home.components().count() > 1));
    let mut folders = vec![top];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).map_err(|cause| format!("{}: {cause}", path.display()))?;
            // `/root` alone stands in every C library; with what follows it is this machine's.
            let has = |private: &&PathBuf| contains(&bytes, format!("{}/", private.display()).as_bytes());
            if let Some(private) = private.iter().find(has) {
                return Err(format!("{} names {}", path.display(), private.display()));
            }
        }
    }
    Ok(())
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// Unpacks where nobody would, and runs the demo as nobody in particular; the folder and what came out.
fn unpacked(workspace: &Workspace, archive: &Path, scratch: &Path) -> Result<(PathBuf, Text), String> {
    let folder = scratch.join("a folder of mine");
    std::fs::create_dir(&folder).map_err(|cause| format!("{}: {cause}", folder.display()))?;
    let top = pack::unpack(archive, &folder)?;
    let text = demo(&linked(&supervisor(&top), scratch)?, &[])?;
    if !is_what_was_said(workspace, &text.transcript)? {
        return Err("the transcript is not what was said".to_owned());
    }
    Ok((top, text))
}

/// A link to the program from another folder, as people put one into a folder of their PATH.
#[cfg(unix)]
fn linked(program: &Path, scratch: &Path) -> Result<PathBuf, String> {
    let link = scratch.join("linked");
    std::os::unix::fs::symlink(program, &link).map_err(|cause| format!("{}: {cause}", link.display()))?;
    Ok(link)
}

#[cfg(not(unix))]
fn linked(program: &Path, _scratch: &Path) -> Result<PathBuf, String> {
    Ok(program.to_owned())
}

fn supervisor(top: &Path) -> PathBuf {
    let name = format!("{SUPERVISOR}{}", std::env::consts::EXE_SUFFIX);
    if cfg!(windows) { top.join(name) } else { top.join("bin").join(name) }
}

/// Manual pages and completions, by the programs that will read them, as far as those are here.
fn manuals(archive: &Path, scratch: &Path) -> Result<Vec<String>, String> {
    let folder = scratch.join("read");
    std::fs::create_dir(&folder).map_err(|cause| format!("{}: {cause}", folder.display()))?;
    let share = pack::unpack(archive, &folder)?.join("share");
    let mut lines = Vec::new();
    if on_path("man") {
        let pages = std::fs::read_dir(share.join("man/man1")).into_iter().flatten().flatten();
        let pages: Vec<PathBuf> = pages.map(|entry| entry.path()).collect();
        for page in &pages {
            let shown = Step::new("man").env("LC_ALL", "C.UTF-8").env("MANWIDTH", "80");
            let step = shown.words("--warnings -E UTF-8 -l -Tutf8 -Z").args([page]);
            let complaints = step.complaints()?;
            if !complaints.is_empty() {
                return Err(format!("{}: {complaints}", page.display()));
            }
        }
        lines.push(format!("man reads {} pages without a complaint", pages.len()));
    }
    for (shell, script) in [
        ("bash", "bash-completion/completions/meetcap-supervisor"),
        ("zsh", "zsh/site-functions/_meetcap-supervisor"),
        ("fish", "fish/vendor_completions.d/meetcap-supervisor.fish"),
    ] {
        if on_path(shell) {
            Step::new(shell).args(["-n"]).args([share.join(script)]).output()?;
            lines.push(format!("{shell} reads its completions"));
        } else {
            lines.push(format!("not read: completions for {shell}, which is not here"));
        }
    }
    Ok(lines)
}
