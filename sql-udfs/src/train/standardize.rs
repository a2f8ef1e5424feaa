//! Features centred and scaled to unit length, block by block, with the products that fits need of them.
//!
//! Standardised values are made anew for each block and never stored. Sums run within fixed blocks of rows in eight
//! fixed lanes, and over blocks in order: the same result on every processor, without reassociation.

use super::algorithm::Context;
use super::dense::{self, Symmetric};
use super::rows::Rows;
use crate::Result;
use crate::limits::ROWS_PER_BLOCK;

/// The features of some rows, to be seen standardised: `(value - centre) / scale`, missing values as the mean.
pub(super) struct Standardized<'a> {
    columns: Vec<&'a [f64]>,
    rows: usize,
    /// The mean of each feature's known values, which stands in for missing ones.
    pub means: Vec<f64>,
    /// What is subtracted: the mean, or 0 where nothing is to be centred.
    pub centres: Vec<f64>,
    /// What is divided by: the length of the centred column, or infinity for a column without variation, whose
    /// standardised values are 0 and whose weight therefore is.
    pub scales: Vec<f64>,
}

impl<'a> Standardized<'a> {
    /// Measures the features.
    pub fn new(rows: &'a Rows, centre: bool, context: &Context<'_>) -> Result<Self> {
        let (mut means, mut centres, mut scales) = (Vec::new(), Vec::new(), Vec::new());
        for column in &rows.features {
            context.check_cancelled()?;
            let mean = known_mean(column);
            let origin = if centre { mean } else { 0.0 };
            // Rounding in the mean must not make a constant look as if it varied.
            let first = column.iter().copied().find(|value| !value.is_nan()).unwrap_or_default();
            let constant = column.iter().all(|value| value.is_nan() || *value == first);
            let length = match centre && constant {
                true => 0.0,
                false => length(column, mean, origin),
            };
            means.push(mean);
            centres.push(origin);
            scales.push(if length > 0.0 { length } else { f64::INFINITY });
        }
        Ok(Standardized { columns: rows.columns(), rows: rows.len(), means, centres, scales })
    }

    /// The number of features.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// Scales to a mean square of one, in place of a length of one.
    pub fn scale_to_unit_variance(&mut self) {
        let root = (self.rows as f64).sqrt();
        self.scales.iter_mut().for_each(|scale| *scale /= root);
    }

    /// The weights in the features' own units.
    pub fn unscale(&self, weights: &[f64]) -> Vec<f64> {
        weights.iter().zip(&self.scales).map(|(weight, scale)| weight / scale).collect()
    }

    /// Calls `visit` with the first row and the standardised columns of each block. Asks between blocks whether to stop.
    pub fn for_each_block(&self, context: &Context<'_>, mut visit: impl FnMut(usize, &[Vec<f64>])) -> Result<()> {
        let mut block: Vec<Vec<f64>> = vec![Vec::with_capacity(ROWS_PER_BLOCK); self.width()];
        for start in (0..self.rows).step_by(ROWS_PER_BLOCK) {
            context.check_cancelled()?;
            let end = self.rows.min(start + ROWS_PER_BLOCK);
            for (feature, out) in block.iter_mut().enumerate() {
                let (mean, centre, scale) = (self.means[feature], self.centres[feature], self.scales[feature]);
                out.clear();
                out.extend(self.columns[feature][start..end].iter().map(|value| {
                    let value = if value.is_nan() { mean } else { *value };
                    (value - centre) / scale
                }));
            }
            visit(start, &block);
        }
        Ok(())
    }

    /// The products of all pairs of standardised columns.
    pub fn gram(&self, context: &Context<'_>) -> Result<Symmetric> {
        context.watch.reserve(self.width() * self.width() * 2 * size_of::<f64>())?;
        let mut gram = Symmetric::zeros(self.width());
        self.for_each_block(context, |_, block| {
            for (i, left) in block.iter().enumerate() {
                for (j, right) in block[..=i].iter().enumerate() {
                    gram.add(i, j, dense::dot(left, right));
                }
            }
        })?;
        Ok(gram)
    }

    /// The products of the standardised columns with another.
    pub fn moments(&self, other: &[f64], context: &Context<'_>) -> Result<Vec<f64>> {
        let mut moments = vec![0.0; self.width()];
        self.for_each_block(context, |start, block| {
            for (moment, column) in moments.iter_mut().zip(block) {
                *moment += dense::dot(column, &other[start..start + column.len()]);
            }
        })?;
        Ok(moments)
    }

    /// What the weighted sum of the standardised columns leaves of another column.
    pub fn residuals(&self, weights: &[f64], other: &[f64]) -> Vec<f64> {
        let mut residuals = other.to_vec();
        for (feature, weight) in weights.iter().enumerate() {
            let (mean, centre, scale) = (self.means[feature], self.centres[feature], self.scales[feature]);
            for (residual, value) in residuals.iter_mut().zip(self.columns[feature]) {
                let value = if value.is_nan() { mean } else { *value };
                *residual -= weight * ((value - centre) / scale);
            }
        }
        residuals
    }
}

fn known_mean(column: &[f64]) -> f64 {
    let count = column.iter().filter(|value| !value.is_nan()).count();
    let sum = |offset: f64| {
        let blocks = column.chunks(ROWS_PER_BLOCK);
        let sums = blocks.map(|block| block.iter().map(|v| if v.is_nan() { 0.0 } else { v - offset }).sum::<f64>());
        sums.sum::<f64>() / count.max(1) as f64
    };
    // The second pass takes out what the first one rounded away.
    let rough = sum(0.0);
    rough + sum(rough)
}

fn length(column: &[f64], mean: f64, centre: f64) -> f64 {
    let square = |value: &f64| {
        let value = if value.is_nan() { mean } else { *value } - centre;
        value * value
    };
    let blocks = column.chunks(ROWS_PER_BLOCK).map(|block| block.iter().map(square).sum::<f64>());
    blocks.sum::<f64>().sqrt()
}
