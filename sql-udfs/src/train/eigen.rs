//! Eigenvalues and eigenvectors of symmetric matrices of a thousand rows and more.
//!
//! Householder reflections to a tridiagonal matrix, then the implicit QL method (Golub & Van Loan, Matrix Computations,
//! 8.3). Rotations are noted first and then applied to columns apart from one another, so that the vectors can be found in
//! parallel and in the cache. `dense` has the Jacobi method, which is better for a few rows. It knows nothing of data.

use super::algorithm::Context;
use super::dense::{self, Symmetric};
use crate::Result;

/// Steps for one eigenvalue; the method converges cubically, and needs about two.
const STEPS_MAX: usize = 60;
/// Columns that one piece of work takes: with a thousand rows they stay in the second-level cache.
const COLUMNS_PER_PIECE: usize = 32;

/// Eigenvalues in descending order, each with its vector of length one.
#[derive(Debug)]
pub(super) struct Eigen {
    pub values: Vec<f64>,
    pub vectors: Vec<Vec<f64>>,
}

/// A reflection `I - factor · v · vᵀ`; `v` begins at some row and is 0 before it.
struct Reflection {
    from: usize,
    factor: f64,
    vector: Vec<f64>,
}

/// A rotation of the rows `row` and `row + 1`.
struct Rotation {
    row: usize,
    cos: f64,
    sin: f64,
}

impl Eigen {
    /// All of a matrix's eigenvalues and eigenvectors.
    pub fn new(matrix: &Symmetric, context: &Context<'_>) -> Result<Self> {
        let size = matrix.size();
        context.watch.reserve(4 * size * size * size_of::<f64>())?;
        let (mut diagonal, mut beside, reflections) = tridiagonal(matrix, context)?;
        let rotations = rotations(&mut diagonal, &mut beside, context)?;
        let pieces = size.div_ceil(COLUMNS_PER_PIECE);
        let columns = |piece: usize| piece * COLUMNS_PER_PIECE..size.min((piece + 1) * COLUMNS_PER_PIECE);
        let work = |piece| {
            context.check_cancelled()?;
            Ok(transform(size, columns(piece), &reflections, &rotations))
        };
        let pieces = context.workers.try_map(pieces, work)?;
        let mut order: Vec<usize> = (0..size).collect();
        order.sort_by(|a, b| diagonal[*b].total_cmp(&diagonal[*a]));
        let vector = |row: &usize| pieces.iter().flat_map(|piece| piece[*row].iter().copied()).collect();
        Ok(Eigen { values: order.iter().map(|i| diagonal[*i]).collect(), vectors: order.iter().map(vector).collect() })
    }
}

/// The diagonal, what is beside it, and the reflections that made all else zero.
fn tridiagonal(matrix: &Symmetric, context: &Context<'_>) -> Result<(Vec<f64>, Vec<f64>, Vec<Reflection>)> {
    let size = matrix.size();
    let mut a: Vec<Vec<f64>> = (0..size).map(|i| (0..size).map(|j| matrix.at(i, j)).collect()).collect();
    let (mut beside, mut reflections) = (Vec::with_capacity(size), Vec::new());
    for step in 0..size.saturating_sub(1) {
        context.check_cancelled()?;
        let from = step + 1;
        let mut vector = a[step][from..].to_vec();
        let greatest = vector[1..].iter().fold(0.0, |greatest: f64, v| greatest.max(v.abs()));
        if greatest == 0.0 {
            beside.push(vector[0]);
            continue;
        }
        // Scaled, so that no square leaves the range of numbers.
        let scale = greatest.max(vector[0].abs());
        vector.iter_mut().for_each(|v| *v /= scale);
        let length = dense::dot(&vector, &vector).sqrt();
        let signed = if vector[0] > 0.0 { -length } else { length };
        vector[0] -= signed;
        let factor = 2.0 / dense::dot(&vector, &vector);
        beside.push(signed * scale);
        let mut product: Vec<f64> = a[from..].iter().map(|row| factor * dense::dot(&row[from..], &vector)).collect();
        let half = factor / 2.0 * dense::dot(&product, &vector);
        product.iter_mut().zip(&vector).for_each(|(p, v)| *p -= half * v);
        for (i, row) in a[from..].iter_mut().enumerate() {
            let (v_i, p_i) = (vector[i], product[i]);
            for ((value, v), p) in row[from..].iter_mut().zip(&vector).zip(&product) {
                *value -= v_i * p + p_i * v;
            }
        }
        reflections.push(Reflection { from, factor, vector });
    }
    beside.push(0.0);
    Ok(((0..size).map(|i| a[i][i]).collect(), beside, reflections))
}

/// Makes the tridiagonal matrix diagonal; gives the rotations that did.
fn rotations(diagonal: &mut [f64], beside: &mut [f64], context: &Context<'_>) -> Result<Vec<Rotation>> {
    let mut rotations = Vec::new();
    let size = diagonal.len();
    for first in 0..size {
        context.check_cancelled()?;
        for _ in 0..STEPS_MAX {
            let negligible = |i: usize| beside[i].abs() <= f64::EPSILON * (diagonal[i].abs() + diagonal[i + 1].abs());
            let last = (first..size - 1).find(|i| negligible(*i)).unwrap_or(size - 1);
            if last == first {
                break;
            }
            step(diagonal, beside, first, last, &mut rotations);
        }
    }
    Ok(rotations)
}

/// One step of the implicit QL method on the rows from `first` to `last`.
fn step(diagonal: &mut [f64], beside: &mut [f64], first: usize, last: usize, rotations: &mut Vec<Rotation>) {
    let g = (diagonal[first + 1] - diagonal[first]) / (2.0 * beside[first]);
    let root = libm::hypot(g, 1.0);
    let mut g = diagonal[last] - diagonal[first] + beside[first] / (g + if g >= 0.0 { root } else { -root });
    let (mut sin, mut cos, mut shift) = (1.0, 1.0, 0.0);
    for row in (first..last).rev() {
        let f = sin * beside[row];
        let b = cos * beside[row];
        let r = libm::hypot(f, g);
        beside[row + 1] = r;
        if r == 0.0 {
            // The matrix falls apart here: what is done so far stands, and the next step begins anew.
            diagonal[row + 1] -= shift;
            beside[last] = 0.0;
            return;
        }
        (sin, cos) = (f / r, g / r);
        g = diagonal[row + 1] - shift;
        let r = (diagonal[row] - g) * sin + 2.0 * cos * b;
        shift = sin * r;
        diagonal[row + 1] = g + shift;
        g = cos * r - b;
        rotations.push(Rotation { row, cos, sin });
    }
    diagonal[first] -= shift;
    beside[first] = g;
    beside[last] = 0.0;
}

/// Some columns of the matrix whose rows are the eigenvectors.
fn transform(
    size: usize,
    columns: std::ops::Range<usize>,
    reflections: &[Reflection],
    rotations: &[Rotation],
) -> Vec<Vec<f64>> {
    let width = columns.len();
    let unit = |row: usize| (0..width).map(|i| f64::from(columns.start + i == row)).collect();
    let mut rows: Vec<Vec<f64>> = (0..size).map(unit).collect();
    let mut sums = vec![0.0; width];
    for Reflection { from, factor, vector } in reflections {
        sums.fill(0.0);
        for (row, v) in rows[*from..].iter().zip(vector) {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += v * value);
        }
        for (row, v) in rows[*from..].iter_mut().zip(vector) {
            let share = factor * v;
            row.iter_mut().zip(&sums).for_each(|(value, sum)| *value -= share * sum);
        }
    }
    for Rotation { row, cos, sin } in rotations {
        let (before, after) = rows.split_at_mut(row + 1);
        for (upper, lower) in before[*row].iter_mut().zip(&mut after[0]) {
            (*upper, *lower) = (cos * *upper - sin * *lower, sin * *upper + cos * *lower);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::testing::with_context;

    fn eigen(rows: &[Vec<f64>]) -> (Symmetric, Eigen) {
        let mut matrix = Symmetric::zeros(rows.len());
        for (i, row) in rows.iter().enumerate() {
            row[..=i].iter().enumerate().for_each(|(j, value)| matrix.add(i, j, *value));
        }
        let eigen = with_context(|context| Eigen::new(&matrix, context).unwrap());
        (matrix, eigen)
    }

    /// Vectors of length one, at right angles, that the matrix multiplies by their values.
    fn check(matrix: &Symmetric, eigen: &Eigen, tolerance: f64) {
        let size = matrix.size();
        assert!(eigen.values.is_sorted_by(|a, b| a >= b));
        for (i, (value, vector)) in eigen.values.iter().zip(&eigen.vectors).enumerate() {
            for row in 0..size {
                let product: f64 = (0..size).map(|column| matrix.at(row, column) * vector[column]).sum();
                assert!((product - value * vector[row]).abs() <= tolerance, "{product} {}", value * vector[row]);
            }
            for (j, other) in eigen.vectors.iter().enumerate() {
                assert!((dense::dot(vector, other) - f64::from(i == j)).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn eigenvalues_of_known_matrices() {
        // 2 on the diagonal, 1 beside it: 2 + 2 cos(kπ / (n + 1)).
        let size = 75;
        let beside = |i: usize, j: usize| if i == j { 2.0 } else { f64::from(i.abs_diff(j) == 1) };
        let rows: Vec<Vec<f64>> = (0..size).map(|i| (0..size).map(|j| beside(i, j)).collect()).collect();
        let (matrix, found) = eigen(&rows);
        check(&matrix, &found, 1e-12);
        for (k, value) in found.values.iter().enumerate() {
            let angle = (k + 1) as f64 * std::f64::consts::PI / (size + 1) as f64;
            assert!((value - 2.0 - 2.0 * angle.cos()).abs() < 1e-12, "{k}: {value}");
        }
        assert_eq!(eigen(&[vec![7.0]]).1.values, [7.0]);
        assert_eq!(eigen(&[vec![7.0]]).1.vectors, [[1.0]]);
    }

    #[test]
    fn full_singular_and_repeated_matrices() {
        let full = |i: usize, j: usize| ((i * 7 + j * 7 + i * j) % 11) as f64 - 5.0 + f64::from(i == j) * 3.0;
        let ones = |_: usize, _: usize| 1.0;
        let unit = |i: usize, j: usize| f64::from(i == j) * 4.0;
        let zero = |_: usize, _: usize| 0.0;
        let graded = |i: usize, j: usize| 1.0 / (1.0 + (i + j) as f64).powi(3) * 1e150;
        for (entry, tolerance) in [
            (&full as &dyn Fn(usize, usize) -> f64, 1e-10),
            (&ones, 1e-12),
            (&unit, 0.0),
            (&zero, 0.0),
            (&graded, 1e137),
        ] {
            let rows: Vec<Vec<f64>> = (0..40).map(|i| (0..40).map(|j| entry(i, j)).collect()).collect();
            let (matrix, found) = eigen(&rows);
            check(&matrix, &found, tolerance);
        }
    }

    #[test]
    fn both_methods_agree() {
        let entry = |i: usize, j: usize| 1.0 / (1 + i + j) as f64;
        let rows: Vec<Vec<f64>> = (0..8).map(|i| (0..8).map(|j| entry(i, j)).collect()).collect();
        let (matrix, found) = eigen(&rows);
        let right = vec![1.0; 8];
        let solved = dense::Cholesky::new(&matrix).map(|c| c.solve(&right));
        let own: f64 =
            found.vectors.iter().zip(&found.values).map(|(v, value)| dense::dot(v, &right).powi(2) / value).sum();
        // Σ x for the Hilbert matrix and ones is n².
        assert!((own - 64.0).abs() < 1e-3, "{own} {solved:?}");
    }
}
