//! `DESCRIBE DETAIL`, `SHOW TBLPROPERTIES` and `SHOW CREATE TABLE`: what one table is declared to be.
//!
//! All of it comes from the table's log; a statement that was shown makes the same table again. It changes nothing.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, TimestampMicrosecondArray};
use chrono::{DateTime, Utc};

use super::catalog::Scope;
use super::output::{integers, table, texts};
use crate::lake::types::sql_name;
use crate::lake::{At, Detail, Relation, RelationKind, TableName};
use crate::{Error, Result};

fn table_of(scope: &Scope, name: &TableName) -> Result<Arc<Relation>> {
    let relation = scope.relation(name)?;
    match relation.kind {
        RelationKind::Table => Ok(relation),
        RelationKind::View { .. } => Err(Error::input(format!("expected a table, found the view `{name}`"))),
    }
}

fn json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::internal(format!("a table's detail has no text: {error}")))
}

/// The row of `DESCRIBE DETAIL`.
pub(super) async fn detail(scope: &Scope, name: &TableName) -> Result<RecordBatch> {
    let relation = table_of(scope, name)?;
    let detail = scope.inner.lake.detail(&relation).await?;
    let time = |at: Option<DateTime<Utc>>| -> ArrayRef {
        let micros: TimestampMicrosecondArray = [at.map(|at| at.timestamp_micros())].into_iter().collect();
        Arc::new(micros.with_timezone("UTC"))
    };
    let yes = |value: bool| -> ArrayRef { Arc::new(BooleanArray::from(vec![value])) };
    let text = |value: &str| texts([Some(value.to_string())]);
    table(vec![
        ("format", text("delta")),
        ("id", text(&relation.id)),
        ("name", text(&relation.name.to_string())),
        ("description", texts([detail.comment.as_ref()])),
        ("location", text(&detail.location)),
        ("created_at", time(Some(relation.created_at))),
        ("last_modified", time(detail.changed_at)),
        ("version", integers([detail.version])),
        ("partition_columns", text(&json(&detail.partition_by)?)),
        ("num_files", integers([detail.files])),
        ("size_in_bytes", integers([detail.bytes])),
        ("properties", text(&json(&detail.properties)?)),
        ("min_reader_version", integers([u64::try_from(detail.reader_version).unwrap_or_default()])),
        ("min_writer_version", integers([u64::try_from(detail.writer_version).unwrap_or_default()])),
        ("table_features", text(&json(&detail.features)?)),
        ("readable", yes(detail.not_readable.is_none())),
        ("writable", yes(detail.not_writable.is_none())),
        ("reason", texts([detail.not_readable.as_ref().or(detail.not_writable.as_ref())])),
    ])
}

/// The rows of `SHOW TBLPROPERTIES`.
pub(super) async fn properties(scope: &Scope, name: &TableName, key: Option<&str>) -> Result<RecordBatch> {
    let relation = table_of(scope, name)?;
    let detail = scope.inner.lake.detail(&relation).await?;
    if let Some(key) = key.filter(|key| !detail.properties.contains_key(*key)) {
        return Err(crate::error::unknown("property", key, detail.properties.keys().map(String::as_str)));
    }
    let shown: Vec<(&String, &String)> =
        detail.properties.iter().filter(|(name, _)| key.is_none_or(|key| key == name.as_str())).collect();
    table(vec![
        ("key", texts(shown.iter().map(|(key, _)| Some(key)))),
        ("value", texts(shown.iter().map(|(_, value)| Some(value)))),
    ])
}

/// The row of `SHOW CREATE TABLE`.
pub(super) async fn create_table(scope: &Scope, name: &TableName) -> Result<RecordBatch> {
    let relation = table_of(scope, name)?;
    let detail = scope.inner.lake.detail(&relation).await?;
    let snapshot = scope.inner.lake.snapshot(&relation, At::Version(detail.version)).await?;
    let types = snapshot.schema.fields().iter().map(|field| sql_name(field.data_type())).collect();
    let statement = statement(&relation.name, &detail, types);
    table(vec![("statement", texts([Some(statement)]))])
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// What a table's properties say that the statement does not: they follow from what it declares.
const FOLLOWING: [&str; 3] = ["delta.minReaderVersion", "delta.minWriterVersion", "delta.columnMapping.maxColumnId"];

fn statement(name: &TableName, detail: &Detail, types: Vec<String>) -> String {
    let mut sql = format!("CREATE TABLE {}.{} (\n", quoted(&name.schema), quoted(&name.table));
    for (index, (column, data_type)) in detail.columns.iter().zip(types).enumerate() {
        let comma = if index + 1 < detail.columns.len() { "," } else { "" };
        let mut line = format!("  {} {data_type}", quoted(&column.name));
        if !column.nullable {
            line.push_str(" NOT NULL");
        }
        if let Some(expression) = &column.generated {
            line.push_str(&format!(" GENERATED ALWAYS AS ({expression})"));
        }
        if let Some(comment) = &column.comment {
            line.push_str(&format!(" COMMENT {}", literal(comment)));
        }
        // Writing to a text does not fail.
        let _ = writeln!(sql, "{line}{comma}");
    }
    sql.push_str(") USING DELTA");
    if !detail.partition_by.is_empty() {
        let columns: Vec<String> = detail.partition_by.iter().map(|name| quoted(name)).collect();
        sql.push_str(&format!("\nPARTITIONED BY ({})", columns.join(", ")));
    }
    if let Some(comment) = &detail.comment {
        sql.push_str(&format!("\nCOMMENT {}", literal(comment)));
    }
    let own = detail.properties.iter().filter(|(key, _)| !FOLLOWING.contains(&key.as_str()));
    let own: Vec<String> = own.map(|(key, value)| format!("{} = {}", literal(key), literal(value))).collect();
    if !own.is_empty() {
        sql.push_str(&format!("\nTBLPROPERTIES ({})", own.join(", ")));
    }
    sql
}
