//! What every native evaluator is underneath: columns of 64-bit floats in, one or more numbers per row out.
//!
//! [`NativeEvaluator`] puts Arrow around a kernel. Results depend on nothing but the inputs: kernels sum in a fixed order
//! and call no function that differs between processors. Kernels know nothing of names, types or NULL (NaN is missing).

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, StringArray};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field};

use super::columns::doubles;
use super::evaluator::Evaluator;
use super::onnx::builder::GraphBuilder;
use super::signature::{ClassLabel, Signature, Task};
use crate::limits::SCORE_ROWS_PER_BLOCK;
use crate::{Error, Result};

/// A fitted model as a computation over columns.
pub(crate) trait Kernel: Debug + Send + Sync {
    /// Numbers per row: 1 for a regressor, the number of classes for a classifier.
    fn width(&self) -> usize;

    /// Scores at most [`SCORE_ROWS_PER_BLOCK`] rows. `columns` has one slice per feature, NaN for a missing value; `out`
    /// is row by row, `width` numbers each: the prediction, or the probability of each class.
    fn score_block(&self, columns: &[&[f64]], out: &mut [f64]);

    /// Writes the computation as ONNX operators, up to the declared outputs.
    fn write(&self, signature: &Signature, graph: &mut GraphBuilder);

    /// Scores any number of rows, in blocks.
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

/// A kernel with the signature that it serves.
#[derive(Debug)]
pub(crate) struct NativeEvaluator {
    signature: Signature,
    kernel: Box<dyn Kernel>,
}

impl NativeEvaluator {
    /// Pairs a kernel with its signature; the caller has checked that they fit.
    pub(crate) fn new(signature: Signature, kernel: Box<dyn Kernel>) -> Self {
        NativeEvaluator { signature, kernel }
    }

    fn scores(&self, features: &[ArrayRef], rows: usize) -> Result<Vec<f64>> {
        if features.len() != self.signature.features.len() || features.iter().any(|f| f.len() != rows) {
            return Err(Error::internal(format!(
                "expected {} feature columns of {rows} rows, found {}",
                self.signature.features.len(),
                features.len()
            )));
        }
        let columns = features.iter().map(doubles).collect::<Result<Vec<Cow<'_, [f64]>>>>()?;
        let columns: Vec<&[f64]> = columns.iter().map(AsRef::as_ref).collect();
        let mut out = vec![0.0; rows * self.kernel.width()];
        self.kernel.score(&columns, &mut out);
        Ok(out)
    }
}

impl Evaluator for NativeEvaluator {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, features: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        let scores = self.scores(features, rows)?;
        match self.signature.task {
            Task::Regression => Ok(Arc::new(Float64Array::from(scores))),
            Task::Classification => {
                let chosen = scores.chunks_exact(self.kernel.width()).map(argmax);
                labels(&self.signature, chosen)
            }
        }
    }

    fn predict_proba(&self, features: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        if self.signature.task == Task::Regression {
            return Err(Error::input("expected a classifier, found a regressor, which gives no probabilities"));
        }
        let scores = self.scores(features, rows)?;
        let offsets = OffsetBuffer::from_repeated_length(self.kernel.width(), rows);
        let field = Arc::new(Field::new("item", DataType::Float64, true));
        Ok(Arc::new(ListArray::try_new(
            field,
            offsets,
            Arc::new(Float64Array::new(ScalarBuffer::from(scores), None)),
            None,
        )?))
    }
}

/// The labels of chosen classes, in the target's type.
fn labels(signature: &Signature, chosen: impl Iterator<Item = usize>) -> Result<ArrayRef> {
    let classes = &signature.classes;
    let mismatch = || Error::internal("expected classes of the target's type, found another".to_owned());
    Ok(match classes.first().ok_or_else(mismatch)? {
        ClassLabel::Boolean(_) => {
            let values = chosen.map(|i| match classes[i] {
                ClassLabel::Boolean(v) => Ok(v),
                _ => Err(mismatch()),
            });
            Arc::new(BooleanArray::from(values.collect::<Result<Vec<bool>>>()?))
        }
        ClassLabel::BigInt(_) => {
            let values = chosen.map(|i| match classes[i] {
                ClassLabel::BigInt(v) => Ok(v),
                _ => Err(mismatch()),
            });
            Arc::new(Int64Array::from(values.collect::<Result<Vec<i64>>>()?))
        }
        ClassLabel::Text(_) => {
            let values = chosen.map(|i| match &classes[i] {
                ClassLabel::Text(v) => Ok(v.as_str()),
                _ => Err(mismatch()),
            });
            Arc::new(StringArray::from(values.collect::<Result<Vec<&str>>>()?))
        }
    })
}
