//! The specification's `MemoryMonitor` (section 4.1): memory of the whole process tree at named moments.

use serde::Serialize;

use super::{Bytes, MemoryUsage, read_system, read_tree_with_pss};

/// A named moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Checkpoint {
    /// `start`, `stt_loaded`, `stt_unloaded`, `llm_loaded`, `llm_unloaded` or `end`.
    pub name: &'static str,
    #[serde(flatten)]
    pub usage: MemoryUsage,
    /// Proportional set of the tree: resident pages, shared ones divided by their users; null where it is not told.
    pub pss_bytes: Option<Bytes>,
}

/// Collects checkpoints in the order in which they come.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(transparent)]
pub struct MemoryMonitor {
    checkpoints: Vec<Checkpoint>,
}

impl MemoryMonitor {
    /// Measures now, under this name.
    pub fn checkpoint(&mut self, name: &'static str) -> Checkpoint {
        let tree = read_tree_with_pss(std::process::id()).unwrap_or_default();
        let checkpoint = Checkpoint { name, usage: MemoryUsage::new(&tree, &read_system()), pss_bytes: tree.pss };
        self.checkpoints.push(checkpoint);
        checkpoint
    }

    /// What was measured, in order.
    pub fn checkpoints(&self) -> &[Checkpoint] {
        &self.checkpoints
    }
}
