//! `linear_regression`: least squares, or ridge where `alpha` is above 0.
//!
//! From sufficient statistics: features are centred and scaled to unit length first, so that the Gram matrix is as well
//! conditioned as the data allow, and the solution is refined once on the residuals. Where features are linearly
//! dependent, it is the solution of minimum norm, which is also scikit-learn's.

use super::algorithm::{Algorithm, Context, Fitted};
use super::dense::{self, Symmetric};
use super::parameter::{Default, Kind, Parameters, Specification};
use super::rows::Rows;
use super::standardize::Standardized;
use crate::Result;
use crate::model::linear::{Linear, Link};
use crate::model::signature::{Task, ValueType};

/// Corrections by the residuals: each squares away most of the error that the Gram matrix's condition brings in.
const REFINEMENTS: usize = 2;

/// The algorithm.
pub(crate) struct LinearRegression;

static PARAMETERS: &[Specification] = &[
    Specification {
        name: "fit_intercept",
        kind: Kind::Boolean,
        default: Default::Boolean(true),
        doc: "whether the model has a constant term; without one it passes through the origin",
    },
    Specification {
        name: "alpha",
        kind: Kind::DoubleFrom(0.0),
        default: Default::Double(0.0),
        doc: "the ridge penalty: alpha times the sum of squared weights is added to the sum of squared errors",
    },
];

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
        match target {
            ValueType::Double | ValueType::BigInt => Ok(Task::Regression),
            _ => Err("a number"),
        }
    }

    fn fit(&self, rows: &Rows, context: &Context<'_>) -> Result<Fitted> {
        let fit_intercept = context.parameters.boolean("fit_intercept");
        let alpha = context.parameters.double("alpha");
        let target = rows.target.numbers()?;
        let data = Standardized::new(rows, fit_intercept, context)?;
        let target_mean = if fit_intercept { dense::mean(target) } else { 0.0 };
        let centred: Vec<f64> = target.iter().map(|value| value - target_mean).collect();

        context.watch.reserve(2 * size_of_val(target))?;
        let mut gram = data.gram(context)?;
        let mut moments = data.moments(&centred, context)?;
        let penalties: Vec<f64> = data.scales.iter().map(|scale| alpha / (scale * scale)).collect();
        for (i, penalty) in penalties.iter().enumerate() {
            // A feature without variation gets a weight of 0 from an equation of its own.
            gram.add(i, i, if data.scales[i].is_finite() { *penalty } else { 1.0 });
        }
        let solver = Solver::new(gram, &data.scales);
        let mut weights = vec![0.0; moments.len()];
        for refinement in 0..=REFINEMENTS {
            context.check_cancelled()?;
            let correction = solver.solve(&moments);
            weights.iter_mut().zip(&correction).for_each(|(weight, correction)| *weight += correction);
            if refinement < REFINEMENTS {
                moments = data.moments(&data.residuals(&weights, &centred), context)?;
                for ((moment, weight), penalty) in moments.iter_mut().zip(&weights).zip(&penalties) {
                    *moment -= penalty * weight;
                }
            }
        }
        let mut weights = data.unscale(&weights);
        solver.shorten(&mut weights);
        let offset = dense::dot(&weights, &data.centres);
        let intercept = if fit_intercept { target_mean - offset } else { 0.0 };
        let model =
            Linear { means: data.means, weights: vec![weights], intercepts: vec![intercept], link: Link::Identity };
        Ok(Fitted::new(model, vec![]))
    }
}

/// Solves `gram · weights = moments`, whatever the rank of the matrix.
enum Solver {
    /// Full rank.
    Cholesky(dense::Cholesky),
    /// Some directions leave the data as they are: the weights get no share of them.
    Deficient {
        eigen: dense::Eigen,
        /// Orthonormal in the features' own units: directions that change no prediction.
        null_space: Vec<Vec<f64>>,
    },
}

impl Solver {
    fn new(gram: Symmetric, scales: &[f64]) -> Self {
        match dense::Cholesky::new(&gram) {
            Some(cholesky) => Solver::Cholesky(cholesky),
            None => {
                let eigen = dense::Eigen::new(gram);
                let in_own_units = |direction: Vec<f64>| direction.iter().zip(scales).map(|(v, s)| v / s).collect();
                let null_space = dense::orthonormal(eigen.null_space().into_iter().map(in_own_units).collect());
                Solver::Deficient { eigen, null_space }
            }
        }
    }

    fn solve(&self, moments: &[f64]) -> Vec<f64> {
        match self {
            Solver::Cholesky(cholesky) => cholesky.solve(moments),
            Solver::Deficient { eigen, .. } => eigen.solve(moments),
        }
    }

    /// Takes from weights in the features' own units what lies in directions that change no prediction: of all weights
    /// that predict the same, the shortest are left.
    fn shorten(&self, weights: &mut [f64]) {
        let Solver::Deficient { null_space, .. } = self else { return };
        for direction in null_space {
            let share = dense::dot(direction, weights);
            weights.iter_mut().zip(direction).for_each(|(w, d)| *w -= share * d);
        }
    }
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
