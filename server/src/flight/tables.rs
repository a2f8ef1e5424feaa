//! `GetTables`: tables and views that match patterns, with their columns where the client asks.
//!
//! A relation whose columns cannot be told is listed with none, so that one broken table never hides the others. Where
//! the pattern, taken literally, is a table's name, that table comes first: some clients pass names unescaped and read
//! only the first row or batch.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryArray, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow_flight::sql::CommandGetTables;
use bytes::Bytes;

use super::service::Shared;
use super::{columns, execution, info};
use crate::engine::{CATALOG, CatalogTable, StatementContext};
use crate::{Error, Result};

/// The reply's schema, which has a fifth column where the client asks for the tables' schemas.
pub fn schema(command: &CommandGetTables) -> SchemaRef {
    command.clone().into_builder().schema()
}

/// The reply.
pub async fn batch(shared: &Shared, ctx: &StatementContext, command: CommandGetTables) -> Result<RecordBatch> {
    shared.engine.refresh().await?;
    let mut tables = shared.engine.temporary_tables(ctx);
    let hidden = |table: &CatalogTable| tables.iter().any(|own| own.schema == table.schema && own.name == table.name);
    let others: Vec<CatalogTable> = shared.engine.tables().into_iter().filter(|table| !hidden(table)).collect();
    tables.extend(others);
    tables.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
    let found = matching(command.clone(), &tables)?;
    if !command.include_schema {
        return Ok(found);
    }
    let schemas = found.column(1).as_string::<i32>();
    let names = found.column(2).as_string::<i32>();
    let mut described = Vec::with_capacity(found.num_rows());
    for (schema, name) in schemas.iter().flatten().zip(names.iter().flatten()) {
        described.push(described_columns(shared, ctx, schema, name).await?);
    }
    let described: ArrayRef = Arc::new(BinaryArray::from_iter_values(described));
    let columns = found.columns().iter().cloned().chain([described]).collect();
    Ok(RecordBatch::try_new(schema(&command), columns)?)
}

/// The four first columns of the reply, filtered and in order.
fn matching(command: CommandGetTables, tables: &[CatalogTable]) -> Result<RecordBatch> {
    let wanted = command.table_name_filter_pattern.clone();
    let table_types = command.table_types.iter().map(|name| canonical_type(name)).collect();
    let command = CommandGetTables { table_types, include_schema: false, ..command };
    let mut builder = command.into_builder();
    for table in tables {
        builder.append(CATALOG, &table.schema, &table.name, table.table_type, &Schema::empty()).map_err(internal)?;
    }
    let found = builder.build().map_err(internal)?;
    Ok(take_record_batch(&found, &exact_first(&found, wanted.as_deref()))?)
}

fn internal(error: arrow_flight::error::FlightError) -> Error {
    Error::internal(error.to_string())
}

/// Clients write table types in any case, and the standard's `BASE TABLE` for what is reported as `TABLE`.
fn canonical_type(name: &str) -> String {
    match name.to_ascii_uppercase() {
        base if base == "BASE TABLE" => "TABLE".into(),
        other => other,
    }
}

/// The order in which rows are sent: as sorted, but the literal matches of the pattern before all others.
fn exact_first(found: &RecordBatch, pattern: Option<&str>) -> UInt32Array {
    let names = found.column(2).as_string::<i32>();
    let is_exact = |row: &u32| pattern.is_some_and(|pattern| names.value(*row as usize) == pattern);
    let rows = 0..u32::try_from(found.num_rows()).unwrap_or(u32::MAX);
    let (exact, others): (Vec<u32>, Vec<u32>) = rows.partition(is_exact);
    UInt32Array::from([exact, others].concat())
}

/// A relation's columns as IPC bytes; none where they cannot be told. Only the end of the request is an error.
async fn described_columns(shared: &Shared, ctx: &StatementContext, schema: &str, name: &str) -> Result<Bytes> {
    let (engine, own) = (shared.engine.clone(), ctx.clone());
    let (schema, name) = (schema.to_string(), name.to_string());
    let shown = format!("{schema}.{name}");
    let known = execution::read(ctx, async move { engine.table_schema(&own, &schema, &name).await }).await;
    ctx.check()?;
    match known {
        Ok(columns) => info::schema_bytes(&columns::annotate(&columns)),
        Err(error) => {
            tracing::warn!(table = shown, "the columns of {shown} cannot be listed: {error}");
            info::schema_bytes(&Schema::empty())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables() -> Vec<CatalogTable> {
        [("main", "axb", "TABLE"), ("main", "a_b", "TABLE"), ("main", "v", "VIEW"), ("system", "runs", "SYSTEM TABLE")]
            .map(|(schema, name, table_type)| CatalogTable { schema: schema.into(), name: name.into(), table_type })
            .to_vec()
    }

    fn found(command: CommandGetTables) -> Vec<String> {
        let batch = matching(command, &tables()).unwrap();
        assert_eq!(batch.num_columns(), 4);
        batch.column(2).as_string::<i32>().iter().flatten().map(Into::into).collect()
    }

    fn named(pattern: &str) -> CommandGetTables {
        CommandGetTables { table_name_filter_pattern: Some(pattern.into()), ..Default::default() }
    }

    fn typed(types: &[&str]) -> CommandGetTables {
        CommandGetTables { table_types: types.iter().map(|name| name.to_string()).collect(), ..Default::default() }
    }

    #[test]
    fn no_filter_finds_everything_in_order() {
        assert_eq!(found(CommandGetTables::default()), ["a_b", "axb", "v", "runs"]);
    }

    #[test]
    fn patterns_escape_with_a_backslash_and_literal_matches_come_first() {
        assert_eq!(found(named("a\\_b")), ["a_b"]);
        assert_eq!(found(named("a_b")), ["a_b", "axb"]);
        assert_eq!(found(named("a%")), ["a_b", "axb"]);
        assert_eq!(found(named("axb")), ["axb"]);
        assert!(found(named("")).is_empty());
    }

    #[test]
    fn absent_catalogs_and_schemas_filter_nothing_and_empty_ones_find_nothing() {
        let catalog = |name: &str| CommandGetTables { catalog: Some(name.into()), ..Default::default() };
        let schema =
            |name: &str| CommandGetTables { db_schema_filter_pattern: Some(name.into()), ..Default::default() };
        assert_eq!(found(catalog(CATALOG)).len(), 4);
        assert!(found(catalog("")).is_empty());
        assert_eq!(found(schema("sys%")), ["runs"]);
        assert!(found(schema("")).is_empty());
    }

    #[test]
    fn table_types_ignore_case_and_know_base_table() {
        assert_eq!(found(typed(&["BASE TABLE", "table"])), ["a_b", "axb"]);
        assert_eq!(found(typed(&["View"])), ["v"]);
        assert_eq!(found(typed(&["system table"])), ["runs"]);
        assert!(found(typed(&["SYNONYM"])).is_empty());
    }

    #[test]
    fn the_fifth_column_is_there_only_when_asked_for() {
        let asked = CommandGetTables { include_schema: true, ..Default::default() };
        assert_eq!(schema(&asked).fields().len(), 5);
        assert_eq!(schema(&CommandGetTables::default()).fields().len(), 4);
        assert!(!schema(&asked).field(4).is_nullable());
    }
}
