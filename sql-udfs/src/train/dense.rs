//! Small dense linear algebra: symmetric systems of any rank, in 64-bit floats and a fixed order of operations.
//!
//! Written out here because results must not depend on the processor: optimised libraries choose their kernels by it. It
//! knows nothing of data.

/// How much of a unit diagonal must be left for a column to count as independent of those before it.
const RANK_TOLERANCE: f64 = 1e-12;
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
    }

    #[test]
    fn a_singular_system_is_seen() {
        assert!(Cholesky::new(&matrix(&[&[1.0], &[1.0, 1.0]])).is_none());
        // Of the second column 3 - 2² / 4 is left, of 3.
        assert_eq!(Cholesky::new(&matrix(&[&[4.0], &[2.0, 3.0]])).unwrap().least_share(), 2.0 / 3.0);
    }

    #[test]
    fn sums_in_lanes_cover_every_element() {
        let ones = vec![1.0; 8 * 3 + 5];
        assert_eq!(dot(&ones, &ones), 29.0);
        close(&[mean(&[1e15, 1e15 + 2.0])], &[1e15 + 1.0]);
    }
}
