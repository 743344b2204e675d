//! The specification's `MemoryMonitor` (section 4.1): memory of the whole process tree at named moments.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Bytes, MemoryUsage, read_system, read_tree_with_pss};

/// A named moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Checkpoint {
    /// `start`, `stt_loaded`, `stt_unloaded`, `llm_loaded`, `llm_unloaded` or `end`.
    pub name: Cow<'static, str>,
    #[serde(flatten)]
    pub usage: MemoryUsage,
    /// Proportional set of the tree: resident pages, shared ones divided by their users; null where it is not told.
    pub pss_bytes: Option<Bytes>,
}

impl Checkpoint {
    pub(crate) fn now(name: &'static str) -> Self {
        let tree = read_tree_with_pss(std::process::id()).unwrap_or_default();
        Self { name: name.into(), usage: MemoryUsage::new(&tree, &read_system()), pss_bytes: tree.pss }
    }
}

/// Collects checkpoints in the order in which they come.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct MemoryMonitor {
    checkpoints: Vec<Checkpoint>,
}

impl MemoryMonitor {
    /// Measures now, under this name.
    pub fn checkpoint(&mut self, name: &'static str) -> Checkpoint {
        let checkpoint = Checkpoint::now(name);
        self.checkpoints.push(checkpoint.clone());
        checkpoint
    }

    /// Takes over what was measured elsewhere.
    pub(crate) fn take(&mut self, checkpoint: Checkpoint) {
        self.checkpoints.push(checkpoint);
    }

    /// What was measured, in order.
    pub fn checkpoints(&self) -> &[Checkpoint] {
        &self.checkpoints
    }
}
