//! Clusters by density: the cluster of the nearest core point, if that is near enough.
//!
//! It knows nothing of how core points are found.

use super::distances;
use super::filled::{Filled, finite};
use super::kernel::Kernel;
use super::near::Near;
use super::onnx::builder::GraphBuilder;
use super::onnx::view::{GraphView, malformed};
use super::onnx::{Attribute, Tensor};
use super::outputs::{self, LABEL};
use super::signature::{Signature, Task};
use crate::limits::{CLUSTERS_MAX, DBSCAN_CORE_VALUES_MAX};
use crate::{Error, Result};

/// The kernel's kind.
pub(crate) const KIND: &str = "dbscan";
const CORES: &str = "limn.cores";

/// Fitted clusters, in scaled columns, all of which have one scale.
#[derive(Debug)]
pub(crate) struct Dbscan {
    filled: Filled,
    /// The core points one behind the other, and their clusters.
    cores: Vec<f64>,
    clusters: Vec<u32>,
    /// The squared distance from a core point within which its cluster reaches.
    radius2: f64,
    count: usize,
    near: Near,
}

impl Dbscan {
    /// Checks the lengths; there is at least one core point.
    pub fn new(filled: Filled, cores: Vec<f64>, clusters: Vec<u32>, radius2: f64) -> Result<Self> {
        let width = filled.width();
        let count = clusters.iter().max().map_or(0, |last| *last as usize + 1);
        if width == 0 || cores.len() != clusters.len() * width || !(1..=CLUSTERS_MAX).contains(&count) {
            return Err(malformed(format!("expected a cluster for each core point of {width} columns")));
        }
        if cores.len() > DBSCAN_CORE_VALUES_MAX {
            return Err(Error::exhausted(format!(
                "expected at most {DBSCAN_CORE_VALUES_MAX} numbers in the core points of dbscan, found {} points of {width} \
                 columns",
                clusters.len()
            ))
            .with_hint("train on a sample of the rows, or by kmeans or gaussian_mixture"));
        }
        if !finite(&cores) || radius2.is_nan() || radius2 < 0.0 {
            return Err(malformed("expected finite core points and a radius".to_owned()));
        }
        let near = Near::new(&cores, width);
        Ok(Dbscan { filled, cores, clusters, radius2, count, near })
    }

    /// The cluster of each row.
    fn found(&self, columns: &[&[f64]]) -> Vec<Option<usize>> {
        let block = self.filled.block(columns);
        let mut point = vec![0.0; block.len()];
        let of_row = |row: usize| {
            point.iter_mut().zip(&block).for_each(|(value, column)| *value = column[row]);
            self.near.nearest(&point, self.radius2).map(|core| self.clusters[core as usize] as usize)
        };
        (0..block.first().map_or(0, Vec::len)).map(of_row).collect()
    }
}

impl Kernel for Dbscan {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn width(&self) -> usize {
        self.count
    }

    fn has_probabilities(&self) -> bool {
        false
    }

    fn score_block(&self, columns: &[&[f64]], out: &mut [f64]) {
        out.fill(0.0);
        for (row, cluster) in out.chunks_exact_mut(self.count).zip(self.found(columns)) {
            if let Some(cluster) = cluster {
                row[cluster] = 1.0;
            }
        }
    }

    fn measures(&self) -> &'static [&'static str] {
        &["noise_share"]
    }

    fn measure_block(&self, columns: &[&[f64]], sums: &mut [f64]) {
        sums[0] += self.found(columns).iter().filter(|cluster| cluster.is_none()).count() as f64;
    }

    fn write(&self, signature: &Signature, graph: &mut GraphBuilder) {
        let filled = self.filled.write(signature, graph);
        let distances = distances::write(graph, &filled, &self.cores, self.filled.width(), CORES);
        let over_cores = |name: &str| {
            let axis = match name {
                "axes" => Attribute::of_ints(name, vec![1]),
                _ => Attribute::of_int(name, 1),
            };
            vec![axis, Attribute::of_int("keepdims", 0)]
        };
        let least = graph.node("ReduceMin", &[&distances], over_cores("axes"), "limn.least");
        let nearest = graph.node("ArgMin", &[&distances], over_cores("axis"), "limn.nearest");
        let clusters: Vec<i64> = self.clusters.iter().map(|cluster| i64::from(*cluster)).collect();
        let clusters = graph.constant(Tensor::of_int64s(&[clusters.len()], &clusters), "limn.core_clusters");
        let radius2 = graph.constant(Tensor::of_doubles(&[], &[self.radius2]), "limn.radius2");
        let noise = graph.constant(Tensor::of_int64s(&[], &[-1]), "limn.noise");
        let by_row = vec![Attribute::of_int("axis", 0)];
        let cluster = graph.node("Gather", &[&clusters, &nearest], by_row, "limn.cluster");
        let within = graph.node("LessOrEqual", &[&least, &radius2], vec![], "limn.within");
        let label = graph.node("Where", &[&within, &cluster, &noise], vec![], LABEL);
        let chosen = outputs::indicate(graph, &label, self.count);
        outputs::declare_clusters(graph, &label, &chosen, self.count);
    }
}

/// Reads what [`Dbscan::write`] writes.
pub(crate) fn read(view: &GraphView<'_>, signature: &Signature) -> Result<Dbscan> {
    let filled = Filled::read(view, signature)?;
    let cores = view.constant(CORES)?.doubles()?;
    let clusters = view.constant("limn.core_clusters")?.int64s()?;
    let clusters: std::result::Result<Vec<u32>, _> = clusters.into_iter().map(u32::try_from).collect();
    let clusters = clusters.map_err(|_| malformed("expected the numbers of clusters".to_owned()))?;
    match (signature.task, view.constant("limn.radius2")?.doubles()?.as_slice()) {
        (Task::Clustering, [radius2]) => Dbscan::new(filled, cores, clusters, *radius2),
        _ => Err(malformed("expected a clustering with one radius".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_core_point_decides_and_the_radius_belongs_to_it() {
        let filled = Filled { means: vec![6.0], scales: vec![1.0] };
        let model = Dbscan::new(filled.clone(), vec![0.0, 4.0, 10.0], vec![0, 1, 0], 4.0).unwrap();
        let column = [-2.0, -2.5, 1.9, 2.0, 2.1, f64::NAN, 12.0, f64::INFINITY];
        let mut out = [9.0; 16];
        model.score(&[&column], &mut out);
        let expected = [[1.0, 0.0], [0.0; 2], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [0.0; 2]];
        assert_eq!(out.as_chunks::<2>().0, expected);
        let mut sums = [0.0];
        model.measure_block(&[&column], &mut sums);
        assert_eq!(sums, [2.0]);
        assert!(Dbscan::new(filled.clone(), vec![], vec![], 4.0).is_err());
        assert!(Dbscan::new(filled, vec![f64::NAN], vec![0], 4.0).is_err());
    }
}
