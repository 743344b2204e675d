//! What models took here before corrects what they are predicted to take.
//!
//! A store keeps the measured peaks of the last runs for each set-up: model, device, context. One small file in the
//! user's cache folder, replaced as a whole. It is a help and nothing depends on it: what cannot be read is an empty
//! store, and of two supervisors that write at once the last one's file stays, whole.
//!
//! ```text
//!  no run yet         the formula
//!  whole runs         their highest peak and 3 %, even where that is less than the formula says, which is an upper
//!                     bound for some architectures; never less than the weights that are read into memory
//!  broken-off runs    never lower anything: they had not got as far as they would. Their peak was reached, so no
//!                     prediction is below it
//! ```
//!
//! The highest of eight, not the mean or the last: a peak depends on what was said (text carried from pass to pass,
//! a prompt that fills its context or does not), and the next recording may be like the heaviest. Eight, so that a
//! peak from another time is forgotten, that of a broken-off run included. 3 %, because that is what runs of the same set-up differ by.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use meetcap_protocol::payload::llm::LlmSetup;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Bytes;
use super::estimate::Need;

/// Whole runs remembered for a set-up.
const RUNS: usize = 8;
/// Set-ups remembered, the latest.
const SETUPS: usize = 256;
/// Several times what so many take; a longer file is none of ours.
const MAX_FILE: u64 = 512 << 10;
/// Changes when the file's meaning does.
const VERSION: u32 = 1;
const FILE_NAME: &str = "measured-peaks.json";

/// Memory of one worker at its highest, by where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Peak {
    /// Anonymous memory, and what of it was swapped out.
    pub cost: Bytes,
    pub gpu: Bytes,
}

impl Peak {
    /// The higher in each kind.
    fn max(self, other: Self) -> Self {
        Self { cost: self.cost.max(other.cost), gpu: self.gpu.max(other.gpu) }
    }

    fn with_margin(self) -> Self {
        let more = |bytes: Bytes| bytes + Bytes(bytes.0 / 100 * 3);
        Self { cost: more(self.cost), gpu: more(self.gpu) }
    }
}

/// How far the run got whose peak this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// To the end of its work.
    Whole,
    /// Interrupted, failed, or killed.
    BrokenOff,
}

/// What is remembered of a set-up.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct History {
    /// Of whole runs, the latest last.
    pub whole: Vec<Peak>,
    /// The highest of those that broke off.
    pub broken_off: Peak,
    /// Whole runs since the last that broke off.
    pub since: usize,
}

impl History {
    /// With one more run.
    pub fn record(&mut self, peak: Peak, run: Run) {
        match run {
            Run::BrokenOff => (self.broken_off, self.since) = (self.broken_off.max(peak), 0),
            Run::Whole => {
                let surplus = (self.whole.len() + 1).saturating_sub(RUNS);
                self.whole.drain(..surplus);
                self.whole.push(peak);
                self.since = self.since.saturating_add(1);
                if self.since >= RUNS {
                    self.broken_off = Peak::default();
                }
            }
        }
    }
}

/// The prediction in the light of what was measured; see the module's head.
pub fn calibrated(prediction: Need, history: &History) -> Need {
    let predicted = Peak { cost: prediction.cost, gpu: prediction.gpu };
    let measured = history.whole.iter().copied().reduce(Peak::max);
    let expected = measured.map_or(predicted, |peak| {
        // Where some of the weights lie on a GPU it is not told how many; there is no least then.
        let read = if prediction.gpu == Bytes(0) { prediction.parts.weights - prediction.mapped } else { Bytes(0) };
        peak.with_margin().max(Peak { cost: read.min(prediction.cost), gpu: Bytes(0) })
    });
    let expected = expected.max(history.broken_off);
    let total = expected.cost + prediction.mapped + expected.gpu;
    Need { cost: expected.cost, gpu: expected.gpu, parts: prediction.parts.adjusted(total), ..prediction }
}

/// A set-up whose runs can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// Of transcribing with the model in a file of that length.
    pub fn of_speech(model: &Path, file: Bytes, device: &str) -> Self {
        Self(format!("stt/{}/{device}/{}", print(model, file), env!("CARGO_PKG_VERSION")))
    }

    /// Of summarizing with the model in a file of that length, laid out so.
    pub fn of_summary(model: &Path, file: Bytes, device: &str, setup: &LlmSetup) -> Self {
        let layers = setup.gpu_layers.map_or_else(|| "all".to_owned(), |layers| layers.to_string());
        let weights = if setup.map_weights { "mapped" } else { "read" };
        let (print, n_ctx, kv) = (print(model, file), setup.n_ctx, setup.kv.name());
        Self(format!("llm/{print}/{device}/{}/{n_ctx}/{kv}/{layers}/{weights}", env!("CARGO_PKG_VERSION")))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A model by its file's length and name; the name only as a hash, which tells nobody what models there are.
fn print(model: &Path, file: Bytes) -> String {
    let name = model.file_name().unwrap_or(model.as_os_str());
    let hash = Sha256::digest(name.as_encoded_bytes());
    let hash: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{hash}-{}", file.0)
}

/// The file.
#[derive(Debug, Clone)]
pub struct Store {
    path: PathBuf,
}

/// What is in it, the latest set-up last.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    v: u32,
    setups: Vec<Setup>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Setup {
    key: String,
    #[serde(flatten)]
    history: History,
}

impl Store {
    /// In the user's cache folder, which need not be there yet.
    pub fn in_folder(folder: &Path) -> Self {
        Self { path: folder.join(FILE_NAME) }
    }

    /// What is remembered of a set-up; nothing when there is no file or it cannot be read.
    pub fn history(&self, key: &Key) -> History {
        let setup = self.read().setups.into_iter().rev().find(|setup| setup.key == key.0);
        setup.map(|setup| setup.history).unwrap_or_default()
    }

    /// Adds a run.
    ///
    /// # Errors
    /// The file could not be written. What was there before stays.
    pub fn record(&self, key: &Key, peak: Peak, run: Run) -> io::Result<()> {
        let mut content = self.read();
        let place = content.setups.iter().position(|setup| setup.key == key.0);
        let mut setup = match place {
            Some(place) => content.setups.remove(place),
            None => Setup { key: key.0.clone(), history: History::default() },
        };
        setup.history.record(peak, run);
        let surplus = (content.setups.len() + 1).saturating_sub(SETUPS);
        content.setups.drain(..surplus);
        content.setups.push(setup);
        self.write(&content)
    }

    fn read(&self) -> Content {
        let empty = || Content { v: VERSION, setups: Vec::new() };
        let content = self.text().and_then(|text| serde_json::from_slice::<Content>(&text).ok());
        let Some(mut content) = content.filter(|content| content.v == VERSION) else { return empty() };
        content.setups.truncate(SETUPS);
        for setup in &mut content.setups {
            setup.history.whole.truncate(RUNS);
        }
        content
    }

    fn text(&self) -> Option<Vec<u8>> {
        // Before it is opened: opening a pipe waits for whoever writes to it.
        let is_ours = std::fs::metadata(&self.path).is_ok_and(|file| file.is_file() && file.len() <= MAX_FILE);
        let mut text = Vec::new();
        let file = is_ours.then(|| File::open(&self.path).ok()).flatten()?;
        file.take(MAX_FILE).read_to_end(&mut text).ok()?;
        Some(text)
    }

    /// A new file in the place of the old one. Not synced: what a crash costs is a few measurements.
    fn write(&self, content: &Content) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&serde_json::to_vec(content)?)?;
        file.persist(&self.path)?;
        Ok(())
    }
}

#[cfg(test)]
#[path = "calibrate_tests.rs"]
mod tests;
