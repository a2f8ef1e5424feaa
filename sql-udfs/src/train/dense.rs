//! Small dense linear algebra: symmetric systems of any rank, in 64-bit floats and a fixed order of operations.
//!
//! Written out here because results must not depend on the processor: optimised libraries choose their kernels by it. It
//! knows nothing of data.

/// How much of a unit diagonal must be left for a column to count as independent of those before it.
const RANK_TOLERANCE: f64 = 1e-12;
/// Sweeps of the Jacobi method; it converges quadratically, and needs about ten.
const SWEEPS_MAX: usize = 60;
/// Lanes of a sum: fixed, so that the order of additions is the same with any vector width.
const LANES: usize = 8;

/// The product of two columns, summed in fixed lanes.
pub(super) fn dot(left: &[f64], right: &[f64]) -> f64 {
    let mut lanes = [0.0; LANES];
    let (left_chunks, left_rest) = left.as_chunks::<LANES>();
    let (right_chunks, right_rest) = right.as_chunks::<LANES>();
    for (l, r) in left_chunks.iter().zip(right_chunks) {
        for lane in 0..LANES {
            lanes[lane] += l[lane] * r[lane];
        }
    }
    let rest: f64 = left_rest.iter().zip(right_rest).map(|(l, r)| l * r).sum();
    lanes.iter().sum::<f64>() + rest
}

/// The mean, in two passes so that the second takes out what the first one rounded away.
pub(super) fn mean(values: &[f64]) -> f64 {
    let count = values.len().max(1) as f64;
    let blocks = |offset: f64| values.chunks(4096).map(move |block| block.iter().map(|v| v - offset).sum::<f64>());
    let rough = blocks(0.0).sum::<f64>() / count;
    rough + blocks(rough).sum::<f64>() / count
}

/// A symmetric matrix, of which the lower half is used.
#[derive(Debug, Clone)]
pub(super) struct Symmetric {
    size: usize,
    values: Vec<f64>,
}

impl Symmetric {
    /// A matrix of zeros.
    pub fn zeros(size: usize) -> Self {
        Symmetric { size, values: vec![0.0; size * size] }
    }

    /// Rows, which are also the columns.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The entry of a row and a column, in either order.
    pub fn at(&self, row: usize, column: usize) -> f64 {
        self.values[row.max(column) * self.size + row.min(column)]
    }

    /// Adds to the entry of a row and a column, in either order.
    pub fn add(&mut self, row: usize, column: usize, value: f64) {
        self.values[row.max(column) * self.size + row.min(column)] += value;
    }

    /// Adds another matrix of the same size.
    pub fn add_all(&mut self, other: Symmetric) {
        self.values.iter_mut().zip(other.values).for_each(|(sum, value)| *sum += value);
    }

    /// The matrix times a number.
    pub fn times(mut self, factor: f64) -> Symmetric {
        self.values.iter_mut().for_each(|value| *value *= factor);
        self
    }

    /// Rows and columns of some places.
    pub fn select(&self, places: &[usize]) -> Symmetric {
        let mut selected = Symmetric::zeros(places.len());
        for (i, row) in places.iter().enumerate() {
            places[..=i].iter().enumerate().for_each(|(j, column)| selected.add(i, j, self.at(*row, *column)));
        }
        selected
    }
}

/// A matrix as a lower triangle times its mirror image.
#[derive(Debug)]
pub(super) struct Cholesky {
    size: usize,
    /// Row by row.
    lower: Vec<f64>,
    /// What the columns before leave of the most dependent one, as a share of its diagonal entry.
    least_share: f64,
}

impl Cholesky {
    /// Takes a matrix apart, or gives `None` where it is not safely of full rank.
    pub fn new(matrix: &Symmetric) -> Option<Self> {
        let size = matrix.size();
        let (mut lower, mut least_share) = (vec![0.0; size * size], 1.0_f64);
        for row in 0..size {
            for column in 0..=row {
                let (before, current) = lower.split_at(row * size);
                let other = if column == row { current } else { &before[column * size..] };
                let rest = matrix.at(row, column) - dot(&current[..column], &other[..column]);
                if column < row {
                    lower[row * size + column] = rest / lower[column * size + column];
                } else if rest > RANK_TOLERANCE * matrix.at(row, row) {
                    lower[row * size + row] = rest.sqrt();
                    least_share = least_share.min(rest / matrix.at(row, row));
                } else {
                    return None;
                }
            }
        }
        Some(Cholesky { size, lower, least_share })
    }

    /// What the columns before leave of the most dependent one, as a share of its diagonal entry.
    pub fn least_share(&self) -> f64 {
        self.least_share
    }

    /// Solves `matrix · x = right`.
    pub fn solve(&self, right: &[f64]) -> Vec<f64> {
        let size = self.size;
        let mut x = right.to_vec();
        for row in 0..size {
            let known = dot(&self.lower[row * size..row * size + row], &x[..row]);
            x[row] = (x[row] - known) / self.lower[row * size + row];
        }
        for row in (0..size).rev() {
            let known: f64 = (row + 1..size).map(|below| self.lower[below * size + row] * x[below]).sum();
            x[row] = (x[row] - known) / self.lower[row * size + row];
        }
        x
    }
}

/// A symmetric matrix's eigenvalues and eigenvectors.
#[derive(Debug)]
pub(super) struct Eigen {
    values: Vec<f64>,
    /// One vector for each value.
    vectors: Vec<Vec<f64>>,
}

impl Eigen {
    /// By the cyclic Jacobi method (Golub & Van Loan, Matrix Computations, 8.5), which is slow, short and accurate.
    pub fn new(matrix: Symmetric) -> Self {
        let size = matrix.size();
        let mut a: Vec<Vec<f64>> = (0..size).map(|i| (0..size).map(|j| matrix.at(i, j)).collect()).collect();
        let mut vectors: Vec<Vec<f64>> =
            (0..size).map(|i| (0..size).map(|j| if i == j { 1.0 } else { 0.0 }).collect()).collect();
        let all: f64 = a.iter().flatten().map(|v| v * v).sum();
        for _ in 0..SWEEPS_MAX {
            let off: f64 = (0..size).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| a[i][j] * a[i][j]).sum();
            if off <= all * f64::EPSILON * f64::EPSILON {
                break;
            }
            for p in 0..size {
                for q in p + 1..size {
                    rotate(&mut a, &mut vectors, p, q);
                }
            }
        }
        Eigen { values: (0..size).map(|i| a[i][i]).collect(), vectors }
    }

    /// Eigenvalues up to this one are rounding errors of zero.
    fn tolerance(&self) -> f64 {
        self.values.iter().copied().fold(0.0, f64::max) * RANK_TOLERANCE * self.values.len() as f64
    }

    /// Solves `matrix · x = right` with the shortest `x`, as far as it can be solved.
    pub fn solve(&self, right: &[f64]) -> Vec<f64> {
        let mut x = vec![0.0; right.len()];
        for (value, vector) in self.values.iter().zip(&self.vectors).filter(|(value, _)| **value > self.tolerance()) {
            let share = dot(vector, right) / value;
            x.iter_mut().zip(vector).for_each(|(x, v)| *x += share * v);
        }
        x
    }

    /// The directions that the matrix takes to zero.
    pub fn null_space(&self) -> Vec<Vec<f64>> {
        let pairs = self.values.iter().zip(&self.vectors);
        pairs.filter(|(value, _)| **value <= self.tolerance()).map(|(_, vector)| vector.clone()).collect()
    }
}

/// Makes `a[p][q]` zero by turning the axes `p` and `q`.
fn rotate(a: &mut [Vec<f64>], vectors: &mut [Vec<f64>], p: usize, q: usize) {
    if a[p][q] == 0.0 {
        return;
    }
    let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let cos = 1.0 / (t * t + 1.0).sqrt();
    let sin = t * cos;
    for row in a.iter_mut() {
        let (at_p, at_q) = (row[p], row[q]);
        row[p] = cos * at_p - sin * at_q;
        row[q] = sin * at_p + cos * at_q;
    }
    turn(a, p, q, cos, sin);
    turn(vectors, p, q, cos, sin);
    (a[p][q], a[q][p]) = (0.0, 0.0);
}

fn turn(rows: &mut [Vec<f64>], p: usize, q: usize, cos: f64, sin: f64) {
    let (before, from_q) = rows.split_at_mut(q);
    for (at_p, at_q) in before[p].iter_mut().zip(&mut from_q[0]) {
        (*at_p, *at_q) = (cos * *at_p - sin * *at_q, sin * *at_p + cos * *at_q);
    }
}

/// An orthonormal basis of what the vectors span, by the modified Gram-Schmidt method, twice for accuracy.
pub(super) fn orthonormal(vectors: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let mut basis: Vec<Vec<f64>> = Vec::new();
    for mut vector in vectors {
        let before = dot(&vector, &vector).sqrt();
        for _ in 0..2 {
            for known in &basis {
                let share = dot(known, &vector);
                vector.iter_mut().zip(known).for_each(|(v, k)| *v -= share * k);
            }
        }
        let length = dot(&vector, &vector).sqrt();
        if length > before * 1e-10 {
            vector.iter_mut().for_each(|v| *v /= length);
            basis.push(vector);
        }
    }
    basis
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(rows: &[&[f64]]) -> Symmetric {
        let mut matrix = Symmetric::zeros(rows.len());
        for (i, row) in rows.iter().enumerate() {
            row.iter().enumerate().for_each(|(j, value)| matrix.add(i, j, *value));
        }
        matrix
    }

    fn close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        found.iter().zip(expected).for_each(|(f, e)| assert!((f - e).abs() < 1e-12, "{found:?} is not {expected:?}"));
    }

    #[test]
    fn a_system_of_full_rank() {
        // [4 2; 2 3] · [1; 2] = [8; 8]
        let m = matrix(&[&[4.0], &[2.0, 3.0]]);
        close(&Cholesky::new(&m).unwrap().solve(&[8.0, 8.0]), &[1.0, 2.0]);
        close(&Eigen::new(m).solve(&[8.0, 8.0]), &[1.0, 2.0]);
    }

    #[test]
    fn a_singular_system_is_seen_and_solved_by_the_shortest_vector() {
        let m = matrix(&[&[1.0], &[1.0, 1.0]]);
        assert!(Cholesky::new(&m).is_none());
        let eigen = Eigen::new(m);
        close(&eigen.solve(&[2.0, 2.0]), &[1.0, 1.0]);
        let null = eigen.null_space();
        assert_eq!(null.len(), 1);
        close(&[null[0][0] + null[0][1], dot(&null[0], &null[0])], &[0.0, 1.0]);
    }

    #[test]
    fn eigenvalues_of_a_known_matrix() {
        // 2 on the diagonal, 1 beside it: 2, 2 ± √2.
        let mut values = Eigen::new(matrix(&[&[2.0], &[1.0, 2.0], &[0.0, 1.0, 2.0]])).values;
        values.sort_by(f64::total_cmp);
        close(&values, &[2.0 - 2.0_f64.sqrt(), 2.0, 2.0 + 2.0_f64.sqrt()]);
    }

    #[test]
    fn sums_in_lanes_cover_every_element() {
        let ones = vec![1.0; 8 * 3 + 5];
        assert_eq!(dot(&ones, &ones), 29.0);
        close(&[mean(&[1e15, 1e15 + 2.0])], &[1e15 + 1.0]);
    }

    #[test]
    fn an_orthonormal_basis_drops_dependent_vectors() {
        let basis = orthonormal(vec![vec![3.0, 0.0], vec![6.0, 0.0], vec![1.0, 2.0]]);
        assert_eq!(basis.len(), 2);
        close(&basis[0], &[1.0, 0.0]);
        close(&basis[1], &[0.0, 1.0]);
    }
}
