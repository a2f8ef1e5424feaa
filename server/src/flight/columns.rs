//! What a column's type is called: the SQL type names, precisions and scales that JDBC, ODBC and Power BI show.
//!
//! Clients read them from field metadata, <https://arrow.apache.org/docs/format/FlightSql.html#metadata-requests>. The
//! names are those of the SQL dialect. It never sets `REMARKS` on a result, which replaces column labels in Java.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};

/// The same schema, where each field says its SQL type. Types, names and nullability stay as they are.
pub fn annotate(schema: &Schema) -> SchemaRef {
    let fields: Fields = schema.fields().iter().map(|field| Arc::new(annotated(field))).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

fn annotated(field: &Field) -> Field {
    let mut metadata: HashMap<String, String> = field.metadata().clone();
    let mut say = |key: &str, value: String| metadata.insert(format!("ARROW:FLIGHT:SQL:{key}"), value);
    say("TYPE_NAME", type_name(field.data_type()).to_string());
    say("IS_AUTO_INCREMENT", "0".into());
    if let Some((precision, scale)) = precision_and_scale(field.data_type()) {
        say("PRECISION", precision.to_string());
        say("SCALE", scale.to_string());
    }
    field.clone().with_metadata(metadata)
}

/// The SQL name of a type.
pub fn type_name(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Null => "NULL",
        DataType::Boolean => "BOOLEAN",
        DataType::Int8 => "TINYINT",
        DataType::Int16 => "SMALLINT",
        DataType::Int32 => "INT",
        DataType::Int64 => "BIGINT",
        DataType::UInt8 => "TINYINT UNSIGNED",
        DataType::UInt16 => "SMALLINT UNSIGNED",
        DataType::UInt32 => "INT UNSIGNED",
        DataType::UInt64 => "BIGINT UNSIGNED",
        DataType::Float16 | DataType::Float32 => "FLOAT",
        DataType::Float64 => "DOUBLE",
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
            "DECIMAL"
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "VARCHAR",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => "BYTEA",
        DataType::Date32 | DataType::Date64 => "DATE",
        DataType::Time32(_) | DataType::Time64(_) => "TIME",
        DataType::Timestamp(_, None) => "TIMESTAMP",
        DataType::Timestamp(_, Some(_)) => "TIMESTAMP WITH TIME ZONE",
        DataType::Duration(_) | DataType::Interval(_) => "INTERVAL",
        DataType::List(_)
        | DataType::LargeList(_)
        | DataType::ListView(_)
        | DataType::LargeListView(_)
        | DataType::FixedSizeList(..) => "ARRAY",
        DataType::Struct(_) => "STRUCT",
        DataType::Map(..) => "MAP",
        DataType::Union(..) => "UNION",
        DataType::Dictionary(_, values) => type_name(values),
        DataType::RunEndEncoded(_, values) => type_name(values.data_type()),
    }
}

/// Digits, and digits after the point, of an exact number.
fn precision_and_scale(data_type: &DataType) -> Option<(u8, i8)> {
    match data_type {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => Some((*precision, *scale)),
        DataType::Int8 => Some((3, 0)),
        DataType::Int16 => Some((5, 0)),
        DataType::Int32 => Some((10, 0)),
        DataType::Int64 => Some((19, 0)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotation_adds_metadata_and_changes_nothing_else() {
        let kept = HashMap::from([("unit".to_string(), "MWh".to_string())]);
        let schema = Schema::new(vec![
            Field::new("d", DataType::Decimal128(12, 3), false).with_metadata(kept),
            Field::new("s", DataType::Utf8, true),
        ]);
        let annotated = annotate(&schema);
        let said = |index: usize, key: &str| annotated.field(index).metadata().get(key).cloned();
        assert_eq!(said(0, "ARROW:FLIGHT:SQL:TYPE_NAME").as_deref(), Some("DECIMAL"));
        assert_eq!(said(0, "ARROW:FLIGHT:SQL:PRECISION").as_deref(), Some("12"));
        assert_eq!(said(0, "ARROW:FLIGHT:SQL:SCALE").as_deref(), Some("3"));
        assert_eq!(said(0, "unit").as_deref(), Some("MWh"));
        assert_eq!(said(1, "ARROW:FLIGHT:SQL:TYPE_NAME").as_deref(), Some("VARCHAR"));
        assert_eq!(said(1, "ARROW:FLIGHT:SQL:PRECISION"), None);
        for (before, after) in schema.fields().iter().zip(annotated.fields()) {
            assert_eq!(before.name(), after.name());
            assert_eq!(before.data_type(), after.data_type());
            assert_eq!(before.is_nullable(), after.is_nullable());
        }
    }
}
