//! CREATE TABLE, with and without a query: one Delta commit that has columns and rows, then a name in the catalog.
//!
//! Until the name is there nobody sees the table, so a statement that fails or is stopped leaves nothing but files
//! that are removed behind it. OR REPLACE is a new version of the same table, whose history goes on.

use std::path::Path;
use std::sync::Arc;

use chrono::Utc;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use deltalake_core::protocol::SaveMode;
use serde_json::json;

use super::commit;
use super::data_files::DataFiles;
use super::definition::Definition;
use super::open::{Creating, Lake};
use super::relations::{new_id, taken};
use super::rows::Rows;
use super::staging::Staged;
use super::table::Table;
use super::temporary::TemporaryTable;
use super::{CommitNotes, NewTable, OnExisting, Relation, RelationKind, Written};
use crate::{Error, Result};

/// Where a new table's rows come from.
pub enum NewRows {
    /// There are none.
    None,
    /// A query, whose columns are in the order of the table's; each is cast to its column's type.
    Query {
        /// What gives the rows.
        plan: LogicalPlan,
        /// The session that runs it.
        state: Box<SessionState>,
    },
    /// Files that are finished, of the table's shape.
    Staged(Staged),
}

impl Lake {
    /// Creates an empty table; `false` where it was there and that is allowed.
    pub async fn create_table(&self, table: NewTable, notes: CommitNotes) -> Result<bool> {
        Ok(self.create(table, NewRows::None, notes).await?.is_some())
    }

    /// Creates a table with the rows of `plan`, in one commit. `None` where it was there and that is allowed.
    ///
    /// The plan's columns are in the order of the table's; each is cast to its column's type.
    pub async fn create_table_as(
        &self,
        table: NewTable,
        plan: LogicalPlan,
        state: &SessionState,
        notes: CommitNotes,
    ) -> Result<Option<Written>> {
        self.create(table, NewRows::Query { plan, state: Box::new(state.clone()) }, notes).await
    }

    /// Creates a table of the staged rows, whose shape is the table's, in one commit.
    pub async fn create_table_staged(&self, table: NewTable, staged: Staged, notes: CommitNotes) -> Result<Written> {
        let name = table.name.clone();
        let created = self.create(table, NewRows::Staged(staged), notes).await?;
        created.ok_or_else(|| Error::internal(format!("`{name}` was neither created nor refused")))
    }

    /// Creates a table that the catalog does not name, in one commit; it goes with the answer.
    pub async fn create_temporary(
        &self,
        table: NewTable,
        source: NewRows,
        notes: CommitNotes,
    ) -> Result<(TemporaryTable, Written)> {
        let creation = Creation { lake: self.clone(), definition: Definition::new(table)?, source, notes };
        let temporary = TemporaryTable::new(self, creation.definition.name());
        let gate = creation.notes.gate.clone();
        commit::run(&gate, async move {
            let table = creation.lake.table(temporary.relation())?;
            let written = creation.commit(&table, SaveMode::ErrorIfExists).await?;
            Ok((temporary, written))
        })
        .await
    }

    async fn create(&self, table: NewTable, source: NewRows, notes: CommitNotes) -> Result<Option<Written>> {
        let on_existing = table.on_existing;
        let creation = Creation { lake: self.clone(), definition: Definition::new(table)?, source, notes };
        let gate = creation.notes.gate.clone();
        commit::run(&gate, async move { creation.run(on_existing).await }).await
    }
}

struct Creation {
    lake: Lake,
    definition: Definition,
    source: NewRows,
    notes: CommitNotes,
}

impl Creation {
    async fn run(&self, on_existing: OnExisting) -> Result<Option<Written>> {
        self.lake.catalog().settled().await?;
        commit::retry(&self.notes.gate, || async {
            let names = self.lake.catalog().names();
            let existing = names.schema(&self.definition.name().schema)?.get(&self.definition.name().table);
            match (existing, on_existing) {
                (Some(_), OnExisting::Keep) => Ok(None),
                (Some(existing), OnExisting::Fail) => Err(taken(existing)),
                (Some(existing), OnExisting::Replace) => self.replace(existing).await.map(Some),
                (None, _) => self.create(on_existing).await,
            }
        })
        .await
    }

    /// A new table, and then its name.
    async fn create(&self, on_existing: OnExisting) -> Result<Option<Written>> {
        let relation = Arc::new(Relation {
            name: self.definition.name().clone(),
            id: new_id(),
            kind: RelationKind::Table,
            created_at: Utc::now(),
            location: self.definition.location().map(Path::to_path_buf),
        });
        // Whatever stops this before the name is there, the files go.
        let creating = Creating::new(&self.lake, relation.clone());
        if let Some(location) = &relation.location {
            self.lake.make_directory(location)?;
        }
        let table = self.lake.table(&relation)?;
        let written = self.commit(&table, SaveMode::ErrorIfExists).await?;
        let linked = self.lake.catalog().change(|names| {
            let existing = names.schema(&relation.name.schema)?.get(&relation.name.table);
            match (existing, on_existing) {
                (None, _) => {
                    if let Some(location) = &relation.location {
                        names.not_placed(location)?;
                    }
                    names.link(relation.clone());
                    Ok(Some(()))
                }
                (Some(_), OnExisting::Keep) => Ok(None),
                (Some(existing), OnExisting::Fail) => Err(taken(existing)),
                // Somebody created it meanwhile: once more, as a replacement.
                (Some(existing), OnExisting::Replace) => Err(Error::conflict(taken(existing).message())),
            }
        });
        match linked.await? {
            Some(()) => {
                creating.done();
                Ok(Some(written))
            }
            None => Ok(None),
        }
    }

    /// A new version of a table that is there.
    async fn replace(&self, existing: &Arc<Relation>) -> Result<Written> {
        if !matches!(existing.kind, RelationKind::Table) {
            return Err(Error::input(format!("`{}` is a view", existing.name))
                .with_hint("drop it first, or use `CREATE OR REPLACE VIEW`"));
        }
        let table = self.lake.table(existing)?;
        let _alone = table.lane().exclusive().await;
        self.lake.still_there(existing)?;
        let written = self.commit(&table, SaveMode::Overwrite).await?;
        self.lake.committed(&table, written.version);
        Ok(written)
    }

    /// Columns and rows in one commit.
    async fn commit(&self, table: &Arc<Table>, mode: SaveMode) -> Result<Written> {
        let base = match mode {
            SaveMode::Overwrite => Some(table.latest().await?.version()),
            _ => None,
        };
        if let Some(base) = base {
            commit::refuse_stale(table, &self.notes, self.definition.name(), base).await?;
        }
        if self.definition.has_mapping() && !matches!(self.source, NewRows::None) {
            let text = format!("rows in the statement that creates `{}` with column mapping", self.definition.name());
            return Err(Error::unsupported(text).with_hint("create the table first, and then INSERT INTO it"));
        }
        let (files, _linked) = match &self.source {
            NewRows::None => (DataFiles::default(), None),
            NewRows::Query { plan, state } => (self.write_rows(table, plan, state).await?, None),
            NewRows::Staged(staged) => {
                let (files, linked) = staged.link(table, &self.notes.gate).await?;
                (files, Some(linked))
            }
        };
        let rows = files.rows;
        let metrics = json!({ "numFiles": files.count(), "numOutputRows": rows });
        // What replaces a table must follow what it replaces at once: rows that came between would stay.
        let guarded = match base {
            Some(base) => table.guarded_alone(&self.notes.gate, base),
            None => table.guarded(&self.notes.gate, None),
        };
        let builder = self
            .definition
            .builder(guarded.clone())
            .with_save_mode(mode)
            .with_actions(files.into_actions())
            .with_commit_properties(commit::properties(&self.notes, Some(metrics)));
        let landed = commit::outcome(&guarded, builder.await)?;
        Ok(Written { rows, version: landed.version })
    }

    async fn write_rows(&self, table: &Table, plan: &LogicalPlan, state: &SessionState) -> Result<DataFiles> {
        let name = self.definition.name().to_string();
        let constraints = self.definition.constraints().clone();
        let onlooker = self.notes.onlooker.as_ref();
        let schema = self.definition.schema();
        let rows = Rows::plan(plan.clone(), schema, constraints, &name, state, onlooker).await?;
        let store = table.log_store().object_store(None);
        let written = DataFiles::of_query(&rows, self.definition.partition_by(), store, state).await;
        written.map_err(|error| rows.failure().unwrap_or(error))
    }
}
