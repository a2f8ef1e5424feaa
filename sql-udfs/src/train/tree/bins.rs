//! Feature values as small codes: the bin that each falls into.
//!
//! Bins are ordered as the values are. A value and its neighbours may share a bin only where a feature has more different
//! values than are told apart; `edges` says where such bins end. A text's bin is its code. It knows nothing of what is
//! summed up in bins.

use super::edges::{different, edges};
use crate::Result;
use crate::train::algorithm::Context;
use crate::train::rows::Rows;

/// The code of a missing value.
pub(crate) const MISSING: u16 = u16::MAX;
/// The code of a missing value where codes are bytes.
pub(crate) const MISSING_BYTE: u8 = u8::MAX;
/// The most bins that values can have beside [`MISSING_BYTE`].
pub(crate) const BINS_MAX: usize = MISSING_BYTE as usize;
/// Codes that a byte has, [`MISSING_BYTE`] among them.
pub(crate) const CODES: usize = BINS_MAX + 1;
/// The most bins of a column whose codes take two bytes.
pub(crate) const WIDE_BINS_MAX: usize = 4096;

/// How many bins a feature may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fineness {
    /// The most different values that have a bin each.
    pub values: usize,
    /// The bins of a feature that has more.
    pub bins: usize,
}

impl Fineness {
    /// So many bins in any case.
    pub fn of(bins: usize) -> Self {
        Fineness { values: bins, bins }
    }
}

/// One feature in bins. The codes of its rows are bytes where those suffice.
#[derive(Debug)]
pub(crate) struct Column {
    /// The bin of each row, or [`MISSING_BYTE`]; empty where there are more than [`BINS_MAX`].
    pub codes: Vec<u8>,
    /// The bin of each row, or [`MISSING`]; empty where there are no more than [`BINS_MAX`].
    pub wide: Vec<u16>,
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
    pub fn threshold(&self, below: u16, above: u16) -> f64 {
        match self {
            Bins::Values(values) => between(values[below as usize], values[above as usize]),
            Bins::Edges(edges) => edges[below as usize],
            Bins::Categories(_) => f64::from(below),
        }
    }

    /// A threshold at a share of the way between two bins' values, and the last bin below it.
    pub fn threshold_at(&self, lowest: u16, highest: u16, share: f64) -> (u16, f64) {
        let bounds = match self {
            Bins::Values(values) | Bins::Edges(values) => values,
            Bins::Categories(_) => return (lowest, f64::from(lowest)),
        };
        let (low, high) = (bounds[lowest as usize], bounds[usize::from(highest).min(bounds.len() - 1)]);
        let threshold = low * (1.0 - share) + high * share;
        let below = bounds.partition_point(|bound| *bound <= threshold).max(1 + usize::from(lowest)) - 1;
        let below = below.min(usize::from(highest) - 1);
        match self {
            Bins::Values(values) => (below as u16, threshold.clamp(values[below], values[below + 1].next_down())),
            _ => (below as u16, bounds[below]),
        }
    }

    /// The codes of some values in at most [`BINS_MAX`] bins.
    fn codes(&self, values: &[f64]) -> Vec<u8> {
        let edges = match self {
            Bins::Values(edges) | Bins::Edges(edges) => edges.as_slice(),
            Bins::Categories(_) => {
                return values.iter().map(|code| if code.is_nan() { MISSING_BYTE } else { *code as u8 }).collect();
            }
        };
        let mut padded = [f64::INFINITY; CODES];
        padded[..edges.len()].copy_from_slice(edges);
        let last = (self.count() - 1) as u8;
        let mut codes = vec![0; values.len()];
        for (codes, values) in codes.chunks_mut(LANES).zip(values.chunks(LANES)) {
            let mut lanes = [f64::NAN; LANES];
            lanes[..values.len()].copy_from_slice(values);
            let found = positions(&padded, &lanes);
            for ((code, at), value) in codes.iter_mut().zip(found).zip(values) {
                *code = if value.is_nan() { MISSING_BYTE } else { at.min(last) };
            }
        }
        codes
    }

    /// The codes of some values in more bins.
    fn wide_codes(&self, values: &[f64]) -> Vec<u16> {
        let (Bins::Values(edges) | Bins::Edges(edges)) = self else { return Vec::new() };
        let last = self.count() - 1;
        let code = |value: &f64| match value.is_nan() {
            true => MISSING,
            false => edges.partition_point(|edge| edge < value).min(last) as u16,
        };
        values.iter().map(code).collect()
    }
}

/// Values that are looked up side by side, so that one's loads hide behind the others'.
const LANES: usize = 8;

/// How many edges lie below each value, by halving: eight steps without a branch. The last edge is infinite.
fn positions(edges: &[f64; CODES], values: &[f64; LANES]) -> [u8; LANES] {
    let mut at = [0_u8; LANES];
    for step in [128_u8, 64, 32, 16, 8, 4, 2, 1] {
        for (at, value) in at.iter_mut().zip(values) {
            *at += step * u8::from(edges[usize::from(*at + (step - 1))] < *value);
        }
    }
    at
}

/// The middle between two numbers, or the lower one where the middle is not between them in floating point.
pub(super) fn between(low: f64, high: f64) -> f64 {
    let middle = low / 2.0 + high / 2.0;
    if low <= middle && middle < high { middle } else { low }
}

impl Column {
    /// Puts numbers into bins, or takes codes of texts as they are.
    pub fn new(values: &[f64], categories: usize, fineness: Fineness) -> Self {
        let bins = match categories {
            0 => different(values, fineness.values)
                .map_or_else(|| Bins::Edges(edges(values, fineness.bins)), Bins::Values),
            count => Bins::Categories(count),
        };
        match bins.count() <= BINS_MAX {
            true => Column { codes: bins.codes(values), wide: Vec::new(), bins },
            false => Column { codes: Vec::new(), wide: bins.wide_codes(values), bins },
        }
    }

    /// The bin of a row, or [`MISSING`].
    pub fn code(&self, row: usize) -> u16 {
        match self.codes.get(row) {
            None => self.wide[row],
            Some(&MISSING_BYTE) => MISSING,
            Some(code) => u16::from(*code),
        }
    }

    /// Whether the codes are those of texts, which have no order.
    pub fn is_categorical(&self) -> bool {
        matches!(self.bins, Bins::Categories(_))
    }
}

/// All features in bins. Asks between columns whether to stop.
pub(crate) fn bin(rows: &Rows, fineness: Fineness, context: &Context<'_>) -> Result<Vec<Column>> {
    let bytes = if fineness.values.max(fineness.bins) > BINS_MAX { size_of::<u16>() } else { 1 };
    context.watch.reserve(rows.len() * rows.features.len() * bytes)?;
    context.workers.try_map(rows.features.len(), |feature| {
        context.check_cancelled()?;
        Ok(Column::new(&rows.features[feature], rows.categories[feature], fineness))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_have_a_bin_each_and_are_cut_midway() {
        let column = Column::new(&[3.0, 1.0, f64::NAN, 1.0, 10.0, -0.0, 0.0], 0, Fineness::of(4));
        assert_eq!(column.codes, [2, 1, MISSING_BYTE, 1, 3, 0, 0]);
        let bins = &column.bins;
        assert_eq!((bins.count(), bins.threshold(1, 2), bins.threshold(0, 3)), (4, 2.0, 5.0));
        assert_eq!(Column::new(&[f64::NAN; 3], 0, Fineness::of(255)).codes, [MISSING_BYTE; 3]);
    }

    #[test]
    fn many_values_share_bins_of_about_equal_size_in_order() {
        let values: Vec<f64> = (0..10_000).map(|i| f64::from(i * 7919 % 10_007)).collect();
        for bins in [2, 10, 255] {
            let column = Column::new(&values, 0, Fineness::of(bins));
            assert_eq!(column.bins.count(), bins);
            let mut counts = vec![0; bins];
            column.codes.iter().for_each(|code| counts[*code as usize] += 1);
            let each = 10_000 / bins;
            assert!(counts.iter().all(|count| (each / 2..=each * 2).contains(count)), "{counts:?}");
            for below in 0..bins as u16 - 1 {
                let threshold = column.bins.threshold(below, below + 1);
                for (value, code) in values.iter().zip(&column.codes) {
                    assert_eq!(*value <= threshold, u16::from(*code) <= below);
                }
            }
        }
    }

    #[test]
    fn frequent_values_have_bins_of_their_own() {
        // Half of all rows are 0; the others are spread over the other bins.
        let values: Vec<f64> = (0..10_000).map(|i| if i % 2 == 0 { 0.0 } else { f64::from(i - 5_000) }).collect();
        let column = Column::new(&values, 0, Fineness::of(64));
        let zero = column.codes[0];
        assert_eq!(column.codes.iter().filter(|code| **code == zero).count(), 5_000);
        assert!((62..=64).contains(&column.bins.count()), "{}", column.bins.count());
    }

    #[test]
    fn neighbours_in_floating_point_are_still_told_apart() {
        let (low, high) = (1.0, 1.0 + f64::EPSILON);
        let column = Column::new(&[low, high, f64::MAX, f64::MIN], 0, Fineness::of(10));
        assert_eq!(column.bins.threshold(1, 2), low);
        assert!(column.bins.threshold(0, 3).is_finite());
    }

    #[test]
    fn texts_are_their_codes() {
        let column = Column::new(&[2.0, 0.0, f64::NAN, 1.0], 3, Fineness::of(2));
        assert_eq!(column.codes, [2, 0, MISSING_BYTE, 1]);
        assert!(column.is_categorical() && column.bins.count() == 3);
    }

    #[test]
    fn a_cut_by_chance_lies_between_the_bins() {
        let few = Bins::Values(vec![-1.0, 0.0, 10.0, 11.0]);
        let many = Bins::Edges(vec![1.0, 2.0, 3.0]);
        for share in [0.0, 0.3, 0.5, 0.999_999] {
            let (below, threshold) = few.threshold_at(0, 2, share);
            assert!((threshold - (-1.0 + 11.0 * share)).abs() < 1e-9, "{threshold}");
            assert_eq!(below, u16::from(threshold >= 0.0));
            let (below, threshold) = many.threshold_at(1, 3, share);
            assert!((1..3).contains(&below));
            assert_eq!(threshold, f64::from(below) + 1.0);
        }
        let wide = Bins::Values(vec![f64::MIN, f64::MAX]);
        assert!(wide.threshold_at(0, 1, 0.75).1.is_finite());
    }

    #[test]
    fn more_values_than_a_byte_has_are_told_apart_by_two() {
        let values: Vec<f64> = (0..3000).map(|i| if i == 7 { f64::NAN } else { f64::from(i * 7 % 1000) }).collect();
        let exact = Fineness { values: 1000, bins: 255 };
        let column = Column::new(&values, 0, exact);
        assert_eq!((column.bins.count(), column.codes.len(), column.wide.len()), (1000, 0, 3000));
        for (row, value) in values.iter().enumerate() {
            let expected = if value.is_nan() { MISSING } else { *value as u16 };
            assert_eq!(column.code(row), expected);
        }
        assert_eq!(column.bins.threshold(299, 300), 299.5);
        // One value more than are told apart.
        let column = Column::new(&values, 0, Fineness { values: 999, ..exact });
        assert_eq!((column.bins.count(), column.codes.len(), column.wide.len()), (255, 3000, 0));
        assert_eq!((column.code(7), column.code(0)), (MISSING, 0));
        let column = Column::new(&values, 0, Fineness::of(500));
        assert_eq!((column.bins.count(), column.codes.len(), column.wide.len()), (500, 0, 3000));
        assert_eq!((column.code(7), column.code(0), column.code(857)), (MISSING, 0, 499));
    }
}
