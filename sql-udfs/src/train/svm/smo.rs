//! Sequential minimal optimisation: two variables at a time, chosen by second-order information.
//!
//! Minimises `½ Σ α_s α_t y_s y_t K_st + Σ slope_t α_t` with `Σ y_t α_t = 0` and `0 ≤ α_t ≤ bound_t` (Fan, Chen and Lin
//! 2005, <https://www.jmlr.org/papers/v6/fan05a.html>), without shrinking: rows are few.

use super::gram::Gram;
use crate::Result;
use crate::train::algorithm::Context;

/// The least curvature: functions that are no true products have negative ones.
const CURVATURE_MIN: f64 = 1e-12;
/// Steps between two questions whether to stop.
const STEPS_PER_QUESTION: usize = 256;

/// A variable α.
#[derive(Debug, Clone, Copy)]
pub(super) struct Variable {
    /// The point that it weighs.
    pub point: usize,
    /// 1 or -1.
    pub sign: f64,
    /// The linear part of the objective.
    pub slope: f64,
    /// The greatest value.
    pub bound: f64,
}

/// What is to be solved.
pub(super) struct Problem<'a> {
    pub gram: Gram<'a>,
    pub variables: Vec<Variable>,
    pub tolerance: f64,
    pub iterations_max: usize,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Solution {
    /// The weight of each point: signs times variables.
    pub weights: Vec<f64>,
    /// What is subtracted from the weighted sum.
    pub rho: f64,
    pub iterations: usize,
    pub converged: bool,
}

/// The variables on their way.
struct State<'a> {
    problem: Problem<'a>,
    alphas: Vec<f64>,
    gradient: Vec<f64>,
    diagonal: Vec<f64>,
}

/// Solves.
pub(super) fn solve(problem: Problem<'_>, context: &Context<'_>) -> Result<Solution> {
    let alphas = vec![0.0; problem.variables.len()];
    let gradient = problem.variables.iter().map(|variable| variable.slope).collect();
    let diagonal = problem.gram.diagonal();
    let mut state = State { problem, alphas, gradient, diagonal };
    let (mut iterations, mut converged) = (0, false);
    while iterations < state.problem.iterations_max {
        if iterations.is_multiple_of(STEPS_PER_QUESTION) {
            context.check_cancelled()?;
        }
        let Some((i, j)) = state.choose() else {
            converged = true;
            break;
        };
        iterations += 1;
        if !state.step(i, j) {
            // What is left of the violation is below the digits of the numbers.
            break;
        }
    }
    let mut weights = vec![0.0; state.problem.gram.len()];
    for (variable, alpha) in state.problem.variables.iter().zip(&state.alphas) {
        weights[variable.point] += variable.sign * alpha;
    }
    Ok(Solution { weights, rho: state.rho(), iterations, converged })
}

impl State<'_> {
    /// Whether the variable can go in the direction of its sign.
    fn can_rise(&self, t: usize) -> bool {
        let Variable { sign, bound, .. } = self.problem.variables[t];
        if sign > 0.0 { self.alphas[t] < bound } else { self.alphas[t] > 0.0 }
    }

    /// Whether it can go against it.
    fn can_fall(&self, t: usize) -> bool {
        let Variable { sign, bound, .. } = self.problem.variables[t];
        if sign > 0.0 { self.alphas[t] > 0.0 } else { self.alphas[t] < bound }
    }

    /// The pair that violates the conditions most, by what a step on it gains; `None` at the optimum.
    fn choose(&mut self) -> Option<(usize, usize)> {
        let variables = &self.problem.variables;
        let force = |t: usize| -variables[t].sign * self.gradient[t];
        let mut greatest: Option<(f64, usize)> = None;
        for t in (0..variables.len()).filter(|t| self.can_rise(*t)) {
            if greatest.is_none_or(|(known, _)| force(t) >= known) {
                greatest = Some((force(t), t));
            }
        }
        let (upward, i) = greatest?;
        let row = self.problem.gram.row(self.problem.variables[i].point);
        let variables = &self.problem.variables;
        let curvature_i = self.diagonal[variables[i].point];
        let mut least = f64::INFINITY;
        let mut best: Option<(f64, usize)> = None;
        for t in (0..variables.len()).filter(|t| self.can_fall(*t)) {
            let force = -variables[t].sign * self.gradient[t];
            least = least.min(force);
            let violation = upward - force;
            if violation > 0.0 {
                let point = variables[t].point;
                let curvature = (curvature_i + self.diagonal[point] - 2.0 * row[point]).max(CURVATURE_MIN);
                let gain = violation / curvature * violation;
                if best.is_none_or(|(known, _)| gain >= known) {
                    best = Some((gain, t));
                }
            }
        }
        match upward - least < self.problem.tolerance {
            true => None,
            false => best.map(|(_, j)| (i, j)),
        }
    }

    /// Solves for two variables; whether they moved.
    fn step(&mut self, i: usize, j: usize) -> bool {
        let (a, b) = (self.problem.variables[i], self.problem.variables[j]);
        let (row_i, row_j) = (self.problem.gram.row(a.point), self.problem.gram.row(b.point));
        let curvature = (self.diagonal[a.point] + self.diagonal[b.point] - 2.0 * row_i[b.point]).max(CURVATURE_MIN);
        // In the direction of their signs, the first rises by as much as the second falls.
        let violation = b.sign * self.gradient[j] - a.sign * self.gradient[i];
        let room_i = if a.sign > 0.0 { a.bound - self.alphas[i] } else { self.alphas[i] };
        let room_j = if b.sign > 0.0 { self.alphas[j] } else { b.bound - self.alphas[j] };
        let by = (violation / curvature).min(room_i).min(room_j);
        let before = (self.alphas[i], self.alphas[j]);
        // At a bound the variable is the bound, whatever rounding says.
        self.alphas[i] = moved(before.0, a.sign * by, by == room_i, a);
        self.alphas[j] = moved(before.1, -b.sign * by, by == room_j, b);
        let (by_i, by_j) = (a.sign * (self.alphas[i] - before.0), b.sign * (self.alphas[j] - before.1));
        for (gradient, variable) in self.gradient.iter_mut().zip(&self.problem.variables) {
            let change = row_i[variable.point] * by_i + row_j[variable.point] * by_j;
            *gradient += variable.sign * change;
        }
        by_i != 0.0 || by_j != 0.0
    }

    /// The middle of what the conditions leave, or the mean over the variables that are free.
    fn rho(&self) -> f64 {
        let (mut low, mut high) = (f64::NEG_INFINITY, f64::INFINITY);
        let (mut sum, mut free) = (0.0, 0_usize);
        for (t, variable) in self.problem.variables.iter().enumerate() {
            let value = variable.sign * self.gradient[t];
            match (self.can_rise(t), self.can_fall(t)) {
                (true, true) => {
                    sum += value;
                    free += 1;
                }
                (true, false) => high = high.min(value),
                (false, true) => low = low.max(value),
                (false, false) => {}
            }
        }
        match (free, low.is_finite(), high.is_finite()) {
            (1.., _, _) => sum / free as f64,
            (0, true, true) => low + (high - low) / 2.0,
            (0, true, false) => low,
            (0, false, true) => high,
            (0, false, false) => 0.0,
        }
    }
}

fn moved(alpha: f64, by: f64, to_bound: bool, variable: Variable) -> f64 {
    match (to_bound, by > 0.0) {
        (true, true) => variable.bound,
        (true, false) => 0.0,
        (false, _) => (alpha + by).clamp(0.0, variable.bound),
    }
}
