//! The least and the greatest number of a column, as the table's log knows them without reading a data file.
//!
//! Bounds, not values: what the log rounds is widened, so that no row is outside. It knows nothing of who asks.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, TimeUnit, TimestampMicrosecondType, UInt64Type};
use datafusion::common::Column;
use datafusion::physical_optimizer::pruning::PruningStatistics;
use deltalake_core::kernel::EagerSnapshot;

/// By how much a time in the log may be below the greatest in a file: the log has milliseconds.
const TIME_ROUNDING_MICROS: f64 = 1000.0;

/// Bounds of a column's numbers (dates in days, times in microseconds), or `None` where a file has none in the log.
///
/// NULL and NaN are in no bounds. Times are widened by a millisecond, fractions by a rounding.
pub(super) fn of_column(snapshot: &EagerSnapshot, column: &str) -> Option<(f64, f64)> {
    let renamed = snapshot.metadata().configuration().keys().any(|key| key.starts_with("delta.columnMapping"));
    if renamed {
        return None;
    }
    let files = snapshot.log_data();
    let column = Column::from_name(column);
    let (least, greatest) = (files.min_values(&column)?, files.max_values(&column)?);
    let is_time = matches!(least.data_type(), DataType::Timestamp(_, _));
    let (least, greatest) = (numbers(&least)?, numbers(&greatest)?);
    let empty = all_null(&files, &column);
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for (file, (least, greatest)) in least.into_iter().zip(greatest).enumerate() {
        match (least, greatest) {
            (Some(least), Some(greatest)) => {
                low = low.min(least.next_down());
                high = high.max(greatest.next_up() + if is_time { TIME_ROUNDING_MICROS } else { 0.0 });
            }
            _ if empty.as_ref().is_some_and(|empty| empty.get(file) == Some(&true)) => {}
            _ => return None,
        }
    }
    Some((low, high))
}

/// For each file whether the column is NULL in all its rows.
fn all_null(files: &impl PruningStatistics, column: &Column) -> Option<Vec<bool>> {
    let (nulls, rows) = (files.null_counts(column)?, files.row_counts()?);
    let (nulls, rows) = (nulls.as_primitive_opt::<UInt64Type>()?, rows.as_primitive_opt::<UInt64Type>()?);
    Some(nulls.iter().zip(rows).map(|(nulls, rows)| nulls.is_some() && nulls == rows).collect())
}

fn numbers(array: &ArrayRef) -> Option<Vec<Option<f64>>> {
    let array = match array.data_type() {
        DataType::Date32 | DataType::Date64 => cast(&cast(array, &DataType::Date32).ok()?, &DataType::Int32).ok()?,
        DataType::Timestamp(_, _) => {
            let micros = cast(array, &DataType::Timestamp(TimeUnit::Microsecond, None)).ok()?;
            let micros = micros.as_primitive::<TimestampMicrosecondType>();
            return Some(micros.iter().map(|micros| micros.map(|micros| micros as f64)).collect());
        }
        other if other.is_numeric() => ArrayRef::clone(array),
        _ => return None,
    };
    let numbers = cast(&array, &DataType::Float64).ok()?;
    let numbers = numbers.as_primitive_opt::<Float64Type>()?;
    Some(numbers.iter().map(|number| number.filter(|number| !number.is_nan())).collect())
}
