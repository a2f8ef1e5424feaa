//! Losses of weighted sums over standardised rows, with penalties: value, gradient and second derivatives.
//!
//! Unknowns are, for each sum, a weight per feature and then the intercept. The objective is the mean loss plus the
//! penalties. It knows neither the loss nor how it is minimised.

use std::ops::Range;

use super::algorithm::Context;
use super::dense::{Symmetric, dot};
use super::minimise::{Evaluation, Objective};
use super::products;
use super::rows::Rows;
use super::standardize::{Standardized, add_up};
use crate::Result;
use crate::limits::NEWTON_UNKNOWNS_MAX;
use crate::model::linear::{Linear, Link};

/// A loss of the weighted sums of a row.
pub(super) trait Loss: Sync {
    /// Weighted sums per row.
    fn sums(&self) -> usize;

    /// The losses of some rows, added up with the rows' weights. The sums become the first derivatives, weighted too;
    /// `second` becomes the second derivatives, weighted, of a loss of one sum, and the probabilities of one of several.
    fn take(&self, rows: Range<usize>, weights: Option<&[f64]>, sums: &mut [Vec<f64>], second: &mut [Vec<f64>]) -> f64;
}

/// What the weights cost, in the features' own units.
#[derive(Debug, Clone, Copy)]
pub(super) struct Penalty {
    /// What half a squared weight costs.
    pub squared: f64,
    /// What an absolute weight costs.
    pub absolute: f64,
}

/// What is minimised.
pub(super) struct Problem<'a, L> {
    /// The features.
    pub data: Standardized<'a>,
    loss: L,
    intercept: bool,
    /// The intercept of each sum at the start.
    start: f64,
    /// For each feature what half its squared standardised weight costs.
    squared: Vec<f64>,
    /// For each unknown what its absolute value costs; empty where nothing does.
    absolute: Vec<f64>,
}

/// What a piece of the rows adds.
struct Part {
    value: f64,
    gradient: Vec<f64>,
    hessian: Option<Symmetric>,
}

impl<'a, L: Loss> Problem<'a, L> {
    /// Standardises the rows.
    pub fn new(
        rows: &'a Rows,
        loss: L,
        intercept: Option<f64>,
        penalty: Penalty,
        context: &Context<'_>,
    ) -> Result<Self> {
        let mut data = Standardized::new(rows, intercept.is_some(), context)?;
        data.scale_to_unit_variance();
        data.drop_costly(penalty.squared, penalty.absolute);
        let squared = (0..data.width()).map(|feature| data.squared_cost(feature, penalty.squared)).collect();
        let mut absolute = Vec::new();
        if penalty.absolute > 0.0 {
            for _ in 0..loss.sums() {
                absolute.extend((0..data.width()).map(|feature| data.absolute_cost(feature, penalty.absolute)));
                absolute.extend(intercept.map(|_| 0.0));
            }
        }
        let (start, intercept) = (intercept.unwrap_or_default(), intercept.is_some());
        let unknowns = loss.sums() * (data.width() + usize::from(intercept));
        let second = if unknowns <= NEWTON_UNKNOWNS_MAX { unknowns } else { 1 };
        data.reserve(unknowns * second * size_of::<f64>(), context)?;
        Ok(Problem { data, loss, intercept, start, squared, absolute })
    }

    /// Unknowns of one sum.
    fn unknowns_per_sum(&self) -> usize {
        self.data.width() + usize::from(self.intercept)
    }

    /// The model in the features' own units.
    pub fn model(self, at: &[f64], link: Link) -> Linear {
        let (mut weights, mut intercepts) = (Vec::new(), Vec::new());
        for of_sum in at.chunks_exact(self.unknowns_per_sum()) {
            let (scaled, intercept) = of_sum.split_at(self.data.width());
            let own = self.data.unscale(scaled);
            let offset = dot(&own, &self.data.centres);
            intercepts.push(intercept.first().copied().unwrap_or_default() - offset);
            weights.push(own);
        }
        Linear { means: self.data.means, weights, intercepts, link }
    }

    fn part(&self, rows: Range<usize>, at: &[f64], with_hessian: bool, context: &Context<'_>) -> Result<Part> {
        let (per_sum, count) = (self.unknowns_per_sum(), self.loss.sums());
        let hessian = with_hessian.then(|| Symmetric::zeros(at.len()));
        let mut part = Part { value: 0.0, gradient: vec![0.0; at.len()], hessian };
        let (mut sums, mut second) = (vec![Vec::new(); count], vec![Vec::new(); count]);
        let mut weighted = vec![Vec::new(); per_sum];
        self.data.for_each_block(rows, context, |start, block| {
            let rows = block.first().map_or(0, Vec::len);
            let ones = vec![1.0; if self.intercept { rows } else { 0 }];
            for (sums, of_sum) in sums.iter_mut().zip(at.chunks_exact(per_sum)) {
                weighted_sum(block, of_sum, rows, sums);
            }
            let weights = self.data.weights().map(|weights| &weights[start..start + rows]);
            part.value += self.loss.take(start..start + rows, weights, &mut sums, &mut second);
            let mut columns: Vec<&[f64]> = block.iter().map(Vec::as_slice).collect();
            if self.intercept {
                columns.push(&ones);
            }
            for (sums, of_sum) in sums.iter().zip(part.gradient.chunks_exact_mut(per_sum)) {
                of_sum.iter_mut().zip(&columns).for_each(|(part, column)| *part += dot(column, sums));
            }
            match &mut part.hessian {
                Some(hessian) if count == 1 => curvature(&columns, &second[0], &mut weighted, hessian),
                Some(hessian) => cross_curvature(&columns, &second, weights, &mut weighted, hessian),
                None => {}
            }
        })?;
        Ok(part)
    }

    fn add_penalty(&self, at: &[f64], evaluation: &mut Evaluation) {
        let (per_sum, sums) = (self.unknowns_per_sum(), self.loss.sums());
        for (i, at) in at.iter().enumerate().filter(|(i, _)| i % per_sum < self.data.width()) {
            let feature = i % per_sum;
            let penalty = self.squared[feature];
            evaluation.value += 0.5 * penalty * at * at;
            evaluation.gradient[i] += penalty * at;
            if let Some(hessian) = &mut evaluation.hessian {
                // A feature without variation gets a weight of 0 from an equation of its own.
                hessian.add(i, i, if self.data.varies(feature) { penalty } else { 1.0 });
            }
        }
        // Adding one number to an unknown of all sums changes no probability. Where nothing else holds them, this term
        // asks for a sum of 0, which the gradient never leaves, so it moves no minimum.
        if let (Some(hessian), true) = (&mut evaluation.hessian, sums > 1) {
            let stiffness = 1.0 / (sums * sums) as f64;
            let unpenalised = |penalty: &f64| *penalty == 0.0 && self.absolute.is_empty();
            let free = |place: &usize| self.squared.get(*place).is_none_or(unpenalised);
            for place in (0..per_sum).filter(free) {
                for k in 0..sums {
                    (0..=k).for_each(|l| hessian.add(k * per_sum + place, l * per_sum + place, stiffness));
                }
            }
        }
    }
}

impl<L: Loss> Objective for Problem<'_, L> {
    fn start(&self) -> Vec<f64> {
        let per_sum = self.unknowns_per_sum();
        let mut at = vec![0.0; self.loss.sums() * per_sum];
        if self.intercept {
            at.iter_mut().skip(per_sum - 1).step_by(per_sum).for_each(|intercept| *intercept = self.start);
        }
        at
    }

    fn evaluate(&self, at: &[f64], with_hessian: bool, context: &Context<'_>) -> Result<Evaluation> {
        let bytes = if with_hessian { at.len() * at.len() } else { at.len() } * size_of::<f64>();
        let parts = self.data.map_pieces(bytes, context, |rows| self.part(rows, at, with_hessian, context))?;
        let nothing = || Part { value: 0.0, gradient: vec![0.0; at.len()], hessian: None };
        let Part { value, gradient, hessian } = add_up(parts, Part::add).unwrap_or_else(nothing);
        let share = 1.0 / self.data.total_weight;
        let mut evaluation = Evaluation {
            value: value * share,
            gradient: gradient.into_iter().map(|part| part * share).collect(),
            hessian: hessian.map(|hessian| hessian.times(share)),
        };
        self.add_penalty(at, &mut evaluation);
        if evaluation.value.is_nan() {
            evaluation.value = f64::INFINITY;
        }
        Ok(evaluation)
    }

    fn absolute_penalties(&self) -> &[f64] {
        &self.absolute
    }
}

impl Part {
    fn add(&mut self, other: Part) {
        self.value += other.value;
        self.gradient.iter_mut().zip(other.gradient).for_each(|(sum, part)| *sum += part);
        if let (Some(sum), Some(part)) = (&mut self.hessian, other.hessian) {
            sum.add_all(part);
        }
    }
}

fn weighted_sum(block: &[Vec<f64>], weights: &[f64], rows: usize, out: &mut Vec<f64>) {
    out.clear();
    out.resize(rows, weights.get(block.len()).copied().unwrap_or_default());
    for (column, weight) in block.iter().zip(weights) {
        out.iter_mut().zip(column).for_each(|(sum, x)| *sum += weight * x);
    }
}

/// Adds a block's second derivatives of a loss of one sum.
fn curvature(columns: &[&[f64]], second: &[f64], weighted: &mut [Vec<f64>], hessian: &mut Symmetric) {
    let roots: Vec<f64> = second.iter().map(|second| second.max(0.0).sqrt()).collect();
    for (weighted, column) in weighted.iter_mut().zip(columns) {
        weighted.clear();
        weighted.extend(column.iter().zip(&roots).map(|(x, root)| x * root));
    }
    let weighted: Vec<&[f64]> = weighted.iter().map(Vec::as_slice).collect();
    products::add_symmetric(&weighted, &weighted, (0, 0), hessian);
}

/// Adds a block's second derivatives of the loss of several sums that are softmax's.
fn cross_curvature(
    columns: &[&[f64]],
    probabilities: &[Vec<f64>],
    weights: Option<&[f64]>,
    weighted: &mut [Vec<f64>],
    hessian: &mut Symmetric,
) {
    let per_sum = columns.len();
    for (k, of_k) in probabilities.iter().enumerate() {
        for (l, of_l) in probabilities[..=k].iter().enumerate() {
            let same = if k == l { 1.0 } else { 0.0 };
            let mut factors: Vec<f64> = of_k.iter().zip(of_l).map(|(p, q)| p * (same - q)).collect();
            if let Some(weights) = weights {
                factors.iter_mut().zip(weights).for_each(|(factor, weight)| *factor *= weight);
            }
            for (weighted, column) in weighted.iter_mut().zip(columns) {
                weighted.clear();
                weighted.extend(column.iter().zip(&factors).map(|(x, factor)| x * factor));
            }
            let weighted: Vec<&[f64]> = weighted.iter().map(Vec::as_slice).collect();
            // Within a block of unknowns each pair counts once, below the diagonal of blocks every pair does.
            match k == l {
                true => products::add_symmetric(&weighted, columns, (k * per_sum, k * per_sum), hessian),
                false => products::add_all(&weighted, columns, (k * per_sum, l * per_sum), hessian),
            }
        }
    }
}
