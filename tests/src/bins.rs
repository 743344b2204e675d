//! Where the programs under test are: in the folder that `MEETCAP_BIN_DIR` names, else in the folder above that
//! of the running test.

use std::path::PathBuf;

/// The supervisor.
pub const SUPERVISOR: &str = "meetcap-supervisor";
/// The scripted workers.
pub const FAKE_STT: &str = "fake-worker-stt";
pub const FAKE_LLM: &str = "fake-worker-llm";
/// A program that nobody invited.
pub const STRANGER: &str = "stranger";

/// The file of the program `name`.
///
/// # Panics
/// When it is not there; the message says how to build it.
pub fn find(name: &str) -> PathBuf {
    let file = folder().join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(file.is_file(), "{} is not there; build it with `cargo build --release -p …`", file.display());
    file
}

fn folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("MEETCAP_BIN_DIR") {
        return PathBuf::from(folder);
    }
    let test = std::env::current_exe().expect("a running test has a file");
    let deps = test.parent().expect("the file has a folder");
    let release = if deps.ends_with("deps") { deps.parent().expect("deps has a folder above") } else { deps };
    release.to_path_buf()
}
