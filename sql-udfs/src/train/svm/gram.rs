//! Rows of the matrix of how alike points are, made when they are needed and kept as far as memory allows.
//!
//! What is kept decides how long a fit takes, and nothing else.

use std::rc::Rc;

use crate::model::svm::Function;
use crate::train::dense;
use crate::train::points::Points;
use crate::train::workers::Workers;

/// Lanes of a sum: fixed, so that the order of additions is the same with any vector width.
const LANES: usize = 8;
/// Points that one piece of work takes.
const POINTS_PER_PIECE: usize = 1_024;
/// Numbers of a row, times columns, from which it is made in parallel: below, threads cost more than they save.
const PARALLEL_MIN: usize = 1 << 17;

/// How alike some of the points are.
pub(super) struct Gram<'a> {
    points: &'a Points,
    used: &'a [u32],
    function: Function,
    workers: Option<&'a Workers>,
    /// Rows that are kept, each with when it was last asked for.
    kept: Vec<Option<(u64, Rc<[f64]>)>>,
    count: usize,
    count_max: usize,
    clock: u64,
}

impl<'a> Gram<'a> {
    /// The matrix of the used points; at least two rows of it are kept.
    pub fn new(
        points: &'a Points,
        used: &'a [u32],
        function: Function,
        bytes_max: usize,
        workers: Option<&'a Workers>,
    ) -> Self {
        let count_max = (bytes_max / size_of::<f64>() / used.len().max(1)).clamp(2, used.len().max(2));
        Gram { points, used, function, workers, kept: vec![None; used.len()], count: 0, count_max, clock: 0 }
    }

    /// What is kept at most.
    pub fn bytes_max(&self) -> usize {
        self.count_max * self.used.len() * size_of::<f64>()
    }

    /// The number of points.
    pub fn len(&self) -> usize {
        self.used.len()
    }

    fn point(&self, at: usize) -> &'a [f64] {
        self.points.row(self.used[at] as usize)
    }

    /// How alike two points are.
    fn entry(&self, left: &[f64], right: &[f64]) -> f64 {
        self.function.of(if self.function.of_distance() { squared(left, right) } else { dense::dot(left, right) })
    }

    /// How alike each point is to itself.
    pub fn diagonal(&self) -> Vec<f64> {
        (0..self.len()).map(|at| self.entry(self.point(at), self.point(at))).collect()
    }

    /// How alike a point is to each.
    pub fn row(&mut self, at: usize) -> Rc<[f64]> {
        self.clock += 1;
        if let Some((last, row)) = &mut self.kept[at] {
            *last = self.clock;
            return row.clone();
        }
        if self.count == self.count_max {
            let kept = self.kept.iter().enumerate().filter_map(|(at, kept)| kept.as_ref().map(|(last, _)| (*last, at)));
            if let Some((_, oldest)) = kept.min() {
                self.kept[oldest] = None;
                self.count -= 1;
            }
        }
        let row: Rc<[f64]> = self.make(at).into();
        self.kept[at] = Some((self.clock, row.clone()));
        self.count += 1;
        row
    }

    fn make(&self, at: usize) -> Vec<f64> {
        let (points, used, function) = (self.points, self.used, self.function);
        let point = self.point(at);
        let some = |from: usize, to: usize| -> Vec<f64> {
            let entry = |row: &u32| {
                let other = points.row(*row as usize);
                function.of(if function.of_distance() { squared(point, other) } else { dense::dot(point, other) })
            };
            used[from..to].iter().map(entry).collect()
        };
        match self.workers {
            Some(workers) if workers.threads() > 1 && used.len() * point.len() >= PARALLEL_MIN => {
                let pieces = used.len().div_ceil(POINTS_PER_PIECE);
                let piece =
                    |number: usize| some(number * POINTS_PER_PIECE, used.len().min((number + 1) * POINTS_PER_PIECE));
                workers.map(pieces, piece).concat()
            }
            _ => some(0, used.len()),
        }
    }
}

/// The squared distance of two points, summed in fixed lanes.
fn squared(left: &[f64], right: &[f64]) -> f64 {
    let mut lanes = [0.0; LANES];
    let (left_chunks, left_rest) = left.as_chunks::<LANES>();
    let (right_chunks, right_rest) = right.as_chunks::<LANES>();
    for (l, r) in left_chunks.iter().zip(right_chunks) {
        for lane in 0..LANES {
            lanes[lane] += (l[lane] - r[lane]) * (l[lane] - r[lane]);
        }
    }
    let rest: f64 = left_rest.iter().zip(right_rest).map(|(l, r)| (l - r) * (l - r)).sum();
    lanes.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::points::Scaling;
    use crate::train::rows::Rows;
    use crate::train::target::Target;
    use crate::train::testing::with_context;

    #[test]
    fn rows_are_the_same_whether_kept_or_made_anew() {
        let features: Vec<Vec<f64>> = (0..11).map(|c| (0..9).map(|r| f64::from(r * c % 7)).collect()).collect();
        let rows = Rows::new(features, Target::None(9));
        let points = with_context(|context| Points::new(&rows, Scaling::All, context).unwrap());
        let used = [0, 2, 3, 5, 8];
        let mut gram = Gram::new(&points, &used, Function::Rbf { gamma: 0.1 }, 0, None);
        assert_eq!((gram.len(), gram.bytes_max()), (5, 2 * 5 * 8));
        let first: Vec<Rc<[f64]>> = (0..5).map(|at| gram.row(at)).collect();
        for at in [4, 0, 4, 1, 2, 0] {
            assert_eq!(gram.row(at), first[at]);
        }
        for at in 0..5 {
            assert_eq!(first[at][at], gram.diagonal()[at]);
            (0..5).for_each(|other| assert_eq!(first[at][other], first[other][at]));
            let apart = crate::train::kmeans::lloyd::squared(points.row(0), points.row(used[at] as usize));
            assert!((first[0][at] - (-0.1 * apart).exp()).abs() < 1e-14);
        }
    }
}
