//! `linear_regression` and `ridge`: least squares, with a penalty on squared weights where `alpha` is above 0.
//!
//! Where features are linearly dependent and nothing is penalised, it is the solution of minimum norm, which is also
//! scikit-learn's. The two differ in the default of `alpha` alone.

use super::algorithm::{Algorithm, Context, Fitted};
use super::least_squares::LeastSquares;
use super::parameter::{Default, Kind, MISSING_MEAN, Parameters, SAMPLE_WEIGHT, Specification};
use super::rows::Rows;
use crate::Result;
use crate::model::signature::{Task, ValueType};

/// Least squares.
pub(crate) struct LinearRegression;

/// Least squares with a penalty.
pub(crate) struct Ridge;

/// `fit_intercept`, for every algorithm that has it.
pub(super) const FIT_INTERCEPT: Specification = Specification {
    name: "fit_intercept",
    kind: Kind::Boolean,
    default: Default::Boolean(true),
    doc: "whether the model has a constant term; without one it passes through the origin",
};

const ALPHA: Specification = Specification {
    name: "alpha",
    kind: Kind::DoubleFrom(0.0),
    default: Default::Double(0.0),
    doc: "the ridge penalty: alpha times the sum of squared weights is added to the sum of squared errors",
};

static PARAMETERS: &[Specification] = &[FIT_INTERCEPT, ALPHA, SAMPLE_WEIGHT, MISSING_MEAN];

static RIDGE_PARAMETERS: &[Specification] =
    &[FIT_INTERCEPT, Specification { default: Default::Double(1.0), ..ALPHA }, SAMPLE_WEIGHT, MISSING_MEAN];

/// What an algorithm learns that predicts numbers.
pub(super) fn regression(target: ValueType) -> std::result::Result<Task, &'static str> {
    match target {
        ValueType::Double | ValueType::BigInt => Ok(Task::Regression),
        _ => Err("a number"),
    }
}

impl Algorithm for LinearRegression {
    fn name(&self) -> &'static str {
        "linear_regression"
    }

    fn doc(&self) -> &'static str {
        "a weighted sum of the features with the least squared error"
    }

    fn parameters(&self) -> &'static [Specification] {
        PARAMETERS
    }

    fn task(&self, target: ValueType, _parameters: &Parameters) -> std::result::Result<Task, &'static str> {
        regression(target)
    }

    fn fit(&self, rows: &Rows, context: &Context<'_>) -> Result<Fitted> {
        fit(rows, context)
    }
}

impl Algorithm for Ridge {
    fn name(&self) -> &'static str {
        "ridge"
    }

    fn doc(&self) -> &'static str {
        "a weighted sum of the features with the least squared error, and a penalty on squared weights"
    }

    fn parameters(&self) -> &'static [Specification] {
        RIDGE_PARAMETERS
    }

    fn task(&self, target: ValueType, _parameters: &Parameters) -> std::result::Result<Task, &'static str> {
        regression(target)
    }

    fn fit(&self, rows: &Rows, context: &Context<'_>) -> Result<Fitted> {
        fit(rows, context)
    }
}

fn fit(rows: &Rows, context: &Context<'_>) -> Result<Fitted> {
    let alpha = context.parameters.double("alpha");
    let problem = LeastSquares::new(rows, context.parameters.boolean(FIT_INTERCEPT.name), alpha, context)?;
    let all: Vec<usize> = (0..problem.data.width()).collect();
    let weights = problem.solve(&all, &problem.penalties(alpha), None, context)?;
    Ok(Fitted::new(problem.model(&weights)?, vec![]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::target::Target;
    use crate::train::testing::{fit, parameters};

    fn fitted(features: Vec<Vec<f64>>, target: Vec<f64>, given: &[(&str, crate::train::Value)]) -> (Vec<f64>, f64) {
        let rows = Rows::new(features, Target::Numbers(target));
        let kernel = fit(&LinearRegression, &rows, 0, &parameters(&LinearRegression, given));
        let score = |values: Vec<f64>| {
            let columns: Vec<Vec<f64>> = values.into_iter().map(|v| vec![v]).collect();
            let mut out = [0.0];
            kernel.kernel.score(&columns.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut out);
            out[0]
        };
        let width = rows.features.len();
        let intercept = score(vec![0.0; width]);
        let unit = |i: usize| (0..width).map(|j| if i == j { 1.0 } else { 0.0 }).collect();
        ((0..width).map(|i| score(unit(i)) - intercept).collect(), intercept)
    }

    fn close(found: &[f64], expected: &[f64]) {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{found} is not {expected}");
        }
    }

    #[test]
    fn the_least_squares_line_of_four_points() {
        // x = 1..4, y = 6, 5, 7, 10: slope 1.4, intercept 3.5.
        let (weights, intercept) = fitted(vec![vec![1.0, 2.0, 3.0, 4.0]], vec![6.0, 5.0, 7.0, 10.0], &[]);
        close(&weights, &[1.4]);
        close(&[intercept], &[3.5]);
    }

    #[test]
    fn through_the_origin_and_with_a_penalty() {
        use crate::train::Value;
        // Σxy / Σx² = 77 / 30 without an intercept; with alpha 20 it is 77 / 50.
        let x = || vec![vec![1.0, 2.0, 3.0, 4.0]];
        let y = || vec![6.0, 5.0, 7.0, 10.0];
        let none = ("fit_intercept", Value::Boolean(false));
        close(&fitted(x(), y(), std::slice::from_ref(&none)).0, &[77.0 / 30.0]);
        close(&fitted(x(), y(), &[none, ("alpha", Value::Integer(20))]).0, &[77.0 / 50.0]);
        // Centred: Sxy / (Sxx + alpha) = 7 / (5 + 5).
        close(&fitted(x(), y(), &[("alpha", Value::Double(5.0))]).0, &[0.7]);
    }

    #[test]
    fn dependent_features_share_the_weight_by_least_norm() {
        // y = 5a, b = 2a: of all (w, v) with w + 2v = 5, (1, 2) is the shortest. c is constant and gets nothing.
        let a = [1.0, 2.0, 4.0, 8.0];
        let features = vec![a.to_vec(), a.map(|v| 2.0 * v).to_vec(), vec![0.1; 4]];
        let (weights, intercept) = fitted(features, a.map(|v| 5.0 * v).to_vec(), &[]);
        close(&weights, &[1.0, 2.0, 0.0]);
        close(&[intercept], &[0.0]);
    }

    #[test]
    fn features_of_very_different_size_and_far_from_zero_keep_their_digits() {
        let n = 500;
        let a: Vec<f64> = (0..n).map(|i| 1.6e15 + 1.8e9 * f64::from(i)).collect();
        let b: Vec<f64> = (0..n).map(|i| 1e-6 * f64::from(i * i % 97)).collect();
        let y = a.iter().zip(&b).map(|(a, b)| 2e-9 * (a - 1.6e15) + 3e6 * b + 7.0).collect();
        let (weights, _) = fitted(vec![a, b], y, &[]);
        // The weight of `a` is read off as a difference of two predictions, so only `b` keeps its digits here.
        assert!((weights[1] / 3e6 - 1.0).abs() < 1e-6, "{}", weights[1]);
    }

    #[test]
    fn more_features_than_rows_is_solved_too() {
        let (weights, intercept) = fitted(vec![vec![1.0, -1.0], vec![1.0, -1.0], vec![0.0, 0.0]], vec![2.0, -2.0], &[]);
        close(&weights, &[1.0, 1.0, 0.0]);
        close(&[intercept], &[0.0]);
    }
}
