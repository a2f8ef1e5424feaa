//! L-BFGS within orthants: penalties on absolute values, where second derivatives would not fit.
//!
//! Andrew & Gao, Scalable training of L1-regularized log-linear models (ICML 2007), known as OWL-QN.

use super::lbfgs::Memory;
use super::{
    Evaluation, HALVINGS_MAX, Minimum, Objective, Patience, SUFFICIENT, cost, largest, progress, rounding, subgradient,
};
use crate::Result;
use crate::train::algorithm::Context;

/// Minimises.
pub(super) fn minimise(
    objective: &dyn Objective,
    mut at: Vec<f64>,
    patience: Patience,
    context: &Context<'_>,
) -> Result<Minimum> {
    context.watch.reserve(32 * at.len() * size_of::<f64>())?;
    let penalties = objective.absolute_penalties();
    let mut memory = Memory::default();
    let mut current = objective.evaluate(&at, false, context)?;
    let mut values = vec![current.value + cost(&at, penalties)];
    let mut ascent = subgradient(&at, &current.gradient, penalties);
    while largest(&ascent) > patience.tolerance && values.len() <= patience.iterations_max {
        let mut step = memory.downhill(&ascent);
        // What the curvature turned uphill is left alone.
        for (step, ascent) in step.iter_mut().zip(&ascent) {
            if *step * ascent >= 0.0 {
                *step = 0.0;
            }
        }
        let Some((next_at, next)) = search(objective, &at, &current, &ascent, &step, context)? else { break };
        memory.remember((&at, &current), (&next_at, &next));
        (at, current) = (next_at, next);
        ascent = subgradient(&at, &current.gradient, penalties);
        values.push(current.value + cost(&at, penalties));
        context.watch.progress(progress(values.len()));
    }
    Ok(Minimum { at, converged: largest(&ascent) <= patience.tolerance, values })
}

fn search(
    objective: &dyn Objective,
    from: &[f64],
    current: &Evaluation,
    ascent: &[f64],
    step: &[f64],
    context: &Context<'_>,
) -> Result<Option<(Vec<f64>, Evaluation)>> {
    let penalties = objective.absolute_penalties();
    let before = current.value + cost(from, penalties);
    let mut share = 1.0;
    for _ in 0..HALVINGS_MAX {
        let along = |((from, step), (ascent, penalty)): ((&f64, &f64), (&f64, &f64))| {
            let (to, side) = (from + share * step, if *from == 0.0 { -ascent } else { *from });
            // A penalised unknown stops at zero rather than change its sign.
            if *penalty > 0.0 && to * side <= 0.0 { 0.0 } else { to }
        };
        let at: Vec<f64> = from.iter().zip(step).zip(ascent.iter().zip(penalties)).map(along).collect();
        let descent: f64 = at.iter().zip(from).zip(ascent).map(|((to, from), ascent)| (to - from) * ascent).sum();
        let next = objective.evaluate(&at, false, context)?;
        if next.value + cost(&at, penalties) <= before + SUFFICIENT * descent + rounding(before) {
            return Ok(Some((at, next)));
        }
        share *= 0.5;
    }
    Ok(None)
}
