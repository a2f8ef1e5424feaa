//! What every native evaluator is underneath: columns of 64-bit floats in, one or more numbers per row out.
//!
//! [`super::native::NativeEvaluator`] puts Arrow around a kernel. Results depend on nothing but the inputs: kernels sum in
//! a fixed order and call no function that differs between processors. Kernels know nothing of names, types or NULL (NaN is
//! missing).

use std::fmt::Debug;

use super::contents::{Node, Sums};
use super::onnx::builder::GraphBuilder;
use super::signature::Signature;
#[cfg(test)]
use crate::limits::SCORE_ROWS_PER_BLOCK;

/// A fitted model as a computation over design columns (see [`super::design`]).
pub(crate) trait Kernel: Debug + Send + Sync {
    /// The kernel's name in `artifact::KERNELS`, which says who reads it back.
    fn kind(&self) -> &'static str;

    /// Numbers per row: 1 for a regressor; the number of classes, clusters or components; 2 for an anomaly detector.
    fn width(&self) -> usize;

    /// Whether a classifier's or a clustering's numbers are probabilities, and not just greatest for the chosen one.
    fn has_probabilities(&self) -> bool {
        true
    }

    /// Scores at most [`SCORE_ROWS_PER_BLOCK`] rows. `columns` has one slice per design column, NaN for a missing value;
    /// `out` is row by row, `width` numbers each: the prediction; the probability of each class or cluster (all 0 for a row
    /// of no cluster); the components; or -1 for an anomaly and 1 for any other row, and then the anomaly score.
    fn score_block(&self, columns: &[&[f64]], out: &mut [f64]);

    /// What a model without a target measures of itself: names of means over rows.
    fn measures(&self) -> &'static [&'static str] {
        &[]
    }

    /// Adds a block's rows to the sums of [`Kernel::measures`].
    fn measure_block(&self, _columns: &[&[f64]], _sums: &mut [f64]) {}

    /// The weighted sums, where it is a model of some.
    fn sums(&self) -> Option<Sums<'_>> {
        None
    }

    /// The nodes of its trees, where it has some; a node's number is its place, and greater than that of the node above it.
    fn trees(&self) -> Option<Vec<Vec<Node>>> {
        None
    }

    /// Writes the computation as ONNX operators, up to the declared outputs.
    fn write(&self, signature: &Signature, graph: &mut GraphBuilder);

    /// What scores, for `EXPLAIN`.
    fn describe(&self) -> String {
        format!("native {}", self.kind().replace('_', " "))
    }

    /// For each design column whether any number depends on it: [`Kernel::score_block`] does not look at others, and takes
    /// empty slices for them. Columns behind the last of the list are used.
    fn used_columns(&self) -> Vec<bool> {
        Vec::new()
    }

    /// A kernel that gives the very same numbers for rows within the ranges, one for each design column, and does less;
    /// `None` where there is nothing to be gained.
    fn specialise(&self, _ranges: &[ColumnRange]) -> Option<Box<dyn Kernel>> {
        None
    }

    /// Scores any number of rows, in blocks.
    #[cfg(test)]
    fn score(&self, columns: &[&[f64]], out: &mut [f64]) {
        let width = self.width();
        let mut block: Vec<&[f64]> = Vec::with_capacity(columns.len());
        for (number, out) in out.chunks_mut(SCORE_ROWS_PER_BLOCK * width).enumerate() {
            let start = number * SCORE_ROWS_PER_BLOCK;
            let end = start + out.len() / width;
            block.clear();
            block.extend(columns.iter().map(|column| &column[start..end]));
            self.score_block(&block, out);
        }
    }
}

/// What is known of a design column's values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ColumnRange {
    /// No value is less than this.
    pub low: f64,
    /// No value is greater than this; less than `low` where there is none.
    pub high: f64,
    /// Whether a value may be missing (NaN).
    pub missing: bool,
    /// The only values that are possible, of a column of codes.
    pub codes: Option<Vec<f64>>,
}

impl ColumnRange {
    /// Nothing is known.
    pub fn unknown() -> Self {
        ColumnRange { low: f64::NEG_INFINITY, high: f64::INFINITY, missing: true, codes: None }
    }
}

/// The position of the greatest number; the first of equals.
pub(crate) fn argmax(values: &[f64]) -> usize {
    let mut best = 0;
    for (i, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = i;
        }
    }
    best
}
