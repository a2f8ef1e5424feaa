//! The outputs that every graph of ours declares: `prediction`, or `label` and `probabilities`.
//!
//! Writing and reading are side by side, so that they stay mirror images. It knows nothing of how scores come about.

use super::onnx::builder::GraphBuilder;
use super::onnx::tensor::data_type;
use super::onnx::view::{GraphView, malformed};
use super::onnx::{Attribute, Tensor};
use super::signature::{ClassLabel, Signature, Task};
use crate::Result;

/// Names a regressor's output, `[N, 1]`.
pub(crate) const PREDICTION: &str = "prediction";
/// Names a classifier's probabilities, `[N, classes]`.
pub(crate) const PROBABILITIES: &str = "probabilities";
/// Names a classifier's chosen class, `[N]`.
const LABEL: &str = "label";

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

/// The value from which the model's own part of the graph is read backwards: the prediction or the probabilities.
pub(crate) fn scores<'a>(view: &GraphView<'a>, task: Task) -> Result<&'a str> {
    match (task, view.outputs().as_slice()) {
        (Task::Regression, [prediction]) => Ok(prediction),
        (Task::Classification, [label, probabilities]) => {
            let [_, chosen] = view.inputs_of::<2>(label, "Gather")?;
            let [chosen_from] = view.inputs_of::<1>(chosen, "ArgMax")?;
            match chosen_from == *probabilities {
                true => Ok(probabilities),
                false => Err(malformed("expected the label to be the likeliest class".to_owned())),
            }
        }
        (_, outputs) => Err(malformed(format!("expected the outputs of a {task:?} model, found {}", outputs.len()))),
    }
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
