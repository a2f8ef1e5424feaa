//! What a tree sums up per bin, and how good that makes a cut: squared error, Gini impurity or entropy.
//!
//! A node's or a bin's statistics are a few numbers that add up over rows, so that a child's are its parent's less its
//! sibling's. Counts stay whole numbers, which 64-bit floats add exactly.

use crate::train::dense;

/// The statistics of some rows: for classes the rows of each, for numbers the rows and their sum.
#[derive(Debug)]
pub(crate) enum Statistics<'a> {
    /// Numbers, less their overall mean so that sums keep their digits.
    Numbers {
        /// As they are, for the leaves.
        target: &'a [f64],
        /// Less their mean, for the sums.
        centred: Vec<f64>,
    },
    /// Classes.
    Classes {
        /// The class of each row.
        codes: &'a [u32],
        /// The number of classes.
        count: usize,
        /// Entropy in place of Gini impurity.
        entropy: bool,
    },
}

impl<'a> Statistics<'a> {
    /// Of numbers.
    pub fn of_numbers(target: &'a [f64]) -> Self {
        let mean = dense::mean(target);
        Statistics::Numbers { target, centred: target.iter().map(|value| value - mean).collect() }
    }

    /// Numbers per bin.
    pub fn width(&self) -> usize {
        match self {
            Statistics::Numbers { .. } => 2,
            Statistics::Classes { count, .. } => *count,
        }
    }

    /// Adds a row.
    pub fn add(&self, row: u32, sums: &mut [f64]) {
        match self {
            Statistics::Numbers { centred, .. } => {
                sums[0] += 1.0;
                sums[1] += centred[row as usize];
            }
            Statistics::Classes { codes, .. } => sums[codes[row as usize] as usize] += 1.0,
        }
    }

    /// The rows in some sums.
    pub fn rows(&self, sums: &[f64]) -> f64 {
        match self {
            Statistics::Numbers { .. } => sums[0],
            Statistics::Classes { .. } => sums.iter().sum(),
        }
    }

    /// By how much parting rows into `left` and `right` lowers the impurity, times the rows.
    pub fn gain(&self, left: &[f64], right: &[f64]) -> f64 {
        let (rows_left, rows_right) = (self.rows(left), self.rows(right));
        match self {
            Statistics::Numbers { .. } => {
                let distance = left[1] / rows_left - right[1] / rows_right;
                rows_left * rows_right / (rows_left + rows_right) * distance * distance
            }
            Statistics::Classes { entropy, .. } => {
                let together = left.iter().zip(right).map(|(l, r)| l + r);
                let purity = |rows: f64, counts: &mut dyn Iterator<Item = f64>| purity(*entropy, rows, counts);
                purity(rows_left, &mut left.iter().copied()) + purity(rows_right, &mut right.iter().copied())
                    - purity(rows_left + rows_right, &mut together.into_iter())
            }
        }
    }

    /// The numbers of a leaf with these rows, and whether more cuts could not make it any purer.
    pub fn leaf(&self, rows: &[u32]) -> Leaf {
        match self {
            Statistics::Numbers { target, .. } => {
                let values: Vec<f64> = rows.iter().map(|row| target[*row as usize]).collect();
                let first = values.first().copied().unwrap_or_default();
                let pure = values.iter().all(|value| *value == first);
                Leaf { values: vec![if pure { first } else { dense::mean(&values) }], pure }
            }
            Statistics::Classes { count, .. } => {
                let mut counts = vec![0.0; *count];
                rows.iter().for_each(|row| self.add(*row, &mut counts));
                let pure = counts.iter().filter(|count| **count > 0.0).count() <= 1;
                counts.iter_mut().for_each(|count| *count /= rows.len() as f64);
                Leaf { values: counts, pure }
            }
        }
    }
}

/// A leaf, or a node before it is cut.
#[derive(Debug, PartialEq)]
pub(crate) struct Leaf {
    /// The mean, or the share of each class.
    pub values: Vec<f64>,
    /// Whether all rows have one target.
    pub pure: bool,
}

/// What grows as classes part: `Σ n²/N` for Gini, `Σ n ln(n/N)` for entropy.
fn purity(entropy: bool, rows: f64, counts: &mut dyn Iterator<Item = f64>) -> f64 {
    match entropy {
        false => counts.map(|count| count * count).sum::<f64>() / rows,
        true => counts.filter(|count| *count > 0.0).map(|count| count * libm::log(count / rows)).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gains_by_hand() {
        // Target 1, 2 | 6: the squared error falls from 14 to 0.5.
        let target = [1.0, 2.0, 6.0];
        let numbers = Statistics::of_numbers(&target);
        let sums = |rows: &[u32]| {
            let mut sums = [0.0; 2];
            rows.iter().for_each(|row| numbers.add(*row, &mut sums));
            sums
        };
        assert!((numbers.gain(&sums(&[0, 1]), &sums(&[2])) - 13.5).abs() < 1e-12);
        // 3 of a and 1 of b | 1 of b: Gini times rows falls from 12/5 to 3/2.
        let gini = Statistics::Classes { codes: &[], count: 2, entropy: false };
        assert!((gini.gain(&[3.0, 1.0], &[0.0, 1.0]) - (2.4 - 1.5)).abs() < 1e-12);
        // Entropy times rows falls from 4 ln 2 to 0.
        let entropy = Statistics::Classes { codes: &[], count: 2, entropy: true };
        assert!((entropy.gain(&[2.0, 0.0], &[0.0, 2.0]) - 4.0 * 2.0_f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn leaves_by_hand() {
        let target = [1.0, 2.0, 6.0, 6.0];
        let numbers = Statistics::of_numbers(&target);
        assert_eq!(numbers.leaf(&[0, 1, 2]), Leaf { values: vec![3.0], pure: false });
        assert_eq!(numbers.leaf(&[2, 3]), Leaf { values: vec![6.0], pure: true });
        let classes = Statistics::Classes { codes: &[0, 2, 2, 2], count: 3, entropy: false };
        assert_eq!(classes.leaf(&[0, 1, 2, 3]), Leaf { values: vec![0.25, 0.0, 0.75], pure: false });
        assert!(classes.leaf(&[1, 2]).pure);
    }
}
