//! What a change of rows takes out of the log, and the columns that it puts into it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::scalar::ScalarValue;
use deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake_core::kernel::{Action, Add, MetadataExt, Remove, StructField, StructType};
use deltalake_core::table::state::DeltaTableState;

use super::types::storage_schema;
use crate::{Error, Result};

/// The files that go.
#[derive(Debug)]
pub struct Replaced {
    /// As the log says it.
    pub removes: Vec<Remove>,
}

/// These files, by their numbers in the log's order.
pub fn files(before: &DeltaTableState, touched: &[usize]) -> Replaced {
    let touched: BTreeSet<usize> = touched.iter().copied().collect();
    let files = before.snapshot().log_data();
    let removes = files.iter().enumerate().filter(|(number, _)| touched.contains(number));
    Replaced { removes: removes.map(|(_, file)| file.remove_action(true)).collect() }
}

/// The files of the partitions that the new ones are in.
pub fn partitions(before: &DeltaTableState, adds: &[Add]) -> Result<Replaced> {
    let schema = storage_schema(&before.snapshot().arrow_schema())?;
    let values = |raw: &HashMap<String, Option<String>>| partition(raw, &schema);
    let new: HashSet<_> = adds.iter().map(|add| values(&add.partition_values)).collect::<Result<_>>()?;
    let mut removes = Vec::new();
    for file in before.snapshot().log_data().iter() {
        let remove = file.remove_action(true);
        if new.contains(&values(remove.partition_values.as_ref().unwrap_or(&HashMap::new()))?) {
            removes.push(remove);
        }
    }
    Ok(Replaced { removes })
}

/// A partition by its values, which writers may write in different ways.
fn partition(raw: &HashMap<String, Option<String>>, schema: &SchemaRef) -> Result<BTreeMap<String, ScalarValue>> {
    let mut values = BTreeMap::new();
    for (column, text) in raw {
        let data_type = schema.field_with_name(column)?.data_type();
        let value = match text.as_deref().filter(|text| !text.is_empty()) {
            None => ScalarValue::try_from(data_type)?,
            Some(text) => ScalarValue::try_from_string(text.to_string(), data_type)?,
        };
        values.insert(column.clone(), value);
    }
    Ok(values)
}

/// The table's metadata with more columns.
pub fn with_columns(before: &DeltaTableState, added: &[Arc<Field>]) -> Result<Action> {
    let is_local = |field: &Arc<Field>| has_local_time(field.data_type());
    if added.iter().any(is_local) && !before.snapshot().arrow_schema().fields().iter().any(is_local) {
        // The table would need a feature of the protocol that it was made without.
        return Err(Error::unsupported(
            "the first column of type TIMESTAMP without a time zone is not added by a MERGE",
        )
        .with_hint("cast it to TIMESTAMP WITH TIME ZONE in the source"));
    }
    let mut fields: Vec<StructField> = before.snapshot().schema().fields().cloned().collect();
    for field in added {
        let nullable = Field::clone(field).with_nullable(true);
        let field: StructField = (&nullable).try_into_kernel().map_err(|error: arrow::error::ArrowError| {
            Error::unsupported(format!("the column `{}` has a type that Delta does not have: {error}", field.name()))
        })?;
        fields.push(field);
    }
    let schema = StructType::try_new(fields).map_err(|error| Error::input(error.to_string()))?;
    let metadata =
        before.snapshot().metadata().clone().with_schema(&schema).map_err(|error| super::error::delta(error.into()))?;
    Ok(Action::Metadata(metadata))
}

fn has_local_time(data_type: &DataType) -> bool {
    match data_type {
        DataType::Timestamp(_, zone) => zone.is_none(),
        DataType::Struct(fields) => fields.iter().any(|field| has_local_time(field.data_type())),
        DataType::List(item) | DataType::Map(item, _) => has_local_time(item.data_type()),
        _ => false,
    }
}
