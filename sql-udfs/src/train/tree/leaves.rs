//! What the leaves of a forest's trees hold: a mean, or the share of each class.

use crate::train::dense;

/// What is to be predicted, and what each row weighs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Leaves<'a> {
    /// Numbers; the leaf is their mean.
    Numbers { target: &'a [f64], weights: Option<&'a [f64]> },
    /// Classes, so many; the leaf has the share of each.
    Classes { codes: &'a [u32], count: usize, weights: Option<&'a [f64]> },
}

impl Leaves<'_> {
    /// Whether all rows have one target.
    pub fn is_pure(&self, rows: &[u32]) -> bool {
        let Some(first) = rows.first().map(|row| *row as usize) else { return true };
        match self {
            Leaves::Numbers { target, .. } => rows.iter().all(|row| target[*row as usize] == target[first]),
            Leaves::Classes { codes, .. } => rows.iter().all(|row| codes[*row as usize] == codes[first]),
        }
    }

    /// Appends the numbers of a leaf with these rows.
    pub fn values(&self, rows: &[u32], values: &mut Vec<f64>) {
        match self {
            Leaves::Numbers { target, weights } => values.push(mean(rows, target, *weights)),
            Leaves::Classes { codes, count, weights } => {
                let start = values.len();
                values.resize(start + count, 0.0);
                let shares = &mut values[start..];
                for row in rows {
                    let row = *row as usize;
                    shares[codes[row] as usize] += weights.map_or(1.0, |weights| weights[row]);
                }
                let sum: f64 = shares.iter().sum();
                shares.iter_mut().for_each(|share| *share /= sum);
            }
        }
    }
}

/// The weighted mean of some rows.
fn mean(rows: &[u32], target: &[f64], weights: Option<&[f64]>) -> f64 {
    let first = rows.first().map_or(0.0, |row| target[*row as usize]);
    if rows.iter().all(|row| target[*row as usize] == first) {
        return first;
    }
    match weights {
        None => dense::mean(&rows.iter().map(|row| target[*row as usize]).collect::<Vec<f64>>()),
        Some(weights) => {
            // Less a value among them, so that sums keep their digits.
            let (mut sum, mut weight) = (0.0, 0.0);
            for row in rows {
                let row = *row as usize;
                sum += weights[row] * (target[row] - first);
                weight += weights[row];
            }
            first + sum / weight
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(leaves: Leaves<'_>, rows: &[u32]) -> Vec<f64> {
        let mut values = Vec::new();
        leaves.values(rows, &mut values);
        values
    }

    #[test]
    fn leaves_by_hand() {
        let target = [1.0, 2.0, 6.0, 6.0];
        let plain = Leaves::Numbers { target: &target, weights: None };
        assert_eq!((values(plain, &[0, 1, 2]), plain.is_pure(&[0, 1, 2])), (vec![3.0], false));
        assert_eq!((values(plain, &[2, 3]), plain.is_pure(&[2, 3])), (vec![6.0], true));
        let weighed = Leaves::Numbers { target: &target, weights: Some(&[3.0, 1.0, 1.0, 0.0]) };
        assert_eq!(values(weighed, &[0, 1, 2, 3]), [11.0 / 5.0]);
        let classes = Leaves::Classes { codes: &[0, 2, 2, 2], count: 3, weights: None };
        assert_eq!(values(classes, &[0, 1, 2, 3]), [0.25, 0.0, 0.75]);
        assert!(classes.is_pure(&[1, 2]) && !classes.is_pure(&[0, 1]));
        let classes = Leaves::Classes { codes: &[0, 2, 2, 2], count: 3, weights: Some(&[3.0, 1.0, 0.0, 0.0]) };
        assert_eq!(values(classes, &[0, 1, 2, 3]), [0.75, 0.0, 0.25]);
    }
}
