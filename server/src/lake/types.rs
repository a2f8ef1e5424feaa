//! The type table: SQL ↔ Arrow in the engine ↔ Arrow on the wire ↔ Delta ↔ bound parameter ↔ model input.
//!
//! It is the one place that says what a type becomes at each border of Limn; `docs/types.md` is made from [`TABLE`]
//! and a test holds the two together. It knows nothing of values, tables or protocols.
//!
//! # Layout
//! - [`parse`]: SQL's type names to Arrow; `storage`: what a Delta table can hold; `wire`: what clients can read
//! - `assign`: what clients send, as values of a table's columns

mod assign;
pub mod parse;
mod storage;
mod wire;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, IntervalUnit, TimeUnit};
use limn_sql_udfs::model::signature::ValueType;

pub use assign::{assign, is_assignable, pieces};
pub use parse::parse_sql_type;
pub use storage::{storage_schema, storage_type};
pub use wire::{WireTypes, parameter_type, wire_batch, wire_schema, wire_type};

/// The most digits that a decimal of a Delta table has.
pub const DECIMAL_DIGITS_MAX: u8 = 38;

/// One row of the type table. Everything else about a type follows from `arrow` by this module's functions.
#[derive(Debug, Clone, Copy)]
pub struct TypeRow {
    /// The name that Limn shows, as a user would write it.
    pub sql: &'static str,
    /// Other spellings that mean the same.
    pub aliases: &'static [&'static str],
    /// The type in the engine, of the example that `sql` spells.
    pub arrow: fn() -> DataType,
}

/// All types of the dialect.
pub static TABLE: &[TypeRow] = &[
    TypeRow { sql: "BOOLEAN", aliases: &["BOOL"], arrow: || DataType::Boolean },
    TypeRow { sql: "TINYINT", aliases: &["BYTE"], arrow: || DataType::Int8 },
    TypeRow { sql: "SMALLINT", aliases: &["INT2", "SHORT"], arrow: || DataType::Int16 },
    TypeRow { sql: "INT", aliases: &["INTEGER", "INT4"], arrow: || DataType::Int32 },
    TypeRow { sql: "BIGINT", aliases: &["INT8", "LONG"], arrow: || DataType::Int64 },
    TypeRow { sql: "REAL", aliases: &["FLOAT", "FLOAT4"], arrow: || DataType::Float32 },
    TypeRow { sql: "DOUBLE", aliases: &["DOUBLE PRECISION", "FLOAT8"], arrow: || DataType::Float64 },
    TypeRow { sql: "DECIMAL(10,2)", aliases: &["NUMERIC(10,2)", "DEC(10,2)"], arrow: || DataType::Decimal128(10, 2) },
    TypeRow { sql: "TEXT", aliases: &["VARCHAR", "VARCHAR(20)", "CHAR(20)", "STRING"], arrow: || DataType::Utf8 },
    TypeRow { sql: "BINARY", aliases: &["BYTEA", "BLOB", "VARBINARY"], arrow: || DataType::Binary },
    TypeRow { sql: "DATE", aliases: &["DATE32"], arrow: || DataType::Date32 },
    TypeRow { sql: "TIME", aliases: &["TIME WITHOUT TIME ZONE"], arrow: || DataType::Time64(TimeUnit::Microsecond) },
    TypeRow {
        sql: "TIMESTAMP",
        aliases: &["TIMESTAMP WITHOUT TIME ZONE", "TIMESTAMP_NTZ", "DATETIME"],
        arrow: || DataType::Timestamp(TimeUnit::Microsecond, None),
    },
    TypeRow { sql: "TIMESTAMP WITH TIME ZONE", aliases: &["TIMESTAMPTZ", "TIMESTAMP_LTZ"], arrow: instant },
    TypeRow { sql: "INTERVAL", aliases: &[], arrow: || DataType::Interval(IntervalUnit::MonthDayNano) },
    TypeRow { sql: "BIGINT[]", aliases: &["ARRAY<BIGINT>"], arrow: || list_of(DataType::Int64) },
    TypeRow {
        sql: "STRUCT<a BIGINT, b TEXT>",
        aliases: &[],
        arrow: || {
            DataType::Struct(Fields::from(vec![
                Field::new("a", DataType::Int64, true),
                Field::new("b", DataType::Utf8, true),
            ]))
        },
    },
    TypeRow { sql: "MAP(TEXT, BIGINT)", aliases: &[], arrow: || map_of(DataType::Utf8, DataType::Int64) },
];

/// `TIMESTAMP WITH TIME ZONE`: an instant, microseconds since 1970-01-01T00:00:00Z.
pub fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// A list whose values may be NULL, as DataFusion's own list functions make it.
fn list_of(value: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", value, true)))
}

/// A map; its keys are never NULL.
fn map_of(key: DataType, value: DataType) -> DataType {
    let entries = Fields::from(vec![Field::new("key", key, false), Field::new("value", value, true)]);
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entries), false)), false)
}

/// The canonical SQL name of an Arrow type, for errors and `DESCRIBE`: `TIMESTAMP WITH TIME ZONE`, `BIGINT[]`.
///
/// Types that SQL has no name for are named after what they hold (a dictionary after its values).
pub fn sql_name(data_type: &DataType) -> String {
    use DataType as T;
    match data_type {
        T::Null => "NULL".into(),
        T::Boolean => "BOOLEAN".into(),
        T::Int8 => "TINYINT".into(),
        T::Int16 => "SMALLINT".into(),
        T::Int32 => "INT".into(),
        T::Int64 => "BIGINT".into(),
        T::UInt8 => "TINYINT UNSIGNED".into(),
        T::UInt16 => "SMALLINT UNSIGNED".into(),
        T::UInt32 => "INT UNSIGNED".into(),
        T::UInt64 => "BIGINT UNSIGNED".into(),
        T::Float16 | T::Float32 => "REAL".into(),
        T::Float64 => "DOUBLE".into(),
        T::Decimal32(p, s) | T::Decimal64(p, s) | T::Decimal128(p, s) | T::Decimal256(p, s) => {
            format!("DECIMAL({p},{s})")
        }
        T::Utf8 | T::LargeUtf8 | T::Utf8View => "TEXT".into(),
        T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => "BINARY".into(),
        T::Date32 | T::Date64 => "DATE".into(),
        T::Time32(_) | T::Time64(_) => "TIME".into(),
        T::Timestamp(_, None) => "TIMESTAMP".into(),
        T::Timestamp(_, Some(_)) => "TIMESTAMP WITH TIME ZONE".into(),
        T::Duration(_) | T::Interval(_) => "INTERVAL".into(),
        T::List(item) | T::LargeList(item) | T::ListView(item) | T::LargeListView(item) => {
            format!("{}[]", sql_name(item.data_type()))
        }
        T::FixedSizeList(item, size) => format!("{}[{size}]", sql_name(item.data_type())),
        T::Struct(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|f| format!("{} {}", f.name(), sql_name(f.data_type()))).collect();
            format!("STRUCT<{}>", fields.join(", "))
        }
        T::Map(entries, _) => match entries.data_type() {
            T::Struct(fields) if fields.len() == 2 => {
                format!("MAP({}, {})", sql_name(fields[0].data_type()), sql_name(fields[1].data_type()))
            }
            _ => "MAP".into(),
        },
        T::Union(_, _) => "UNION".into(),
        T::Dictionary(_, values) => sql_name(values),
        T::RunEndEncoded(_, values) => sql_name(values.data_type()),
    }
}

/// The name of a stored type in Delta's schema, where a Delta table can hold it.
///
/// Source: <https://github.com/delta-io/delta/blob/master/PROTOCOL.md#primitive-types>.
pub fn delta_name(data_type: &DataType) -> Option<String> {
    use DataType as T;
    Some(match storage_type(data_type).ok()? {
        T::Boolean => "boolean".into(),
        T::Int8 => "byte".into(),
        T::Int16 => "short".into(),
        T::Int32 => "integer".into(),
        T::Int64 => "long".into(),
        T::Float32 => "float".into(),
        T::Float64 => "double".into(),
        T::Decimal128(p, s) => format!("decimal({p},{s})"),
        T::Utf8 => "string".into(),
        T::Binary => "binary".into(),
        T::Date32 => "date".into(),
        T::Timestamp(_, None) => "timestamp_ntz".into(),
        T::Timestamp(_, Some(_)) => "timestamp".into(),
        T::List(item) => format!("array<{}>", delta_name(item.data_type())?),
        T::Struct(fields) => {
            let fields: Option<Vec<String>> =
                fields.iter().map(|f| Some(format!("{}:{}", f.name(), delta_name(f.data_type())?))).collect();
            format!("struct<{}>", fields?.join(","))
        }
        T::Map(entries, _) => match entries.data_type() {
            T::Struct(fields) if fields.len() == 2 => {
                format!("map<{},{}>", delta_name(fields[0].data_type())?, delta_name(fields[1].data_type())?)
            }
            _ => return None,
        },
        _ => return None,
    })
}

/// Arrow's name of a type, short enough for a table cell.
fn arrow_name(data_type: &DataType) -> String {
    use DataType as T;
    let unit = |unit: &TimeUnit| match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    };
    match data_type {
        T::Time32(u) => format!("Time32({})", unit(u)),
        T::Time64(u) => format!("Time64({})", unit(u)),
        T::Timestamp(u, None) => format!("Timestamp({})", unit(u)),
        T::Timestamp(u, Some(zone)) => format!("Timestamp({}, {zone})", unit(u)),
        T::Decimal128(p, s) => format!("Decimal128({p}, {s})"),
        T::Interval(_) => "Interval(MonthDayNano)".into(),
        T::List(item) => format!("List({})", arrow_name(item.data_type())),
        T::Struct(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|f| format!("{}: {}", f.name(), arrow_name(f.data_type()))).collect();
            format!("Struct({})", fields.join(", "))
        }
        T::Map(entries, _) => match entries.data_type() {
            T::Struct(fields) => {
                let fields: Vec<String> = fields.iter().map(|f| arrow_name(f.data_type())).collect();
                format!("Map({})", fields.join(", "))
            }
            other => format!("Map({other})"),
        },
        other => other.to_string(),
    }
}

/// The type table in Markdown, as `docs/types.md` shows it: a header line, a rule, one line per row.
pub fn table_markdown() -> String {
    let mut lines = vec![
        "| SQL | also written | Arrow in the engine | Arrow on the wire | Delta | bound parameter | model input |"
            .into(),
        "|---|---|---|---|---|---|---|".to_string(),
    ];
    for row in TABLE {
        let arrow = (row.arrow)();
        let code = |text: String| format!("`{text}`");
        let aliases: Vec<String> = row.aliases.iter().map(|alias| code(alias.to_string())).collect();
        let cells = [
            code(row.sql.into()),
            aliases.join(", "),
            code(arrow_name(&arrow)),
            code(arrow_name(&wire_type(&arrow))),
            delta_name(&arrow).map_or("not stored".into(), code),
            code(arrow_name(&parameter_type(&arrow))),
            ValueType::of(&arrow).map_or("no".into(), |value| code(value.sql_name().into())),
        ];
        lines.push(format!("| {} |", cells.join(" | ")));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_the_table_of_the_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/types.md");
        let document = std::fs::read_to_string(path).unwrap();
        let table: Vec<&str> = document.lines().filter(|line| line.starts_with('|')).collect();
        assert_eq!(table.join("\n"), table_markdown(), "docs/types.md does not show the type table");
    }

    #[test]
    fn every_name_of_the_table_parses_to_its_type() {
        for row in TABLE {
            for name in std::iter::once(&row.sql).chain(row.aliases) {
                assert_eq!(parse::parse_type_text(name).unwrap(), (row.arrow)(), "{name}");
            }
            assert_eq!(sql_name(&(row.arrow)()), row.sql);
        }
    }

    #[test]
    fn names_of_types_outside_the_table() {
        let name = |data_type: DataType| sql_name(&data_type);
        assert_eq!(name(DataType::UInt32), "INT UNSIGNED");
        assert_eq!(name(DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8View))), "TEXT");
        assert_eq!(name(DataType::Timestamp(TimeUnit::Second, Some("+10:00".into()))), "TIMESTAMP WITH TIME ZONE");
        assert_eq!(name(list_of(list_of(DataType::Float64))), "DOUBLE[][]");
        assert_eq!(name(DataType::new_fixed_size_list(DataType::Float32, 3, true)), "REAL[3]");
    }
}
