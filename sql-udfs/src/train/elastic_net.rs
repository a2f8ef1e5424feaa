//! `lasso` and `elastic_net`: least squares with a penalty on absolute weights, which makes many of them zero.
//!
//! The objective is scikit-learn's, `½ mean squared error + alpha (l1_ratio |w| + ½ (1 - l1_ratio) |w|²)` in the features'
//! own units. It is minimised coordinate by coordinate on the products of standardised features; once the features with
//! weights are found, their system is solved, and the result is exact where the optimum's conditions hold.

mod descent;

use self::descent::{Descent, Prices};
use super::algorithm::{Algorithm, Context, Fitted};
use super::least_squares::LeastSquares;
use super::linear_regression::{FIT_INTERCEPT, regression};
use super::parameter::{Default, Kind, MISSING_MEAN, Parameters, SAMPLE_WEIGHT, Specification};
use super::rows::Rows;
use crate::Result;
use crate::model::signature::{Task, ValueType};

/// Absolute weights cost.
pub(crate) struct Lasso;

/// Absolute and squared weights cost.
pub(crate) struct ElasticNet;

const ALPHA: Specification = Specification {
    name: "alpha",
    kind: Kind::DoubleFrom(0.0),
    default: Default::Double(1.0),
    doc: "what the penalty on the weights is multiplied by, beside half the mean squared error",
};

const L1_RATIO: Specification = Specification {
    name: "l1_ratio",
    kind: Kind::DoubleBetween(0.0, 1.0),
    default: Default::Double(0.5),
    doc: "the share of the absolute weights in the penalty; the rest is half the squared weights'",
};

const MAX_ITER: Specification = Specification {
    name: "max_iter",
    kind: Kind::Integer(1, 1_000_000),
    default: Default::Integer(1000),
    doc: "rounds over the features after which the fit stops, converged or not",
};

const TOL: Specification = Specification {
    name: "tol",
    kind: Kind::DoubleAbove(0.0),
    default: Default::Double(1e-4),
    doc: "the fit has converged when the duality gap is at most this share of the target's sum of squares; it is then \
          made exact where it can be",
};

const POSITIVE: Specification = Specification {
    name: "positive",
    kind: Kind::Boolean,
    default: Default::Boolean(false),
    doc: "whether all weights are to be at least 0",
};

static LASSO: &[Specification] = &[ALPHA, FIT_INTERCEPT, MAX_ITER, TOL, POSITIVE, SAMPLE_WEIGHT, MISSING_MEAN];

static ELASTIC_NET: &[Specification] =
    &[ALPHA, L1_RATIO, FIT_INTERCEPT, MAX_ITER, TOL, POSITIVE, SAMPLE_WEIGHT, MISSING_MEAN];

impl Algorithm for Lasso {
    fn name(&self) -> &'static str {
        "lasso"
    }

    fn doc(&self) -> &'static str {
        "a weighted sum of few features: least squared error with a penalty on absolute weights"
    }

    fn parameters(&self) -> &'static [Specification] {
        LASSO
    }

    fn task(&self, target: ValueType, _parameters: &Parameters) -> std::result::Result<Task, &'static str> {
        regression(target)
    }

    fn fit(&self, rows: &Rows, context: &Context<'_>) -> Result<Fitted> {
        fit(rows, 1.0, context)
    }
}

impl Algorithm for ElasticNet {
    fn name(&self) -> &'static str {
        "elastic_net"
    }

    fn doc(&self) -> &'static str {
        "a weighted sum of the features: least squared error with a penalty on absolute and on squared weights"
    }

    fn parameters(&self) -> &'static [Specification] {
        ELASTIC_NET
    }

    fn task(&self, target: ValueType, _parameters: &Parameters) -> std::result::Result<Task, &'static str> {
        regression(target)
    }

    fn fit(&self, rows: &Rows, context: &Context<'_>) -> Result<Fitted> {
        fit(rows, context.parameters.double(L1_RATIO.name), context)
    }
}

fn fit(rows: &Rows, ratio: f64, context: &Context<'_>) -> Result<Fitted> {
    let parameters = context.parameters;
    let total: f64 = rows.weights.as_ref().map_or(rows.len() as f64, |weights| weights.iter().sum());
    // Sums take the place of means: everything is multiplied by the rows.
    let alpha = parameters.double(ALPHA.name) * total;
    let squared = alpha * (1.0 - ratio);
    let problem = LeastSquares::new(rows, parameters.boolean(FIT_INTERCEPT.name), squared, context)?;
    let absolute = alpha * ratio * problem.target_unit();
    let prices = Prices {
        absolute: (0..problem.data.width()).map(|i| problem.data.absolute_cost(i, absolute)).collect(),
        squared: problem.penalties(squared),
        positive: parameters.boolean(POSITIVE.name),
    };
    let descent = Descent { problem: &problem, prices: &prices, context };
    let tolerance = parameters.double(TOL.name);
    let found = descent.run(parameters.integer(MAX_ITER.name).unwrap_or(usize::MAX), tolerance)?;
    let metrics = vec![("converged", if found.converged { 1.0 } else { 0.0 }), ("iterations", found.rounds as f64)];
    Ok(Fitted::new(problem.model(&found.weights)?, metrics))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::linear::Linear;
    use crate::train::Value;
    use crate::train::random::uniform;
    use crate::train::target::Target;
    use crate::train::testing::{fit_on, parameters};
    use crate::train::workers::Workers;

    /// Features that go along with each other, of which few make the target.
    fn rows(n: usize, width: usize) -> Rows {
        let number = |row: usize, column: usize| uniform(column as u64, row as u64) - 0.5;
        let mut features: Vec<Vec<f64>> = Vec::new();
        for column in 0..width {
            let scale = [1.0, 50.0, 0.02][column % 3];
            let before = |row: usize| if column % 4 == 3 { features[column - 1][row] } else { 0.0 };
            features.push((0..n).map(|row| scale * (number(row, column) + 3.0) + 0.5 * before(row)).collect());
        }
        let target = (0..n).map(|row| {
            40.0 + 3.0 * features[0][row] - 0.1 * features[1 % width][row]
                + 20.0 * features[2 % width][row]
                + number(row, 999)
        });
        let target = target.collect();
        Rows::new(features, Target::Numbers(target))
    }

    fn linear(algorithm: &dyn Algorithm, rows: &Rows, given: &[(&str, Value)]) -> (Linear, bool) {
        let parameters = parameters(algorithm, given);
        let fitted = fit_on(&Workers::new(2).unwrap(), algorithm, rows, 0, &parameters).unwrap();
        let (mut weights, mut out) = (Vec::new(), [0.0]);
        let mut at = |point: Vec<f64>| {
            let columns: Vec<Vec<f64>> = point.into_iter().map(|value| vec![value]).collect();
            fitted.kernel.score(&columns.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut out);
            out[0]
        };
        let width = rows.features.len();
        let intercept = at(vec![0.0; width]);
        for i in 0..width {
            weights.push(at((0..width).map(|j| if i == j { 1.0 } else { 0.0 }).collect()) - intercept);
        }
        let link = crate::model::linear::Link::Identity;
        let converged = fitted.metrics.iter().any(|m| m.name == "converged" && m.value == 1.0);
        (Linear { means: vec![0.0; width], weights: vec![weights], intercepts: vec![intercept], link }, converged)
    }

    /// The optimum's conditions, from the definition of the objective.
    fn check(rows: &Rows, model: &Linear, alpha: f64, ratio: f64, positive: bool) {
        let target = rows.target.numbers().unwrap();
        let total: f64 = (0..rows.len()).map(|row| rows.weight(row)).sum();
        let residual = |row: usize| {
            let sum: f64 = rows.features.iter().zip(&model.weights[0]).map(|(column, w)| column[row] * w).sum();
            target[row] - sum - model.intercepts[0]
        };
        let mean = |values: &dyn Fn(usize) -> f64| {
            (0..rows.len()).map(|row| rows.weight(row) * residual(row) * values(row)).sum::<f64>() / total
        };
        assert!(mean(&|_| 1.0).abs() < 1e-9);
        for (column, weight) in rows.features.iter().zip(&model.weights[0]) {
            let largest = column.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
            let descent = mean(&|row| column[row]) - alpha * (1.0 - ratio) * weight;
            // What is read off as a difference of predictions is rounded: nothing below this is a weight.
            match weight.abs() * largest < 1e-10 {
                true if positive => assert!(descent <= alpha * ratio + 1e-8 * largest, "{descent}"),
                true => assert!(descent.abs() <= alpha * ratio + 1e-8 * largest, "{descent}"),
                false => {
                    assert!((descent - alpha * ratio * weight.signum()).abs() < 1e-8 * largest, "{descent} {weight}");
                    assert!(!positive || *weight > 0.0);
                }
            }
        }
    }

    #[test]
    fn the_conditions_of_the_optimum_hold() {
        for (n, width) in [(100, 8), (300, 40), (30, 50)] {
            let rows = rows(n, width);
            for alpha in [0.0001, 0.01, 0.3] {
                let given = [("alpha", Value::Double(alpha)), ("max_iter", Value::Integer(100_000))];
                let (model, converged) = linear(&Lasso, &rows, &given);
                assert!(converged, "{n} {width} {alpha}");
                check(&rows, &model, alpha, 1.0, false);
                for ratio in [0.2, 0.9] {
                    let given = [given.as_slice(), &[("l1_ratio", Value::Double(ratio))]].concat();
                    let (model, converged) = linear(&ElasticNet, &rows, &given);
                    assert!(converged);
                    check(&rows, &model, alpha, ratio, false);
                }
            }
        }
    }

    #[test]
    fn weights_of_rows_and_positive_weights() {
        let rows = rows(100, 12);
        let weighted = Rows { weights: Some((0..100).map(|row| f64::from(row % 3)).collect()), ..rows };
        for positive in [false, true] {
            let given = [("alpha", Value::Double(0.02)), ("positive", Value::Boolean(positive))];
            let (model, converged) = linear(&ElasticNet, &weighted, &given);
            assert!(converged);
            check(&weighted, &model, 0.02, 0.5, positive);
        }
    }

    #[test]
    fn a_single_feature_by_hand() {
        // Mean 2.5, Sxx / n = 1.25, Sxy / n = 1.75: the weight is (1.75 - alpha) / 1.25 of a lasso.
        let rows = Rows::new(vec![vec![1.0, 2.0, 3.0, 4.0]], Target::Numbers(vec![6.0, 5.0, 7.0, 10.0]));
        let (model, _) = linear(&Lasso, &rows, &[("alpha", Value::Double(0.5))]);
        assert!((model.weights[0][0] - 1.0).abs() < 1e-12);
        assert!((model.intercepts[0] - 4.5).abs() < 1e-12);
        let (model, _) = linear(&Lasso, &rows, &[("alpha", Value::Double(2.0))]);
        assert_eq!((model.weights[0][0], model.intercepts[0]), (0.0, 7.0));
        // (1.75 - 0.25) / (1.25 + 0.25) of an elastic net of alpha 0.5.
        let (model, _) = linear(&ElasticNet, &rows, &[("alpha", Value::Double(0.5))]);
        assert!((model.weights[0][0] - 1.0).abs() < 1e-12);
        let (model, _) = linear(&Lasso, &rows, &[("alpha", Value::Double(0.0))]);
        assert!((model.weights[0][0] - 1.4).abs() < 1e-12);
    }

    #[test]
    fn extreme_scales_and_constant_features() {
        for (scale, unit) in [(1e-300, 1.0), (1e300, 1.0), (1.0, 1e300), (1.0, 1e-300), (1e-200, 1e-150)] {
            let x = [1.0, 2.0, 3.0, 4.0].map(|x| x * scale).to_vec();
            let y = [6.0, 5.0, 7.0, 10.0].map(|y| y * unit).to_vec();
            let rows = Rows::new(vec![x, vec![3.0; 4]], Target::Numbers(y));
            // In its own units the weight above is 1.0, with a penalty in proportion.
            let given = [("alpha", Value::Double(0.5 * scale * unit))];
            let kernel = fit_on(&Workers::new(1).unwrap(), &Lasso, &rows, 0, &parameters(&Lasso, &given));
            if scale * unit == 0.0 || (scale * unit).is_infinite() {
                continue;
            }
            let mut out = [0.0];
            kernel.unwrap().kernel.score(&[&[4.0 * scale], &[3.0]], &mut out);
            assert!((out[0] / (8.5 * unit) - 1.0).abs() < 1e-9, "{scale} {unit}: {out:?}");
        }
    }
}
