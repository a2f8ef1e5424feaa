//! Support vector machines: weighted sums of how alike a row and each support vector are.
//!
//! A classifier has a sum for each pair of classes, and the class that wins most pairs is chosen, the first of equals: the
//! rule of libsvm. It has no probabilities. It knows nothing of how vectors are found.

mod graph;

pub(crate) use graph::{DEGREE_MAX, read};

use super::distances;
use super::filled::{FAR, Filled};
use super::kernel::Kernel;
use super::onnx::builder::GraphBuilder;
use super::signature::Signature;

/// The kernel's kind.
pub(crate) const KIND: &str = "svm";

/// Of two classes the second is chosen where the sum is exactly 0: by so much the first's score is lowered.
const TIE: f64 = 1e-300;

/// How alike two points are. What takes a product of large points to infinity is kept within [`FAR`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Function {
    /// Their product.
    Linear,
    /// `exp(-gamma · distance²)`.
    Rbf { gamma: f64 },
    /// `(gamma · product + coef0) ^ degree`.
    Polynomial { gamma: f64, coef0: f64, degree: u32 },
    /// `tanh(gamma · product + coef0)`.
    Sigmoid { gamma: f64, coef0: f64 },
}

impl Function {
    /// Whether it is one of the squared distance, and not of the product.
    pub fn of_distance(self) -> bool {
        matches!(self, Function::Rbf { .. })
    }

    /// The function of two points' squared distance or product.
    pub fn of(self, number: f64) -> f64 {
        match self {
            Function::Linear => number.clamp(-FAR, FAR),
            Function::Rbf { gamma } => libm::exp(-gamma * number),
            Function::Polynomial { gamma, coef0, degree } => power(gamma * number + coef0, degree).clamp(-FAR, FAR),
            Function::Sigmoid { gamma, coef0 } => libm::tanh(gamma * number + coef0),
        }
    }
}

/// A power by repeated squaring.
fn power(mut base: f64, mut exponent: u32) -> f64 {
    let mut product = 1.0;
    while exponent > 0 {
        if exponent % 2 == 1 {
            product *= base;
        }
        exponent /= 2;
        if exponent > 0 {
            base *= base;
        }
    }
    product
}

/// A fitted model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Svm {
    /// What happens to the inputs; all columns have one scale.
    pub filled: Filled,
    /// The support vectors one behind the other, in scaled columns.
    pub vectors: Vec<f64>,
    /// For each support vector its weight in each sum.
    pub coefficients: Vec<f64>,
    /// The constant of each sum.
    pub offsets: Vec<f64>,
    /// How alike two points are.
    pub function: Function,
    /// The number of classes, 0 for a regression. Sums are of pairs: first and second, first and third, and so on.
    pub classes: usize,
}

/// The pairs of classes in the order of their sums.
pub(crate) fn pairs(classes: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..classes).flat_map(move |first| (first + 1..classes).map(move |second| (first, second)))
}

impl Svm {
    /// The sums of a block's rows, row by row.
    fn sums(&self, columns: &[&[f64]]) -> Vec<f64> {
        let block = self.filled.block(columns);
        let (rows, count) = (block.first().map_or(0, Vec::len), self.offsets.len());
        let mut sums = vec![0.0; rows * count];
        let mut alike = vec![0.0; rows];
        let vectors = self.vectors.chunks_exact(self.filled.width());
        for (vector, coefficients) in vectors.zip(self.coefficients.chunks_exact(count)) {
            match self.function.of_distance() {
                true => distances::squared(&block, vector, &mut alike),
                false => products(&block, vector, &mut alike),
            }
            for (sums, number) in sums.chunks_exact_mut(count).zip(&alike) {
                let alike = self.function.of(*number);
                sums.iter_mut().zip(coefficients).for_each(|(sum, coefficient)| *sum += coefficient * alike);
            }
        }
        for sums in sums.chunks_exact_mut(count) {
            sums.iter_mut().zip(&self.offsets).for_each(|(sum, offset)| *sum += offset);
        }
        sums
    }
}

fn products(block: &[Vec<f64>], point: &[f64], out: &mut [f64]) {
    out.fill(0.0);
    for (values, coordinate) in block.iter().zip(point) {
        out.iter_mut().zip(values).for_each(|(sum, value)| *sum += value * coordinate);
    }
}

impl Kernel for Svm {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn width(&self) -> usize {
        self.classes.max(1)
    }

    fn has_probabilities(&self) -> bool {
        false
    }

    fn score_block(&self, columns: &[&[f64]], out: &mut [f64]) {
        let sums = self.sums(columns);
        match self.classes {
            0 => out.copy_from_slice(&sums),
            2 => {
                for (row, sum) in out.chunks_exact_mut(2).zip(sums) {
                    row.copy_from_slice(&[sum - TIE, -sum]);
                }
            }
            classes => {
                out.fill(0.0);
                for (row, sums) in out.chunks_exact_mut(classes).zip(sums.chunks_exact(self.offsets.len())) {
                    for ((first, second), sum) in pairs(classes).zip(sums) {
                        row[if *sum > 0.0 { first } else { second }] += 1.0;
                    }
                }
            }
        }
    }

    fn write(&self, signature: &Signature, graph: &mut GraphBuilder) {
        graph::write(self, signature, graph);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(function: Function, offsets: Vec<f64>, classes: usize) -> Svm {
        let filled = Filled { means: vec![0.5, 0.5], scales: vec![1.0, 1.0] };
        let coefficients = (0..2 * offsets.len()).map(|i| if i % 2 == 0 { 2.0 } else { -1.0 }).collect();
        Svm { filled, vectors: vec![1.0, 0.0, 0.0, 3.0], coefficients, offsets, function, classes }
    }

    #[test]
    fn functions_by_definition() {
        // (1, 2): products 1 and 6, squared distances 4 and 2.
        for (function, expected) in [
            (Function::Linear, 2.0 - 6.0),
            (Function::Rbf { gamma: 0.5 }, 2.0 * (-2.0_f64).exp() - (-1.0_f64).exp()),
            (Function::Polynomial { gamma: 2.0, coef0: 1.0, degree: 3 }, 2.0 * 27.0 - 2197.0),
            (Function::Polynomial { gamma: 2.0, coef0: 1.0, degree: 0 }, 1.0),
            (Function::Sigmoid { gamma: 0.1, coef0: 0.2 }, 2.0 * 0.3_f64.tanh() - 0.8_f64.tanh()),
        ] {
            let svm = Svm { coefficients: vec![2.0, -1.0], ..model(function, vec![10.0], 0) };
            let mut out = [0.0];
            svm.score(&[&[1.0], &[2.0]], &mut out);
            assert!((out[0] - expected - 10.0).abs() < 1e-12, "{function:?}: {out:?}");
        }
        assert_eq!(power(3.0, 5), 243.0);
    }

    #[test]
    fn pairs_are_won_and_ties_go_to_the_first() {
        assert_eq!(pairs(3).collect::<Vec<_>>(), [(0, 1), (0, 2), (1, 2)]);
        // No support vector counts: the sums are the constants. 0 beats 1, 2 beats 0, 1 beats 2: one each.
        let svm = Svm { coefficients: vec![0.0; 6], ..model(Function::Linear, vec![1.0, -1.0, 1.0], 3) };
        let mut out = [0.0; 3];
        svm.score(&[&[1.0], &[2.0]], &mut out);
        assert_eq!(out, [1.0, 1.0, 1.0]);
        // Exactly 0 is the second of two classes, as in libsvm.
        let svm = Svm { coefficients: vec![0.0; 2], ..model(Function::Linear, vec![0.0], 2) };
        svm.score(&[&[1.0], &[2.0]], &mut out[..2]);
        assert!(out[1] > out[0]);
    }
}
