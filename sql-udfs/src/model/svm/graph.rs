//! Support vector machines as ONNX operators, written and read back.
//!
//! `SVMClassifier` and `SVMRegressor` of ai.onnx.ml compute in 32 bits, so the function is written out. Its parameters are
//! constants whose names say which function it is.

use super::{FAR, Function, Svm, TIE, pairs};
use crate::Result;
use crate::model::distances;
use crate::model::filled::{Filled, clip, finite};
use crate::model::onnx::builder::GraphBuilder;
use crate::model::onnx::tensor::data_type;
use crate::model::onnx::view::{GraphView, malformed};
use crate::model::onnx::{Attribute, Tensor};
use crate::model::outputs::{self, PREDICTION, PROBABILITIES};
use crate::model::signature::{Signature, Task};

const VECTORS: &str = "limn.vectors";
const RBF_GAMMA: &str = "limn.rbf.gamma";
const POLYNOMIAL: [&str; 3] = ["limn.polynomial.gamma", "limn.polynomial.coef0", "limn.polynomial.degree"];
const SIGMOID: [&str; 2] = ["limn.sigmoid.gamma", "limn.sigmoid.coef0"];
/// The greatest degree of a polynomial.
pub(crate) const DEGREE_MAX: u32 = 100;

/// Writes the model.
pub(super) fn write(model: &Svm, signature: &Signature, graph: &mut GraphBuilder) {
    let (vectors, sums) = (model.coefficients.len() / model.offsets.len(), model.offsets.len());
    let filled = model.filled.write(signature, graph);
    let alike = function(model, &filled, graph);
    let coefficients = graph.constant(Tensor::of_doubles(&[vectors, sums], &model.coefficients), "limn.coefficients");
    let offsets = graph.constant(Tensor::of_doubles(&[1, sums], &model.offsets), "limn.offsets");
    let product = graph.node("MatMul", &[&alike, &coefficients], vec![], "limn.product");
    match model.classes {
        0 => {
            let prediction = graph.node("Add", &[&product, &offsets], vec![], PREDICTION);
            outputs::declare_prediction(graph, &prediction);
        }
        2 => {
            let sum = graph.node("Add", &[&product, &offsets], vec![], "limn.sums");
            let signs = graph.constant(Tensor::of_doubles(&[1, 2], &[1.0, -1.0]), "limn.signs");
            let tie = graph.constant(Tensor::of_doubles(&[1, 2], &[TIE, 0.0]), "limn.tie");
            let both = graph.node("Mul", &[&sum, &signs], vec![], "limn.both");
            let scores = graph.node("Sub", &[&both, &tie], vec![], PROBABILITIES);
            outputs::declare_classes(graph, signature, &scores);
        }
        classes => {
            let sum = graph.node("Add", &[&product, &offsets], vec![], "limn.sums");
            let (mut changes, mut lost) = (vec![0.0; sums * classes], vec![0.0; classes]);
            for (number, (first, second)) in pairs(classes).enumerate() {
                changes[number * classes + first] = 1.0;
                changes[number * classes + second] = -1.0;
                lost[second] += 1.0;
            }
            let zero = graph.constant(Tensor::of_doubles(&[], &[0.0]), "limn.zero");
            let changes = graph.constant(Tensor::of_doubles(&[sums, classes], &changes), "limn.changes");
            let lost = graph.constant(Tensor::of_doubles(&[1, classes], &lost), "limn.lost");
            let won = graph.node("Greater", &[&sum, &zero], vec![], "limn.won");
            let to_double = vec![Attribute::of_int("to", i64::from(data_type::DOUBLE))];
            let won = graph.node("Cast", &[&won], to_double, "limn.ones");
            let changed = graph.node("MatMul", &[&won, &changes], vec![], "limn.changed");
            let votes = graph.node("Add", &[&changed, &lost], vec![], PROBABILITIES);
            outputs::declare_classes(graph, signature, &votes);
        }
    }
}

/// How alike each row is to each support vector, `[N, vectors]`.
fn function(model: &Svm, filled: &str, graph: &mut GraphBuilder) -> String {
    let width = model.filled.width();
    let scalar =
        |graph: &mut GraphBuilder, value: f64, name: &str| graph.constant(Tensor::of_doubles(&[], &[value]), name);
    if let Function::Rbf { gamma } = model.function {
        let distances = distances::write(graph, filled, &model.vectors, width, VECTORS);
        let gamma = scalar(graph, gamma, RBF_GAMMA);
        let weighed = graph.node("Mul", &[&distances, &gamma], vec![], "limn.weighed");
        let exponents = graph.node("Neg", &[&weighed], vec![], "limn.exponents");
        return graph.node("Exp", &[&exponents], vec![], "limn.alike");
    }
    let count = model.vectors.len() / width;
    let by_column: Vec<f64> =
        (0..width).flat_map(|column| model.vectors.iter().skip(column).step_by(width).copied()).collect();
    let vectors = graph.constant(Tensor::of_doubles(&[width, count], &by_column), VECTORS);
    let products = graph.node("MatMul", &[filled, &vectors], vec![], "limn.products");
    match model.function {
        Function::Linear | Function::Rbf { .. } => clip(graph, &products, FAR, "limn.alike"),
        Function::Polynomial { gamma, coef0, degree } => {
            let gamma = scalar(graph, gamma, POLYNOMIAL[0]);
            let coef0 = scalar(graph, coef0, POLYNOMIAL[1]);
            let degree = scalar(graph, f64::from(degree), POLYNOMIAL[2]);
            let weighed = graph.node("Mul", &[&products, &gamma], vec![], "limn.weighed");
            let base = graph.node("Add", &[&weighed, &coef0], vec![], "limn.base");
            let power = graph.node("Pow", &[&base, &degree], vec![], "limn.power");
            clip(graph, &power, FAR, "limn.alike")
        }
        Function::Sigmoid { gamma, coef0 } => {
            let gamma = scalar(graph, gamma, SIGMOID[0]);
            let coef0 = scalar(graph, coef0, SIGMOID[1]);
            let weighed = graph.node("Mul", &[&products, &gamma], vec![], "limn.weighed");
            let base = graph.node("Add", &[&weighed, &coef0], vec![], "limn.base");
            graph.node("Tanh", &[&base], vec![], "limn.alike")
        }
    }
}

/// Reads what [`write`] writes.
pub(crate) fn read(view: &GraphView<'_>, signature: &Signature) -> Result<Svm> {
    let filled = Filled::read(view, signature)?;
    let vectors = view.constant(VECTORS)?.doubles()?;
    let coefficients = view.constant("limn.coefficients")?.doubles()?;
    let offsets = view.constant("limn.offsets")?.doubles()?;
    let function = read_function(view)?;
    let (width, sums) = (filled.width(), offsets.len());
    let (classes, expected) = match signature.task {
        Task::Regression => (0, 1),
        Task::Classification => (signature.classes.len(), pairs(signature.classes.len()).count()),
        _ => return Err(malformed("expected a regression or a classification".to_owned())),
    };
    let count = vectors.len() / width.max(1);
    if sums != expected || count == 0 || vectors.len() != count * width || coefficients.len() != count * sums {
        return Err(malformed(format!("expected {expected} sums over support vectors of {width} columns")));
    }
    // Within these bounds no sum leaves the range of numbers.
    let bounded = |values: &[f64]| values.iter().all(|value| value.abs() <= FAR);
    if !bounded(&vectors) || !bounded(&coefficients) || !finite(&offsets) {
        return Err(malformed(format!("expected support vectors and weights of at most {FAR:e}")));
    }
    let vectors = match function.of_distance() {
        true => vectors,
        false => (0..count).flat_map(|at| vectors.iter().skip(at).step_by(count).copied()).collect(),
    };
    Ok(Svm { filled, vectors, coefficients, offsets, function, classes })
}

fn read_function(view: &GraphView<'_>) -> Result<Function> {
    let scalar = |name: &str| match view.constant(name)?.doubles()?.as_slice() {
        [value] if value.is_finite() => Ok(*value),
        _ => Err(malformed(format!("expected one finite number in `{name}`"))),
    };
    if view.constant(RBF_GAMMA).is_ok() {
        return Ok(Function::Rbf { gamma: scalar(RBF_GAMMA)? });
    }
    if view.constant(POLYNOMIAL[0]).is_ok() {
        let degree = scalar(POLYNOMIAL[2])?;
        if degree.fract() != 0.0 || !(0.0..=f64::from(DEGREE_MAX)).contains(&degree) {
            return Err(malformed(format!("expected a degree from 0 to {DEGREE_MAX}, found {degree}")));
        }
        let (gamma, coef0) = (scalar(POLYNOMIAL[0])?, scalar(POLYNOMIAL[1])?);
        return Ok(Function::Polynomial { gamma, coef0, degree: degree as u32 });
    }
    match view.constant(SIGMOID[0]) {
        Ok(_) => Ok(Function::Sigmoid { gamma: scalar(SIGMOID[0])?, coef0: scalar(SIGMOID[1])? }),
        Err(_) => Ok(Function::Linear),
    }
}
