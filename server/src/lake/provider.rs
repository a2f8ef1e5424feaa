//! What DataFusion scans: one version of a table, for reading only.
//!
//! deltalake's own provider also takes inserts, past the lanes, the guard and the table's constraints, so it is kept
//! inside. `INSERT` reaches [`super::Lake::insert`] before anything is planned against this.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
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
        self.scan.supports_filters_pushdown(filters)
    }

    fn statistics(&self) -> Option<Statistics> {
        self.scan.statistics()
    }
}
