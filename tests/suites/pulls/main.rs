//! Fetching models from a server that breaks off, lies, stalls, is busy, has changed its mind, or is not there: always
//! the very bytes under the model's name, gone on with and never fetched twice, or a clear error and nothing under that
//! name.
#![cfg(unix)]

mod breaks;
mod machine;
mod stage;
mod trust;
