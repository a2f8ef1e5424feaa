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
use super::evaluator::{Evaluator, FeatureRange, Known};
use super::kernel::{Kernel, argmax};
use super::ranges;
use super::signature::{ClassLabel, Feature, Missing, Signature, Task};
use crate::limits::SCORE_ROWS_PER_BLOCK;
use crate::{Error, Result};

/// A kernel with the signature that it serves.
#[derive(Debug)]
pub(crate) struct NativeEvaluator {
    signature: Signature,
    design: Design,
    kernel: Arc<dyn Kernel>,
    /// The features in which a missing value must be refused.
    refused: Vec<bool>,
    /// The features that are looked at.
    used: Vec<bool>,
}

impl NativeEvaluator {
    /// Pairs a kernel with its signature; the caller has checked that they fit.
    pub(crate) fn new(signature: Signature, kernel: Box<dyn Kernel>) -> Self {
        let refused = vec![signature.missing == Missing::Error; signature.features.len()];
        Self::with(signature, Arc::from(kernel), refused)
    }

    fn with(signature: Signature, kernel: Arc<dyn Kernel>, refused: Vec<bool>) -> Self {
        let design = Design::new(&signature.features);
        let columns = kernel.used_columns();
        let used = design.features_of(|column| columns.get(column).copied().unwrap_or(true));
        let used = used.iter().zip(&refused).map(|(used, refused)| *used || *refused).collect();
        NativeEvaluator { design, signature, kernel, refused, used }
    }

    fn scores(&self, features: &[ArrayRef], rows: usize) -> Result<Vec<f64>> {
        let mut looked_at = features.iter().zip(&self.used).filter(|(_, used)| **used);
        if features.len() != self.signature.features.len() || looked_at.any(|(f, _)| f.len() != rows) {
            return Err(Error::internal(format!(
                "expected {} feature columns of {rows} rows, found {}",
                self.signature.features.len(),
                features.len()
            )));
        }
        let columns = self.design.read(features, &self.used)?;
        columns.refuse_missing(&self.signature.features, &self.refused)?;
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

    fn coefficients(&self) -> Result<Option<RecordBatch>> {
        self.kernel.sums().map(|sums| contents::coefficients(&self.signature, sums)).transpose()
    }

    fn trees(&self) -> Result<Option<RecordBatch>> {
        self.kernel.trees().map(|trees| contents::nodes(&self.signature, &trees)).transpose()
    }

    fn describe(&self) -> String {
        self.kernel.describe()
    }

    fn used_features(&self) -> Vec<bool> {
        self.used.clone()
    }

    fn specialise(&self, ranges: &[FeatureRange]) -> Option<Arc<dyn Evaluator>> {
        let features = &self.signature.features;
        if ranges.len() != features.len() {
            return None;
        }
        let kernel = self.kernel.specialise(&ranges::of_columns(features, ranges));
        let gained = kernel.is_some();
        let kernel = kernel.map_or_else(|| Arc::clone(&self.kernel), Arc::from);
        let may_miss = features.iter().zip(ranges).map(|(feature, range)| may_miss(range, feature));
        let refused = self.refused.iter().zip(may_miss).map(|(refused, may_miss)| *refused && may_miss).collect();
        let special = NativeEvaluator::with(self.signature.clone(), kernel, refused);
        (gained || special.used != self.used).then(|| Arc::new(special) as Arc<dyn Evaluator>)
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

/// Whether a row may have nothing, or nothing that the model knows, in the feature.
fn may_miss(range: &FeatureRange, feature: &Feature) -> bool {
    let unknown_text = feature.categories.as_ref().is_some_and(|categories| match &range.known {
        Known::Texts(texts) => texts.iter().any(|text| !categories.values.contains(text)),
        Known::Nothing | Known::Between(..) => true,
    });
    range.missing || unknown_text
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
