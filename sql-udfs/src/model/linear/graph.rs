//! Linear models as ONNX operators, written and read back.
//!
//! `Where(IsNaN(x), means, x) · weights + intercepts` in 64-bit floats: `LinearRegressor` and `LinearClassifier` of
//! ai.onnx.ml compute in 32 bits.

use super::{Linear, Link};
use crate::Result;
use crate::model::design::Design;
use crate::model::onnx::builder::GraphBuilder;
use crate::model::onnx::view::{GraphView, malformed};
use crate::model::onnx::{Attribute, Tensor};
use crate::model::outputs::{self, PREDICTION, PROBABILITIES};
use crate::model::signature::{Signature, Task};

/// By what log-odds are multiplied to become the scores of two classes.
const HALVES: [f64; 2] = [-0.5, 0.5];

/// The operator that tells a logarithmic link from none.
const EXP: &str = "Exp";

/// Writes the model.
pub(super) fn write(model: &Linear, signature: &Signature, graph: &mut GraphBuilder) {
    let (features, sums) = (model.means.len(), model.intercepts.len());
    let inputs = graph.design(&signature.features);
    let means = graph.constant(Tensor::of_doubles(&[1, features], &model.means), "limn.means");
    let mut missing = graph.node("IsNaN", &[&inputs], vec![], "limn.missing");
    let used = model.used();
    if used.contains(&false) {
        // Zero times infinity is no number: what has no weight counts as its mean, whatever it is.
        let unused: Vec<bool> = used.iter().map(|used| !used).collect();
        let unused = graph.constant(Tensor::of_booleans(&[1, features], &unused), "limn.unused");
        missing = graph.node("Or", &[&missing, &unused], vec![], "limn.not_taken");
    }
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
        Link::Exp => {
            let logarithm = add(graph, "limn.logarithm");
            let prediction = graph.node(EXP, &[&logarithm], vec![], PREDICTION);
            outputs::declare_prediction(graph, &prediction);
        }
        Link::Logistic => {
            // Softmax of minus and plus half the log-odds: unlike `1 - Sigmoid`, it keeps the digits of small probabilities.
            let log_odds = add(graph, "limn.log_odds");
            // Infinities have no difference, and so no softmax; the greatest numbers give the same probabilities.
            let least = graph.constant(Tensor::of_doubles(&[], &[f64::MIN]), "limn.least");
            let greatest = graph.constant(Tensor::of_doubles(&[], &[f64::MAX]), "limn.greatest");
            let log_odds = graph.node("Clip", &[&log_odds, &least, &greatest], vec![], "limn.finite");
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
    let means = view.constant("limn.means")?.doubles()?;
    let intercepts = view.constant("limn.intercepts")?.doubles()?;
    let weights = view.constant("limn.weights")?.doubles()?;
    let (sums, columns) = (intercepts.len(), Design::new(&signature.features).width());
    let link = match (signature.task, sums) {
        (Task::Regression, 1) if view.only_node(EXP).is_ok() => Link::Exp,
        (Task::Regression, 1) => Link::Identity,
        (Task::Classification, 1) if signature.classes.len() == 2 => Link::Logistic,
        (Task::Classification, _) if signature.classes.len() == sums => Link::Softmax,
        _ => return Err(malformed(format!("expected a sum for each class, found {sums}"))),
    };
    if means.len() != columns || weights.len() != columns * sums {
        return Err(malformed("expected a weight for each feature and class".to_owned()));
    }
    let weights = (0..sums).map(|sum| weights.iter().skip(sum).step_by(sums).copied().collect());
    Ok(Linear { weights: weights.collect(), means, intercepts, link })
}
