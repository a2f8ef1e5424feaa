//! The canonical order of rows: by a hash of their values, so that it does not depend on how the rows arrived.
//!
//! Rows with equal values have equal hashes, and it does not matter which of them comes first. The hash is fixed for
//! all time (artifacts depend on it) and the same on every processor. It is not meant to withstand an adversary.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int64Type};

use super::workers::Workers;
use crate::Result;
use crate::model::columns::{doubles, strict_cast};
use crate::model::signature::ValueType;

/// The hash of the values of a row that were absorbed so far: two halves that know nothing of each other.
pub(super) type RowHash = [u64; 2];

/// The hash of a row without values.
pub(super) const EMPTY: RowHash = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344];

/// Odd numbers without pattern, one for each half: the fraction digits of pi.
const MULTIPLIERS: RowHash = [0xa409_3822_299f_31d1, 0x082e_fa98_ec4e_6c89];
/// The same for the last mixing.
const LAST_MULTIPLIERS: RowHash = [0x4528_21e6_38d0_1377, 0xbe54_66cf_34e9_0c6d];
/// What NULL absorbs as; no double has these bits after [`canonical_bits`].
const NULL_WORD: u64 = 0xfff8_0000_0000_0001;
/// The one NaN.
const NAN_WORD: u64 = 0x7ff8_0000_0000_0000;

/// The halves of a product, folded into one: all bits of the result depend on all bits of the value.
fn fold(value: u64, multiplier: u64) -> u64 {
    let product = u128::from(value) * u128::from(multiplier);
    product as u64 ^ (product >> 64) as u64
}

fn absorb(hash: RowHash, word: u64) -> RowHash {
    [fold(hash[0] ^ word, MULTIPLIERS[0]), fold(hash[1] ^ word, MULTIPLIERS[1])]
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
            match array.null_count() {
                0 => {
                    hashes.iter_mut().zip(values.iter()).for_each(|(h, value)| *h = absorb(*h, canonical_bits(*value)))
                }
                _ => {
                    for (row, (hash, value)) in hashes.iter_mut().zip(values.iter()).enumerate() {
                        *hash = absorb(*hash, if array.is_null(row) { NULL_WORD } else { canonical_bits(*value) });
                    }
                }
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

/// Mixes hashes whose rows are complete once more, so that values in sequence are in no sequence.
pub(super) fn finish(hashes: &mut [RowHash]) {
    for [left, right] in hashes {
        (*left, *right) = (fold(*left, LAST_MULTIPLIERS[0]), fold(*right, LAST_MULTIPLIERS[1]));
    }
}

/// What a row is sorted by: the first half of its hash's first half, and the row's number.
pub(super) fn key(hash: RowHash, row: u32) -> u64 {
    hash[0] >> 32 << 32 | u64::from(row)
}

/// The numbers of the rows with these keys, in canonical order.
pub(super) fn order(mut keys: Vec<u64>, hash: impl Fn(u32) -> RowHash, workers: &Workers) -> Vec<u32> {
    workers.sort(&mut keys);
    // Few different rows share 32 bits of their hashes; rows that are equal share all of them.
    for tied in keys.chunk_by_mut(|a, b| a >> 32 == b >> 32).filter(|tied| tied.len() > 1) {
        tied.sort_unstable_by_key(|key| hash(*key as u32));
    }
    keys.into_iter().map(|key| key as u32).collect()
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
        finish(&mut hashes);
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
        let ordered = |values: Vec<i64>, threads| {
            let hashes = hashes(Int64Array::from(values.clone()));
            let kept = (0..values.len()).filter(|row| values[*row] != 4);
            let keys = kept.map(|row| key(hashes[row], row as u32)).collect();
            let order = order(keys, |row| hashes[row as usize], &Workers::new(threads).unwrap());
            order.into_iter().map(|row| values[row as usize]).collect::<Vec<_>>()
        };
        let forward = ordered(values.clone(), 1);
        assert_eq!(forward, ordered(values.into_iter().rev().collect(), 2));
        assert!(!forward.contains(&4));
        assert!(!forward.is_sorted());
    }

    #[test]
    fn rows_that_share_half_a_hash_are_ordered_by_the_rest() {
        let hashes = [[7 << 32 | 2, 1], [7 << 32 | 1, 9], [3 << 32, 0], [7 << 32 | 1, 8]];
        let keys = (0..4).map(|row| key(hashes[row as usize], row)).collect();
        assert_eq!(order(keys, |row| hashes[row as usize], &Workers::new(1).unwrap()), [2, 3, 1, 0]);
    }
}
