//! What DataFusion scans: one version of a table, for reading only.
//!
//! deltalake's own provider also takes inserts, past the lanes, the guard and the table's constraints, so it is kept
//! inside. `INSERT` reaches [`super::Lake::insert`] before anything is planned against this.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::{DataType, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, Statistics};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties,
    ReplaceChildrenOptions,
};
use deltalake_core::delta_datafusion::DeltaScanNext;
use deltalake_core::kernel::EagerSnapshot;
use deltalake_core::table::state::DeltaTableState;

use super::bounds;
use super::table::Table;

/// A table at one version.
#[derive(Debug)]
pub struct TableVersion {
    scan: DeltaScanNext,
    snapshot: EagerSnapshot,
    /// Bounds that were asked for, by column: a plan asks several times.
    bounds: Mutex<HashMap<String, Option<(f64, f64)>>>,
}

impl TableVersion {
    /// The table at the version of `state`.
    pub async fn new(table: &Table, state: &DeltaTableState) -> crate::Result<Self> {
        let scan = DeltaScanNext::builder()
            .with_log_store(table.log_store().clone())
            .with_eager_snapshot(state.snapshot().clone())
            .build();
        Ok(TableVersion { scan: scan.await?, snapshot: state.snapshot().clone(), bounds: Mutex::default() })
    }

    /// Some of the files of the table at the version of `state`, by their paths.
    pub async fn of_files(table: &Table, state: &DeltaTableState, paths: Vec<String>) -> crate::Result<Self> {
        let scan = DeltaScanNext::builder()
            .with_log_store(table.log_store().clone())
            .with_eager_snapshot(state.snapshot().clone())
            .with_file_paths(paths)
            .build();
        Ok(TableVersion { scan: scan.await?, snapshot: state.snapshot().clone(), bounds: Mutex::default() })
    }

    /// Bounds of a column's numbers (dates in days, times in microseconds), NULL and NaN apart; `None` where the log
    /// does not know them.
    pub fn range(&self, column: &str) -> Option<(f64, f64)> {
        let mut bounds = self.bounds.lock().unwrap_or_else(PoisonError::into_inner);
        *bounds.entry(column.to_string()).or_insert_with(|| bounds::of_column(&self.snapshot, column))
    }
}

/// Whether the log's least and greatest values of a column may not be its own: deltalake takes decimals through
/// doubles, so that files which have a value would be skipped for it.
fn has_rounded_statistics(schema: &Schema, column: &str) -> bool {
    fn is_rounded(data_type: &DataType) -> bool {
        match data_type {
            DataType::Decimal128(digits, _) | DataType::Decimal256(digits, _) => u32::from(*digits) > f64::DIGITS,
            DataType::Struct(fields) => fields.iter().any(|field| is_rounded(field.data_type())),
            _ => false,
        }
    }
    schema.field_with_name(column).is_ok_and(|field| is_rounded(field.data_type()))
}

#[async_trait]
impl TableProvider for TableVersion {
    fn schema(&self) -> SchemaRef {
        self.scan.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rows = self.scan.scan(session, projection, filters, limit).await?;
        Ok(match projection {
            Some(columns) if columns.is_empty() => Arc::new(Counted { input: rows }) as Arc<dyn ExecutionPlan>,
            _ => rows,
        })
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let mut pushed = self.scan.supports_filters_pushdown(filters)?;
        let schema = self.scan.schema();
        for (filter, pushed) in filters.iter().zip(&mut pushed) {
            if filter.column_refs().iter().any(|column| has_rounded_statistics(&schema, &column.name)) {
                *pushed = TableProviderFilterPushDown::Unsupported;
            }
        }
        Ok(pushed)
    }

    fn statistics(&self) -> Option<Statistics> {
        self.scan.statistics()
    }
}

/// Rows without columns, which deltalake counts in the log. Its node says that it passes a limit on to what is below,
/// where nothing is, so that the limit would be lost: here it stays above.
#[derive(Debug)]
struct Counted {
    input: Arc<dyn ExecutionPlan>,
}

impl DisplayAs for Counted {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CountedExec")
    }
}

impl ExecutionPlan for Counted {
    fn name(&self) -> &str {
        "CountedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Counted { input })),
            _ => Err(DataFusionError::Internal("counted rows have one node below them".into())),
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, ctx: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, ctx)
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        match inputs {
            [input] => Ok(Arc::clone(input)),
            _ => Err(DataFusionError::Internal("counted rows have one node below them".into())),
        }
    }
}
