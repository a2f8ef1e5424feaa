//! The gate of a commit. The rest follows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const OPEN: u8 = 0;
const CLOSED: u8 = 1;
const PASSED: u8 = 2;

/// Decides between a cancellation and a commit: a statement may be stopped until its commit begins, not after.
///
/// Whoever cancels calls [`CommitGate::close`]; `true` means that the statement has not begun its commit and never
/// will, `false` that it has, so that the only honest thing is to wait for its answer.
#[derive(Debug, Clone, Default)]
pub struct CommitGate(Arc<AtomicU8>);

impl CommitGate {
    /// Stops the statement; `false` where its commit has begun.
    pub fn close(&self) -> bool {
        self.0.compare_exchange(OPEN, CLOSED, Ordering::AcqRel, Ordering::Acquire).unwrap_or_else(|now| now) != PASSED
    }

    /// Begins the commit; `false` where the statement was stopped before.
    pub(super) fn pass(&self) -> bool {
        self.0.compare_exchange(OPEN, PASSED, Ordering::AcqRel, Ordering::Acquire).unwrap_or_else(|now| now) != CLOSED
    }
}
