//! Ended statements, kept for good: from memory into an open Delta table, some at a time and behind everybody's back.
//!
//! No statement waits for its own row: rows wait in memory until the next save, so a crash loses those of the last
//! seconds. Each save is one commit; when the files have become many, one commit rewrites them into few and leaves the
//! oldest rows out. It knows nothing of running statements.

use std::sync::{Arc, Weak};

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::{concat_batches, sort_to_indices, take_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use chrono::{DateTime, Utc};
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::logical_expr::{LogicalPlanBuilder, cast, col, lit};
use datafusion::scalar::ScalarValue;
use tokio::sync::RwLock;
use tokio_util::sync::CancellationToken;

use super::open::Inner;
use super::queries::Queries;
use crate::lake::{CommitNotes, Lake, SystemTable};
use crate::limits::{QUERIES_FILES_MAX, QUERIES_KEPT_MAX, QUERIES_SAVE_INTERVAL, QUERIES_UNREAD_FILE_AGE};
use crate::{Class, Error, Result};

/// The saved rows of `system.queries`.
pub(super) struct QueryHistory {
    table: SystemTable,
    /// The application transaction of this server's saves.
    counted_as: String,
    /// Files after which they are rewritten into few.
    files_max: usize,
    /// Rows that a rewriting leaves.
    kept_max: usize,
    /// Held while rows go from memory to the table, so that a reader sees each of them once.
    moving: RwLock<Moving>,
}

/// What has gone from memory to the table. Each save records its number there, as an application transaction: a save
/// whose failure came after its commit is known by it, and its rows are not saved again.
#[derive(Debug)]
struct Moving {
    /// The number of the last save.
    saves: i64,
    /// The last of the rows that the next number was tried with.
    tried: Option<u64>,
}

/// The name under which the table records the saves.
const SAVES: &str = "limn.queries";

impl QueryHistory {
    /// Opens the table, creating it where it does not exist.
    pub(super) async fn open(lake: &Lake) -> Result<Self> {
        let table = lake.system_table("queries", Queries::schema()).await?;
        // Servers that share the table count their saves for themselves.
        let counted_as = match lake.directory().member() {
            Some(member) => format!("{SAVES}.{}", member.id()),
            None => SAVES.to_string(),
        };
        let saves = table.transaction_version(&counted_as).await?.unwrap_or(0);
        let moving = RwLock::new(Moving { saves, tried: None });
        Ok(QueryHistory { table, counted_as, files_max: QUERIES_FILES_MAX, kept_max: QUERIES_KEPT_MAX, moving })
    }

    /// Saves what has ended.
    pub(super) async fn save(&self, queries: &Queries) -> Result<()> {
        let mut moving = self.moving.write().await;
        if moving.tried.is_some() {
            // First the same rows under the same number, as they may be there.
            self.append(&mut moving, queries).await?;
        }
        if !self.append(&mut moving, queries).await? {
            return Ok(());
        }
        if self.table.file_count().await? > self.files_max {
            self.rewrite().await?;
        }
        Ok(())
    }

    /// Appends the rows that were tried before, or else all; `false` where there are none.
    async fn append(&self, moving: &mut Moving, queries: &Queries) -> Result<bool> {
        let Some((through, rows)) = queries.unsaved(moving.tried)? else {
            moving.tried = None;
            return Ok(false);
        };
        let number = moving.saves + 1;
        moving.tried = Some(through);
        let notes = CommitNotes { transactions: vec![(self.counted_as.clone(), number)], ..CommitNotes::default() };
        if let Err(error) = self.table.append(vec![rows], notes).await {
            // An error from after the commit is none.
            if self.table.transaction_version(&self.counted_as).await?.is_none_or(|landed| landed < number) {
                return Err(error);
            }
        }
        *moving = Moving { saves: number, tried: None };
        queries.saved(through);
        Ok(true)
    }

    /// Rewrites the rows into few files, without the oldest of too many.
    async fn rewrite(&self) -> Result<()> {
        let (schema, kept_max) = (self.table.schema(), self.kept_max);
        let kept = move |batches: Vec<RecordBatch>| {
            let all = concat_batches(&schema, &batches)?;
            let ended_at: &ArrayRef = all
                .column_by_name("ended_at")
                .ok_or_else(|| Error::internal("expected the column `ended_at` in `system.queries`"))?;
            let order: UInt32Array = sort_to_indices(ended_at, None, None)?;
            let left_out = order.len().saturating_sub(kept_max);
            Ok(take_record_batch(&all, &order.slice(left_out, order.len() - left_out))?)
        };
        match self.table.rewrite(kept).await {
            // Another server did it, or has rows to save: the next save tries again.
            Err(error) if error.class() == Class::Conflict => return Ok(()),
            done => done?,
        };
        // Whoever reads the files that were replaced has begun by now and soon ends.
        self.table.remove_unread_files(QUERIES_UNREAD_FILE_AGE).await
    }

    /// All rows, or those of statements that had ended by `at`.
    pub(super) async fn provider(
        &self,
        queries: &Queries,
        at: Option<DateTime<Utc>>,
    ) -> Result<Arc<dyn TableProvider>> {
        let (live, saved) = {
            let _still = self.moving.read().await;
            (queries.batch()?, self.table.provider().await?)
        };
        let schema = Queries::schema();
        let live = MemTable::try_new(Arc::clone(&schema), vec![vec![live]])?;
        let live = LogicalPlanBuilder::scan("live", provider_as_source(Arc::new(live)), None)?;
        let saved = LogicalPlanBuilder::scan("saved", provider_as_source(saved), None)?;
        let mut all = live.project(columns(&schema))?.union(saved.project(columns(&schema))?.build()?)?;
        if let Some(at) = at {
            let at = ScalarValue::TimestampMicrosecond(Some(at.timestamp_micros()), Some("UTC".into()));
            all = all.filter(col("ended_at").lt_eq(lit(at)))?;
        }
        Ok(Arc::new(ViewTable::new(all.build()?, None)))
    }
}

/// The columns of `schema` in its types, whatever a Delta reader makes of them.
fn columns(schema: &SchemaRef) -> Vec<datafusion::logical_expr::Expr> {
    let fields = schema.fields().iter();
    fields.map(|field| cast(col(field.name()), field.data_type().clone()).alias(field.name())).collect()
}

/// Saves now and then, until the engine stops or is gone.
pub(super) async fn keep_saving(inner: Weak<Inner>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(QUERIES_SAVE_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        let Some(queries) = inner.upgrade().map(|inner| inner.queries.clone()) else { return };
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
            () = queries.save_due() => {}
        }
        let Some(inner) = inner.upgrade() else { return };
        if let Err(error) = inner.history.save(&inner.queries).await {
            tracing::warn!(%error, "ended statements wait in memory: they could not be saved");
            // Asked for again at once, it would only fail again.
            drop(inner);
            ticks.tick().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use arrow::array::AsArray;
    use datafusion::prelude::SessionContext;

    use super::*;
    use crate::engine::{Principal, Session, StatementContext};
    use crate::lake::DataDirectory;
    use crate::lake::disk::{Disk, LocalDisk};
    use crate::limits::Limits;
    use crate::telemetry::Metrics;

    fn lake(path: &Path) -> Lake {
        let disk: Arc<dyn Disk> = Arc::new(LocalDisk);
        Lake::open(DataDirectory::open(path, &disk).unwrap(), disk).unwrap()
    }

    /// The saved statements, in order.
    async fn saved(lake: &Lake, history: &QueryHistory) -> Vec<String> {
        let ctx = SessionContext::new();
        lake.register_stores(&ctx.runtime_env());
        let none = Queries::new(&Limits::default(), Metrics::default());
        let rows = ctx.read_table(history.provider(&none, None).await.unwrap()).unwrap().collect().await.unwrap();
        let texts = rows.iter().flat_map(|batch| {
            let statements = batch.column_by_name("statement").unwrap().as_string::<i32>();
            statements.iter().flatten().map(str::to_string).collect::<Vec<_>>()
        });
        let mut texts: Vec<String> = texts.collect();
        texts.sort_unstable();
        texts
    }

    #[tokio::test]
    async fn the_oldest_rows_go_and_the_others_survive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let expected: Vec<String> = (16..32).map(|n| format!("SELECT {n}")).collect();
        {
            let lake = lake(dir.path());
            let mut history = QueryHistory::open(&lake).await.unwrap();
            (history.files_max, history.kept_max) = (3, 12);
            let queries = Queries::new(&Limits::default(), Metrics::default());
            for save in 0..8 {
                for n in 0..4 {
                    let ctx = StatementContext::new(Principal::anonymous(), Arc::new(Session::new()));
                    drop(queries.begin(&ctx, &format!("SELECT {}", save * 4 + n)));
                }
                history.save(&queries).await.unwrap();
            }
            // The 4th and the 7th save found 4 files: of 16 rows 12 stayed, of 24 again 12; then came 4 more.
            assert_eq!(saved(&lake, &history).await, expected);
            assert_eq!(history.table.file_count().await.unwrap(), 2);
            lake.settle().await;
        }
        let lake = lake(dir.path());
        assert_eq!(saved(&lake, &QueryHistory::open(&lake).await.unwrap()).await, expected);
    }
}
