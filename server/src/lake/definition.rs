//! What a table is to be: its columns as Delta has them, its partitions, its properties.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use deltalake_core::kernel::StructType;
use deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake_core::logstore::LogStoreRef;
use deltalake_core::operations::create::CreateBuilder;

use super::relations::check_name;
use super::{NewTable, TableName};
use crate::error::unknown;
use crate::{Error, Result};

/// A checked definition.
#[derive(Debug, Clone)]
pub struct Definition {
    table: NewTable,
    /// The columns as Arrow types that Delta has.
    schema: SchemaRef,
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
        let schema = normalise(&table.schema)?;
        let delta: StructType = schema.as_ref().try_into_kernel().map_err(|error: arrow::error::ArrowError| {
            Error::unsupported(format!("table `{}` has a column that Delta does not have: {error}", table.name))
        })?;
        Ok(Definition { table, schema, delta })
    }

    /// The table's name.
    pub fn name(&self) -> &TableName {
        &self.table.name
    }

    /// The columns as Arrow types that Delta has.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The partition columns.
    pub fn partition_by(&self) -> &[String] {
        &self.table.partition_by
    }

    /// A commit that makes the table so.
    pub fn builder(&self, log_store: LogStoreRef) -> CreateBuilder {
        let builder = CreateBuilder::new()
            .with_log_store(log_store)
            .with_table_name(self.table.name.to_string())
            .with_columns(self.delta.fields().cloned())
            .with_partition_columns(&self.table.partition_by)
            .with_configuration(self.table.properties.iter().map(|(key, value)| (key, Some(value))))
            .with_raise_if_key_not_exists(false);
        match &self.table.comment {
            Some(comment) => builder.with_comment(comment),
            None => builder,
        }
    }
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

/// The columns with the nearest types that Delta has.
pub fn normalise(schema: &Schema) -> Result<SchemaRef> {
    Ok(Arc::new(Schema::new(normalise_all(schema.fields())?)))
}

fn normalise_all(fields: &Fields) -> Result<Fields> {
    fields
        .iter()
        .map(|field| {
            let data_type = normalise_type(field)?;
            Ok(Arc::new(Field::new(field.name(), data_type, field.is_nullable())))
        })
        .collect()
}

fn normalise_type(field: &Field) -> Result<DataType> {
    let inner = |field: &Arc<Field>| -> Result<Arc<Field>> {
        Ok(Arc::new(field.as_ref().clone().with_data_type(normalise_type(field)?)))
    };
    Ok(match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            DataType::Binary
        }
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Float16 => DataType::Float32,
        DataType::Timestamp(_, None) => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Timestamp(_, Some(_)) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Date64 => DataType::Date32,
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Dictionary(_, values) => {
            normalise_type(&Field::new(field.name(), values.as_ref().clone(), field.is_nullable()))?
        }
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            DataType::List(inner(item)?)
        }
        DataType::Struct(fields) => DataType::Struct(normalise_all(fields)?),
        DataType::Map(entries, sorted) => DataType::Map(inner(entries)?, *sorted),
        same @ (DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Date32
        | DataType::Decimal128(_, _)) => same.clone(),
        other => {
            let name = field.name();
            return Err(Error::unsupported(format!("column `{name}` has type {other}, which a table cannot store"))
                .with_hint("cast it to a type that it can, such as VARCHAR"));
        }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

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

    #[test]
    fn types_become_the_nearest_that_delta_has() {
        let of = |data_type: DataType| {
            normalise(&Schema::new(vec![Field::new("c", data_type, true)])).map(|s| s.field(0).data_type().clone())
        };
        assert_eq!(of(DataType::UInt64).unwrap(), DataType::Decimal128(20, 0));
        assert_eq!(of(DataType::Utf8View).unwrap(), DataType::Utf8);
        let nanoseconds = DataType::Timestamp(TimeUnit::Nanosecond, Some("+02:00".into()));
        assert_eq!(of(nanoseconds).unwrap(), DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())));
        let error = of(DataType::Duration(TimeUnit::Second)).unwrap_err();
        assert_eq!(error.class(), Class::Unsupported);
        assert!(error.message().contains("`c`"), "{error}");
    }
}
