//! The trait behind which models are scored, and the one function that turns an artifact into a scorer.
//!
//! An evaluator works on Arrow columns that already have the signature's types (`PREDICT` casts). It knows nothing
//! of names, versions or aliases.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;

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

    /// Whether [`Evaluator::predict_proba`] has an answer where the task allows one.
    fn has_probabilities(&self) -> bool {
        true
    }

    /// What evaluates the model, for `EXPLAIN`.
    fn describe(&self) -> String {
        "native".to_owned()
    }

    /// The weights of a linear model, one a row: `output` (a class, a component, or NULL), `term`, `feature` and `category`
    /// (NULL for the constant), `weight`. `None` for a model that has none. A partitioned model has `partition` before them:
    /// the group as JSON, NULL for the model over all groups.
    fn coefficients(&self) -> Result<Option<RecordBatch>> {
        Ok(None)
    }

    /// The nodes of trees, one a row: `tree`, `node`, `depth`, `feature`, `operator` (`<=` or `in`), `threshold`,
    /// `categories`, `missing_goes_yes`, `yes_node`, `no_node`, `leaf_values`, `rows`, `gain`. `None` for a model without
    /// trees. A partitioned model has `partition` before them, as for weights.
    fn trees(&self) -> Result<Option<RecordBatch>> {
        Ok(None)
    }

    /// For each feature of the signature whether any result depends on it. In place of the others any column of `rows`
    /// values may be given, of whatever type; nobody looks at it.
    fn used_features(&self) -> Vec<bool> {
        vec![true; self.signature().features.len()]
    }

    /// An evaluator that gives the very same results for rows whose features are within `ranges` (one for each feature of
    /// the signature) and may do less: leave out branches that no such row takes, and features that no longer matter
    /// (see [`Evaluator::used_features`]). `None` where nothing is to be gained. For other rows its results mean nothing.
    fn specialise(&self, ranges: &[FeatureRange]) -> Option<Arc<dyn Evaluator>> {
        let _ = ranges;
        None
    }
}

/// What is known of a feature's values in the rows to come.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureRange {
    /// The values that are possible where there is one.
    pub known: Known,
    /// Whether a value may be missing: NULL or NaN. The least and greatest value of a column, as statistics tell them, leave
    /// both out, so a column of floats may have NaN whatever they say; in SQL's order NaN is the greatest number.
    pub missing: bool,
}

/// The values that are possible.
#[derive(Debug, Clone, PartialEq)]
pub enum Known {
    /// All.
    Nothing,
    /// Numbers from the first to the second, both included, in the unit that models compute with: false is 0 and true is
    /// 1, dates are days, timestamps are microseconds since 1970. Not for text.
    Between(f64, f64),
    /// These texts, whether the model knows them or not.
    Texts(Vec<String>),
}

impl FeatureRange {
    /// Nothing is known.
    pub fn unknown() -> Self {
        FeatureRange { known: Known::Nothing, missing: true }
    }

    /// Always the same number.
    pub fn number(value: f64) -> Self {
        FeatureRange { known: Known::Between(value, value), missing: false }
    }

    /// Always missing.
    pub fn null() -> Self {
        FeatureRange { known: Known::Texts(Vec::new()), missing: true }
    }

    /// The values that are also numbers from `low` to `high`; none of them is missing, unless `not_numbers` may be among
    /// them.
    #[must_use]
    pub fn and_between(self, low: f64, high: f64, not_numbers: bool) -> Self {
        let missing = self.missing && not_numbers;
        let known = match self.known {
            Known::Nothing => Known::Between(low, high),
            Known::Between(least, greatest) => Known::Between(least.max(low), greatest.min(high)),
            texts @ Known::Texts(_) => texts,
        };
        FeatureRange { known, missing }
    }

    /// The values that are also one of the texts; none of them is missing.
    #[must_use]
    pub fn and_texts(self, texts: Vec<String>) -> Self {
        let texts = match self.known {
            Known::Texts(known) => known.into_iter().filter(|text| texts.contains(text)).collect(),
            Known::Nothing | Known::Between(..) => texts,
        };
        FeatureRange { known: Known::Texts(texts), missing: false }
    }
}

/// Reads an ONNX artifact and chooses an evaluator for it.
///
/// Fails with `Unsupported` and the operator's name where no evaluator knows an operator, with `Input` where the bytes
/// are not a model.
pub fn load(artifact: &[u8]) -> Result<Arc<dyn Evaluator>> {
    super::artifact::load(artifact)
}
