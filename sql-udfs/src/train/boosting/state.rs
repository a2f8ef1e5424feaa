//! The rows of a boosting: their scores, gradients and leaves, and the passes over all of them.
//!
//! Passes run in blocks of fixed size, whose sums are added up in their order.

use std::sync::atomic::{AtomicU32, Ordering};

use super::loss::{Loss, Terms};
use crate::train::algorithm::Context;

/// Rows of a block.
const ROWS_PER_BLOCK: usize = 1 << 14;
/// Factors from 1 to 2 whose product a 64-bit float holds.
const FACTORS_MAX: u32 = 1_000;

/// What part a row has in the fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Trees learn from it.
    Learn,
    /// Early stopping measures on it.
    Validate,
    /// It weighs nothing.
    Rest,
}

/// Rows with what is known of them, and the state of one score.
pub(super) struct State<'a> {
    pub loss: Loss,
    /// Numbers, or 1 for the score's class and 0 for the others.
    pub target: Targets<'a>,
    pub weights: Option<&'a [f64]>,
    pub roles: &'a [Role],
}

/// What each row's score is compared with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Targets<'a> {
    /// Numbers.
    Numbers(&'a [f64]),
    /// Classes.
    Classes(&'a [u32]),
}

impl Targets<'_> {
    /// The target of a row for a score: a number, or whether the class is the score's. The one score of two classes is
    /// that of the second.
    pub fn of(&self, row: usize, class: u32) -> f64 {
        match self {
            Targets::Numbers(target) => target[row],
            Targets::Classes(codes) => f64::from(u8::from(codes[row] == class)),
        }
    }
}

/// First and second derivatives of all rows; the second are empty where they are all 1.
#[derive(Debug, Default)]
pub(super) struct Gradients {
    pub first: Vec<f64>,
    pub second: Vec<f64>,
}

/// What a pass sums up.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pass {
    /// Weighted losses of the rows that trees learn from, and of those that early stopping measures on.
    pub losses: [f64; 2],
    /// The greatest first derivative, and the sum of their sizes.
    pub first: (f64, f64),
    pub second_max: f64,
}

impl Pass {
    fn and(self, other: Pass) -> Pass {
        Pass {
            losses: [self.losses[0] + other.losses[0], self.losses[1] + other.losses[1]],
            first: (self.first.0.max(other.first.0), self.first.1 + other.first.1),
            second_max: self.second_max.max(other.second_max),
        }
    }
}

/// The logarithm of a product of numbers from 1 to 2.
struct Product {
    sum: f64,
    product: f64,
    factors: u32,
}

impl Product {
    fn new() -> Self {
        Product { sum: 0.0, product: 1.0, factors: 0 }
    }

    fn multiply(&mut self, factor: f64) {
        self.product *= factor;
        self.factors += 1;
        if self.factors == FACTORS_MAX {
            self.sum += libm::log(self.product);
            (self.product, self.factors) = (1.0, 0);
        }
    }

    fn logarithm(&self) -> f64 {
        self.sum + libm::log(self.product)
    }
}

/// One block of a pass: its first row, and what is written of it.
type Block<'a> = (usize, &'a mut [f64], &'a mut [f64], &'a mut [f64]);

impl State<'_> {
    fn weight(&self, row: usize) -> f64 {
        self.weights.map_or(1.0, |weights| weights[row])
    }

    /// Adds leaf values to scores, and takes losses and gradients of what they become. For a loss of one score.
    pub fn advance(
        &self,
        scores: &mut [f64],
        leaves: &[AtomicU32],
        values: &[f64],
        gradients: &mut Gradients,
        context: &Context<'_>,
    ) -> Pass {
        let flat = gradients.second.is_empty();
        let mut seconds = gradients.second.chunks_mut(ROWS_PER_BLOCK);
        let firsts = gradients.first.chunks_mut(ROWS_PER_BLOCK);
        let blocks: Vec<Block<'_>> = scores
            .chunks_mut(ROWS_PER_BLOCK)
            .zip(firsts)
            .enumerate()
            .map(|(block, (scores, first))| (block * ROWS_PER_BLOCK, scores, first, seconds.next().unwrap_or_default()))
            .collect();
        let parts = context.workers.map_each(blocks, |(start, scores, first, second)| {
            add(scores, &leaves[start..], values);
            if flat {
                self.block::<true>(start, scores, first, second)
            } else {
                self.block::<false>(start, scores, first, second)
            }
        });
        parts.into_iter().fold(Pass::default(), Pass::and)
    }

    fn block<const FLAT: bool>(&self, start: usize, scores: &[f64], first: &mut [f64], second: &mut [f64]) -> Pass {
        let mut pass = Pass::default();
        let mut products = [Product::new(), Product::new()];
        for (place, (score, first)) in scores.iter().zip(first).enumerate() {
            let row = start + place;
            let (weight, role) = (self.weight(row), self.roles[row]);
            if role == Role::Rest {
                continue;
            }
            let Terms { loss, factor, gradient, hessian } = self.loss.terms(*score, self.target.of(row, 1));
            let part = usize::from(role == Role::Validate);
            pass.losses[part] += weight * loss;
            if self.loss == Loss::Logistic {
                match self.weights {
                    None => products[part].multiply(factor),
                    Some(_) => pass.losses[part] += weight * libm::log(factor),
                }
            }
            let gradient = weight * gradient;
            *first = gradient;
            if role == Role::Learn {
                pass.first.0 = pass.first.0.max(gradient.abs());
                pass.first.1 += gradient.abs();
            }
            if !FLAT {
                second[place] = weight * hessian;
                pass.second_max = pass.second_max.max(weight * hessian);
            }
        }
        pass.losses[0] += products[0].logarithm();
        pass.losses[1] += products[1].logarithm();
        pass
    }

    /// The logarithm of the sum of all classes' exponentials for each row, and the losses.
    pub fn normalise(&self, scores: &[Vec<f64>], norms: &mut [f64], context: &Context<'_>) -> Pass {
        let blocks: Vec<(usize, &mut [f64])> = norms.chunks_mut(ROWS_PER_BLOCK).enumerate().collect();
        let parts = context.workers.map_each(blocks, |(block, norms)| {
            let mut pass = Pass::default();
            for (place, norm) in norms.iter_mut().enumerate() {
                let row = block * ROWS_PER_BLOCK + place;
                let greatest = scores.iter().map(|scores| scores[row]).fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = scores.iter().map(|scores| libm::exp(scores[row] - greatest)).sum();
                *norm = greatest + libm::log(sum);
                if let (Targets::Classes(codes), Role::Learn | Role::Validate) = (&self.target, self.roles[row]) {
                    let loss = *norm - scores[codes[row] as usize][row];
                    pass.losses[usize::from(self.roles[row] == Role::Validate)] += self.weight(row) * loss;
                }
            }
            pass
        });
        parts.into_iter().fold(Pass::default(), Pass::and)
    }

    /// The gradients of one class's score, given the logarithms of sums.
    pub fn of_class(
        &self,
        class: usize,
        scores: &[f64],
        norms: &[f64],
        gradients: &mut Gradients,
        context: &Context<'_>,
    ) -> Pass {
        let both = gradients.first.chunks_mut(ROWS_PER_BLOCK).zip(gradients.second.chunks_mut(ROWS_PER_BLOCK));
        let blocks: Vec<(usize, (&mut [f64], &mut [f64]))> = both.enumerate().collect();
        let parts = context.workers.map_each(blocks, |(block, (first, second))| {
            let mut pass = Pass::default();
            for (place, (first, second)) in first.iter_mut().zip(second).enumerate() {
                let row = block * ROWS_PER_BLOCK + place;
                let weight = self.weight(row);
                let probability = libm::exp(scores[row] - norms[row]);
                *first = weight * (probability - self.target.of(row, class as u32));
                *second = weight * probability * (1.0 - probability).max(0.0);
                if self.roles[row] == Role::Learn {
                    pass.first.0 = pass.first.0.max(first.abs());
                    pass.first.1 += first.abs();
                }
                pass.second_max = pass.second_max.max(*second);
            }
            pass
        });
        parts.into_iter().fold(Pass::default(), Pass::and)
    }
}

fn add(scores: &mut [f64], leaves: &[AtomicU32], values: &[f64]) {
    if !values.is_empty() {
        for (score, leaf) in scores.iter_mut().zip(leaves) {
            // A row that weighs nothing is in no leaf.
            *score += values.get(leaf.load(Ordering::Relaxed) as usize).copied().unwrap_or(0.0);
        }
    }
}

/// Adds leaf values to scores.
pub(super) fn add_all(scores: &mut [f64], leaves: &[AtomicU32], values: &[f64], context: &Context<'_>) {
    let blocks: Vec<(usize, &mut [f64])> = scores.chunks_mut(ROWS_PER_BLOCK).enumerate().collect();
    context.workers.map_each(blocks, |(block, scores)| add(scores, &leaves[block * ROWS_PER_BLOCK..], values));
}
