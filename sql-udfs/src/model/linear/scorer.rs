//! A linear model as a sum over the columns that matter to it.
//!
//! Four columns at a time are added into a block of sums, each product in the order of the columns: the sums are the same
//! bits as those of one column after another. What is known beforehand is multiplied beforehand. A sum begins at zero and so
//! is never the negative zero, which is why a column whose weights are all zero may be left out.

use super::{KIND, Linear, Link, logistic_pair, softmax};
use crate::model::contents::Sums;
use crate::model::kernel::{ColumnRange, Kernel};
use crate::model::lanes::{self, Job};
use crate::model::onnx::builder::GraphBuilder;
use crate::model::signature::Signature;

/// Columns that are added in one pass over the sums.
const TOGETHER: usize = 4;

/// What a column adds.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Term {
    /// Its value, or the mean where it is missing, times the weight.
    Column { column: usize, mean: f64 },
    /// Always this value times the weight.
    Always { column: usize, value: f64 },
}

/// A linear model, ready to score.
#[derive(Debug)]
pub(crate) struct Scorer {
    model: Linear,
    terms: Vec<Term>,
}

impl Scorer {
    /// All columns that have a weight.
    pub fn new(model: Linear) -> Self {
        let used = model.used();
        let columns = used.iter().enumerate().filter(|(_, used)| **used);
        let terms = columns.map(|(column, _)| Term::Column { column, mean: model.means[column] }).collect();
        Scorer { model, terms }
    }

    /// One weighted sum per row.
    fn sum(&self, index: usize, columns: &[&[f64]], out: &mut [f64]) {
        let weights = self.model.weights[index].as_slice();
        lanes::run(Sum { weights, terms: &self.terms, intercept: self.model.intercepts[index], columns, out });
    }
}

/// One weighted sum of each row of a block.
struct Sum<'a> {
    weights: &'a [f64],
    terms: &'a [Term],
    intercept: f64,
    columns: &'a [&'a [f64]],
    out: &'a mut [f64],
}

impl Job for Sum<'_> {
    #[inline(always)]
    fn run(self) {
        let Sum { weights, terms, intercept, columns, out } = self;
        let mut start = 0.0;
        let mut terms = terms;
        while let [Term::Always { column, value }, rest @ ..] = terms {
            start += weights[*column] * value;
            terms = rest;
        }
        out.fill(start);
        while let Some(first) = terms.first() {
            let mut sources = [(0.0, 0.0, columns[0]); TOGETHER];
            let mut count = 0;
            for term in terms.iter().take(TOGETHER) {
                let Term::Column { column, mean } = term else { break };
                sources[count] = (weights[*column], *mean, columns[*column]);
                count += 1;
            }
            match (count, first) {
                (TOGETHER, _) => add_four(sources, out),
                (0, Term::Always { column, value }) => {
                    let product = weights[*column] * value;
                    out.iter_mut().for_each(|sum| *sum += product);
                    count = 1;
                }
                _ => sources[..count].iter().for_each(|source| add_one(*source, out)),
            }
            terms = &terms[count..];
        }
        out.iter_mut().for_each(|sum| *sum += intercept);
    }
}

#[inline(always)]
fn product(weight: f64, mean: f64, value: f64) -> f64 {
    weight * if value.is_nan() { mean } else { value }
}

#[inline(always)]
fn add_one((weight, mean, values): (f64, f64, &[f64]), sums: &mut [f64]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += product(weight, mean, *value);
    }
}

#[inline(always)]
fn add_four([a, b, c, d]: [(f64, f64, &[f64]); TOGETHER], sums: &mut [f64]) {
    let rows = sums.len();
    let [va, vb, vc, vd] = [a.2, b.2, c.2, d.2].map(|values| &values[..rows]);
    for i in 0..rows {
        let mut sum = sums[i];
        sum += product(a.0, a.1, va[i]);
        sum += product(b.0, b.1, vb[i]);
        sum += product(c.0, c.1, vc[i]);
        sum += product(d.0, d.1, vd[i]);
        sums[i] = sum;
    }
}

impl Kernel for Scorer {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn width(&self) -> usize {
        self.model.width()
    }

    fn score_block(&self, columns: &[&[f64]], out: &mut [f64]) {
        match self.model.link {
            Link::Identity => self.sum(0, columns, out),
            Link::Exp => {
                self.sum(0, columns, out);
                out.iter_mut().for_each(|sum| *sum = libm::exp(*sum));
            }
            Link::Logistic => {
                let mut sums = vec![0.0; out.len() / 2];
                self.sum(0, columns, &mut sums);
                for (row, sum) in out.chunks_exact_mut(2).zip(&sums) {
                    row.copy_from_slice(&logistic_pair(*sum));
                }
            }
            Link::Softmax => {
                let width = self.model.intercepts.len();
                let mut sums = vec![0.0; out.len() / width];
                for class in 0..width {
                    self.sum(class, columns, &mut sums);
                    for (row, sum) in out.chunks_exact_mut(width).zip(&sums) {
                        row[class] = *sum;
                    }
                }
                out.chunks_exact_mut(width).for_each(softmax);
            }
        }
    }

    fn sums(&self) -> Option<Sums<'_>> {
        self.model.sums()
    }

    fn write(&self, signature: &Signature, graph: &mut GraphBuilder) {
        self.model.write(signature, graph);
    }

    fn describe(&self) -> String {
        format!("native linear ({} columns)", self.used_columns().iter().filter(|used| **used).count())
    }

    fn used_columns(&self) -> Vec<bool> {
        let mut used = vec![false; self.model.means.len()];
        for term in &self.terms {
            if let Term::Column { column, .. } = term {
                used[*column] = true;
            }
        }
        used
    }

    fn specialise(&self, ranges: &[ColumnRange]) -> Option<Box<dyn Kernel>> {
        let known = |term: &Term| match term {
            Term::Column { column, mean } => match ranges.get(*column) {
                // Zeros of both signs are equal, and give the same sums.
                Some(range) if range.low == range.high && !range.missing && range.low.is_finite() => {
                    Term::Always { column: *column, value: range.low }
                }
                Some(range) if range.low > range.high && range.missing => {
                    Term::Always { column: *column, value: *mean }
                }
                _ => *term,
            },
            Term::Always { .. } => *term,
        };
        let terms: Vec<Term> = self.terms.iter().map(known).collect();
        (terms != self.terms).then(|| Box::new(Scorer { model: self.model.clone(), terms }) as Box<dyn Kernel>)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::specimens::Dice;

    /// The sums column by column, by their definition.
    fn plainly(model: &Linear, columns: &[Vec<f64>], row: usize) -> u64 {
        let mut sum = 0.0;
        for (feature, column) in columns.iter().enumerate() {
            let value = if column[row].is_nan() { model.means[feature] } else { column[row] };
            if model.weights[0][feature] != 0.0 {
                sum += model.weights[0][feature] * value;
            }
        }
        (sum + model.intercepts[0]).to_bits()
    }

    #[test]
    fn sums_are_those_of_one_column_after_another_whatever_is_known() {
        let dice = &mut Dice(3);
        for features in [1, 2, 3, 4, 5, 8, 13] {
            let values = |dice: &mut Dice| -> Vec<f64> {
                let value = |dice: &mut Dice| match dice.below(6) {
                    0 => f64::NAN,
                    1 => dice.pick(&[-0.0, 0.0, 5e-324, -1e300]),
                    _ => dice.number(),
                };
                (0..50).map(|_| value(dice)).collect()
            };
            let mut columns: Vec<Vec<f64>> = (0..features).map(|_| values(dice)).collect();
            let weights = (0..features).map(|_| if dice.below(4) == 0 { 0.0 } else { dice.number() }).collect();
            let means = (0..features).map(|_| dice.number()).collect();
            let model = Linear { means, weights: vec![weights], intercepts: vec![0.1], link: Link::Identity };
            let any = ColumnRange::unknown();
            let mut ranges = vec![any; features];
            for (column, range) in columns.iter_mut().zip(&mut ranges) {
                let value = match dice.below(5) {
                    0 => f64::NAN,
                    1 => dice.pick(&[0.0, -0.0, 0.7]),
                    _ => continue,
                };
                column.fill(value);
                let (low, high) = if value.is_nan() { (1.0, 0.0) } else { (value, value) };
                *range = ColumnRange { low, high, missing: value.is_nan(), codes: None };
            }
            let scorer = Scorer::new(model.clone());
            let special = scorer.specialise(&ranges);
            for kernel in [Some(Box::new(scorer) as Box<dyn Kernel>), special].into_iter().flatten() {
                let used = kernel.used_columns();
                let given: Vec<Vec<f64>> =
                    columns.iter().zip(&used).map(|(c, used)| if *used { c.clone() } else { vec![9.0; 50] }).collect();
                let given: Vec<&[f64]> = given.iter().map(Vec::as_slice).collect();
                let mut out = [0.0; 50];
                kernel.score_block(&given, &mut out);
                for (row, sum) in out.iter().enumerate() {
                    assert_eq!(sum.to_bits(), plainly(&model, &columns, row), "{features} {row}");
                }
            }
        }
    }
}
