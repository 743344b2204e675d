//! Figures about processes: how fast workers start, what thousands of them cost the supervisor, whether any outlives
//! it, and how fast everything stops. Linux only; what is measured is written to `supervisor/docs/results`.
//!
//! ```text
//! cargo xtask bench                                          builds what is measured, then all parts
//! cargo bench -p meetcap-tests --bench processes -- start    one part
//! ```
//!
//! Each part runs in a process of its own, so that none inherits another's memory. The program plays two more parts
//! for itself: a parent that dies (`orphans`), and a worker for a recording of eight hours (`speech`).

#[cfg(target_os = "linux")]
mod figures;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(target_os = "linux")]
mod orphans;
#[cfg(target_os = "linux")]
mod proc;
#[cfg(target_os = "linux")]
mod speech;
#[cfg(target_os = "linux")]
mod start;
#[cfg(target_os = "linux")]
mod stop;

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("processes are looked at in /proc, which only Linux has");
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    use std::process::{Command, ExitCode};

    const PARTS: [(&str, fn()); 4] = [
        ("start", start::measure),
        ("memory", memory::measure),
        ("orphans", orphans::measure),
        ("stop", stop::measure),
    ];

    if std::env::args().next().is_some_and(|program| program.ends_with(speech::PROGRAM)) {
        return speech::main();
    }
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [orphans::PARENT, program] => orphans::parent(program),
        [orphans::PARENT, program, micros] => orphans::leaving_parent(program, micros),
        [one] => match PARTS.iter().find(|(name, _)| *name == one) {
            Some((_, measure)) => measure(),
            None => {
                eprintln!("there is no part `{one}`");
                return ExitCode::from(2);
            }
        },
        ref named => {
            let all = PARTS.map(|(name, _)| name);
            let this = std::env::current_exe().expect("this program has a file");
            for part in if named.is_empty() { &all[..] } else { named } {
                if !Command::new(&this).arg(part).status().expect("this program starts").success() {
                    return ExitCode::FAILURE;
                }
            }
        }
    }
    ExitCode::SUCCESS
}
