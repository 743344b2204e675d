//! The main of a benchmark of several parts. Each part runs in a process of its own, so that none inherits another's
//! memory.

use std::process::{Command, ExitCode};

/// A part's name, and its measuring.
pub type Part = (&'static str, fn());

/// Measures the one part that is named, here; or those that are named, or all, each in a new process of this program.
///
/// # Panics
/// When this program cannot be started again.
pub fn run(parts: &[Part], named: &[String]) -> ExitCode {
    if let [one] = named {
        let Some((_, measure)) = parts.iter().find(|(name, _)| name == one) else {
            eprintln!("there is no part `{one}`");
            return ExitCode::from(2);
        };
        println!("{one}");
        measure();
        return ExitCode::SUCCESS;
    }
    let all: Vec<String> = parts.iter().map(|(name, _)| (*name).to_owned()).collect();
    let this = std::env::current_exe().expect("this program has a file");
    for part in if named.is_empty() { &all } else { named } {
        if !Command::new(&this).arg(part).status().expect("this program starts").success() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// What was given to this program, without what Cargo adds.
pub fn arguments() -> Vec<String> {
    std::env::args().skip(1).filter(|argument| argument != "--bench").collect()
}
