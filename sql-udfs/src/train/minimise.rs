//! Minimising smooth functions of many unknowns, some with a penalty on absolute values.
//!
//! It knows nothing of what is minimised: an [`Objective`] says its value, its gradient and, where asked, its second
//! derivatives at a point.

mod lbfgs;
mod newton;
mod proximal;
mod quasi;

use super::Metric;
use super::algorithm::Context;
use super::dense::{Symmetric, dot};
use super::rows::READ_SHARE;
use crate::Result;
use crate::limits::NEWTON_UNKNOWNS_MAX;

/// What is minimised.
pub(super) trait Objective {
    /// Where to start; its length is the number of unknowns.
    fn start(&self) -> Vec<f64>;

    /// The smooth part at a point. An infinite value says that the point is outside its domain.
    fn evaluate(&self, at: &[f64], with_hessian: bool, context: &Context<'_>) -> Result<Evaluation>;

    /// What an absolute value of one costs, for each unknown; empty where nothing is penalised so.
    fn absolute_penalties(&self) -> &[f64] {
        &[]
    }
}

/// The smooth part of an objective at a point.
#[derive(Debug, Clone)]
pub(super) struct Evaluation {
    pub value: f64,
    pub gradient: Vec<f64>,
    /// The second derivatives, or what stands in for them, where they were asked for.
    pub hessian: Option<Symmetric>,
}

/// Where a minimisation ended.
#[derive(Debug)]
pub(super) struct Minimum {
    /// The unknowns.
    pub at: Vec<f64>,
    /// Whether the gradient became as small as it had to.
    pub converged: bool,
    /// The objective at the start and after each step.
    pub values: Vec<f64>,
}

impl Minimum {
    /// What a fit reports of its minimisation; `unit` is that of the objective.
    pub fn metrics(&self, unit: f64) -> Vec<Metric> {
        let metric = |name: &str, value: f64, step: usize| Metric { name: name.to_owned(), value, step: step as i64 };
        let converged = if self.converged { 1.0 } else { 0.0 };
        let mut metrics = vec![
            metric("converged", converged, 0),
            metric("iterations", self.values.len().saturating_sub(1) as f64, 0),
        ];
        let losses = self.values.iter().map(|value| value * unit).enumerate().skip(1);
        metrics.extend(
            losses.filter(|(_, value)| value.is_finite()).map(|(step, value)| metric("train_loss", value, step)),
        );
        metrics
    }
}

/// How long to go on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Steps after which to stop.
    pub iterations_max: usize,
    /// The largest part of the gradient, or of what the penalties leave of it, with which to stop.
    pub tolerance: f64,
}

/// Minimises, by second derivatives where they are few enough.
pub(super) fn minimise(objective: &dyn Objective, patience: Patience, context: &Context<'_>) -> Result<Minimum> {
    let at = objective.start();
    let few = at.len() <= NEWTON_UNKNOWNS_MAX;
    match (few, objective.absolute_penalties().is_empty()) {
        (true, true) => newton::minimise(objective, at, patience, context),
        (false, true) => lbfgs::minimise(objective, at, patience, context),
        (true, false) => proximal::minimise(objective, at, patience, context),
        (false, false) => quasi::minimise(objective, at, patience, context),
    }
}

/// The share of the expected descent that a step must give.
const SUFFICIENT: f64 = 1e-4;
/// Halvings of a step before a search gives up.
const HALVINGS_MAX: usize = 60;

/// How far a fit is that may end at any time: half of what is left after one step, and so on.
fn progress(iterations: usize) -> f64 {
    READ_SHARE + 0.5 * (1.0 - 1.0 / (iterations + 2) as f64)
}

fn largest(parts: &[f64]) -> f64 {
    parts.iter().fold(0.0, |largest: f64, part| if part.is_nan() { f64::NAN } else { largest.max(part.abs()) })
}

/// What rounding may add to a value near the minimum, where the descent drowns in it.
fn rounding(value: f64) -> f64 {
    32.0 * f64::EPSILON * value.abs()
}

/// Goes along `step`, or half of it, and so on, until the objective falls enough. `None` where it never does.
fn search(
    objective: &dyn Objective,
    from: &[f64],
    current: &Evaluation,
    step: &[f64],
    with_hessian: bool,
    context: &Context<'_>,
) -> Result<Option<(Vec<f64>, Evaluation)>> {
    let slope = dot(&current.gradient, step);
    let mut share = 1.0;
    for _ in 0..HALVINGS_MAX {
        let at: Vec<f64> = from.iter().zip(step).map(|(from, step)| from + share * step).collect();
        let next = objective.evaluate(&at, with_hessian, context)?;
        if next.value <= current.value + SUFFICIENT * share * slope + rounding(current.value) {
            return Ok(Some((at, next)));
        }
        share *= 0.5;
    }
    Ok(None)
}

/// What absolute values cost at a point.
fn cost(at: &[f64], penalties: &[f64]) -> f64 {
    at.iter().zip(penalties).map(|(at, penalty)| penalty * at.abs()).sum()
}

/// The steepest ascent of the objective with its penalties: the gradient where they are smooth, elsewhere what is left of
/// it beyond what the penalty holds.
fn subgradient(at: &[f64], gradient: &[f64], penalties: &[f64]) -> Vec<f64> {
    let part = |((at, gradient), penalty): ((&f64, &f64), &f64)| match *at {
        at if at > 0.0 => gradient + penalty,
        at if at < 0.0 => gradient - penalty,
        _ => shrunk(*gradient, *penalty),
    };
    at.iter().zip(gradient).zip(penalties).map(part).collect()
}

/// A number brought nearer to zero, up to zero.
pub(super) fn shrunk(value: f64, by: f64) -> f64 {
    match value {
        value if value > by => value - by,
        value if value < -by => value + by,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::testing::{Patient, parameters};
    use crate::train::workers::Workers;

    /// Half of x·Ax - b·x with a matrix whose eigenvalues differ much, and a penalty.
    struct Bowl {
        size: usize,
        penalties: Vec<f64>,
    }

    impl Bowl {
        fn entry(&self, i: usize, j: usize) -> f64 {
            let near = 1.0 / (1.0 + (i as f64 - j as f64).abs());
            near + if i == j { 1.0 + i as f64 } else { 0.0 }
        }
    }

    impl Objective for Bowl {
        fn start(&self) -> Vec<f64> {
            vec![0.0; self.size]
        }

        fn evaluate(&self, at: &[f64], with_hessian: bool, _context: &Context<'_>) -> Result<Evaluation> {
            let right = |i: usize| ((i * 7) % 5) as f64 - 2.0;
            let product = |i: usize| (0..self.size).map(|j| self.entry(i, j) * at[j]).sum::<f64>();
            let gradient: Vec<f64> = (0..self.size).map(|i| product(i) - right(i)).collect();
            let value = (0..self.size).map(|i| at[i] * (product(i) / 2.0 - right(i))).sum();
            let mut hessian = Symmetric::zeros(self.size);
            for i in 0..self.size {
                (0..=i).for_each(|j| hessian.add(i, j, self.entry(i, j)));
            }
            Ok(Evaluation { value, gradient, hessian: with_hessian.then_some(hessian) })
        }

        fn absolute_penalties(&self) -> &[f64] {
            &self.penalties
        }
    }

    #[test]
    fn every_way_of_minimising_ends_where_nothing_descends() {
        let parameters = parameters(&crate::train::linear_regression::LinearRegression, &[]);
        let workers = Workers::new(1).unwrap();
        let context =
            Context { parameters: &parameters, classes: 0, seed: 0, columns: &[], workers: &workers, watch: &Patient };
        let patience = Patience { iterations_max: 1000, tolerance: 1e-9 };
        for size in [1, 3, 30] {
            let smooth = Bowl { size, penalties: Vec::new() };
            for way in [newton::minimise, lbfgs::minimise] {
                let found = way(&smooth, smooth.start(), patience, &context).unwrap();
                assert!(found.converged && found.values.is_sorted_by(|a, b| *a >= b - 1e-12), "{found:?}");
                assert!(largest(&smooth.evaluate(&found.at, false, &context).unwrap().gradient) < 1e-8);
            }
            let bent = Bowl { size, penalties: (0..size).map(|i| 0.3 * (i % 4) as f64).collect() };
            for way in [proximal::minimise, quasi::minimise] {
                let found = way(&bent, bent.start(), patience, &context).unwrap();
                assert!(found.converged, "{found:?}");
                let gradient = bent.evaluate(&found.at, false, &context).unwrap().gradient;
                for ((at, gradient), penalty) in found.at.iter().zip(gradient).zip(&bent.penalties) {
                    match *at == 0.0 {
                        true => assert!(gradient.abs() <= penalty + 1e-8),
                        false => assert!((gradient + penalty * at.signum()).abs() < 1e-8),
                    }
                }
                assert!(size < 30 || found.at.contains(&0.0));
            }
        }
    }
}
