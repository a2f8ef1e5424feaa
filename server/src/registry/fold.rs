//! Folding: from the log into one Delta table per system table, each row version exactly once.
//!
//! Each append carries an application transaction with the last folded sequence number, so a crash between an append
//! and the end of the segments that it came from repeats nothing: a table that has a number already is passed over.
//! Segments go only when every table has everything in them. What a Delta table is, [`FoldTarget`] knows.

use std::path::Path;
use std::sync::{Arc, Weak};

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::log::Message;
use super::tables::SystemTable;
use super::{Inner, batches, segment};
use crate::lake::disk::Disk;
use crate::limits::{REGISTRY_FOLD_INTERVAL, REGISTRY_FOLD_RETRY};
use crate::{Error, Result};

/// Where row versions are kept for good.
#[async_trait]
pub trait FoldTarget: Send + Sync {
    /// The greatest `through` that an append to `table` recorded; 0 where there was none.
    async fn folded(&self, table: SystemTable) -> Result<u64>;
    /// Appends stored batches and records `through`, atomically and durably; nothing where it was recorded before.
    /// Fails where another `through` than `folded` was recorded last, which another server must have done.
    async fn append(&self, table: SystemTable, batches: Vec<RecordBatch>, folded: u64, through: u64) -> Result<()>;
    /// All batches that were appended, in any order.
    async fn read(&self, table: SystemTable) -> Result<Vec<RecordBatch>>;
}

impl Inner {
    /// Folds everything that is durable when this is called.
    pub(super) async fn fold(&self) -> Result<()> {
        let _one_at_a_time = self.folding.lock().await;
        let through = self.writers.ask(Message::Rotate).await??;
        if self.shared.as_ref().is_some_and(|shared| !shared.member.leads()) {
            return self.forget_folded().await;
        }
        for table in SystemTable::ALL {
            self.fold_table(table, through).await.map_err(|error| error.context(format!("system.{}", table.name())))?;
        }
        if let Some(shared) = &self.shared {
            return shared.segments.remove_below(through).await;
        }
        let (disk, dir) = (self.disk.clone(), self.log_dir.clone());
        blocking(move || remove_segments(disk.as_ref(), &dir, through)).await
    }

    async fn fold_table(&self, table: SystemTable, through: u64) -> Result<()> {
        let mut versions = self.published.read().tail(table).versions.clone();
        versions.retain(|version| version.stamp.seq <= through);
        if versions.is_empty() {
            return Ok(());
        }
        // An append whose answer was an error may have happened.
        let folded = self.target.folded(table).await?;
        versions.retain(|version| version.stamp.seq > folded);
        if !versions.is_empty() {
            self.target.append(table, batches::stored(table, &versions)?, folded, through).await?;
        }
        self.published.folded(table, through);
        Ok(())
    }
}

impl Inner {
    /// Forgets what another server has folded.
    async fn forget_folded(&self) -> Result<()> {
        for table in SystemTable::ALL {
            if !self.published.read().tail(table).versions.is_empty() {
                self.published.folded(table, self.target.folded(table).await?);
            }
        }
        Ok(())
    }
}

/// Removes the segments whose every transaction is at most `through`; the open one begins after it.
fn remove_segments(disk: &dyn Disk, dir: &Path, through: u64) -> Result<()> {
    let old: Vec<u64> = segment::list(dir)?.into_iter().filter(|first_seq| *first_seq <= through).collect();
    for first_seq in &old {
        let path = segment::path(dir, *first_seq);
        disk.remove_file(&path).map_err(|error| segment::named(error, &path))?;
    }
    match old.is_empty() {
        true => Ok(()),
        false => disk.sync_dir(dir).map_err(|error| segment::named(error, dir)),
    }
}

/// Folds when enough waits or time has passed, until the registry stops or is gone.
pub(super) async fn keep_folding(registry: Weak<Inner>, stop: CancellationToken) {
    let Some(published) = registry.upgrade().map(|inner| inner.published.clone()) else { return };
    let mut pause = REGISTRY_FOLD_INTERVAL;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            // After a failure the number of rows is no reason to try again at once.
            () = published.fold_due.notified(), if pause == REGISTRY_FOLD_INTERVAL => {}
            () = tokio::time::sleep(pause) => {}
        }
        let Some(inner) = registry.upgrade() else { return };
        if inner.published.read().unfolded_rows() == 0 {
            continue;
        }
        pause = match inner.fold().await {
            Ok(()) => REGISTRY_FOLD_INTERVAL,
            Err(error) => {
                tracing::warn!(%error, "the registry could not be folded into its Delta tables");
                REGISTRY_FOLD_RETRY
            }
        };
    }
}

/// Runs file work where it may block.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::internal(format!("file work of the registry stopped: {error}")))?
}

/// The row versions of every batch of `table` that `wanted` accepts.
pub(super) fn versions(
    table: SystemTable,
    stored: &[RecordBatch],
    wanted: impl Fn(super::version::Stamp) -> bool + Copy,
) -> Result<Vec<Arc<super::version::Version>>> {
    let mut versions = Vec::new();
    for batch in stored {
        versions.extend(batches::read(table, batch, wanted)?.into_iter().map(Arc::new));
    }
    Ok(versions)
}
