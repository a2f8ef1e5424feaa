//! How well a model predicts rows whose target is known.
//!
//! Definitions are scikit-learn's (<https://scikit-learn.org/stable/modules/model_evaluation.html>). A metric that rows
//! do not define (`r2` of a constant, `roc_auc` of one class) is left out. Sums run in canonical order, block by block.

use super::Metric;
use super::algorithm::Context;
use super::rows::Rows;
use super::target::{Target, UNSEEN};
use crate::Result;
use crate::limits::{ROWS_PER_PIECE, SCORE_ROWS_PER_BLOCK};
use crate::model::kernel::{Kernel, argmax};

/// Measures a model; names get the prefix.
pub(super) fn measure(kernel: &dyn Kernel, rows: &Rows, prefix: &str, context: &Context<'_>) -> Result<Vec<Metric>> {
    if rows.len() == 0 {
        return Ok(Vec::new());
    }
    let numbers = match &rows.target {
        Target::Numbers(values) => regression(kernel, rows, values, context)?,
        Target::Classes(codes) => classification(kernel, rows, codes, context)?,
        Target::None(_) => own(kernel, rows, context)?,
    };
    let finite = numbers.into_iter().filter(|(_, value)| value.is_finite());
    Ok(finite.map(|(name, value)| Metric { name: format!("{prefix}{name}"), value, step: 0 }).collect())
}

/// Sees the rows piece by piece: `visit` gets what a piece has so far, the first row of a block and its columns. Gives what
/// the pieces have, in order.
fn by_piece<T: Send>(
    rows: &Rows,
    context: &Context<'_>,
    start: impl Fn() -> T + Sync + Send,
    visit: impl Fn(&mut T, usize, &[&[f64]]) + Sync + Send,
) -> Result<Vec<T>> {
    let columns = rows.columns();
    context.workers.try_map(rows.len().div_ceil(ROWS_PER_PIECE), |piece| {
        let (mut found, end) = (start(), rows.len().min((piece + 1) * ROWS_PER_PIECE));
        for from in (piece * ROWS_PER_PIECE..end).step_by(SCORE_ROWS_PER_BLOCK) {
            context.check_cancelled()?;
            let to = end.min(from + SCORE_ROWS_PER_BLOCK);
            let block: Vec<&[f64]> = columns.iter().map(|column| &column[from..to]).collect();
            visit(&mut found, from, &block);
        }
        Ok(found)
    })
}

/// [`by_piece`] with the scores of each block in the place of its columns.
fn scored_by_piece<T: Send>(
    kernel: &dyn Kernel,
    rows: &Rows,
    context: &Context<'_>,
    start: impl Fn() -> T + Sync + Send,
    visit: impl Fn(&mut T, usize, &[f64]) + Sync + Send,
) -> Result<Vec<T>> {
    let width = kernel.width();
    let start = || (start(), vec![0.0; SCORE_ROWS_PER_BLOCK * width]);
    let pieces = by_piece(rows, context, start, |(found, out), from, block| {
        let out = &mut out[..(rows.len() - from).min(block.first().map_or(SCORE_ROWS_PER_BLOCK, |c| c.len())) * width];
        kernel.score_block(block, out);
        visit(found, from, out);
    })?;
    Ok(pieces.into_iter().map(|(found, _)| found).collect())
}

/// What a model without a target measures of itself, as means over rows.
fn own(kernel: &dyn Kernel, rows: &Rows, context: &Context<'_>) -> Result<Vec<(&'static str, f64)>> {
    let names = kernel.measures();
    let start = || vec![0.0; names.len()];
    let pieces = by_piece(rows, context, start, |sums, _, block| kernel.measure_block(block, sums))?;
    let sums = pieces.into_iter().fold(start(), |mut sums, piece| {
        sums.iter_mut().zip(piece).for_each(|(sum, part)| *sum += part);
        sums
    });
    Ok(names.iter().copied().zip(sums.into_iter().map(|sum| sum / rows.len() as f64)).collect())
}

fn regression(
    kernel: &dyn Kernel,
    rows: &Rows,
    target: &[f64],
    context: &Context<'_>,
) -> Result<Vec<(&'static str, f64)>> {
    let mean = super::dense::mean(target);
    let pieces = scored_by_piece(
        kernel,
        rows,
        context,
        || [0.0; 3],
        |sums, start, predicted| {
            let mut block = [0.0; 3];
            for (actual, predicted) in target[start..].iter().zip(predicted) {
                let (error, deviation) = (actual - predicted, actual - mean);
                block[0] += error * error;
                block[1] += error.abs();
                block[2] += deviation * deviation;
            }
            sums.iter_mut().zip(block).for_each(|(sum, part)| *sum += part);
        },
    )?;
    let [squares, absolutes, spread] =
        pieces.into_iter().fold([0.0; 3], |sums, piece| [sums[0] + piece[0], sums[1] + piece[1], sums[2] + piece[2]]);
    let count = target.len() as f64;
    let first = target.first().copied().unwrap_or_default();
    let constant = target.iter().all(|value| *value == first);
    let r2 = if constant { f64::NAN } else { 1.0 - squares / spread };
    let mse = squares / count;
    Ok(vec![("rmse", mse.sqrt()), ("mae", absolutes / count), ("r2", r2), ("mse", mse)])
}

/// What the rows of a classification add up to.
struct Tally {
    counts: Vec<Counts>,
    right: u64,
    loss: f64,
    /// Of two classes the scores of the rows of the first and of the second, as numbers in the same order.
    scores: [Vec<u64>; 2],
}

impl Tally {
    fn new(width: usize) -> Self {
        Tally { counts: vec![Counts::default(); width], right: 0, loss: 0.0, scores: Default::default() }
    }

    fn take(&mut self, codes: &[u32], probabilities: &[f64]) {
        let width = self.counts.len();
        let mut block_loss = 0.0;
        for (code, probabilities) in codes.iter().zip(probabilities.chunks_exact(width)) {
            let chosen = argmax(probabilities);
            self.counts[chosen].predicted += 1;
            let probability = match *code {
                UNSEEN => 0.0,
                code => {
                    let actual = code as usize;
                    self.counts[actual].actual += 1;
                    self.counts[actual].right += u64::from(actual == chosen);
                    self.right += u64::from(actual == chosen);
                    if let (2, Some(scores)) = (width, self.scores.get_mut(actual)) {
                        scores.push(in_order(probabilities[1]));
                    }
                    probabilities[actual]
                }
            };
            block_loss -= libm::log(probability.clamp(f64::EPSILON, 1.0 - f64::EPSILON));
        }
        self.loss += block_loss;
    }

    fn add(mut self, other: Tally) -> Self {
        for (sum, part) in self.counts.iter_mut().zip(other.counts) {
            sum.actual += part.actual;
            sum.predicted += part.predicted;
            sum.right += part.right;
        }
        self.right += other.right;
        self.loss += other.loss;
        self.scores.iter_mut().zip(other.scores).for_each(|(all, part)| all.extend(part));
        self
    }
}

/// A number whose order among others is that of the score among scores.
fn in_order(score: f64) -> u64 {
    // Adding zero makes negative zero the other one.
    match (score + 0.0).to_bits() {
        negative if negative >> 63 == 1 => !negative,
        positive => positive | 1 << 63,
    }
}

fn classification(
    kernel: &dyn Kernel,
    rows: &Rows,
    codes: &[u32],
    context: &Context<'_>,
) -> Result<Vec<(&'static str, f64)>> {
    let width = kernel.width();
    if width == 2 {
        context.watch.reserve(2 * codes.len() * size_of::<u64>())?;
    }
    let start = || Tally::new(width);
    let pieces = scored_by_piece(kernel, rows, context, start, |tally, start, probabilities| {
        tally.take(&codes[start..], probabilities);
    })?;
    let Tally { counts, right, loss, mut scores } = pieces.into_iter().fold(start(), Tally::add);
    let count = codes.len() as f64;
    let [precision, recall, f1] = quality(&counts);
    let mut metrics =
        vec![("accuracy", right as f64 / count), ("precision", precision), ("recall", recall), ("f1", f1)];
    if kernel.has_probabilities() {
        metrics.push(("log_loss", loss / count));
    }
    if width == 2 {
        scores.iter_mut().for_each(|scores| context.workers.sort(scores));
        metrics.push(("roc_auc", area_under_curve(&scores[0], &scores[1])));
    }
    Ok(metrics)
}

/// Rows of a class.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    actual: u64,
    predicted: u64,
    right: u64,
}

impl Counts {
    /// Precision, recall and their harmonic mean; 0 where there is nothing to divide by.
    fn quality(self) -> [f64; 3] {
        let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        [
            share(self.right, self.predicted),
            share(self.right, self.actual),
            share(2 * self.right, self.predicted + self.actual),
        ]
    }
}

/// Of two classes the last one's; of more the plain mean over the classes that occur or are predicted.
fn quality(counts: &[Counts]) -> [f64; 3] {
    if let [_, positive] = counts {
        return positive.quality();
    }
    let occurring: Vec<Counts> = counts.iter().copied().filter(|c| c.actual + c.predicted > 0).collect();
    let sums = occurring.iter().fold([0.0; 3], |sums, counts| {
        let quality = counts.quality();
        [sums[0] + quality[0], sums[1] + quality[1], sums[2] + quality[2]]
    });
    sums.map(|sum| sum / occurring.len() as f64)
}

/// The probability that a row of the second class scores above one of the first, ties counting half; scores ascend. NaN for
/// one class.
fn area_under_curve(first: &[u64], second: &[u64]) -> f64 {
    let (mut below, mut halves) = (0, 0_u128);
    let mut rest = first;
    for tied in second.chunk_by(|a, b| a == b) {
        let less = rest.iter().take_while(|score| **score < tied[0]).count();
        below += less;
        rest = &rest[less..];
        let equal = rest.iter().take_while(|score| **score == tied[0]).count();
        halves += tied.len() as u128 * (2 * below + equal) as u128;
    }
    halves as f64 / 2.0 / (first.len() as f64 * second.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::linear::{Linear, Link};
    use crate::train::testing::{Patient, parameters};
    use crate::train::workers::Workers;

    fn measured(link: Link, feature: Vec<f64>, target: Target) -> Vec<(String, f64)> {
        let model = Linear { means: vec![0.0], weights: vec![vec![1.0]], intercepts: vec![0.0], link };
        let rows = Rows::new(vec![feature], target);
        let parameters = parameters(&crate::train::linear_regression::LinearRegression, &[]);
        let workers = Workers::new(1).unwrap();
        let context =
            Context { parameters: &parameters, classes: 2, seed: 0, columns: &[], workers: &workers, watch: &Patient };
        let metrics = measure(&model, &rows, "train_", &context).unwrap();
        metrics.into_iter().map(|m| (m.name, m.value)).collect()
    }

    #[test]
    fn errors_of_a_regression() {
        // Predicted 1, 2, 3 for 2, 2, 5: errors 1, 0, 2; the mean is 3, so the spread is 1 + 1 + 4.
        let found = measured(Link::Identity, vec![1.0, 2.0, 3.0], Target::Numbers(vec![2.0, 2.0, 5.0]));
        let expected = [("rmse", (5.0_f64 / 3.0).sqrt()), ("mae", 1.0), ("r2", 1.0 - 5.0 / 6.0), ("mse", 5.0 / 3.0)];
        for ((name, value), (expected_name, expected)) in found.iter().zip(expected) {
            assert_eq!(name, &format!("train_{expected_name}"));
            assert!((value - expected).abs() < 1e-15, "{name}: {value}");
        }
        assert_eq!(found.len(), 4);
        let constant = measured(Link::Identity, vec![1.0, 2.0], Target::Numbers(vec![2.0, 2.0]));
        assert!(constant.iter().all(|(name, _)| name != "train_r2"));
    }

    #[test]
    fn quality_of_two_classes_and_of_a_class_never_seen() {
        // Log-odds 2, -1, 0.5, -3: predicted 1, 0, 1, 0. The last row's class was never seen in training.
        let feature = vec![2.0, -1.0, 0.5, -3.0];
        let found = measured(Link::Logistic, feature, Target::Classes(vec![1, 1, 0, UNSEEN]));
        let value = |name: &str| found.iter().find(|(n, _)| n == &format!("train_{name}")).unwrap().1;
        assert_eq!(value("accuracy"), 0.25);
        assert_eq!((value("precision"), value("recall"), value("f1")), (0.5, 0.5, 0.5));
        // Of the pairs (2, 0.5) and (-1, 0.5) one is in order.
        assert_eq!(value("roc_auc"), 0.5);
        let log = |odds: f64| (1.0 + (-odds).exp()).ln();
        let expected = (log(2.0) + log(-1.0) + log(-0.5) - f64::EPSILON.ln()) / 4.0;
        assert!((value("log_loss") - expected).abs() < 1e-12);
    }

    #[test]
    fn many_classes_are_averaged_over_those_that_occur() {
        let class = |actual, predicted, right| Counts { actual, predicted, right };
        // Precision 1/2 and 1, recall 1 and 1/2, F1 2/3 each; the third class does not occur.
        let found = quality(&[class(1, 2, 1), class(2, 1, 1), class(0, 0, 0)]);
        assert_eq!(found, [0.75, 0.75, 2.0 / 3.0]);
    }

    #[test]
    fn ties_count_half() {
        let keys = |scores: &[f64]| scores.iter().map(|score| in_order(*score)).collect::<Vec<_>>();
        assert_eq!(area_under_curve(&keys(&[0.1, 0.5]), &keys(&[0.5, 0.9])), 3.5 / 4.0);
        assert_eq!(area_under_curve(&keys(&[-2.0, -0.0, 7.0]), &keys(&[-3.0, 0.0])), 1.5 / 6.0);
        assert!(area_under_curve(&[], &keys(&[0.5])).is_nan());
    }
}
