//! What a model takes and gives: its features with their SQL types, its target, its classes.
//!
//! A signature is part of the artifact (it is written into the ONNX metadata) and of `DESCRIBE MODEL`. It knows
//! nothing of weights or of how the model was trained.

use arrow::datatypes::{DataType, Field, TimeUnit};
use serde::{Deserialize, Serialize};

/// The type of a feature or a target, in the terms of the dialect's type table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueType {
    /// Any floating-point or decimal number; computed as a 64-bit float.
    Double,
    /// Any integer; a 64-bit integer at the model's edge.
    BigInt,
    /// `BOOLEAN`; false is 0 and true is 1 where a model computes with it.
    Boolean,
    /// `DATE`; days since 1970-01-01.
    Date,
    /// `TIMESTAMP` with or without time zone; microseconds since 1970-01-01T00:00:00.
    Timestamp,
    /// Text.
    Text,
}

impl ValueType {
    /// The type's name in SQL.
    pub fn sql_name(self) -> &'static str {
        match self {
            ValueType::Double => "DOUBLE",
            ValueType::BigInt => "BIGINT",
            ValueType::Boolean => "BOOLEAN",
            ValueType::Date => "DATE",
            ValueType::Timestamp => "TIMESTAMP",
            ValueType::Text => "TEXT",
        }
    }

    /// The model type of an Arrow type, or `None` where no model can take it.
    pub fn of(data_type: &DataType) -> Option<Self> {
        match data_type {
            DataType::Boolean => Some(ValueType::Boolean),
            DataType::Date32 | DataType::Date64 => Some(ValueType::Date),
            DataType::Timestamp(_, _) => Some(ValueType::Timestamp),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(ValueType::Text),
            DataType::Float16 | DataType::Float32 | DataType::Float64 => Some(ValueType::Double),
            DataType::Decimal32(_, _) | DataType::Decimal64(_, _) => Some(ValueType::Double),
            DataType::Decimal128(_, _) | DataType::Decimal256(_, _) => Some(ValueType::Double),
            DataType::Dictionary(_, values) => Self::of(values),
            integer if integer.is_integer() => Some(ValueType::BigInt),
            _ => None,
        }
    }

    /// The Arrow type in which values of this type reach an evaluator and leave `PREDICT`.
    pub fn arrow(self) -> DataType {
        match self {
            ValueType::Double => DataType::Float64,
            ValueType::BigInt => DataType::Int64,
            ValueType::Boolean => DataType::Boolean,
            ValueType::Date => DataType::Date32,
            ValueType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            ValueType::Text => DataType::Utf8,
        }
    }
}

/// One input column of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feature {
    /// The column's name in the training query.
    pub name: String,
    /// Its type.
    pub value_type: ValueType,
    /// The texts that a `TEXT` feature's model knows, and how it computes with them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub categories: Option<Categories>,
}

impl Feature {
    /// A feature without categories.
    pub fn new(name: impl Into<String>, value_type: ValueType) -> Self {
        Feature { name: name.into(), value_type, categories: None }
    }
}

/// The texts that a model knows of a feature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Categories {
    /// How the model computes with them.
    pub form: CategoryForm,
    /// The texts in ascending order of code points.
    pub values: Vec<String>,
    /// Other texts that the training rows had, which the model does not tell apart: there were too many.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub others: u64,
}

/// How a model computes with texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CategoryForm {
    /// One-hot: a column of 0 and 1 for each text; an unknown text is 0 in all of them, NULL their means in training.
    Indicators,
    /// One column with the text's place among [`Categories::values`], compared for membership; NULL and unknown texts
    /// are missing.
    Codes,
}

/// What a model does with NULL in a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// What its algorithm does: the feature's mean in training, or the branch that a tree learned for it.
    #[default]
    Learned,
    /// It is an error.
    Error,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_learned(missing: &Missing) -> bool {
    *missing == Missing::Learned
}

/// What a model predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// A number, as `DOUBLE`.
    Regression,
    /// One of two or more classes, in the target's type.
    Classification,
    /// The number of a cluster from 0, or -1 for a row of none.
    Clustering,
    /// -1 for an anomaly, 1 for any other row.
    Anomaly,
    /// Fewer numbers than features, as a list of `DOUBLE`.
    Reduction,
}

impl Task {
    /// The task's name, as `system.model_versions` has it.
    pub fn name(self) -> &'static str {
        match self {
            Task::Regression => "regression",
            Task::Classification => "classification",
            Task::Clustering => "clustering",
            Task::Anomaly => "anomaly",
            Task::Reduction => "reduction",
        }
    }
}

/// A class of a classifier. Classes are kept in ascending order (false before true, text by code point).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ClassLabel {
    /// A class of a `BOOLEAN` target.
    Boolean(bool),
    /// A class of a `BIGINT` target.
    BigInt(i64),
    /// A class of a `TEXT` target.
    Text(String),
}

/// What a model takes and gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Signature {
    /// What the model predicts.
    pub task: Task,
    /// The target column; `None` where the task has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Feature>,
    /// The features, in `DESCRIBE MODEL`'s order, which is the training query's.
    pub features: Vec<Feature>,
    /// A classifier's classes, in the order of `PREDICT_PROBA`; empty for a regressor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassLabel>,
    /// What the model does with NULL in a feature.
    #[serde(default, skip_serializing_if = "is_learned")]
    pub missing: Missing,
}

impl Signature {
    /// The Arrow type of `PREDICT`'s result: `DOUBLE` for a regressor, the target's type for a classifier, `BIGINT` for
    /// clusters and anomalies, a list of `DOUBLE` for a reduction.
    pub fn prediction_type(&self) -> DataType {
        match self.task {
            Task::Regression => DataType::Float64,
            Task::Classification => self.classes.first().map_or(DataType::Utf8, ClassLabel::arrow),
            Task::Clustering | Task::Anomaly => DataType::Int64,
            Task::Reduction => self.probability_type(),
        }
    }

    /// The Arrow type of `PREDICT_PROBA`'s result: a list of `DOUBLE`, one per class or cluster, or the anomaly score.
    pub fn probability_type(&self) -> DataType {
        DataType::List(std::sync::Arc::new(Field::new("item", DataType::Float64, true)))
    }
}

impl ClassLabel {
    /// The Arrow type of the label.
    pub fn arrow(&self) -> DataType {
        match self {
            ClassLabel::Boolean(_) => DataType::Boolean,
            ClassLabel::BigInt(_) => DataType::Int64,
            ClassLabel::Text(_) => DataType::Utf8,
        }
    }
}
