//! Files of models: their heads are read before anything is started, and what they would take is estimated.
//!
//! A model is gigabytes of data behind some kilobytes of head, and the readers skip the data. So a target's file is a
//! sparse one: the input is the head, and the rest of the file is a hole.

pub mod gguf;
pub mod silero;
pub mod whisper;

use std::path::{Path, PathBuf};

use meetcap_supervisor::memory::{Bytes, Limit, LimitOf, MemoryPolicy, SystemReading};
use meetcap_supervisor::models::Model;
use meetcap_supervisor::models::shape::read_shape;
use meetcap_supervisor::planning;

use crate::{Verdict, meter};

/// What reading a head may take, whatever the length of the file: a buffer of 64 KiB, the few lists that are kept of
/// it, and as much again.
const MOST: usize = 256 << 10;
/// Contexts that somebody might ask for.
const CONTEXTS: [Option<u32>; 4] = [None, Some(0), Some(4096), Some(u32::MAX)];

/// Reads the shape, and says what a model of that shape would take.
fn weigh(path: &Path) -> Verdict {
    let shape = meter::within(MOST, "reading a model's head", || {
        read_shape(path).map_err(|error| assert!(error.to_string().len() < 1000, "{error}")).ok().flatten()
    });
    let Some(_) = shape else { return Verdict::Refused };
    let (model, policy, system) = (Model::from_path(path), MemoryPolicy::default(), machine());
    for context in CONTEXTS {
        planning::estimate(&model, context, &policy, &system).expect("a shape that was read can be weighed");
    }
    Verdict::Taken
}

fn machine() -> SystemReading {
    let (total, available) = (Bytes::mib(16 << 10), Bytes::mib(8 << 10));
    let limits = vec![Limit { of: LimitOf::Machine, limit: total, used: available }];
    SystemReading { total, available, limits, ..SystemReading::default() }
}

/// A file that begins with these bytes and has a hole of this length behind them.
fn with_hole(name: &str, bytes: &[u8], hole: u64) -> PathBuf {
    crate::scratch::sparse(name, &[(0, bytes)], bytes.len() as u64 + hole)
}
