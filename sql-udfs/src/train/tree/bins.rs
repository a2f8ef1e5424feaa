//! Feature values as small codes: the bin that each falls into.
//!
//! Bins are ordered as the values are. A value and its neighbours may share a bin only where a feature has more different
//! values than there are bins; bins then hold about equally many rows of a sample.

use crate::Result;
use crate::limits::ROWS_PER_BLOCK;
use crate::train::algorithm::Context;
use crate::train::rows::Rows;

/// The code of a missing value.
pub(crate) const MISSING: u8 = u8::MAX;
/// The most bins that values can have beside [`MISSING`].
pub(crate) const BINS_MAX: usize = MISSING as usize;
/// Rows from which bins are made: the first in canonical order, which is a random order.
const SAMPLE_ROWS: usize = 200_000;

/// One feature in bins.
#[derive(Debug)]
pub(crate) struct BinnedColumn {
    /// The bin of each row.
    pub codes: Vec<u8>,
    /// The least and the greatest training value in each bin.
    ranges: Vec<(f64, f64)>,
}

impl BinnedColumn {
    /// Puts a column into at most `bins_max` bins.
    pub fn new(column: &[f64], bins_max: usize) -> Self {
        // Each bin takes the values up to its edge; the last one takes all that are left.
        let edges = exact_edges(column, bins_max).unwrap_or_else(|| sampled_edges(column, bins_max));
        let mut ranges = vec![(f64::INFINITY, f64::NEG_INFINITY); edges.len().max(1)];
        let code = |value: &f64| {
            if value.is_nan() {
                return MISSING;
            }
            let bin = edges.partition_point(|edge| edge < value).min(ranges.len() - 1);
            let range = &mut ranges[bin];
            *range = (range.0.min(*value), range.1.max(*value));
            bin as u8
        };
        BinnedColumn { codes: column.iter().map(code).collect(), ranges }
    }

    /// The number of bins, without the one for missing values.
    pub fn bins(&self) -> usize {
        self.ranges.len()
    }

    /// A threshold that keeps the values up to bin `below` from those from bin `above` on: midway, or the lower value
    /// where the middle is not between them in floating point.
    pub fn threshold(&self, below: u8, above: u8) -> f64 {
        let (low, high) = (self.ranges[below as usize].1, self.ranges[above as usize].0);
        let middle = low / 2.0 + high / 2.0;
        if low <= middle && middle < high { middle } else { low }
    }
}

/// All features in bins. Asks between columns whether to stop.
pub(crate) fn bin(rows: &Rows, bins_max: usize, context: &Context<'_>) -> Result<Vec<BinnedColumn>> {
    context.watch.reserve(rows.len() * rows.features.len())?;
    let bin = |column: &Vec<f64>| context.check_cancelled().map(|()| BinnedColumn::new(column, bins_max));
    rows.features.iter().map(bin).collect()
}

/// The different values in ascending order, or `None` where there are more than `max`.
fn exact_edges(column: &[f64], max: usize) -> Option<Vec<f64>> {
    let mut values: Vec<f64> = Vec::with_capacity(max);
    for value in column.iter().filter(|value| !value.is_nan()) {
        let at = values.partition_point(|known| known < value);
        if values.get(at) != Some(value) {
            if values.len() == max {
                return None;
            }
            values.insert(at, *value);
        }
    }
    Some(values)
}

/// Edges between which about equally many rows of the sample lie; the last bin is open.
fn sampled_edges(column: &[f64], bins: usize) -> Vec<f64> {
    let mut sample: Vec<f64> = Vec::with_capacity(SAMPLE_ROWS.min(column.len()));
    for block in column.chunks(ROWS_PER_BLOCK) {
        sample.extend(block.iter().copied().filter(|value| !value.is_nan()));
        if sample.len() >= SAMPLE_ROWS {
            sample.truncate(SAMPLE_ROWS);
            break;
        }
    }
    sample.sort_unstable_by(f64::total_cmp);
    let position = |bin: usize| (sample.len() * bin / bins).saturating_sub(1);
    let mut edges: Vec<f64> = (1..=bins).map(|bin| sample[position(bin)]).collect();
    edges.dedup();
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_have_a_bin_each_and_are_cut_midway() {
        let column = BinnedColumn::new(&[3.0, 1.0, f64::NAN, 1.0, 10.0, -0.0, 0.0], 4);
        assert_eq!(column.codes, [2, 1, MISSING, 1, 3, 0, 0]);
        assert_eq!((column.bins(), column.threshold(1, 2), column.threshold(0, 3)), (4, 2.0, 5.0));
    }

    #[test]
    fn many_values_share_bins_of_about_equal_size_in_order() {
        let values: Vec<f64> = (0..10_000).map(|i| f64::from(i * 7919 % 10_007)).collect();
        let column = BinnedColumn::new(&values, 10);
        let mut counts = [0; 10];
        column.codes.iter().for_each(|code| counts[*code as usize] += 1);
        assert!(counts.iter().all(|count| (950..1050).contains(count)), "{counts:?}");
        for below in 0..9 {
            let threshold = column.threshold(below, below + 1);
            for (value, code) in values.iter().zip(&column.codes) {
                assert_eq!(*value <= threshold, *code <= below);
            }
        }
    }

    #[test]
    fn neighbours_in_floating_point_are_still_told_apart() {
        let (low, high) = (1.0, 1.0 + f64::EPSILON);
        let column = BinnedColumn::new(&[low, high, f64::MAX, f64::MIN], 10);
        assert_eq!(column.threshold(1, 2), low);
        assert!(column.threshold(0, 3).is_finite());
    }
}
