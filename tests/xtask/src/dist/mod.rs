//! `cargo xtask dist`: what people install, built for everybody and packed.
//!
//! ```text
//!  build ─► programs ──┐
//!  completions, pages ─┼─► tree ─► meetcap-supervisor-VERSION-TARGET.tar.xz   bin/ libexec/meetcap/ share/
//!  licences ───────────┘    ├────► meetcap-supervisor_VERSION_ARCH.deb        the same below /usr (Linux)
//!                           └────► …sha256                                    sums of what was written
//!  --check ─► unpacked and installed elsewhere, every program that runs here gives the same text
//! ```
//!
//! Packing the same programs twice gives the same bytes: names are sorted, everything belongs to root, and the one time
//! in it is that of the commit (or `SOURCE_DATE_EPOCH`).
//!
//! # What it may not do
//!
//! - Let anything of the machine that builds decide what is built: no `native`, no defaults that depend on it, and
//!   no path of it in what is packed.
//! - Claim more than was run. Only Linux on x86-64 was; macOS and Windows get an archive, by code that nobody has run.

mod build;
mod check;
mod compress;
#[cfg(test)]
mod container;
mod deb;
mod elf;
mod levels;
mod licences;
mod pack;
mod sha256;
mod tar;
mod target;
mod tree;

use std::path::PathBuf;
use std::process::ExitCode;

use build::Programs;
use compress::Xz;
use target::Target;

use crate::binaries::{SUPERVISOR, WORKERS};
use crate::workspace::Workspace;

pub(crate) use check::already_built;

/// What is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Whether what was packed is tried.
    pub(crate) check: bool,
    /// Whether programs are packed that an earlier call has built.
    pub(crate) reuse: bool,
    /// Whether the programs of `cargo build --release` are packed and tried, and nothing is kept.
    pub(crate) plain: bool,
}

/// Where all of it goes.
fn folder(workspace: &Workspace) -> PathBuf {
    workspace.release.parent().unwrap_or(&workspace.release).join("dist")
}

pub(crate) fn run(workspace: &Workspace, options: Options) -> Result<ExitCode, String> {
    if options.plain {
        println!("ok: {}", already_built(workspace)?);
        return Ok(ExitCode::SUCCESS);
    }
    let target = Target::here()?;
    let programs = if options.reuse { build::found(workspace, target)? } else { build::all(workspace, target)? };
    let packed = pack::all(workspace, target, &programs, &folder(workspace), &Xz::Small)?;
    for package in &packed.files {
        let size = std::fs::metadata(package).map(|found| found.len()).unwrap_or_default();
        println!("{:>7.1} MiB  {}", size as f64 / f64::from(1 << 20), package.display());
    }
    if options.check {
        check::everything(workspace, target, &programs, &packed)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The programs that `cargo build --release` has left: built for this machine, good enough to try the packing with.
fn plain(workspace: &Workspace) -> Programs {
    Programs {
        supervisor: workspace.program(SUPERVISOR),
        workers: WORKERS
            .map(|worker| (format!("{worker}{}", std::env::consts::EXE_SUFFIX), workspace.program(worker)))
            .to_vec(),
        libraries: Vec::new(),
        shipped: [WORKERS[0], WORKERS[1], SUPERVISOR]
            .map(|package| licences::Shipped { package, features: "" })
            .to_vec(),
    }
}
