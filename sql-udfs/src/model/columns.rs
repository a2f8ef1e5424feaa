//! Arrow columns as 64-bit floats, NaN for what is missing: the one form in which algorithms and evaluators see numbers.
//!
//! Training and scoring convert here and nowhere else, so that they cannot differ. It knows nothing of models.

use std::borrow::Cow;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};

use super::signature::ValueType;
use crate::{Error, Result};

/// The values as 64-bit floats: booleans as 0 and 1, dates as days, timestamps as microseconds, NULL as NaN.
///
/// A `Float64` column without NULL is lent, not copied. Fails for types that are no number, boolean, date or timestamp.
pub(crate) fn doubles(array: &ArrayRef) -> Result<Cow<'_, [f64]>> {
    match array.data_type() {
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>();
            match array.null_count() {
                0 => Ok(Cow::Borrowed(values.values().as_ref())),
                _ => Ok(Cow::Owned(primitives::<Float64Type>(array, |v| v))),
            }
        }
        DataType::Boolean => {
            let values = array.as_boolean();
            Ok(Cow::Owned(values.iter().map(|v| v.map_or(f64::NAN, |v| if v { 1.0 } else { 0.0 })).collect()))
        }
        DataType::Int64 => Ok(Cow::Owned(primitives::<Int64Type>(array, |v| v as f64))),
        DataType::Date32 => Ok(Cow::Owned(primitives::<Date32Type>(array, f64::from))),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Ok(Cow::Owned(primitives::<TimestampMicrosecondType>(array, |v| v as f64)))
        }
        other => {
            let to = match ValueType::of(other) {
                Some(ValueType::Double | ValueType::BigInt) => DataType::Float64,
                Some(kind @ (ValueType::Date | ValueType::Timestamp)) => kind.arrow(),
                _ => return Err(Error::internal(format!("expected a column of numbers, found {other}"))),
            };
            Ok(Cow::Owned(doubles(&strict_cast(array, &to)?)?.into_owned()))
        }
    }
}

/// The values in another type; a value that does not fit is an error, not NULL.
pub(crate) fn strict_cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    if array.data_type() == to {
        return Ok(array.clone());
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, to, &options).map_err(|e| Error::input(format!("cannot read a column as {to}: {e}")))
}

fn primitives<T: ArrowPrimitiveType>(array: &ArrayRef, convert: impl Fn(T::Native) -> f64) -> Vec<f64> {
    let values = array.as_primitive::<T>();
    let mut doubles: Vec<f64> = values.values().iter().map(|v| convert(*v)).collect();
    if let Some(nulls) = values.nulls() {
        let (chunks, rest) = doubles.as_chunks_mut::<64>();
        let bits = nulls.inner().bit_chunks();
        for (chunk, valid) in chunks.iter_mut().map(<[f64; 64]>::as_mut_slice).chain([rest]).zip(bits.iter_padded()) {
            forget(chunk, !valid);
        }
    }
    doubles
}

/// Puts NaN at the places of the bits that are set, which may be more than there are values.
fn forget(values: &mut [f64], bits: u64) {
    let mut left = bits;
    while left != 0 {
        if let Some(value) = values.get_mut(left.trailing_zeros() as usize) {
            *value = f64::NAN;
        }
        left &= left - 1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::*;

    use super::*;

    fn read(array: impl Array + 'static) -> Vec<String> {
        let array: ArrayRef = Arc::new(array);
        doubles(&array).unwrap().iter().map(|v| v.to_string()).collect()
    }

    #[test]
    fn every_type_of_number_becomes_a_double_and_null_becomes_nan() {
        assert_eq!(read(Int32Array::from(vec![Some(-3), None])), ["-3", "NaN"]);
        assert_eq!(read(UInt64Array::from(vec![u64::MAX])), ["18446744073709552000"]);
        assert_eq!(read(Float32Array::from(vec![0.5])), ["0.5"]);
        assert_eq!(read(BooleanArray::from(vec![Some(true), Some(false), None])), ["1", "0", "NaN"]);
        assert_eq!(read(Date32Array::from(vec![Some(1), None])), ["1", "NaN"]);
        assert_eq!(read(TimestampSecondArray::from(vec![2]).with_timezone("+02:00")), ["2000000"]);
        let decimal = Decimal128Array::from(vec![Some(1234), None]).with_precision_and_scale(10, 2).unwrap();
        assert_eq!(read(decimal), ["12.34", "NaN"]);
    }

    #[test]
    fn a_sliced_column_keeps_its_place_and_is_lent() {
        let array: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0]).slice(1, 2));
        assert!(matches!(doubles(&array).unwrap(), Cow::Borrowed([2.0, 3.0])));
        assert_eq!(read(Int64Array::from(vec![Some(1), None, Some(3)]).slice(1, 2)), ["NaN", "3"]);
    }

    #[test]
    fn nulls_are_found_wherever_they_are() {
        for (start, length) in [(0, 200), (1, 64), (3, 127), (65, 130), (7, 1), (200, 0)] {
            let value = |i: usize| (!i.is_multiple_of(3) && i % 7 != 2).then_some(i as f64);
            let array: ArrayRef =
                Arc::new((0..200).map(value).collect::<Float64Array>().slice(start, length.min(200 - start)));
            let expected: Vec<Option<f64>> = (start..start + array.len()).map(value).collect();
            let found: Vec<Option<f64>> =
                doubles(&array).unwrap().iter().map(|v| (!v.is_nan()).then_some(*v)).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn text_is_refused() {
        let array: ArrayRef = Arc::new(StringArray::from(vec!["1"]));
        assert!(doubles(&array).is_err());
    }
}
