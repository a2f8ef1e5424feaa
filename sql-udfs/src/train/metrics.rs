//! How well a model predicts rows whose target is known.
//!
//! Definitions are scikit-learn's (<https://scikit-learn.org/stable/modules/model_evaluation.html>). A metric that rows
//! do not define (`r2` of a constant, `roc_auc` of one class) is left out. Sums run in canonical order, block by block.

use super::Metric;
use super::algorithm::Context;
use super::rows::Rows;
use super::target::{Target, UNSEEN};
use crate::Result;
use crate::limits::SCORE_ROWS_PER_BLOCK;
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

/// Scores block by block: `visit` gets the first row and the scores of each block.
fn for_each_block(
    kernel: &dyn Kernel,
    rows: &Rows,
    context: &Context<'_>,
    mut visit: impl FnMut(usize, &[f64]),
) -> Result<()> {
    let columns = rows.columns();
    let mut out = vec![0.0; SCORE_ROWS_PER_BLOCK * kernel.width()];
    for start in (0..rows.len()).step_by(SCORE_ROWS_PER_BLOCK) {
        context.check_cancelled()?;
        let end = rows.len().min(start + SCORE_ROWS_PER_BLOCK);
        let block: Vec<&[f64]> = columns.iter().map(|column| &column[start..end]).collect();
        let out = &mut out[..(end - start) * kernel.width()];
        kernel.score_block(&block, out);
        visit(start, out);
    }
    Ok(())
}

/// What a model without a target measures of itself, as means over rows.
fn own(kernel: &dyn Kernel, rows: &Rows, context: &Context<'_>) -> Result<Vec<(&'static str, f64)>> {
    let names = kernel.measures();
    let mut sums = vec![0.0; names.len()];
    let columns = rows.columns();
    for start in (0..rows.len()).step_by(SCORE_ROWS_PER_BLOCK) {
        context.check_cancelled()?;
        let end = rows.len().min(start + SCORE_ROWS_PER_BLOCK);
        let block: Vec<&[f64]> = columns.iter().map(|column| &column[start..end]).collect();
        kernel.measure_block(&block, &mut sums);
    }
    Ok(names.iter().copied().zip(sums.into_iter().map(|sum| sum / rows.len() as f64)).collect())
}

fn regression(
    kernel: &dyn Kernel,
    rows: &Rows,
    target: &[f64],
    context: &Context<'_>,
) -> Result<Vec<(&'static str, f64)>> {
    let mean = super::dense::mean(target);
    let (mut squares, mut absolutes, mut spread) = (0.0, 0.0, 0.0);
    for_each_block(kernel, rows, context, |start, predicted| {
        let (mut block_squares, mut block_absolutes, mut block_spread) = (0.0, 0.0, 0.0);
        for (actual, predicted) in target[start..].iter().zip(predicted) {
            let error = actual - predicted;
            block_squares += error * error;
            block_absolutes += error.abs();
            block_spread += (actual - mean) * (actual - mean);
        }
        squares += block_squares;
        absolutes += block_absolutes;
        spread += block_spread;
    })?;
    let count = target.len() as f64;
    let first = target.first().copied().unwrap_or_default();
    let constant = target.iter().all(|value| *value == first);
    let r2 = if constant { f64::NAN } else { 1.0 - squares / spread };
    let mse = squares / count;
    Ok(vec![("rmse", mse.sqrt()), ("mae", absolutes / count), ("r2", r2), ("mse", mse)])
}

fn classification(
    kernel: &dyn Kernel,
    rows: &Rows,
    codes: &[u32],
    context: &Context<'_>,
) -> Result<Vec<(&'static str, f64)>> {
    let width = kernel.width();
    let mut counts = vec![Counts::default(); width];
    let (mut right, mut loss) = (0_u64, 0.0);
    let mut scored: Vec<(f64, bool)> = Vec::new();
    if width == 2 {
        context.watch.reserve(codes.len() * size_of::<(f64, bool)>())?;
        scored.reserve_exact(codes.len());
    }
    for_each_block(kernel, rows, context, |start, probabilities| {
        let mut block_loss = 0.0;
        for (code, probabilities) in codes[start..].iter().zip(probabilities.chunks_exact(width)) {
            let chosen = argmax(probabilities);
            counts[chosen].predicted += 1;
            let probability = match *code {
                UNSEEN => 0.0,
                code => {
                    let actual = code as usize;
                    counts[actual].actual += 1;
                    counts[actual].right += u64::from(actual == chosen);
                    right += u64::from(actual == chosen);
                    probabilities[actual]
                }
            };
            block_loss -= libm::log(probability.clamp(f64::EPSILON, 1.0 - f64::EPSILON));
            if width == 2 && *code != UNSEEN {
                scored.push((probabilities[1], *code == 1));
            }
        }
        loss += block_loss;
    })?;
    let count = codes.len() as f64;
    let [precision, recall, f1] = quality(&counts);
    let mut metrics =
        vec![("accuracy", right as f64 / count), ("precision", precision), ("recall", recall), ("f1", f1)];
    if kernel.has_probabilities() {
        metrics.push(("log_loss", loss / count));
    }
    if width == 2 {
        metrics.push(("roc_auc", area_under_curve(scored)));
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

/// The probability that a row of the last class scores above one of the first, ties counting half. NaN for one class.
fn area_under_curve(mut scored: Vec<(f64, bool)>) -> f64 {
    scored.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let (mut ordered, mut below, mut above) = (0.0, 0_u64, 0_u64);
    for tied in scored.chunk_by(|a, b| a.0 == b.0) {
        let positive = tied.iter().filter(|(_, positive)| *positive).count() as u64;
        let negative = tied.len() as u64 - positive;
        ordered += positive as f64 * (below as f64 + negative as f64 / 2.0);
        below += negative;
        above += positive;
    }
    ordered / (below as f64 * above as f64)
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
        let scored = vec![(0.5, true), (0.5, false), (0.9, true), (0.1, false)];
        assert_eq!(area_under_curve(scored), 3.5 / 4.0);
        assert!(area_under_curve(vec![(0.5, true)]).is_nan());
    }
}
