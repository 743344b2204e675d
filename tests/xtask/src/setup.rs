//! The set-up: look for each tool, install what is missing with the system's own package manager, look again.
//!
//! ```text
//!   look ──► nothing missing ──► go on
//!     │
//!     └──► something is ──► may it be installed? ── no ──► the command to run by hand, and stop
//!                                    │
//!                                   yes ──► print the command, run it (twice at most), look again
//! ```

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use crate::args::Install;
use crate::run::{Step, on_path};
use crate::tools::{self, Manager, Rights, Tool};

/// Makes sure that every wanted tool is there.
pub(crate) fn ensure(wanted: &[Tool], install: Install) -> Result<(), String> {
    let missing = tools::missing(wanted, &look_for(wanted));
    if missing.is_empty() {
        println!("set-up: nothing missing ({})", names(wanted));
        return Ok(());
    }
    println!("set-up: missing:");
    for tool in &missing {
        println!("  {:<12} {}", tool.name(), tool.why());
    }
    let commands = commands_for(&missing)?;
    if install == Install::OnlyCheck {
        return Err(format!("{} missing; install with:\n{}", names(&missing), by_hand(&commands.lines)));
    }
    if let Some(why) = commands.refusal {
        return Err(format!("cannot install {}: {why}; run by hand:\n{}", names(&missing), by_hand(&commands.lines)));
    }
    println!("set-up: installing with this system's package manager:");
    if let Err(first) = run_each(&commands.lines) {
        println!("set-up: {first}; trying once more");
        run_each(&commands.lines)?;
    }
    let still = tools::missing(wanted, &look_for(wanted));
    if still.is_empty() { Ok(()) } else { Err(format!("installed, but {} still cannot be found", names(&still))) }
}

/// `cargo fmt` and `cargo clippy` are components that a minimal toolchain leaves out.
pub(crate) fn ensure_rust_components(install: Install) -> Result<(), String> {
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if Step::cargo(Path::new(".")).args([subcommand, "--version"]).output().is_ok() {
            continue;
        }
        let add = Step::new("rustup").args(["component", "add", component]);
        if install == Install::OnlyCheck || !on_path("rustup") {
            return Err(format!("`cargo {subcommand}` is missing; install with:\n  {}", add.line()));
        }
        println!("set-up: `cargo {subcommand}` is missing from this toolchain");
        add.succeed()?;
    }
    Ok(())
}

struct Commands {
    /// With sudo in front where it is needed.
    lines: Vec<Vec<String>>,
    /// Why they cannot be run from here.
    refusal: Option<&'static str>,
}

fn commands_for(missing: &[Tool]) -> Result<Commands, String> {
    let Some(manager) = Manager::ALL.into_iter().find(|manager| on_path(manager.program())) else {
        return Err(unknown_system(missing));
    };
    let packages = manager.packages(missing).map_err(|tool| {
        format!("{} is missing and {} does not bring it; run `xcode-select --install`", tool.name(), manager.program())
    })?;
    let (prefix, refusal) = match tools::prefix(manager, rights()) {
        Ok(prefix) => (prefix, None),
        Err(why) => (&[][..], Some(why)),
    };
    let mut lines = manager.commands(&packages);
    for line in &mut lines {
        line.splice(0..0, prefix.iter().map(|&word| word.to_owned()));
    }
    Ok(Commands { lines, refusal })
}

fn unknown_system(missing: &[Tool]) -> String {
    if cfg!(windows) {
        return format!(
            "{} missing; install CMake, LLVM (and set LIBCLANG_PATH to its `bin` folder) and the C++ part of the Visual \
             Studio Build Tools; the tests also want ffmpeg, espeak-ng, sox, Python 3 and Node.js on PATH",
            names(missing)
        );
    }
    format!("{} missing, and none of the package managers known here is on PATH; install them by hand", names(missing))
}

fn rights() -> Rights {
    let uid = Step::new("id").args(["-u"]).output().unwrap_or_default();
    if uid.trim() == "0" {
        Rights::Root
    } else if on_path("sudo") {
        Rights::Sudo { may_ask: std::io::stdin().is_terminal() }
    } else {
        Rights::None
    }
}

fn run_each(commands: &[Vec<String>]) -> Result<(), String> {
    commands.iter().try_for_each(|command| Step::new(&command[0]).args(&command[1..]).succeed())
}

fn by_hand(commands: &[Vec<String>]) -> String {
    commands.iter().map(|command| format!("  {}", command.join(" "))).collect::<Vec<_>>().join("\n")
}

fn names(tools: &[Tool]) -> String {
    tools.iter().map(|tool| tool.name()).collect::<Vec<_>>().join(", ")
}

fn look_for(wanted: &[Tool]) -> BTreeSet<Tool> {
    wanted.iter().copied().filter(|&tool| is_there(tool)).collect()
}

fn is_there(tool: Tool) -> bool {
    match tool {
        Tool::Cmake => on_path("cmake"),
        // Visual Studio brings its own build tool and compiler, and neither is on PATH.
        Tool::Make => cfg!(windows) || on_path("make"),
        // By this name (or CXX) the build scripts call it.
        Tool::CxxCompiler => cfg!(windows) || std::env::var_os("CXX").is_some() || on_path("c++"),
        Tool::Clang => on_path("clang") || (cfg!(windows) && std::env::var_os("LIBCLANG_PATH").is_some()),
        Tool::Libclang => libclang_is_there(),
        Tool::Ffmpeg => on_path("ffmpeg"),
        Tool::EspeakNg => on_path("espeak-ng"),
        Tool::Sox => on_path("sox"),
        Tool::Python => on_path("python3") || (cfg!(windows) && on_path("python")),
        Tool::Node => on_path("node"),
    }
}

fn libclang_is_there() -> bool {
    let path = std::env::var_os("LIBCLANG_PATH").map(PathBuf::from);
    if path.as_deref().is_some_and(Path::is_file) {
        return true;
    }
    let llvm_config = Step::new("llvm-config").args(["--libdir"]).output().ok();
    let folders = path.into_iter().chain(llvm_config.map(|text| PathBuf::from(text.trim()))).chain(known_folders());
    if folders.into_iter().any(|folder| holds_libclang(&folder)) {
        return true;
    }
    // One library a line: `libclang-14.so.1 (libc6,x86-64) => /usr/lib/…`.
    let cached = Step::new("ldconfig").args(["-p"]).output().unwrap_or_default();
    cached.lines().filter_map(|line| line.split_whitespace().next()).any(tools::is_libclang)
}

/// Where distributions put it: a library folder, a folder below one, or that folder's own `lib`.
fn known_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = [
        "/usr/local/opt/llvm/lib",
        "/opt/homebrew/opt/llvm/lib",
        "/Library/Developer/CommandLineTools/usr/lib",
        "/Applications/Xcode.app/Contents/Developer/Toolchains/XcodeDefault.xctoolchain/usr/lib",
        "C:\\Program Files\\LLVM\\bin",
    ]
    .map(PathBuf::from)
    .into();
    for root in ["/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64"] {
        folders.push(root.into());
        for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
            folders.push(entry.path().join("lib"));
            folders.push(entry.path());
        }
    }
    folders
}

fn holds_libclang(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| tools::is_libclang(&entry.file_name().to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_to_be_run_by_hand_is_written_as_it_is_typed() {
        let commands = Manager::Apt.commands(&["cmake"]);
        let text = by_hand(&commands);
        assert_eq!(text.lines().count(), 2);
        assert!(text.ends_with(" cmake"));
    }

    #[test]
    fn an_unknown_system_is_told_what_is_missing() {
        assert!(unknown_system(&[Tool::Cmake, Tool::Sox]).starts_with("cmake, sox missing"));
    }

    #[test]
    fn a_folder_that_does_not_exist_holds_no_libclang() {
        assert!(!holds_libclang(Path::new("/a/folder/nobody/has")));
    }
}
