//! Training rows as points: missing values filled, scaled where their squares would leave the range of numbers.
//!
//! What [`Filled`] does to a row when a model is applied is done to the training rows here, once. It knows nothing of
//! what is learned from them.

use super::FITTED_SHARE;
use super::algorithm::Context;
use super::rows::{READ_SHARE, Rows};
use crate::Result;
use crate::limits::ROWS_PER_BLOCK;
use crate::model::filled::{FAR, Filled};

/// Powers of two whose squares are safe numbers: columns between them are left as they are.
const SMALL: f64 = f64::from_bits((1023 - 300) << 52);
const LARGE: f64 = f64::from_bits((1023 + 300) << 52);

/// Groups of rows that are summed apart: more than threads that there may be, and few enough to keep their sums.
const GROUPS_MAX: usize = 64;

/// Which columns are scaled by one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scaling {
    /// Each column by its own, for algorithms that take columns one by one.
    EachColumn,
    /// All by one, for algorithms that measure distances.
    All,
    /// All by one, and only if they are large: small ones are small beside something that has a size of its own.
    AllIfLarge,
}

/// Points row by row.
#[derive(Debug)]
pub(super) struct Points {
    /// What was done to the values, to be done to any row that the model is applied to.
    pub filled: Filled,
    rows: usize,
    values: Vec<f64>,
}

impl Points {
    /// Fills and scales the rows.
    pub fn new(rows: &Rows, scaling: Scaling, context: &Context<'_>) -> Result<Self> {
        let filled = fill(rows, scaling, context)?;
        let width = filled.width();
        context.watch.reserve(rows.len() * width * size_of::<f64>())?;
        let mut values = vec![0.0; rows.len() * width];
        for (number, block) in values.chunks_mut(ROWS_PER_BLOCK * width.max(1)).enumerate() {
            context.check_cancelled()?;
            let start = number * ROWS_PER_BLOCK;
            for (column, all) in rows.features.iter().enumerate() {
                for (row, value) in block.chunks_exact_mut(width).zip(&all[start..]) {
                    row[column] = filled.value(column, *value);
                }
            }
        }
        Ok(Points { filled, rows: rows.len(), values })
    }

    /// The number of points.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// The number of coordinates.
    pub fn width(&self) -> usize {
        self.filled.width()
    }

    /// A point.
    pub fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.width()..(row + 1) * self.width()]
    }

    /// All points, one behind the other.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The means of the columns, scaled.
    pub fn centre(&self) -> Vec<f64> {
        (0..self.width()).map(|column| self.filled.value(column, f64::NAN)).collect()
    }

    /// The one scale of all columns.
    pub fn scale(&self) -> f64 {
        self.filled.scales.first().copied().unwrap_or(1.0)
    }

    /// The number of blocks of [`ROWS_PER_BLOCK`] rows.
    pub fn blocks(&self) -> usize {
        self.rows.div_ceil(ROWS_PER_BLOCK)
    }

    /// The rows in at most so many groups of whole blocks, of which there are never more than [`GROUPS_MAX`].
    pub fn groups(&self, count: usize) -> Vec<std::ops::Range<usize>> {
        let count = count.clamp(1, GROUPS_MAX).min(self.blocks());
        let from = |group: usize| self.rows.min(group * self.blocks() / count * ROWS_PER_BLOCK);
        (0..count).map(|group| from(group)..from(group + 1)).collect()
    }

    /// The rows of a block.
    pub fn block(&self, number: usize) -> std::ops::Range<usize> {
        number * ROWS_PER_BLOCK..self.rows.min((number + 1) * ROWS_PER_BLOCK)
    }
}

/// Tells how much of a fit is done.
pub(super) fn progress(context: &Context<'_>, share: f64) {
    context.watch.progress(READ_SHARE + (FITTED_SHARE - READ_SHARE) * share.clamp(0.0, 1.0));
}

/// Means and scales of the columns.
pub(super) fn fill(rows: &Rows, scaling: Scaling, context: &Context<'_>) -> Result<Filled> {
    let greatest = |column: &[f64]| column.iter().fold(0.0, |greatest: f64, value| greatest.max(value.abs()));
    let sizes = context.workers.map(rows.features.len(), |column| greatest(&rows.features[column]));
    context.check_cancelled()?;
    let all = sizes.iter().copied().fold(0.0, f64::max);
    let scales: Vec<f64> = sizes
        .iter()
        .map(|size| match scaling {
            Scaling::EachColumn => scale(*size),
            Scaling::All => scale(all),
            Scaling::AllIfLarge => scale(all).min(1.0),
        })
        .collect();
    let mean = |column: usize| mean(&rows.features[column], scale(sizes[column]));
    let means = context.workers.map(rows.features.len(), mean);
    context.check_cancelled()?;
    Ok(Filled { means, scales })
}

/// 1, or the power of two that takes the size to between 1 and 2.
fn scale(size: f64) -> f64 {
    if size == 0.0 || (SMALL..=LARGE).contains(&size) {
        return 1.0;
    }
    let (_, exponent) = libm::frexp(size);
    // Beyond 2^1022 the inverse of a scale would be no plain number.
    libm::ldexp(1.0, (1 - exponent).clamp(-1022, 1022))
}

/// The mean of the known values; the second pass takes out what the first one rounded away.
fn mean(column: &[f64], scale: f64) -> f64 {
    let first = column.iter().copied().find(|value| !value.is_nan()).unwrap_or_default();
    if column.iter().all(|value| value.is_nan() || *value == first) {
        // Rounding in the mean must not make a constant look as if it varied.
        return first;
    }
    let count = column.iter().filter(|value| !value.is_nan()).count().max(1) as f64;
    let sum = |offset: f64| {
        let known = |block: &[f64]| {
            block.iter().map(|v| if v.is_nan() { 0.0 } else { (v * scale).clamp(-FAR, FAR) - offset }).sum::<f64>()
        };
        column.chunks(ROWS_PER_BLOCK).map(known).sum::<f64>()
    };
    let rough = sum(0.0) / count;
    (rough + sum(rough) / count) / scale
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::target::Target;
    use crate::train::testing::with_context;

    #[test]
    fn points_are_filled_with_means_and_scaled_only_where_they_must_be() {
        let rows = Rows::new(vec![vec![1.0, f64::NAN, 4.0], vec![1e300, -1e300, 0.0]], Target::None(3));
        let points = with_context(|context| Points::new(&rows, Scaling::EachColumn, context).unwrap());
        assert_eq!(points.filled.scales[0], 1.0);
        assert_eq!((points.row(1)[0], points.row(0)[0]), (2.5, 1.0));
        assert!((1.0..2.0).contains(&points.row(0)[1]) && points.row(0)[1] == -points.row(1)[1]);
        let points = with_context(|context| Points::new(&rows, Scaling::All, context).unwrap());
        assert_eq!(points.filled.scales[0], points.filled.scales[1]);
    }

    #[test]
    fn a_scale_is_a_power_of_two() {
        assert_eq!([scale(1.0), scale(0.0), scale(1e80)], [1.0; 3]);
        for size in [1e300, f64::MAX, 1e-300, f64::MIN_POSITIVE] {
            let scaled = size * scale(size);
            assert!((0.5..4.0).contains(&scaled), "{size}: {scaled}");
            assert_eq!(scale(size).to_bits() << 12, 0);
        }
    }

    #[test]
    fn means_of_the_greatest_numbers_are_numbers() {
        let column = [f64::MAX, f64::MAX, f64::NAN, f64::MAX / 2.0];
        let mean = mean(&column, scale(f64::MAX));
        assert!((mean / f64::MAX - 5.0 / 6.0).abs() < 1e-15);
        assert_eq!(super::mean(&[0.1; 7], 1.0), 0.1);
    }
}
