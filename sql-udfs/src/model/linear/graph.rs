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
    &["Concat", "IsNaN", "Where", "MatMul", "Add", "Neg", "Sigmoid", "Softmax", "ArgMax", "Gather"];

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
            let second = add(graph, "limn.log_odds");
            let first = graph.node("Neg", &[&second], vec![], "limn.log_odds_first");
            let both = graph.node("Concat", &[&first, &second], vec![Attribute::of_int("axis", 1)], "limn.both");
            let probabilities = graph.node("Sigmoid", &[&both], vec![], PROBABILITIES);
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
    let (sums, link) = match (signature.task, view.operator_of(scores)) {
        (Task::Regression, _) => (scores, Link::Identity),
        (Task::Classification, "Sigmoid") => {
            let [both] = view.inputs_of::<1>(scores, "Sigmoid")?;
            let [first, second] = view.inputs_of::<2>(both, "Concat")?;
            let [negated] = view.inputs_of::<1>(first, "Neg")?;
            match negated == second {
                true => (second, Link::Logistic),
                false => return Err(malformed("expected the log-odds of one class to negate the other's".to_owned())),
            }
        }
        (Task::Classification, _) => (view.inputs_of::<1>(scores, "Softmax")?[0], Link::Softmax),
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
