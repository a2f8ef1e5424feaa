//! What a lake does as a whole, in one process. What it keeps through crashes is tested with the disk under test.

mod care;
mod concurrency;
mod statements;
mod time_travel;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;

use super::disk::LocalDisk;
use super::*;
use crate::Result;

/// A lake in a directory of its own, and a session.
struct Bench {
    dir: tempfile::TempDir,
    lake: Lake,
    ctx: SessionContext,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let lake = open(dir.path());
        Bench { dir, lake, ctx: SessionContext::new() }
    }

    /// A table `main.t` with one column `id BIGINT`.
    async fn with_table() -> Self {
        let bench = Bench::new();
        bench.lake.create_table(table("t", vec![id()]), CommitNotes::default()).await.unwrap();
        bench
    }

    async fn plan(&self, sql: &str) -> LogicalPlan {
        self.ctx.sql(sql).await.unwrap().into_unoptimized_plan()
    }

    async fn insert(&self, at: &str, sql: &str) -> Result<Written> {
        self.write(at, sql, false, CommitNotes::default()).await
    }

    async fn write(&self, at: &str, sql: &str, overwrite: bool, notes: CommitNotes) -> Result<Written> {
        self.lake.insert(&name(at), self.plan(sql).await, overwrite, &self.ctx.state(), notes).await
    }

    async fn create_as(&self, table: NewTable, sql: &str) -> Result<Option<Written>> {
        self.lake.create_table_as(table, self.plan(sql).await, &self.ctx.state(), CommitNotes::default()).await
    }

    async fn read(&self, at: &str, point: At) -> Result<Vec<RecordBatch>> {
        let relation = self.lake.relation(&name(at))?;
        let snapshot = self.lake.snapshot(&relation, point).await?;
        let provider = self.lake.provider(&snapshot).await?;
        assert_eq!(provider.schema(), snapshot.schema);
        Ok(self.ctx.read_table(provider)?.collect().await?)
    }

    /// The first column, in order.
    async fn ids(&self, at: &str, point: At) -> Result<Vec<i64>> {
        let batches = self.read(at, point).await?;
        let ids = batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec());
        let mut ids: Vec<i64> = ids.collect();
        ids.sort_unstable();
        Ok(ids)
    }

    fn files_under(&self, path: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.path().join(path)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

fn open(path: &Path) -> Lake {
    let disk: Arc<dyn disk::Disk> = Arc::new(LocalDisk);
    Lake::open(DataDirectory::open(path, &disk).unwrap(), disk).unwrap()
}

fn name(table: &str) -> TableName {
    TableName { schema: "main".into(), table: table.into() }
}

fn id() -> Field {
    Field::new("id", DataType::Int64, true)
}

fn table(at: &str, fields: Vec<Field>) -> NewTable {
    NewTable {
        name: name(at),
        schema: Arc::new(Schema::new(fields)),
        partition_by: Vec::new(),
        properties: BTreeMap::new(),
        comment: None,
        location: None,
        on_existing: OnExisting::Fail,
    }
}
