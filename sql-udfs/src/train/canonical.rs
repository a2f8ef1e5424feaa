//! The canonical order of rows: by a hash of their values, so that it does not depend on how the rows arrived.
//!
//! Rows with equal values have equal hashes, and it does not matter which of them comes first. The hash is fixed for
//! all time (artifacts depend on it) and the same on every processor. It is not meant to withstand an adversary.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int64Type};

use crate::Result;
use crate::model::columns::{doubles, strict_cast};
use crate::model::signature::ValueType;

/// The hash of the values of a row that were absorbed so far.
pub(super) type RowHash = u128;

/// The hash of a row without values.
pub(super) const EMPTY: RowHash = 0x243f_6a88_85a3_08d3_1319_8a2e_0370_7344;

/// An odd number without pattern: the fraction digits of pi.
const MULTIPLIER: u128 = 0xa409_3822_299f_31d0_082e_fa98_ec4e_6c89;
/// What NULL absorbs as; no double has these bits after [`canonical_bits`].
const NULL_WORD: u64 = 0xfff8_0000_0000_0001;
/// The one NaN.
const NAN_WORD: u64 = 0x7ff8_0000_0000_0000;

fn absorb(hash: RowHash, word: u64) -> RowHash {
    let mixed = (hash ^ u128::from(word)).wrapping_mul(MULTIPLIER);
    mixed ^ (mixed >> 61)
}

fn canonical_bits(value: f64) -> u64 {
    match value {
        v if v.is_nan() => NAN_WORD,
        // Negative zero equals zero.
        v => (v + 0.0).to_bits(),
    }
}

/// Adds a column's values to the hashes of its rows.
pub(super) fn absorb_column(array: &ArrayRef, hashes: &mut [RowHash]) -> Result<()> {
    match ValueType::of(array.data_type()) {
        Some(ValueType::Text) => {
            let texts = strict_cast(array, &DataType::Utf8)?;
            for (hash, text) in hashes.iter_mut().zip(texts.as_string::<i32>()) {
                *hash = absorb_text(*hash, text);
            }
        }
        // Whole numbers keep all their bits: as doubles, neighbours beyond 2^53 would be equal.
        Some(ValueType::BigInt) if array.data_type() != &DataType::UInt64 => {
            let numbers = strict_cast(array, &DataType::Int64)?;
            for (hash, number) in hashes.iter_mut().zip(numbers.as_primitive::<Int64Type>()) {
                *hash = absorb(*hash, number.map_or(NULL_WORD, |n| n as u64));
            }
        }
        _ => {
            let values = doubles(array)?;
            for (row, (hash, value)) in hashes.iter_mut().zip(values.iter()).enumerate() {
                *hash = absorb(*hash, if array.is_null(row) { NULL_WORD } else { canonical_bits(*value) });
            }
        }
    }
    Ok(())
}

fn absorb_text(hash: RowHash, text: Option<&str>) -> RowHash {
    let Some(text) = text else { return absorb(hash, NULL_WORD) };
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let hash = words.iter().fold(absorb(hash, text.len() as u64), |hash, word| absorb(hash, u64::from_le_bytes(*word)));
    absorb(hash, u64::from_le_bytes(last))
}

/// The numbers of the rows with `kept`, in canonical order.
pub(super) fn order(hashes: &[RowHash], kept: impl Fn(usize) -> bool) -> Vec<u32> {
    // Two halves and the number take 24 bytes where a u128 and the number would take 32.
    let mut rows: Vec<(u64, u64, u32)> = hashes
        .iter()
        .enumerate()
        .filter(|(row, _)| kept(*row))
        .map(|(row, hash)| ((hash >> 64) as u64, *hash as u64, row as u32))
        .collect();
    rows.sort_unstable();
    rows.into_iter().map(|(_, _, row)| row).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::*;

    use super::*;

    fn hashes(array: impl Array + 'static) -> Vec<RowHash> {
        let mut hashes = vec![EMPTY; array.len()];
        let array: ArrayRef = Arc::new(array);
        absorb_column(&array, &mut hashes).unwrap();
        hashes
    }

    #[test]
    fn equal_values_have_equal_hashes_and_others_do_not() {
        let h =
            hashes(Float64Array::from(vec![Some(0.0), Some(-0.0), Some(f64::NAN), Some(-f64::NAN), None, Some(1.0)]));
        assert_eq!(h[0], h[1]);
        assert_eq!(h[2], h[3]);
        let distinct: std::collections::HashSet<_> = h.iter().collect();
        assert_eq!(distinct.len(), 4);
        let h = hashes(StringArray::from(vec![
            Some(""),
            Some("\0"),
            None,
            Some("größe und kleine"),
            Some("größe und kleinf"),
        ]));
        let distinct: std::collections::HashSet<_> = h.iter().collect();
        assert_eq!(distinct.len(), 5);
        let h = hashes(Int64Array::from(vec![1 << 60, (1 << 60) + 1]));
        assert_ne!(h[0], h[1]);
    }

    #[test]
    fn the_order_does_not_depend_on_arrival() {
        let values: Vec<i64> = (0..1000).map(|i| i * i % 997).collect();
        let ordered = |values: Vec<i64>| {
            let order = order(&hashes(Int64Array::from(values.clone())), |row| values[row] != 4);
            order.into_iter().map(|row| values[row as usize]).collect::<Vec<_>>()
        };
        let forward = ordered(values.clone());
        assert_eq!(forward, ordered(values.into_iter().rev().collect()));
        assert!(!forward.contains(&4));
        assert!(!forward.is_sorted());
    }
}
