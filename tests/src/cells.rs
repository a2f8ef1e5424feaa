//! How a value reads in an SQL test file: one function from an Arrow cell to text.
//!
//! | value | text |
//! |---|---|
//! | NULL of any type | `NULL` |
//! | boolean | `true`, `false` |
//! | integer | decimal digits |
//! | float | the shortest text that reads back, with a point or an exponent: `1.0`, `1e300`, `NaN`, `inf` |
//! | decimal | all digits of its scale: `12.50` |
//! | date | `2012-01-01` |
//! | timestamp without zone | `2012-01-01T00:30:00`, with a fraction only where there is one |
//! | timestamp with zone | the same in UTC with a `Z` |
//! | text | as it is; `(empty)` where it has no character |
//! | binary | lower-case hex |
//! | list, struct, map | `[a, b]`, `{name: a}` with the texts of their cells |
//!
//! The runner for DuckDB (`clients/python/duckdb_slt.py`) follows the same table.

use arrow::array::{Array, ArrayRef, AsArray, ListArray};
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use arrow::record_batch::RecordBatch;
use arrow::temporal_conversions::{
    timestamp_ms_to_datetime, timestamp_ns_to_datetime, timestamp_s_to_datetime, timestamp_us_to_datetime,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::{Context, Outcome};

/// The rows of some batches as texts.
pub fn rows(batches: &[RecordBatch]) -> Outcome<Vec<Vec<String>>> {
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            rows.push(batch.columns().iter().map(|column| cell(column, row)).collect::<Outcome<Vec<_>>>()?);
        }
    }
    Ok(rows)
}

/// The text of one cell.
pub fn cell(column: &ArrayRef, row: usize) -> Outcome<String> {
    if column.is_null(row) {
        return Ok("NULL".into());
    }
    let text = match column.data_type() {
        DataType::Float64 => float(column.as_primitive::<Float64Type>().value(row)),
        DataType::Float32 => {
            let value = column.as_primitive::<Float32Type>().value(row);
            if value.is_finite() { format!("{value:?}") } else { float(f64::from(value)) }
        }
        DataType::Utf8 => text(column.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => text(column.as_string::<i64>().value(row)),
        DataType::Utf8View => text(column.as_string_view().value(row)),
        DataType::Timestamp(unit, zone) => timestamp(column, row, *unit, zone.is_some())?,
        DataType::List(_) => list(column.as_list::<i32>(), row)?,
        DataType::Struct(fields) => {
            let columns = column.as_struct();
            let cells = fields
                .iter()
                .zip(columns.columns())
                .map(|(field, column)| cell(column, row).map(|text| format!("{}: {text}", field.name())));
            format!("{{{}}}", cells.collect::<Outcome<Vec<_>>>()?.join(", "))
        }
        _ => {
            let options = FormatOptions::default();
            ArrayFormatter::try_new(column, &options)?.value(row).try_to_string()?
        }
    };
    Ok(text)
}

/// Rust's `Debug` of a float is its shortest round-trip form; only the special values need words of our own.
fn float(value: f64) -> String {
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        if value > 0.0 { "inf".into() } else { "-inf".into() }
    } else {
        format!("{value:?}")
    }
}

fn text(value: &str) -> String {
    if value.is_empty() { "(empty)".into() } else { value.into() }
}

fn list(lists: &ListArray, row: usize) -> Outcome<String> {
    let values = lists.value(row);
    let cells: Outcome<Vec<_>> = (0..values.len()).map(|at| cell(&values, at)).collect();
    Ok(format!("[{}]", cells?.join(", ")))
}

fn timestamp(column: &ArrayRef, row: usize, unit: TimeUnit, zoned: bool) -> Outcome<String> {
    let time = match unit {
        TimeUnit::Second => timestamp_s_to_datetime(column.as_primitive::<TimestampSecondType>().value(row)),
        TimeUnit::Millisecond => timestamp_ms_to_datetime(column.as_primitive::<TimestampMillisecondType>().value(row)),
        TimeUnit::Microsecond => timestamp_us_to_datetime(column.as_primitive::<TimestampMicrosecondType>().value(row)),
        TimeUnit::Nanosecond => timestamp_ns_to_datetime(column.as_primitive::<TimestampNanosecondType>().value(row)),
    };
    let time = time.context("expected a timestamp that a calendar has")?;
    // `%.f` writes a fraction only where there is one.
    let text = time.format("%Y-%m-%dT%H:%M:%S%.f").to_string();
    Ok(if zoned { format!("{text}Z") } else { text })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BooleanArray, Decimal128Array, Float64Array, Int64Array, StringArray};
    use arrow::array::{Date32Array, TimestampMicrosecondArray, TimestampMillisecondArray};

    use super::*;

    fn texts(column: ArrayRef) -> Vec<String> {
        (0..column.len()).map(|row| cell(&column, row).unwrap()).collect()
    }

    #[test]
    fn floats_read_back() {
        let column = Float64Array::from(vec![Some(1.0), Some(0.1), Some(1e300), Some(f64::NAN), None, Some(-0.0)]);
        assert_eq!(texts(Arc::new(column)), ["1.0", "0.1", "1e300", "NaN", "NULL", "-0.0"]);
    }

    #[test]
    fn times_are_iso() {
        let us = TimestampMicrosecondArray::from(vec![1_325_376_000_000_000, 1_325_376_000_500_000]);
        assert_eq!(texts(Arc::new(us.clone())), ["2012-01-01T00:00:00", "2012-01-01T00:00:00.500"]);
        assert_eq!(texts(Arc::new(us.with_timezone("UTC")))[0], "2012-01-01T00:00:00Z");
        let ms = TimestampMillisecondArray::from(vec![0]);
        assert_eq!(texts(Arc::new(ms)), ["1970-01-01T00:00:00"]);
        assert_eq!(texts(Arc::new(Date32Array::from(vec![15_340]))), ["2012-01-01"]);
    }

    #[test]
    fn the_rest_reads_plainly() {
        assert_eq!(texts(Arc::new(StringArray::from(vec![Some(""), Some("a b"), None]))), ["(empty)", "a b", "NULL"]);
        assert_eq!(texts(Arc::new(BooleanArray::from(vec![true, false]))), ["true", "false"]);
        assert_eq!(texts(Arc::new(Int64Array::from(vec![-7]))), ["-7"]);
        let decimal = Decimal128Array::from(vec![1250]).with_precision_and_scale(10, 2).unwrap();
        assert_eq!(texts(Arc::new(decimal)), ["12.50"]);
        let list = ListArray::from_iter_primitive::<arrow::datatypes::Int64Type, _, _>(vec![Some(vec![Some(1), None])]);
        assert_eq!(texts(Arc::new(list)), ["[1, NULL]"]);
    }
}
