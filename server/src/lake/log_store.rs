//! The log store through which every commit goes: it refuses what deltalake's own conflict check lets through.
//!
//! deltalake ignores winning removals with `dataChange = false` when it looks for files that two commits both remove
//! (`kernel/transaction/conflict_checker.rs`), so that OPTIMIZE beside a delete or an overwrite brings deleted rows
//! back or doubles rows. One instance serves one attempt of one statement: it knows the version that the attempt is
//! based on, and refuses a commit that removes a file which a commit since then removed, whoever made that. It also
//! remembers that a commit landed, because deltalake returns errors that come after.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use deltalake_core::kernel::Version;
use deltalake_core::kernel::transaction::TransactionError;
use deltalake_core::logstore::{CommitOrBytes, LogStore, LogStoreConfig, LogStoreRef};
use deltalake_core::{DeltaResult, ObjectStore};
use serde::Deserialize;
use tokio::sync::{Mutex, OwnedMutexGuard};
use uuid::Uuid;

use super::commit::CommitGate;
use super::lane::Lane;
use crate::Error;

/// A log store for one attempt of one statement.
pub struct GuardedLogStore {
    inner: LogStoreRef,
    lane: Lane,
    gate: CommitGate,
    /// The version that the attempt read; `None` where it creates the table.
    base: Option<Version>,
    /// Whether the commit must follow the base at once.
    is_next: bool,
    /// The turn to commit, from when the attempt looks for its version number until it has it.
    turn: Mutex<Option<OwnedMutexGuard<()>>>,
    landed: OnceLock<Landed>,
}

/// A commit that is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Landed {
    /// The version that it made.
    pub version: Version,
    /// Rows in the files that it added, by their statistics.
    pub rows: u64,
}

/// The parts of a log line that are looked at here.
#[derive(Deserialize)]
struct Line {
    remove: Option<Removed>,
    add: Option<Added>,
}

#[derive(Deserialize)]
struct Removed {
    path: String,
}

#[derive(Deserialize)]
struct Added {
    stats: Option<String>,
}

#[derive(Deserialize)]
struct Statistics {
    #[serde(rename = "numRecords")]
    rows: u64,
}

impl GuardedLogStore {
    /// A log store for an attempt that read version `base`.
    pub fn new(inner: LogStoreRef, lane: Lane, gate: CommitGate, base: Option<Version>) -> Arc<Self> {
        let (turn, landed) = (Mutex::new(None), OnceLock::new());
        Arc::new(GuardedLogStore { inner, lane, gate, base, is_next: false, turn, landed })
    }

    /// A log store for an attempt whose commit must be the version after `base`, which it read as a whole.
    pub fn next(inner: LogStoreRef, lane: Lane, gate: CommitGate, base: Version) -> Arc<Self> {
        let (turn, landed) = (Mutex::new(None), OnceLock::new());
        Arc::new(GuardedLogStore { inner, lane, gate, base: Some(base), is_next: true, turn, landed })
    }

    /// The commit, where it is in the log, whatever deltalake said afterwards.
    pub fn landed(&self) -> Option<Landed> {
        self.landed.get().copied()
    }

    /// Fails where a commit since the base removed a file that this one removes.
    async fn refuse_double_removal(&self, version: Version, removed: &HashSet<String>) -> Result<(), TransactionError> {
        let Some(base) = self.base else { return Ok(()) };
        if self.is_next && version != base + 1 {
            return Err(refused(Error::conflict(format!("another writer made version {} first", base + 1))));
        }
        if removed.is_empty() {
            return Ok(());
        }
        for winner in base + 1..version {
            let bytes =
                self.inner.read_commit_entry(winner).await.map_err(|error| refused(super::error::delta(error)))?;
            // A version that is gone cannot be looked at, so it may have removed anything.
            let theirs = bytes.map(|bytes| parse(&bytes)).transpose()?.map(|parsed| parsed.removed);
            let overlap = theirs.is_none_or(|theirs| !theirs.is_disjoint(removed));
            if overlap {
                let text = format!("version {winner} changed the same files");
                return Err(refused(Error::conflict(text)));
            }
        }
        Ok(())
    }
}

/// What a commit does, as far as the guard looks.
struct Parsed {
    removed: HashSet<String>,
    rows: u64,
}

fn parse(commit: &Bytes) -> Result<Parsed, TransactionError> {
    let mut parsed = Parsed { removed: HashSet::new(), rows: 0 };
    for line in serde_json::Deserializer::from_slice(commit).into_iter::<Line>() {
        let line = line.map_err(|json_err| TransactionError::SerializeLogJson { json_err })?;
        parsed.removed.extend(line.remove.map(|removed| removed.path));
        let statistics = line.add.and_then(|added| added.stats);
        if let Some(Ok(statistics)) = statistics.map(|text| serde_json::from_str::<Statistics>(&text)) {
            parsed.rows += statistics.rows;
        }
    }
    Ok(parsed)
}

fn refused(error: Error) -> TransactionError {
    TransactionError::LogStoreError { msg: error.message().to_string(), source: Box::new(error) }
}

#[async_trait]
impl LogStore for GuardedLogStore {
    /// deltalake hands the bytes of a commit only to log stores of this name.
    fn name(&self) -> String {
        self.inner.name()
    }

    async fn refresh(&self) -> DeltaResult<()> {
        self.inner.refresh().await
    }

    async fn read_commit_entry(&self, version: Version) -> DeltaResult<Option<Bytes>> {
        self.inner.read_commit_entry(version).await
    }

    async fn write_commit_entry(
        &self,
        version: Version,
        commit: CommitOrBytes,
        operation_id: Uuid,
    ) -> Result<(), TransactionError> {
        let CommitOrBytes::LogBytes(bytes) = &commit else {
            return Err(refused(Error::internal("expected the bytes of a commit, found a file")));
        };
        let parsed = parse(bytes)?;
        self.refuse_double_removal(version, &parsed.removed).await?;
        if !self.gate.pass() {
            return Err(refused(Error::cancelled("the statement was cancelled")));
        }
        let written = self.inner.write_commit_entry(version, commit, operation_id).await;
        match &written {
            Ok(()) => {
                let _ = self.landed.set(Landed { version, rows: parsed.rows });
                self.turn.lock().await.take();
            }
            // deltalake looks for the next version number and comes again, still in its turn.
            Err(TransactionError::VersionAlreadyExists(_)) if !self.is_next => {}
            Err(_) => {
                self.turn.lock().await.take();
            }
        }
        written
    }

    async fn abort_commit_entry(
        &self,
        version: Version,
        commit: CommitOrBytes,
        operation_id: Uuid,
    ) -> Result<(), TransactionError> {
        self.turn.lock().await.take();
        self.inner.abort_commit_entry(version, commit, operation_id).await
    }

    async fn get_latest_version(&self, start_version: Version) -> DeltaResult<Version> {
        if self.landed().is_none() {
            let mut turn = self.turn.lock().await;
            if turn.is_none() {
                *turn = Some(self.lane.turn().await);
            }
        }
        self.inner.get_latest_version(start_version).await
    }

    fn object_store(&self, operation_id: Option<Uuid>) -> Arc<dyn ObjectStore> {
        self.inner.object_store(operation_id)
    }

    fn root_object_store(&self, operation_id: Option<Uuid>) -> Arc<dyn ObjectStore> {
        self.inner.root_object_store(operation_id)
    }

    fn config(&self) -> &LogStoreConfig {
        self.inner.config()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_read_as_far_as_the_guard_needs_it() {
        let text = concat!(
            r#"{"commitInfo":{"operation":"WRITE"}}"#,
            "\n",
            r#"{"remove":{"path":"a b.parquet","dataChange":false}}"#,
            "\n",
            r#"{"add":{"path":"c.parquet","stats":"{\"numRecords\":3,\"minValues\":{}}"}}"#,
            "\n",
            r#"{"add":{"path":"d.parquet","stats":"{\"numRecords\":4}"}}"#,
            "\n",
            r#"{"add":{"path":"e.parquet","stats":null}}"#,
        );
        let parsed = parse(&Bytes::from_static(text.as_bytes())).unwrap();
        assert_eq!(parsed.removed, HashSet::from(["a b.parquet".to_string()]));
        assert_eq!(parsed.rows, 7);
    }
}
