//! What is there: catalogs, schemas, tables and their columns, and what the server calls itself.
//!
//! Over Flight SQL's metadata commands, so any server of that protocol answers. It knows nothing of statements.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow_flight::IpcMessage;
use arrow_flight::sql::{
    CommandGetCatalogs, CommandGetDbSchemas, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables,
};
use prost::bytes::Bytes;

use crate::{Class, Client, Error, Result};

/// A table, a view or another relation.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The catalog, where the server has such.
    pub catalog: Option<String>,
    /// The schema, where the server has such.
    pub schema: Option<String>,
    /// Its own name.
    pub name: String,
    /// `TABLE`, `VIEW` and what else the server knows.
    pub table_type: String,
    /// Its columns, where they were asked for.
    pub columns: Option<SchemaRef>,
}

/// Which tables to list; everything without columns by default. Patterns are those of `LIKE`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableFilter {
    /// Schemas.
    pub schema_pattern: Option<String>,
    /// Names.
    pub name_pattern: Option<String>,
    /// Types; all where empty.
    pub table_types: Vec<String>,
    /// Whether to give the columns too.
    pub columns: bool,
}

/// What a server says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerInfo {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The version of Arrow that it speaks.
    pub arrow_version: String,
}

impl Client {
    /// The names of the catalogs.
    pub async fn catalogs(&self) -> Result<Vec<String>> {
        let batches = self.rows(&CommandGetCatalogs {}).await?.into_batches().await?;
        texts(&batches, "catalog_name").map(|names| names.into_iter().flatten().collect())
    }

    /// The names of the schemas.
    pub async fn schemas(&self) -> Result<Vec<String>> {
        let command = CommandGetDbSchemas { catalog: None, db_schema_filter_pattern: None };
        let batches = self.rows(&command).await?.into_batches().await?;
        texts(&batches, "db_schema_name").map(|names| names.into_iter().flatten().collect())
    }

    /// The types that tables may have, such as `TABLE` and `VIEW`.
    pub async fn table_types(&self) -> Result<Vec<String>> {
        let batches = self.rows(&CommandGetTableTypes {}).await?.into_batches().await?;
        texts(&batches, "table_type").map(|names| names.into_iter().flatten().collect())
    }

    /// Tables and views.
    pub async fn tables(&self, filter: &TableFilter) -> Result<Vec<Table>> {
        let command = CommandGetTables {
            catalog: None,
            db_schema_filter_pattern: filter.schema_pattern.clone(),
            table_name_filter_pattern: filter.name_pattern.clone(),
            table_types: filter.table_types.clone(),
            include_schema: filter.columns,
        };
        let batches = self.rows(&command).await?.into_batches().await?;
        let names = texts(&batches, "table_name")?;
        let (catalogs, schemas) = (texts(&batches, "catalog_name")?, texts(&batches, "db_schema_name")?);
        let types = texts(&batches, "table_type")?;
        let mut columns = match filter.columns {
            true => schemas_of(&batches)?,
            false => vec![None; names.len()],
        };
        columns.resize(names.len(), None);
        let rows = names.into_iter().zip(catalogs).zip(schemas).zip(types).zip(columns);
        Ok(rows
            .map(|((((name, catalog), schema), table_type), columns)| Table {
                catalog,
                schema,
                name: name.unwrap_or_default(),
                table_type: table_type.unwrap_or_default(),
                columns,
            })
            .collect())
    }

    /// The columns of one table; `NotFound` where there is none of that name.
    pub async fn table_schema(&self, schema: &str, table: &str) -> Result<SchemaRef> {
        // As patterns the names match themselves and perhaps more, so the answer is compared.
        let filter = TableFilter {
            schema_pattern: Some(schema.to_string()),
            name_pattern: Some(table.to_string()),
            columns: true,
            ..TableFilter::default()
        };
        let found = self.tables(&filter).await?;
        let same = |found: &Table| found.name == table && found.schema.as_deref() == Some(schema);
        let columns = found.into_iter().find(same).and_then(|found| found.columns);
        columns.ok_or_else(|| Error::new(Class::NotFound, format!("unknown table `{schema}.{table}`")))
    }

    /// The server's name and version.
    pub async fn server_info(&self) -> Result<ServerInfo> {
        // FLIGHT_SQL_SERVER_NAME, _VERSION and _ARROW_VERSION of FlightSql.proto.
        let command = CommandGetSqlInfo { info: vec![0, 1, 2] };
        let batches = self.rows(&command).await?.into_batches().await?;
        let mut values = [String::new(), String::new(), String::new()];
        for batch in &batches {
            let numbers = column(batch, "info_name")?;
            let numbers =
                numbers.as_primitive_opt::<arrow::datatypes::UInt32Type>().ok_or_else(|| mistyped("info_name"))?;
            let shown = column(batch, "value")?;
            let shown = shown.as_union_opt().ok_or_else(|| mistyped("value"))?;
            for (row, number) in numbers.iter().enumerate() {
                let slot = number.and_then(|number| values.get_mut(usize::try_from(number).unwrap_or(usize::MAX)));
                if let Some(slot) = slot {
                    let value = shown.value(row);
                    *slot = ArrayFormatter::try_new(&value, &FormatOptions::new())?.value(0).to_string();
                }
            }
        }
        let [name, version, arrow_version] = values;
        Ok(ServerInfo { name, version, arrow_version })
    }
}

fn column(batch: &RecordBatch, name: &str) -> Result<ArrayRef> {
    batch
        .column_by_name(name)
        .cloned()
        .ok_or_else(|| Error::new(Class::Internal, format!("the server's answer has no column `{name}`")))
}

fn mistyped(name: &str) -> Error {
    Error::new(Class::Internal, format!("the column `{name}` of the server's answer has another type"))
}

fn texts(batches: &[RecordBatch], name: &str) -> Result<Vec<Option<String>>> {
    let mut all = Vec::new();
    for batch in batches {
        let column = column(batch, name)?;
        let texts = column.as_string_opt::<i32>().ok_or_else(|| mistyped(name))?;
        all.extend(texts.iter().map(|text| text.map(str::to_string)));
    }
    Ok(all)
}

fn schemas_of(batches: &[RecordBatch]) -> Result<Vec<Option<SchemaRef>>> {
    let mut all = Vec::new();
    for batch in batches {
        let column = column(batch, "table_schema")?;
        let messages = column.as_binary_opt::<i32>().ok_or_else(|| mistyped("table_schema"))?;
        for message in messages {
            let Some(message) = message else {
                all.push(None);
                continue;
            };
            let schema = Schema::try_from(IpcMessage(Bytes::copy_from_slice(message)))?;
            all.push(Some(Arc::new(schema)));
        }
    }
    Ok(all)
}
