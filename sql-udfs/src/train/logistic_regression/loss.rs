//! The logistic loss of two classes and the softmax loss of more.

use std::ops::Range;

use crate::model::linear::softmax;
use crate::train::sums::Loss;

/// Odds of the wrong class up to which their logarithm's series is as good as the logarithm.
const SMALL_ODDS: f64 = 1.0 / 1024.0;

/// Two classes: the sum is the log-odds of the second one.
pub(super) struct Logistic<'a> {
    pub codes: &'a [u32],
}

impl Loss for Logistic<'_> {
    fn sums(&self) -> usize {
        1
    }

    fn take(&self, rows: Range<usize>, weights: Option<&[f64]>, sums: &mut [Vec<f64>], second: &mut [Vec<f64>]) -> f64 {
        let ([sums], [second]) = (sums, second) else { return f64::NAN };
        second.clear();
        let (mut loss, mut product) = (0.0, 1.0);
        for ((row, code), sum) in self.codes[rows].iter().enumerate().zip(sums.iter_mut()) {
            let weight = weights.map_or(1.0, |weights| weights[row]);
            let positive = *code == 1;
            let wrong_by = if positive { -*sum } else { *sum };
            let odds = libm::exp(-wrong_by.abs());
            if wrong_by > 0.0 {
                loss += weight * wrong_by;
            }
            // The logarithm of a product is one logarithm: a block of factors between 1 and 2 stays in range.
            match odds {
                odds if odds < SMALL_ODDS => loss += weight * log_of_one_and(odds),
                _ if weights.is_some() => loss += weight * libm::log1p(odds),
                _ => product *= 1.0 + odds,
            }
            let (likely, unlikely) = (1.0 / (1.0 + odds), odds / (1.0 + odds));
            second.push(weight * likely * unlikely);
            let wrong = weight * if wrong_by > 0.0 { likely } else { unlikely };
            *sum = if positive { -wrong } else { wrong };
        }
        loss + libm::log(product)
    }
}

/// The logarithm of 1 + x for a small x, with all its digits.
fn log_of_one_and(x: f64) -> f64 {
    x * (1.0 - x * (1.0 / 2.0 - x * (1.0 / 3.0 - x * (1.0 / 4.0 - x * (1.0 / 5.0)))))
}

/// Any number of classes, with a sum each.
pub(super) struct Softmax<'a> {
    pub codes: &'a [u32],
    pub classes: usize,
}

impl Loss for Softmax<'_> {
    fn sums(&self) -> usize {
        self.classes
    }

    fn take(&self, rows: Range<usize>, weights: Option<&[f64]>, sums: &mut [Vec<f64>], second: &mut [Vec<f64>]) -> f64 {
        let (mut loss, mut scores) = (0.0, vec![0.0; self.classes]);
        second.iter_mut().for_each(Vec::clear);
        for (row, code) in self.codes[rows].iter().enumerate() {
            let weight = weights.map_or(1.0, |weights| weights[row]);
            scores.iter_mut().zip(sums.iter()).for_each(|(score, of_class)| *score = of_class[row]);
            let greatest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let actual = scores[*code as usize];
            let total: f64 = scores.iter().map(|score| libm::exp(score - greatest)).sum();
            loss += weight * (libm::log(total) + greatest - actual);
            softmax(&mut scores);
            for (class, probability) in scores.iter().enumerate() {
                second[class].push(*probability);
                let hit = if class == *code as usize { 1.0 } else { 0.0 };
                sums[class][row] = weight * (probability - hit);
            }
        }
        loss
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derivatives(loss: &dyn Loss, at: &[f64], weights: Option<&[f64]>) -> (f64, Vec<f64>, Vec<f64>) {
        let mut sums: Vec<Vec<f64>> = at.iter().map(|sum| vec![*sum]).collect();
        let mut second = vec![Vec::new(); at.len()];
        let value = loss.take(0..1, weights, &mut sums, &mut second);
        (value, sums.concat(), second.concat())
    }

    #[test]
    fn derivatives_are_those_of_the_value() {
        let step = 1e-6;
        for code in [0_u32, 1] {
            for weight in [None, Some([2.5])] {
                let weights = weight.as_ref().map(|weight| weight.as_slice());
                for at in [-12.0, -0.3, 0.0, 0.4, 9.0] {
                    let codes = [code];
                    let loss = Logistic { codes: &codes };
                    let of = |at: f64| derivatives(&loss, &[at], weights);
                    let (value, first, second) = of(at);
                    let odds: f64 = if code == 1 { -at } else { at };
                    assert!((value - weight.map_or(1.0, |w| w[0]) * odds.exp().ln_1p()).abs() < 1e-14);
                    assert!((first[0] - (of(at + step).0 - of(at - step).0) / (2.0 * step)).abs() < 1e-8);
                    assert!((second[0] - (of(at + step).1[0] - of(at - step).1[0]) / (2.0 * step)).abs() < 1e-8);
                }
            }
        }
        let codes = [2];
        let loss = Softmax { codes: &codes, classes: 3 };
        let at = [0.3, -1.0, 0.7];
        let (_, first, second) = derivatives(&loss, &at, Some(&[2.0]));
        for class in 0..3 {
            let moved = |by: f64| {
                let mut at = at;
                at[class] += by;
                derivatives(&loss, &at, Some(&[2.0]))
            };
            assert!((first[class] - (moved(step).0 - moved(-step).0) / (2.0 * step)).abs() < 1e-8);
            let curvature = (moved(step).1[class] - moved(-step).1[class]) / (2.0 * step);
            assert!((2.0 * second[class] * (1.0 - second[class]) - curvature).abs() < 1e-8);
        }
    }

    #[test]
    fn losses_of_rows_without_weights_add_up_too() {
        let codes: Vec<u32> = (0..512).map(|i| i % 2).collect();
        let mut sums = vec![(0..512).map(|i| f64::from(i) / 40.0 - 6.0).collect::<Vec<f64>>()];
        let expected: f64 =
            codes.iter().zip(&sums[0]).map(|(c, s)| (if *c == 1 { -s } else { *s }).exp().ln_1p()).sum();
        let value = Logistic { codes: &codes }.take(0..512, None, &mut sums, &mut [Vec::new()]);
        assert!((value / expected - 1.0).abs() < 1e-13);
    }
}
