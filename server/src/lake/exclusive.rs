//! One commit that has a table for itself: from the snapshot that it reads to its commit nobody else of this process
//! writes to the table, and the log store refuses what another process made impossible meanwhile.
//!
//! What the commit does is the caller's; it says so anew for each attempt.

use std::sync::Arc;

use async_trait::async_trait;
use deltalake_core::kernel::Action;
use deltalake_core::kernel::transaction::{CommitBuilder, TableReference};
use deltalake_core::protocol::DeltaOperation;
use deltalake_core::table::state::DeltaTableState;
use serde_json::Value;

use super::commit;
use super::open::Lake;
use super::table::Table;
use super::{CommitNotes, Relation, RelationKind};
use crate::{Error, Result};

/// What a commit does.
pub(super) struct Rewrite {
    /// Its actions.
    pub actions: Vec<Action>,
    /// What the history calls it.
    pub operation: DeltaOperation,
    /// Its metrics.
    pub metrics: Option<Value>,
}

/// Says what a commit does to a table that is at some version; asked again where another process was first.
#[async_trait]
pub(super) trait Prepare: Send + Sync + 'static {
    /// The commit; `None` where there is nothing to do.
    async fn prepare(&self, table: &Arc<Table>, before: &DeltaTableState) -> Result<Option<Rewrite>>;
}

impl Lake {
    /// Commits what `prepare` says; answers the version that the table has then.
    pub(super) async fn rewrite(
        &self,
        relation: &Arc<Relation>,
        notes: CommitNotes,
        prepare: impl Prepare,
    ) -> Result<u64> {
        if let RelationKind::View { .. } = relation.kind {
            return Err(Error::input(format!("`{}` is a view, expected a table", relation.name)));
        }
        let (lake, relation, gate) = (self.clone(), relation.clone(), notes.gate.clone());
        commit::run(&gate, async move {
            lake.catalog().settled().await?;
            commit::retry(&notes.gate, || lake.attempt(&relation, &notes, &prepare)).await
        })
        .await
    }

    async fn attempt(&self, relation: &Arc<Relation>, notes: &CommitNotes, prepare: &impl Prepare) -> Result<u64> {
        let table = self.table(relation)?;
        let _alone = table.lane().exclusive().await;
        self.still_there(relation)?;
        let before = table.latest().await?;
        if commit::is_done(&table, &before, notes).await? {
            return Ok(before.version());
        }
        let Some(rewrite) = prepare.prepare(&table, &before).await? else { return Ok(before.version()) };
        self.commit(&table, &before, notes, rewrite).await
    }

    /// Commits on top of exactly the version of `before`; the caller has the table's lane for itself.
    pub(super) async fn commit(
        &self,
        table: &Arc<Table>,
        before: &DeltaTableState,
        notes: &CommitNotes,
        rewrite: Rewrite,
    ) -> Result<u64> {
        let guarded = table.guarded_alone(&notes.gate, before.version());
        // Without retries of its own: what was computed from one version is not put on top of another.
        let commit = CommitBuilder::from(commit::properties(notes, rewrite.metrics))
            .with_max_retries(0)
            .with_actions(rewrite.actions)
            .build(Some(before as &dyn TableReference), guarded.clone(), rewrite.operation);
        let landed = commit::outcome(&guarded, commit.await)?;
        self.committed(table, landed.version);
        Ok(landed.version)
    }
}
