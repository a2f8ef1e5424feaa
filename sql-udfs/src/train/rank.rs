//! Systems whose matrix is not of full rank, solved by the shortest vector.
//!
//! A Cholesky decomposition with pivoting finds columns that are independent of each other, and the others as their sums.
//! It takes time proportional to the size times the rank squared. It knows nothing of where matrices come from.

use super::dense::{Cholesky, Symmetric, dot};

/// How much of a column's own square must be left for it to count as independent of those before it.
const RANK_TOLERANCE: f64 = 1e-12;

/// A matrix of products of columns, taken apart by a choice of independent ones.
#[derive(Debug)]
pub(super) struct Dependent {
    /// The independent columns, then the others.
    order: Vec<usize>,
    rank: usize,
    /// The products of the independent columns.
    independent: Cholesky,
    /// For each other column its shares of the independent ones, in the caller's units.
    shares: Vec<Vec<f64>>,
    /// The products of the rows that take all unknowns to those of the independent columns; `None` where scales are so far
    /// apart that the others' shares cannot be told.
    mixing: Option<Cholesky>,
    scales: Vec<f64>,
}

impl Dependent {
    /// Takes a matrix apart. The length of a solution is that of its entries divided by `scales`. `None` where all is zero
    /// or nothing is finite.
    pub fn new(matrix: &Symmetric, scales: &[f64]) -> Option<Self> {
        let (order, rank) = pivots(matrix);
        if rank == 0 {
            return None;
        }
        let (chosen, others) = order.split_at(rank);
        let mut independent = Symmetric::zeros(rank);
        for (i, row) in chosen.iter().enumerate() {
            chosen[..=i].iter().enumerate().for_each(|(j, column)| independent.add(i, j, matrix.at(*row, *column)));
        }
        let independent = Cholesky::new(&independent)?;
        let mut shares = Vec::with_capacity(others.len());
        for other in others {
            let products: Vec<f64> = chosen.iter().map(|column| matrix.at(*other, *column)).collect();
            let of_chosen = independent.solve(&products);
            // In the caller's units a step of the other column is one of `scale` here.
            shares
                .push(of_chosen.iter().zip(chosen).map(|(s, c)| s * (scales[*other] / scales[*c])).collect::<Vec<_>>());
        }
        let mut mixing = Symmetric::zeros(rank);
        for i in 0..rank {
            mixing.add(i, i, 1.0);
        }
        for share in &shares {
            for i in 0..rank {
                (0..=i).for_each(|j| mixing.add(i, j, share[i] * share[j]));
            }
        }
        let mixing = Cholesky::new(&mixing);
        Some(Dependent { order, rank, independent, shares, mixing, scales: scales.to_vec() })
    }

    /// Solves `matrix · x = right` by the shortest `x / scales`, as far as it can be solved.
    pub fn solve(&self, right: &[f64]) -> Vec<f64> {
        let (chosen, others) = self.order.split_at(self.rank);
        let products: Vec<f64> = chosen.iter().map(|column| right[*column]).collect();
        let mut own = self.independent.solve(&products);
        own.iter_mut().zip(chosen).for_each(|(x, column)| *x /= self.scales[*column]);
        let mut x = vec![0.0; right.len()];
        let Some(mixing) = &self.mixing else {
            chosen.iter().zip(&own).for_each(|(column, value)| x[*column] = value * self.scales[*column]);
            return x;
        };
        // What the first round misses of the independent columns' own solution, the second makes good.
        for _ in 0..2 {
            let mixed = mixing.solve(&own);
            for ((column, value), own) in chosen.iter().zip(&mixed).zip(&mut own) {
                x[*column] += value * self.scales[*column];
                *own -= value;
            }
            for (column, share) in others.iter().zip(&self.shares) {
                let value = dot(share, &mixed);
                x[*column] += value * self.scales[*column];
                own.iter_mut().zip(share).for_each(|(own, share)| *own -= share * value);
            }
        }
        x
    }
}

/// The columns in the order of what those before leave of them, and how many are left with something.
fn pivots(matrix: &Symmetric) -> (Vec<usize>, usize) {
    let size = matrix.size();
    let mut order: Vec<usize> = (0..size).collect();
    let mut left: Vec<f64> = (0..size).map(|i| matrix.at(i, i)).collect();
    // By place in the order: what has been subtracted of each row so far.
    let mut lower: Vec<Vec<f64>> = vec![Vec::new(); size];
    for step in 0..size {
        // The share of its own square that a column keeps says how independent it is, whatever its scale.
        let share = |place: usize| left[order[place]] / matrix.at(order[place], order[place]);
        let mut best = step;
        for place in step + 1..size {
            let better = share(place) > share(best) || share(best).is_nan();
            best = if better { place } else { best };
        }
        if share(best).is_nan() || share(best) <= RANK_TOLERANCE {
            return (order, step);
        }
        order.swap(step, best);
        lower.swap(step, best);
        let pivot = order[step];
        let root = left[pivot].sqrt();
        let (done, rest) = lower.split_at_mut(step + 1);
        let of_pivot = &mut done[step];
        for (row, column) in rest.iter_mut().zip(&order[step + 1..]) {
            let value = (matrix.at(*column, pivot) - dot(row, of_pivot)) / root;
            row.push(value);
            left[*column] -= value * value;
        }
        of_pivot.push(root);
    }
    (order, size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gram(columns: &[Vec<f64>]) -> Symmetric {
        let mut gram = Symmetric::zeros(columns.len());
        for (i, left) in columns.iter().enumerate() {
            columns[..=i].iter().enumerate().for_each(|(j, right)| gram.add(i, j, dot(left, right)));
        }
        gram
    }

    #[test]
    fn equal_columns_share() {
        let found = Dependent::new(&gram(&[vec![1.0], vec![1.0]]), &[1.0, 1.0]).unwrap().solve(&[2.0, 2.0]);
        assert!(found.iter().all(|x| (x - 1.0).abs() < 1e-14), "{found:?}");
        assert!(Dependent::new(&Symmetric::zeros(2), &[1.0, 1.0]).is_none());
    }

    #[test]
    fn the_solution_is_the_shortest_in_the_callers_units() {
        // Five columns of rank two, of very different scales.
        let (a, b) = ([1.0, 2.0, -1.0, 0.5], [0.3, -1.0, 2.0, 4.0]);
        let mix = |x: f64, y: f64| -> Vec<f64> { a.iter().zip(&b).map(|(a, b)| x * a + y * b).collect() };
        let own = [mix(1.0, 0.0), mix(0.0, 1.0), mix(1.0, 1.0), mix(2.0, -3.0), mix(1e4, 5e3)];
        let scales: Vec<f64> = own.iter().map(|column| dot(column, column).sqrt()).collect();
        let unit: Vec<Vec<f64>> =
            own.iter().zip(&scales).map(|(column, s)| column.iter().map(|v| v / s).collect()).collect();
        let target = [3.0, -1.0, 4.0, 1.0];
        let right: Vec<f64> = unit.iter().map(|column| dot(column, &target)).collect();
        let weights: Vec<f64> = Dependent::new(&gram(&unit), &scales)
            .unwrap()
            .solve(&right)
            .iter()
            .zip(&scales)
            .map(|(x, scale)| x / scale)
            .collect();
        let predicted: Vec<f64> = (0..4).map(|row| (0..5).map(|c| weights[c] * own[c][row]).sum()).collect();
        for column in &own {
            let error: f64 = column.iter().zip(&target).zip(&predicted).map(|((x, t), p)| x * (t - p)).sum();
            assert!(error.abs() < 1e-11 * dot(column, column).sqrt(), "{error}");
        }
        // The shortest weights are sums of rows: orthogonal to every direction that predicts nothing.
        for direction in [[1.0, 1.0, -1.0, 0.0, 0.0], [2.0, -3.0, 0.0, -1.0, 0.0], [1e4, 5e3, 0.0, 0.0, -1.0]] {
            assert!(dot(&direction, &weights).abs() < 1e-9, "{weights:?}");
        }
    }
}
