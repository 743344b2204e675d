//! No engine's code uses what its level has not: wider registers, and of v1 also some instructions of v2. A disassembler
//! reads the engines as they were compiled: whisper.cpp's libraries of each level, and each library that the summary
//! worker loads.
//!
//! Rust's own code is built for every x86-64, and where it has faster ways (sums, Fourier transforms, as libopus does) it
//! asks the processor first. Such code is in every program and is not looked at.

use std::path::{Path, PathBuf};

use crate::dist::levels::{BEYOND_V1, BEYOND_V2, BEYOND_V3, BEYOND_V4, LEVELS};
use crate::run::Step;

/// What was read, in one line.
pub(crate) fn of_levels(out: &Path, libraries: &[PathBuf]) -> Result<String, String> {
    let mut read = 0;
    for level in LEVELS {
        let folder = out.join("archives").join(level.name);
        let archives: Vec<PathBuf> =
            std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        if archives.is_empty() {
            return Err(format!(
                "{} has no libraries; `cargo xtask dist` without `--reuse` leaves them there",
                folder.display()
            ));
        }
        let mut wide = false;
        for archive in &archives {
            let code = disassembled(archive)?;
            none_of(&code, level.forbidden(), archive)?;
            wide |= code.contains("%ymm");
            read += 1;
        }
        // Or the search would be blind.
        if wide != level.forbidden().iter().all(|register| *register != "%ymm") {
            return Err(format!("the libraries of {} do not use what this level has", level.name));
        }
    }
    for library in libraries {
        let name = library.file_name().unwrap_or_default().to_string_lossy();
        none_of(&disassembled(library)?, of_library(&name), library)?;
        read += 1;
    }
    Ok(format!("{read} libraries use no registers and instructions beyond their level"))
}

/// What a library of ggml's may not use, by the kind of processor in its name.
fn of_library(name: &str) -> &'static [&'static str] {
    let kind = name.strip_prefix("libggml-cpu-").and_then(|rest| rest.strip_suffix(".so"));
    match kind {
        // Not for a kind of processor: it runs everywhere.
        None | Some("x64") => BEYOND_V1,
        Some("sse42") => BEYOND_V2,
        Some("sandybridge" | "ivybridge" | "piledriver" | "haswell" | "alderlake") => BEYOND_V3,
        Some("sapphirerapids") => &[],
        Some(_) => BEYOND_V4,
    }
}

fn disassembled(file: &Path) -> Result<String, String> {
    Step::new("objdump").words("-d --no-show-raw-insn").args([file]).output()
}

fn none_of(code: &str, registers: &[&str], file: &Path) -> Result<(), String> {
    if !code.contains("Disassembly of section") && code.contains("file format") {
        // A library without code of its own.
        return Ok(());
    }
    match registers.iter().find(|register| code.contains(*register)) {
        Some(register) => Err(format!("{} uses {}, which its level has not", file.display(), register.trim())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_library_tells_what_it_may_use() {
        assert!(of_library("libllama.so.0").contains(&"%ymm"));
        assert!(of_library("libggml-cpu-sse42.so").contains(&"%ymm"));
        assert!(!of_library("libggml-cpu-haswell.so").contains(&"%ymm"));
        assert!(of_library("libggml-cpu-alderlake.so").contains(&"%zmm"));
        assert!(!of_library("libggml-cpu-zen4.so").contains(&"%zmm"));
    }

    #[test]
    fn a_register_that_is_too_wide_is_named() {
        let code = "Disassembly of section .text:\n  0: vaddps %zmm0,%zmm1,%zmm2\n";
        assert!(none_of(code, &["%zmm"], Path::new("a")).is_err_and(|why| why.contains("%zmm")));
        assert_eq!(none_of(code, &["%tmm"], Path::new("a")), Ok(()));
    }
}
