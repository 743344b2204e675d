//! `cargo xtask bench`: builds what is measured, measures it, writes the results and the page made of them.

use std::process::ExitCode;

use crate::binaries::{SUPERVISOR, WORKERS};
use crate::checks;
use crate::criteria;
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace, parts: &[String]) -> Result<ExitCode, String> {
    if !cfg!(target_os = "linux") {
        return Err("`bench` reads memory and processes from /proc, which only Linux has".to_owned());
    }
    for program in [WORKERS[0], SUPERVISOR, "meetcap-tests"] {
        checks::build(workspace, program)?;
    }
    let bench = workspace.cargo().words("bench --locked -p meetcap-tests --bench processes --").args(parts);
    bench.env("MEETCAP_BIN_DIR", &workspace.release).succeed()?;
    criteria::write(workspace)
}
