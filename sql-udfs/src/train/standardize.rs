//! Features centred and scaled, block by block, for the fits that compute with weighted sums.
//!
//! Standardised values are made anew for each block and never stored. Rows are cut into pieces by their number alone, and
//! what pieces give is added in order: the same result on any number of threads and on every processor.

use std::ops::Range;

use super::algorithm::Context;
use super::rows::Rows;
use super::spread::{self, Spread};
use crate::Result;
use crate::limits::{PARTIAL_BYTES_MAX, PIECES_MAX, STANDARD_ROWS_PER_BLOCK};

/// The features of some rows, to be seen standardised: `(value - centre) / scale`, missing values as the mean.
pub(super) struct Standardized<'a> {
    columns: Vec<&'a [f64]>,
    weights: Option<&'a [f64]>,
    rows: usize,
    /// The weights of all rows, added up; their number where all weigh the same.
    pub total_weight: f64,
    /// The mean of each feature's known values, which stands in for missing ones.
    pub means: Vec<f64>,
    /// What is subtracted: the mean, or 0 where nothing is to be centred.
    pub centres: Vec<f64>,
    steps: Vec<Step>,
}

/// How a value becomes a standardised one: `(value · power - centre) · inverse`.
#[derive(Debug, Clone, Copy)]
struct Step {
    power: f64,
    centre: f64,
    /// 0 for a column without variation, whose standardised values are 0 and whose weight therefore is.
    inverse: f64,
    /// What a missing value becomes.
    missing: f64,
}

impl<'a> Standardized<'a> {
    /// Measures the features of rows, with the rows' weights, and scales them to unit length.
    pub fn new(rows: &'a Rows, centre: bool, context: &Context<'_>) -> Result<Self> {
        let columns = rows.columns();
        let weights = rows.weights.as_deref();
        let mut spreads = spread::measure(&columns, weights, context)?;
        for (spread, column) in spreads.iter_mut().zip(&columns) {
            // A column that is known only in rows without a weight still has a mean to put in place of missing values.
            if spread.weight == 0.0 {
                *spread =
                    Spread { squares: 0.0, least: 0.0, greatest: 0.0, ..spread::measure(&[column], None, context)?[0] };
            }
        }
        let total_weight = weights.map_or(rows.len() as f64, |weights| weights.iter().sum());
        let mut data = Standardized {
            rows: rows.len(),
            columns,
            weights,
            total_weight,
            means: spreads.iter().map(|spread| spread.mean / spread.power).collect(),
            centres: vec![0.0; spreads.len()],
            steps: Vec::with_capacity(spreads.len()),
        };
        for (feature, spread) in spreads.iter().enumerate() {
            if centre {
                data.centres[feature] = data.means[feature];
            }
            data.steps.push(step(spread, centre, total_weight));
        }
        Ok(data)
    }

    /// The number of features.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// The weights of the rows, where not all weigh the same.
    pub fn weights(&self) -> Option<&'a [f64]> {
        self.weights
    }

    /// Scales to a mean square of one, in place of a length of one.
    pub fn scale_to_unit_variance(&mut self) {
        let root = self.total_weight.sqrt();
        for step in &mut self.steps {
            step.inverse *= root;
            step.missing *= root;
        }
    }

    /// Whether a feature varies. One that does not has the weight 0.
    pub fn varies(&self, feature: usize) -> bool {
        self.steps[feature].inverse > 0.0
    }

    /// What a feature's standardised weight is multiplied by to be one in the feature's own unit; 0 where it does not vary.
    pub fn factor(&self, feature: usize) -> f64 {
        self.steps[feature].inverse * self.steps[feature].power
    }

    /// What half a squared standardised weight costs, where one in the feature's own unit costs `penalty`.
    pub fn squared_cost(&self, feature: usize, penalty: f64) -> f64 {
        // Nothing stays nothing, however great the factor.
        if penalty > 0.0 { penalty * self.factor(feature) * self.factor(feature) } else { 0.0 }
    }

    /// What an absolute standardised weight costs, where one in the feature's own unit costs `penalty`.
    pub fn absolute_cost(&self, feature: usize, penalty: f64) -> f64 {
        if penalty > 0.0 { penalty * self.factor(feature) } else { 0.0 }
    }

    /// Takes features for constant whose weight costs so much that it cannot be told from zero.
    pub fn drop_costly(&mut self, squared: f64, absolute: f64) {
        for feature in 0..self.width() {
            let cost = self.squared_cost(feature, squared).max(self.absolute_cost(feature, absolute));
            if cost >= COST_MAX {
                (self.steps[feature].inverse, self.steps[feature].missing) = (0.0, 0.0);
            }
        }
    }

    /// The weights in the features' own units.
    pub fn unscale(&self, weights: &[f64]) -> Vec<f64> {
        (0..).zip(weights).map(|(feature, weight)| self.unscale_one(*weight, feature, 1.0)).collect()
    }

    /// A feature's weight in its own unit, times a power of two.
    pub fn unscale_one(&self, weight: f64, feature: usize, power: f64) -> f64 {
        let step = &self.steps[feature];
        // The powers first: their product is exact, and often one.
        weight * step.inverse * (step.power * power)
    }

    /// Calls `visit` with the first row and the standardised columns of each block of some rows. Asks between blocks
    /// whether to stop.
    pub fn for_each_block(
        &self,
        rows: Range<usize>,
        context: &Context<'_>,
        mut visit: impl FnMut(usize, &mut [Vec<f64>]),
    ) -> Result<()> {
        let mut block: Vec<Vec<f64>> = vec![Vec::with_capacity(STANDARD_ROWS_PER_BLOCK); self.width()];
        for start in rows.clone().step_by(STANDARD_ROWS_PER_BLOCK) {
            context.check_cancelled()?;
            let end = rows.end.min(start + STANDARD_ROWS_PER_BLOCK);
            for ((step, column), out) in self.steps.iter().zip(&self.columns).zip(&mut block) {
                step.take(&column[start..end], out);
            }
            visit(start, &mut block);
        }
        Ok(())
    }

    /// The number of pieces of the rows, where what each gives takes so many bytes.
    fn pieces(&self, bytes: usize) -> usize {
        let blocks = self.rows.div_ceil(STANDARD_ROWS_PER_BLOCK);
        (PARTIAL_BYTES_MAX / bytes.max(1)).clamp(1, PIECES_MAX).min(blocks.max(1))
    }

    /// Asks once for the memory of any number of [`Standardized::map_pieces`], one after the other.
    pub fn reserve(&self, bytes: usize, context: &Context<'_>) -> Result<()> {
        let scratch = context.workers.threads() * 2 * self.width() * STANDARD_ROWS_PER_BLOCK * size_of::<f64>();
        context.watch.reserve(self.pieces(bytes) * bytes + scratch)
    }

    /// What `work` gives for each piece of the rows, in order, where it gives about so many bytes.
    pub fn map_pieces<T: Send>(
        &self,
        bytes: usize,
        context: &Context<'_>,
        work: impl Fn(Range<usize>) -> Result<T> + Sync + Send,
    ) -> Result<Vec<T>> {
        let blocks = self.rows.div_ceil(STANDARD_ROWS_PER_BLOCK);
        let size = (blocks.div_ceil(self.pieces(bytes)) * STANDARD_ROWS_PER_BLOCK).max(1);
        let pieces = self.rows.div_ceil(size);
        context.workers.try_map(pieces, |piece| work(piece * size..self.rows.min((piece + 1) * size)))
    }

    /// Multiplies columns of a block by the roots of the rows' weights, so that their products are weighted.
    pub fn weigh_by_roots(&self, start: usize, block: &mut [Vec<f64>]) {
        let Some(weights) = self.weights else { return };
        for column in block {
            column.iter_mut().zip(&weights[start..]).for_each(|(value, weight)| *value *= weight.sqrt());
        }
    }
}

/// Penalties on standardised weights from which on a weight is zero in 64-bit floats beside the others.
const COST_MAX: f64 = 1e150;

/// Parts added to the first one, in order.
pub(super) fn add_up<T>(parts: Vec<T>, add: impl Fn(&mut T, T)) -> Option<T> {
    parts.into_iter().reduce(|mut sum, part| {
        add(&mut sum, part);
        sum
    })
}

fn step(spread: &Spread, centre: bool, total_weight: f64) -> Step {
    // Missing values are at the mean: they add to a length that is not centred.
    let squares = match centre {
        true if spread.constant() => 0.0,
        true => spread.squares,
        false => spread.squares + total_weight * spread.mean * spread.mean,
    };
    let inverse = 1.0 / squares.sqrt();
    let inverse = if inverse.is_finite() { inverse } else { 0.0 };
    let centre = if centre { spread.mean } else { 0.0 };
    Step { power: spread.power, centre, inverse, missing: (spread.mean - centre) * inverse }
}

impl Step {
    fn take(&self, values: &[f64], out: &mut Vec<f64>) {
        let Step { power, centre, inverse, missing } = *self;
        let known = |value: f64| if value.is_nan() { missing } else { value };
        out.clear();
        match power == 1.0 {
            true => out.extend(values.iter().map(|value| known((value - centre) * inverse))),
            false => out.extend(values.iter().map(|value| known((value * power - centre) * inverse))),
        }
    }
}
