//! The edge: which file is read, and how. It is only ever read.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::layers::{Arguments, resolve};
use super::{Config, Provenance};

/// Bytes that are read at most; meetcap's own file has about three thousand.
pub const LARGEST_FILE: u64 = 128 << 10;

/// The variable that names the home folder.
pub(super) const HOME: &str = if cfg!(windows) { "USERPROFILE" } else { "HOME" };

/// Whether this is the name of the variable that [`resolve`] asks for the home folder.
pub fn is_home(variable: &str) -> bool {
    variable == HOME
}

/// The folder, in the home folder, of file and models.
pub(super) const FOLDER: &str = ".meetcap";

/// A configuration as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    pub config: Config,
    pub provenance: Provenance,
    /// The file that was read; `None` when it is not there.
    pub file: Option<PathBuf>,
}

/// The file that is read: the one that is named, else `.meetcap/config.toml` in the home folder. Absolute, whether it
/// is there or not.
///
/// # Errors
/// [`ConfigError::NoHome`] when none is named and there is no home folder.
pub fn path(named: Option<&Path>) -> Result<PathBuf, ConfigError> {
    let path = match named {
        Some(path) => path.to_path_buf(),
        None => home().ok_or(ConfigError::NoHome)?.join(FOLDER).join("config.toml"),
    };
    Ok(std::path::absolute(&path).unwrap_or(path))
}

/// Reads the file, if it is there, and the environment, and lays `arguments` over both. A file that is named must be
/// there. What was ignored in it is told to the log.
///
/// # Errors
/// [`ConfigError`], whatever it is.
pub fn load(named: Option<&Path>, arguments: Arguments) -> Result<Loaded, ConfigError> {
    let path = match path(named) {
        // A service without a home folder has no file there either.
        Err(ConfigError::NoHome) => None,
        path => Some(path?),
    };
    let text = match &path {
        Some(path) => read(path)?,
        None => None,
    };
    if let (Some(named), None) = (named, &text) {
        return Err(ConfigError::Missing { path: named.to_path_buf() });
    }
    let file = path.filter(|_| text.is_some());
    let (config, provenance) = resolve(file.as_deref().zip(text.as_deref()), variable, arguments)?;
    for ignored in &provenance.ignored {
        tracing::debug!("{ignored}");
    }
    Ok(Loaded { config, provenance, file })
}

fn variable(name: &str) -> Option<OsString> {
    if name == HOME { home().map(Into::into) } else { std::env::var_os(name) }
}

/// The user's entry in the system serves where the variable is not set.
fn home() -> Option<PathBuf> {
    std::env::home_dir().filter(|home| !home.as_os_str().is_empty())
}

/// The file's text; `None` when there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<String>, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_path_buf(), source };
    let not_a_file = |detail| Err(ConfigError::NotAFile { path: path.to_path_buf(), detail });
    // Before it is opened: opening a pipe waits for whoever writes to it.
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    if metadata.is_dir() {
        return not_a_file("it is a folder");
    }
    if !metadata.is_file() && path != Path::new("/dev/null") {
        return not_a_file("it is a pipe or a device; save it to a file first");
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(ConfigError::TooLarge { path: path.to_path_buf(), limit: LARGEST_FILE });
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(error) => {
            let sound = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = sound.iter().filter(|byte| **byte == b'\n').count() + 1;
            Err(ConfigError::NotUtf8 { path: path.to_path_buf(), line })
        }
    }
}
