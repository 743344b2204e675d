//! Figures about recordings: meetings of unseen sentences through the whole program, a long recording, and speed
//! against the engine's own use. Linux only; what is measured is written to `supervisor/docs/results`.
//!
//! ```text
//! cargo xtask bench                                             builds what is measured, then all parts
//! cargo xtask soak --recording --hours 8                        the long recording, which is no part of that
//! cargo bench -p meetcap-tests --bench recordings -- meetings   one part
//! ```
//!
//! The program plays one more part for itself: a program that runs the supervisor's library (`supervised`).

#[cfg(target_os = "linux")]
mod long;
#[cfg(target_os = "linux")]
mod meetings;
#[cfg(target_os = "linux")]
mod oneshot;
#[cfg(target_os = "linux")]
mod parallel;
#[cfg(target_os = "linux")]
mod supervised;

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("memory is read from /proc, which only Linux has");
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    use meetcap_tests::parts;

    const PARTS: [parts::Part; 3] =
        [("meetings", meetings::measure), ("oneshot", oneshot::measure), ("parallel", parallel::measure)];

    let arguments = parts::arguments();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [supervised::ROLE, audio, model, tokens, threads, at_once, folder] => {
            supervised::main(audio, model, tokens, threads, at_once, folder)
        }
        [long::PART, minutes] => long::measure(minutes),
        _ => parts::run(&PARTS, &arguments),
    }
}
