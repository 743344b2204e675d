//! A recording as a stream of mono samples at 16 kHz, whatever the file is.
//!
//! ```text
//!  file ─► container ─► packets ─► mono at the file's rate ─► 16 kHz
//!          (decode)                                  (resample)
//! ```
//!
//! Nothing is ever in memory but a packet and a step of the resampler. Nothing here believes a header: lengths
//! from the file are told onwards, never allocated.
//!
//! Failures: what cannot be opened, is no audio, or holds none is `BadInput` with a remedy. What is damaged in
//! the middle, or cut off, is told as [`Damage`] and reading goes on; silence stands in for what is lost, so that
//! later times hold.

mod codecs;
mod decode;
mod mix;
mod mp4;
mod names;
#[cfg(feature = "opus")]
mod opus;
mod priming;
mod resample;
mod source;

use std::path::Path;

use meetcap_protocol::payload::stt::AudioInfo;
use meetcap_protocol::{FaultKind, WorkerFault};

use decode::Decoder;
use resample::Resampler;

/// What whisper listens to.
pub(crate) const SAMPLE_RATE: u32 = 16_000;

/// Something that could not be decoded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Damage {
    /// Seconds from the start.
    pub(crate) at: f64,
    pub(crate) detail: String,
}

/// An open recording.
pub(crate) struct Recording {
    decoder: Decoder,
    resampler: Resampler,
    /// One block at the file's rate; kept for its memory.
    block: Vec<f32>,
    ended: bool,
}

impl Recording {
    /// Opens `path` and decodes until there is sound, so that rate and channels are known for certain.
    ///
    /// # Errors
    /// `BadInput`, as the module says.
    pub(crate) fn open(path: &Path) -> Result<Self, WorkerFault> {
        let decoder = Decoder::open(path)?;
        let resampler = Resampler::new(decoder.info().sample_rate).map_err(|error| unusable(path, &error))?;
        Ok(Self { decoder, resampler, block: Vec::new(), ended: false })
    }

    /// The recording as its container describes it.
    pub(crate) fn info(&self) -> &AudioInfo {
        self.decoder.info()
    }

    /// Replaces `out` by the next samples, perhaps none yet. False at the end, after which nothing comes.
    ///
    /// # Errors
    /// `BadInput` when the file cannot be read any more.
    pub(crate) fn read(&mut self, out: &mut Vec<f32>) -> Result<bool, WorkerFault> {
        out.clear();
        if self.ended {
            return Ok(false);
        }
        match self.decoder.next_block(&mut self.block)? {
            Some(rate) if rate == self.resampler.rate() => self.resampler.push(&self.block, out),
            // Recordings glued together may change their rate.
            Some(rate) => self.resampler.finish(out).and_then(|()| {
                self.resampler = Resampler::new(rate)?;
                self.resampler.push(&self.block, out)
            }),
            None => {
                self.ended = true;
                self.resampler.finish(out)
            }
        }
        .map_err(|error| unusable(self.decoder.path(), &error))?;
        Ok(!self.ended)
    }

    /// What was found damaged since the last call.
    pub(crate) fn take_damage(&mut self) -> Vec<Damage> {
        self.decoder.take_damage()
    }

    /// Seconds decoded so far.
    pub(crate) fn duration(&self) -> f64 {
        self.decoder.position()
    }
}

/// The fault for a file that is there but of no use.
fn unusable(path: &Path, why: &str) -> WorkerFault {
    let detail = format!("{}: {why}; convert it with: ffmpeg -i INPUT -ac 1 -ar 16000 out.wav", path.display());
    WorkerFault::new(FaultKind::BadInput, detail)
}

#[cfg(test)]
mod formats;
#[cfg(test)]
mod tests;
