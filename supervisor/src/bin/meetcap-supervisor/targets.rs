//! Files that options name to be written, beside the results of a run.

use std::path::Path;

use meetcap_supervisor::ExitCode;
use meetcap_supervisor::output::{Audience, OutputError, commit, commit_for};

use super::Refusal;

/// Writes a file that an option names.
pub(crate) fn put(option: &str, target: &Path, text: String) -> Result<(), Refusal> {
    commit(&[(target.to_path_buf(), text)]).map_err(|error| unwritable(option, target, &error))
}

/// The same for those alone who may read `source`, of which it is made.
pub(crate) fn put_of(source: &Path, option: &str, target: &Path, text: String) -> Result<(), Refusal> {
    commit_for(Audience::of(source), &[(target.to_path_buf(), text)])
        .map_err(|error| unwritable(option, target, &error))
}

/// The remedies of a run speak of its options, which the commands that write such files do not have.
pub(crate) fn unwritable(option: &str, target: &Path, error: &OutputError) -> Refusal {
    let why = match error {
        OutputError::Folder { source, .. } | OutputError::File { source, .. } => source.to_string(),
        OutputError::InTheWay(_) => "something that is not a regular file is in the way".to_owned(),
        other => other.to_string(),
    };
    let message = format!("cannot write `{}`: {why}; choose another path with {option}", target.display());
    Refusal::new(ExitCode::Output, message)
}
