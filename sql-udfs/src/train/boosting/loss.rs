//! Losses: what a score costs, how that changes with the score, and where a model begins.
//!
//! Definitions are scikit-learn's. It knows nothing of trees.

use super::order::quantile;
use crate::model::trees::Finish;
use crate::{Error, Result};

/// A loss of one score and a target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::train) enum Loss {
    /// `(y - s)²`, of which half is lowered.
    Squared,
    /// `|y - s|`
    Absolute,
    /// `share (y - s)` above and `(1 - share) (s - y)` below.
    Quantile(f64),
    /// `e^s - y s`, for counts.
    Poisson,
    /// `s + y / e^s`, for amounts above 0.
    Gamma,
    /// `ln(1 + e^s) - y s`, where y is 0 or 1.
    Logistic,
    /// `ln Σ e^s - s[y]`, with a score for each of so many classes.
    Softmax(usize),
}

/// Scores beyond it are taken for it where they are exponents.
const EXPONENT_MAX: f64 = 500.0;

/// A loss and its first two derivatives by the score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::train) struct Terms {
    /// The loss, less the logarithm of `factor`.
    pub loss: f64,
    /// From 1 to 2: logarithms of products are cheaper than sums of logarithms.
    pub factor: f64,
    pub gradient: f64,
    pub hessian: f64,
}

impl Loss {
    /// The scores that a model has, each with trees of its own.
    pub fn scores(self) -> usize {
        match self {
            Loss::Softmax(classes) => classes,
            _ => 1,
        }
    }

    /// Whether the second derivative is 1 everywhere.
    pub fn is_flat(self) -> bool {
        matches!(self, Loss::Squared | Loss::Absolute | Loss::Quantile(_))
    }

    /// Whether leaves hold a quantile of the residuals, and which.
    pub fn leaf_quantile(self) -> Option<f64> {
        match self {
            Loss::Absolute => Some(0.5),
            Loss::Quantile(share) => Some(share),
            _ => None,
        }
    }

    /// What makes a prediction of scores.
    pub fn finish(self) -> Finish {
        match self {
            Loss::Squared | Loss::Absolute | Loss::Quantile(_) => Finish::Sum,
            Loss::Poisson | Loss::Gamma => Finish::Exp,
            Loss::Logistic => Finish::Logistic,
            Loss::Softmax(_) => Finish::Softmax,
        }
    }

    /// The loss of one score and its derivatives.
    pub fn terms(self, score: f64, target: f64) -> Terms {
        match self {
            Loss::Squared => {
                let error = score - target;
                Terms { factor: 1.0, loss: error * error, gradient: error, hessian: 1.0 }
            }
            Loss::Absolute => {
                let error = score - target;
                let gradient = f64::from(u8::from(error > 0.0)) - f64::from(u8::from(error < 0.0));
                Terms { factor: 1.0, loss: error.abs(), gradient, hessian: 1.0 }
            }
            Loss::Quantile(share) => {
                let error = score - target;
                let gradient = if error >= 0.0 { 1.0 - share } else { -share };
                Terms { factor: 1.0, loss: error * gradient, gradient, hessian: 1.0 }
            }
            Loss::Poisson => {
                let mean = exp(score);
                Terms { factor: 1.0, loss: mean - target * score, gradient: mean - target, hessian: mean }
            }
            Loss::Gamma => {
                let ratio = target * exp(-score);
                Terms { factor: 1.0, loss: score + ratio, gradient: 1.0 - ratio, hessian: ratio }
            }
            Loss::Logistic => {
                let small = exp(-score.abs());
                let share = 1.0 / (1.0 + small);
                let probability = if score >= 0.0 { share } else { small * share };
                let loss = score.max(0.0) - target * score;
                Terms { factor: 1.0 + small, loss, gradient: probability - target, hessian: small * share * share }
            }
            Loss::Softmax(_) => Terms { factor: 1.0, loss: 0.0, gradient: 0.0, hessian: 0.0 },
        }
    }

    /// Fails where a target is none that the loss is defined for.
    pub fn check(self, target: &[f64]) -> Result<()> {
        let (least, expected) = match self {
            Loss::Poisson => (target.iter().all(|y| *y >= 0.0) && target.iter().any(|y| *y > 0.0), "of at least 0"),
            Loss::Gamma => (target.iter().all(|y| *y > 0.0), "above 0"),
            _ => (true, ""),
        };
        match least {
            true => Ok(()),
            false => Err(Error::input(format!(
                "the target has values that the loss is not defined for: expected numbers {expected}"
            ))),
        }
    }

    /// The best score of all rows together: (target, weight).
    pub fn base(self, rows: &mut [(f64, f64)], weighed: bool) -> f64 {
        let sum: f64 = rows.iter().map(|(_, weight)| weight).sum();
        // Less a value among them, so that sums keep their digits.
        let first = rows.first().map_or(0.0, |(target, _)| *target);
        let mean = first + rows.iter().map(|(target, weight)| (target - first) * (weight / sum)).sum::<f64>();
        match self {
            Loss::Squared => mean,
            Loss::Absolute => quantile(rows, weighed, 0.5),
            Loss::Quantile(share) => quantile(rows, weighed, share),
            Loss::Poisson | Loss::Gamma => libm::log(mean.max(f64::MIN_POSITIVE)),
            Loss::Logistic => {
                let share = mean.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
                libm::log(share / (1.0 - share))
            }
            Loss::Softmax(_) => libm::log(mean.clamp(f64::EPSILON, 1.0)),
        }
    }
}

fn exp(score: f64) -> f64 {
    libm::exp(score.clamp(-EXPONENT_MAX, EXPONENT_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_are_those_of_the_losses() {
        let losses = [Loss::Squared, Loss::Quantile(0.3), Loss::Poisson, Loss::Gamma, Loss::Logistic];
        for loss in losses {
            for (score, target) in [(0.3, 1.0), (-1.2, 1.0), (2.0, 0.0), (0.7, 0.0)] {
                // The loss whose derivatives are taken is half of the square.
                let half = if loss == Loss::Squared { 0.5 } else { 1.0 };
                let value = |s: f64| half * loss.terms(s, target).loss + loss.terms(s, target).factor.ln();
                let step = 1e-4;
                let first = (value(score + step) - value(score - step)) / (2.0 * step);
                let second = (value(score + step) - 2.0 * value(score) + value(score - step)) / (step * step);
                let found = loss.terms(score, target);
                assert!((found.gradient - first).abs() < 1e-6, "{loss:?} {score} {target}");
                let flat = matches!(loss, Loss::Quantile(_));
                assert!(flat || (found.hessian - second).abs() < 1e-5, "{loss:?} {score} {target} {second}");
            }
        }
        assert_eq!(Loss::Absolute.terms(2.0, 5.0), Terms { factor: 1.0, loss: 3.0, gradient: -1.0, hessian: 1.0 });
    }

    #[test]
    fn a_model_begins_where_the_loss_is_least() {
        let rows = [(0.0, 1.0), (1.0, 2.0), (4.0, 1.0)];
        let base = |loss: Loss, weighed| loss.base(&mut rows.to_vec(), weighed);
        assert_eq!(base(Loss::Squared, true), 1.5);
        assert!((base(Loss::Poisson, true) - 1.5_f64.ln()).abs() < 1e-15);
        assert_eq!((base(Loss::Absolute, false), base(Loss::Quantile(0.75), false)), (1.0, 2.5));
        let classes = [(0.0, 1.0), (1.0, 3.0)];
        assert!((Loss::Logistic.base(&mut classes.to_vec(), true) - 3.0_f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn scores_far_away_stay_finite() {
        for loss in [Loss::Poisson, Loss::Gamma, Loss::Logistic] {
            for score in [-1e308, -800.0, 800.0, 1e308] {
                let Terms { loss: value, gradient, hessian, .. } = loss.terms(score, 1.0);
                assert!(value.is_finite() && gradient.is_finite() && hessian >= 0.0, "{loss:?} {score}");
            }
        }
    }
}
