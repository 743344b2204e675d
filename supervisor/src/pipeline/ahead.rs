//! What is done for the summary while the speech phase is at work: its model's file is fetched into the page cache, and,
//! where phases may overlap, its worker is started and reads its vocabulary while the speech worker is ending. Neither
//! takes memory that anybody could miss, and neither failing is anybody's concern: what is not done early is done when
//! it is needed.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use crate::memory::Bytes;
use crate::memory::estimate::vocabulary_need;
use crate::memory::prefetch::Prefetch;
use crate::models::shape::language_shape;
use crate::service::LlmService;

/// What the second worker may take while the first still holds its model: with the rest of its process it stays within
/// what the two may overlap by, 32 MiB.
const MOST_BESIDE: Bytes = Bytes::mib(16);

/// What can be done beforehand.
#[derive(Debug)]
pub(super) struct Early {
    pub(super) successor: Option<Successor>,
    pub(super) ahead: Ahead,
}

/// The summary's worker, to be started early; without a model.
#[derive(Debug)]
pub(super) struct Successor {
    pub(super) service: LlmService,
    /// Whether it may read its vocabulary while the speech worker is ending.
    reads_vocabulary: bool,
}

impl Successor {
    pub(super) fn new(service: LlmService) -> Self {
        let shape = language_shape(&service.model().path).ok().flatten();
        let reads_vocabulary = shape.is_some_and(|shape| vocabulary_need(&shape) <= MOST_BESIDE);
        Self { service, reads_vocabulary }
    }

    /// Starts the worker. A failure is nobody's concern yet: it is started again when it is needed.
    pub(super) async fn start(mut self) -> Option<LlmService> {
        let started = match self.service.start().await {
            Ok(()) if self.reads_vocabulary => self.service.read_vocabulary().await,
            started => started,
        };
        match started {
            Ok(()) => Some(self.service),
            Err(error) => {
                tracing::debug!(%error, "the next worker could not be started early");
                None
            }
        }
    }
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
