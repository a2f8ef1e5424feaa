//! Linear models: a weighted sum of the features per output, then the identity, the logistic function or softmax.
//!
//! A missing feature counts as the mean of that feature in training, so that no prediction is NULL. It knows nothing of
//! how weights are found.

mod graph;
mod scorer;

pub(crate) use graph::read;
pub(crate) use scorer::Scorer;

use super::contents::Sums;
use super::kernel::Kernel;
use super::onnx::builder::GraphBuilder;
use super::signature::Signature;

/// The kernel's kind.
pub(crate) const KIND: &str = "linear";

/// What is done with the weighted sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// One sum is the prediction.
    Identity,
    /// One sum is the log-odds of the second of two classes.
    Logistic,
    /// One sum for each class, made into probabilities by softmax.
    Softmax,
    /// One sum is the logarithm of the prediction.
    Exp,
}

/// A fitted linear model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Linear {
    /// What a missing value of each feature counts as.
    pub means: Vec<f64>,
    /// For each sum the weight of each feature: `weights[sum][feature]`.
    pub weights: Vec<Vec<f64>>,
    /// For each sum its constant.
    pub intercepts: Vec<f64>,
    /// What is done with the sums.
    pub link: Link,
}

impl Kernel for Linear {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn width(&self) -> usize {
        match self.link {
            Link::Logistic => 2,
            Link::Identity | Link::Softmax | Link::Exp => self.intercepts.len(),
        }
    }

    fn score_block(&self, columns: &[&[f64]], out: &mut [f64]) {
        Scorer::new(self.clone()).score_block(columns, out);
    }

    fn sums(&self) -> Option<Sums<'_>> {
        Some(Sums { weights: &self.weights, constants: &self.intercepts })
    }

    fn write(&self, signature: &Signature, graph: &mut GraphBuilder) {
        graph::write(self, signature, graph);
    }
}

impl Linear {
    /// For each column whether it has a weight in any sum: a column without is not looked at, whatever it has.
    pub(crate) fn used(&self) -> Vec<bool> {
        (0..self.means.len()).map(|column| self.weights.iter().any(|weights| weights[column] != 0.0)).collect()
    }
}

/// The probabilities of the first and the second class, from the log-odds of the second.
pub(crate) fn logistic_pair(log_odds: f64) -> [f64; 2] {
    let e = libm::exp(-log_odds.abs());
    let (likely, unlikely) = (1.0 / (1.0 + e), e / (1.0 + e));
    match log_odds >= 0.0 {
        true => [unlikely, likely],
        false => [likely, unlikely],
    }
}

/// Makes scores into probabilities, in place.
pub(crate) fn softmax(scores: &mut [f64]) {
    let greatest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        *score = libm::exp(*score - greatest);
        sum += *score;
    }
    scores.iter_mut().for_each(|score| *score /= sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_feature_counts_as_its_mean() {
        let model = Linear {
            means: vec![10.0, 4.0],
            weights: vec![vec![2.0, -1.0]],
            intercepts: vec![0.5],
            link: Link::Identity,
        };
        let mut out = [0.0; 3];
        model.score(&[&[1.0, f64::NAN, f64::NAN], &[3.0, 3.0, f64::NAN]], &mut out);
        assert_eq!(out, [-0.5, 17.5, 16.5]);
    }

    #[test]
    fn probabilities_are_exact_at_the_ends_and_sum_to_one() {
        assert_eq!(logistic_pair(0.0), [0.5, 0.5]);
        assert_eq!(logistic_pair(f64::INFINITY), [0.0, 1.0]);
        assert_eq!(logistic_pair(-800.0), [1.0, 0.0]);
        // ln 3: odds of 3 to 1.
        let [no, yes] = logistic_pair(1.0986122886681098);
        assert!((yes - 0.75).abs() < 1e-15 && (no - 0.25).abs() < 1e-15);
        let mut scores = [1000.0, 1000.0, f64::NEG_INFINITY];
        softmax(&mut scores);
        assert_eq!(scores, [0.5, 0.5, 0.0]);
    }
}
