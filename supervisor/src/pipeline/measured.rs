//! What loads took on this machine before, and what they took now: predictions made better, and remembered. The rule
//! is [`crate::memory::calibrate`]'s.

use meetcap_protocol::payload::llm::LlmSetup;

use super::Run;
use super::admission::Candidate;
use crate::memory::Bytes;
use crate::memory::calibrate::{Key, Peak, Run as Taken, Store, calibrated};
use crate::models::Model;
use crate::service::Host;

/// Where a worker computes that was not told to do so elsewhere.
const USUAL_DEVICE: &str = "cpu";

impl Run {
    /// The candidate with what is known of it by experience.
    pub(super) fn calibrated(&self, candidate: Candidate, setup: Option<LlmSetup>) -> Candidate {
        let Some(store) = self.host.store() else { return candidate };
        // What it takes on a graphics processor depends on which one computes; only the usual case is told by name.
        if candidate.on_gpu {
            return candidate;
        }
        let history = store.history(&key(&candidate.model, USUAL_DEVICE, setup));
        Candidate { need: calibrated(candidate.need, &history), ..candidate }
    }
}

impl Host {
    /// Keeps what a worker took. It is a help for next time and no more, so a failure is not told.
    pub(super) fn remember(&self, model: &Model, device: &str, setup: Option<LlmSetup>, peak: Peak, run: Taken) {
        let Some(store) = self.store() else { return };
        if let Err(error) = store.record(&key(model, device, setup), peak, run) {
            tracing::debug!(%error, "what was measured is not kept");
        }
    }

    fn store(&self) -> Option<Store> {
        self.memory.calibration.as_deref().map(Store::in_folder)
    }
}

fn key(model: &Model, device: &str, setup: Option<LlmSetup>) -> Key {
    let file = Bytes(std::fs::metadata(&model.path).map_or(0, |file| file.len()));
    match setup {
        None => Key::of_speech(&model.path, file, device),
        Some(setup) => Key::of_summary(&model.path, file, device, &setup),
    }
}
