//! What a run is allowed with memory: the specification's `[memory]` section (6.1), as plain data.

use std::path::PathBuf;

use super::gate::Thresholds;
use crate::config::{Config, Fallback, MemoryConfig};

/// How memory is governed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryPolicy {
    pub thresholds: Thresholds,
    /// After a worker has ended, give free heap of this process back; above the warning threshold also drop the
    /// finished model from the page cache.
    pub aggressive_gc: bool,
    /// Tell readings and checkpoints. Gate, watch and release proof stay without.
    pub monitoring: bool,
    /// Take a smaller model, or less context, instead of refusing.
    pub auto_fallback: bool,
    /// Start the next worker only after the last one has ended. Without, it may be started early, without a model.
    pub explicit_lifecycle: bool,
    pub fallback: Fallback,
    /// Where models are looked for by name, beside the folder of the one that was asked for.
    pub model_dirs: Vec<PathBuf>,
    /// The folder in which peaks that were measured on this machine are kept; predictions stay uncalibrated without.
    pub calibration: Option<PathBuf>,
}

impl From<&Config> for MemoryPolicy {
    /// As it is configured, uncalibrated.
    fn from(config: &Config) -> Self {
        let MemoryConfig {
            aggressive_gc,
            enable_monitoring,
            memory_report: _,
            warning_threshold: warning,
            critical_threshold: critical,
            auto_fallback,
            explicit_lifecycle,
        } = config.memory;
        Self {
            thresholds: Thresholds { warning, critical },
            aggressive_gc,
            monitoring: enable_monitoring,
            auto_fallback,
            explicit_lifecycle,
            fallback: config.supervisor.fallback.clone(),
            model_dirs: config.supervisor.models_dir.iter().cloned().collect(),
            calibration: None,
        }
    }
}

impl Default for MemoryPolicy {
    fn default() -> Self {
        Self::from(&Config::default())
    }
}
