//! Principal components: rows as sums of a few directions from the middle, and how far those miss them.
//!
//! It knows nothing of how directions are found.

use super::filled::{Filled, finite};
use super::kernel::Kernel;
use super::onnx::Tensor;
use super::onnx::builder::GraphBuilder;
use super::onnx::view::{GraphView, malformed};
use super::outputs::{self, COMPONENTS};
use super::signature::{Signature, Task};
use crate::Result;

/// The kernel's kind.
pub(crate) const KIND: &str = "pca";

/// Fitted components. Directions are in scaled columns, all of which have one scale.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pca {
    /// What happens to the inputs.
    pub filled: Filled,
    /// The middle of the rows, scaled.
    pub centre: Vec<f64>,
    /// For each component its direction, of length one.
    pub directions: Vec<Vec<f64>>,
    /// By what each component is multiplied: back into the features' unit, or to a variance of one.
    pub factors: Vec<f64>,
}

impl Pca {
    /// The block from the centre, and its components without their factors.
    fn project(&self, columns: &[&[f64]]) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
        let mut block = self.filled.block(columns);
        for (values, centre) in block.iter_mut().zip(&self.centre) {
            values.iter_mut().for_each(|value| *value -= centre);
        }
        let rows = block.first().map_or(0, Vec::len);
        let component = |direction: &Vec<f64>| {
            let mut sums = vec![0.0; rows];
            for (values, share) in block.iter().zip(direction) {
                sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += share * value);
            }
            sums
        };
        let components = self.directions.iter().map(component).collect();
        (block, components)
    }
}

impl Kernel for Pca {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn width(&self) -> usize {
        self.directions.len()
    }

    fn score_block(&self, columns: &[&[f64]], out: &mut [f64]) {
        let (_, components) = self.project(columns);
        for (number, (values, factor)) in components.iter().zip(&self.factors).enumerate() {
            for (row, value) in out.chunks_exact_mut(self.width()).zip(values) {
                row[number] = value * factor;
            }
        }
    }

    fn measures(&self) -> &'static [&'static str] {
        &["reconstruction_mse"]
    }

    fn measure_block(&self, columns: &[&[f64]], sums: &mut [f64]) {
        let (mut block, components) = self.project(columns);
        for (values, direction) in components.iter().zip(&self.directions) {
            for (rest, share) in block.iter_mut().zip(direction) {
                rest.iter_mut().zip(values).for_each(|(rest, value)| *rest -= share * value);
            }
        }
        let scale = self.filled.scales.first().copied().unwrap_or(1.0);
        let squares: f64 = block.iter().flatten().map(|rest| rest * rest).sum();
        sums[0] += squares / self.filled.width() as f64 / scale / scale;
    }

    fn write(&self, signature: &Signature, graph: &mut GraphBuilder) {
        let (width, components) = (self.filled.width(), self.width());
        let filled = self.filled.write(signature, graph);
        let by_column: Vec<f64> =
            (0..width).flat_map(|column| self.directions.iter().map(move |direction| direction[column])).collect();
        let centre = graph.constant(Tensor::of_doubles(&[1, width], &self.centre), "limn.centre");
        let directions = graph.constant(Tensor::of_doubles(&[width, components], &by_column), "limn.directions");
        let factors = graph.constant(Tensor::of_doubles(&[1, components], &self.factors), "limn.factors");
        let apart = graph.node("Sub", &[&filled, &centre], vec![], "limn.apart");
        let product = graph.node("MatMul", &[&apart, &directions], vec![], "limn.product");
        let scaled = graph.node("Mul", &[&product, &factors], vec![], COMPONENTS);
        outputs::declare_components(graph, &scaled, components);
    }
}

/// Reads what [`Pca::write`] writes.
pub(crate) fn read(view: &GraphView<'_>, signature: &Signature) -> Result<Pca> {
    let filled = Filled::read(view, signature)?;
    let centre = view.constant("limn.centre")?.doubles()?;
    let directions = view.constant("limn.directions")?.doubles()?;
    let factors = view.constant("limn.factors")?.doubles()?;
    let (width, components) = (filled.width(), factors.len());
    let sound = (1..=width).contains(&components) && directions.len() == width * components && centre.len() == width;
    if signature.task != Task::Reduction || !sound || !finite(&centre) || !finite(&directions) || !finite(&factors) {
        return Err(malformed(format!("expected a direction of {width} columns for each component")));
    }
    let direction = |number: usize| directions.iter().skip(number).step_by(components).copied().collect();
    let directions = (0..components).map(direction).collect();
    Ok(Pca { filled, centre, directions, factors })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direction_by_hand() {
        let filled = Filled { means: vec![1.0, 2.0], scales: vec![1.0, 1.0] };
        let model = Pca { filled, centre: vec![1.0, 2.0], directions: vec![vec![0.6, 0.8]], factors: vec![2.0] };
        let columns: [&[f64]; 2] = [&[4.0, f64::NAN, 1.0], &[6.0, f64::NAN, 7.0]];
        let mut out = [0.0; 3];
        model.score(&columns, &mut out);
        // From the middle: (3, 4) = 5 · (0.6, 0.8); nothing; (0, 5), of which 4 · (0.6, 0.8) is along it.
        out.iter().zip([10.0, 0.0, 8.0]).for_each(|(found, expected)| assert!((found - expected).abs() < 1e-14));
        let mut sums = [0.0];
        model.measure_block(&columns, &mut sums);
        // (0, 5) - (2.4, 3.2) = (-2.4, 1.8): 9, over two features.
        assert!((sums[0] - 4.5).abs() < 1e-14);
    }
}
