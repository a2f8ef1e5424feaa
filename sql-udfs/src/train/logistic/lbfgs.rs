//! L-BFGS: many cheap steps, for problems whose second derivatives would not fit.
//!
//! Nocedal & Wright, Numerical Optimization, algorithm 7.5, with a backtracking line search.

use std::collections::VecDeque;

use super::newton::{converged, progress, search};
use super::{Evaluation, Problem};
use crate::Result;
use crate::train::algorithm::Context;
use crate::train::dense::dot;
use crate::train::logistic_regression::Minimum;

/// Steps that are remembered.
const MEMORY: usize = 10;

/// A remembered step with the change of the gradient along it.
struct Pair {
    step: Vec<f64>,
    change: Vec<f64>,
    product: f64,
}

/// Minimises from zero.
pub(crate) fn minimise(problem: &Problem<'_>, context: &Context<'_>) -> Result<Minimum> {
    let iterations_max = context.parameters.integer("max_iter").unwrap_or(usize::MAX);
    context.watch.reserve((2 * MEMORY + 6) * problem.unknowns() * size_of::<f64>())?;
    let mut memory: VecDeque<Pair> = VecDeque::with_capacity(MEMORY);
    let mut at = vec![0.0; problem.unknowns()];
    let mut current = problem.evaluate(&at, false, context)?;
    for iterations in 0..iterations_max {
        if converged(problem, &current, context) {
            return Ok(Minimum { at, iterations, converged: true });
        }
        let step = direction(&memory, &current, problem.rows());
        let Some((next_at, next)) = search(problem, &at, &current, &step, false, context)? else {
            return Ok(Minimum { at, iterations, converged: false });
        };
        remember(&mut memory, (&at, &current), (&next_at, &next));
        (at, current) = (next_at, next);
        context.watch.progress(progress(iterations));
    }
    let converged = converged(problem, &current, context);
    Ok(Minimum { at, iterations: iterations_max, converged })
}

fn remember(memory: &mut VecDeque<Pair>, from: (&[f64], &Evaluation), to: (&[f64], &Evaluation)) {
    let difference =
        |to: &[f64], from: &[f64]| -> Vec<f64> { to.iter().zip(from).map(|(to, from)| to - from).collect() };
    let step = difference(to.0, from.0);
    let change = difference(&to.1.gradient, &from.1.gradient);
    let product = dot(&step, &change);
    // A pair without curvature would make the next direction point anywhere.
    if product > f64::EPSILON * dot(&change, &change).sqrt() * dot(&step, &step).sqrt() {
        if memory.len() == MEMORY {
            memory.pop_front();
        }
        memory.push_back(Pair { step, change, product });
    }
}

/// Downhill, by the curvature that the remembered steps saw.
fn direction(memory: &VecDeque<Pair>, current: &Evaluation, rows: usize) -> Vec<f64> {
    let mut direction: Vec<f64> = current.gradient.iter().map(|part| -part).collect();
    let mut shares = Vec::with_capacity(memory.len());
    for pair in memory.iter().rev() {
        let share = dot(&pair.step, &direction) / pair.product;
        direction.iter_mut().zip(&pair.change).for_each(|(d, change)| *d -= share * change);
        shares.push(share);
    }
    let scale = match memory.back() {
        Some(pair) => pair.product / dot(&pair.change, &pair.change),
        // The curvature of standardised features is at most a quarter of the rows.
        None => 4.0 / rows as f64,
    };
    direction.iter_mut().for_each(|d| *d *= scale);
    for (pair, share) in memory.iter().zip(shares.iter().rev()) {
        let correction = share - dot(&pair.change, &direction) / pair.product;
        direction.iter_mut().zip(&pair.step).for_each(|(d, step)| *d += correction * step);
    }
    direction
}
