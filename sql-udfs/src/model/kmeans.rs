//! Clusters by the nearest centre, the first of equally near ones.
//!
//! It knows nothing of how centres are found.

use super::distances;
use super::filled::{Filled, finite};
use super::kernel::Kernel;
use super::onnx::Attribute;
use super::onnx::builder::GraphBuilder;
use super::onnx::view::{GraphView, malformed};
use super::outputs::{self, LABEL};
use super::signature::{Signature, Task};
use crate::Result;
use crate::limits::CLUSTERS_MAX;

/// The kernel's kind.
pub(crate) const KIND: &str = "kmeans";
const CENTRES: &str = "limn.centres";

/// Fitted clusters.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KMeans {
    /// What happens to the inputs; all columns have one scale.
    pub filled: Filled,
    /// The centres one behind the other, in scaled columns.
    pub centres: Vec<f64>,
}

impl KMeans {
    /// For each row the nearest centre and its squared distance.
    fn nearest(&self, columns: &[&[f64]]) -> Vec<(usize, f64)> {
        let block = self.filled.block(columns);
        let rows = block.first().map_or(0, Vec::len);
        let mut best = vec![(0, f64::INFINITY); rows];
        let mut distances = vec![0.0; rows];
        for (number, centre) in self.centres.chunks_exact(self.filled.width()).enumerate() {
            distances::squared(&block, centre, &mut distances);
            for (best, distance) in best.iter_mut().zip(&distances) {
                if *distance < best.1 {
                    *best = (number, *distance);
                }
            }
        }
        best
    }
}

impl Kernel for KMeans {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn width(&self) -> usize {
        self.centres.len() / self.filled.width()
    }

    fn has_probabilities(&self) -> bool {
        false
    }

    fn score_block(&self, columns: &[&[f64]], out: &mut [f64]) {
        out.fill(0.0);
        for (row, (cluster, _)) in out.chunks_exact_mut(self.width()).zip(self.nearest(columns)) {
            row[cluster] = 1.0;
        }
    }

    fn measures(&self) -> &'static [&'static str] {
        &["mean_squared_distance"]
    }

    fn measure_block(&self, columns: &[&[f64]], sums: &mut [f64]) {
        let scale = self.filled.scales.first().copied().unwrap_or(1.0);
        let sum: f64 = self.nearest(columns).iter().map(|(_, distance)| distance).sum();
        sums[0] += sum / scale / scale;
    }

    fn write(&self, signature: &Signature, graph: &mut GraphBuilder) {
        let filled = self.filled.write(signature, graph);
        let distances = distances::write(graph, &filled, &self.centres, self.filled.width(), CENTRES);
        let attributes = vec![Attribute::of_int("axis", 1), Attribute::of_int("keepdims", 0)];
        let label = graph.node("ArgMin", &[&distances], attributes, LABEL);
        let chosen = outputs::indicate(graph, &label, self.width());
        outputs::declare_clusters(graph, &label, &chosen, self.width());
    }
}

/// Reads what [`KMeans::write`] writes.
pub(crate) fn read(view: &GraphView<'_>, signature: &Signature) -> Result<KMeans> {
    let filled = Filled::read(view, signature)?;
    let centres = view.constant(CENTRES)?.doubles()?;
    let clusters = centres.len() / filled.width().max(1);
    let whole = clusters * filled.width() == centres.len() && (1..=CLUSTERS_MAX).contains(&clusters);
    match signature.task == Task::Clustering && whole && finite(&centres) {
        true => Ok(KMeans { filled, centres }),
        false => Err(malformed(format!("expected centres of {} columns, found {}", filled.width(), centres.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_centre_is_chosen_and_the_first_of_equals() {
        let filled = Filled { means: vec![1.0, 5.0], scales: vec![1.0, 1.0] };
        let model = KMeans { filled, centres: vec![0.0, 0.0, 4.0, 0.0, 4.0, 6.0] };
        let columns: [&[f64]; 2] = [&[1.0, 2.0, f64::NAN, f64::INFINITY], &[0.0, 0.0, f64::NAN, -1.0]];
        let mut out = [0.5; 12];
        model.score(&columns, &mut out);
        // (1, 0); (2, 0) is as near to the second; (1, 5) is 26 from the first, 34 and 10 from the others.
        assert_eq!(out[..9], [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!(out[9..].iter().sum::<f64>(), 1.0);
        let mut sums = [0.0];
        model.measure_block(&columns.map(|column| &column[..3]), &mut sums);
        assert_eq!(sums, [1.0 + 4.0 + 10.0]);
    }
}
