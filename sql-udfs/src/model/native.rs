//! A kernel with its signature as an evaluator: Arrow columns in, an Arrow column out.
//!
//! It turns features into design columns and numbers into labels. It knows nothing of how numbers come about.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, StringArray};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field};
use arrow::record_batch::RecordBatch;

use super::contents;
use super::design::Design;
use super::evaluator::Evaluator;
use super::kernel::{Kernel, argmax};
use super::signature::{ClassLabel, Missing, Signature, Task};
use crate::limits::SCORE_ROWS_PER_BLOCK;
use crate::{Error, Result};

/// A kernel with the signature that it serves.
#[derive(Debug)]
pub(crate) struct NativeEvaluator {
    signature: Signature,
    design: Design,
    kernel: Box<dyn Kernel>,
}

impl NativeEvaluator {
    /// Pairs a kernel with its signature; the caller has checked that they fit.
    pub(crate) fn new(signature: Signature, kernel: Box<dyn Kernel>) -> Self {
        NativeEvaluator { design: Design::new(&signature.features), signature, kernel }
    }

    fn scores(&self, features: &[ArrayRef], rows: usize) -> Result<Vec<f64>> {
        if features.len() != self.signature.features.len() || features.iter().any(|f| f.len() != rows) {
            return Err(Error::internal(format!(
                "expected {} feature columns of {rows} rows, found {}",
                self.signature.features.len(),
                features.len()
            )));
        }
        let columns = self.design.read(features)?;
        if self.signature.missing == Missing::Error {
            columns.refuse_missing(&self.signature.features)?;
        }
        let width = self.kernel.width();
        let mut out = vec![0.0; rows * width];
        let mut scratch = self.design.scratch();
        for (number, out) in out.chunks_mut(SCORE_ROWS_PER_BLOCK * width).enumerate() {
            let start = number * SCORE_ROWS_PER_BLOCK;
            let block = columns.block(start, start + out.len() / width, &mut scratch);
            self.kernel.score_block(&block, out);
        }
        Ok(out)
    }

    fn lists(&self, numbers: Vec<f64>, width: usize) -> Result<ArrayRef> {
        let offsets = OffsetBuffer::from_repeated_length(width, numbers.len() / width.max(1));
        let field = Arc::new(Field::new("item", DataType::Float64, true));
        let values = Arc::new(Float64Array::new(ScalarBuffer::from(numbers), None));
        Ok(Arc::new(ListArray::try_new(field, offsets, values, None)?))
    }
}

impl Evaluator for NativeEvaluator {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn has_probabilities(&self) -> bool {
        self.kernel.has_probabilities()
    }

    fn describe(&self) -> String {
        format!("native {}", self.kernel.kind())
    }

    fn coefficients(&self) -> Result<Option<RecordBatch>> {
        self.kernel.sums().map(|sums| contents::coefficients(&self.signature, sums)).transpose()
    }

    fn trees(&self) -> Result<Option<RecordBatch>> {
        self.kernel.trees().map(|trees| contents::nodes(&self.signature, &trees)).transpose()
    }

    fn predict(&self, features: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        let scores = self.scores(features, rows)?;
        let width = self.kernel.width();
        match self.signature.task {
            Task::Regression => Ok(Arc::new(Float64Array::from(scores))),
            Task::Classification => labels(&self.signature, scores.chunks_exact(width).map(argmax)),
            Task::Clustering => {
                // A row of no cluster has no number above 0.
                let cluster = |row: &[f64]| match argmax(row) {
                    best if row[best] > 0.0 => best as i64,
                    _ => -1,
                };
                Ok(Arc::new(Int64Array::from_iter_values(scores.chunks_exact(width).map(cluster))))
            }
            Task::Anomaly => {
                Ok(Arc::new(Int64Array::from_iter_values(scores.chunks_exact(width).map(|row| row[0] as i64))))
            }
            Task::Reduction => self.lists(scores, width),
        }
    }

    fn predict_proba(&self, features: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        match self.signature.task {
            Task::Regression | Task::Reduction => Err(Error::input(format!(
                "expected a model of classes, clusters or anomalies, found a {}, which gives no probabilities",
                self.signature.task.name()
            ))),
            Task::Classification | Task::Clustering if !self.kernel.has_probabilities() => {
                Err(Error::input("expected a model that gives probabilities, found one that only chooses"))
            }
            Task::Classification | Task::Clustering => {
                let width = self.kernel.width();
                self.lists(self.scores(features, rows)?, width)
            }
            Task::Anomaly => {
                let scores = self.scores(features, rows)?;
                self.lists(scores.chunks_exact(self.kernel.width()).map(|row| row[1]).collect(), 1)
            }
        }
    }
}

/// The labels of chosen classes, in the target's type.
pub(crate) fn labels(signature: &Signature, chosen: impl Iterator<Item = usize>) -> Result<ArrayRef> {
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
