//! Least squares from sufficient statistics: what linear regression, ridge, lasso and elastic net share.
//!
//! Features are centred and scaled to unit length, so that the products of all pairs are as well conditioned as the data
//! allow; weighted rows are multiplied by the roots of their weights. It does not know what is minimised beside squares.

use super::algorithm::Context;
use super::dense::{Cholesky, Symmetric, dot};
use super::products;
use super::rank::Dependent;
use super::rows::Rows;
use super::spread;
use super::standardize::{Standardized, add_up};
use crate::model::linear::{Linear, Link};
use crate::{Error, Result};

/// Corrections by the residuals: each squares away most of the error that the matrix's condition brings in.
const REFINEMENTS: usize = 3;
/// What a correction may change, as a share, so that no further one is worth its pass over the rows.
const REFINED: f64 = 1e-9;
/// What the least independent feature must have of its own, as a share, so that the rows need not be seen again.
const WELL_CONDITIONED: f64 = 1e-3;

/// Features and target of a least-squares problem, with their products.
pub(super) struct LeastSquares<'a> {
    /// The features, scaled to unit length.
    pub data: Standardized<'a>,
    /// The products of the features.
    pub gram: Symmetric,
    /// The products of the features with the target.
    pub moments: Vec<f64>,
    /// The target's sum of squares.
    pub squares: f64,
    target: &'a [f64],
    /// The power of two that the target is multiplied by, and what is then subtracted.
    target_power: f64,
    target_centre: f64,
    intercept: bool,
}

impl<'a> LeastSquares<'a> {
    /// Measures the rows. `penalty` is what a squared weight in a feature's own unit costs, 0 for nothing.
    pub fn new(rows: &'a Rows, intercept: bool, penalty: f64, context: &Context<'_>) -> Result<Self> {
        let mut data = Standardized::new(rows, intercept, context)?;
        data.drop_costly(penalty, 0.0);
        let target = rows.target.numbers()?;
        let spread = spread::measure(&[target], rows.weights.as_deref(), context)?[0];
        let target_centre = if intercept { spread.mean } else { 0.0 };
        let (gram, moments) = (Symmetric::zeros(0), Vec::new());
        let mut problem = LeastSquares {
            data,
            gram,
            moments,
            squares: 0.0,
            target,
            target_power: spread.power,
            target_centre,
            intercept,
        };
        problem.multiply(context)?;
        Ok(problem)
    }

    fn multiply(&mut self, context: &Context<'_>) -> Result<()> {
        let width = self.data.width();
        context.watch.reserve(3 * width * width * size_of::<f64>())?;
        let bytes = (width + 1) * (width + 1) * size_of::<f64>();
        self.data.reserve(bytes, context)?;
        let parts = self.data.map_pieces(bytes, context, |rows| {
            let mut products = Symmetric::zeros(width + 1);
            let mut target = vec![Vec::new()];
            self.data.for_each_block(rows, context, |start, block| {
                let rows = block.first().map_or(0, Vec::len);
                self.take_target(start, rows, &mut target[0]);
                self.data.weigh_by_roots(start, block);
                self.data.weigh_by_roots(start, &mut target);
                let columns: Vec<&[f64]> = block.iter().chain(&target).map(Vec::as_slice).collect();
                products::add_symmetric(&columns, &columns, (0, 0), &mut products);
            })?;
            Ok(products)
        })?;
        let all = add_up(parts, Symmetric::add_all).unwrap_or_else(|| Symmetric::zeros(width + 1));
        self.gram = all.select(&(0..width).collect::<Vec<_>>());
        self.moments = (0..width).map(|feature| all.at(width, feature)).collect();
        self.squares = all.at(width, width);
        Ok(())
    }

    fn take_target(&self, start: usize, rows: usize, out: &mut Vec<f64>) {
        out.clear();
        out.extend(self.target[start..start + rows].iter().map(|v| v * self.target_power - self.target_centre));
    }

    /// The products of the features with what their weighted sum leaves of the target.
    fn residual_moments(&self, weights: &[f64], context: &Context<'_>) -> Result<Vec<f64>> {
        let width = self.data.width();
        let parts = self.data.map_pieces(width * size_of::<f64>(), context, |rows| {
            let (mut moments, mut residuals) = (vec![0.0; width], Vec::new());
            self.data.for_each_block(rows, context, |start, block| {
                let rows = block.first().map_or(0, Vec::len);
                self.take_target(start, rows, &mut residuals);
                for (column, weight) in block.iter().zip(weights) {
                    residuals.iter_mut().zip(column).for_each(|(residual, value)| *residual -= weight * value);
                }
                if let Some(weights) = self.data.weights() {
                    residuals.iter_mut().zip(&weights[start..]).for_each(|(residual, weight)| *residual *= weight);
                }
                for (moment, column) in moments.iter_mut().zip(block) {
                    *moment += dot(column, &residuals);
                }
            })?;
            Ok(moments)
        })?;
        let add = |sum: &mut Vec<f64>, part: Vec<f64>| sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        Ok(add_up(parts, add).unwrap_or_else(|| vec![0.0; width]))
    }

    /// The power of two that the target, and so every standardised weight, is multiplied by.
    pub fn target_unit(&self) -> f64 {
        self.target_power
    }

    /// What half a squared standardised weight of each feature costs, for a penalty on weights in their own units.
    pub fn penalties(&self, penalty: f64) -> Vec<f64> {
        (0..self.data.width()).map(|feature| self.data.squared_cost(feature, penalty)).collect()
    }

    /// The weights of some features, in order, that minimise half the squared error plus half the penalties times the
    /// squared weights minus the slopes times the weights; the other features' are zero.
    pub fn solve(
        &self,
        features: &[usize],
        penalties: &[f64],
        slopes: Option<&[f64]>,
        context: &Context<'_>,
    ) -> Result<Vec<f64>> {
        let slope = |feature: usize| slopes.map_or(0.0, |slopes| slopes[feature]);
        let Some(solver) = self.solver(features, penalties) else { return Ok(vec![0.0; features.len()]) };
        let mut weights = solver.solve(&self.right(features, slopes));
        if solver.well_conditioned() {
            return Ok(weights);
        }
        for _ in 0..REFINEMENTS {
            let mut all = vec![0.0; self.data.width()];
            features.iter().zip(&weights).for_each(|(feature, weight)| all[*feature] = *weight);
            let left = self.residual_moments(&all, context)?;
            let left =
                features.iter().map(|feature| left[*feature] + slope(*feature) - penalties[*feature] * all[*feature]);
            let correction = solver.solve(&left.collect::<Vec<_>>());
            weights.iter_mut().zip(&correction).for_each(|(weight, correction)| *weight += correction);
            if dot(&correction, &correction) <= REFINED * REFINED * dot(&weights, &weights) {
                break;
            }
        }
        Ok(weights)
    }

    /// [`LeastSquares::solve`] from the products alone, without another look at the rows.
    pub fn solve_products(&self, features: &[usize], penalties: &[f64], slopes: Option<&[f64]>) -> Vec<f64> {
        let solver = self.solver(features, penalties);
        solver.map_or_else(|| vec![0.0; features.len()], |solver| solver.solve(&self.right(features, slopes)))
    }

    fn right(&self, features: &[usize], slopes: Option<&[f64]>) -> Vec<f64> {
        let slope = |feature: usize| slopes.map_or(0.0, |slopes| slopes[feature]);
        features.iter().map(|feature| self.moments[*feature] + slope(*feature)).collect()
    }

    fn solver(&self, features: &[usize], penalties: &[f64]) -> Option<Solver> {
        let mut gram = self.gram.select(features);
        for (i, feature) in features.iter().enumerate() {
            // A feature without variation gets a weight of 0 from an equation of its own.
            gram.add(i, i, if self.data.varies(*feature) { penalties[*feature] } else { 1.0 });
        }
        let scale = |feature: &usize| if self.data.varies(*feature) { 1.0 / self.data.factor(*feature) } else { 1.0 };
        Solver::new(&gram, &features.iter().map(scale).collect::<Vec<_>>())
    }

    /// The model with these standardised weights, in the features' own units.
    pub fn model(self, weights: &[f64]) -> Result<Linear> {
        let weights: Vec<f64> = weights
            .iter()
            .zip(0..)
            .map(|(weight, i)| self.data.unscale_one(*weight, i, 1.0 / self.target_power))
            .collect();
        let offset = dot(&weights, &self.data.centres);
        let intercept = if self.intercept { self.target_centre / self.target_power - offset } else { 0.0 };
        finite(Linear {
            means: self.data.means,
            weights: vec![weights],
            intercepts: vec![intercept],
            link: Link::Identity,
        })
    }
}

/// A model whose weights can be computed with.
pub(super) fn finite(model: Linear) -> Result<Linear> {
    match model.weights.iter().flatten().chain(&model.intercepts).all(|weight| weight.is_finite()) {
        true => Ok(model),
        false => Err(Error::input("the weights of the model leave the range of 64-bit floats")
            .with_hint("bring the features and the target to about the same scale")),
    }
}

/// Solves `gram · weights = moments`, whatever the rank of the matrix.
enum Solver {
    /// Full rank.
    Independent(Cholesky),
    /// Some features are sums of others: of all solutions the one that is shortest in the features' own units.
    Dependent(Dependent),
}

impl Solver {
    /// `None` where all features are constant.
    fn new(gram: &Symmetric, scales: &[f64]) -> Option<Self> {
        match Cholesky::new(gram) {
            Some(cholesky) => Some(Solver::Independent(cholesky)),
            None => Dependent::new(gram, scales).map(Solver::Dependent),
        }
    }

    fn solve(&self, moments: &[f64]) -> Vec<f64> {
        match self {
            Solver::Independent(cholesky) => cholesky.solve(moments),
            Solver::Dependent(dependent) => dependent.solve(moments),
        }
    }

    fn well_conditioned(&self) -> bool {
        matches!(self, Solver::Independent(cholesky) if cholesky.least_share() > WELL_CONDITIONED)
    }
}
