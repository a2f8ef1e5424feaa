//! The logistic and the softmax loss over standardised rows: value, gradient and second derivatives.
//!
//! Unknowns are, for each sum, a weight per feature and then the intercept. The loss is a sum over rows plus the penalty
//! divided by C, which has the same minimum as scikit-learn's objective. It does not know how it is minimised.

pub(super) mod lbfgs;
pub(super) mod newton;

use super::algorithm::Context;
use super::dense::{self, Symmetric};
use super::rows::Rows;
use super::standardize::Standardized;
use crate::Result;
use crate::model::linear::{logistic_pair, softmax};

/// What is minimised.
pub(super) struct Problem<'a> {
    /// The features.
    pub data: Standardized<'a>,
    codes: &'a [u32],
    sums: usize,
    intercept: bool,
    /// For each feature what half its squared weight costs.
    penalties: Vec<f64>,
}

/// The objective at a point.
pub(super) struct Evaluation {
    pub value: f64,
    pub gradient: Vec<f64>,
    /// The second derivatives, where they were asked for.
    pub hessian: Option<Symmetric>,
}

impl<'a> Problem<'a> {
    /// Standardises the rows.
    pub fn new(rows: &'a Rows, context: &Context<'_>) -> Result<Self> {
        let intercept = context.parameters.boolean("fit_intercept");
        let c = context.parameters.double("c");
        let mut data = Standardized::new(rows, intercept, context)?;
        data.scale_to_unit_variance();
        let penalties = data.scales.iter().map(|scale| 1.0 / (c * scale * scale)).collect();
        let sums = if context.classes == 2 { 1 } else { context.classes };
        Ok(Problem { data, codes: rows.target.classes()?, sums, intercept, penalties })
    }

    /// Weighted sums per row: one for two classes, otherwise one for each class.
    pub fn sums(&self) -> usize {
        self.sums
    }

    /// Unknowns of one sum.
    pub fn unknowns_per_sum(&self) -> usize {
        self.data.width() + usize::from(self.intercept)
    }

    /// Unknowns in all.
    pub fn unknowns(&self) -> usize {
        self.sums * self.unknowns_per_sum()
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.codes.len()
    }

    /// The objective at a point.
    pub fn evaluate(&self, at: &[f64], with_hessian: bool, context: &Context<'_>) -> Result<Evaluation> {
        let per_sum = self.unknowns_per_sum();
        let (mut value, mut gradient) = (0.0, vec![0.0; at.len()]);
        let mut hessian = with_hessian.then(|| Symmetric::zeros(at.len()));
        let (mut sums, mut weighted) = (vec![Vec::new(); self.sums], Vec::new());
        let mut columns: Vec<Vec<f64>> = Vec::new();
        self.data.for_each_block(context, |start, block| {
            let rows = block.first().map_or(0, Vec::len);
            columns.resize_with(per_sum, Vec::new);
            for (column, standardised) in columns.iter_mut().zip(block) {
                column.clone_from(standardised);
            }
            if self.intercept {
                columns[per_sum - 1].clear();
                columns[per_sum - 1].resize(rows, 1.0);
            }
            for (sums, of_sum) in sums.iter_mut().zip(at.chunks_exact(per_sum)) {
                weighted_sum(&columns, of_sum, rows, sums);
            }
            let codes = &self.codes[start..start + rows];
            value += if self.sums == 1 { logistic_loss(codes, &mut sums[0]) } else { softmax_loss(codes, &mut sums) };
            if let Some(hessian) = &mut hessian {
                self.add_curvature(&columns, &sums, &mut weighted, hessian);
            }
            // Probabilities become errors only now: the curvature needs them as they are.
            for (sum, of_sum) in gradient.chunks_exact_mut(per_sum).enumerate() {
                let class = if self.sums == 1 { 1 } else { sum as u32 };
                for (probability, code) in sums[sum].iter_mut().zip(codes) {
                    *probability -= if *code == class { 1.0 } else { 0.0 };
                }
                for (part, column) in of_sum.iter_mut().zip(&columns) {
                    *part += dense::dot(column, &sums[sum]);
                }
            }
        })?;
        let mut evaluation = Evaluation { value, gradient, hessian };
        self.add_penalty(at, &mut evaluation);
        Ok(evaluation)
    }

    /// Adds a block's second derivatives. `probabilities` has one column per sum.
    fn add_curvature(
        &self,
        columns: &[Vec<f64>],
        probabilities: &[Vec<f64>],
        weighted: &mut Vec<f64>,
        hessian: &mut Symmetric,
    ) {
        let per_sum = self.unknowns_per_sum();
        for (k, of_k) in probabilities.iter().enumerate() {
            for (l, of_l) in probabilities[..=k].iter().enumerate() {
                for (i, left) in columns.iter().enumerate() {
                    weighted.clear();
                    weighted.extend(left.iter().zip(of_k.iter().zip(of_l)).map(|(x, (p, q))| {
                        let same = if k == l { 1.0 } else { 0.0 };
                        x * p * (same - q)
                    }));
                    // Below the diagonal of blocks every pair counts, within them each pair once.
                    let count = if k == l { i + 1 } else { per_sum };
                    for (j, right) in columns[..count].iter().enumerate() {
                        hessian.add(k * per_sum + i, l * per_sum + j, dense::dot(weighted, right));
                    }
                }
            }
        }
    }

    fn add_penalty(&self, at: &[f64], evaluation: &mut Evaluation) {
        let per_sum = self.unknowns_per_sum();
        for sum in 0..self.sums {
            for (feature, penalty) in self.penalties.iter().enumerate() {
                let i = sum * per_sum + feature;
                evaluation.value += 0.5 * penalty * at[i] * at[i];
                evaluation.gradient[i] += penalty * at[i];
                if let Some(hessian) = &mut evaluation.hessian {
                    // A feature without variation gets a weight of 0 from an equation of its own.
                    hessian.add(i, i, if self.data.scales[feature].is_finite() { *penalty } else { 1.0 });
                }
            }
        }
        // Adding one number to all intercepts of a softmax changes nothing, which would make the matrix singular. This
        // term asks for a sum of 0, which the gradient never leaves, so it moves no minimum.
        if let (Some(hessian), true) = (&mut evaluation.hessian, self.intercept && self.sums > 1) {
            let stiffness = self.rows() as f64 / (self.sums * self.sums) as f64;
            for k in 0..self.sums {
                for l in 0..=k {
                    hessian.add(k * per_sum + per_sum - 1, l * per_sum + per_sum - 1, stiffness);
                }
            }
        }
    }
}

fn weighted_sum(columns: &[Vec<f64>], weights: &[f64], rows: usize, out: &mut Vec<f64>) {
    out.clear();
    out.resize(rows, 0.0);
    for (column, weight) in columns.iter().zip(weights) {
        out.iter_mut().zip(column).for_each(|(sum, x)| *sum += weight * x);
    }
}

/// The loss of a block; log-odds become probabilities of the second class.
fn logistic_loss(codes: &[u32], sums: &mut [f64]) -> f64 {
    let mut loss = 0.0;
    for (code, sum) in codes.iter().zip(sums) {
        let wrong_by = if *code == 1 { -*sum } else { *sum };
        loss += wrong_by.max(0.0) + libm::log1p(libm::exp(-wrong_by.abs()));
        *sum = logistic_pair(*sum)[1];
    }
    loss
}

/// The loss of a block; scores become probabilities.
fn softmax_loss(codes: &[u32], sums: &mut [Vec<f64>]) -> f64 {
    let (mut loss, mut row) = (0.0, vec![0.0; sums.len()]);
    for (i, code) in codes.iter().enumerate() {
        row.iter_mut().zip(sums.iter()).for_each(|(value, of_class)| *value = of_class[i]);
        let greatest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let actual = row[*code as usize];
        let total: f64 = row.iter().map(|value| libm::exp(value - greatest)).sum();
        loss += libm::log(total) + greatest - actual;
        softmax(&mut row);
        row.iter().zip(sums.iter_mut()).for_each(|(value, of_class)| of_class[i] = *value);
    }
    loss
}
