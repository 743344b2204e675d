//! The place in a worker's start where it locks itself in: after it knows what it may touch, before any thread
//! and any untrusted byte. Nothing is enforced yet, and the worker says so.

use crate::message::{SandboxStatus, SupervisorHello};

pub(super) fn enter(_allowed: &SupervisorHello) -> SandboxStatus {
    SandboxStatus::None { why: "this build does not restrict its workers".to_owned() }
}
