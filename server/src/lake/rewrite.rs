//! Statements that change rows: `UPDATE`, `DELETE`, `MERGE`, and the inserts that replace some of what is there.
//!
//! A query over the table's rows with their places ([`super::numbered`]) says once which rows change and what they
//! become; then the files that have one are written again without them, beside the new rows, in one commit. Conditions
//! are never computed a second time, so nothing can be kept and changed, or lost, by two different answers. A statement
//! has the table's lane alone from its snapshot to its commit, and its commit is the next version or a conflict.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use deltalake_core::kernel::Action;
use deltalake_core::kernel::transaction::{CommitBuilder, TableReference};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::table::state::DeltaTableState;
use serde_json::json;

use super::commit;
use super::constraints::Constraints;
use super::generated::Generated;
use super::numbered::{Files, Numbered};
use super::open::Lake;
use super::replaced::{self, Replaced};
use super::staging::Linked;
use super::survivors::{Rewriting, Rewritten};
use super::table::Table;
use super::types::storage_schema;
use super::{CommitNotes, Relation, RelationKind, Written};
use crate::{Error, Result};

/// A statement that changes rows, as far as the lake must know it.
#[async_trait]
pub trait RowChange: Send + Sync {
    /// What changes in this version of the table. Asked again on a newer one where another writer was first.
    async fn plan(&self, target: &ChangeTarget) -> Result<ChangePlan>;
}

/// The version of a table that a statement changes.
#[derive(Debug)]
pub struct ChangeTarget {
    /// The version.
    pub version: u64,
    /// Its rows with their places: the columns and then `__limn_file` and `__limn_row`.
    pub rows: Arc<dyn TableProvider>,
    /// Its columns, as tables store them.
    pub schema: SchemaRef,
    /// Its partition columns.
    pub partition_by: Vec<String>,
    /// Columns whose values follow from others, with the expressions.
    pub generated: Vec<(String, String)>,
}

/// What a statement does to a version.
pub struct ChangePlan {
    /// Rows with `__limn_file`, `__limn_row` (NULL for a row that comes), an action (see [`RowAction`]), and the values
    /// of the columns in the table's order, added ones last. The values are left out where nothing is written.
    pub rows: LogicalPlan,
    /// The session that runs it.
    pub state: SessionState,
    /// Keys for the commit's `commitInfo` that this plan adds.
    pub info: BTreeMap<String, String>,
    /// Which statement it is.
    pub kind: ChangeKind,
    /// Columns that the table gets.
    pub added: Vec<Arc<Field>>,
    /// Whether a row may be deleted twice.
    pub deletes_may_repeat: bool,
    /// A condition that every row that comes must meet, as SQL.
    pub must_meet: Option<String>,
}

/// The numbers of what happens to a row.
pub struct RowAction;

impl RowAction {
    /// The row gets values.
    pub const UPDATE: i64 = 1;
    /// The row goes.
    pub const DELETE: i64 = 2;
    /// A row comes.
    pub const INSERT: i64 = 3;
}

/// A kind of statement that changes rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// `UPDATE`.
    Update,
    /// `DELETE`.
    Delete,
    /// `MERGE`.
    Merge,
    /// `INSERT … REPLACE WHERE`.
    Replace,
    /// `INSERT OVERWRITE … PARTITION`: the partitions that new rows are in lose their old ones.
    ReplacePartitions,
}

impl Lake {
    /// Changes rows of a table in one commit; without a change there is none. The count is of rows that changed, went
    /// or came.
    pub async fn change(
        &self,
        relation: &Arc<Relation>,
        change: Arc<dyn RowChange>,
        notes: CommitNotes,
    ) -> Result<Written> {
        if let RelationKind::View { .. } = relation.kind {
            return Err(Error::input(format!("`{}` is a view, expected a table", relation.name)));
        }
        let gate = notes.gate.clone();
        let rewrite = Rewrite { lake: self.clone(), relation: relation.clone(), change, notes };
        commit::run(&gate, async move { rewrite.run().await }).await
    }

    /// The table as a statement that changes it sees it now; for its description.
    pub async fn change_target(&self, relation: &Arc<Relation>) -> Result<ChangeTarget> {
        let table = self.table(relation)?;
        let before = table.latest().await?;
        Ok(Target::of(relation, &table, &before).await?.shown)
    }
}

struct Rewrite {
    lake: Lake,
    relation: Arc<Relation>,
    change: Arc<dyn RowChange>,
    notes: CommitNotes,
}

/// A target with what only the lake needs of it.
struct Target {
    shown: ChangeTarget,
    files: Arc<Files>,
    follows_changes: bool,
}

impl Target {
    async fn of(relation: &Relation, table: &Arc<Table>, before: &DeltaTableState) -> Result<Self> {
        let snapshot = before.snapshot();
        let columns = snapshot.arrow_schema();
        let configuration = snapshot.metadata().configuration();
        let mapped = configuration.get("delta.columnMapping.mode").is_some_and(|mode| mode != "none");
        if mapped {
            return Err(Error::unsupported(format!(
                "rows of `{}`, which has column mapping, are not changed yet",
                relation.name
            )));
        }
        let has = |key: &str| columns.fields().iter().any(|field| field.metadata().contains_key(key));
        if has("delta.identity.start") || has("delta.invariants") {
            return Err(Error::unsupported(format!(
                "rows of `{}`, which has identity columns or invariants, are not changed",
                relation.name
            )));
        }
        let files = Files::of(table, snapshot)?;
        let all: Vec<usize> = (0..files.count()).collect();
        let rows = Numbered::new(table, before, &files, &all, streams()).await?;
        let follows_changes = configuration.get("delta.enableChangeDataFeed").is_some_and(|on| on == "true");
        let shown = ChangeTarget {
            version: before.version(),
            rows: Arc::new(rows),
            schema: storage_schema(&columns)?,
            partition_by: snapshot.metadata().partition_columns().to_vec(),
            generated: Generated::new(&columns).to_list(),
        };
        Ok(Target { shown, files, follows_changes })
    }
}

/// How many files are read side by side.
pub(super) fn streams() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

impl Rewrite {
    async fn run(&self) -> Result<Written> {
        self.lake.catalog().settled().await?;
        commit::retry(&self.notes.gate, || self.attempt()).await
    }

    async fn attempt(&self) -> Result<Written> {
        let table = self.lake.table(&self.relation)?;
        let _alone = table.lane().exclusive().await;
        self.lake.still_there(&self.relation)?;
        let before = table.latest().await?;
        if commit::is_done(&table, &before, &self.notes).await? {
            return Ok(Written { rows: 0, version: before.version() });
        }
        let target = Target::of(&self.relation, &table, &before).await?;
        let plan = self.change.plan(&target.shown).await?;
        let columns = target.shown.schema.fields().iter().chain(&plan.added).cloned().collect::<Vec<_>>();
        let schema: SchemaRef = Arc::new(Schema::new(columns));
        let constraints = Constraints::new(before.snapshot().metadata().configuration(), &schema)?
            .with_generated(&target.shown.generated, &schema)?
            .with_condition("REPLACE WHERE", plan.must_meet.as_deref(), &schema)?;
        let rewriting = Rewriting {
            table: &table,
            before: &before,
            files: target.files.clone(),
            partition_by: target.shown.partition_by.clone(),
            follows_changes: target.follows_changes && plan.kind != ChangeKind::ReplacePartitions,
            schema,
            added: plan.added.iter().map(|field| field.name().clone()).collect(),
            constraints,
            name: self.relation.name.to_string(),
            deletes_may_repeat: plan.deletes_may_repeat,
        };
        let rewritten = rewriting.run(&plan.rows, &plan.state).await?;
        let _unnamed = Linked::new(&self.lake, &self.notes.gate, rewritten.paths(table.path()));
        self.commit(&table, &before, &plan, rewritten).await
    }

    async fn commit(
        &self,
        table: &Arc<Table>,
        before: &DeltaTableState,
        plan: &ChangePlan,
        rewritten: Rewritten,
    ) -> Result<Written> {
        let replaced = match plan.kind {
            ChangeKind::ReplacePartitions => replaced::partitions(before, &rewritten.adds)?,
            _ => replaced::files(before, &rewritten.touched),
        };
        let rows = match plan.kind {
            ChangeKind::Replace | ChangeKind::ReplacePartitions => rewritten.inserted,
            _ => rewritten.updated + rewritten.deleted + rewritten.inserted,
        };
        if replaced.removes.is_empty() && rewritten.adds.is_empty() {
            return Ok(Written { rows: 0, version: before.version() });
        }
        let mut notes = self.notes.clone();
        notes.info.extend(plan.info.clone());
        let metrics = metrics(plan.kind, &rewritten, &replaced);
        let mut actions: Vec<Action> = Vec::new();
        if !plan.added.is_empty() {
            actions.push(replaced::with_columns(before, &plan.added)?);
        }
        actions.extend(replaced.removes.into_iter().map(Action::Remove));
        actions.extend(rewritten.adds.into_iter().map(Action::Add));
        actions.extend(rewritten.changes.into_iter().map(Action::Cdc));
        let guarded = table.guarded_alone(&self.notes.gate, before.version());
        let commit = CommitBuilder::from(commit::properties(&notes, Some(metrics))).with_actions(actions).build(
            Some(before as &dyn TableReference),
            guarded.clone(),
            operation(plan.kind, before),
        );
        let landed = commit::outcome(&guarded, commit.await)?;
        self.lake.committed(table, landed.version);
        Ok(Written { rows, version: landed.version })
    }
}

/// What the commit is called. No predicate: the commit is the next version or none, so there is nothing to compare.
fn operation(kind: ChangeKind, before: &DeltaTableState) -> DeltaOperation {
    let partition_by = Some(before.snapshot().metadata().partition_columns().to_vec()).filter(|c| !c.is_empty());
    match kind {
        ChangeKind::Update => DeltaOperation::Update { predicate: None },
        ChangeKind::Delete => DeltaOperation::Delete { predicate: None },
        ChangeKind::Merge => DeltaOperation::Merge {
            predicate: None,
            merge_predicate: None,
            matched_predicates: Vec::new(),
            not_matched_predicates: Vec::new(),
            not_matched_by_source_predicates: Vec::new(),
        },
        ChangeKind::Replace | ChangeKind::ReplacePartitions => {
            DeltaOperation::Write { mode: SaveMode::Overwrite, partition_by, predicate: None }
        }
    }
}

/// The metrics that Delta's writers give, by their names.
fn metrics(kind: ChangeKind, rewritten: &Rewritten, replaced: &Replaced) -> serde_json::Value {
    let (added, removed) = (rewritten.adds.len(), replaced.removes.len());
    let Rewritten { updated, deleted, inserted, copied, .. } = rewritten;
    match kind {
        ChangeKind::Update => json!({
            "numUpdatedRows": updated, "numCopiedRows": copied, "numAddedFiles": added, "numRemovedFiles": removed,
        }),
        ChangeKind::Delete => json!({
            "numDeletedRows": deleted, "numCopiedRows": copied, "numAddedFiles": added, "numRemovedFiles": removed,
        }),
        ChangeKind::Merge => json!({
            "numTargetRowsInserted": inserted, "numTargetRowsUpdated": updated, "numTargetRowsDeleted": deleted,
            "numTargetRowsCopied": copied, "numTargetFilesAdded": added, "numTargetFilesRemoved": removed,
            "numOutputRows": inserted + updated + copied,
        }),
        ChangeKind::Replace | ChangeKind::ReplacePartitions => json!({
            "numOutputRows": inserted, "numCopiedRows": copied, "numFiles": added, "numRemovedFiles": removed,
        }),
    }
}

impl fmt::Debug for ChangePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangePlan").field("kind", &self.kind).finish_non_exhaustive()
    }
}
