//! Delta tables of Limn's own, under `system/` and outside the catalog: what the registry folds its rows into.
//!
//! They are plain Delta tables that any reader can open. They grow by appends, which cannot conflict with each other; a
//! rewrite has its table alone. This file does not know what is in them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use chrono::Utc;
use datafusion::catalog::TableProvider;
use datafusion::prelude::SessionContext;
use deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake_core::kernel::transaction::{CommitBuilder, TableReference};
use deltalake_core::kernel::{Action, MetadataExt, StructType};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::table::state::DeltaTableState;
use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use serde_json::json;

use super::data_files::DataFiles;
use super::definition::Definition;
use super::log_store::GuardedLogStore;
use super::provider::TableVersion;
use super::table::{SYSTEM, Table};
use super::types::storage_schema;
use super::{CommitNotes, Lake, NewTable, OnExisting, TableName, Written, commit};
use crate::{Error, Result};

/// A Delta table of Limn's own. Cheap to clone.
#[derive(Clone)]
pub struct SystemTable {
    lake: Lake,
    name: Arc<str>,
    table: Arc<Table>,
    schema: SchemaRef,
}

impl Lake {
    /// Opens the system table `name`, creating it with these columns where it does not exist.
    ///
    /// Where it exists, columns that it lacks and that may be NULL are added. Fails with `Internal` where it exists with
    /// other columns.
    pub async fn system_table(&self, name: &str, schema: SchemaRef) -> Result<SystemTable> {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
            return Err(Error::internal(format!("`{name}` cannot be the name of a system table")));
        }
        let path = format!("{SYSTEM}{name}");
        // No id of a table has a slash in it.
        let table = self.table_at(&path, path.clone(), true)?;
        let schema = storage_schema(&schema)?;
        let system = SystemTable { lake: self.clone(), name: name.into(), table, schema };
        system.create().await?;
        Ok(system)
    }
}

impl SystemTable {
    /// The columns, as tables store them.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Appends rows in one commit, which is durable when this returns.
    ///
    /// The batches have the table's columns in order. Where an application transaction of `notes` was recorded before,
    /// nothing is written and `rows` is 0. Rows that were once begun are written even where nobody waits for them.
    pub async fn append(&self, batches: Vec<RecordBatch>, notes: CommitNotes) -> Result<Written> {
        let batches = batches.iter().map(|batch| self.conform(batch)).collect::<Result<Vec<_>>>()?;
        let (this, gate) = (self.clone(), notes.gate.clone());
        commit::run(&gate, async move { commit::retry(&notes.gate, || this.attempt(&batches, &notes)).await }).await
    }

    /// Appends rows where the application transaction of `notes` recorded `after` last, 0 for never; nothing where it
    /// recorded its number already. Fails where another writer recorded another one, or commits first.
    pub async fn append_after(&self, batches: Vec<RecordBatch>, notes: CommitNotes, after: i64) -> Result<()> {
        let batches = batches.iter().map(|batch| self.conform(batch)).collect::<Result<Vec<_>>>()?;
        let (this, gate) = (self.clone(), notes.gate.clone());
        commit::run(&gate, async move {
            let _alone = this.table.lane().exclusive().await;
            let before = this.table.latest().await?;
            if commit::is_done(&this.table, &before, &notes).await? {
                return Ok(());
            }
            for (id, _) in &notes.transactions {
                let found = this.table.transaction_version(&before, id).await?.unwrap_or(0);
                if found != after {
                    return Err(Error::unavailable(format!("expected `{id}` at {after}, found it at {found}")));
                }
            }
            let guarded = this.table.guarded_alone(&notes.gate, before.version());
            this.commit(&before, SaveMode::Append, &batches, &notes, guarded).await.map(drop)
        })
        .await
    }

    /// Replaces all rows by what `change` makes of them, in one commit, which is durable when this returns. The files
    /// that they were in stay until [`SystemTable::remove_unread_files`]. `Conflict` where another writer was first.
    pub async fn rewrite(
        &self,
        change: impl FnOnce(Vec<RecordBatch>) -> Result<RecordBatch> + Send + 'static,
    ) -> Result<Written> {
        let (this, notes) = (self.clone(), CommitNotes::default());
        let gate = notes.gate.clone();
        commit::run(&gate, async move {
            let _alone = this.table.lane().exclusive().await;
            let before = this.table.latest().await?;
            let batch = this.conform(&change(this.read_at(&before).await?)?)?;
            let guarded = this.table.guarded_alone(&notes.gate, before.version());
            this.commit(&before, SaveMode::Overwrite, &[batch], &notes, guarded).await
        })
        .await
    }

    /// The files of the latest version.
    pub async fn file_count(&self) -> Result<usize> {
        Ok(self.table.latest().await?.snapshot().log_data().num_files())
    }

    /// Removes data files that no latest version has and that were written longer ago than `age`. What reads an older
    /// version of the table may miss them.
    pub async fn remove_unread_files(&self, age: Duration) -> Result<()> {
        let _alone = self.table.lane().exclusive().await;
        let state = self.table.latest().await?;
        let read: HashSet<String> = state.snapshot().log_data().iter().map(|file| file.path().to_string()).collect();
        let before = Utc::now() - age;
        let store = self.table.log_store().object_store(None);
        let listed: Result<Vec<ObjectMeta>, _> = store.list(None).try_collect().await;
        let found = listed.map_err(|error| super::error::store(&error))?;
        for file in found {
            let path = file.location.to_string();
            if path.ends_with(".parquet") && !path.contains('/') && !read.contains(&path) && file.last_modified < before
            {
                store.delete(&file.location).await.map_err(|error| super::error::store(&error))?;
            }
        }
        Ok(())
    }

    /// The version that an application transaction recorded last.
    pub async fn transaction_version(&self, app_id: &str) -> Result<Option<i64>> {
        let state = self.table.latest().await?;
        self.table.transaction_version(&state, app_id).await
    }

    /// What DataFusion scans: the latest version.
    pub async fn provider(&self) -> Result<Arc<dyn TableProvider>> {
        let state = self.table.latest().await?;
        Ok(Arc::new(TableVersion::new(&self.table, &state).await?))
    }

    /// All rows of the latest version, in the table's types and in no order.
    pub async fn read(&self) -> Result<Vec<RecordBatch>> {
        self.read_at(&self.table.latest().await?).await
    }

    async fn read_at(&self, state: &DeltaTableState) -> Result<Vec<RecordBatch>> {
        let ctx = SessionContext::new();
        self.lake.register_stores(&ctx.runtime_env());
        let version = Arc::new(TableVersion::new(&self.table, state).await?);
        let batches = ctx.read_table(version)?.collect().await?;
        batches.iter().map(|batch| self.conform(batch)).collect()
    }

    async fn create(&self) -> Result<()> {
        let _alone = self.table.lane().exclusive().await;
        let exists = self.table.log_store().is_delta_table_location().await.map_err(super::error::delta)?;
        if exists {
            return self.check().await;
        }
        let definition = Definition::new(NewTable {
            name: TableName { schema: "system".into(), table: self.name.to_string() },
            schema: self.schema.clone(),
            partition_by: Vec::new(),
            properties: Default::default(),
            comment: None,
            location: None,
            on_existing: OnExisting::Fail,
        })?;
        let notes = CommitNotes::default();
        let guarded = self.table.guarded(&notes.gate, None);
        let builder = definition.builder(guarded.clone()).with_commit_properties(commit::properties(&notes, None));
        commit::outcome(&guarded, builder.await)?;
        Ok(())
    }

    /// Checks the columns of a table that is there, and adds those that it lacks: an older Limn had fewer.
    async fn check(&self) -> Result<()> {
        let state = self.table.latest().await?;
        let stored = storage_schema(&state.snapshot().arrow_schema())?;
        let columns = |schema: &SchemaRef| -> Vec<_> {
            schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
        };
        let (found, mut expected) = (columns(&stored), columns(&self.schema));
        if found == expected {
            return Ok(());
        }
        let is_new = |name: &str| {
            stored.field_with_name(name).is_err()
                && self.schema.field_with_name(name).is_ok_and(|field| field.is_nullable())
        };
        expected.retain(|(name, _)| !is_new(name));
        match found == expected {
            true => self.widen(&state).await,
            false => Err(Error::internal(format!(
                "system table `{}` has other columns than expected: {stored:?}",
                self.name
            ))),
        }
    }

    /// Gives the table its columns of now; rows that are there have NULL in the new ones.
    async fn widen(&self, state: &DeltaTableState) -> Result<()> {
        let columns: StructType =
            self.schema.as_ref().try_into_kernel().map_err(|error: arrow::error::ArrowError| {
                Error::internal(format!("system table `{}` cannot have its columns: {error}", self.name))
            })?;
        let metadata = state.snapshot().metadata().clone().with_schema(&columns);
        let metadata = metadata.map_err(|error| super::error::delta(error.into()))?;
        let notes = CommitNotes::default();
        let guarded = self.table.guarded(&notes.gate, Some(state.version()));
        let new = columns.fields().filter(|field| state.snapshot().arrow_schema().index_of(field.name()).is_err());
        let operation = DeltaOperation::AddColumn { fields: new.cloned().collect() };
        let commit = CommitBuilder::from(commit::properties(&notes, None))
            .with_actions(vec![Action::Metadata(metadata)])
            .build(Some(state as &dyn TableReference), guarded.clone(), operation);
        let landed = commit::outcome(&guarded, commit.await)?;
        self.lake.committed(&self.table, landed.version);
        Ok(())
    }

    /// The batch in the table's types.
    fn conform(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        if batch.num_columns() != self.schema.fields().len() {
            return Err(Error::internal(format!(
                "expected {} columns for system table `{}`, found {}",
                self.schema.fields().len(),
                self.name,
                batch.num_columns()
            )));
        }
        let columns = batch.columns().iter().zip(self.schema.fields());
        let columns = columns.map(|(column, field)| arrow::compute::cast(column, field.data_type()));
        Ok(RecordBatch::try_new(self.schema.clone(), columns.collect::<Result<Vec<_>, _>>()?)?)
    }

    async fn attempt(&self, batches: &[RecordBatch], notes: &CommitNotes) -> Result<Written> {
        let _beside = self.table.lane().shared().await;
        let before = self.table.latest().await?;
        if commit::is_done(&self.table, &before, notes).await? {
            return Ok(Written { rows: 0, version: before.version() });
        }
        let guarded = self.table.guarded(&notes.gate, Some(before.version()));
        self.commit(&before, SaveMode::Append, batches, notes, guarded).await
    }

    /// Writes rows and commits them, in place of all others or beside them.
    async fn commit(
        &self,
        before: &DeltaTableState,
        mode: SaveMode,
        batches: &[RecordBatch],
        notes: &CommitNotes,
        guarded: Arc<GuardedLogStore>,
    ) -> Result<Written> {
        let store = self.table.log_store().object_store(None);
        let files = DataFiles::of_batches(batches.to_vec(), self.schema.clone(), store).await?;
        let rows = files.rows;
        let metrics = json!({ "numFiles": files.count(), "numOutputRows": rows });
        let mut actions: Vec<Action> = files.into_actions().collect();
        if mode == SaveMode::Overwrite {
            let replaced = before.snapshot().log_data();
            actions.extend(replaced.iter().map(|file| Action::Remove(file.remove_action(true))));
        }
        let operation = DeltaOperation::Write { mode, partition_by: None, predicate: None };
        let commit = CommitBuilder::from(commit::properties(notes, Some(metrics))).with_actions(actions).build(
            Some(before as &dyn TableReference),
            guarded.clone(),
            operation,
        );
        let landed = commit::outcome(&guarded, commit.await)?;
        self.lake.committed(&self.table, landed.version);
        Ok(Written { rows, version: landed.version })
    }
}
