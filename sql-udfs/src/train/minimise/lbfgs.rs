//! L-BFGS: many cheap steps, for problems whose second derivatives would not fit.
//!
//! Nocedal & Wright, Numerical Optimization, algorithm 7.5, with a backtracking line search.

use std::collections::VecDeque;

use super::{Evaluation, Minimum, Objective, Patience, largest, progress, search};
use crate::Result;
use crate::train::algorithm::Context;
use crate::train::dense::dot;

/// Steps that are remembered.
const MEMORY: usize = 10;

/// Steps that were taken, and how the gradient changed along them.
#[derive(Default)]
pub(super) struct Memory(VecDeque<Pair>);

struct Pair {
    step: Vec<f64>,
    change: Vec<f64>,
    product: f64,
}

/// Minimises.
pub(super) fn minimise(
    objective: &dyn Objective,
    mut at: Vec<f64>,
    patience: Patience,
    context: &Context<'_>,
) -> Result<Minimum> {
    context.watch.reserve((2 * MEMORY + 6) * at.len() * size_of::<f64>())?;
    let mut memory = Memory::default();
    let mut current = objective.evaluate(&at, false, context)?;
    let mut values = vec![current.value];
    while largest(&current.gradient) > patience.tolerance && values.len() <= patience.iterations_max {
        let step = memory.downhill(&current.gradient);
        let Some((next_at, next)) = search(objective, &at, &current, &step, false, context)? else { break };
        memory.remember((&at, &current), (&next_at, &next));
        (at, current) = (next_at, next);
        values.push(current.value);
        context.watch.progress(progress(values.len()));
    }
    Ok(Minimum { at, converged: largest(&current.gradient) <= patience.tolerance, values })
}

impl Memory {
    /// Remembers a step.
    pub fn remember(&mut self, from: (&[f64], &Evaluation), to: (&[f64], &Evaluation)) {
        let difference =
            |to: &[f64], from: &[f64]| -> Vec<f64> { to.iter().zip(from).map(|(to, from)| to - from).collect() };
        let step = difference(to.0, from.0);
        let change = difference(&to.1.gradient, &from.1.gradient);
        let product = dot(&step, &change);
        // A pair without curvature would make the next direction point anywhere.
        if product > f64::EPSILON * dot(&change, &change).sqrt() * dot(&step, &step).sqrt() {
            if self.0.len() == MEMORY {
                self.0.pop_front();
            }
            self.0.push_back(Pair { step, change, product });
        }
    }

    /// Downhill, by the curvature that the remembered steps saw.
    pub fn downhill(&self, gradient: &[f64]) -> Vec<f64> {
        let mut direction: Vec<f64> = gradient.iter().map(|part| -part).collect();
        let mut shares = Vec::with_capacity(self.0.len());
        for pair in self.0.iter().rev() {
            let share = dot(&pair.step, &direction) / pair.product;
            direction.iter_mut().zip(&pair.change).for_each(|(d, change)| *d -= share * change);
            shares.push(share);
        }
        let scale = match self.0.back() {
            Some(pair) => pair.product / dot(&pair.change, &pair.change),
            // A first step of about one, where features are standardised; the search shortens it where that is too far.
            None => 1.0 / dot(gradient, gradient).sqrt().max(1.0),
        };
        direction.iter_mut().for_each(|d| *d *= scale);
        for (pair, share) in self.0.iter().zip(shares.iter().rev()) {
            let correction = share - dot(&pair.change, &direction) / pair.product;
            direction.iter_mut().zip(&pair.step).for_each(|(d, step)| *d += correction * step);
        }
        direction
    }
}
