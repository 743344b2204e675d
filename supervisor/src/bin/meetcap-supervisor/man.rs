//! `man`: the manual pages, from the same description as `--help`: one for the program and one for each command. Hidden,
//! because whoever installs a package has them already.

use std::path::Path;

use clap::CommandFactory;
use meetcap_supervisor::ExitCode;

use super::Refusal;
use super::args::Cli;

pub(crate) fn write(folder: &Path) -> Result<ExitCode, Refusal> {
    let written = clap_mangen::generate_to(Cli::command(), folder);
    written.map(|()| ExitCode::Done).map_err(|error| {
        let folder = folder.display();
        Refusal::new(
            ExitCode::Output,
            format!(
                "manual pages cannot be written to {folder}: {error}; name a folder that is there and can be written"
            ),
        )
    })
}
