//! What every commit has in common: its notes, its retries, and the moment from which nothing stops it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use deltalake_core::DeltaTableError;
use deltalake_core::kernel::Transaction;
use deltalake_core::kernel::transaction::CommitProperties;
use deltalake_core::table::state::DeltaTableState;
use serde_json::Value;
use tokio::task::AbortHandle;

use super::log_store::{GuardedLogStore, Landed};
use super::table::Table;
use super::{CommitNotes, TableName};
use crate::limits::COMMIT_ATTEMPTS_MAX;
use crate::{Class, Error, Result};

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

    /// The commit was refused, so the statement may be stopped again.
    fn reopen(&self) {
        let _ = self.0.compare_exchange(PASSED, OPEN, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Whether the commit has begun and was not refused.
    pub fn is_passed(&self) -> bool {
        self.0.load(Ordering::Acquire) == PASSED
    }

    fn is_closed(&self) -> bool {
        self.0.load(Ordering::Acquire) == CLOSED
    }
}

/// Runs a statement's work so that dropping the future stops it before its commit, and lets it finish after.
pub async fn run<T: Send + 'static>(
    gate: &CommitGate,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    if gate.is_closed() {
        return Err(Error::cancelled("the statement was cancelled"));
    }
    let task = tokio::spawn(work);
    let _stop = Stop { gate: gate.clone(), task: task.abort_handle() };
    match task.await {
        Ok(done) => done,
        Err(error) if error.is_cancelled() => Err(Error::cancelled("the statement was cancelled")),
        Err(error) => Err(Error::internal(format!("a write ended without an answer: {error}"))),
    }
}

/// Stops the task when its waiter goes away, unless the commit has begun. Harmless once the task is done.
struct Stop {
    gate: CommitGate,
    task: AbortHandle,
}

impl Drop for Stop {
    fn drop(&mut self) {
        if !self.task.is_finished() && self.gate.close() {
            self.task.abort();
        }
    }
}

/// Attempts until something else than a lost race comes out of it, each attempt on a fresh snapshot.
pub async fn retry<T, Work>(gate: &CommitGate, mut attempt: impl FnMut() -> Work) -> Result<T>
where
    Work: Future<Output = Result<T>>,
{
    let mut attempts = 1;
    loop {
        match attempt().await {
            Err(error) if error.class() == Class::Conflict && attempts < COMMIT_ATTEMPTS_MAX => {
                tracing::debug!(%error, attempts, "another writer was first; once more on a fresh snapshot");
                gate.reopen();
                attempts += 1;
            }
            done => return done,
        }
    }
}

/// What is said to deltalake of a commit. Checkpoints and clean-up are background work: done inline, their failure
/// would look like the failure of a commit that landed.
pub fn properties(notes: &CommitNotes, metrics: Option<Value>) -> CommitProperties {
    let mut info: Vec<(String, Value)> =
        notes.info.iter().map(|(key, value)| (key.clone(), Value::String(value.clone()))).collect();
    info.push(("clientVersion".into(), Value::String(format!("limn.{}", env!("CARGO_PKG_VERSION")))));
    info.extend(metrics.map(|metrics| ("operationMetrics".to_string(), metrics)));
    let transactions = notes.transactions.iter().map(|(id, version)| Transaction::new(id, *version)).collect();
    CommitProperties::default()
        .with_metadata(info)
        .with_application_transactions(transactions)
        .with_create_checkpoint(false)
        .with_cleanup_expired_logs(Some(false))
}

/// What became of a commit: once it is in the log it has succeeded, whatever deltalake said after that.
pub fn outcome<T>(guarded: &GuardedLogStore, answer: Result<T, DeltaTableError>) -> Result<Landed> {
    match (guarded.landed(), answer) {
        (Some(landed), Ok(_)) => Ok(landed),
        (Some(landed), Err(error)) => {
            tracing::warn!(%error, version = landed.version, "a commit landed and what came after it failed");
            Ok(landed)
        }
        (None, Err(error)) => Err(super::error::delta(error)),
        (None, Ok(_)) => Err(Error::internal("a commit neither landed nor failed")),
    }
}

/// Refuses a rewrite whose rows were taken from a version with other rows than the one that it replaces.
pub async fn refuse_stale(table: &Table, notes: &CommitNotes, name: &TableName, base: u64) -> Result<()> {
    match notes.read {
        Some(read) if read != base && !table.has_the_same_rows(read, base).await? => {
            Err(Error::conflict(format!("`{name}` went from version {read} to {base} since this statement read it"))
                .with_hint("send the statement again"))
        }
        _ => Ok(()),
    }
}

/// Whether `state` already has every application transaction of the notes (and there are any).
pub async fn is_done(table: &Table, state: &DeltaTableState, notes: &CommitNotes) -> Result<bool> {
    let mut done = 0;
    for (id, version) in &notes.transactions {
        if table.transaction_version(state, id).await?.is_some_and(|seen| seen >= *version) {
            done += 1;
        }
    }
    match done {
        0 => Ok(false),
        all if all == notes.transactions.len() => Ok(true),
        some => Err(Error::input(format!(
            "{some} of the {} application transactions of this write happened before, the others did not",
            notes.transactions.len()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn a_gate_is_closed_or_passed_and_never_both() {
        let gate = CommitGate::default();
        assert!(gate.close() && !gate.pass() && gate.close());
        let gate = CommitGate::default();
        assert!(gate.pass() && !gate.close() && gate.pass());
        gate.reopen();
        assert!(gate.close());
    }

    #[tokio::test]
    async fn work_whose_waiter_goes_away_ends_before_its_commit() {
        let gate = CommitGate::default();
        let (dropped, gone) = oneshot::channel::<()>();
        let work = run(&gate, async move {
            let _dropped = dropped;
            std::future::pending::<Result<()>>().await
        });
        assert!(futures::poll!(std::pin::pin!(work)).is_pending());
        assert!(gone.await.is_err(), "the work is dropped with its sender");
        assert!(!gate.pass());
    }

    #[tokio::test]
    async fn work_whose_commit_has_begun_ends_by_itself() {
        let gate = CommitGate::default();
        let (done, end) = oneshot::channel();
        assert!(gate.pass());
        let work = run(&gate, async move {
            tokio::task::yield_now().await;
            let _ = done.send("done");
            Ok(())
        });
        assert!(futures::poll!(std::pin::pin!(work)).is_pending());
        assert_eq!(end.await, Ok("done"));
    }

    #[tokio::test]
    async fn only_conflicts_are_tried_again_and_not_for_ever() {
        let gate = CommitGate::default();
        let count = AtomicUsize::new(0);
        let attempts = async |error: fn() -> Error| {
            count.store(0, Ordering::Relaxed);
            let attempt = || {
                count.fetch_add(1, Ordering::Relaxed);
                std::future::ready(Err::<(), _>(error()))
            };
            let _ = retry(&gate, attempt).await;
            count.load(Ordering::Relaxed)
        };
        assert_eq!(attempts(|| Error::conflict("")).await, COMMIT_ATTEMPTS_MAX);
        assert_eq!(attempts(|| Error::unavailable("")).await, 1);
    }
}
