//! Compiles the C++ in `src/native`. The standard library is linked by llama-cpp-sys-2, statically where its features
//! say so. With the feature `portable` llama.cpp and ggml are shared libraries: they are laid beside the program, where
//! it looks for them.

use std::path::{Path, PathBuf};

/// The folder beside the program. `src/backends.rs` says it too.
const LIBRARIES: &str = "ggml";

fn main() {
    println!("cargo:rerun-if-changed=src/native/buffers.cpp");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .cpp_link_stdlib(None)
        .file("src/native/buffers.cpp")
        .compile("meetcap_llama_buffers");
    let linux = std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux");
    if let Some(backends) = std::env::var_os("DEP_LLAMA_BACKENDS_DIR").filter(|_| linux) {
        // The old kind of entry, on purpose: it comes before LD_LIBRARY_PATH, where another llama.cpp may lie, and it
        // also holds for what the libraries need themselves.
        println!("cargo:rustc-link-arg-bins=-Wl,--disable-new-dtags,-rpath,$ORIGIN/{LIBRARIES}");
        lay_out(Path::new(&backends)).expect("llama.cpp's libraries can be copied beside the program");
    }
}

/// Copies what llama.cpp's build has installed: ggml's code for each kind of processor, and the libraries that need one
/// another by the names with a version behind them.
fn lay_out(backends: &Path) -> std::io::Result<()> {
    let out = std::env::var_os("OUT_DIR").map(PathBuf::from).unwrap_or_default();
    // …/PROFILE/build/PACKAGE-HASH/out
    let beside = out.ancestors().nth(3).unwrap_or(&out).join(LIBRARIES);
    if beside.exists() {
        std::fs::remove_dir_all(&beside)?;
    }
    std::fs::create_dir_all(&beside)?;
    let installed = backends.parent().unwrap_or(backends);
    for folder in [backends.to_path_buf(), installed.join("lib"), installed.join("lib64")] {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if name.ends_with(".so") && path.starts_with(backends) || is_versioned(name) {
                std::fs::copy(&path, beside.join(name))?;
            }
        }
    }
    Ok(())
}

/// `libllama.so.0`, and neither `libllama.so` nor `libllama.so.0.1.2`, which are the same file.
fn is_versioned(name: &str) -> bool {
    let version = name.split_once(".so.").map(|(_, version)| version);
    version.is_some_and(|version| !version.is_empty() && version.chars().all(|letter| letter.is_ascii_digit()))
}
