//! `cargo xtask`: set-up, demo, checks, measurements and a picture, from a fresh clone with nothing but Rust.
//!
//! ```text
//!   setup ──► what the engines need to be built (and, for the checks, what the tests call), installed if it is missing
//!     │
//!     ├──► demo   build the three programs, run the bundled recording, judge what comes out
//!     ├──► picture   run what is built, measure its memory from outside, draw it
//!     ├──► bench     measure processes and memory, write the results ──► criteria   the specification's page from all results
//!     ├──► fuzz      feed readers of strangers' bytes with made-up ones, guided by coverage
//!     ├──► soak      kill and resume real runs, compare with an undisturbed one; or listen to a long recording
//!     ├──► dist     build for everybody, pack; try what was packed
//!     └──► test   every check, one after the other; the last line counts them
//! ```
//!
//! The standard library only: this crate has to build before anything is installed.

#![forbid(unsafe_code)]

mod args;
mod bench;
mod binaries;
mod boundaries;
mod chart;
mod checks;
mod criteria;
mod demo;
mod dist;
mod fuzz;
mod json;
mod ledger;
mod leftovers;
mod outside;
mod picture;
mod plot;
mod results;
mod rng;
mod run;
mod setup;
mod soak;
mod sources;
mod tests_report;
mod tools;
mod wer;
mod workspace;

use std::process::ExitCode;

use args::{Command, USAGE};
use workspace::Workspace;

fn main() -> ExitCode {
    let command = match args::parse(std::env::args().skip(1)) {
        Ok(command) => command,
        Err(why) => {
            eprintln!("xtask: {why}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match execute(command) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> Result<ExitCode, String> {
    match command {
        Command::Help => {
            print!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        Command::Setup(install) => {
            setup::ensure(tools::FOR_CHECKS, install)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Demo(install) => {
            setup::ensure(tools::FOR_BUILD, install)?;
            demo::run(&Workspace::find()?)
        }
        Command::Picture { install, out } => {
            setup::ensure(&[tools::Tool::Ffmpeg], install)?;
            picture::run(&Workspace::find()?, out)
        }
        Command::Bench { install, parts } => {
            setup::ensure(bench::tools(&parts), install)?;
            bench::run(&Workspace::find()?, &parts)
        }
        Command::Criteria => criteria::write(&Workspace::find()?),
        Command::Soak { install, options } => {
            setup::ensure(&[tools::Tool::Ffmpeg], install)?;
            soak::run(&Workspace::find()?, options)
        }
        Command::SoakRecording { install, hours, seed } => {
            setup::ensure(tools::FOR_CHECKS, install)?;
            bench::long_recording(&Workspace::find()?, hours, seed)
        }
        Command::Fuzz { install, seconds, targets } => {
            setup::ensure(&[tools::Tool::CxxCompiler], install)?;
            fuzz::run(&Workspace::find()?, seconds, &targets)
        }
        Command::Dist { install, options } => {
            setup::ensure(tools::FOR_BUILD, install)?;
            dist::run(&Workspace::find()?, options)
        }
        Command::Test(install) => {
            setup::ensure(tools::FOR_CHECKS, install)?;
            setup::ensure_rust_components(install)?;
            checks::run_all(Workspace::find()?)
        }
    }
}
