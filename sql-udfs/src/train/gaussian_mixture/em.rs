//! Expectation and maximisation: from distributions to the share of each in each row, and back.
//!
//! Shares are never stored: a pass over the rows adds up what the next distributions need, measured from the means so far,
//! so that no digits are lost to means that are far from zero.

use crate::limits::ROWS_PER_BLOCK;
use crate::model::gaussian_mixture::{FACTOR_MAX, Factors, GaussianMixture, log_sum};
use crate::train::algorithm::Context;
use crate::train::kmeans::lloyd::Centres;
use crate::train::points::Points;
use crate::{Error, Result};

/// Numbers of partial sums that are held at a time.
const PARTIAL_SUMS: usize = 1 << 22;
/// What is added to a component's weight, so that one without rows has some: scikit-learn's.
const WEIGHT_MIN: f64 = 10.0 * f64::EPSILON;

/// A mixture on its way.
pub(super) type Mixture = GaussianMixture;

/// What is free in the covariances of components.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Covariance {
    Full,
    /// One matrix for all components.
    Tied,
    Diagonal,
    /// One variance for each component.
    Spherical,
}

impl Covariance {
    /// The free parameters of a mixture.
    pub fn parameters(self, components: usize, width: usize) -> f64 {
        let (components, width) = (components as f64, width as f64);
        let spread = match self {
            Covariance::Full => components * width * (width + 1.0) / 2.0,
            Covariance::Tied => width * (width + 1.0) / 2.0,
            Covariance::Diagonal => components * width,
            Covariance::Spherical => components,
        };
        spread + components * width + components - 1.0
    }

    /// Numbers of the sums of squares.
    fn squares(self, components: usize, width: usize) -> usize {
        match self {
            Covariance::Full => components * width * width,
            Covariance::Tied => width * width,
            Covariance::Diagonal | Covariance::Spherical => components * width,
        }
    }

    fn is_matrix(self) -> bool {
        matches!(self, Covariance::Full | Covariance::Tied)
    }
}

/// Sums over rows, measured from some means.
pub(super) struct Sums {
    /// The share of each component in all rows.
    weights: Vec<f64>,
    deviations: Vec<f64>,
    squares: Vec<f64>,
    likelihood: f64,
}

/// The rows and what is sought in them.
pub(super) struct Em<'a> {
    points: &'a Points,
    covariance: Covariance,
    components: usize,
    /// What is added to every variance.
    added: f64,
    groups: Vec<std::ops::Range<usize>>,
    context: &'a Context<'a>,
}

impl<'a> Em<'a> {
    pub fn new(
        points: &'a Points,
        covariance: Covariance,
        components: usize,
        added: f64,
        context: &'a Context<'a>,
    ) -> Result<Self> {
        let of_one = covariance.squares(components, points.width()) + components * (points.width() + 1);
        let groups = points.groups(PARTIAL_SUMS / of_one);
        // The sums of each group, of all, and two mixtures.
        context.watch.reserve((groups.len() + 4) * of_one * size_of::<f64>())?;
        Ok(Em { points, covariance, components, added, groups, context })
    }

    /// The mixture of the clusters around some centres.
    pub fn start(&self, centres: Vec<f64>) -> Result<Mixture> {
        let search = Centres::new(&centres, self.points.width());
        let sums = self.pass(&centres, |point, _, shares| {
            shares.fill(0.0);
            shares[search.nearest(point).0] = 1.0;
            0.0
        })?;
        self.maximise(&centres, sums)
    }

    /// The mean log likelihood of the rows, and the sums for the next mixture.
    pub fn expect(&self, mixture: &Mixture) -> Result<(f64, Sums)> {
        let sums = self.pass(&mixture.means, |point, scratch, shares| {
            mixture.logarithms(point, scratch, shares);
            let likelihood = log_sum(shares);
            shares.iter_mut().for_each(|share| *share = libm::exp(*share - likelihood));
            likelihood
        })?;
        Ok((sums.likelihood / self.points.len() as f64, sums))
    }

    /// Adds up over all rows; `share` puts the share of each component into its last argument.
    fn pass(&self, means: &[f64], share: impl Fn(&[f64], &mut Vec<f64>, &mut [f64]) -> f64 + Sync) -> Result<Sums> {
        let of_group = |group: usize| {
            let mut sums = self.no_sums();
            let (mut shares, mut scratch) = (vec![0.0; self.components], Vec::new());
            for row in self.groups[group].clone() {
                if row.is_multiple_of(ROWS_PER_BLOCK) {
                    self.context.check_cancelled()?;
                }
                let point = self.points.row(row);
                sums.likelihood += share(point, &mut scratch, &mut shares);
                self.add(&mut sums, point, means, &shares, &mut scratch);
            }
            Ok(sums)
        };
        let mut all = self.no_sums();
        for sums in self.context.workers.try_map(self.groups.len(), of_group)? {
            let add = |all: &mut [f64], sums: &[f64]| all.iter_mut().zip(sums).for_each(|(all, sum)| *all += sum);
            add(&mut all.weights, &sums.weights);
            add(&mut all.deviations, &sums.deviations);
            add(&mut all.squares, &sums.squares);
            all.likelihood += sums.likelihood;
        }
        Ok(all)
    }

    fn no_sums(&self) -> Sums {
        let width = self.points.width();
        Sums {
            weights: vec![0.0; self.components],
            deviations: vec![0.0; self.components * width],
            squares: vec![0.0; self.covariance.squares(self.components, width)],
            likelihood: 0.0,
        }
    }

    fn add(&self, sums: &mut Sums, point: &[f64], means: &[f64], shares: &[f64], scratch: &mut Vec<f64>) {
        let width = point.len();
        for (number, share) in shares.iter().copied().enumerate().filter(|(_, share)| *share > 0.0) {
            let own = number * width..(number + 1) * width;
            sums.weights[number] += share;
            scratch.clear();
            scratch.extend(point.iter().zip(&means[own.clone()]).map(|(value, mean)| value - mean));
            for (sum, deviation) in sums.deviations[own.clone()].iter_mut().zip(&*scratch) {
                *sum += share * deviation;
            }
            if !self.covariance.is_matrix() {
                for (sum, deviation) in sums.squares[own].iter_mut().zip(&*scratch) {
                    *sum += share * (deviation * deviation);
                }
                continue;
            }
            let matrix = if self.covariance == Covariance::Tied { 0 } else { number };
            let squares = &mut sums.squares[matrix * width * width..(matrix + 1) * width * width];
            for (row, squares) in squares.chunks_exact_mut(width).enumerate() {
                let weighed = share * scratch[row];
                for (sum, deviation) in squares[..=row].iter_mut().zip(&*scratch) {
                    *sum += weighed * deviation;
                }
            }
        }
    }

    /// The likeliest mixture for the shares that the sums are of.
    pub fn maximise(&self, means: &[f64], mut sums: Sums) -> Result<Mixture> {
        let width = self.points.width();
        sums.weights.iter_mut().for_each(|weight| *weight += WEIGHT_MIN);
        let all: f64 = sums.weights.iter().sum();
        // How far each mean moves.
        let moves: Vec<f64> =
            sums.deviations.iter().enumerate().map(|(at, sum)| sum / sums.weights[at / width]).collect();
        let factors = match self.covariance {
            Covariance::Diagonal | Covariance::Spherical => Factors::Columns(self.columns(&sums, &moves)?),
            Covariance::Full | Covariance::Tied => Factors::Triangles(self.triangles(&mut sums, &moves, all)?),
        };
        // The density in the middle, in the features' own units.
        let units: f64 = self.points.filled.scales.iter().map(|scale| libm::log(*scale)).sum();
        let constant = units - width as f64 / 2.0 * libm::log(2.0 * std::f64::consts::PI);
        let offset = |(number, weight): (usize, &f64)| {
            let determinant: f64 = match &factors {
                Factors::Columns(factors) => {
                    factors[number * width..(number + 1) * width].iter().map(|factor| libm::log(*factor)).sum()
                }
                Factors::Triangles(factors) => {
                    let from = if factors.len() == width * width { 0 } else { number * width * width };
                    (0..width).map(|i| libm::log(factors[from + i * width + i])).sum()
                }
            };
            libm::log(weight / all) + determinant + constant
        };
        let offsets = sums.weights.iter().enumerate().map(offset).collect();
        let means = means.iter().zip(&moves).map(|(mean, by)| mean + by).collect();
        Ok(GaussianMixture { filled: self.points.filled.clone(), means, factors, offsets })
    }

    fn columns(&self, sums: &Sums, moves: &[f64]) -> Result<Vec<f64>> {
        let width = self.points.width();
        let mut variances: Vec<f64> = (0..moves.len())
            .map(|at| (sums.squares[at] / sums.weights[at / width] - moves[at] * moves[at]).max(0.0) + self.added)
            .collect();
        if self.covariance == Covariance::Spherical {
            for of_one in variances.chunks_exact_mut(width) {
                let mean = of_one.iter().sum::<f64>() / width as f64;
                of_one.fill(mean);
            }
        }
        let factor = |(at, variance): (usize, f64)| match 1.0 / variance.sqrt() {
            factor if factor <= FACTOR_MAX => Ok(factor),
            _ => Err(no_spread(at / width)),
        };
        variances.into_iter().enumerate().map(factor).collect()
    }

    fn triangles(&self, sums: &mut Sums, moves: &[f64], all: f64) -> Result<Vec<f64>> {
        let width = self.points.width();
        let tied = self.covariance == Covariance::Tied;
        for number in 0..self.components {
            let matrix = if tied { 0 } else { number };
            let squares = &mut sums.squares[matrix * width * width..(matrix + 1) * width * width];
            let moves = &moves[number * width..(number + 1) * width];
            for (row, squares) in squares.chunks_exact_mut(width).enumerate() {
                let weighed = sums.weights[number] * moves[row];
                squares[..=row].iter_mut().zip(moves).for_each(|(square, by)| *square -= weighed * by);
            }
        }
        let count = if tied { 1 } else { self.components };
        let of_one = |number: usize| {
            self.context.check_cancelled()?;
            let weight = if tied { all } else { sums.weights[number] };
            let squares = &sums.squares[number * width * width..(number + 1) * width * width];
            let mut covariance: Vec<f64> = squares.iter().map(|square| square / weight).collect();
            (0..width).for_each(|i| covariance[i * width + i] += self.added);
            whitening(&mut covariance, width).ok_or_else(|| no_spread(number))
        };
        Ok(self.context.workers.try_map(count, of_one)?.concat())
    }
}

/// The upper triangle that makes deviations with this covariance, given by its lower half, uncorrelated and of variance
/// one; `None` where there is none.
fn whitening(covariance: &mut [f64], width: usize) -> Option<Vec<f64>> {
    for row in 0..width {
        let (before, current) = covariance.split_at_mut(row * width);
        for column in 0..row {
            let other = &before[column * width..column * width + column];
            let known: f64 = current[..column].iter().zip(other).map(|(c, o)| c * o).sum();
            current[column] = (current[column] - known) / before[column * width + column];
        }
        let rest = current[row] - current[..row].iter().map(|value| value * value).sum::<f64>();
        // Less than this is what rounding leaves of nothing.
        if rest.is_nan() || rest <= current[row] * f64::EPSILON {
            return None;
        }
        current[row] = rest.sqrt();
    }
    // The inverse of the lower triangle, column by column, mirrored.
    let mut upper = vec![0.0; width * width];
    for column in 0..width {
        let of_column = &mut upper[column * width..(column + 1) * width];
        for row in column..width {
            let lower = &covariance[row * width..row * width + row + 1];
            let known: f64 = lower[column..row].iter().zip(&of_column[column..row]).map(|(l, u)| l * u).sum();
            of_column[row] = (if row == column { 1.0 } else { 0.0 } - known) / lower[row];
        }
    }
    upper.iter().all(|factor| factor.abs() <= FACTOR_MAX).then_some(upper)
}

fn no_spread(component: usize) -> Error {
    Error::input(format!("component {component} has no spread in some direction: its covariance has no inverse"))
        .with_hint("raise the parameter `reg_covar`, lower `n_components`, or choose 'diag' or 'spherical' covariances")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_triangle_times_itself_is_the_inverse() {
        // [4 2; 2 3] has the inverse [3 -2; -2 4] / 8.
        let upper = whitening(&mut [4.0, 0.0, 2.0, 3.0], 2).unwrap();
        let product = |i: usize, j: usize| upper[i * 2] * upper[j * 2] + upper[i * 2 + 1] * upper[j * 2 + 1];
        for (found, expected) in [(product(0, 0), 0.375), (product(0, 1), -0.25), (product(1, 1), 0.5), (upper[2], 0.0)]
        {
            assert!((found - expected).abs() < 1e-15, "{found} {expected}");
        }
        assert!(whitening(&mut [1.0, 0.0, 1.0, 1.0], 2).is_none());
        assert!(whitening(&mut [0.0], 1).is_none());
    }
}
