//! A local socket that only this user can reach.

use std::path::{Path, PathBuf};

use interprocess::local_socket::tokio::{Listener, Stream};
use interprocess::local_socket::traits::tokio::{Listener as _, Stream as _};
use interprocess::local_socket::{GenericFilePath, ListenerOptions, ToFsName};
use thiserror::Error;

use crate::worker::is_same_user;

/// Why nothing is listened to.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ListenError {
    #[error("another server listens at `{}`; stop it, or name another path", path.display())]
    Taken { path: PathBuf },
    #[error("`{}` is there and is not a socket; remove it, or name another path", path.display())]
    NotASocket { path: PathBuf },
    #[error("cannot listen at `{}`: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
}

/// The socket. Its file goes with it.
#[derive(Debug)]
pub(super) struct Door {
    listener: Listener,
}

impl Door {
    /// A file that a server left behind when it was killed is taken over; one that is in use is not.
    pub(super) async fn open(path: &Path) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Io { path: path.to_path_buf(), source };
        if let Ok(metadata) = std::fs::symlink_metadata(path) {
            if !is_socket(&metadata) {
                return Err(ListenError::NotASocket { path: path.to_path_buf() });
            }
            let name = path.to_fs_name::<GenericFilePath>().map_err(failed)?;
            if Stream::connect(name).await.is_ok() {
                return Err(ListenError::Taken { path: path.to_path_buf() });
            }
            std::fs::remove_file(path).map_err(failed)?;
        }
        let name = path.to_fs_name::<GenericFilePath>().map_err(failed)?;
        let listener = private(ListenerOptions::new().name(name)).create_tokio().map_err(failed)?;
        Ok(Self { listener })
    }

    /// The next client that is this user's.
    pub(super) async fn next(&self) -> Stream {
        loop {
            match self.listener.accept().await {
                Ok(stream) if is_same_user(&stream) => return stream,
                Ok(_) => tracing::warn!("a client of another user was turned away"),
                // Too many open files, most likely: it passes, or nothing helps.
                Err(error) => {
                    tracing::warn!("a client could not be let in: {error}");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    }
}

#[cfg(unix)]
fn is_socket(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    metadata.file_type().is_socket()
}

#[cfg(not(unix))]
fn is_socket(_metadata: &std::fs::Metadata) -> bool {
    false
}

/// Nobody else can connect, from the moment the file is there.
#[cfg(target_os = "linux")]
fn private(options: ListenerOptions<'_>) -> ListenerOptions<'_> {
    use interprocess::os::unix::local_socket::ListenerOptionsExt;
    options.mode(0o600)
}

/// Here a file cannot be made with a mode; the check of who connects remains.
#[cfg(not(target_os = "linux"))]
fn private(options: ListenerOptions<'_>) -> ListenerOptions<'_> {
    options
}
