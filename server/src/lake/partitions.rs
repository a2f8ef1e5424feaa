//! A table's partitions, and which of them a condition means.
//!
//! The log keeps partition values as texts; a condition is computed on them in the types of their columns, so that
//! `day > '2026-01-09'` compares days. It reads no data file.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::ToDFSchema;
use datafusion::prelude::SessionContext;
use deltalake_core::kernel::LogicalFileView;
use deltalake_core::table::state::DeltaTableState;

use super::types::{sql_name, storage_schema};
use crate::{Error, Result};

/// The values of one partition, in the order of the partition columns.
pub type Partition = Vec<Option<String>>;

/// The partition columns of a table.
pub struct Partitions {
    columns: SchemaRef,
    all: SchemaRef,
}

impl Partitions {
    /// Those of the version of `state`.
    pub fn new(state: &DeltaTableState) -> Result<Self> {
        let all = storage_schema(&state.snapshot().arrow_schema())?;
        let names = state.metadata().partition_columns().iter();
        let columns = names.map(|name| all.field_with_name(name).cloned()).collect::<Result<Vec<_>, _>>()?;
        Ok(Partitions { columns: Arc::new(Schema::new(columns)), all })
    }

    /// The partition that a file belongs to.
    pub fn of(&self, file: &LogicalFileView) -> Partition {
        let values = file.partition_values_map();
        self.columns.fields().iter().map(|field| values.get(field.name()).cloned().flatten()).collect()
    }

    /// The partitions for which a condition is true. `Input` where it asks for more than partition columns.
    pub fn that_meet<'a>(
        &self,
        condition: &str,
        partitions: impl Iterator<Item = &'a Partition>,
    ) -> Result<BTreeSet<Partition>> {
        let names: Vec<&str> = self.columns.fields().iter().map(|field| field.name().as_str()).collect();
        let state = SessionContext::new().state();
        let all = self.all.clone().to_dfschema()?;
        let parsed = state.create_logical_expr(condition, &all)?;
        if let Some(other) = parsed.column_refs().iter().find(|column| !names.contains(&column.name.as_str())) {
            let known = match names.is_empty() {
                true => "it has none".to_string(),
                false => format!("they are {}", names.join(", ")),
            };
            return Err(Error::input(format!(
                "expected a condition on partition columns in `OPTIMIZE … WHERE`, found `{}`; {known}",
                other.name
            )));
        }
        let condition = state.create_physical_expr(
            state.create_logical_expr(condition, &self.columns.clone().to_dfschema()?)?,
            &self.columns.clone().to_dfschema()?,
        )?;
        let found = condition.data_type(&self.columns)?;
        if found != DataType::Boolean {
            return Err(Error::input(format!("expected a condition, found a value of type {}", sql_name(&found))));
        }
        let partitions: Vec<&Partition> = partitions.collect();
        let rows = self.rows(&partitions)?;
        let met = condition.evaluate(&rows)?.into_array(rows.num_rows())?;
        let met = met.as_boolean();
        let chosen = partitions.into_iter().zip(met.iter()).filter(|(_, met)| *met == Some(true));
        Ok(chosen.map(|(partition, _)| partition.clone()).collect())
    }

    /// A row for each partition, in the types of the columns.
    fn rows(&self, partitions: &[&Partition]) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = Vec::new();
        for (index, field) in self.columns.fields().iter().enumerate() {
            let texts: StringArray =
                partitions.iter().map(|values| values.get(index).and_then(Option::as_deref)).collect();
            columns.push(cast(&texts, field.data_type())?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(partitions.len()));
        Ok(RecordBatch::try_new_with_options(self.columns.clone(), columns, &options)?)
    }
}
