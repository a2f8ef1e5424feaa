//! Where the bins of a feature with many different values end.
//!
//! Bins of several values hold about equally many rows of a sample, and a frequent value has one of its own. It knows
//! nothing of codes.

use super::bins::between;
use crate::limits::ROWS_PER_BLOCK;

/// Rows from which bins are made: the first in canonical order, which is a random order.
const SAMPLE_ROWS: usize = 200_000;

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

/// Edges of at most so many bins, for which the fullest bin of several values is as empty as can be.
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
    // The smallest number of rows a bin for which the bins suffice.
    let (mut too_few, mut enough) = (0, sample.len());
    while enough - too_few > 1 {
        let middle = too_few + (enough - too_few) / 2;
        match packed(&runs, middle).len() <= bins {
            true => enough = middle,
            false => too_few = middle,
        }
    }
    let mut ends = packed(&runs, enough);
    halve(&runs, &mut ends, bins);
    let inner = ends.iter().take(ends.len().saturating_sub(1));
    inner.map(|end| between(runs[end - 1].0, runs[*end].0)).collect()
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
    fn bins_that_are_left_halve_the_fullest() {
        // Two bins of at most three rows need three; the one of a single value stays whole.
        assert_eq!(counts(&[1.0, 2.0, 3.0, 4.0, 4.0, 4.0, 5.0], 4), [2, 1, 3, 1]);
        assert_eq!(counts(&[1.0, 2.0, 2.0, 3.0, 9.0], 2), [3, 2]);
        assert_eq!(counts(&[1.0; 9], 3), [9]);
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
