//! Where the bins of a feature with many different values end.
//!
//! Bins of several values hold about equally many rows of a sample, and a frequent value has one of its own. Where some
//! are frequent and not many more than bins, neighbours are joined as by Ward (1963), which keeps rare values between frequent
//! ones, and at the ends, apart. It knows nothing of codes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::bins::between;
use crate::limits::ROWS_PER_BLOCK;

/// Rows from which bins are made: the first in canonical order, which is a random order.
const SAMPLE_ROWS: usize = 200_000;
/// Values to a bin up to which neighbours are joined where some are frequent; others are packed, which is faster.
const JOINED_VALUES_PER_BIN_MAX: usize = 4;

/// The different values in ascending order, or `None` where there are more than `max`.
pub(super) fn different(column: &[f64], max: usize) -> Option<Vec<f64>> {
    // The first values are sorted at once, so that few are left to be inserted, and a column of many is found soon.
    let (first, others) = column.split_at(column.len().min(4 * max));
    let mut values: Vec<f64> = first.iter().copied().filter(|value| !value.is_nan()).collect();
    values.sort_unstable_by(f64::total_cmp);
    values.dedup();
    if values.len() > max {
        return None;
    }
    for value in others.iter().filter(|value| !value.is_nan()) {
        let at = values.partition_point(|known| known < value);
        if values.get(at) != Some(value) {
            if values.len() == max {
                return None;
            }
            values.insert(at, *value);
        }
    }
    // A column that is missing everywhere has one bin that is never used.
    if values.is_empty() {
        values.push(0.0);
    }
    Some(values)
}

/// Edges of at most so many bins.
pub(super) fn edges(column: &[f64], bins: usize) -> Vec<f64> {
    let mut sample: Vec<f64> = Vec::with_capacity(SAMPLE_ROWS.min(column.len()));
    for block in column.chunks(ROWS_PER_BLOCK) {
        sample.extend(block.iter().copied().filter(|value| !value.is_nan()));
        if sample.len() >= SAMPLE_ROWS {
            sample.truncate(SAMPLE_ROWS);
            break;
        }
    }
    sample.sort_unstable_by(f64::total_cmp);
    let runs: Vec<Run> = sample.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).collect();
    let frequent = runs.iter().any(|(_, rows)| rows * bins >= sample.len());
    let ends = match frequent && runs.len() <= JOINED_VALUES_PER_BIN_MAX * bins {
        true => joined(&runs, bins),
        false => even(&runs, bins),
    };
    let inner = ends.iter().take(ends.len().saturating_sub(1));
    inner.map(|end| between(runs[end - 1].0, runs[*end].0)).collect()
}

/// The ends of bins that are left when neighbours are joined until there are so many: those first that lose the least of
/// the sum of squares of a target whose means differ equally from neighbour to neighbour, `a b / (a + b)` for `a` and `b`
/// rows; of equals, the first.
fn joined(runs: &[Run], bins: usize) -> Vec<usize> {
    // A bin is known by its first value: its rows, none where it was joined to the one before; its end; where the bin
    // before it starts.
    let mut rows: Vec<usize> = runs.iter().map(|(_, rows)| *rows).collect();
    let mut ends: Vec<usize> = (1..=runs.len()).collect();
    let mut before: Vec<Option<usize>> = (0..runs.len()).map(|at| at.checked_sub(1)).collect();
    // Losses are not negative, so that their bits are in their order.
    let loss = |a: usize, b: usize| (a as f64 * b as f64 / (a + b) as f64).to_bits();
    let join = |first: usize, second: usize, rows: &[usize]| {
        Reverse((loss(rows[first], rows[second]), first, second, rows[first], rows[second]))
    };
    let mut open: BinaryHeap<_> = (1..runs.len()).map(|second| join(second - 1, second, &rows)).collect();
    let mut left = runs.len();
    while left > bins {
        let Some(Reverse((_, first, second, first_rows, second_rows))) = open.pop() else { break };
        // A bin only grows, so that one with as many rows is the same bin.
        if (rows[first], rows[second]) != (first_rows, second_rows) {
            continue;
        }
        rows[first] += std::mem::take(&mut rows[second]);
        ends[first] = ends[second];
        left -= 1;
        if let Some(before) = before[first] {
            open.push(join(before, first, &rows));
        }
        let after = ends[first];
        if after < runs.len() {
            before[after] = Some(first);
            open.push(join(first, after, &rows));
        }
    }
    rows.iter().zip(ends).filter(|(rows, _)| **rows > 0).map(|(_, end)| end).collect()
}

/// The ends of bins for which the fullest one of several values is as empty as can be.
fn even(runs: &[Run], bins: usize) -> Vec<usize> {
    // The smallest number of rows a bin for which the bins suffice.
    let (mut too_few, mut enough) = (0, runs.iter().map(|(_, rows)| rows).sum());
    while enough - too_few > 1 {
        let middle = too_few + (enough - too_few) / 2;
        match packed(runs, middle).len() <= bins {
            true => enough = middle,
            false => too_few = middle,
        }
    }
    let mut ends = packed(runs, enough);
    halve(runs, &mut ends, bins);
    ends
}

/// A value and its rows.
type Run = (f64, usize);

/// The ends of bins of at most so many rows, each filled before the next one; a value that has more is a bin of its own.
fn packed(runs: &[Run], rows_max: usize) -> Vec<usize> {
    let (mut ends, mut in_bin) = (Vec::new(), 0);
    for (at, (_, rows)) in runs.iter().enumerate() {
        if in_bin > 0 && in_bin + rows > rows_max {
            ends.push(at);
            in_bin = 0;
        }
        in_bin += rows;
    }
    ends.push(runs.len());
    ends
}

/// Spends bins that are left on the fullest ones of several values.
fn halve(runs: &[Run], ends: &mut Vec<usize>, bins: usize) {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let mut several: Vec<(usize, usize, usize)> = starts
        .zip(&*ends)
        .filter(|(start, end)| **end - start > 1)
        .map(|(start, end)| (runs[start..*end].iter().map(|(_, rows)| rows).sum(), start, *end))
        .collect();
    // The fullest first; of equals, the first.
    several.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    for (rows, start, end) in several.into_iter().take(bins.saturating_sub(ends.len())) {
        let mut below = 0;
        let middle = (start + 1..end - 1).find(|at| {
            below += runs[at - 1].1;
            2 * below >= rows
        });
        ends.push(middle.unwrap_or(end - 1));
    }
    ends.sort_unstable();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of some values lie in each bin.
    fn counts(values: &[f64], bins: usize) -> Vec<usize> {
        let edges = edges(values, bins);
        let mut counts = vec![0; edges.len() + 1];
        values.iter().for_each(|value| counts[edges.partition_point(|edge| edge < value)] += 1);
        counts
    }

    #[test]
    fn rare_values_at_an_end_are_told_apart_where_others_are_frequent() {
        // 200 values of 40 rows, then 200 of one row each, in 255 bins: 55 are left for the rare ones, four values each.
        let mut values: Vec<f64> = (0..8000).map(|i| f64::from(i / 40)).collect();
        values.extend((0..200).map(|i| 1000.0 + f64::from(i)));
        let counts = counts(&values, 255);
        assert_eq!(counts.len(), 255);
        assert!(counts[..200].iter().all(|count| *count == 40), "{counts:?}");
        assert!(counts[200..].iter().all(|count| (2..=4).contains(count)), "{counts:?}");
    }

    #[test]
    fn neighbours_are_joined_where_least_is_lost() {
        // One pair must be joined: two values of one row lose a half, one of three rows and one of one row three quarters.
        assert_eq!(counts(&[1.0, 2.0, 3.0, 4.0, 4.0, 4.0, 5.0], 4), [2, 1, 3, 1]);
        // The last two first, then 1 and the 2s (3 / 4) rather than the 2s and the last two (6 / 5).
        assert_eq!(counts(&[1.0, 2.0, 2.0, 2.0, 3.0, 9.0], 2), [4, 2]);
        assert_eq!(counts(&[1.0; 9], 3), [9]);
    }

    #[test]
    fn many_values_are_packed_evenly_and_bins_that_are_left_halve_the_fullest() {
        let singles: Vec<f64> = (0..900).map(f64::from).collect();
        assert_eq!(counts(&singles, 9), [100; 9]);
        let runs: Vec<Run> = singles.iter().map(|value| (*value, 1)).take(6).collect();
        let mut ends = vec![4, 6];
        halve(&runs, &mut ends, 3);
        assert_eq!(ends, [2, 4, 6]);
        // A bin of a single value cannot be halved.
        let mut ends = vec![1, 2];
        halve(&runs[..2], &mut ends, 3);
        assert_eq!(ends, [1, 2]);
    }

    #[test]
    fn different_values_are_found_wherever_they_come() {
        let early = [3.0, f64::NAN, 1.0, 1.0, -0.0, 0.0, 3.0, 1.0, 7.0];
        assert_eq!(different(&early, 4).as_deref(), Some([0.0, 1.0, 3.0, 7.0].as_slice()));
        assert_eq!(different(&early, 3), None);
        let late: Vec<f64> = (0..100).map(|i| if i < 90 { 1.0 } else { f64::from(i) }).collect();
        assert_eq!(different(&late, 11).map(|values| values.len()), Some(11));
        assert_eq!(different(&late, 10), None);
        assert_eq!(different(&[f64::NAN], 5).as_deref(), Some([0.0].as_slice()));
    }
}
