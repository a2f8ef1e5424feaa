//! A mixture of normal distributions: how likely it is that each of them made a row.
//!
//! Each distribution is kept as its mean and what makes deviations from it uncorrelated and of variance one: a factor for
//! each column, or a triangular matrix. It knows nothing of how distributions are found.

mod graph;

pub(crate) use graph::read;

use super::filled::{FAR, Filled};
use super::kernel::Kernel;
use super::linear::softmax;
use super::onnx::builder::GraphBuilder;
use super::signature::Signature;

/// The kernel's kind.
pub(crate) const KIND: &str = "gaussian_mixture";

/// The greatest factor: with inputs within [`FAR`], deviations are finite numbers.
pub(crate) const FACTOR_MAX: f64 = 1e150;

/// A fitted mixture, in scaled columns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GaussianMixture {
    /// What happens to the inputs.
    pub filled: Filled,
    /// The mean of each component, one behind the other.
    pub means: Vec<f64>,
    /// What deviations from it are multiplied by.
    pub factors: Factors,
    /// The logarithm of each component's share and of its density in its middle, in the features' own units.
    pub offsets: Vec<f64>,
}

/// What makes deviations uncorrelated and of variance one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Factors {
    /// One over the standard deviation of each column, component by component.
    Columns(Vec<f64>),
    /// Upper triangular matrices row by row, one for each component or one for all.
    Triangles(Vec<f64>),
}

impl GaussianMixture {
    /// The logarithms of the shares times the densities, for a point as the kernel sees it.
    pub fn logarithms(&self, point: &[f64], scratch: &mut Vec<f64>, out: &mut [f64]) {
        let width = point.len();
        for (number, out) in out.iter_mut().enumerate() {
            let mean = &self.means[number * width..(number + 1) * width];
            scratch.clear();
            match &self.factors {
                Factors::Columns(factors) => {
                    let factors = &factors[number * width..(number + 1) * width];
                    let deviations = point.iter().zip(mean).zip(factors).map(|((x, m), factor)| (x - m) * factor);
                    scratch.extend(deviations);
                }
                Factors::Triangles(factors) => {
                    let size = width * width;
                    let from = if factors.len() == size { 0 } else { number * size };
                    scratch.resize(width, 0.0);
                    for (row, (x, m)) in point.iter().zip(mean).enumerate() {
                        let factors = &factors[from + row * width..from + (row + 1) * width];
                        let deviation = x - m;
                        for (sum, factor) in scratch[row..].iter_mut().zip(&factors[row..]) {
                            *sum += deviation * factor;
                        }
                    }
                }
            }
            let squares: f64 = scratch.iter().map(|d| d.clamp(-FAR, FAR)).map(|d| d * d).sum();
            *out = self.offsets[number] - 0.5 * squares;
        }
    }

    /// Calls `visit` with each row's number and its logarithms.
    fn for_each_row(&self, columns: &[&[f64]], mut visit: impl FnMut(usize, &mut [f64])) {
        let block = self.filled.block(columns);
        let (mut point, mut scratch) = (vec![0.0; block.len()], Vec::with_capacity(block.len()));
        let mut logarithms = vec![0.0; self.offsets.len()];
        for row in 0..block.first().map_or(0, Vec::len) {
            point.iter_mut().zip(&block).for_each(|(value, column)| *value = column[row]);
            self.logarithms(&point, &mut scratch, &mut logarithms);
            visit(row, &mut logarithms);
        }
    }
}

/// The logarithm of the sum of numbers given by their logarithms.
pub(crate) fn log_sum(logarithms: &[f64]) -> f64 {
    let greatest = logarithms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    greatest + libm::log(logarithms.iter().map(|logarithm| libm::exp(logarithm - greatest)).sum())
}

impl Kernel for GaussianMixture {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn width(&self) -> usize {
        self.offsets.len()
    }

    fn score_block(&self, columns: &[&[f64]], out: &mut [f64]) {
        let width = self.width();
        self.for_each_row(columns, |row, logarithms| {
            softmax(logarithms);
            out[row * width..(row + 1) * width].copy_from_slice(logarithms);
        });
    }

    fn measures(&self) -> &'static [&'static str] {
        &["log_likelihood"]
    }

    fn measure_block(&self, columns: &[&[f64]], sums: &mut [f64]) {
        let mut sum = 0.0;
        self.for_each_row(columns, |_, logarithms| sum += log_sum(logarithms));
        sums[0] += sum;
    }

    fn write(&self, signature: &Signature, graph: &mut GraphBuilder) {
        graph::write(self, signature, graph);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_give_the_density_by_definition() {
        let filled = Filled { means: vec![0.0; 2], scales: vec![1.0; 2] };
        let (means, offsets) = (vec![1.0, 2.0, -1.0, 0.0], vec![-1.0, 0.5]);
        let columns = Factors::Columns(vec![2.0, 0.5, 1.0, 3.0]);
        let triangles = Factors::Triangles(vec![2.0, 0.0, 0.0, 0.5, 1.0, 0.0, 0.0, 3.0]);
        // (3, 4): deviations 2 · 2 and 2 · 0.5; 4 · 1 and 4 · 3.
        let expected = [-1.0 - 17.0 / 2.0, 0.5 - 160.0 / 2.0];
        for factors in [columns, triangles] {
            let model =
                GaussianMixture { filled: filled.clone(), means: means.clone(), factors, offsets: offsets.clone() };
            let mut out = [0.0; 2];
            model.logarithms(&[3.0, 4.0], &mut Vec::new(), &mut out);
            assert_eq!(out, expected);
        }
        // One triangle for all: (2, 2) · [1 1; 0 1] = (2, 4).
        let factors = Factors::Triangles(vec![1.0, 1.0, 0.0, 1.0]);
        let model = GaussianMixture { filled, means, factors, offsets };
        let mut out = [0.0; 2];
        model.logarithms(&[3.0, 4.0], &mut Vec::new(), &mut out);
        assert_eq!(out, [-1.0 - 20.0 / 2.0, 0.5 - (16.0 + 64.0) / 2.0]);
        assert!((log_sum(&[0.0, 3.0_f64.ln()]) - 4.0_f64.ln()).abs() < 1e-15);
        assert_eq!(log_sum(&[-1e6, f64::NEG_INFINITY]), -1e6);
    }
}
