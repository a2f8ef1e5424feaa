//! Mean and spread of columns: in one pass over memory, accurate however far from zero the values are.
//!
//! A block of rows is in the cache when its deviations from its own mean are squared; blocks and pieces are then combined
//! by Chan, Golub and LeVeque's formula, in order. Columns whose squares would leave the range of 64-bit floats are
//! multiplied by a power of two first. It knows nothing of what the columns mean.

use super::algorithm::Context;
use crate::Result;
use crate::limits::{ROWS_PER_BLOCK, ROWS_PER_PIECE};

/// Greatest magnitude up to which, and from whose inverse on, a column is taken as it is: squares of sums of that many
/// rows stay in range, and so do squares of differences.
const PLAIN_MAX: f64 = 1e90;
/// Lanes of a sum: fixed, so that the order of additions is the same with any vector width.
const LANES: usize = 8;

/// What a column's known values, all multiplied by `power`, are like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    /// A power of two.
    pub power: f64,
    /// The weights of the known values, added up.
    pub weight: f64,
    /// The weighted mean.
    pub mean: f64,
    /// The weighted sum of squared deviations from the mean.
    pub squares: f64,
    /// The least value that has a weight.
    pub least: f64,
    /// The greatest value that has a weight.
    pub greatest: f64,
}

impl Spread {
    const NOTHING: Spread =
        Spread { power: 1.0, weight: 0.0, mean: 0.0, squares: 0.0, least: f64::INFINITY, greatest: f64::NEG_INFINITY };

    /// Whether all values are equal.
    pub fn constant(&self) -> bool {
        self.least >= self.greatest
    }

    fn and(self, other: Spread) -> Spread {
        let (least, greatest) = (self.least.min(other.least), self.greatest.max(other.greatest));
        if other.weight == 0.0 {
            return Spread { least, greatest, ..self };
        }
        let weight = self.weight + other.weight;
        let (difference, share) = (other.mean - self.mean, other.weight / weight);
        Spread {
            power: self.power,
            weight,
            mean: self.mean + difference * share,
            squares: self.squares + other.squares + difference * difference * self.weight * share,
            least,
            greatest,
        }
    }
}

/// The spread of each column over rows with weights, or rows that weigh the same.
pub(super) fn measure(columns: &[&[f64]], weights: Option<&[f64]>, context: &Context<'_>) -> Result<Vec<Spread>> {
    let rows = columns.first().map_or(0, |column| column.len());
    let pieces = rows.div_ceil(ROWS_PER_PIECE).max(1);
    let of_piece = |column: usize, piece: usize, power: f64| {
        let start = piece * ROWS_PER_PIECE;
        let end = rows.min(start + ROWS_PER_PIECE);
        let weights = weights.map(|weights| &weights[start..end]);
        piece_spread(&columns[column][start..end], weights, power)
    };
    let spreads = context.workers.try_map(columns.len() * pieces, |task| {
        context.check_cancelled()?;
        Ok(of_piece(task / pieces, task % pieces, 1.0))
    })?;
    let mut measured = Vec::with_capacity(columns.len());
    for (column, of_column) in spreads.chunks(pieces).enumerate() {
        let combined = combine(of_column.iter().copied());
        let power = power_for(combined.least.abs().max(combined.greatest.abs()));
        measured.push(match power == 1.0 {
            true => combined,
            false => Spread { power, ..combine((0..pieces).map(|piece| of_piece(column, piece, power))) },
        });
    }
    Ok(measured)
}

fn combine(spreads: impl Iterator<Item = Spread>) -> Spread {
    spreads.fold(Spread::NOTHING, Spread::and)
}

/// The power of two that brings a magnitude to about one, where its square would leave the range of floats.
fn power_for(magnitude: f64) -> f64 {
    match magnitude.is_finite() && magnitude > 0.0 && !(1.0 / PLAIN_MAX..=PLAIN_MAX).contains(&magnitude) {
        // The largest power of two is 1023; denormal numbers stay below one with it.
        true => libm::ldexp(1.0, -libm::ilogb(magnitude).max(-1023)),
        false => 1.0,
    }
}

fn piece_spread(values: &[f64], weights: Option<&[f64]>, power: f64) -> Spread {
    let blocks = values.chunks(ROWS_PER_BLOCK).enumerate();
    combine(blocks.map(|(number, block)| {
        let start = number * ROWS_PER_BLOCK;
        match weights.map(|weights| &weights[start..start + block.len()]) {
            None if power == 1.0 => plain_block(block).unwrap_or_else(|| block_spread(block, None, power)),
            weights => block_spread(block, weights, power),
        }
    }))
}

/// The spread of a block in which every value is known and weighs the same; `None` for others.
fn plain_block(values: &[f64]) -> Option<Spread> {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let (mut sums, mut least, mut greatest) = ([0.0; LANES], [f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES]);
    for chunk in chunks {
        for lane in 0..LANES {
            let value = chunk[lane];
            sums[lane] += value;
            least[lane] = if value < least[lane] { value } else { least[lane] };
            greatest[lane] = if value > greatest[lane] { value } else { greatest[lane] };
        }
    }
    let sum = sums.iter().chain(rest).sum::<f64>();
    if !sum.is_finite() {
        return None;
    }
    let least = least.iter().chain(rest).copied().fold(f64::INFINITY, f64::min);
    let greatest = greatest.iter().chain(rest).copied().fold(f64::NEG_INFINITY, f64::max);
    let weight = values.len() as f64;
    let rough = sum / weight;
    let (mut deviations, mut squares) = ([0.0; LANES], [0.0; LANES]);
    for chunk in chunks {
        for lane in 0..LANES {
            let deviation = chunk[lane] - rough;
            deviations[lane] += deviation;
            squares[lane] += deviation * deviation;
        }
    }
    let rest = rest.iter().map(|value| value - rough);
    let deviation = deviations.into_iter().chain(rest.clone()).sum::<f64>();
    let squares = squares.into_iter().chain(rest.map(|deviation| deviation * deviation)).sum::<f64>();
    Some(exact(Spread { power: 1.0, weight, mean: rough, squares, least, greatest }, deviation))
}

/// The spread of any block.
fn block_spread(values: &[f64], weights: Option<&[f64]>, power: f64) -> Spread {
    let known = || {
        let weighed = values.iter().enumerate().map(|(row, value)| (weights.map_or(1.0, |w| w[row]), value * power));
        weighed.filter(|(weight, value)| !value.is_nan() && *weight > 0.0)
    };
    let mut spread = Spread { power, ..Spread::NOTHING };
    for (weight, value) in known() {
        spread.weight += weight;
        spread.mean += weight * value;
        (spread.least, spread.greatest) = (spread.least.min(value), spread.greatest.max(value));
    }
    if spread.weight == 0.0 {
        return spread;
    }
    spread.mean /= spread.weight;
    let mut deviations = 0.0;
    for (weight, value) in known() {
        let deviation = value - spread.mean;
        deviations += weight * deviation;
        spread.squares += weight * deviation * deviation;
    }
    exact(spread, deviations)
}

/// Takes out of the mean what rounding brought in, by the sum of the deviations from it.
fn exact(spread: Spread, deviations: f64) -> Spread {
    let error = deviations / spread.weight;
    let squares = (spread.squares - error * deviations).max(0.0);
    Spread { mean: spread.mean + error, squares, ..spread }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::testing::{Patient, parameters};
    use crate::train::workers::Workers;

    fn measured(columns: &[&[f64]], weights: Option<&[f64]>) -> Vec<Spread> {
        let parameters = parameters(&crate::train::linear_regression::LinearRegression, &[]);
        let workers = Workers::new(2).unwrap();
        let context =
            Context { parameters: &parameters, classes: 0, seed: 0, columns: &[], workers: &workers, watch: &Patient };
        measure(columns, weights, &context).unwrap()
    }

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-12 * expected.abs(), "{found} is not {expected}");
    }

    #[test]
    fn whole_numbers_far_from_zero_have_the_spread_that_they_have_near_it() {
        // 1 to n: mean (n + 1) / 2, squared deviations n (n² - 1) / 12; more rows than a piece, not a multiple of a block.
        let n = 2 * ROWS_PER_PIECE + 777;
        for offset in [0.0, 1e9] {
            let column: Vec<f64> = (1..=n).map(|i| offset + i as f64).collect();
            let spread = measured(&[&column], None)[0];
            let n = n as f64;
            close(spread.mean, offset + (n + 1.0) / 2.0);
            close(spread.squares, n * (n * n - 1.0) / 12.0);
            assert_eq!((spread.least, spread.greatest, spread.weight), (offset + 1.0, offset + n, n));
        }
    }

    #[test]
    fn weights_count_as_rows_and_missing_values_do_not() {
        let repeated = measured(&[&[1.0, 5.0, 5.0, 5.0, 9.0, 9.0]], None)[0];
        let column = [1.0, f64::NAN, 5.0, 9.0, 700.0];
        let weighted = measured(&[&column], Some(&[1.0, 4.0, 3.0, 2.0, 0.0]))[0];
        close(weighted.mean, repeated.mean);
        close(weighted.squares, repeated.squares);
        assert_eq!((weighted.weight, weighted.greatest), (6.0, 9.0));
        assert_eq!(measured(&[&[f64::NAN]], None)[0].weight, 0.0);
    }

    #[test]
    fn extreme_magnitudes_are_brought_into_range() {
        for scale in [1e-310, 1e-300, 1e-80, 1.0, 1e80, 1e300, 5e307] {
            let column = [1.0, 2.0, f64::NAN, 3.0].map(|value| value * scale);
            let spread = measured(&[&column], None)[0];
            close(spread.mean, 2.0 * scale * spread.power);
            assert!((spread.squares / (2.0 * (scale * spread.power) * (scale * spread.power)) - 1.0).abs() < 1e-9);
            assert!(!spread.constant() && spread.squares.is_normal(), "{scale}: {spread:?}");
        }
        assert!(measured(&[&[0.1; 1000]], None)[0].constant());
    }
}
