//! Checkpoints, written behind the commits that make them due.
//!
//! One task writes them one after the other. Its failures are logged and nothing else: a checkpoint only makes reading
//! faster, and a commit that landed has succeeded. A system table's old log files go with each checkpoint, because nobody
//! reads its old versions; those of other tables are not removed yet: which of them pinned versions need is to be
//! known first.

use std::sync::Arc;

use deltalake_core::{DeltaTable, DeltaTableError, checkpoints};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use super::table::Table;
use crate::limits::{CHECKPOINT_QUEUE_MAX, SYSTEM_LOG_COMMITS_KEPT};

/// The queue of checkpoints that are due.
#[derive(Debug)]
pub struct Checkpoints {
    queue: mpsc::Sender<Due>,
    /// How many are queued or under way.
    pending: watch::Sender<usize>,
}

struct Due {
    table: Arc<Table>,
    version: u64,
}

impl Checkpoints {
    /// Starts the task; it ends when the queue is dropped.
    pub fn start(runtime: &Handle) -> Self {
        let (queue, due) = mpsc::channel(CHECKPOINT_QUEUE_MAX);
        let pending = watch::Sender::new(0);
        runtime.spawn(write_all(due, pending.clone()));
        Checkpoints { queue, pending }
    }

    /// Asks for a checkpoint of a version. Where too many wait, a later commit asks again.
    pub fn ask(&self, table: Arc<Table>, version: u64) {
        self.pending.send_modify(|count| *count += 1);
        if self.queue.try_send(Due { table, version }).is_err() {
            self.pending.send_modify(|count| *count -= 1);
            tracing::debug!(version, "no room for a checkpoint");
        }
    }

    /// Waits until none is queued or under way.
    pub async fn settle(&self) {
        // The sender is in `self`, so the wait ends with a count of none.
        let _ = self.pending.subscribe().wait_for(|count| *count == 0).await;
    }
}

async fn write_all(mut due: mpsc::Receiver<Due>, pending: watch::Sender<usize>) {
    while let Some(Due { table, version }) = due.recv().await {
        // In a task of its own, so that a panic below costs this checkpoint and not all later ones.
        let path = table.path().to_string();
        match tokio::spawn(async move { write(&table, version).await }).await {
            Ok(Ok(())) => tracing::debug!(table.path = %path, version, "checkpoint written"),
            Ok(Err(error)) => tracing::warn!(table.path = %path, version, %error, "no checkpoint"),
            Err(error) => tracing::warn!(table.path = %path, version, %error, "no checkpoint"),
        }
        pending.send_modify(|count| *count -= 1);
    }
}

async fn write(table: &Table, version: u64) -> Result<(), DeltaTableError> {
    let mut delta = DeltaTable::new(table.log_store().clone());
    delta.load_version(version).await?;
    checkpoints::create_checkpoint(&delta, None).await?;
    match table.is_system() {
        true => remove_old_log(table, version).await,
        false => Ok(()),
    }
}

/// Removes the log from before the last checkpoint that leaves so many commits after it.
async fn remove_old_log(table: &Table, version: u64) -> Result<(), DeltaTableError> {
    let Some(keep) = version.checked_sub(SYSTEM_LOG_COMMITS_KEPT) else { return Ok(()) };
    // However young the files are; those that must stay are found by their versions.
    let now = chrono::Utc::now().timestamp_millis();
    let removed = checkpoints::cleanup_expired_logs_for(keep, table.log_store().as_ref(), now, None).await?;
    tracing::debug!(table.path = %table.path(), removed, "old log files removed");
    Ok(())
}
