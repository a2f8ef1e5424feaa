//! `logistic_regression`: classes by the log-odds of weighted sums, with a penalty on the weights.
//!
//! The objective is scikit-learn's, `C · Σ loss + penalty` on the features' own scale with a free intercept, so the
//! weights are too; it is minimised on standardised features, where it is well conditioned. Two classes have one sum,
//! more have one each (softmax). A fit that does not converge says so in its metrics.

mod loss;

use self::loss::{Logistic, Softmax};
use super::Value;
use super::algorithm::{Algorithm, Context, Fitted};
use super::least_squares::finite;
use super::linear_regression::FIT_INTERCEPT;
use super::minimise::{Patience, minimise};
use super::parameter::{CLASS_WEIGHT, Default, Kind, MISSING_MEAN, Parameters, SAMPLE_WEIGHT, Specification};
use super::rows::Rows;
use super::sums::{Loss, Penalty, Problem};
use crate::model::linear::Link;
use crate::model::signature::{Task, ValueType};
use crate::{Error, Result};

/// The algorithm.
pub(crate) struct LogisticRegression;

static PARAMETERS: &[Specification] = &[
    Specification {
        name: "c",
        kind: Kind::DoubleAbove(0.0),
        default: Default::Double(1.0),
        doc: "the weight of the data against the penalty on the weights: the smaller, the stronger the penalty",
    },
    Specification {
        name: "penalty",
        kind: Kind::Choice(&["l2", "l1", "elasticnet", "none"]),
        default: Default::Text("l2"),
        doc: "what weights cost: half their squares ('l2'), their absolute values ('l1'), a mixture, or nothing",
    },
    Specification {
        name: "l1_ratio",
        kind: Kind::DoubleBetween(0.0, 1.0),
        default: Default::Null,
        doc: "the share of the absolute values in the penalty 'elasticnet', 0.5 where it is not given",
    },
    FIT_INTERCEPT,
    MAX_ITER,
    TOL,
    SAMPLE_WEIGHT,
    CLASS_WEIGHT,
    MISSING_MEAN,
];

/// `max_iter`, for the algorithms that minimise step by step.
pub(super) const MAX_ITER: Specification = Specification {
    name: "max_iter",
    kind: Kind::Integer(1, 100_000),
    default: Default::Integer(100),
    doc: "steps after which the fit stops, converged or not",
};

/// `tol`, for the algorithms that minimise step by step.
pub(super) const TOL: Specification = Specification {
    name: "tol",
    kind: Kind::DoubleAbove(0.0),
    default: Default::Double(1e-8),
    doc: "the fit has converged when no part of the mean loss's gradient, on standardised features, is larger",
};

impl Algorithm for LogisticRegression {
    fn name(&self) -> &'static str {
        "logistic_regression"
    }

    fn doc(&self) -> &'static str {
        "classes by the log-odds of weighted sums of the features"
    }

    fn parameters(&self) -> &'static [Specification] {
        PARAMETERS
    }

    fn task(&self, target: ValueType, _parameters: &Parameters) -> std::result::Result<Task, &'static str> {
        match target {
            ValueType::Boolean | ValueType::Text | ValueType::BigInt => Ok(Task::Classification),
            _ => Err("BOOLEAN, TEXT or BIGINT"),
        }
    }

    fn settle(&self, parameters: &mut Parameters, _task: Task) -> Result<()> {
        let mixed = parameters.text("penalty") == Some("elasticnet");
        if !mixed && parameters.number("l1_ratio").is_some() {
            let found = parameters.text("penalty").unwrap_or_default();
            return Err(Error::input(format!(
                "parameter `l1_ratio` of logistic_regression: expected penalty = 'elasticnet' beside it, found '{found}'"
            )));
        }
        if mixed {
            parameters.settle("l1_ratio", Value::Double(0.5));
        }
        Ok(())
    }

    fn fit(&self, rows: &Rows, context: &Context<'_>) -> Result<Fitted> {
        let codes = rows.target.classes()?;
        match context.classes {
            2 => fit(rows, Logistic { codes }, Link::Logistic, context),
            classes => fit(rows, Softmax { codes, classes }, Link::Softmax, context),
        }
    }
}

fn fit(rows: &Rows, loss: impl Loss, link: Link, context: &Context<'_>) -> Result<Fitted> {
    let problem = problem(rows, loss, context)?;
    let patience = Patience {
        iterations_max: context.parameters.integer(MAX_ITER.name).unwrap_or(usize::MAX),
        tolerance: context.parameters.double(TOL.name),
    };
    let minimum = minimise(&problem, patience, context)?;
    let model = finite(problem.model(&minimum.at, link))?;
    Ok(Fitted { kernel: Box::new(model), metrics: minimum.metrics(1.0) })
}

fn problem<'a, L: Loss>(rows: &'a Rows, loss: L, context: &Context<'_>) -> Result<Problem<'a, L>> {
    let parameters = context.parameters;
    let ratio = match parameters.text("penalty") {
        Some("l1") => 1.0,
        Some("elasticnet") => parameters.number("l1_ratio").unwrap_or(0.5),
        _ => 0.0,
    };
    let total = rows.weights.as_ref().map_or(rows.len() as f64, |weights| weights.iter().sum());
    let strength = match parameters.text("penalty") {
        Some("none") => 0.0,
        _ => 1.0 / (parameters.double("c") * total),
    };
    let penalty = Penalty { squared: strength * (1.0 - ratio), absolute: strength * ratio };
    Problem::new(rows, loss, parameters.boolean(FIT_INTERCEPT.name).then_some(0.0), penalty, context)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kernel::Kernel;
    use crate::model::linear::Linear;
    use crate::train::rows::Rows;
    use crate::train::target::Target;
    use crate::train::testing::{Patient, parameters};
    use crate::train::workers::Workers;

    /// A small data set without separation: one feature near 1, one near 1000.
    fn rows(classes: u32) -> Rows {
        let n = 60_u32;
        let a: Vec<f64> = (0..n).map(|i| f64::from(i * 7 % 13) / 6.0).collect();
        let b: Vec<f64> = (0..n).map(|i| 1000.0 + f64::from(i * 5 % 11)).collect();
        let codes = (0..n).map(|i| (i * 7 % 13 + i * i % 5) * classes / 17).collect();
        Rows::new(vec![a, b], Target::Classes(codes))
    }

    /// The model, whether the fit converged, and its iterations.
    fn fitted(rows: &Rows, classes: usize, given: &[(&str, Value)]) -> (Linear, bool, f64) {
        let parameters = parameters(&LogisticRegression, given);
        let workers = Workers::new(2).unwrap();
        let context =
            Context { parameters: &parameters, classes, seed: 0, columns: &[], workers: &workers, watch: &Patient };
        let codes = rows.target.classes().unwrap();
        let metrics = LogisticRegression.fit(rows, &context).unwrap().metrics;
        let metric = |name: &str| metrics.iter().find(|m| m.name == name).unwrap().value;
        let patience = Patience { iterations_max: 1000, tolerance: parameters.double("tol") };
        let model = match classes {
            2 => {
                let problem = problem(rows, Logistic { codes }, &context).unwrap();
                let minimum = minimise(&problem, patience, &context).unwrap();
                problem.model(&minimum.at, Link::Logistic)
            }
            _ => {
                let problem = problem(rows, Softmax { codes, classes }, &context).unwrap();
                let minimum = minimise(&problem, patience, &context).unwrap();
                problem.model(&minimum.at, Link::Softmax)
            }
        };
        (model, metric("converged") == 1.0, metric("iterations"))
    }

    /// The gradient of the loss, straight from its definition on the features' own scale: for each sum a part for each
    /// weight, and then one for the intercept.
    fn gradient(rows: &Rows, classes: usize, model: &Linear) -> Vec<Vec<f64>> {
        let codes = rows.target.classes().unwrap();
        let mut scores = vec![0.0; codes.len() * classes];
        model.score(&rows.columns(), &mut scores);
        let sums = model.intercepts.len();
        let of_sum = |sum: usize| {
            let class = if sums == 1 { 1 } else { sum };
            let error = |i: usize| scores[i * classes + class] - if codes[i] as usize == class { 1.0 } else { 0.0 };
            let product =
                |x: &dyn Fn(usize) -> f64| (0..codes.len()).map(|i| rows.weight(i) * error(i) * x(i)).sum::<f64>();
            let mut parts: Vec<f64> = rows.features.iter().map(|column| product(&|i| column[i])).collect();
            parts.push(product(&|_| 1.0));
            parts
        };
        (0..sums).map(of_sum).collect()
    }

    #[test]
    fn the_gradient_of_the_objective_vanishes_at_the_fit() {
        for (classes, c) in [(2, 1.0), (2, 0.01), (2, 100.0), (4, 1.0), (4, 10.0)] {
            for weights in [None, Some((0..60).map(|i| f64::from(i % 4)).collect())] {
                let rows = Rows { weights, ..rows(classes) };
                let (model, converged, iterations) = fitted(&rows, classes as usize, &[("c", Value::Double(c))]);
                assert!(converged && iterations < 20.0, "{iterations}");
                for (sum, parts) in gradient(&rows, classes as usize, &model).iter().enumerate() {
                    for (feature, part) in parts.iter().enumerate() {
                        let penalty = model.weights[sum].get(feature).copied().unwrap_or_default();
                        assert!((c * part + penalty).abs() < 1e-3 * c.max(1.0), "{classes} classes, c {c}: {part}");
                    }
                }
            }
        }
    }

    #[test]
    fn absolute_weights_cost_what_the_gradient_holds() {
        for (classes, c, penalty, ratio) in
            [(2, 1.0, "l1", 1.0), (2, 0.05, "l1", 1.0), (4, 0.3, "l1", 1.0), (2, 0.2, "elasticnet", 0.7)]
        {
            let rows = rows(classes);
            let mut given = vec![("c", Value::Double(c)), ("penalty", Value::Text(penalty.into()))];
            if penalty == "elasticnet" {
                given.push(("l1_ratio", Value::Double(ratio)));
            }
            let (model, converged, _) = fitted(&rows, classes as usize, &given);
            assert!(converged);
            for (sum, parts) in gradient(&rows, classes as usize, &model).iter().enumerate() {
                for (part, weight) in parts.iter().zip(&model.weights[sum]) {
                    let smooth = c * part + (1.0 - ratio) * weight;
                    match *weight == 0.0 {
                        true => assert!(smooth.abs() <= ratio + 1e-4, "{smooth}"),
                        false => assert!((smooth + ratio * weight.signum()).abs() < 1e-3, "{smooth} {weight}"),
                    }
                }
                assert!(parts.last().unwrap().abs() < 1e-5);
            }
        }
        // So strong a penalty leaves nothing but the classes' shares.
        let (model, _, _) = fitted(&rows(2), 2, &[("c", Value::Double(1e-4)), ("penalty", Value::Text("l1".into()))]);
        assert_eq!(model.weights, [[0.0, 0.0]]);
        let codes = rows(2).target.classes().unwrap().to_vec();
        let positive = codes.iter().filter(|code| **code == 1).count() as f64;
        let odds = positive / (codes.len() as f64 - positive);
        assert!((model.intercepts[0] - odds.ln()).abs() < 1e-7);
    }

    #[test]
    fn without_a_penalty_the_mean_prediction_of_each_class_is_its_share() {
        let rows = rows(4);
        let (model, converged, _) = fitted(&rows, 4, &[("penalty", Value::Text("none".into()))]);
        assert!(converged);
        assert!(gradient(&rows, 4, &model).iter().flatten().all(|part| part.abs() < 1e-3));
        // Of all weights that give the same probabilities, those that add up to nothing.
        for feature in 0..2 {
            assert!(model.weights.iter().map(|weights| weights[feature]).sum::<f64>().abs() < 1e-9);
        }
    }

    #[test]
    fn a_fit_that_is_cut_short_says_so() {
        let (_, converged, iterations) = fitted(&rows(2), 2, &[("max_iter", Value::Integer(1))]);
        assert_eq!((converged, iterations), (false, 1.0));
    }

    #[test]
    fn a_ratio_needs_a_mixture() {
        let mut parameters = parameters(&LogisticRegression, &[("l1_ratio", Value::Double(0.5))]);
        assert!(LogisticRegression.settle(&mut parameters, Task::Classification).is_err());
    }

    #[test]
    fn separable_and_constant_features_do_no_harm() {
        let features = vec![vec![1.0, 2.0, 3.0, 4.0], vec![7.0; 4], vec![1.0, 2.0, 3.0, 4.0]];
        let rows = Rows::new(features, Target::Classes(vec![0, 0, 1, 1]));
        let (model, converged, _) = fitted(&rows, 2, &[("c", Value::Double(1e6))]);
        assert!(converged);
        assert_eq!(model.weights[0][1], 0.0);
        assert!((model.weights[0][0] - model.weights[0][2]).abs() < 1e-6 * model.weights[0][0].abs());
        assert!((model.weights[0][0] * 5.0 + model.intercepts[0]).abs() < 1e-4, "{model:?}");
    }
}
