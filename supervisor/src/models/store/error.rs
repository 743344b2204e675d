//! Why the folder of models does not do what was asked.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use crate::memory::Bytes;
use crate::models::catalog::Kind;
use crate::models::digest::Digest;
use crate::models::header::ModelError;

/// Nothing has come, and nothing has gone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    #[error("`{file}` is no plain file name; models lie in one folder, without folders in it")]
    Name { file: String },
    #[error("there is no `{file}` in {}; `meetcap-supervisor models list` shows what is there", folder.display())]
    Absent { file: String, folder: PathBuf },
    #[error("`{file}` is being fetched or taken in already{}; wait for it, or end that one first", by(*pid))]
    Busy { file: String, pid: Option<u32> },
    #[error("`{file}` is there already with another content; remove it first: meetcap-supervisor models remove {file}")]
    Another { file: String },
    #[error("what came as `{file}` is no model that can be used here: {detail}")]
    NotAModel { file: String, detail: String },
    #[error("`{file}` is {found}, and {wanted} was asked for")]
    OtherKind { file: String, wanted: Kind, found: Kind },
    #[error("`{file}` was changed since it came: it has SHA-256 {found} and {bytes} bytes, and came with {expected}")]
    Changed { file: String, expected: Digest, found: Digest, bytes: u64 },
    #[error("the disk has not enough room in {}: {needed} are needed and {free} are free; remove something, or set models_dir", folder.display())]
    Full { folder: PathBuf, needed: Bytes, free: Bytes },
    #[error("cannot use `{}`: {source}; {}", path.display(), remedy(source))]
    Io { path: PathBuf, source: io::Error },
    #[error("interrupted")]
    Interrupted,
}

impl StoreError {
    pub(super) fn not_a_model(file: &str, error: &ModelError) -> Self {
        let detail = match error {
            ModelError::Invalid { detail, .. } => detail.clone(),
            other => other.to_string(),
        };
        Self::NotAModel { file: file.to_owned(), detail }
    }
}

fn by(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" by process {pid}"))
}

pub(in crate::models) fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some space, or set models_dir to another folder",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "change its permissions, or set models_dir to another folder"
        }
        ErrorKind::NotFound => "check the path",
        _ => "check the disk, or set models_dir to another folder",
    }
}
