//! TRUNCATE and RESTORE: a table without rows, and a table as it was.
//!
//! Both touch the log alone. A version that has lost a data file is not restored in part: it is refused.

use std::sync::Arc;

use async_trait::async_trait;
use deltalake_core::DeltaTable;
use deltalake_core::kernel::Action;
use deltalake_core::protocol::DeltaOperation;
use deltalake_core::table::state::DeltaTableState;
use serde_json::json;

use super::exclusive::{Prepare, Rewrite};
use super::open::Lake;
use super::table::Table;
use super::{At, CommitNotes, Relation, RelationKind, commit};
use crate::{Error, Result};

/// What a RESTORE did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restored {
    /// The table's version after it.
    pub version: u64,
    /// The version that it is like.
    pub like: u64,
    /// Files that are no part of the table any more.
    pub removed_files: u64,
    /// Files that are part of it again.
    pub restored_files: u64,
}

impl Lake {
    /// Removes all rows; answers how many there were, as far as the log knows.
    pub async fn truncate(&self, relation: &Arc<Relation>, notes: CommitNotes) -> Result<u64> {
        let rows = Arc::default();
        self.rewrite(relation, notes, Truncate { rows: Arc::clone(&rows) }).await?;
        Ok(rows.load(std::sync::atomic::Ordering::Acquire))
    }

    /// Makes a table what it was: its rows, its columns, its properties. Its history goes on.
    pub async fn restore(&self, relation: &Arc<Relation>, at: At, notes: CommitNotes) -> Result<Restored> {
        if let RelationKind::View { .. } = relation.kind {
            return Err(Error::input(format!("`{}` is a view, expected a table", relation.name)));
        }
        let like = self.snapshot(relation, at).await?.version;
        let (lake, relation, gate) = (self.clone(), relation.clone(), notes.gate.clone());
        commit::run(&gate, async move {
            lake.catalog().settled().await?;
            commit::retry(&notes.gate, || lake.restore_once(&relation, like, &notes)).await
        })
        .await
    }

    async fn restore_once(&self, relation: &Arc<Relation>, like: u64, notes: &CommitNotes) -> Result<Restored> {
        let table = self.table(relation)?;
        let _alone = table.lane().exclusive().await;
        self.still_there(relation)?;
        let before = table.latest().await?;
        if like == before.version() {
            return Ok(Restored { version: like, like, removed_files: 0, restored_files: 0 });
        }
        if let Some(gone) = self.gone(relation, like).await? {
            return Err(Error::input(gone).with_hint("a VACUUM removed it; restore a later version"));
        }
        let guarded = table.guarded_alone(&notes.gate, before.version());
        let mut delta = DeltaTable::new(guarded.clone());
        delta.state = Some(before);
        let restore = delta
            .restore()
            .with_version_to_restore(like)
            .with_commit_properties(commit::properties(notes, None).with_max_retries(0));
        let answer = restore.await;
        let metrics = answer.as_ref().ok().map(|(_, metrics)| (metrics.num_removed_file, metrics.num_restored_file));
        let landed = commit::outcome(&guarded, answer)?;
        self.committed(&table, landed.version);
        let (removed, restored) = metrics.unwrap_or_default();
        Ok(Restored { version: landed.version, like, removed_files: removed as u64, restored_files: restored as u64 })
    }
}

struct Truncate {
    rows: Arc<std::sync::atomic::AtomicU64>,
}

#[async_trait]
impl Prepare for Truncate {
    async fn prepare(&self, _: &Arc<Table>, before: &DeltaTableState) -> Result<Option<Rewrite>> {
        let files = before.snapshot().log_data();
        let known = |file: &deltalake_core::kernel::LogicalFileView| {
            let deleted = file.deletion_vector_descriptor().map_or(0, |vector| vector.cardinality);
            let rows = file.num_records().and_then(|rows| u64::try_from(rows).ok())?;
            Some(rows.saturating_sub(u64::try_from(deleted).unwrap_or_default()))
        };
        let rows = files.iter().filter_map(|file| known(&file)).sum();
        self.rows.store(rows, std::sync::atomic::Ordering::Release);
        let actions: Vec<Action> = files.iter().map(|file| Action::Remove(file.remove_action(true))).collect();
        if actions.is_empty() {
            return Ok(None);
        }
        let metrics = json!({ "numRemovedFiles": actions.len(), "numDeletedRows": rows });
        Ok(Some(Rewrite { actions, operation: DeltaOperation::Delete { predicate: None }, metrics: Some(metrics) }))
    }
}
