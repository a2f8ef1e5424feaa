//! What kernels that measure distances do to their inputs first: put a mean in the place of a missing value, scale by a
//! power of two, keep within bounds.
//!
//! Distances are squared: values of 1e300 would be infinite, and values of 1e-300 nothing. Powers of two change no digit,
//! and a scale is 1 wherever it can be. After that no input makes a distance infinite or NaN, infinities included.

use super::design::Design;
use super::onnx::Tensor;
use super::onnx::builder::GraphBuilder;
use super::onnx::view::{GraphView, malformed};
use super::signature::Signature;
use crate::Result;

/// What scaled inputs are kept within: as many of its squares as there can be features add up to a number.
pub(crate) const FAR: f64 = 1e150;

/// What is put in the place of missing values, and what values are multiplied by.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Filled {
    /// What a missing value of each design column counts as, in the column's own unit.
    pub means: Vec<f64>,
    /// What each design column is multiplied by.
    pub scales: Vec<f64>,
}

impl Filled {
    /// The number of design columns.
    pub fn width(&self) -> usize {
        self.means.len()
    }

    /// A value as the kernel sees it.
    pub fn value(&self, column: usize, value: f64) -> f64 {
        (if value.is_nan() { self.means[column] } else { value } * self.scales[column]).clamp(-FAR, FAR)
    }

    /// A block as the kernel sees it, column by column.
    pub fn block(&self, columns: &[&[f64]]) -> Vec<Vec<f64>> {
        let filled = |(number, column): (usize, &&[f64])| column.iter().map(|v| self.value(number, *v)).collect();
        columns.iter().enumerate().map(filled).collect()
    }

    /// Writes the operators that do the same; gives the name of the values `[N, columns]`.
    pub fn write(&self, signature: &Signature, graph: &mut GraphBuilder) -> String {
        let inputs = graph.design(&signature.features);
        let means = graph.constant(Tensor::of_doubles(&[1, self.width()], &self.means), "limn.means");
        let missing = graph.node("IsNaN", &[&inputs], vec![], "limn.missing");
        let known = graph.node("Where", &[&missing, &means, &inputs], vec![], "limn.known");
        let scales = graph.constant(Tensor::of_doubles(&[1, self.width()], &self.scales), "limn.scales");
        let scaled = graph.node("Mul", &[&known, &scales], vec![], "limn.scaled");
        clip(graph, &scaled, FAR, "limn.filled")
    }

    /// Reads the constants back.
    pub fn read(view: &GraphView<'_>, signature: &Signature) -> Result<Self> {
        let means = view.constant("limn.means")?.doubles()?;
        let scales = view.constant("limn.scales")?.doubles()?;
        let width = Design::new(&signature.features).width();
        match width > 0 && means.len() == width && scales.len() == width && finite(&means) && finite(&scales) {
            true => Ok(Filled { means, scales }),
            false => Err(malformed(format!("expected a mean and a scale for each of {width} columns"))),
        }
    }
}

/// Whether all of them are finite.
pub(crate) fn finite(values: &[f64]) -> bool {
    values.iter().all(|value| value.is_finite())
}

/// Keeps a value within `-bound` and `bound`.
pub(crate) fn clip(graph: &mut GraphBuilder, value: &str, bound: f64, output: &str) -> String {
    let low = graph.constant(Tensor::of_doubles(&[], &[-bound]), &format!("{output}.low"));
    let high = graph.constant(Tensor::of_doubles(&[], &[bound]), &format!("{output}.high"));
    graph.node("Clip", &[value, &low, &high], vec![], output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stays_missing_or_infinite() {
        let filled = Filled { means: vec![3.0, 1e300], scales: vec![1.0, 0.5_f64.powi(996)] };
        let columns: [&[f64]; 2] = [&[f64::NAN, f64::INFINITY, -7.5], &[f64::NAN, f64::NEG_INFINITY, 0.0]];
        let block = filled.block(&columns);
        assert_eq!(block[0], [3.0, FAR, -7.5]);
        assert_eq!(block[1], [1e300 * 0.5_f64.powi(996), -FAR, 0.0]);
    }
}
