//! Gaussian naive Bayes as ONNX operators, written and read back.
//!
//! `Softmax(offsets - ½ · Σ ((x - centre) · inverse)²)`, with rows, classes and columns as axes: no product of matrices,
//! which would square a mean and a value apart and lose the digits of their difference.

use super::GaussianNb;
use crate::Result;
use crate::model::filled::{FAR, Filled, clip, finite};
use crate::model::onnx::builder::GraphBuilder;
use crate::model::onnx::view::{GraphView, malformed};
use crate::model::onnx::{Attribute, Tensor};
use crate::model::outputs::{self, PROBABILITIES};
use crate::model::signature::{Signature, Task};

/// Writes the model.
pub(super) fn write(model: &GaussianNb, signature: &Signature, graph: &mut GraphBuilder) {
    let (classes, width) = (model.offsets.len(), model.filled.width());
    let filled = model.filled.write(signature, graph);
    let middle = graph.constant(Tensor::of_int64s(&[1], &[1]), "limn.middle");
    let last = graph.constant(Tensor::of_int64s(&[1], &[2]), "limn.last");
    let centres = graph.constant(Tensor::of_doubles(&[1, classes, width], &model.centres), "limn.centres");
    let inverses = graph.constant(Tensor::of_doubles(&[1, classes, width], &model.inverses), "limn.inverses");
    let offsets = graph.constant(Tensor::of_doubles(&[1, classes], &model.offsets), "limn.offsets");
    let half = graph.constant(Tensor::of_doubles(&[], &[-0.5]), "limn.half");
    let rows = graph.node("Unsqueeze", &[&filled, &middle], vec![], "limn.rows");
    let apart = graph.node("Sub", &[&rows, &centres], vec![], "limn.apart");
    let deviations = graph.node("Mul", &[&apart, &inverses], vec![], "limn.deviations");
    let deviations = clip(graph, &deviations, FAR, "limn.bounded");
    let squares = graph.node("Mul", &[&deviations, &deviations], vec![], "limn.squares");
    let sums = graph.node("ReduceSum", &[&squares, &last], vec![Attribute::of_int("keepdims", 0)], "limn.sums");
    let halves = graph.node("Mul", &[&sums, &half], vec![], "limn.halves");
    let scores = graph.node("Add", &[&halves, &offsets], vec![], "limn.scores");
    let probabilities = graph.node("Softmax", &[&scores], vec![Attribute::of_int("axis", 1)], PROBABILITIES);
    outputs::declare_classes(graph, signature, &probabilities);
}

/// Reads what [`write`] writes.
pub(crate) fn read(view: &GraphView<'_>, signature: &Signature) -> Result<GaussianNb> {
    let filled = Filled::read(view, signature)?;
    let centres = view.constant("limn.centres")?.doubles()?;
    let inverses = view.constant("limn.inverses")?.doubles()?;
    let offsets = view.constant("limn.offsets")?.doubles()?;
    let classes = signature.classes.len();
    let numbers = classes * filled.width();
    if signature.task != Task::Classification || offsets.len() != classes || centres.len() != numbers {
        return Err(malformed(format!("expected a distribution for each of {classes} classes")));
    }
    // A share of 0 has the logarithm -inf; nothing is ever NaN.
    let odd = offsets.iter().any(|offset| offset.is_nan()) || !finite(&centres) || !finite(&inverses);
    match inverses.len() == numbers && !odd {
        true => Ok(GaussianNb { filled, centres, inverses, offsets }),
        false => Err(malformed("expected a finite mean and spread for each class and column".to_owned())),
    }
}
