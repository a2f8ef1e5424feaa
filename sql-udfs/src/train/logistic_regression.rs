//! `logistic_regression`: classes by the log-odds of weighted sums, with a penalty on the weights.
//!
//! The objective is scikit-learn's, `C · Σ loss + ½ |weights|²` on the features' own scale with a free intercept, so the
//! weights are too; it is minimised on standardised features, where it is well conditioned. Two classes have one sum,
//! more have one each (softmax). A fit that does not converge says so in its metrics.

use super::algorithm::{Algorithm, Context, Fitted};
use super::dense;
use super::logistic::{Problem, lbfgs, newton};
use super::parameter::{Default, Kind, Parameters, Specification};
use super::rows::Rows;
use crate::Result;
use crate::limits::NEWTON_UNKNOWNS_MAX;
use crate::model::linear::{Linear, Link};
use crate::model::signature::{Task, ValueType};

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
        name: "fit_intercept",
        kind: Kind::Boolean,
        default: Default::Boolean(true),
        doc: "whether the model has a constant term",
    },
    Specification {
        name: "max_iter",
        kind: Kind::Integer(1, 100_000),
        default: Default::Integer(100),
        doc: "steps after which the fit stops, converged or not",
    },
    Specification {
        name: "tol",
        kind: Kind::DoubleAbove(0.0),
        default: Default::Double(1e-8),
        doc: "the fit has converged when no part of the mean loss's gradient, on standardised features, is larger",
    },
];

/// Where a minimisation ended.
#[derive(Debug)]
pub(super) struct Minimum {
    /// The unknowns.
    pub at: Vec<f64>,
    /// Steps that were taken.
    pub iterations: usize,
    /// Whether the gradient became as small as it had to.
    pub converged: bool,
}

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

    fn fit(&self, rows: &Rows, context: &Context<'_>) -> Result<Fitted> {
        let problem = Problem::new(rows, context)?;
        let minimum = match problem.unknowns() <= NEWTON_UNKNOWNS_MAX {
            true => newton::minimise(&problem, context)?,
            false => lbfgs::minimise(&problem, context)?,
        };
        let metrics =
            vec![("converged", if minimum.converged { 1.0 } else { 0.0 }), ("iterations", minimum.iterations as f64)];
        Ok(Fitted::new(model(problem, &minimum.at), metrics))
    }
}

/// The model in the features' own units.
fn model(problem: Problem<'_>, at: &[f64]) -> Linear {
    let (mut weights, mut intercepts) = (Vec::new(), Vec::new());
    let link = if problem.sums() == 1 { Link::Logistic } else { Link::Softmax };
    for of_sum in at.chunks_exact(problem.unknowns_per_sum()) {
        let (scaled, intercept) = of_sum.split_at(problem.data.width());
        let own = problem.data.unscale(scaled);
        let offset = dense::dot(&own, &problem.data.centres);
        intercepts.push(intercept.first().copied().unwrap_or_default() - offset);
        weights.push(own);
    }
    Linear { means: problem.data.means, weights, intercepts, link }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kernel::Kernel;
    use crate::train::Value;
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

    /// The gradient of the objective, straight from its definition on the features' own scale.
    fn gradient(rows: &Rows, classes: usize, c: f64, model: &Linear) -> Vec<f64> {
        let codes = rows.target.classes().unwrap();
        let mut scores = vec![0.0; codes.len() * classes];
        model.score(&rows.columns(), &mut scores);
        let sums = model.intercepts.len();
        let mut gradient = Vec::new();
        for sum in 0..sums {
            let class = if sums == 1 { 1 } else { sum };
            let error = |i: usize| scores[i * classes + class] - if codes[i] as usize == class { 1.0 } else { 0.0 };
            for (column, weight) in rows.features.iter().zip(&model.weights[sum]) {
                gradient.push(c * (0..codes.len()).map(|i| error(i) * column[i]).sum::<f64>() + weight);
            }
            gradient.push(c * (0..codes.len()).map(error).sum::<f64>());
        }
        gradient
    }

    #[test]
    fn the_gradient_of_the_objective_vanishes_at_the_fit() {
        for (classes, c) in [(2, 1.0), (2, 0.01), (2, 100.0), (4, 1.0), (4, 10.0)] {
            let rows = rows(classes);
            let parameters = parameters(&LogisticRegression, &[("c", Value::Double(c))]);
            let workers = Workers::new(1).unwrap();
            let context = Context {
                parameters: &parameters,
                classes: classes as usize,
                seed: 0,
                columns: &[],
                workers: &workers,
                watch: &Patient,
            };
            let problem = Problem::new(&rows, &context).unwrap();
            let minimum = newton::minimise(&problem, &context).unwrap();
            assert!(minimum.converged && minimum.iterations < 20, "{minimum:?}");
            let fitted = model(problem, &minimum.at);
            for part in gradient(&rows, classes as usize, c, &fitted) {
                assert!(part.abs() < 1e-3 * c.max(1.0), "{classes} classes, c {c}: {part}");
            }
        }
    }

    #[test]
    fn both_ways_of_minimising_agree() {
        for classes in [2, 4] {
            let rows = rows(classes);
            let parameters = parameters(&LogisticRegression, &[("max_iter", Value::Integer(2000))]);
            let workers = Workers::new(1).unwrap();
            let context = Context {
                parameters: &parameters,
                classes: classes as usize,
                seed: 0,
                columns: &[],
                workers: &workers,
                watch: &Patient,
            };
            let problem = Problem::new(&rows, &context).unwrap();
            let (newton, lbfgs) =
                (newton::minimise(&problem, &context).unwrap(), lbfgs::minimise(&problem, &context).unwrap());
            assert!(lbfgs.converged, "{lbfgs:?}");
            for (a, b) in newton.at.iter().zip(&lbfgs.at) {
                assert!((a - b).abs() < 1e-5, "{newton:?}\n{lbfgs:?}");
            }
        }
    }

    #[test]
    fn a_fit_that_is_cut_short_says_so() {
        let rows = rows(2);
        let parameters = parameters(&LogisticRegression, &[("max_iter", Value::Integer(1))]);
        let workers = Workers::new(1).unwrap();
        let context =
            Context { parameters: &parameters, classes: 2, seed: 0, columns: &[], workers: &workers, watch: &Patient };
        let fitted = LogisticRegression.fit(&rows, &context).unwrap();
        let metrics: Vec<(&str, f64)> = fitted.metrics.iter().map(|m| (m.name.as_str(), m.value)).collect();
        assert_eq!(metrics, [("converged", 0.0), ("iterations", 1.0)]);
    }

    #[test]
    fn separable_and_constant_features_do_no_harm() {
        let features = vec![vec![1.0, 2.0, 3.0, 4.0], vec![7.0; 4], vec![1.0, 2.0, 3.0, 4.0]];
        let rows = Rows::new(features, Target::Classes(vec![0, 0, 1, 1]));
        let parameters = parameters(&LogisticRegression, &[("c", Value::Double(1e6))]);
        let workers = Workers::new(1).unwrap();
        let context =
            Context { parameters: &parameters, classes: 2, seed: 0, columns: &[], workers: &workers, watch: &Patient };
        let problem = Problem::new(&rows, &context).unwrap();
        let minimum = newton::minimise(&problem, &context).unwrap();
        assert!(minimum.converged, "{minimum:?}");
        let fitted = model(problem, &minimum.at);
        assert_eq!(fitted.weights[0][1], 0.0);
        assert!((fitted.weights[0][0] - fitted.weights[0][2]).abs() < 1e-6 * fitted.weights[0][0].abs());
        assert!((fitted.weights[0][0] * 5.0 + fitted.intercepts[0]).abs() < 1e-4, "{fitted:?}");
    }
}
