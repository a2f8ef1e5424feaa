//! Mixtures of normal distributions as ONNX operators, written and read back.
//!
//! Components, rows and columns are the axes, so that one product of matrices serves all components.

use super::{FACTOR_MAX, Factors, GaussianMixture};
use crate::Result;
use crate::limits::CLUSTERS_MAX;
use crate::model::filled::{FAR, Filled, clip, finite};
use crate::model::onnx::builder::GraphBuilder;
use crate::model::onnx::view::{GraphView, malformed};
use crate::model::onnx::{Attribute, Tensor};
use crate::model::outputs::{self, LABEL, PROBABILITIES};
use crate::model::signature::{Signature, Task};

const COLUMNS: &str = "limn.column_factors";
const TRIANGLES: &str = "limn.triangles";

/// Writes the model.
pub(super) fn write(model: &GaussianMixture, signature: &Signature, graph: &mut GraphBuilder) {
    let (components, width) = (model.offsets.len(), model.filled.width());
    let filled = model.filled.write(signature, graph);
    let first = graph.constant(Tensor::of_int64s(&[1], &[0]), "limn.first");
    let last = graph.constant(Tensor::of_int64s(&[1], &[2]), "limn.last");
    let means = graph.constant(Tensor::of_doubles(&[components, 1, width], &model.means), "limn.component_means");
    let offsets = graph.constant(Tensor::of_doubles(&[1, components], &model.offsets), "limn.offsets");
    let half = graph.constant(Tensor::of_doubles(&[], &[-0.5]), "limn.half");
    let rows = graph.node("Unsqueeze", &[&filled, &first], vec![], "limn.rows");
    let apart = graph.node("Sub", &[&rows, &means], vec![], "limn.apart");
    let deviations = match &model.factors {
        Factors::Columns(factors) => {
            let factors = graph.constant(Tensor::of_doubles(&[components, 1, width], factors), COLUMNS);
            graph.node("Mul", &[&apart, &factors], vec![], "limn.deviations")
        }
        Factors::Triangles(factors) => {
            let count = factors.len() / (width * width);
            let factors = graph.constant(Tensor::of_doubles(&[count, width, width], factors), TRIANGLES);
            graph.node("MatMul", &[&apart, &factors], vec![], "limn.deviations")
        }
    };
    let deviations = clip(graph, &deviations, FAR, "limn.bounded");
    let squares = graph.node("Mul", &[&deviations, &deviations], vec![], "limn.squares");
    let sums = graph.node("ReduceSum", &[&squares, &last], vec![Attribute::of_int("keepdims", 0)], "limn.sums");
    let by_row = graph.node("Transpose", &[&sums], vec![Attribute::of_ints("perm", vec![1, 0])], "limn.by_row");
    let halves = graph.node("Mul", &[&by_row, &half], vec![], "limn.halves");
    let scores = graph.node("Add", &[&halves, &offsets], vec![], "limn.scores");
    let probabilities = graph.node("Softmax", &[&scores], vec![Attribute::of_int("axis", 1)], PROBABILITIES);
    let attributes = vec![Attribute::of_int("axis", 1), Attribute::of_int("keepdims", 0)];
    let label = graph.node("ArgMax", &[&probabilities], attributes, LABEL);
    outputs::declare_clusters(graph, &label, &probabilities, components);
}

/// Reads what [`write`] writes.
pub(crate) fn read(view: &GraphView<'_>, signature: &Signature) -> Result<GaussianMixture> {
    let filled = Filled::read(view, signature)?;
    let means = view.constant("limn.component_means")?.doubles()?;
    let offsets = view.constant("limn.offsets")?.doubles()?;
    let (components, width) = (offsets.len(), filled.width());
    let factors = match view.constant(COLUMNS) {
        Ok(factors) => Factors::Columns(factors.doubles()?),
        Err(_) => Factors::Triangles(view.constant(TRIANGLES)?.doubles()?),
    };
    let bounded = |factors: &[f64]| factors.iter().all(|factor| factor.abs() <= FACTOR_MAX);
    let fits = match &factors {
        Factors::Columns(factors) => factors.len() == means.len() && bounded(factors),
        Factors::Triangles(factors) => {
            let of_one = width * width;
            (factors.len() == of_one || factors.len() == of_one * components) && bounded(factors)
        }
    };
    let sound = fits && (1..=CLUSTERS_MAX).contains(&components) && means.len() == components * width;
    match signature.task == Task::Clustering && sound && finite(&means) && finite(&offsets) {
        true => Ok(GaussianMixture { filled, means, factors, offsets }),
        false => Err(malformed(format!("expected {components} distributions of {width} columns"))),
    }
}
