//! Half the deviance of the distributions whose variance is a power of their mean, less what does not depend on the mean.

use std::ops::Range;

use crate::train::sums::Loss;

/// The deviance of a target divided by its unit.
pub(super) struct Deviance<'a> {
    pub target: &'a [f64],
    /// What the target is multiplied by.
    pub per_unit: f64,
    /// The power of the mean that the variance goes with.
    pub power: f64,
    /// Whether the sum is the logarithm of the mean, or the mean itself.
    pub log: bool,
}

/// The loss of a row, its first derivative by the sum, and its second one, or that one's expectation where it may be
/// negative.
type Losses = [f64; 3];

impl Loss for Deviance<'_> {
    fn sums(&self) -> usize {
        1
    }

    fn take(&self, rows: Range<usize>, weights: Option<&[f64]>, sums: &mut [Vec<f64>], second: &mut [Vec<f64>]) -> f64 {
        match (self.log, self.power) {
            (true, 0.0) => self.each(rows, weights, sums, second, normal_log),
            (true, 1.0) => self.each(rows, weights, sums, second, poisson_log),
            (true, 2.0) => self.each(rows, weights, sums, second, gamma_log),
            (true, power) => self.each(rows, weights, sums, second, |sum, y| power_log(sum, y, power)),
            (false, 0.0) => {
                self.each(rows, weights, sums, second, |sum, y| [0.5 * (sum - y) * (sum - y), sum - y, 1.0])
            }
            (false, power) => self.each(rows, weights, sums, second, |sum, y| identity(sum, y, power)),
        }
    }
}

impl Deviance<'_> {
    fn each(
        &self,
        rows: Range<usize>,
        weights: Option<&[f64]>,
        sums: &mut [Vec<f64>],
        second: &mut [Vec<f64>],
        of: impl Fn(f64, f64) -> Losses,
    ) -> f64 {
        let ([sums], [second]) = (sums, second) else { return f64::NAN };
        second.clear();
        let mut loss = 0.0;
        for ((row, target), sum) in self.target[rows].iter().enumerate().zip(sums.iter_mut()) {
            let weight = weights.map_or(1.0, |weights| weights[row]);
            let [value, slope, curvature] = of(*sum, target * self.per_unit);
            // A row without weight must not count even where its loss is infinite.
            loss += if weight > 0.0 { weight * value } else { 0.0 };
            *sum = if weight > 0.0 { weight * slope } else { 0.0 };
            second.push(if weight > 0.0 { weight * curvature } else { 0.0 });
        }
        loss
    }
}

fn normal_log(sum: f64, y: f64) -> Losses {
    let mean = libm::exp(sum);
    [0.5 * (mean - y) * (mean - y), (mean - y) * mean, mean * mean]
}

fn poisson_log(sum: f64, y: f64) -> Losses {
    let mean = libm::exp(sum);
    [mean - y * sum, mean - y, mean]
}

fn gamma_log(sum: f64, y: f64) -> Losses {
    let ratio = y * libm::exp(-sum);
    [sum + ratio, 1.0 - ratio, ratio]
}

/// Any power but 0, 1 and 2.
fn power_log(sum: f64, y: f64, power: f64) -> Losses {
    let (two, one) = (2.0 - power, 1.0 - power);
    let expected = libm::exp(two * sum);
    let actual = y * libm::exp(one * sum);
    // Between 1 and 2 both terms are positive.
    let curvature = if power < 2.0 { two * expected - one * actual } else { expected };
    [expected / two - actual / one, expected - actual, curvature]
}

/// Any power from 1; there is no mean of 0 or below.
fn identity(mean: f64, y: f64, power: f64) -> Losses {
    if mean.is_nan() || mean <= 0.0 {
        return [f64::INFINITY, 0.0, 0.0];
    }
    let slope = libm::pow(mean, -power);
    let value = match power {
        1.0 => mean - y * libm::log(mean),
        2.0 => libm::log(mean) + y / mean,
        _ => libm::pow(mean, 2.0 - power) / (2.0 - power) - y * libm::pow(mean, 1.0 - power) / (1.0 - power),
    };
    [value, (mean - y) * slope, slope]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(deviance: &Deviance<'_>, at: f64) -> Losses {
        let (mut sums, mut second) = ([vec![at]], [Vec::new()]);
        let value = deviance.take(0..1, Some(&[2.0]), &mut sums, &mut second);
        [value, sums[0][0], second[0][0]]
    }

    #[test]
    fn slopes_are_those_of_the_values_and_curvatures_theirs_in_expectation() {
        let step = 1e-5;
        for power in [0.0, 1.0, 1.3, 1.9, 2.0, 2.5, 3.0] {
            for log in [false, true] {
                for (at, y) in [(0.7, 1.9), (1.3, 0.4), (0.05, 0.9)] {
                    let deviance = Deviance { target: &[2.0 * y], per_unit: 0.5, power, log };
                    let (below, here, above) = (of(&deviance, at - step), of(&deviance, at), of(&deviance, at + step));
                    let slope = (above[0] - below[0]) / (2.0 * step);
                    assert!((here[1] - slope).abs() < 1e-6 * slope.abs().max(1.0), "{power} {log} {at}: {here:?}");
                    // Where the target is its own expectation, the curvature is exact.
                    let mean = if log { at.exp() } else { at };
                    let expected = Deviance { target: &[mean], per_unit: 1.0, power, log };
                    let curvature = (of(&expected, at + step)[1] - of(&expected, at - step)[1]) / (2.0 * step);
                    let found = of(&expected, at)[2];
                    assert!((found / curvature - 1.0).abs() < 1e-5, "{power} {log} {at}: {found} {curvature}");
                }
            }
        }
    }

    #[test]
    fn the_deviance_is_least_where_the_mean_is_the_target() {
        for power in [0.0, 1.0, 1.5, 2.0, 3.0] {
            for log in [false, true] {
                let deviance = Deviance { target: &[3.0], per_unit: 1.0, power, log };
                let at = if log { 3.0_f64.ln() } else { 3.0 };
                assert!(of(&deviance, at)[1].abs() < 1e-14);
                assert!(of(&deviance, at * 1.1)[0] > of(&deviance, at)[0]);
                assert!(of(&deviance, at * 0.9)[0] > of(&deviance, at)[0]);
            }
        }
        let outside = Deviance { target: &[3.0], per_unit: 1.0, power: 1.0, log: false };
        assert_eq!(of(&outside, -1.0)[0], f64::INFINITY);
    }
}
