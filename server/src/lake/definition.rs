//! What a table is to be: its columns as Delta has them, its partitions, its properties.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{Field, SchemaRef};
use deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake_core::kernel::{MetadataValue, StructType};
use deltalake_core::logstore::LogStoreRef;
use deltalake_core::operations::create::CreateBuilder;

use super::constraints::{self, Constraints};
use super::generated::Generated;
use super::protocol::GENERATION;
use super::relations::check_name;
use super::types::storage_schema;
use super::{NewTable, TableName, properties};
use crate::error::unknown;
use crate::{Error, Result};

/// A checked definition.
#[derive(Debug, Clone)]
pub struct Definition {
    table: NewTable,
    /// The columns as Arrow types that Delta has.
    schema: SchemaRef,
    constraints: Constraints,
    delta: StructType,
}

impl Definition {
    /// Checks names and types; nothing is written.
    pub fn new(table: NewTable) -> Result<Self> {
        check_name("table", &table.name.table)?;
        if table.schema.fields().is_empty() {
            return Err(Error::input(format!("table `{}` has no column", table.name)));
        }
        for (index, field) in table.schema.fields().iter().enumerate() {
            check_name("column", field.name())?;
            let same = |other: &Arc<Field>| other.name().to_lowercase() == field.name().to_lowercase();
            if table.schema.fields().iter().take(index).any(same) {
                return Err(Error::input(format!("table `{}` has column `{}` twice", table.name, field.name()))
                    .with_hint("names that differ only in case count as the same"));
            }
        }
        check_partitions(&table)?;
        let schema = storage_schema(&table.schema)?;
        let delta: StructType = schema.as_ref().try_into_kernel().map_err(|error: arrow::error::ArrowError| {
            Error::unsupported(format!("table `{}` has a column that Delta does not have: {error}", table.name))
        })?;
        let constraints = Generated::new(&table.schema).constraints(&table.properties, &schema)?;
        for (key, value) in &table.properties {
            properties::check_new(key, value)?;
        }
        let delta = noted(&table.schema, &delta)?;
        Ok(Definition { table, schema, constraints, delta })
    }

    /// The table's name.
    pub fn name(&self) -> &TableName {
        &self.table.name
    }

    /// The columns as Arrow types that Delta has.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// What each row must meet.
    pub fn constraints(&self) -> &Constraints {
        &self.constraints
    }

    /// The partition columns.
    pub fn partition_by(&self) -> &[String] {
        &self.table.partition_by
    }

    /// Its directory, where that is outside of the data directory.
    pub fn location(&self) -> Option<&Path> {
        self.table.location.as_deref()
    }

    /// Whether its columns are called otherwise in its files.
    pub fn has_mapping(&self) -> bool {
        self.table.properties.get("delta.columnMapping.mode").is_some_and(|mode| mode != "none")
    }

    /// A commit that makes the table so.
    pub fn builder(&self, log_store: LogStoreRef) -> CreateBuilder {
        let builder = CreateBuilder::new()
            .with_log_store(log_store)
            .with_table_name(self.table.name.to_string())
            .with_columns(self.delta.fields().cloned())
            .with_partition_columns(&self.table.partition_by)
            .with_configuration(self.properties())
            .with_raise_if_key_not_exists(false);
        match &self.table.comment {
            Some(comment) => builder.with_comment(comment),
            None => builder,
        }
    }

    /// The properties, with the version of the protocol that constraints need: without it no other writer checks them.
    fn properties(&self) -> impl Iterator<Item = (String, Option<String>)> {
        let given = self.table.properties.iter().map(|(key, value)| (key.clone(), Some(value.clone())));
        let constrained = self.table.properties.keys().any(|key| key.starts_with(constraints::PREFIX))
            && !self.table.properties.contains_key(WRITER_VERSION);
        let needed = constrained.then(|| (WRITER_VERSION.to_string(), Some(CONSTRAINTS_WRITER_VERSION.to_string())));
        given.chain(needed).collect::<Vec<_>>().into_iter()
    }
}

/// The key of a column's comment, in its metadata.
pub const COMMENT: &str = "comment";

/// The property that sets the version of Delta's protocol that a writer must know.
const WRITER_VERSION: &str = "delta.minWriterVersion";
/// The first version with `CHECK` constraints.
const CONSTRAINTS_WRITER_VERSION: &str = "3";

/// The columns with what the statement notes of them: comments, expressions.
fn noted(schema: &SchemaRef, columns: &StructType) -> Result<StructType> {
    let fields = columns.fields().zip(schema.fields()).map(|(column, field)| {
        let notes = [COMMENT, GENERATION].into_iter().filter_map(|key| Some((key, field.metadata().get(key)?)));
        let mut column = column.clone();
        column.metadata.extend(notes.map(|(key, text)| (key.to_string(), MetadataValue::String(text.clone()))));
        column
    });
    StructType::try_new(fields).map_err(|error| Error::input(error.to_string()))
}

fn check_partitions(table: &NewTable) -> Result<()> {
    let columns = || table.schema.fields().iter().map(|field| field.name().as_str());
    for (index, name) in table.partition_by.iter().enumerate() {
        let Some((_, field)) = table.schema.column_with_name(name) else {
            return Err(unknown("partition column", name, columns()));
        };
        if field.data_type().is_nested() {
            return Err(Error::input(format!(
                "partition column `{name}` has type {}, expected one without parts",
                field.data_type()
            )));
        }
        if table.partition_by.iter().take(index).any(|other| other == name) {
            return Err(Error::input(format!("partition column `{name}` is named twice")));
        }
    }
    if table.partition_by.len() == table.schema.fields().len() {
        return Err(Error::input(format!("table `{}` has no column besides its partition columns", table.name)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use arrow::datatypes::{DataType, Schema};

    use super::*;
    use crate::Class;
    use crate::lake::OnExisting;

    fn table(fields: Vec<Field>, partition_by: &[&str]) -> NewTable {
        NewTable {
            name: TableName { schema: "main".into(), table: "t".into() },
            schema: Arc::new(Schema::new(fields)),
            partition_by: partition_by.iter().map(ToString::to_string).collect(),
            properties: BTreeMap::new(),
            comment: None,
            location: None,
            on_existing: OnExisting::Fail,
        }
    }

    fn int(name: &str) -> Field {
        Field::new(name, DataType::Int32, true)
    }

    #[test]
    fn a_column_that_is_there_twice_is_refused_whatever_its_case() {
        let error = Definition::new(table(vec![int("größe"), int("GRÖSSE"), int("GRÖßE")], &[])).unwrap_err();
        assert_eq!(error.message(), "table `main.t` has column `GRÖßE` twice");
    }

    #[test]
    fn an_unknown_partition_column_is_told_with_the_nearest() {
        let error = Definition::new(table(vec![int("site"), int("x")], &["sit"])).unwrap_err();
        assert_eq!(error.message(), "unknown partition column `sit`, the nearest is `site`");
        let error = Definition::new(table(vec![int("site")], &["site"])).unwrap_err();
        assert_eq!(error.class(), Class::Input);
    }
}
