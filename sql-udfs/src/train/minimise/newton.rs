//! Newton's method with a line search: few steps, each of which solves a system in all unknowns.

use super::{Minimum, Objective, Patience, largest, progress, search};
use crate::Result;
use crate::train::algorithm::Context;
use crate::train::dense::{Cholesky, Symmetric, dot};
use crate::train::rank::Dependent;

/// The expected descent, as a share of the value, of a step that is taken to be the last: the next point is first looked
/// at without second derivatives.
const LAST: f64 = 1e-10;

/// Minimises.
pub(super) fn minimise(
    objective: &dyn Objective,
    mut at: Vec<f64>,
    patience: Patience,
    context: &Context<'_>,
) -> Result<Minimum> {
    context.watch.reserve(3 * at.len() * at.len() * size_of::<f64>())?;
    let mut current = objective.evaluate(&at, true, context)?;
    let mut values = vec![current.value];
    while largest(&current.gradient) > patience.tolerance && values.len() <= patience.iterations_max {
        let hessian = match current.hessian.take() {
            Some(hessian) => Some(hessian),
            None => objective.evaluate(&at, true, context)?.hessian,
        };
        let Some(step) = hessian.and_then(|hessian| downhill(&hessian, &current.gradient)) else { break };
        let last = -dot(&current.gradient, &step) < LAST * current.value.abs();
        let Some((next_at, next)) = search(objective, &at, &current, &step, !last, context)? else { break };
        (at, current) = (next_at, next);
        values.push(current.value);
        context.watch.progress(progress(values.len()));
    }
    Ok(Minimum { at, converged: largest(&current.gradient) <= patience.tolerance, values })
}

fn downhill(hessian: &Symmetric, gradient: &[f64]) -> Option<Vec<f64>> {
    let step = match Cholesky::new(hessian) {
        Some(cholesky) => cholesky.solve(gradient),
        None => Dependent::new(hessian, &vec![1.0; gradient.len()])?.solve(gradient),
    };
    step.iter().all(|part| part.is_finite()).then(|| step.into_iter().map(|part| -part).collect())
}
