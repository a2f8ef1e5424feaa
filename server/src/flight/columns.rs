//! What a column's type is called: the SQL type names, precisions and scales that JDBC, ODBC and Power BI show.
//!
//! Clients read them from field metadata, <https://arrow.apache.org/docs/format/FlightSql.html#metadata-requests>. The
//! names are those of the SQL dialect. It never sets `REMARKS` on a result, which replaces column labels in Java.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};

use crate::engine::sql_name;

/// The same schema, where each field says its SQL type. Types, names and nullability stay as they are.
pub fn annotate(schema: &Schema) -> SchemaRef {
    let fields: Fields = schema.fields().iter().map(|field| Arc::new(annotated(field))).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

fn annotated(field: &Field) -> Field {
    let mut metadata: HashMap<String, String> = field.metadata().clone();
    let mut say = |key: &str, value: String| metadata.insert(format!("ARROW:FLIGHT:SQL:{key}"), value);
    say("TYPE_NAME", type_name(field.data_type()));
    say("IS_AUTO_INCREMENT", "0".into());
    // Java takes what is not said for a column that WHERE cannot name.
    say("IS_SEARCHABLE", "1".into());
    say("IS_CASE_SENSITIVE", if type_name(field.data_type()) == "TEXT" { "1" } else { "0" }.into());
    if let Some((precision, scale)) = precision_and_scale(field.data_type()) {
        say("PRECISION", precision.to_string());
        say("SCALE", scale.to_string());
    }
    field.clone().with_metadata(metadata)
}

/// The SQL name of a type. Precision and scale of a decimal are said apart.
fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
            "DECIMAL".into()
        }
        other => sql_name(other),
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
        assert_eq!(said(0, "ARROW:FLIGHT:SQL:IS_SEARCHABLE").as_deref(), Some("1"));
        assert_eq!(said(0, "ARROW:FLIGHT:SQL:IS_CASE_SENSITIVE").as_deref(), Some("0"));
        assert_eq!(said(1, "ARROW:FLIGHT:SQL:IS_CASE_SENSITIVE").as_deref(), Some("1"));
        assert_eq!(said(0, "unit").as_deref(), Some("MWh"));
        assert_eq!(said(1, "ARROW:FLIGHT:SQL:TYPE_NAME").as_deref(), Some("TEXT"));
        assert_eq!(said(1, "ARROW:FLIGHT:SQL:PRECISION"), None);
        for (before, after) in schema.fields().iter().zip(annotated.fields()) {
            assert_eq!(before.name(), after.name());
            assert_eq!(before.data_type(), after.data_type());
            assert_eq!(before.is_nullable(), after.is_nullable());
        }
    }
}
