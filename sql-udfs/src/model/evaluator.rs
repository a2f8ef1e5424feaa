//! The trait behind which models are scored, and the one function that turns an artifact into a scorer.
//!
//! An evaluator works on Arrow columns that already have the signature's types (`PREDICT` casts). It knows nothing
//! of names, versions or aliases.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::ArrayRef;

use super::signature::Signature;
use crate::Result;

/// Scores rows. One instance serves all partitions of all queries at once.
pub trait Evaluator: Debug + Send + Sync {
    /// What the model takes and gives.
    fn signature(&self) -> &Signature;

    /// Predicts one value per row. `features` are in the signature's order and of exactly
    /// [`super::signature::ValueType::arrow`]'s types (`Float64` in place of `Int64` too, for numbers that are not whole),
    /// each `rows` long; NULL is a missing value. The result has [`Signature::prediction_type`] and no NULL: linear
    /// models take the training mean for a missing value, trees the branch that they learned for it.
    fn predict(&self, features: &[ArrayRef], rows: usize) -> Result<ArrayRef>;

    /// The probability of each class per row, as [`Signature::probability_type`]; an error for a regressor.
    fn predict_proba(&self, features: &[ArrayRef], rows: usize) -> Result<ArrayRef>;
}

/// Reads an ONNX artifact and chooses an evaluator for it.
///
/// Fails with `Unsupported` and the operator's name where no evaluator knows an operator, with `Input` where the bytes
/// are not a model.
pub fn load(artifact: &[u8]) -> Result<Arc<dyn Evaluator>> {
    super::artifact::load(artifact)
}
