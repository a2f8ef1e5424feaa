//! Gaussian naive Bayes: for each class a normal distribution of each feature, as if features were independent.
//!
//! Deviations are divided by the standard deviation before they are squared, so that variances of any size have one. It
//! knows nothing of how the distributions are found.

mod graph;

pub(crate) use graph::read;

use super::filled::{FAR, Filled};
use super::kernel::Kernel;
use super::linear::softmax;
use super::onnx::builder::GraphBuilder;
use super::signature::Signature;

/// The kernel's kind.
pub(crate) const KIND: &str = "gaussian_nb";

/// A fitted model. Numbers are of scaled columns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GaussianNb {
    /// What happens to the inputs.
    pub filled: Filled,
    /// The mean of each column in each class, class by class.
    pub centres: Vec<f64>,
    /// One over the standard deviation, class by class; 0 for a column that says nothing.
    pub inverses: Vec<f64>,
    /// For each class the logarithm of its share, less those of the standard deviations.
    pub offsets: Vec<f64>,
}

impl Kernel for GaussianNb {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn width(&self) -> usize {
        self.offsets.len()
    }

    fn score_block(&self, columns: &[&[f64]], out: &mut [f64]) {
        let (classes, width) = (self.width(), columns.len());
        let block = self.filled.block(columns);
        let mut sums = vec![0.0; out.len() / classes];
        for class in 0..classes {
            sums.fill(0.0);
            for (column, values) in block.iter().enumerate() {
                let (centre, inverse) = (self.centres[class * width + column], self.inverses[class * width + column]);
                for (sum, value) in sums.iter_mut().zip(values) {
                    let deviation = ((value - centre) * inverse).clamp(-FAR, FAR);
                    *sum += deviation * deviation;
                }
            }
            for (row, sum) in out.chunks_exact_mut(classes).zip(&sums) {
                row[class] = -0.5 * sum + self.offsets[class];
            }
        }
        out.chunks_exact_mut(classes).for_each(softmax);
    }

    fn write(&self, signature: &Signature, graph: &mut GraphBuilder) {
        graph::write(self, signature, graph);
    }
}
