//! Why a model was not fetched. Whatever the reason: nothing has the model's name, and what is on disk is gone on with.

use std::io;
use std::path::PathBuf;

use crate::memory::Bytes;
use crate::models::digest::Digest;
use crate::models::store::StoreError;

/// A fetch that failed for good, or was given up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PullError {
    #[error(
        "`{name}` is not fetched, as {variable} forbids to use the network; take that away, or bring the file yourself: meetcap-supervisor models add PATH"
    )]
    Offline { name: String, variable: &'static str },
    #[error("`{address}` is no address that can be fetched from: it has to be https, or http on this machine")]
    Insecure { address: String },
    #[error(
        "the proxy in {variable} cannot be used, and nothing is fetched past it; it has to be http://HOST:PORT or https://HOST:PORT"
    )]
    Proxy { variable: &'static str },
    #[error(
        "{host} is not believed to be itself: {cause}; are this machine's clock and certificates (ca-certificates, or a file that SSL_CERT_FILE names) right?"
    )]
    Untrusted { host: String, cause: String },
    #[error("no connection to {host}: {cause}; is there a network? HTTPS_PROXY names a proxy, HF_ENDPOINT a mirror")]
    NoNetwork { host: String, cause: String },
    #[error(
        "{host} asks for a token (HTTP {status}) before it gives `{name}`; make one there, accept the model's terms there if it has some, and set HF_TOKEN"
    )]
    TokenMissing { name: String, host: String, status: u16 },
    #[error(
        "{host} does not give `{name}` to the token of HF_TOKEN (HTTP {status}); is it valid, and were the model's terms accepted on its page?"
    )]
    TokenRefused { name: String, host: String, status: u16 },
    #[error("{host} does not have `{name}` (HTTP {status}) at {address}; it may have been moved or removed")]
    NotFound { name: String, host: String, address: String, status: u16 },
    #[error("{host} answers with HTTP {status} for `{name}`; try again later, or name a mirror with HF_ENDPOINT")]
    Server { name: String, host: String, status: u16 },
    #[error("`{name}` is to be had in {seconds} s only: {why}; try again then, what was fetched is kept")]
    Later { name: String, why: String, seconds: u64 },
    #[error(
        "fetching `{name}` failed {times} times in a row, at last: {last}; what was fetched is kept, the same command goes on from there"
    )]
    TooManyTries { name: String, times: u32, last: String },
    #[error("`{name}` has {found} bytes at {host}, and {expected} were expected; another file has its place there")]
    Length { name: String, host: String, expected: u64, found: u64 },
    #[error("{host} does not say how long `{name}` is, so that it could not be told whether it came whole")]
    NoLength { name: String, host: String },
    #[error(
        "what came as `{name}` is not what was expected: it has SHA-256 {found}, expected is {expected}; it was thrown away, try again"
    )]
    Hash { name: String, expected: Digest, found: Digest },
    #[error(
        "{host} says that `{name}` has SHA-256 {found}, expected is {expected}; nothing was fetched, as another file has its place there"
    )]
    OtherHash { name: String, host: String, expected: Digest, found: Digest },
    #[error("the disk has not enough room for `{name}` in {}: {needed} more are needed and {free} are free; remove something, or set models_dir", folder.display())]
    DiskFull { name: String, folder: PathBuf, needed: Bytes, free: Bytes },
    #[error("cannot write `{}`: {source}; what was fetched is kept", path.display())]
    Disk { path: PathBuf, source: io::Error },
    #[error("interrupted; what was fetched of `{name}` is kept, the same command goes on from there")]
    Interrupted { name: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}
