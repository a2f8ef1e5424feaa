//! Ended statements, kept for good: from memory into an open Delta table, some at a time and behind everybody's back.
//!
//! No statement waits for its own row: rows wait in memory until the next save, so a crash loses those of the last
//! seconds. Each save is one commit; when the files have become many, one commit rewrites them into few and leaves the
//! oldest rows out. It knows nothing of running statements.

use std::sync::{Arc, Weak};

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::{concat_batches, sort_to_indices, take_record_batch};
use arrow::datatypes::SchemaRef;
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
use crate::{Error, Result};

/// The saved rows of `system.queries`.
pub(super) struct QueryHistory {
    table: SystemTable,
    /// Held while rows go from memory to the table, so that a reader sees each of them once.
    moving: RwLock<()>,
}

impl QueryHistory {
    /// Opens the table, creating it where it does not exist.
    pub(super) async fn open(lake: &Lake) -> Result<Self> {
        let table = lake.system_table("queries", Queries::schema()).await?;
        Ok(QueryHistory { table, moving: RwLock::new(()) })
    }

    /// Saves what has ended.
    pub(super) async fn save(&self, queries: &Queries) -> Result<()> {
        let _moving = self.moving.write().await;
        let Some((through, rows)) = queries.unsaved()? else { return Ok(()) };
        self.table.append(vec![rows], CommitNotes::default()).await?;
        queries.saved(through);
        if self.table.file_count().await? > QUERIES_FILES_MAX {
            self.rewrite().await?;
        }
        Ok(())
    }

    /// Rewrites the rows into few files, without the oldest of too many.
    async fn rewrite(&self) -> Result<()> {
        let batches = self.table.read().await?;
        let all = concat_batches(&self.table.schema(), &batches)?;
        let ended_at: &ArrayRef = all
            .column_by_name("ended_at")
            .ok_or_else(|| Error::internal("expected the column `ended_at` in `system.queries`"))?;
        let order: UInt32Array = sort_to_indices(ended_at, None, None)?;
        let left_out = order.len().saturating_sub(QUERIES_KEPT_MAX);
        let kept = take_record_batch(&all, &order.slice(left_out, order.len() - left_out))?;
        self.table.rewrite(vec![kept]).await?;
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
