//! Who tells of each frame whether somebody speaks: the level of the sound ([`crate::vad`]), or Silero's network
//! ([`crate::silero`]) where one is loaded.

use meetcap_protocol::WorkerFault;

use crate::silero::{Listener, Vad};
use crate::vad::Ear;

/// Takes frames, and judges them in order, some time later.
pub(crate) enum Detector<'vad> {
    Energy(Ear),
    Silero(Listener<'vad>),
}

impl Default for Detector<'_> {
    fn default() -> Self {
        Self::Energy(Ear::default())
    }
}

impl<'vad> Detector<'vad> {
    /// By the network, where there is one.
    pub(crate) fn by(vad: Option<&'vad mut Vad>) -> Self {
        vad.map_or_else(Self::default, |vad| Self::Silero(Listener::new(vad)))
    }

    /// Takes a frame; only the last may be shorter.
    pub(crate) fn push(&mut self, frame: &[f32]) {
        match self {
            Self::Energy(ear) => ear.push(frame),
            Self::Silero(listener) => listener.push(frame),
        }
    }

    /// No more frames will come.
    pub(crate) fn finish(&mut self) {
        match self {
            Self::Energy(ear) => ear.finish(),
            Self::Silero(listener) => listener.finish(),
        }
    }

    /// Whether somebody speaks in the next frame; `None` until it is certain.
    pub(crate) fn judge(&mut self) -> Result<Option<bool>, WorkerFault> {
        match self {
            Self::Energy(ear) => Ok(ear.judge()),
            Self::Silero(listener) => listener.judge(),
        }
    }
}
