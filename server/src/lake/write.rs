//! INSERT: appends and overwrites, through deltalake's write builder, so that a table's constraints hold.

use std::sync::Arc;

use datafusion::datasource::provider_as_source;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use deltalake_core::delta_datafusion::SessionFallbackPolicy;
use deltalake_core::delta_datafusion::planner::DeltaPlanner;
use deltalake_core::logstore::LogStore;
use deltalake_core::operations::write::WriteBuilder;
use deltalake_core::protocol::SaveMode;

use super::commit;
use super::generated::Generated;
use super::open::Lake;
use super::rows::Rows;
use super::types::storage_schema;
use super::{CommitNotes, Relation, RelationKind, TableName, Written};
use crate::{Error, Result};

impl Lake {
    /// Appends the rows of `plan` (columns in the table's order), or replaces all rows by them.
    ///
    /// Where the table already has the application transactions of `notes`, nothing is written and `rows` is 0.
    pub async fn insert(
        &self,
        name: &TableName,
        plan: LogicalPlan,
        overwrite: bool,
        state: &SessionState,
        notes: CommitNotes,
    ) -> Result<Written> {
        self.insert_into(&self.relation(name)?, plan, overwrite, state, notes).await
    }

    /// The same, into a table that is known already.
    pub async fn insert_into(
        &self,
        relation: &Arc<Relation>,
        plan: LogicalPlan,
        overwrite: bool,
        state: &SessionState,
        notes: CommitNotes,
    ) -> Result<Written> {
        if let RelationKind::View { .. } = relation.kind {
            return Err(Error::input(format!("`{}` is a view, expected a table", relation.name)));
        }
        let relation = relation.clone();
        let gate = notes.gate.clone();
        let insert = Insert { lake: self.clone(), relation, plan, overwrite, state: state.clone(), notes };
        commit::run(&gate, async move { insert.run().await }).await
    }
}

struct Insert {
    lake: Lake,
    relation: Arc<Relation>,
    plan: LogicalPlan,
    overwrite: bool,
    state: SessionState,
    notes: CommitNotes,
}

impl Insert {
    async fn run(&self) -> Result<Written> {
        self.lake.catalog().settled().await?;
        commit::retry(&self.notes.gate, || self.attempt()).await
    }

    async fn attempt(&self) -> Result<Written> {
        let table = self.lake.table(&self.relation)?;
        let lane = table.lane();
        let _way = if self.overwrite { lane.exclusive().await } else { lane.shared().await };
        self.lake.still_there(&self.relation)?;
        let before = table.latest().await?;
        if commit::is_done(&table, &before, &self.notes).await? {
            return Ok(Written { rows: 0, version: before.version() });
        }
        if self.overwrite {
            commit::refuse_stale(&table, &self.notes, &self.relation.name, before.version()).await?;
        }
        // Without the notes that deltalake keeps in fields, which rows of a query do not have.
        let schema = storage_schema(&before.snapshot().arrow_schema())?;
        let generated = Generated::new(&before.snapshot().arrow_schema());
        let constraints = generated.constraints(before.snapshot().metadata().configuration(), &schema)?;
        let plan = generated.fill(self.plan.clone(), &schema)?;
        let name = self.relation.name.to_string();
        let onlooker = self.notes.onlooker.as_ref();
        let rows = Rows::plan(plan, &schema, constraints, &name, &self.state, onlooker).await?;
        let source = provider_as_source(Arc::new(rows.clone().into_table()?));
        let input = LogicalPlanBuilder::scan("rows", source, None)?.build()?;
        // What replaces all rows must follow what it read at once: rows that came between would stay.
        let guarded = match self.overwrite {
            true => table.guarded_alone(&self.notes.gate, before.version()),
            false => table.guarded(&self.notes.gate, Some(before.version())),
        };
        let write = WriteBuilder::new(guarded.clone(), Some(before.snapshot().clone()))
            .with_input_plan(input)
            .with_session_state(Arc::new(planner_of_deltalake(&self.state)))
            .with_session_fallback_policy(SessionFallbackPolicy::RequireSessionState)
            .with_save_mode(if self.overwrite { SaveMode::Overwrite } else { SaveMode::Append })
            .with_commit_properties(commit::properties(&self.notes, None));
        let answer = write.await;
        // deltalake registers a store for each table that it writes to and never takes it back.
        let _ = self.state.runtime_env().deregister_object_store(guarded.object_store_url().as_ref());
        let landed = commit::outcome(&guarded, answer).map_err(|error| rows.failure().unwrap_or(error))?;
        self.lake.committed(&table, landed.version);
        Ok(Written { rows: landed.rows, version: landed.version })
    }
}

/// The same session with the planner that knows deltalake's own nodes. The statement's rows are planned before, by the
/// session's own.
fn planner_of_deltalake(state: &SessionState) -> SessionState {
    SessionStateBuilder::new_from_existing(state.clone()).with_query_planner(DeltaPlanner::new()).build()
}
