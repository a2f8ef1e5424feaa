//! Arrow values as JSON texts.
//!
//! Exact: decimals keep their digits, whole numbers all of theirs, doubles the shortest text that reads back as the
//! same. Fields that are NULL are written as `null`; NaN and the infinities, which JSON has not, as texts. It knows
//! nothing of SQL.

use std::fmt::Write;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Decimal128Type, Float32Type, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::write::quoted;
use crate::{Error, Result};

/// Whether values of a type can be written.
pub fn is_writable(data_type: &DataType) -> bool {
    use DataType as T;
    match data_type {
        T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) | T::Union(_, _) => false,
        T::List(item) | T::LargeList(item) | T::FixedSizeList(item, _) => is_writable(item.data_type()),
        T::Struct(fields) => fields.iter().all(|field| is_writable(field.data_type())),
        T::Map(entries, _) => match entries.data_type() {
            T::Struct(fields) => fields.iter().all(|field| is_writable(field.data_type())),
            _ => false,
        },
        T::ListView(_) | T::LargeListView(_) | T::RunEndEncoded(_, _) => false,
        T::Dictionary(_, values) => is_writable(values),
        _ => true,
    }
}

/// One text per row; NULL where the row is.
pub fn texts(array: &ArrayRef) -> Result<Vec<Option<String>>> {
    let one = |row: usize| {
        let mut out = String::new();
        value(array, row, &mut out)?;
        Ok(Some(out))
    };
    (0..array.len()).map(|row| if array.is_null(row) { Ok(None) } else { one(row) }).collect()
}

fn failed(_: std::fmt::Error) -> Error {
    Error::internal("a text could not be written")
}

/// A text as the key of an object.
pub fn key(text: &str, out: &mut String) -> Result<()> {
    quoted(out, text).map_err(failed)
}

/// One row behind what was written; NULL as `null`.
pub fn value(array: &ArrayRef, row: usize, out: &mut String) -> Result<()> {
    use DataType as T;
    if array.is_null(row) {
        out.push_str("null");
        return Ok(());
    }
    match array.data_type() {
        T::Null => out.push_str("null"),
        T::Boolean => out.push_str(if array.as_boolean().value(row) { "true" } else { "false" }),
        T::Float32 => double(f64::from(array.as_primitive::<Float32Type>().value(row)), shown(array, row)?, out),
        T::Float64 => {
            let number = array.as_primitive::<Float64Type>().value(row);
            double(number, format!("{number:?}"), out);
        }
        T::Decimal128(_, _) => out.push_str(&array.as_primitive::<Decimal128Type>().value_as_string(row)),
        T::Utf8 => quoted(out, array.as_string::<i32>().value(row)).map_err(failed)?,
        T::LargeUtf8 => quoted(out, array.as_string::<i64>().value(row)).map_err(failed)?,
        T::Utf8View => quoted(out, array.as_string_view().value(row)).map_err(failed)?,
        T::List(_) => list(&array.as_list::<i32>().value(row), out)?,
        T::LargeList(_) => list(&array.as_list::<i64>().value(row), out)?,
        T::FixedSizeList(_, _) => list(&array.as_fixed_size_list().value(row), out)?,
        T::Struct(fields) => {
            let columns = array.as_struct().columns();
            out.push('{');
            for (n, (field, column)) in fields.iter().zip(columns).enumerate() {
                out.push_str(if n == 0 { "" } else { "," });
                quoted(out, field.name()).map_err(failed)?;
                out.push(':');
                value(column, row, out)?;
            }
            out.push('}');
        }
        T::Map(_, _) => map(array, row, out)?,
        T::Dictionary(_, _) => {
            let one = array.slice(row, 1);
            let one = one.as_any_dictionary();
            value(one.values(), one.normalized_keys().first().copied().unwrap_or(0), out)?;
        }
        number if number.is_numeric() => write!(out, "{}", shown(array, row)?).map_err(failed)?,
        _ => quoted(out, &shown(array, row)?).map_err(failed)?,
    }
    Ok(())
}

/// Times and whole numbers, as Arrow writes them.
fn shown(array: &ArrayRef, row: usize) -> Result<String> {
    let formatter = ArrayFormatter::try_new(array.as_ref(), &FormatOptions::default());
    let formatter = formatter.map_err(|error| Error::internal(format!("a value cannot be written: {error}")))?;
    formatter.value(row).try_to_string().map_err(|error| Error::internal(format!("a value cannot be written: {error}")))
}

fn double(number: f64, text: String, out: &mut String) {
    match number {
        number if number.is_nan() => out.push_str("\"NaN\""),
        f64::INFINITY => out.push_str("\"Infinity\""),
        f64::NEG_INFINITY => out.push_str("\"-Infinity\""),
        _ => out.push_str(&text),
    }
}

fn list(values: &ArrayRef, out: &mut String) -> Result<()> {
    out.push('[');
    for row in 0..values.len() {
        out.push_str(if row == 0 { "" } else { "," });
        value(values, row, out)?;
    }
    out.push(']');
    Ok(())
}

/// A map as an object; a key that is no text is written as the text of it.
fn map(array: &ArrayRef, row: usize, out: &mut String) -> Result<()> {
    let entries = array.as_map().value(row);
    let (keys, values) = (entries.column(0), entries.column(1));
    out.push('{');
    for row in 0..entries.len() {
        out.push_str(if row == 0 { "" } else { "," });
        quoted(out, &shown(keys, row)?).map_err(failed)?;
        out.push(':');
        value(values, row, out)?;
    }
    out.push('}');
    Ok(())
}
