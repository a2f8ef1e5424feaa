//! Linear models as ONNX operators, written and recognised.
//!
//! `Where(IsNaN(x), means, x) · weights + intercepts` in 64-bit floats: `LinearRegressor` and `LinearClassifier` of
//! ai.onnx.ml compute in 32 bits.

use super::{Linear, Link};
use crate::Result;
use crate::model::onnx::builder::GraphBuilder;
use crate::model::onnx::view::{GraphView, malformed};
use crate::model::onnx::{Attribute, Tensor};
use crate::model::outputs::{self, PREDICTION, PROBABILITIES};
use crate::model::signature::{Signature, Task};

/// The operators that a linear model may have.
pub(crate) const OPERATORS: &[&str] =
    &["Concat", "IsNaN", "Where", "MatMul", "Add", "Mul", "Softmax", "ArgMax", "Gather"];

/// By what log-odds are multiplied to become the scores of two classes.
const HALVES: [f64; 2] = [-0.5, 0.5];

/// Writes the model.
pub(super) fn write(model: &Linear, signature: &Signature, graph: &mut GraphBuilder) {
    let (features, sums) = (model.means.len(), model.intercepts.len());
    let inputs = graph.concatenated_inputs();
    let means = graph.constant(Tensor::of_doubles(&[1, features], &model.means), "limn.means");
    let missing = graph.node("IsNaN", &[&inputs], vec![], "limn.missing");
    let known = graph.node("Where", &[&missing, &means, &inputs], vec![], "limn.known");
    let by_feature: Vec<f64> =
        (0..features).flat_map(|feature| model.weights.iter().map(move |weights| weights[feature])).collect();
    let weights = graph.constant(Tensor::of_doubles(&[features, sums], &by_feature), "limn.weights");
    let intercepts = graph.constant(Tensor::of_doubles(&[sums], &model.intercepts), "limn.intercepts");
    let product = graph.node("MatMul", &[&known, &weights], vec![], "limn.product");
    let add = |graph: &mut GraphBuilder, name: &str| graph.node("Add", &[&product, &intercepts], vec![], name);
    match model.link {
        Link::Identity => {
            let prediction = add(graph, PREDICTION);
            outputs::declare_prediction(graph, &prediction);
        }
        Link::Logistic => {
            // Softmax of minus and plus half the log-odds: unlike `1 - Sigmoid`, it keeps the digits of small probabilities.
            let log_odds = add(graph, "limn.log_odds");
            let halves = graph.constant(Tensor::of_doubles(&[1, 2], &HALVES), "limn.halves");
            let both = graph.node("Mul", &[&log_odds, &halves], vec![], "limn.scores");
            let probabilities = graph.node("Softmax", &[&both], vec![Attribute::of_int("axis", 1)], PROBABILITIES);
            outputs::declare_classes(graph, signature, &probabilities);
        }
        Link::Softmax => {
            let scores = add(graph, "limn.scores");
            let probabilities = graph.node("Softmax", &[&scores], vec![Attribute::of_int("axis", 1)], PROBABILITIES);
            outputs::declare_classes(graph, signature, &probabilities);
        }
    }
}

/// Reads what [`write`] writes.
pub(crate) fn read(view: &GraphView<'_>, signature: &Signature) -> Result<Linear> {
    let scores = outputs::scores(view, signature.task)?;
    let (sums, link) = match signature.task {
        Task::Regression => (scores, Link::Identity),
        Task::Classification => {
            let [classes] = view.inputs_of::<1>(scores, "Softmax")?;
            match view.operator_of(classes) {
                "Mul" => (log_odds(view, classes)?, Link::Logistic),
                _ => (classes, Link::Softmax),
            }
        }
    };
    let [product, intercepts] = view.inputs_of::<2>(sums, "Add")?;
    let [known, weights] = view.inputs_of::<2>(product, "MatMul")?;
    let [missing, means, inputs] = view.inputs_of::<3>(known, "Where")?;
    let [tested] = view.inputs_of::<1>(missing, "IsNaN")?;
    let features: Vec<&str> = view.node(inputs, "Concat")?.inputs.iter().map(String::as_str).collect();
    if tested != inputs || features != view.inputs() {
        return Err(malformed("expected a missing feature to be replaced by its mean".to_owned()));
    }
    let means = view.constant(means)?.doubles()?;
    let intercepts = view.constant(intercepts)?.doubles()?;
    let weights = view.constant(weights)?.doubles()?;
    let sums_expected = match link {
        Link::Identity | Link::Logistic => 1,
        Link::Softmax => signature.classes.len(),
    };
    let features = signature.features.len();
    let fits =
        means.len() == features && intercepts.len() == sums_expected && weights.len() == features * sums_expected;
    if !fits || (link == Link::Logistic && signature.classes.len() != 2) {
        return Err(malformed("expected a weight for each feature and class".to_owned()));
    }
    let weights = (0..sums_expected).map(|sum| weights.iter().skip(sum).step_by(sums_expected).copied().collect());
    Ok(Linear { weights: weights.collect(), means, intercepts, link })
}

/// The log-odds of which `value` has the halves.
fn log_odds<'a>(view: &GraphView<'a>, value: &str) -> Result<&'a str> {
    let [log_odds, halves] = view.inputs_of::<2>(value, "Mul")?;
    match view.constant(halves)?.doubles()? == HALVES {
        true => Ok(log_odds),
        false => Err(malformed("expected the scores of two classes to be halves of the log-odds".to_owned())),
    }
}
