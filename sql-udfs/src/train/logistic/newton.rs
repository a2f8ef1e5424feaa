//! Newton's method with a line search: few steps, each of which solves a system in all unknowns.

use super::{Evaluation, Problem};
use crate::Result;
use crate::train::algorithm::Context;
use crate::train::dense::{self, Cholesky, Eigen};
use crate::train::logistic_regression::Minimum;
use crate::train::rows::READ_SHARE;

/// The share of the expected descent that a step must give.
const SUFFICIENT: f64 = 1e-4;
/// Halvings of a step before the search gives up.
const HALVINGS_MAX: usize = 40;

/// Minimises from zero.
pub(crate) fn minimise(problem: &Problem<'_>, context: &Context<'_>) -> Result<Minimum> {
    let iterations_max = context.parameters.integer("max_iter").unwrap_or(usize::MAX);
    context.watch.reserve(3 * problem.unknowns() * problem.unknowns() * size_of::<f64>())?;
    let mut at = vec![0.0; problem.unknowns()];
    let mut current = problem.evaluate(&at, true, context)?;
    for iterations in 0..iterations_max {
        if converged(problem, &current, context) {
            return Ok(Minimum { at, iterations, converged: true });
        }
        let Some(hessian) = current.hessian.take() else { break };
        let step = match Cholesky::new(&hessian) {
            Some(cholesky) => cholesky.solve(&current.gradient),
            None => Eigen::new(hessian).solve(&current.gradient),
        };
        let step: Vec<f64> = step.into_iter().map(|part| -part).collect();
        match search(problem, &at, &current, &step, true, context)? {
            Some((next_at, next)) => (at, current) = (next_at, next),
            None => return Ok(Minimum { at, iterations, converged: false }),
        }
        context.watch.progress(progress(iterations));
    }
    let converged = converged(problem, &current, context);
    Ok(Minimum { at, iterations: iterations_max, converged })
}

/// How far a fit is that may end at any time: half of what is left after one step, and so on.
pub(super) fn progress(iterations: usize) -> f64 {
    READ_SHARE + 0.5 * (1.0 - 1.0 / (iterations + 2) as f64)
}

/// Whether the mean loss's gradient is as small as `tol`.
pub(super) fn converged(problem: &Problem<'_>, at: &Evaluation, context: &Context<'_>) -> bool {
    let largest = at.gradient.iter().fold(0.0, |largest: f64, part| largest.max(part.abs()));
    largest <= context.parameters.double("tol") * problem.rows() as f64
}

/// Goes along `step`, or half of it, and so on, until the objective falls enough. `None` where it never does.
pub(super) fn search(
    problem: &Problem<'_>,
    from: &[f64],
    current: &Evaluation,
    step: &[f64],
    with_hessian: bool,
    context: &Context<'_>,
) -> Result<Option<(Vec<f64>, Evaluation)>> {
    let slope = dense::dot(&current.gradient, step);
    // Near the minimum the descent drowns in the rounding of the sum.
    let rounding = 32.0 * f64::EPSILON * current.value.abs();
    let mut share = 1.0;
    for _ in 0..HALVINGS_MAX {
        let at: Vec<f64> = from.iter().zip(step).map(|(from, step)| from + share * step).collect();
        let next = problem.evaluate(&at, with_hessian, context)?;
        if next.value <= current.value + SUFFICIENT * share * slope + rounding {
            return Ok(Some((at, next)));
        }
        share *= 0.5;
    }
    Ok(None)
}
