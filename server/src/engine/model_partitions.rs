//! `system.model_partitions`: the groups of partitioned models, each with what became of its training.
//!
//! Rows are read from the models' artifacts when a query asks for them. A query that says which model and which version
//! it wants reads those alone.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{MemTable, Session, TableProvider};
use datafusion::common::Column;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::scalar::ScalarValue;
use limn_sql_udfs::model::partition;

use crate::limits::MODEL_PARTITION_ROWS_MAX;
use crate::registry::Registry;
use crate::{Error, Result};

/// The table.
#[derive(Clone)]
pub(super) struct ModelPartitions {
    registry: Registry,
    schema: SchemaRef,
}

impl std::fmt::Debug for ModelPartitions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelPartitions").finish_non_exhaustive()
    }
}

/// A version of a partitioned model.
struct Partitioned {
    model: String,
    version: u64,
    sha256: String,
}

impl ModelPartitions {
    /// The groups of the models of a registry.
    pub(super) fn new(registry: Registry) -> Self {
        let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
        let number = |name: &str| Field::new(name, DataType::Int64, false);
        let schema = Schema::new(vec![
            text("model", false),
            number("version"),
            text("partition", false),
            text("status", false),
            text("reason", true),
            number("rows"),
            number("rows_held_out"),
            text("metrics", false),
        ]);
        ModelPartitions { registry, schema: Arc::new(schema) }
    }

    /// The versions that the filters do not rule out.
    fn versions(&self, filters: &[Expr]) -> Vec<Partitioned> {
        let wanted: Vec<(&str, ScalarValue)> = filters.iter().filter_map(equality).collect();
        let fits = |column: &str, value: &ScalarValue| {
            let mut said = wanted.iter().filter(|(name, _)| *name == column);
            said.all(|(_, wanted)| wanted.cast_to(&value.data_type()).is_ok_and(|wanted| wanted == *value))
        };
        let index = self.registry.index();
        let mut found = Vec::new();
        for model in index.models().filter(|model| fits("model", &ScalarValue::from(model.name.as_str()))) {
            for version in index.model_versions(&model.name) {
                let number = i64::try_from(version.version).unwrap_or(i64::MAX);
                let is_partitioned = |run_id: &String| index.params(run_id).any(|param| param.key == "partition_by");
                if fits("version", &ScalarValue::from(number)) && version.run_id.as_ref().is_some_and(is_partitioned) {
                    found.push(Partitioned {
                        model: version.name.clone(),
                        version: version.version,
                        sha256: version.artifact_sha256.clone(),
                    });
                }
            }
        }
        found
    }

    async fn rows(&self, version: &Partitioned) -> Result<RecordBatch> {
        let manifest = self.registry.artifact(&version.sha256).await?;
        let groups = self.registry.artifact(&partition::groups_part(&manifest)?).await?;
        let details = tokio::task::spawn_blocking(move || partition::details(&manifest, groups)).await;
        let details = details.map_err(|error| Error::internal(format!("reading groups failed: {error}")))??;
        let rows = details.num_rows();
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(&version.model, rows))),
            Arc::new(Int64Array::from_value(i64::try_from(version.version).unwrap_or(i64::MAX), rows)),
        ];
        columns.extend(details.columns().iter().cloned());
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }

    async fn all(&self, filters: &[Expr]) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        let mut rows = 0;
        for version in self.versions(filters) {
            let batch = self.rows(&version).await?;
            rows += batch.num_rows();
            if rows > MODEL_PARTITION_ROWS_MAX {
                return Err(Error::exhausted(format!(
                    "expected at most {MODEL_PARTITION_ROWS_MAX} groups of models in one query, found more"
                ))
                .with_hint("say which: WHERE model = '…' AND version = …"));
            }
            batches.push(batch);
        }
        Ok(batches)
    }
}

/// `column = literal`, the other way round too.
fn equality(filter: &Expr) -> Option<(&str, ScalarValue)> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = filter else { return None };
    match (left.as_ref(), right.as_ref()) {
        (Expr::Column(Column { name, .. }), Expr::Literal(value, _))
        | (Expr::Literal(value, _), Expr::Column(Column { name, .. })) => Some((name, value.clone())),
        _ => None,
    }
}

#[async_trait]
impl TableProvider for ModelPartitions {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> datafusion::common::Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> datafusion::common::Result<Arc<dyn ExecutionPlan>> {
        let batches = self.all(filters).await.map_err(Error::into_datafusion)?;
        MemTable::try_new(Arc::clone(&self.schema), vec![batches])?.scan(state, projection, &[], limit).await
    }
}
