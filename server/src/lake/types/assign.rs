//! What values that a client sends become in a table's column: the same values or an error, never other ones.
//!
//! A column of one type fits a column of another where no value can change its meaning; whether each value fits (an
//! integer that is too large) is seen when it comes. Encodings that repeat a value (dictionaries, views, run ends) are
//! taken apart in pieces, so that a small message cannot unfold into all memory. It knows nothing of tables.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RunArray};
use arrow::compute::{CastOptions, can_cast_types, cast_with_options};
use arrow::datatypes::{DataType, Field, Int16Type, Int32Type, Int64Type};
use arrow::record_batch::RecordBatch;
use arrow::util::display::FormatOptions;

use super::storage_type;
use crate::limits::{INGEST_CAST_BYTES, INGEST_CAST_ROWS};
use crate::{Error, Result};

/// Whether values of type `from` may be put into a column of type `to`, which is one that tables have.
pub fn is_assignable(from: &DataType, to: &DataType) -> bool {
    use DataType as T;
    // Half floats, views, dictionaries and the like are what their home in a table is.
    let Ok(from_home) = storage_type(from) else { return false };
    if *from == T::Null || from_home == *to {
        return can_cast_types(from, to);
    }
    let same = |from: &Field, to: &Field| is_assignable(from.data_type(), to.data_type());
    match (&from_home, to) {
        (_, to) if from.is_integer() => to.is_integer() || to.is_floating() || matches!(to, T::Decimal128(..)),
        (T::Float32, T::Float64) | (T::Date32, T::Timestamp(..)) => true,
        (T::Decimal128(_, from), T::Decimal128(_, to)) => from <= to,
        (T::List(from), T::List(to)) => same(from, to),
        (T::Map(from, _), T::Map(to, _)) => same(from, to),
        (T::Struct(from), T::Struct(to)) => {
            from.len() == to.len() && from.iter().zip(to).all(|(from, to)| from.name() == to.name() && same(from, to))
        }
        _ => false,
    }
}

/// The values of a column in another type; an error where one does not fit, never a NULL.
pub fn assign(column: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    if column.data_type() == to {
        return Ok(Arc::clone(column));
    }
    let options = CastOptions { safe: false, format_options: FormatOptions::default() };
    // Arrow casts an encoding to its own values, and those to anything else.
    let home = storage_type(column.data_type())?;
    let decoded = match home == *to || column.data_type().is_null() {
        true => Arc::clone(column),
        false => cast_with_options(column, &home, &options).map_err(misfit)?,
    };
    cast_with_options(&decoded, to, &options).map_err(misfit)
}

fn misfit(error: arrow::error::ArrowError) -> Error {
    Error::input(error.to_string())
}

/// A batch in pieces that take a bounded number of bytes, whatever encodings their columns have.
pub fn pieces(batch: &RecordBatch) -> impl Iterator<Item = RecordBatch> {
    let widest: usize = batch.columns().iter().filter(|column| repeats(column.data_type())).map(longest).sum();
    let rows = (INGEST_CAST_BYTES / widest.max(1)).clamp(1, INGEST_CAST_ROWS);
    let starts = (0..batch.num_rows()).step_by(rows);
    starts.map(move |start| batch.slice(start, rows.min(batch.num_rows() - start)))
}

/// Whether an encoding inside of the type can show one stored value in many rows.
fn repeats(data_type: &DataType) -> bool {
    use DataType as T;
    match data_type {
        T::Dictionary(..) | T::RunEndEncoded(..) | T::Utf8View | T::BinaryView => true,
        T::ListView(_) | T::LargeListView(_) => true,
        T::List(item) | T::LargeList(item) | T::FixedSizeList(item, _) | T::Map(item, _) => repeats(item.data_type()),
        T::Struct(fields) => fields.iter().any(|field| repeats(field.data_type())),
        _ => false,
    }
}

/// At least the bytes that any one row of the column takes once it is decoded.
fn longest(column: &ArrayRef) -> usize {
    use DataType as T;
    fn spans<O: Copy + TryInto<usize>>(offsets: &[O]) -> usize {
        let at = |offset: O| offset.try_into().unwrap_or(0);
        offsets.windows(2).map(|pair| at(pair[1]).saturating_sub(at(pair[0]))).max().unwrap_or(0)
    }
    fn sizes<O: Copy + TryInto<usize>>(sizes: &[O]) -> usize {
        sizes.iter().map(|size| (*size).try_into().unwrap_or(0)).max().unwrap_or(0)
    }
    let times = |rows: usize, values: &ArrayRef| rows.saturating_mul(longest(values).max(1));
    match column.data_type() {
        T::Utf8 => spans(column.as_string::<i32>().offsets()),
        T::LargeUtf8 => spans(column.as_string::<i64>().offsets()),
        T::Binary => spans(column.as_binary::<i32>().offsets()),
        T::LargeBinary => spans(column.as_binary::<i64>().offsets()),
        T::Utf8View => column.as_string_view().lengths().max().unwrap_or(0) as usize,
        T::BinaryView => column.as_binary_view().lengths().max().unwrap_or(0) as usize,
        T::Dictionary(..) => longest(column.as_any_dictionary().values()),
        T::RunEndEncoded(..) => run_values(column).map_or(INGEST_CAST_BYTES, longest),
        T::List(_) => times(spans(column.as_list::<i32>().offsets()), column.as_list::<i32>().values()),
        T::LargeList(_) => times(spans(column.as_list::<i64>().offsets()), column.as_list::<i64>().values()),
        T::ListView(_) => times(sizes(column.as_list_view::<i32>().sizes()), column.as_list_view::<i32>().values()),
        T::LargeListView(_) => {
            times(sizes(column.as_list_view::<i64>().sizes()), column.as_list_view::<i64>().values())
        }
        T::FixedSizeList(_, size) => times(usize::try_from(*size).unwrap_or(0), column.as_fixed_size_list().values()),
        T::Map(..) => {
            let map = column.as_map();
            let entry: usize = map.entries().columns().iter().map(|part| longest(part).max(1)).sum();
            spans(map.offsets()).saturating_mul(entry)
        }
        T::Struct(_) => column.as_struct().columns().iter().map(longest).sum(),
        T::FixedSizeBinary(bytes) => usize::try_from(*bytes).unwrap_or(0),
        _ => 32,
    }
}

fn run_values(column: &ArrayRef) -> Option<&ArrayRef> {
    let any = column.as_any();
    let sixteen = || any.downcast_ref::<RunArray<Int16Type>>().map(RunArray::values);
    let thirty_two = || any.downcast_ref::<RunArray<Int32Type>>().map(RunArray::values);
    let sixty_four = || any.downcast_ref::<RunArray<Int64Type>>().map(RunArray::values);
    sixteen().or_else(thirty_two).or_else(sixty_four)
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        Decimal64Array, DictionaryArray, Float16Array, Int64Array, LargeStringArray, NullArray, StringArray,
        StringViewArray, Time64MicrosecondArray, TimestampSecondArray, UInt64Array,
    };
    use arrow::datatypes::{
        ArrowPrimitiveType, Decimal128Type, Float16Type, Float32Type, Int8Type, TimeUnit, TimestampMicrosecondType,
    };

    use super::*;

    type Half = <Float16Type as ArrowPrimitiveType>::Native;

    fn stored(column: impl Array + 'static) -> ArrayRef {
        let column: ArrayRef = Arc::new(column);
        let home = storage_type(column.data_type()).unwrap();
        assert!(is_assignable(column.data_type(), &home), "{}", column.data_type());
        assign(&column, &home).unwrap()
    }

    #[test]
    fn encodings_arrive_as_their_values() {
        let words = StringArray::from(vec![Some("a"), None, Some("a")]);
        let dictionary: DictionaryArray<Int8Type> = vec![Some("a"), None, Some("a")].into_iter().collect();
        let runs: RunArray<Int32Type> = vec![Some("a"), None, Some("a")].into_iter().collect();
        for column in [
            stored(dictionary),
            stored(runs),
            stored(StringViewArray::from(vec![Some("a"), None, Some("a")])),
            stored(LargeStringArray::from(vec![Some("a"), None, Some("a")])),
        ] {
            assert_eq!(column.as_string::<i32>(), &words);
        }
        assert_eq!(stored(NullArray::new(2)).null_count(), 2);
        let half = stored(Float16Array::from(vec![Half::from_f32(1.5)]));
        assert_eq!(half.as_primitive::<Float32Type>().values(), &[1.5]);
        let large = stored(UInt64Array::from(vec![u64::MAX]));
        assert_eq!(large.as_primitive::<Decimal128Type>().value(0), i128::from(u64::MAX));
        let narrow = stored(Decimal64Array::from(vec![1234]).with_precision_and_scale(9, 2).unwrap());
        assert_eq!(narrow.as_primitive::<Decimal128Type>().value(0), 1234);
        let seconds = stored(TimestampSecondArray::from(vec![2]).with_timezone("+01:00"));
        assert_eq!(seconds.as_primitive::<TimestampMicrosecondType>().values(), &[2_000_000]);
    }

    #[test]
    fn what_could_change_a_value_is_not_assignable() {
        use DataType as T;
        let zoned = T::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        for (from, to, expected) in [
            (T::UInt32, T::Int32, true),
            (T::UInt64, T::Int64, true),
            (T::Int64, T::Float64, true),
            (T::Int64, T::Decimal128(5, 2), true),
            (T::Float32, T::Float64, true),
            (T::Float64, T::Float32, false),
            (T::Float64, T::Int64, false),
            (T::Utf8, T::Int64, false),
            (T::Int64, T::Utf8, false),
            (T::Decimal128(9, 2), T::Decimal128(5, 3), true),
            (T::Decimal128(9, 3), T::Decimal128(9, 2), false),
            (T::Timestamp(TimeUnit::Second, None), zoned.clone(), false),
            (T::Date32, zoned, true),
            (T::Null, T::Boolean, true),
            (T::new_large_list(T::Int8, true), T::new_list(T::Int64, true), true),
            (T::new_list(T::Utf8, true), T::new_list(T::Int64, true), false),
            (Time64MicrosecondArray::from(vec![1]).data_type().clone(), T::Int64, false),
        ] {
            assert_eq!(is_assignable(&from, &to), expected, "{from} to {to}");
        }
    }

    #[test]
    fn a_value_that_does_not_fit_is_an_error_and_no_null() {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![1, 40_000]));
        assert!(assign(&column, &DataType::Int16).is_err());
        let column: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
        assert!(assign(&column, &DataType::Int64).is_err());
    }

    #[test]
    fn a_small_message_does_not_unfold_into_all_memory() {
        let long = "x".repeat(INGEST_CAST_BYTES / 4);
        let dictionary: DictionaryArray<Int32Type> = std::iter::repeat_n(Some(long.as_str()), 1000).collect();
        let plain: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1000));
        let batch = RecordBatch::try_from_iter([("d", Arc::new(dictionary) as ArrayRef), ("n", plain)]).unwrap();
        let rows: Vec<usize> = pieces(&batch).map(|piece| piece.num_rows()).collect();
        assert_eq!((rows.len(), rows[0]), (250, 4));
        let short = batch.project(&[1]).unwrap();
        assert_eq!(pieces(&short).count(), 1);
    }
}
