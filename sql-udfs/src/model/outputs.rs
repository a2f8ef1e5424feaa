//! The outputs that every graph of ours declares: `prediction`; `label` and `probabilities`; `label` and `score`;
//! `components`.
//!
//! It knows nothing of how scores come about.

use super::onnx::builder::GraphBuilder;
use super::onnx::tensor::data_type;
use super::onnx::{Attribute, Tensor};
use super::signature::{ClassLabel, Signature};

/// Names a regressor's output, `[N, 1]`.
pub(crate) const PREDICTION: &str = "prediction";
/// Names a classifier's or a clustering's probabilities, `[N, classes]`.
pub(crate) const PROBABILITIES: &str = "probabilities";
/// Names what is chosen, `[N]`: a classifier's class, a cluster's number, -1 for an anomaly.
pub(crate) const LABEL: &str = "label";
/// Names an anomaly detector's score, `[N, 1]`.
pub(crate) const SCORE: &str = "score";
/// Names what a reduction gives, `[N, components]`.
pub(crate) const COMPONENTS: &str = "components";

/// Declares a regressor's output.
pub(crate) fn declare_prediction(graph: &mut GraphBuilder, prediction: &str) {
    graph.output(prediction, data_type::DOUBLE, Some(1));
}

/// Chooses the label from the probabilities and declares both.
pub(crate) fn declare_classes(graph: &mut GraphBuilder, signature: &Signature, probabilities: &str) {
    let attributes = vec![Attribute::of_int("axis", 1), Attribute::of_int("keepdims", 0)];
    let chosen = graph.node("ArgMax", &[probabilities], attributes, "limn.chosen");
    let tensor = classes_tensor(&signature.classes);
    let elem_type = tensor.data_type;
    let classes = graph.constant(tensor, "limn.classes");
    let label = graph.node("Gather", &[&classes, &chosen], vec![Attribute::of_int("axis", 0)], LABEL);
    graph.output(&label, elem_type, None);
    graph.output(probabilities, data_type::DOUBLE, Some(signature.classes.len()));
}

/// Declares a clustering's outputs: the number of the chosen cluster, or -1 for none, and a number for each cluster.
pub(crate) fn declare_clusters(graph: &mut GraphBuilder, label: &str, probabilities: &str, clusters: usize) {
    graph.output(label, data_type::INT64, None);
    graph.output(probabilities, data_type::DOUBLE, Some(clusters));
}

/// Makes 1 for the chosen cluster and 0 for the others of clusters' numbers `[N]`.
pub(crate) fn indicate(graph: &mut GraphBuilder, label: &str, clusters: usize) -> String {
    let numbers: Vec<i64> = (0..clusters as i64).collect();
    let numbers = graph.constant(Tensor::of_int64s(&[1, clusters], &numbers), "limn.clusters");
    let axis = graph.constant(Tensor::of_int64s(&[1], &[1]), "limn.label_axis");
    let labels = graph.node("Unsqueeze", &[label, &axis], vec![], "limn.labels");
    let chosen = graph.node("Equal", &[&labels, &numbers], vec![], "limn.chosen");
    let to_double = vec![Attribute::of_int("to", i64::from(data_type::DOUBLE))];
    graph.node("Cast", &[&chosen], to_double, PROBABILITIES)
}

/// Declares an anomaly detector's outputs: -1 or 1, a whole number, and the score.
pub(crate) fn declare_anomaly(graph: &mut GraphBuilder, label: &str, score: &str) {
    graph.output(label, data_type::INT64, None);
    graph.output(score, data_type::DOUBLE, Some(1));
}

/// Declares a reduction's output.
pub(crate) fn declare_components(graph: &mut GraphBuilder, components: &str, width: usize) {
    graph.output(components, data_type::DOUBLE, Some(width));
}

fn classes_tensor(classes: &[ClassLabel]) -> Tensor {
    let dims = [classes.len()];
    let texts: Vec<&str> =
        classes.iter().filter_map(|c| if let ClassLabel::Text(v) = c { Some(v.as_str()) } else { None }).collect();
    let numbers: Vec<i64> =
        classes.iter().filter_map(|c| if let ClassLabel::BigInt(v) = c { Some(*v) } else { None }).collect();
    let flags: Vec<bool> =
        classes.iter().filter_map(|c| if let ClassLabel::Boolean(v) = c { Some(*v) } else { None }).collect();
    match classes.first() {
        Some(ClassLabel::Text(_)) => Tensor::of_strings(&dims, &texts),
        Some(ClassLabel::Boolean(_)) => Tensor::of_booleans(&dims, &flags),
        Some(ClassLabel::BigInt(_)) | None => Tensor::of_int64s(&dims, &numbers),
    }
}
