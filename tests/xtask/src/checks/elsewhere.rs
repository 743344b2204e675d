//! What can be linted of another system, on a machine that has neither its linker nor its C compiler.
//!
//! `ring`, which encrypts while models are fetched, is partly C, and its build script compiles that even where nothing
//! is linked. Linting never reads what comes out of it, so two scripts stand in for the compiler and the archiver: they
//! write empty files of the right kind. All the Rust is then linted, that of fetching included.
//!
//! An empty archive must never get into a program, and whether it is made anew for a real compiler is for that build
//! script to say. Hence a target folder of its own, from which nothing is linked for another system.
//!
//! ```text
//!  target/elsewhere/no-c/{cc,ar}       the scripts
//!  target/elsewhere/TARGET/            what was linted with them
//! ```

use std::path::{Path, PathBuf};

use super::{Context, Outcome};
use crate::run::Step;

pub(super) const TARGETS: [&str; 3] = ["aarch64-apple-darwin", "x86_64-pc-windows-gnu", "aarch64-unknown-linux-gnu"];

/// It is taken for gcc, which spares a guess, and it refuses whatever it is asked besides.
const COMPILER: &str = r#"#!/bin/sh
# Compiles nothing: leaves an empty file where an object file is wanted.
[ "$1" = -E ] && echo '#pragma message "gcc"' && exit
while [ $# -gt 1 ]; do
    [ "$1" = -o ] && : >"$2" && exit
    shift
done
echo "this stands in for a C compiler and compiles nothing" >&2
exit 1
"#;

const ARCHIVER: &str = r#"#!/bin/sh
# Packs nothing: `ar HOW ARCHIVE …` leaves an archive that is empty.
printf '!<arch>\n' >"$2"
"#;

pub(super) fn lints(context: &mut Context, target: &str) -> Outcome {
    let folder = Step::new("rustc").words("--print target-libdir --target").args([target]).output();
    if !folder.is_ok_and(|folder| Path::new(folder.trim()).is_dir()) {
        return Outcome::Skipped(format!(
            "its standard library is not installed; `rustup target add {target}` brings it"
        ));
    }
    if !cfg!(unix) {
        return Outcome::Skipped("what stands in for its C compiler is a shell script".to_owned());
    }
    let out = context.workspace.release.parent().unwrap_or(&context.workspace.release).join("elsewhere");
    let lint = |tools: &StandIns, package: &str| {
        let step = context.workspace.cargo().words("clippy --release --locked --target").args([target]);
        let step = step.args(["--target-dir".as_ref(), out.as_os_str()]).words("-p").words(package);
        tools.given_to(step, target).words("-- -D warnings").succeed()
    };
    let linted = StandIns::write(&out.join("no-c")).and_then(|tools| {
        lint(&tools, "meetcap-protocol --features worker")?;
        lint(&tools, "meetcap-supervisor")
    });
    linted.map(|()| "its C compiler is a stand-in that compiles nothing: nothing is linked".to_owned()).into()
}

#[derive(Debug)]
struct StandIns {
    compiler: PathBuf,
    archiver: PathBuf,
}

impl StandIns {
    fn write(folder: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(folder).map_err(|cause| format!("{} could not be made: {cause}", folder.display()))?;
        Ok(Self { compiler: script(folder, "cc", COMPILER)?, archiver: script(folder, "ar", ARCHIVER)? })
    }

    /// By the names that build scripts look for, this target's before the ones for all.
    fn given_to(&self, step: Step, target: &str) -> Step {
        let target = target.replace('-', "_");
        step.env(&format!("CC_{target}"), &self.compiler).env(&format!("AR_{target}"), &self.archiver)
    }
}

fn script(folder: &Path, name: &str, text: &str) -> Result<PathBuf, String> {
    let file = folder.join(name);
    let written = std::fs::write(&file, text).and_then(|()| make_executable(&file));
    written.map_err(|cause| format!("{} could not be written: {cause}", file.display()))?;
    Ok(file)
}

#[cfg(unix)]
fn make_executable(file: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_stand_ins_leave_empty_files_of_the_right_kind_and_refuse_the_rest() {
        let folder = std::env::temp_dir().join(format!("xtask-no-c-{}", std::process::id()));
        let tools = StandIns::write(&folder).expect("two scripts");
        let (object, archive) = (folder.join("it is.o"), folder.join("libit.a"));
        let compile = Step::new(&tools.compiler).words("-O3 -o").args([&object]).words("-c it.c").output();
        let pack = Step::new(&tools.archiver).words("cqD").args([&archive, &object]).output();
        let family = Step::new(&tools.compiler).words("-E family.c").output();
        let refused = Step::new(&tools.compiler).words("-?").output();
        let left = [&object, &archive].map(|file| std::fs::read(file).map_err(|cause| cause.kind()));
        std::fs::remove_dir_all(&folder).expect("the folder was made above");
        assert_eq!((compile.as_deref(), pack.as_deref()), (Ok(""), Ok("")));
        assert_eq!(left, [Ok(Vec::new()), Ok(b"!<arch>\n".to_vec())]);
        assert!(family.is_ok_and(|said| said.contains("\"gcc\"")));
        assert!(refused.is_err_and(|why| why.contains("compiles nothing")));
    }

    #[test]
    fn a_target_gets_the_stand_ins_by_its_own_name() {
        let tools = StandIns { compiler: "a/cc".into(), archiver: "a/ar".into() };
        let step = tools.given_to(Step::new("cargo"), TARGETS[1]);
        assert_eq!(step.line(), "AR_x86_64_pc_windows_gnu=a/ar CC_x86_64_pc_windows_gnu=a/cc cargo");
    }
}
