//! What is done for the summary while the speech phase is at work: its model's file is fetched into the page cache, and,
//! where phases may overlap, its worker is started while the speech worker is ending. Neither takes memory that anybody
//! could miss, and neither failing is anybody's concern: what is not done early is done when it is needed.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use crate::memory::Bytes;
use crate::memory::prefetch::Prefetch;
use crate::service::LlmService;

/// What can be done beforehand.
#[derive(Debug)]
pub(super) struct Early {
    /// To be started early; without a model.
    pub(super) service: Option<LlmService>,
    pub(super) ahead: Ahead,
}

/// A file to be fetched once there is something else to wait for. Clones are one and the same; the fetching ends with
/// the last of them.
#[derive(Debug, Clone)]
pub(super) struct Ahead(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: PathBuf,
    reserved: Bytes,
    warning: u8,
    begun: OnceLock<Option<Prefetch>>,
}

impl Ahead {
    /// Of a run that is going to need `reserved`; memory is not filled beyond `warning` percent.
    pub(super) fn new(file: PathBuf, reserved: Bytes, warning: u8) -> Self {
        Self(Arc::new(Inner { file, reserved, warning, begun: OnceLock::new() }))
    }

    /// Begins, the first time.
    pub(super) fn begin(&self) {
        let Inner { file, reserved, warning, begun } = &*self.0;
        begun.get_or_init(|| Prefetch::begin(file, *reserved, *warning));
    }
}
