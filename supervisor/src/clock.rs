//! The time as it stands in files: whole seconds since 1970.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now; 0 on a machine whose clock is before that.
pub fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
