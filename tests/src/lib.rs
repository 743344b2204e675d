//! What the suites share: finding and running the programs under test, making recordings, judging transcripts,
//! and the workings of the two scripted workers.
//!
//! The suites in `suites/` run what is in the release folder. They need `espeak-ng`, `sox` and `ffmpeg` for the
//! recordings, and build nothing themselves:
//!
//! ```text
//! cargo build --release -p meetcap-supervisor     each with its own -p: Cargo unifies features over one build
//! cargo build --release -p meetcap-worker-stt
//! cargo build --release -p meetcap-worker-llm
//! cargo test --release -p meetcap-tests
//! ```
//!
//! Whatever is random prints its seed; `MEETCAP_TEST_SEED` repeats it.

pub mod bins;
#[cfg(unix)]
pub mod case;
#[cfg(target_os = "linux")]
pub mod cgroup;
pub mod deadline;
#[cfg(unix)]
pub mod demo;
#[cfg(unix)]
pub mod disk;
pub mod fake;
pub mod figures;
pub mod frames;
#[cfg(unix)]
pub mod held;
#[cfg(target_os = "linux")]
pub mod hog;
pub mod hostile;
#[cfg(unix)]
pub mod hub;
#[cfg(unix)]
pub mod long;
pub mod meeting;
pub mod parts;
#[cfg(target_os = "linux")]
pub mod proc;
#[cfg(unix)]
pub mod processes;
pub mod recall;
pub mod rng;
#[cfg(unix)]
pub mod room;
#[cfg(unix)]
pub mod rpc;
#[cfg(unix)]
pub mod run;
pub mod schema;
pub mod shapes;
pub mod speech;
pub mod subtitles;
#[cfg(unix)]
pub mod terminal;
pub mod wav;
pub mod wer;
