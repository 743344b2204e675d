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
mod host;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(target_os = "linux")]
mod orphans;
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
    use std::process::ExitCode;

    use meetcap_tests::parts;

    const PARTS: [parts::Part; 5] = [
        ("start", start::measure),
        ("memory", memory::measure),
        ("orphans", orphans::measure),
        ("stop", stop::measure),
        ("host", host::measure),
    ];

    if std::env::args().next().is_some_and(|program| program.ends_with(speech::PROGRAM)) {
        return speech::main();
    }
    let arguments = parts::arguments();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [orphans::PARENT, program] => orphans::parent(program),
        [orphans::PARENT, program, micros] => orphans::leaving_parent(program, micros),
        _ => return parts::run(&PARTS, &arguments),
    }
    ExitCode::SUCCESS
}
