//! ggml's code for this processor, where it is a shared library: what is distributed for Linux (feature `portable`).
//!
//! ```text
//!  …/libexec/meetcap/meetcap-worker-llm
//!                    ggml/  libllama, libggml, libggml-base        named in the program, loaded before `main`
//!                           libggml-cpu-{x64, sse42, haswell, …}   one of them, loaded here: the best that runs
//! ```
//!
//! # What it may not do
//!
//! - Run after the worker has locked itself in, which forbids executable memory, or beside another thread.
//! - Look anywhere but in that folder. Left to itself, ggml looks in the current folder as well, where whoever sent
//!   a recording may have put a library, and in the folder of a variable. So llama.cpp is never asked to do anything
//!   while nothing is loaded.
//!
//! # Failures
//!
//! Without its folder the worker says so and ends; it is not installed as it should be.

#![expect(unsafe_code, reason = "ggml is asked to load libraries")]

use std::ffi::CString;
use std::path::{Path, PathBuf};

use llama_cpp_sys_2 as sys;

/// Beside the program. The build script says it too.
const FOLDER: &str = "ggml";

/// Nothing for a higher level is loaded. The supervisor goes by it too, and refuses what is no level.
const LEVEL_VARIABLE: &str = "MEETCAP_CPU_LEVEL";

/// Another library to load, which ggml would look for itself.
const STRAY_VARIABLE: &str = "GGML_BACKEND_PATH";

/// Levels of x86-64 from the lowest, each with ggml's name for a processor that has this level and nothing more.
const LEVELS: [(&str, &str); 4] =
    [("x86-64-v1", "x64"), ("x86-64-v2", "sse42"), ("x86-64-v3", "haswell"), ("x86-64-v4", "skylakex")];

/// Loads the best that runs here, or the best of a lower level that the user asks for.
///
/// # Errors
/// With what is missing.
///
/// # Safety
/// No other thread may run: the environment is changed.
pub(crate) unsafe fn load() -> Result<(), String> {
    // SAFETY: the caller says that no other thread could read the environment meanwhile.
    unsafe { std::env::remove_var(STRAY_VARIABLE) };
    let program =
        std::env::current_exe().map_err(|cause| format!("it cannot be told where this program is: {cause}"))?;
    let folder = program.parent().unwrap_or(Path::new("/")).join(FOLDER);
    match std::env::var_os(LEVEL_VARIABLE) {
        None => {
            let folder = c_string(&folder)?;
            // SAFETY: a string that ends with NUL and outlives the call; ggml copies what it keeps of it.
            unsafe { sys::ggml_backend_load_all_from_path(folder.as_ptr()) };
        }
        Some(level) => {
            for file in of_level(&folder, &level.to_string_lossy())? {
                let file = c_string(&file)?;
                // SAFETY: as above. ggml returns null for a library that is not there or that this processor cannot run.
                if !unsafe { sys::ggml_backend_load(file.as_ptr()) }.is_null() {
                    break;
                }
            }
        }
    }
    if is_loaded() {
        return Ok(());
    }
    let folder = folder.display();
    Err(format!("{folder} has no code of ggml's that this processor can run; install meetcap-supervisor again"))
}

/// The libraries for `level` and those below it, from the best.
fn of_level(folder: &Path, level: &str) -> Result<Vec<PathBuf>, String> {
    let at = LEVELS.iter().position(|(name, _)| *name == level).ok_or_else(|| {
        let names = LEVELS.map(|(name, _)| name).join(", ");
        format!("{LEVEL_VARIABLE} is {level:?}; it is one of {names}, or left out for the best")
    })?;
    let file = |(_, processor): &(&str, &str)| folder.join(format!("libggml-cpu-{processor}.so"));
    Ok(LEVELS[..=at].iter().rev().map(file).collect())
}

fn is_loaded() -> bool {
    // SAFETY: reads ggml's list, to which nothing is added meanwhile.
    !unsafe { sys::ggml_backend_dev_by_type(sys::GGML_BACKEND_DEVICE_TYPE_CPU) }.is_null()
}

/// ggml's name for what was loaded, from the process's own list of mapped files.
pub(crate) fn loaded() -> Option<String> {
    of_maps(&std::fs::read_to_string("/proc/self/maps").ok()?)
}

fn of_maps(maps: &str) -> Option<String> {
    let name = |line: &str| Some(line.rsplit_once("/libggml-cpu-")?.1.strip_suffix(".so")?.to_owned());
    maps.lines().find_map(name)
}

fn c_string(path: &Path) -> Result<CString, String> {
    use std::os::unix::ffi::OsStrExt;
    CString::new(path.as_os_str().as_bytes()).map_err(|_| format!("{} cannot be handed to ggml", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_tried_before_those_below_it_and_none_above_it_is() {
        let files = of_level(Path::new("/p/ggml"), "x86-64-v3").expect("a level");
        let expected = ["haswell", "sse42", "x64"].map(|name| PathBuf::from(format!("/p/ggml/libggml-cpu-{name}.so")));
        assert_eq!(files, expected);
    }

    #[test]
    fn what_is_no_level_is_refused_with_those_that_are() {
        let why = of_level(Path::new("/p"), "haswell").expect_err("no level");
        assert!(["haswell", "x86-64-v1", "x86-64-v4", LEVEL_VARIABLE].iter().all(|part| why.contains(part)), "{why}");
    }

    #[test]
    fn what_was_loaded_is_read_from_the_mapped_files() {
        let maps = "7f00-7f01 r--p 00000000 fe:00 12 /p a/ggml/libggml-base.so.0\n\
                    7f01-7f02 r-xp 00000000 fe:00 13 /p a/ggml/libggml-cpu-zen4.so\n";
        assert_eq!(of_maps(maps).as_deref(), Some("zen4"));
        assert_eq!(of_maps("7f00-7f01 r--p 0 fe:00 12 /lib/libc.so.6\n"), None);
    }
}
