//! `information_schema`: the standard's views of the catalog, as one statement sees it.
//!
//! Those about columns and views are ours: a view that is broken has no columns and takes none from others, positions
//! begin with one, and types have the names of the dialect. The rest is DataFusion's. Rows are made when they are read,
//! since a view may read this schema too. It knows nothing of protocols.
//!
//! The columns are those of PostgreSQL, <https://www.postgresql.org/docs/current/infoschema-columns.html>.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::information_schema::InformationSchemaProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;

use super::catalog::{Scope, StatementCatalog, StatementCatalogs};
use super::{CATALOG, INFORMATION_SCHEMA, SYSTEM_SCHEMA};
use crate::error::unknown;
use crate::lake::types::sql_name;
use crate::lake::{At, RelationKind, TableName};
use crate::registry::SystemTable;
use crate::{Error, Result};

/// The views of this schema.
pub(super) const TABLES: &[&str] = &["columns", "df_settings", "parameters", "routines", "schemata", "tables", "views"];

/// The view of that name, as `scope` sees the catalog.
pub(super) async fn table(scope: &Scope, name: &str) -> Result<Arc<dyn TableProvider>> {
    let scope = Arc::new(scope.clone());
    let view = match name {
        "columns" => View::Columns,
        "views" => View::Views,
        _ => {
            let catalogs = Arc::new(StatementCatalogs(scope));
            return match InformationSchemaProvider::new(catalogs).table(name).await? {
                Some(provider) => Ok(provider),
                None => {
                    let known: Vec<String> =
                        TABLES.iter().map(|known| format!("{INFORMATION_SCHEMA}.{known}")).collect();
                    let known = known.iter().map(String::as_str);
                    Err(unknown("table", &format!("{INFORMATION_SCHEMA}.{name}"), known))
                }
            };
        }
    };
    let schema = view.schema();
    let rows = Arc::new(Rows { view, scope, schema: Arc::clone(&schema) });
    Ok(Arc::new(StreamingTable::try_new(schema, vec![rows])?))
}

#[derive(Debug, Clone, Copy)]
enum View {
    Columns,
    Views,
}

impl View {
    fn schema(self) -> SchemaRef {
        let text = |name| Field::new(name, DataType::Utf8, true);
        let number = |name| Field::new(name, DataType::Int32, true);
        let mut fields = ["table_catalog", "table_schema", "table_name"].map(text).to_vec();
        match self {
            View::Columns => {
                fields.extend([text("column_name"), number("ordinal_position"), text("column_default")]);
                fields.extend([text("is_nullable"), text("data_type")]);
                fields.extend(LENGTHS.map(number));
            }
            View::Views => fields.push(text("view_definition")),
        }
        Arc::new(Schema::new(fields))
    }
}

/// How large the values of a column are.
const LENGTHS: [&str; 6] = [
    "character_maximum_length",
    "character_octet_length",
    "numeric_precision",
    "numeric_precision_radix",
    "numeric_scale",
    "datetime_precision",
];

/// One of the views, not yet read.
#[derive(Debug)]
struct Rows {
    view: View,
    scope: Arc<Scope>,
    schema: SchemaRef,
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (view, scope, schema) = (self.view, Arc::clone(&self.scope), Arc::clone(&self.schema));
        let rows = futures::stream::once(async move {
            let rows = match view {
                View::Columns => columns(&scope, schema).await,
                View::Views => views(&scope, schema),
            };
            rows.map_err(Error::into_datafusion)
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows))
    }
}

/// A column of text columns.
fn texts<T>(rows: &[T], of: impl Fn(&T) -> Option<String>) -> ArrayRef {
    Arc::new(rows.iter().map(of).collect::<StringArray>())
}

fn views(scope: &Scope, schema: SchemaRef) -> Result<RecordBatch> {
    let lake = &scope.inner.lake;
    let relations: Vec<_> = lake.schemas().iter().flat_map(|name| lake.relations(name).unwrap_or_default()).collect();
    let views: Vec<(&TableName, &String)> = relations
        .iter()
        .filter_map(|relation| match &relation.kind {
            RelationKind::View { sql } => Some((&relation.name, sql)),
            RelationKind::Table => None,
        })
        .collect();
    Ok(RecordBatch::try_new(
        schema,
        vec![
            texts(&views, |_| Some(CATALOG.into())),
            texts(&views, |(name, _)| Some(name.schema.clone())),
            texts(&views, |(name, _)| Some(name.table.clone())),
            texts(&views, |(_, sql)| Some((*sql).clone())),
        ],
    )?)
}

/// A column of a table.
struct Column {
    schema: String,
    table: String,
    position: i32,
    field: Arc<Field>,
}

async fn columns(scope: &Arc<Scope>, schema: SchemaRef) -> Result<RecordBatch> {
    let catalog = StatementCatalog(Arc::clone(scope));
    let mut all = Vec::new();
    for schema in catalog.schema_names() {
        let tables = catalog.schema(&schema).map(|schema| schema.table_names()).unwrap_or_default();
        for table in tables {
            scope.ctx.check()?;
            let name = TableName { schema: schema.clone(), table: table.clone() };
            let fields = match fields(scope, &name).await {
                Ok(fields) => fields,
                Err(error) => {
                    tracing::debug!(%error, "the columns of `{name}` are not shown");
                    continue;
                }
            };
            let column = |(position, field): (i32, &Arc<Field>)| Column {
                schema: schema.clone(),
                table: table.clone(),
                position,
                field: Arc::clone(field),
            };
            all.extend((1..).zip(fields.fields()).map(column));
        }
    }
    let numbers = |of: fn(&DataType) -> Option<i32>| -> ArrayRef {
        Arc::new(all.iter().map(|column| of(column.field.data_type())).collect::<Int32Array>())
    };
    Ok(RecordBatch::try_new(
        schema,
        vec![
            texts(&all, |_| Some(CATALOG.into())),
            texts(&all, |column| Some(column.schema.clone())),
            texts(&all, |column| Some(column.table.clone())),
            texts(&all, |column| Some(column.field.name().clone())),
            Arc::new(all.iter().map(|column| Some(column.position)).collect::<Int32Array>()),
            texts(&all, |_| None),
            texts(&all, |column| Some(if column.field.is_nullable() { "YES" } else { "NO" }.into())),
            texts(&all, |column| Some(sql_name(column.field.data_type()))),
            // Texts have no greatest length.
            numbers(|_| None),
            numbers(|_| None),
            numbers(|data_type| precision(data_type).map(|(digits, _)| digits)),
            numbers(|data_type| precision(data_type).map(|(_, radix)| radix)),
            numbers(scale),
            numbers(fraction_digits),
        ],
    )?)
}

/// The columns of a table; those of a system table without reading it.
async fn fields(scope: &Scope, name: &TableName) -> Result<SchemaRef> {
    match SystemTable::from_name(&name.table) {
        Some(table) if name.schema == SYSTEM_SCHEMA => Ok(table.schema()),
        _ => Ok(scope.table(name, At::Latest).await?.schema()),
    }
}

/// Digits of a number and what they count in: bits of what is binary, digits of what is decimal.
fn precision(data_type: &DataType) -> Option<(i32, i32)> {
    match data_type {
        DataType::Int8 | DataType::UInt8 => Some((8, 2)),
        DataType::Int16 | DataType::UInt16 => Some((16, 2)),
        DataType::Int32 | DataType::UInt32 => Some((32, 2)),
        DataType::Int64 | DataType::UInt64 => Some((64, 2)),
        DataType::Float32 => Some((24, 2)),
        DataType::Float64 => Some((53, 2)),
        DataType::Decimal32(digits, _)
        | DataType::Decimal64(digits, _)
        | DataType::Decimal128(digits, _)
        | DataType::Decimal256(digits, _) => Some((i32::from(*digits), 10)),
        _ => None,
    }
}

/// Digits after the point of an exact number.
fn scale(data_type: &DataType) -> Option<i32> {
    match data_type {
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => Some(i32::from(*scale)),
        _ if data_type.is_integer() => Some(0),
        _ => None,
    }
}

/// Digits of the fractions of a second.
fn fraction_digits(data_type: &DataType) -> Option<i32> {
    let unit = match data_type {
        DataType::Date32 | DataType::Date64 => return Some(0),
        DataType::Timestamp(unit, _) | DataType::Time32(unit) | DataType::Time64(unit) => unit,
        _ => return None,
    };
    Some(match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    })
}
