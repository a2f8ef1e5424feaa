//! Rows that arrive from outside, in files of their own until one commit takes them into a table.
//!
//! A client sends rows for as long as it likes and may go away at any time. So they are written below `tmp/`, holding
//! nobody up, and the commit links the finished files into the table: until it begins, giving up leaves nothing. It
//! knows nothing of where the rows come from.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use deltalake_core::Path;
use deltalake_core::kernel::transaction::{CommitBuilder, TableReference};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::table::state::DeltaTableState;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use object_store::ObjectStore;
use object_store::prefix::PrefixStore;
use serde_json::json;

use super::data_files::DataFiles;
use super::open::Lake;
use super::relations::new_id;
use super::store::Store;
use super::table::Table;
use super::types::storage_schema;
use super::{CommitGate, CommitNotes, Relation, RelationKind, Written, commit};
use crate::{Error, Result};

/// What rows must look like to become rows of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// The columns, as tables store them.
    pub schema: SchemaRef,
    /// The partition columns.
    pub partition_by: Vec<String>,
}

/// Finished files that no table has yet. Dropping it removes them.
pub struct Staged {
    directory: Directory,
    shape: Shape,
    files: DataFiles,
}

impl Lake {
    /// The shape of a table's rows now. `Unsupported` where the table checks more of them than their types.
    pub async fn shape(&self, relation: &Arc<Relation>) -> Result<Shape> {
        if let RelationKind::View { .. } = relation.kind {
            return Err(Error::input(format!("expected a table to write to, found the view `{}`", relation.name)));
        }
        if relation.location.is_some() {
            let text = format!("bulk ingestion into `{}`, which is not in the data directory", relation.name);
            return Err(Error::unsupported(text).with_hint("ingest into another table, then `INSERT INTO … SELECT`"));
        }
        shape_of(relation, &self.table(relation)?.latest().await?)
    }

    /// Writes rows into files; each batch has the columns of `shape`, which no NULL contradicts.
    ///
    /// Holds one row group and the files that are being written in memory, whatever the number of rows. An error of
    /// the batches ends it and leaves no file. Do not drop the future before its end: an error in `batches` stops it.
    pub async fn stage(&self, shape: Shape, batches: BoxStream<'static, Result<RecordBatch>>) -> Result<Staged> {
        let directory = Directory { lake: self.clone(), path: self.unfinished(&format!("staged-{}", new_id())) };
        let store: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(self.store().clone(), directory.path.as_str()));
        let files = DataFiles::of_stream(batches, shape.schema.clone(), &shape.partition_by, store).await?;
        Ok(Staged { directory, shape, files })
    }

    /// Makes the staged rows part of a table, in one commit that is durable when this returns.
    ///
    /// `Conflict` where the table's columns are not what the rows were written for any more. Where the table already has
    /// the application transactions of `notes`, nothing is written and `rows` is 0.
    pub async fn append_staged(&self, relation: &Arc<Relation>, staged: Staged, notes: CommitNotes) -> Result<Written> {
        let append = Append { lake: self.clone(), relation: relation.clone(), staged, notes };
        let gate = append.notes.gate.clone();
        commit::run(&gate, async move { append.run().await }).await
    }
}

impl Staged {
    /// How many rows.
    pub fn rows(&self) -> u64 {
        self.files.rows
    }

    /// The files for a commit to `table`, linked into its directory; they go with the answer unless `gate` was passed.
    pub(super) async fn link(&self, table: &Table, gate: &CommitGate) -> Result<(DataFiles, Linked)> {
        let lake = &self.directory.lake;
        let store = lake.store();
        let (from, home) = (Path::from(self.directory.path.as_str()), Path::from(table.path()));
        let mut linked = Linked { lake: lake.clone(), gate: gate.clone(), files: Vec::new() };
        if self.files.count() > 0 {
            let found: Vec<_> = store.list(Some(&from)).try_collect().await.map_err(|e| super::error::store(&e))?;
            for object in found {
                let Some(rest) = object.location.prefix_match(&from) else { continue };
                let to: Path = home.parts().chain(rest).collect();
                store.link(&object.location, &to).await.map_err(|error| super::error::store(&error))?;
                linked.files.push(to);
            }
        }
        Ok((self.files.clone(), linked))
    }
}

/// A directory of unfinished files, gone with its last user.
struct Directory {
    lake: Lake,
    path: String,
}

impl Drop for Directory {
    fn drop(&mut self) {
        self.lake.remove_unfinished(self.path.clone());
    }
}

/// Files of a table that a commit is going to name. Where the commit never began, they go.
pub(super) struct Linked {
    lake: Lake,
    gate: CommitGate,
    files: Vec<Path>,
}

impl Linked {
    /// Files that a commit of `gate` is going to name.
    pub(super) fn new(lake: &Lake, gate: &CommitGate, files: Vec<Path>) -> Self {
        Linked { lake: lake.clone(), gate: gate.clone(), files }
    }
}

impl Drop for Linked {
    fn drop(&mut self) {
        // From there on the log may name the files, whatever was answered.
        if !self.files.is_empty() && !self.gate.is_passed() {
            self.lake.remove_files(std::mem::take(&mut self.files));
        }
    }
}

struct Append {
    lake: Lake,
    relation: Arc<Relation>,
    staged: Staged,
    notes: CommitNotes,
}

impl Append {
    async fn run(&self) -> Result<Written> {
        self.lake.catalog().settled().await?;
        commit::retry(&self.notes.gate, || self.attempt()).await
    }

    async fn attempt(&self) -> Result<Written> {
        let table = self.lake.table(&self.relation)?;
        let _beside = table.lane().shared().await;
        self.lake.still_there(&self.relation)?;
        let before = table.latest().await?;
        if commit::is_done(&table, &before, &self.notes).await? {
            return Ok(Written { rows: 0, version: before.version() });
        }
        if shape_of(&self.relation, &before)? != self.staged.shape {
            let text = format!("the columns of `{}` changed while rows for it were sent", self.relation.name);
            return Err(Error::conflict(text).with_hint("send the rows again"));
        }
        let rows = self.staged.rows();
        if rows == 0 && self.notes.transactions.is_empty() {
            return Ok(Written { rows, version: before.version() });
        }
        let (files, _linked) = self.staged.link(&table, &self.notes.gate).await?;
        let guarded = table.guarded(&self.notes.gate, Some(before.version()));
        let metrics = json!({ "numFiles": files.count(), "numOutputRows": rows });
        let partitions = Some(self.staged.shape.partition_by.clone()).filter(|columns| !columns.is_empty());
        let operation = DeltaOperation::Write { mode: SaveMode::Append, partition_by: partitions, predicate: None };
        let commit = CommitBuilder::from(commit::properties(&self.notes, Some(metrics)))
            .with_actions(files.into_actions().collect())
            .build(Some(&before as &dyn TableReference), guarded.clone(), operation);
        let landed = commit::outcome(&guarded, commit.await)?;
        self.lake.committed(&table, landed.version);
        Ok(Written { rows, version: landed.version })
    }
}

fn shape_of(relation: &Relation, state: &DeltaTableState) -> Result<Shape> {
    let metadata = state.snapshot().metadata();
    let columns = state.snapshot().arrow_schema();
    let checks = ["delta.invariants", "delta.generationExpression", "delta.identity.start"];
    let checked_column = columns.fields().iter().any(|f| checks.iter().any(|key| f.metadata().contains_key(*key)));
    if checked_column || metadata.configuration().keys().any(|key| key.starts_with("delta.constraints.")) {
        return Err(Error::unsupported(format!("bulk ingestion into `{}`, which has constraints", relation.name))
            .with_hint("ingest into another table, then `INSERT INTO … SELECT`"));
    }
    super::alter::refuse_mapping(relation, metadata, "bulk ingestion")?;
    Ok(Shape { schema: storage_schema(&columns)?, partition_by: metadata.partition_columns().to_vec() })
}

impl Store {
    /// Gives a finished file a second name, durably; one that is there already is from an attempt before.
    async fn link(&self, from: &Path, to: &Path) -> object_store::Result<()> {
        match self.hard_link(from, to).await {
            Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
            done => done,
        }
    }
}
