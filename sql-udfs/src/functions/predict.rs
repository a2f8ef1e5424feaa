//! `PREDICT` and `PREDICT_PROBA`: a model, resolved to (name, version, hash), as a scalar function over its features.
//!
//! One function value is bound to one model version, so that a plan says which version it scores. It knows nothing of
//! registries: whoever plans the query resolves the reference first.

use std::sync::Arc;

use datafusion_expr::ScalarUDF;

use crate::model::evaluator::Evaluator;

/// A model version that a plan scores.
#[derive(Debug, Clone)]
pub struct BoundModel {
    /// The model's name.
    pub name: String,
    /// Its version.
    pub version: u64,
    /// The SHA-256 of its artifact, as 64 lower-case hex digits.
    pub sha256: String,
    /// What scores it.
    pub evaluator: Arc<dyn Evaluator>,
}

/// Which function of the model is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Output {
    /// `PREDICT`.
    Value,
    /// `PREDICT_PROBA`.
    Probabilities,
}

/// The function `registered_name` whose arguments are the model's features in order.
///
/// With no arguments it plans (so that the caller can put the features in by name, see [`is_unbound`]) but does not run.
/// Its column name is `predict('reference', …)` whatever name it is registered under. Wrong argument counts and types
/// fail at planning with errors that name the model, the feature and both types.
pub fn function(registered_name: &str, reference: &str, output: Output, model: Arc<BoundModel>) -> ScalarUDF {
    let _ = (registered_name, reference, output, model);
    unimplemented!()
}

/// The bound model, where `udf` is one of [`function`]'s.
pub fn model_of(udf: &ScalarUDF) -> Option<&Arc<BoundModel>> {
    let _ = udf;
    unimplemented!()
}
