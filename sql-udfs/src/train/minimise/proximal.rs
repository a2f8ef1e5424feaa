//! Proximal Newton: each step minimises the second-order model of the smooth part together with the penalties, coordinate
//! by coordinate.
//!
//! Lee, Sun & Saunders, Proximal Newton-type methods for minimizing composite functions (SIAM J. Optim. 24, 2014).

use super::{
    Evaluation, HALVINGS_MAX, Minimum, Objective, Patience, SUFFICIENT, cost, largest, progress, rounding, shrunk,
    subgradient,
};
use crate::Result;
use crate::train::algorithm::Context;
use crate::train::dense::{Symmetric, dot};

/// Rounds over all coordinates for one step.
const ROUNDS_MAX: usize = 2_000;
/// The largest change of a coordinate, as a share of the largest one of its first round, with which a step is done.
const EXACT: f64 = 1e-8;

/// Minimises.
pub(super) fn minimise(
    objective: &dyn Objective,
    mut at: Vec<f64>,
    patience: Patience,
    context: &Context<'_>,
) -> Result<Minimum> {
    context.watch.reserve(3 * at.len() * at.len() * size_of::<f64>())?;
    let penalties = objective.absolute_penalties();
    let mut current = objective.evaluate(&at, true, context)?;
    let mut values = vec![current.value + cost(&at, penalties)];
    let steepest = |at: &[f64], current: &Evaluation| largest(&subgradient(at, &current.gradient, penalties));
    while steepest(&at, &current) > patience.tolerance && values.len() <= patience.iterations_max {
        let Some(hessian) = current.hessian.take() else { break };
        let step = model_step(&at, &current.gradient, &hessian, penalties, context)?;
        let Some((next_at, next)) = search(objective, &at, &current, &step, context)? else { break };
        (at, current) = (next_at, next);
        values.push(current.value + cost(&at, penalties));
        context.watch.progress(progress(values.len()));
    }
    let converged = steepest(&at, &current) <= patience.tolerance;
    Ok(Minimum { at, converged, values })
}

/// The step to the minimum of the second-order model with the penalties.
fn model_step(
    at: &[f64],
    gradient: &[f64],
    hessian: &Symmetric,
    penalties: &[f64],
    context: &Context<'_>,
) -> Result<Vec<f64>> {
    let size = at.len();
    let rows: Vec<Vec<f64>> = (0..size).map(|i| (0..size).map(|j| hessian.at(i, j)).collect()).collect();
    let (mut step, mut slopes) = (vec![0.0; size], gradient.to_vec());
    let mut first = 0.0_f64;
    for round in 0..ROUNDS_MAX {
        context.check_cancelled()?;
        let mut greatest = 0.0_f64;
        for i in 0..size {
            let curvature = rows[i][i];
            if curvature <= 0.0 {
                continue;
            }
            let now = at[i] + step[i];
            let next = shrunk(now - slopes[i] / curvature, penalties[i] / curvature);
            let change = next - now;
            if change != 0.0 {
                step[i] = next - at[i];
                slopes.iter_mut().zip(&rows[i]).for_each(|(slope, curvature)| *slope += change * curvature);
                greatest = greatest.max(change.abs() * curvature.sqrt());
            }
        }
        first = if round == 0 { greatest } else { first };
        if greatest <= EXACT * first {
            break;
        }
    }
    Ok(step)
}

fn search(
    objective: &dyn Objective,
    from: &[f64],
    current: &Evaluation,
    step: &[f64],
    context: &Context<'_>,
) -> Result<Option<(Vec<f64>, Evaluation)>> {
    let penalties = objective.absolute_penalties();
    let before = current.value + cost(from, penalties);
    let full: Vec<f64> = from.iter().zip(step).map(|(from, step)| from + step).collect();
    let descent = dot(&current.gradient, step) + cost(&full, penalties) - cost(from, penalties);
    let mut share = 1.0;
    for _ in 0..HALVINGS_MAX {
        let at: Vec<f64> = from.iter().zip(step).map(|(from, step)| from + share * step).collect();
        let next = objective.evaluate(&at, true, context)?;
        if next.value + cost(&at, penalties) <= before + SUFFICIENT * share * descent + rounding(before) {
            return Ok(Some((at, next)));
        }
        share *= 0.5;
    }
    Ok(None)
}
