//! The programs of a package, built for everybody and not for the machine that builds.
//!
//! ```text
//!  worker-stt   once per level of x86-64, whisper.cpp built anew for each (its build script does not see what changed)
//!  worker-llm   once, with ggml's code for each kind of processor as a library of its own      } Linux; elsewhere one
//!  supervisor   once                                                                           } of each, with Metal
//! ```
//!
//! All in a target folder of its own, so that nothing that was built for this machine gets in, and nothing of this gets
//! into what is tested. Paths of this machine are replaced in what compilers write down.

use std::path::{Path, PathBuf};

use super::levels::{self, LEVELS, Level};
use super::licences::Shipped;
use super::target::{Os, Target};
use crate::binaries::{SUPERVISOR, WORKERS};
use crate::run::Step;
use crate::workspace::Workspace;

const PROFILE: &str = "dist";

/// What a package is made of.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) supervisor: PathBuf,
    /// The workers, with the names that they get.
    pub(crate) workers: Vec<(String, PathBuf)>,
    /// What the summary worker loads, from the folder `ggml` beside it.
    pub(crate) libraries: Vec<PathBuf>,
    pub(crate) shipped: Vec<Shipped>,
}

/// Builds everything for this machine's system.
pub(crate) fn all(workspace: &Workspace, target: Target) -> Result<Programs, String> {
    let builder = Builder::new(workspace, target)?;
    let kept = builder.out.join("programs");
    std::fs::create_dir_all(&kept).map_err(|cause| format!("{} could not be made: {cause}", kept.display()))?;
    builder.cargo(WORKERS[1], &[])?;
    builder.cargo(SUPERVISOR, &[])?;
    if target.has_levels() {
        for level in LEVELS {
            builder.speech_worker(level, &kept)?;
        }
    } else {
        builder.cargo(WORKERS[0], &[levels::for_everybody()])?;
    }
    found(workspace, target)
}

/// What an earlier [`all`] has built.
pub(crate) fn found(workspace: &Workspace, target: Target) -> Result<Programs, String> {
    let builder = Builder::new(workspace, target)?;
    let workers = if target.has_levels() {
        LEVELS.map(|level| (name_of(level), builder.out.join("programs").join(name_of(level)))).to_vec()
    } else {
        vec![(target.program(WORKERS[0]), builder.built(WORKERS[0]))]
    };
    let llm = (target.program(WORKERS[1]), builder.built(WORKERS[1]));
    let libraries =
        if target.os == Os::Linux { libraries(&builder.profile_folder().join("ggml"))? } else { Vec::new() };
    let programs = Programs {
        supervisor: builder.built(SUPERVISOR),
        workers: workers.into_iter().chain([llm]).collect(),
        libraries,
        shipped: [WORKERS[0], WORKERS[1], SUPERVISOR].map(|package| builder.shipped(package)).to_vec(),
    };
    for file in programs.workers.iter().map(|(_, file)| file).chain([&programs.supervisor]) {
        if !file.is_file() {
            return Err(format!("{} is not built; `cargo xtask dist` builds it", file.display()));
        }
    }
    Ok(programs)
}

fn name_of(level: Level) -> String {
    if level.is_plain() { WORKERS[0].to_owned() } else { format!("{}-{}", WORKERS[0], level.name) }
}

/// All of ggml's kinds, and the libraries with a version behind their names that the worker needs. llama.cpp's own
/// helpers for command lines are installed beside them; no program here has them.
fn libraries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(folder)
        .map_err(|cause| format!("{} could not be read: {cause}; `cargo xtask dist` fills it", folder.display()))?;
    let wanted = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        ["libggml-cpu-", "libggml-base.", "libggml.", "libllama."].iter().any(|known| name.starts_with(known))
    };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(wanted).collect();
    files.sort();
    Ok(files)
}

struct Builder<'a> {
    workspace: &'a Workspace,
    target: Target,
    out: PathBuf,
    /// What compilers would write down, and what they write instead.
    renamed: Vec<(String, &'static str)>,
}

impl<'a> Builder<'a> {
    fn new(workspace: &'a Workspace, target: Target) -> Result<Self, String> {
        let out = super::folder(workspace);
        let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo"))).unwrap_or_default();
        let build = out.join("build");
        let renamed = [(home, "/cargo"), (workspace.root.clone(), "/source"), (build, "/build")];
        let renamed: Vec<(String, &str)> =
            renamed.into_iter().map(|(from, to)| (from.to_string_lossy().into_owned(), to)).collect();
        // Flags for C compilers are split at blanks.
        match renamed.iter().find(|(from, _)| from.contains(char::is_whitespace)) {
            Some((from, _)) => Err(format!("a package cannot be built below {from}: its name has a blank")),
            None => Ok(Self { workspace, target, out, renamed }),
        }
    }

    fn profile_folder(&self) -> PathBuf {
        self.out.join("build").join(PROFILE)
    }

    fn built(&self, program: &str) -> PathBuf {
        self.profile_folder().join(self.target.program(program))
    }

    fn shipped(&self, package: &'static str) -> Shipped {
        let features = match (package, self.target.os) {
            (SUPERVISOR, _) | (_, Os::Windows) => "",
            (_, Os::Apple) => "metal",
            (worker, Os::Linux) if worker == WORKERS[1] => "portable",
            (_, Os::Linux) => "",
        };
        Shipped { package, features }
    }

    fn cargo(&self, package: &'static str, variables: &[(String, &'static str)]) -> Result<(), String> {
        let mut step = self.prepared().words("build --locked --profile").args([PROFILE, "-p", package]);
        let features = self.shipped(package).features;
        if !features.is_empty() {
            step = step.args(["--features", features]);
        }
        for (name, value) in variables {
            step = step.env(name, value);
        }
        step.succeed()
    }

    /// Cargo in the folder of its own, without what this machine would put in.
    fn prepared(&self) -> Step {
        let rust: Vec<String> =
            self.renamed.iter().map(|(from, to)| format!("--remap-path-prefix={from}={to}")).collect();
        let c: Vec<String> = self.renamed.iter().map(|(from, to)| format!("-ffile-prefix-map={from}={to}")).collect();
        let cargo = self.workspace.cargo().without(decides_what_is_built);
        let mut step = cargo.env("CARGO_TARGET_DIR", self.out.join("build"));
        step = step.env("CARGO_ENCODED_RUSTFLAGS", rust.join("\x1f"));
        if self.target.os != Os::Windows {
            step = step.env("CFLAGS", c.join(" ")).env("CXXFLAGS", c.join(" "));
        }
        step
    }

    /// Builds the speech worker for one level, and keeps it.
    fn speech_worker(&self, level: Level, kept: &Path) -> Result<(), String> {
        // Its build script does not ask to be run again when the variables change.
        self.prepared().words("clean --quiet --locked -p whisper-rs-sys --profile").args([PROFILE]).succeed()?;
        self.cargo(WORKERS[0], &level.variables())?;
        let copy = kept.join(name_of(level));
        let built = self.built(WORKERS[0]);
        std::fs::copy(&built, &copy).map_err(|cause| format!("{} could not be copied: {cause}", built.display()))?;
        // The engine as it was compiled for this level: `--check` looks into it.
        let archives = self.out.join("archives").join(level.name);
        let _ = std::fs::remove_dir_all(&archives);
        std::fs::create_dir_all(&archives)
            .map_err(|cause| format!("{} could not be made: {cause}", archives.display()))?;
        for archive in engine_archives(&self.profile_folder())? {
            let to = archives.join(archive.file_name().unwrap_or_default());
            std::fs::copy(&archive, to)
                .map_err(|cause| format!("{} could not be copied: {cause}", archive.display()))?;
        }
        Ok(())
    }
}

/// Variables that the engines' builds listen to; what they should be is said here.
fn decides_what_is_built(variable: &str) -> bool {
    variable == "SOURCE_DATE_EPOCH" || ["GGML_", "WHISPER_", "LLAMA_"].iter().any(|own| variable.starts_with(own))
}

/// The static libraries of the one build of whisper.cpp that there is after a cleaning.
fn engine_archives(profile: &Path) -> Result<Vec<PathBuf>, String> {
    let list = |folder: PathBuf| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let builds = list(profile.join("build")).filter(|path| path.join("out").is_dir());
    let engine =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("whisper-rs-sys-"));
    let installed =
        builds.filter(engine).flat_map(|build| ["lib", "lib64"].map(|folder| build.join("out").join(folder)));
    let mut archives: Vec<PathBuf> =
        installed.flat_map(list).filter(|path| path.extension().is_some_and(|ending| ending == "a")).collect();
    archives.sort();
    if archives.is_empty() {
        Err("whisper.cpp's libraries are not where its build leaves them".to_owned())
    } else {
        Ok(archives)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_shell_says_about_the_engines_is_not_listened_to() {
        for variable in ["GGML_NATIVE", "WHISPER_COREML", "LLAMA_BUILD_SHARED_LIBS", "SOURCE_DATE_EPOCH"] {
            assert!(decides_what_is_built(variable), "{variable}");
        }
        for variable in ["PATH", "CMAKE_GENERATOR", "CARGO_HOME", "HOME"] {
            assert!(!decides_what_is_built(variable), "{variable}");
        }
    }

    #[test]
    fn every_level_has_a_name_that_the_supervisor_looks_for() {
        let names = LEVELS.map(name_of);
        assert_eq!(names[0], "meetcap-worker-stt");
        assert_eq!(names[2], "meetcap-worker-stt-x86-64-v3");
    }
}
