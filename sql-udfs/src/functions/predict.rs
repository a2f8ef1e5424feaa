//! `PREDICT` and `PREDICT_PROBA`: a model, resolved to (name, version, hash), as a scalar function over its features.
//!
//! One function value is bound to one model version, so that a plan says which version it scores. It knows nothing of
//! registries: whoever plans the query resolves the reference first.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, TimeUnit};
use datafusion_common::{Result as PlanResult, ScalarValue};
use datafusion_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature as CallSignature, Volatility,
};

use crate::model::evaluator::Evaluator;
use crate::model::signature::{Feature, Task, ValueType};
use crate::{Error, Result};

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

impl Output {
    fn sql_name(self) -> &'static str {
        match self {
            Output::Value => "predict",
            Output::Probabilities => "predict_proba",
        }
    }
}

/// The function `registered_name` whose arguments are the model's features in order.
///
/// With no arguments it plans (so that the caller can put the features in by name, see [`model_of`]) but does not run.
/// Its column name is `predict('reference', …)` whatever name it is registered under. Wrong argument counts and types
/// fail at planning with errors that name the model, the feature and both types.
///
/// A NULL feature is a missing value: linear models take the feature's mean in training for it, trees the branch that
/// they learned. The result is never NULL.
pub fn function(registered_name: &str, reference: &str, output: Output, model: Arc<BoundModel>) -> ScalarUDF {
    ScalarUDF::new_from_impl(Predict {
        registered_name: registered_name.to_owned(),
        reference: reference.to_owned(),
        output,
        model,
        signature: CallSignature::user_defined(Volatility::Immutable),
    })
}

/// The bound model, where `udf` is one of [`function`]'s.
pub fn model_of(udf: &ScalarUDF) -> Option<&Arc<BoundModel>> {
    udf.inner().downcast_ref::<Predict>().map(|predict| &predict.model)
}

/// The same function with another evaluator, which gives the same for the rows that it will see.
///
/// Gives `udf` itself where it is none of [`function`]'s.
pub fn with_evaluator(udf: &ScalarUDF, evaluator: Arc<dyn Evaluator>) -> ScalarUDF {
    match udf.inner().downcast_ref::<Predict>() {
        None => udf.clone(),
        Some(predict) => ScalarUDF::new_from_impl(Predict {
            registered_name: predict.registered_name.clone(),
            reference: predict.reference.clone(),
            output: predict.output,
            model: Arc::new(BoundModel { evaluator, ..BoundModel::clone(&predict.model) }),
            signature: predict.signature.clone(),
        }),
    }
}

/// The text that named the model in the statement, where `udf` is one of [`function`]'s.
pub fn reference_of(udf: &ScalarUDF) -> Option<&str> {
    udf.inner().downcast_ref::<Predict>().map(|predict| predict.reference.as_str())
}

#[derive(Debug)]
struct Predict {
    registered_name: String,
    reference: String,
    output: Output,
    model: Arc<BoundModel>,
    signature: CallSignature,
}

impl Predict {
    /// What makes two calls the same computation with the same column name.
    fn identity(&self) -> (&str, &str, &str, u64, &str, Output) {
        let model = &self.model;
        (&self.registered_name, &self.reference, &model.name, model.version, &model.sha256, self.output)
    }

    fn features(&self) -> &[Feature] {
        &self.model.evaluator.signature().features
    }

    fn display_name(&self) -> String {
        format!("`{}` version {}", self.model.name, self.model.version)
    }

    fn coerce(&self, found: &[DataType]) -> Result<Vec<DataType>> {
        // Without arguments the call is a placeholder, which the caller fills in by name.
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let features = self.features();
        if found.len() != features.len() {
            let list: Vec<String> =
                features.iter().map(|f| format!("`{}` {}", f.name, f.value_type.sql_name())).collect();
            return Err(Error::input(format!(
                "model {} takes {} features, found {}: expected {}",
                self.display_name(),
                features.len(),
                found.len(),
                list.join(", ")
            ))
            .with_hint(format!("{}('{}') takes them by name", self.output.sql_name(), self.reference)));
        }
        features.iter().zip(found).map(|(feature, found)| self.coerce_one(feature, found)).collect()
    }

    fn coerce_one(&self, feature: &Feature, found: &DataType) -> Result<DataType> {
        accepted(feature.value_type, found).ok_or_else(|| {
            let (expected, found) = (feature.value_type.sql_name(), sql_name(found));
            Error::input(format!(
                "feature `{}` of model {}: expected {expected}, found {found}",
                feature.name,
                self.display_name()
            ))
            .with_hint(format!("cast it: CAST(… AS {expected})"))
        })
    }

    /// The error of `PREDICT_PROBA` for a model that gives no probabilities.
    fn no_probabilities(&self) -> Error {
        let kind = match self.model.evaluator.signature().task {
            Task::Regression => "a regressor",
            Task::Reduction => "a reduction",
            Task::Classification => "a classifier that only chooses",
            Task::Clustering => "a clustering that only chooses",
            Task::Anomaly => "a detector without a score",
        };
        let expected = "predict_proba expects a classifier, a clustering or an anomaly detector with probabilities";
        Error::input(format!("model {} is {kind}: {expected}", self.display_name()))
            .with_hint(format!("predict('{}', …) gives what it predicts", self.reference))
    }

    fn run(&self, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        if args.args.len() != self.features().len() {
            return Err(Error::internal(format!(
                "model {} takes {} features, but the plan gives {}",
                self.display_name(),
                self.features().len(),
                args.args.len()
            )));
        }
        let constant = args.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let internal = |error: datafusion_common::DataFusionError| Error::internal(error.to_string());
        let columns = args.args.iter().map(|value| value.to_array(rows).map_err(internal));
        let columns: Vec<ArrayRef> = columns.collect::<Result<_>>()?;
        let evaluator = &self.model.evaluator;
        let result = match self.output {
            Output::Value => evaluator.predict(&columns, rows)?,
            Output::Probabilities => evaluator.predict_proba(&columns, rows)?,
        };
        match constant {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0).map_err(internal)?)),
            false => Ok(ColumnarValue::Array(result)),
        }
    }
}

impl PartialEq for Predict {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Predict {}

impl Hash for Predict {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl ScalarUDFImpl for Predict {
    fn name(&self) -> &str {
        &self.registered_name
    }

    fn schema_name(&self, args: &[Expr]) -> PlanResult<String> {
        let reference = self.reference.replace('\'', "''");
        let features: String = args.iter().map(|arg| format!(", {}", arg.schema_name())).collect();
        Ok(format!("{}('{reference}'{features})", self.output.sql_name()))
    }

    fn signature(&self) -> &CallSignature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> PlanResult<DataType> {
        self.coerce(arg_types)?;
        let signature = self.model.evaluator.signature();
        let has_probabilities = match signature.task {
            Task::Regression | Task::Reduction => false,
            Task::Classification | Task::Clustering | Task::Anomaly => self.model.evaluator.has_probabilities(),
        };
        match self.output {
            Output::Value => Ok(signature.prediction_type()),
            Output::Probabilities if has_probabilities => Ok(signature.probability_type()),
            Output::Probabilities => Err(self.no_probabilities().into()),
        }
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> PlanResult<Vec<DataType>> {
        // An error here would become part of a longer text; `return_type`, which is asked next, gives it whole.
        Ok(self.coerce(arg_types).unwrap_or_else(|_| arg_types.to_vec()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        Ok(self.run(&args)?)
    }
}

/// The type in which an argument reaches the evaluator, or `None` where it is none of the feature's kind.
///
/// Any number goes for a number: models compute in 64-bit floats, so nothing is cut off. Text, booleans, numbers and
/// times do not stand in for each other; a date stands for its midnight, but a timestamp for no date.
fn accepted(expected: ValueType, found: &DataType) -> Option<DataType> {
    use ValueType::{BigInt, Boolean, Date, Double, Text, Timestamp};
    if found == &DataType::Null {
        return Some(expected.arrow());
    }
    match (expected, ValueType::of(found)?) {
        // A fraction stays one, and what is too large for BIGINT stays a number.
        (BigInt, BigInt) if found == &DataType::UInt64 => Some(DataType::Float64),
        (BigInt, Double) => Some(DataType::Float64),
        (Double, Double | BigInt) | (BigInt, BigInt) | (Boolean, Boolean) | (Text, Text) => Some(expected.arrow()),
        (Date, Date) => Some(DataType::Date32),
        (Timestamp, Timestamp | Date) => Some(DataType::Timestamp(TimeUnit::Microsecond, None)),
        _ => None,
    }
}

fn sql_name(data_type: &DataType) -> String {
    ValueType::of(data_type).map_or_else(|| data_type.to_string(), |known| known.sql_name().to_owned())
}

#[cfg(test)]
mod tests;
