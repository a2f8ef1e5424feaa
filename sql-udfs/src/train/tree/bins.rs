//! Feature values as small codes: the bin that each falls into.
//!
//! Bins are ordered as the values are. A value and its neighbours may share a bin only where a feature has more different
//! values than there are bins; a bin then holds about as many rows of a sample as the others, and a frequent value has one
//! of its own. A text's bin is its code.

use crate::Result;
use crate::limits::ROWS_PER_BLOCK;
use crate::train::algorithm::Context;
use crate::train::rows::Rows;

/// The code of a missing value.
pub(crate) const MISSING: u8 = u8::MAX;
/// The most bins that values can have beside [`MISSING`].
pub(crate) const BINS_MAX: usize = MISSING as usize;
/// Codes that there are, [`MISSING`] among them.
pub(crate) const CODES: usize = BINS_MAX + 1;
/// Rows from which bins are made: the first in canonical order, which is a random order.
const SAMPLE_ROWS: usize = 200_000;

/// One feature in bins.
#[derive(Debug)]
pub(crate) struct Column {
    /// The bin of each row.
    pub codes: Vec<u8>,
    /// What the bins are.
    pub bins: Bins,
}

/// What the bins of a feature hold.
#[derive(Debug, PartialEq)]
pub(crate) enum Bins {
    /// One value each.
    Values(Vec<f64>),
    /// The values up to an edge, itself included; after the last edge there is one more bin.
    Edges(Vec<f64>),
    /// One of so many codes of texts each.
    Categories(usize),
}

impl Bins {
    /// The number of bins, without the one for missing values.
    pub fn count(&self) -> usize {
        match self {
            Bins::Values(values) => values.len(),
            Bins::Edges(edges) => edges.len() + 1,
            Bins::Categories(count) => *count,
        }
    }

    /// A threshold that keeps the values up to bin `below` from those from bin `above` on.
    pub fn threshold(&self, below: u8, above: u8) -> f64 {
        match self {
            Bins::Values(values) => between(values[below as usize], values[above as usize]),
            Bins::Edges(edges) => edges[below as usize],
            Bins::Categories(_) => f64::from(below),
        }
    }

    /// A threshold at a share of the way between two bins' values, and the last bin below it.
    pub fn threshold_at(&self, lowest: u8, highest: u8, share: f64) -> (u8, f64) {
        let bounds = match self {
            Bins::Values(values) | Bins::Edges(values) => values,
            Bins::Categories(_) => return (lowest, f64::from(lowest)),
        };
        let (low, high) = (bounds[lowest as usize], bounds[usize::from(highest).min(bounds.len() - 1)]);
        let threshold = low * (1.0 - share) + high * share;
        let below = bounds.partition_point(|bound| *bound <= threshold).max(1 + usize::from(lowest)) - 1;
        let below = below.min(usize::from(highest) - 1);
        match self {
            Bins::Values(values) => (below as u8, threshold.clamp(values[below], values[below + 1].next_down())),
            _ => (below as u8, bounds[below]),
        }
    }

    /// The codes of some values.
    fn codes(&self, values: &[f64]) -> Vec<u8> {
        let edges = match self {
            Bins::Values(edges) | Bins::Edges(edges) => edges.as_slice(),
            Bins::Categories(_) => {
                return values.iter().map(|code| if code.is_nan() { MISSING } else { *code as u8 }).collect();
            }
        };
        let mut padded = [f64::INFINITY; CODES];
        padded[..edges.len()].copy_from_slice(edges);
        let last = (self.count() - 1) as u8;
        let code = |value: &f64| {
            // How many edges lie below the value, by halving: eight steps without a branch.
            let mut at = 0_u8;
            for step in [128_u8, 64, 32, 16, 8, 4, 2, 1] {
                at += step * u8::from(padded[usize::from(at + (step - 1))] < *value);
            }
            if value.is_nan() { MISSING } else { at.min(last) }
        };
        values.iter().map(code).collect()
    }
}

/// The middle between two numbers, or the lower one where the middle is not between them in floating point.
fn between(low: f64, high: f64) -> f64 {
    let middle = low / 2.0 + high / 2.0;
    if low <= middle && middle < high { middle } else { low }
}

impl Column {
    /// Puts numbers into at most `bins_max` bins, or takes codes of texts as they are.
    pub fn new(values: &[f64], categories: usize, bins_max: usize) -> Self {
        let bins = match categories {
            0 => different(values, bins_max).map_or_else(|| Bins::Edges(edges(values, bins_max)), Bins::Values),
            count => Bins::Categories(count),
        };
        Column { codes: bins.codes(values), bins }
    }

    /// Whether the codes are those of texts, which have no order.
    pub fn is_categorical(&self) -> bool {
        matches!(self.bins, Bins::Categories(_))
    }
}

/// All features in bins. Asks between columns whether to stop.
pub(crate) fn bin(rows: &Rows, bins_max: usize, context: &Context<'_>) -> Result<Vec<Column>> {
    context.watch.reserve(rows.len() * rows.features.len())?;
    context.workers.try_map(rows.features.len(), |feature| {
        context.check_cancelled()?;
        Ok(Column::new(&rows.features[feature], rows.categories[feature], bins_max))
    })
}

/// The different values in ascending order, or `None` where there are more than `max`.
fn different(column: &[f64], max: usize) -> Option<Vec<f64>> {
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
    // A column that is missing everywhere has one bin that is never used.
    if values.is_empty() {
        values.push(0.0);
    }
    Some(values)
}

/// Edges between which about equally many rows of the sample lie, and single values where they are as many.
fn edges(column: &[f64], bins: usize) -> Vec<f64> {
    let mut sample: Vec<f64> = Vec::with_capacity(SAMPLE_ROWS.min(column.len()));
    for block in column.chunks(ROWS_PER_BLOCK) {
        sample.extend(block.iter().copied().filter(|value| !value.is_nan()));
        if sample.len() >= SAMPLE_ROWS {
            sample.truncate(SAMPLE_ROWS);
            break;
        }
    }
    sample.sort_unstable_by(f64::total_cmp);
    let runs: Vec<(f64, usize)> = sample.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).collect();
    let full = sample.len() as f64 / bins as f64;
    let frequent = |rows: usize| rows as f64 >= full;
    let (mut rows_left, mut bins_left) = (sample.len(), bins);
    for (_, rows) in runs.iter().filter(|(_, rows)| frequent(*rows)) {
        rows_left -= rows;
        bins_left -= 1;
    }
    let mut edges = Vec::with_capacity(bins);
    let share = |rows_left: usize, bins_left: usize| (rows_left as f64 / bins_left.max(1) as f64).max(1.0);
    let (mut in_bin, mut enough) = (0, share(rows_left, bins_left));
    for pair in runs.windows(2) {
        let [(value, rows), (next, next_rows)] = pair else { break };
        in_bin += rows;
        if !frequent(*rows) {
            rows_left -= rows;
        }
        if frequent(*rows) || frequent(*next_rows) || in_bin as f64 >= enough {
            if edges.len() + 2 > bins {
                break;
            }
            edges.push(between(*value, *next));
            in_bin = 0;
            if !frequent(*rows) {
                bins_left = bins_left.saturating_sub(1);
                enough = share(rows_left, bins_left);
            }
        }
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_have_a_bin_each_and_are_cut_midway() {
        let column = Column::new(&[3.0, 1.0, f64::NAN, 1.0, 10.0, -0.0, 0.0], 0, 4);
        assert_eq!(column.codes, [2, 1, MISSING, 1, 3, 0, 0]);
        let bins = &column.bins;
        assert_eq!((bins.count(), bins.threshold(1, 2), bins.threshold(0, 3)), (4, 2.0, 5.0));
        assert_eq!(Column::new(&[f64::NAN; 3], 0, 255).codes, [MISSING; 3]);
    }

    #[test]
    fn many_values_share_bins_of_about_equal_size_in_order() {
        let values: Vec<f64> = (0..10_000).map(|i| f64::from(i * 7919 % 10_007)).collect();
        for bins in [2, 10, 255] {
            let column = Column::new(&values, 0, bins);
            assert_eq!(column.bins.count(), bins);
            let mut counts = vec![0; bins];
            column.codes.iter().for_each(|code| counts[*code as usize] += 1);
            let each = 10_000 / bins;
            assert!(counts.iter().all(|count| (each / 2..=each * 2).contains(count)), "{counts:?}");
            for below in 0..bins as u8 - 1 {
                let threshold = column.bins.threshold(below, below + 1);
                for (value, code) in values.iter().zip(&column.codes) {
                    assert_eq!(*value <= threshold, *code <= below);
                }
            }
        }
    }

    #[test]
    fn frequent_values_have_bins_of_their_own() {
        // Half of all rows are 0; the others are spread over the other bins.
        let values: Vec<f64> = (0..10_000).map(|i| if i % 2 == 0 { 0.0 } else { f64::from(i - 5_000) }).collect();
        let column = Column::new(&values, 0, 64);
        let zero = column.codes[0];
        assert_eq!(column.codes.iter().filter(|code| **code == zero).count(), 5_000);
        assert!((62..=64).contains(&column.bins.count()), "{}", column.bins.count());
    }

    #[test]
    fn neighbours_in_floating_point_are_still_told_apart() {
        let (low, high) = (1.0, 1.0 + f64::EPSILON);
        let column = Column::new(&[low, high, f64::MAX, f64::MIN], 0, 10);
        assert_eq!(column.bins.threshold(1, 2), low);
        assert!(column.bins.threshold(0, 3).is_finite());
    }

    #[test]
    fn texts_are_their_codes() {
        let column = Column::new(&[2.0, 0.0, f64::NAN, 1.0], 3, 2);
        assert_eq!(column.codes, [2, 0, MISSING, 1]);
        assert!(column.is_categorical() && column.bins.count() == 3);
    }

    #[test]
    fn a_cut_by_chance_lies_between_the_bins() {
        let few = Bins::Values(vec![-1.0, 0.0, 10.0, 11.0]);
        let many = Bins::Edges(vec![1.0, 2.0, 3.0]);
        for share in [0.0, 0.3, 0.5, 0.999_999] {
            let (below, threshold) = few.threshold_at(0, 2, share);
            assert!((threshold - (-1.0 + 11.0 * share)).abs() < 1e-9, "{threshold}");
            assert_eq!(below, u8::from(threshold >= 0.0));
            let (below, threshold) = many.threshold_at(1, 3, share);
            assert!((1..3).contains(&below));
            assert_eq!(threshold, f64::from(below) + 1.0);
        }
        let wide = Bins::Values(vec![f64::MIN, f64::MAX]);
        assert!(wide.threshold_at(0, 1, 0.75).1.is_finite());
    }
}
