//! Coordinate descent on products of features, stopped by the duality gap, and the exact solution at its end.
//!
//! Friedman, Hastie & Tibshirani, Regularization paths for generalized linear models via coordinate descent (J. Stat.
//! Softw. 33, 2010), with covariance updates. It sees no rows.

use crate::Result;
use crate::limits::ROWS_PER_BLOCK;
use crate::train::algorithm::Context;
use crate::train::dense::dot;
use crate::train::least_squares::LeastSquares;
use crate::train::minimise::shrunk;
use crate::train::rows::READ_SHARE;

/// The duality gap, as a share of the target's sum of squares, below which rounding hides any progress.
const GAP_MIN: f64 = 1e-14;
/// By what share of a price, and of the largest product, the optimum's conditions may be missed by rounding.
const EXACT: f64 = 1e-9;

/// Rounds over the features with weights between two over all of them.
const ACTIVE_ROUNDS_MAX: usize = 20;
/// The share of the first round's largest change below which further rounds over the same features can wait.
const SETTLED: f64 = 0.01;
/// Features that come and go in one attempt to find the optimum exactly.
const EXCHANGES_MAX: usize = 100;

/// What standardised weights cost.
pub(super) struct Prices {
    /// For each feature what its absolute weight costs.
    pub absolute: Vec<f64>,
    /// For each feature what half its squared weight costs.
    pub squared: Vec<f64>,
    /// Whether weights below zero are forbidden.
    pub positive: bool,
}

/// A problem on its way to the optimum.
pub(super) struct Descent<'a> {
    pub problem: &'a LeastSquares<'a>,
    pub prices: &'a Prices,
    pub context: &'a Context<'a>,
}

/// Where a descent ended.
pub(super) struct Found {
    pub weights: Vec<f64>,
    pub rounds: usize,
    pub converged: bool,
}

/// Weights, and what they leave of the features' products with the target.
struct State {
    weights: Vec<f64>,
    left: Vec<f64>,
}

impl Descent<'_> {
    /// Minimises from zero.
    pub fn run(&self, rounds_max: usize, tolerance: f64) -> Result<Found> {
        let width = self.problem.data.width();
        let mut state = State { weights: vec![0.0; width], left: self.problem.moments.clone() };
        let all: Vec<usize> = (0..width).filter(|feature| self.problem.data.varies(*feature)).collect();
        let (mut rounds, mut next_attempt) = (0, 0);
        while rounds < rounds_max {
            self.round(&mut state, &all)?;
            rounds += 1;
            let active = self.active(&state);
            // The features that have a weight settle among themselves before the others are looked at again.
            let mut first = 0.0;
            for number in 0..ACTIVE_ROUNDS_MAX {
                let change = self.round(&mut state, &active)?;
                first = if number == 0 { change } else { first };
                rounds += 1;
                if change <= first * SETTLED || rounds >= rounds_max {
                    break;
                }
            }
            let gap = self.gap(&state);
            if rounds >= next_attempt {
                if self.settle(&mut state)? {
                    return Ok(Found { weights: self.refined(state)?, rounds, converged: true });
                }
                // The further from the optimum, the more features would come and go: descent is cheaper then.
                next_attempt = 4 * rounds;
            }
            if gap <= GAP_MIN * self.problem.squares {
                break;
            }
            let done = rounds as f64 / rounds_max as f64;
            self.context.watch.progress(READ_SHARE + 0.5 * done);
        }
        let converged = self.gap(&state) <= tolerance * self.problem.squares;
        Ok(Found { weights: state.weights, rounds, converged })
    }

    fn active(&self, state: &State) -> Vec<usize> {
        (0..state.weights.len()).filter(|feature| state.weights[*feature] != 0.0).collect()
    }

    /// Moves each of some weights to where its own optimum is. Gives the largest change.
    fn round(&self, state: &mut State, features: &[usize]) -> Result<f64> {
        let gram = &self.problem.gram;
        let mut greatest = 0.0_f64;
        let often = (ROWS_PER_BLOCK / state.left.len().max(1)).max(1);
        for (number, feature) in features.iter().copied().enumerate() {
            if number % often == 0 {
                self.context.check_cancelled()?;
            }
            let (now, own) = (state.weights[feature], gram.at(feature, feature));
            let next = shrunk(state.left[feature] + own * now, self.prices.absolute[feature]);
            let next = next / (own + self.prices.squared[feature]);
            let next = if self.prices.positive { next.max(0.0) } else { next };
            let change = next - now;
            if change != 0.0 {
                state.weights[feature] = next;
                for (other, left) in state.left.iter_mut().enumerate() {
                    *left -= change * gram.at(feature, other);
                }
                greatest = greatest.max(change.abs());
            }
        }
        Ok(greatest)
    }

    /// By how much the objective may at most be above its minimum.
    fn gap(&self, state: &State) -> f64 {
        let (weights, prices) = (&state.weights, self.prices);
        // The residuals and, for the squared weights, rows of their own.
        let explained = dot(weights, &self.problem.moments);
        let squared: f64 = weights.iter().zip(&prices.squared).map(|(w, price)| price * w * w).sum();
        let residuals = (self.problem.squares - explained - dot(weights, &state.left)).max(0.0) + squared;
        let absolute: f64 = weights.iter().zip(&prices.absolute).map(|(w, price)| price * w.abs()).sum();
        let primal = 0.5 * residuals + absolute;
        let mut share = 1.0_f64;
        for (feature, left) in state.left.iter().enumerate() {
            let product = left - prices.squared[feature] * weights[feature];
            let product = if prices.positive { product.max(0.0) } else { product.abs() };
            if product > prices.absolute[feature] {
                share = share.min(prices.absolute[feature] / product);
            }
        }
        primal - (share * (self.problem.squares - explained) - 0.5 * share * share * residuals)
    }

    /// Goes on from a point exactly: solves for the features that have a weight, up to where the first of the weights
    /// becomes zero, and takes in the feature that misses the optimum's conditions most. Gives whether it is there.
    fn settle(&self, state: &mut State) -> Result<bool> {
        for _ in 0..EXCHANGES_MAX {
            self.context.check_cancelled()?;
            let active = self.active(state);
            let slopes = self.slopes(state);
            let solution = self.problem.solve_products(&active, &self.prices.squared, Some(&slopes));
            if !solution.iter().all(|weight| weight.is_finite()) {
                return Ok(false);
            }
            // How far along the way to the solution the first sign would change.
            let zero_at = |(feature, to): (&usize, &f64)| match state.weights[*feature] {
                from if from * to > 0.0 => f64::INFINITY,
                from => from / (from - to),
            };
            let zeros: Vec<f64> = active.iter().zip(&solution).map(zero_at).collect();
            let first = zeros.iter().copied().fold(f64::INFINITY, f64::min);
            for ((feature, to), zero) in active.iter().zip(&solution).zip(zeros) {
                let from = state.weights[*feature];
                state.weights[*feature] = match first.is_finite() {
                    true if zero <= first => 0.0,
                    true => from + first * (to - from),
                    false => *to,
                };
            }
            self.take_stock(state);
            if first.is_infinite() {
                if !self.balanced(state) {
                    return Ok(false);
                }
                match self.worst(state) {
                    None => return Ok(true),
                    // A step of its own brings in the feature with the right sign.
                    Some(feature) => self.round(state, &[feature])?,
                };
            }
        }
        Ok(false)
    }

    /// What the absolute values of the weights cost, as slopes where they are.
    fn slopes(&self, state: &State) -> Vec<f64> {
        self.prices.absolute.iter().zip(&state.weights).map(|(price, weight)| -price * weight.signum()).collect()
    }

    /// Computes anew what the weights leave of the products, without the rounding of many small changes.
    fn take_stock(&self, state: &mut State) {
        let active = self.active(state);
        for (feature, left) in state.left.iter_mut().enumerate() {
            let taken: f64 =
                active.iter().map(|other| self.problem.gram.at(feature, *other) * state.weights[*other]).sum();
            *left = self.problem.moments[feature] - taken;
        }
    }

    /// Whether nothing is left for the weights that there are, beyond rounding. Features that depend on each other may have
    /// no such weights.
    fn balanced(&self, state: &State) -> bool {
        let (slopes, slack) = (self.slopes(state), self.slack());
        self.active(state).into_iter().all(|feature| {
            let left = state.left[feature] + slopes[feature] - self.prices.squared[feature] * state.weights[feature];
            left.abs() <= EXACT * self.prices.absolute[feature] + slack
        })
    }

    /// What rounding may leave of the products.
    fn slack(&self) -> f64 {
        EXACT * self.problem.moments.iter().fold(0.0_f64, |largest, moment| largest.max(moment.abs()))
    }

    /// The same features' weights with what rounding took of the products seen in the rows again.
    fn refined(&self, state: State) -> Result<Vec<f64>> {
        let active = self.active(&state);
        let slopes = self.slopes(&state);
        let solution = self.problem.solve(&active, &self.prices.squared, Some(&slopes), self.context)?;
        let mut weights = state.weights;
        let same = active.iter().zip(&solution).all(|(feature, weight)| weight * weights[*feature] > 0.0);
        if same {
            active.iter().zip(solution).for_each(|(feature, weight)| weights[*feature] = weight);
        }
        Ok(weights)
    }

    /// The feature without a weight that most wants one, beyond rounding.
    fn worst(&self, state: &State) -> Option<usize> {
        let prices = self.prices;
        let missed = |feature: &usize| match state.weights[*feature] {
            0.0 if prices.positive => state.left[*feature] - prices.absolute[*feature],
            0.0 => state.left[*feature].abs() - prices.absolute[*feature],
            _ => 0.0,
        };
        let varying = (0..state.weights.len()).filter(|feature| self.problem.data.varies(*feature));
        let worst = varying.max_by(|a, b| missed(a).total_cmp(&missed(b)))?;
        (missed(&worst) > EXACT * prices.absolute[worst] + self.slack()).then_some(worst)
    }
}
