//! A scripted worker: the real runtime around an engine that misbehaves on command, so that failures which real
//! engines cannot be made to show are shown by real processes.
//!
//! The script is the file that `MEETCAP_FAKE_SCRIPT` names, else `<program>.script` beside the program. A line is
//!
//! ```text
//! [stt|llm] STEP: ACTION
//! ```
//!
//! with the steps `start` (before anything), `hello` (connected, no Hello sent yet), `plan`, `load`, `job NAME`
//! (a recording is begun), `window N` (unit N of the job, from 0), `window N of NAME` (of this recording alone),
//! `unload`, and the actions of [`Action`]. Steps without a line go well. What the
//! runtime itself could never be made to do is the step `raw`, whose action is a name of [`Trick`], or the step `lie`,
//! whose action is the name of something untrue in well-formed frames (`lies.rs`).
//!
//! An action after `once` or `times K` is done so often over all workers that use the script, so that a restarted
//! worker fares better; what they did is in [`log_of`] the script. `windows: N` gives the recording N windows;
//! `drops: N REASON` drops the text of window N;
//! `sandbox: cpu` (or `cuda`, `vulkan`) locks the worker in as a real one, which then cannot keep its log; without it the worker says that it
//! is locked in, and with `sandbox: none` that it is not;
//! `sizes: A B …` are the mebibytes that a summary model says its set-ups take.

mod engine;
#[cfg(target_os = "linux")]
mod escape;
mod lies;
mod memory;
mod raw;
mod script;

use std::process::ExitCode;

use meetcap_protocol::FromWorker;
use meetcap_protocol::payload::Role;
use meetcap_protocol::runtime::{Engine, lock_in, worker_main_in};

pub use engine::{ANSWER, FakeLlm, FakeStt, WINDOWS, window_text};
pub use lies::{AFTER, BEFORE, Lie};
pub use raw::Trick;
use script::Walls;
pub use script::{Action, LAST_WORDS, SECRET, Script, Step, log_of};

/// A role that can be scripted.
pub trait Scripted: Engine {
    /// A well-formed plan and final frame, for tricks that need one.
    fn report(request: &<Self::Role as Role>::PlanRequest) -> <Self::Role as Role>::PlanReport;
    fn output() -> <Self::Role as Role>::Output;
    /// A job's frames, the final one apart, as lies need them around.
    fn honest() -> (Vec<FromWorker<Self::Role>>, <Self::Role as Role>::Output);
    /// What this role alone can say untruly.
    fn lie(name: &str) -> Option<Lie<Self::Role>>;
}

/// A scripted worker's whole `main`.
pub fn main<E: Scripted>(make: impl FnOnce(Script) -> E) -> ExitCode {
    let script = Script::of_this_program(<E::Role as Role>::KIND);
    // Before there is a connection a fault cannot be told.
    let _ = script.act(&Step::Start);
    if let Some(name) = script.lie() {
        let lie = lies::of_any::<E>(name).or_else(|| E::lie(name)).unwrap_or_else(|| panic!("unknown lie: {name}"));
        return raw::play::<E>(Trick::Lies, Some(lie));
    }
    if let Some(trick) = script.trick() {
        return raw::play::<E>(trick, None);
    }
    let walls = script.walls();
    let script = if matches!(walls, Walls::Real(_)) { script.without_memory() } else { script };
    let make = || {
        let _ = script.act(&Step::Hello);
        make(script)
    };
    match walls {
        Walls::Real(computes) => worker_main_in(|hello| lock_in(hello, computes), make),
        Walls::Played(status) => worker_main_in::<E, _, _>(|_| status, make),
    }
}
