//! Figures about the memory governor: what a run takes against what its engines take without it, how memory comes
//! back, what time isolation and handing over cost, how fast something is refused, what becomes of a worker that the
//! kernel kills, how good predictions are, and what watching and locking in cost. Linux only; what is measured is written to
//! `supervisor/docs/results`.
//!
//! ```text
//! cargo xtask bench                                         builds what is measured, then all parts of all benchmarks
//! cargo bench -p meetcap-tests --bench governor -- pair     one part
//! ```
//!
//! Each part runs in a process of its own. The program plays two more parts for itself: a program that runs the
//! supervisor's library (`supervised`), and a worker that does nothing (`idle`).

#[cfg(target_os = "linux")]
mod bare;
#[cfg(target_os = "linux")]
mod estimate;
#[cfg(target_os = "linux")]
mod idle;
#[cfg(target_os = "linux")]
mod models;
#[cfg(target_os = "linux")]
mod oom;
#[cfg(target_os = "linux")]
mod overhead;
#[cfg(target_os = "linux")]
mod pair;
#[cfg(target_os = "linux")]
mod python;
#[cfg(target_os = "linux")]
mod refusal;
#[cfg(target_os = "linux")]
mod release;
#[cfg(target_os = "linux")]
mod sampling;
#[cfg(target_os = "linux")]
mod sandbox;
#[cfg(target_os = "linux")]
mod supervised;
#[cfg(target_os = "linux")]
mod tree;

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("memory is read from /proc, which only Linux has");
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    use meetcap_tests::parts;

    const PARTS: [parts::Part; 9] = [
        ("pair", pair::measure),
        ("overhead", overhead::measure),
        ("cold", overhead::measure_cold),
        ("release", release::measure),
        ("refusal", refusal::measure),
        ("oom", oom::measure),
        ("estimate", estimate::measure),
        ("sampling", sampling::measure),
        ("sandbox", sandbox::measure),
    ];

    if let Some(threads) = idle::threads_of_this_program() {
        return idle::main(threads);
    }
    let arguments = parts::arguments();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [supervised::ROLE, audio, stt, llm, folder, phases] => supervised::main(audio, stt, llm, folder, phases),
        // It needs packages of another language, so it is no part of all.
        [python::PART] => {
            println!("{}", python::PART);
            python::measure()
        }
        _ => parts::run(&PARTS, &arguments),
    }
}
