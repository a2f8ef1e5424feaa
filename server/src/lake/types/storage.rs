//! What an Arrow type becomes in a Delta table.
//!
//! Delta knows fewer types than Arrow: every one either has a home that holds all its values, or is refused with a
//! text that names the column. Nothing is narrowed silently. It knows nothing of files or commits.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};

use super::{DECIMAL_DIGITS_MAX, instant, sql_name};
use crate::{Error, Result};

/// The type in which a Delta table keeps values of `data_type`; an `Unsupported` error where it has none.
///
/// Views, large and dictionary types become plain ones; unsigned integers widen to the next signed type (a 64-bit one
/// to `DECIMAL(20,0)`); timestamps become microseconds, with zone `UTC` or none; NULL becomes text. Nested types
/// follow their parts.
pub fn storage_type(data_type: &DataType) -> Result<DataType> {
    use DataType as T;
    Ok(match data_type {
        T::Null | T::Utf8 | T::LargeUtf8 | T::Utf8View => T::Utf8,
        T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => T::Binary,
        T::Boolean | T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::Float32 | T::Float64 => data_type.clone(),
        T::UInt8 => T::Int16,
        T::UInt16 => T::Int32,
        T::UInt32 => T::Int64,
        T::UInt64 => T::Decimal128(20, 0),
        T::Float16 => T::Float32,
        T::Decimal32(p, s) | T::Decimal64(p, s) | T::Decimal128(p, s) | T::Decimal256(p, s) => {
            storage_decimal(data_type, *p, *s)?
        }
        T::Date32 | T::Date64 => T::Date32,
        T::Timestamp(_, None) => T::Timestamp(TimeUnit::Microsecond, None),
        T::Timestamp(_, Some(_)) => instant(),
        T::Dictionary(_, values) => storage_type(values)?,
        T::RunEndEncoded(_, values) => storage_type(values.data_type())?,
        T::List(item) | T::LargeList(item) | T::ListView(item) | T::LargeListView(item) | T::FixedSizeList(item, _) => {
            T::List(storage_field(item)?)
        }
        T::Struct(fields) => {
            T::Struct(fields.iter().map(|f| storage_field(f).map_err(|e| named(f, &e))).collect::<Result<Fields>>()?)
        }
        T::Map(entries, sorted) => T::Map(storage_field(entries)?, *sorted),
        T::Time32(_) | T::Time64(_) => {
            let error = Error::unsupported("a table cannot hold values of type `TIME`");
            return Err(error.with_hint("keep a TIMESTAMP, or text: `CAST(t AS TEXT)`"));
        }
        T::Duration(_) | T::Interval(_) => {
            let error = Error::unsupported("a table cannot hold values of type `INTERVAL`");
            return Err(error.with_hint("keep a number of seconds or days instead"));
        }
        T::Union(_, _) => return Err(Error::unsupported("a table cannot hold values of type `UNION`")),
    })
}

/// The schema in which a Delta table keeps rows of `schema`; an error names the column.
pub fn storage_schema(schema: &Schema) -> Result<SchemaRef> {
    let fields: Result<Fields> =
        schema.fields().iter().map(|field| storage_field(field).map_err(|error| named(field, &error))).collect();
    Ok(Arc::new(Schema::new(fields?)))
}

/// Without the field's metadata: what a source noted there is not part of a new table.
fn storage_field(field: &FieldRef) -> Result<FieldRef> {
    Ok(Arc::new(Field::new(field.name(), storage_type(field.data_type())?, field.is_nullable())))
}

fn named(field: &FieldRef, error: &Error) -> Error {
    error.clone().context(format!("column `{}`", field.name()))
}

/// Delta's decimals have at most 38 digits and a scale from 0 to their digits.
fn storage_decimal(data_type: &DataType, precision: u8, scale: i8) -> Result<DataType> {
    let (digits, scale) = match u8::try_from(scale) {
        Ok(scale) => (precision.max(scale), scale),
        // A negative scale counts zeros in front of the point.
        Err(_) => (precision.saturating_add(scale.unsigned_abs()), 0),
    };
    match i8::try_from(scale) {
        Ok(scale) if digits <= DECIMAL_DIGITS_MAX => Ok(DataType::Decimal128(digits, scale)),
        _ => Err(Error::unsupported(format!(
            "expected a decimal of at most {DECIMAL_DIGITS_MAX} digits, found `{}`",
            sql_name(data_type)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_home_that_holds_its_values() {
        use DataType as T;
        let cases = [
            (T::Utf8View, T::Utf8),
            (T::LargeUtf8, T::Utf8),
            (T::Null, T::Utf8),
            (T::BinaryView, T::Binary),
            (T::FixedSizeBinary(16), T::Binary),
            (T::UInt8, T::Int16),
            (T::UInt16, T::Int32),
            (T::UInt32, T::Int64),
            (T::UInt64, T::Decimal128(20, 0)),
            (T::Float16, T::Float32),
            (T::Decimal32(5, 2), T::Decimal128(5, 2)),
            (T::Decimal256(38, 4), T::Decimal128(38, 4)),
            (T::Decimal128(3, -2), T::Decimal128(5, 0)),
            (T::Date64, T::Date32),
            (T::Timestamp(TimeUnit::Nanosecond, None), T::Timestamp(TimeUnit::Microsecond, None)),
            (T::Timestamp(TimeUnit::Second, Some("+10:00".into())), instant()),
            (T::Dictionary(Box::new(T::Int8), Box::new(T::LargeUtf8)), T::Utf8),
        ];
        for (from, to) in cases {
            assert_eq!(storage_type(&from).unwrap(), to, "{from}");
        }
    }

    #[test]
    fn nested_types_follow_their_parts() {
        let inner = Fields::from(vec![Field::new("u", DataType::UInt16, false)]);
        let from = DataType::LargeList(Arc::new(Field::new("item", DataType::Struct(inner), true)));
        let inner = Fields::from(vec![Field::new("u", DataType::Int32, false)]);
        assert_eq!(
            storage_type(&from).unwrap(),
            DataType::List(Arc::new(Field::new("item", DataType::Struct(inner), true)))
        );
    }

    #[test]
    fn what_has_no_home_is_refused_with_the_column() {
        let schema = Schema::new(vec![
            Field::new("a", DataType::Int64, true),
            Field::new("t", DataType::Time64(TimeUnit::Nanosecond), true),
        ]);
        let error = storage_schema(&schema).unwrap_err();
        assert_eq!(error.class(), crate::Class::Unsupported);
        assert_eq!(error.message(), "column `t`: a table cannot hold values of type `TIME`");
        assert!(error.hint().is_some());
        let error = storage_type(&DataType::Decimal256(50, 3)).unwrap_err();
        assert_eq!(error.message(), "expected a decimal of at most 38 digits, found `DECIMAL(50,3)`");
        assert!(storage_type(&DataType::Duration(TimeUnit::Second)).is_err());
    }
}
