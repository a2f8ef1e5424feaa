//! What DataFusion scans: one version of a table, for reading only.
//!
//! deltalake's own provider also takes inserts, past the lanes, the guard and the table's constraints, so it is kept
//! inside. `INSERT` reaches [`super::Lake::insert`] before anything is planned against this.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result, Statistics};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use deltalake_core::delta_datafusion::DeltaScanNext;
use deltalake_core::table::state::DeltaTableState;

use super::table::Table;

/// A table at one version.
#[derive(Debug)]
pub struct TableVersion {
    scan: DeltaScanNext,
}

impl TableVersion {
    /// The table at the version of `state`.
    pub async fn new(table: &Table, state: &DeltaTableState) -> crate::Result<Self> {
        let scan = DeltaScanNext::builder()
            .with_log_store(table.log_store().clone())
            .with_eager_snapshot(state.snapshot().clone())
            .build();
        Ok(TableVersion { scan: scan.await? })
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
        self.scan.scan(session, projection, filters, limit).await
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
