//! The rows that a statement writes, on their way from its plan into a table's files.
//!
//! The statement's own planner plans them, in its own session; what reaches deltalake is a source of finished rows, so
//! that neither needs to know the other's plan nodes. On the way, a NULL where the table has none is an error that
//! names the column, and an error of the query keeps its class, which deltalake would turn into a text.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::Array;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::StreamExt;

use super::Onlooker;
use super::align::align;
use super::constraints::Constraints;
use crate::{Error, Result};

/// Rows that are ready to be computed, in the types and with the nullability of a table.
#[derive(Clone)]
pub struct Rows {
    plan: Arc<dyn ExecutionPlan>,
    schema: SchemaRef,
    /// What each row must meet.
    constraints: Constraints,
    /// How the table is called in errors.
    table: Arc<str>,
    /// The first error of the rows themselves.
    failure: Arc<Mutex<Option<Error>>>,
    counter: Counter,
}

/// Counts rows for somebody who waits for them.
#[derive(Debug, Clone)]
struct Counter {
    onlooker: Option<Arc<dyn Onlooker>>,
    /// How many there will be, as far as the plan can tell.
    expected: Option<usize>,
    seen: Arc<AtomicUsize>,
}

impl Counter {
    fn new(plan: &dyn ExecutionPlan, onlooker: Option<&Arc<dyn Onlooker>>) -> Self {
        let statistics = StatisticsContext::new().compute(plan, &StatisticsArgs::new()).ok();
        let expected = statistics.and_then(|statistics| statistics.num_rows.get_value().copied());
        Counter { onlooker: onlooker.cloned(), expected: expected.filter(|rows| *rows > 0), seen: Arc::default() }
    }

    fn count(&self, rows: usize) {
        let seen = self.seen.fetch_add(rows, Ordering::Relaxed) + rows;
        if let (Some(onlooker), Some(expected)) = (&self.onlooker, self.expected) {
            onlooker.done((seen as f64 / expected as f64).min(WRITTEN_SHARE_MAX));
        }
    }
}

/// What is left when all rows are there: the last file, and the commit.
const WRITTEN_SHARE_MAX: f64 = 0.99;

impl Rows {
    /// Plans the rows of `plan`, whose columns are in the order of `schema`, as rows of a table with these columns.
    pub async fn plan(
        plan: LogicalPlan,
        schema: &SchemaRef,
        constraints: Constraints,
        table: &str,
        state: &SessionState,
        onlooker: Option<&Arc<dyn Onlooker>>,
    ) -> Result<Self> {
        let aligned = align(plan, schema)?;
        let plan = state.create_physical_plan(&aligned).await?;
        let counter = Counter::new(plan.as_ref(), onlooker);
        Ok(Rows { plan, schema: schema.clone(), constraints, table: table.into(), failure: Arc::default(), counter })
    }

    /// The table's columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The rows as a table that may be read once.
    pub fn into_table(self) -> Result<StreamingTable> {
        Ok(StreamingTable::try_new(self.schema.clone(), self.partitions())?)
    }

    /// The rows as a plan that may be run once.
    pub fn to_exec(&self) -> Result<Arc<dyn ExecutionPlan>> {
        let source = StreamingTableExec::try_new(self.schema.clone(), self.partitions(), None, [], false, None)?;
        Ok(Arc::new(source))
    }

    /// The streams of the rows; each may be read once.
    pub fn partitions(&self) -> Vec<Arc<dyn PartitionStream>> {
        let count = self.plan.output_partitioning().partition_count();
        let partition = |index| Arc::new(Partition { rows: self.clone(), index }) as Arc<dyn PartitionStream>;
        (0..count).map(partition).collect()
    }

    /// What the rows themselves failed with, where they did.
    pub fn failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn check(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let batch = checked(batch, &self.schema, &self.constraints, &self.table)?;
        self.counter.count(batch.num_rows());
        Ok(batch)
    }

    /// Remembers the first failure and passes it on.
    fn failed(&self, error: Error) -> datafusion::common::DataFusionError {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert_with(|| error.clone());
        error.into_datafusion()
    }
}

/// The batch as rows of a table: an `Input` error where a NULL or a constraint of the table forbids it.
pub fn checked(batch: RecordBatch, schema: &SchemaRef, constraints: &Constraints, table: &str) -> Result<RecordBatch> {
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        if !field.is_nullable() && column.null_count() > 0 {
            return Err(Error::input(format!(
                "column `{}` of `{table}` is NOT NULL, found NULL in {} of {} rows",
                field.name(),
                column.null_count(),
                column.len()
            )));
        }
    }
    let batch = RecordBatch::try_new(schema.clone(), batch.columns().to_vec())?;
    constraints.check(&batch, table)?;
    Ok(batch)
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("table", &self.table).field("plan", &self.plan.name()).finish()
    }
}

#[derive(Debug)]
struct Partition {
    rows: Rows,
    index: usize,
}

impl PartitionStream for Partition {
    fn schema(&self) -> &SchemaRef {
        &self.rows.schema
    }

    fn execute(&self, ctx: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.rows.clone();
        let batches = match rows.plan.execute(self.index, ctx) {
            Ok(batches) => batches,
            Err(error) => {
                let failed = Err(rows.failed(Error::from(error)));
                let once = futures::stream::once(std::future::ready(failed));
                return Box::pin(RecordBatchStreamAdapter::new(self.rows.schema.clone(), once));
            }
        };
        let checked = batches.map(move |batch| match batch.map_err(Error::from).and_then(|batch| rows.check(batch)) {
            Ok(batch) => Ok(batch),
            Err(error) => Err(rows.failed(error)),
        });
        Box::pin(RecordBatchStreamAdapter::new(self.rows.schema.clone(), checked))
    }
}
