//! Learning: from Arrow batches to an artifact with its metrics, the same bytes for the same rows, parameters and seed.
//!
//! [`train`] is the whole of it: it finds the algorithm, puts the rows into canonical order, splits, fits, measures on
//! the held-out rows and writes the artifact. It knows nothing of tables, runs or versions.
//!
//! # Layout
//! - `plan`: a request against a schema, checked; [`parameter`]: what parameters may be
//! - `rows`: batches into matrices, by way of `canonical` (order), `split`, `places`, `target`, `weights`, `categories`
//! - `partition`: one model for each group of rows
//! - `random`: numbers by counter; `workers`: work in parallel whose results do not depend on the threads
//! - `algorithm`: the trait and the table; then a file for each algorithm
//! - `tree`: the engine that trees grow on; `forest` with `sample` and `out_of_bag`, and `boosting`: what its algorithms
//!   share; `tree_parameters`: the parameters that they share
//! - `points`: rows as points for the algorithms that measure distances; `eigen`: eigenvectors of a thousand columns
//! - `spread`, `standardize`, `products`, `dense`, `rank`: what the linear algorithms compute with; on it stand
//!   `least_squares`, and `sums` with `minimise`
//! - `metrics`: how well a model predicts; `unwinding`: panics as errors

pub(crate) mod algorithm;
mod boosting;
mod canonical;
mod categories;
mod dbscan;
mod decision_tree;
mod dense;
mod eigen;
mod elastic_net;
mod forest;
mod gaussian_mixture;
mod gaussian_nb;
mod gradient_boosting;
mod isolation_forest;
mod kmeans;
mod least_squares;
mod linear_regression;
mod logistic_regression;
mod metrics;
mod minimise;
mod out_of_bag;
pub mod parameter;
mod partition;
mod pca;
mod places;
mod plan;
mod points;
mod products;
mod random;
mod random_forest;
mod rank;
pub(crate) mod rows;
mod sample;
mod split;
mod spread;
mod standardize;
mod sums;
mod svm;
pub(crate) mod target;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tree;
mod tree_parameters;
mod tweedie;
mod unwinding;
mod weights;
mod workers;

use std::fmt;

use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;

use self::algorithm::{Algorithm, Context};
use self::plan::Plan;
use self::rows::Matrices;
use self::workers::Workers;
use crate::model::artifact;
use crate::model::partition::{KeySet, PartitionedModel, Parts};
use crate::model::signature::{ClassLabel, Feature, Missing, Signature, ValueType};
use crate::{Error, Result};

/// A literal of the `USING algorithm (parameter = literal)` list, or the resolved value of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `TRUE`, `FALSE`.
    Boolean(bool),
    /// An integer.
    Integer(i64),
    /// A number with a point or an exponent.
    Double(f64),
    /// `'text'`.
    Text(String),
    /// `NULL`: the parameter is unset (no limit, where it is a limit).
    Null,
}

impl fmt::Display for Value {
    /// As `system.params` shows it: integers and booleans plainly, doubles in the shortest form that reads back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Boolean(v) => write!(f, "{v}"),
            Value::Integer(v) => write!(f, "{v}"),
            Value::Double(v) => write!(f, "{v:?}"),
            Value::Text(v) => f.write_str(v),
            Value::Null => f.write_str("null"),
        }
    }
}

/// Which rows are held out from training and measured on.
#[derive(Debug, Clone, PartialEq)]
pub enum Split {
    /// `SPLIT RANDOM f`: each row with probability `f` (0 ≤ f < 1), by the seed and its place in the canonical order.
    Random(f64),
    /// `SPLIT BY TIME column f`: the last share `f` of the rows by time; rows of one instant stay together.
    Time {
        /// The time column, which is not a feature.
        column: String,
        /// The share that is held out.
        held_out: f64,
    },
    /// `SPLIT ON column`: rows where the boolean column is TRUE; the column is not a feature.
    Column(String),
    /// `SPLIT NONE`: nothing is held out.
    None,
}

/// What to train.
#[derive(Debug, Clone)]
pub struct Request {
    /// The algorithm's name, or `None` to choose from the target's type.
    pub algorithm: Option<String>,
    /// The parameters as given.
    pub parameters: Vec<(String, Value)>,
    /// The target column.
    pub target: Option<String>,
    /// The split.
    pub split: Split,
    /// The seed of every random number.
    pub seed: u64,
    /// One model for each group, where there are groups.
    pub partition: Option<Partition>,
}

/// One model for each group of rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Partition {
    /// The columns whose values say which group a row is of. They are no features.
    pub columns: Vec<String>,
    /// The rows that a group needs for a model of its own.
    pub min_rows: u64,
    /// Whether a model over all groups answers for groups without one; otherwise they are an error in `PREDICT`.
    pub fallback: bool,
}

/// What the caller lets a training see and use.
pub trait Watch: Send + Sync {
    /// Whether to stop; asked at least every few thousand rows or every iteration.
    fn cancelled(&self) -> bool;
    /// Told how far the training is, from 0 to 1.
    fn progress(&self, done: f64);
    /// Asked before memory is taken; an `Exhausted` error where the pool has not that much.
    fn reserve(&self, bytes: usize) -> Result<()>;
    /// The threads that a training may compute on; what it computes does not depend on them.
    fn threads(&self) -> usize {
        1
    }
}

/// One measured number.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// The metric's name, such as `rmse` (held-out) or `train_rmse`.
    pub name: String,
    /// Its value; never NaN.
    pub value: f64,
    /// The iteration, 0 for a final measurement.
    pub step: i64,
}

/// A trained model.
#[derive(Debug, Clone)]
pub struct Trained {
    /// The algorithm that was used.
    pub algorithm: &'static str,
    /// Every parameter with the value that was used, defaults included, in the algorithm's order.
    pub parameters: Vec<(String, Value)>,
    /// What the model takes and gives.
    pub signature: Signature,
    /// The ONNX bytes.
    pub artifact: Vec<u8>,
    /// Rows that the model was fitted on.
    pub rows_train: u64,
    /// Rows that were held out.
    pub rows_held_out: u64,
    /// Rows left out because their target (or the split's column) is NULL.
    pub rows_dropped: u64,
    /// What the artifact consists of beside its manifest, for a partitioned model.
    pub parts: Vec<Part>,
    /// The groups of a partitioned model.
    pub partitions: Option<Partitions>,
    /// Held-out metrics (`rmse`, `mae`, `r2`; `accuracy`, `log_loss`, `roc_auc`, …), then `train_…` ones.
    pub metrics: Vec<Metric>,
}

/// A file of a partitioned model's artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The SHA-256 of its bytes, by which the manifest calls it.
    pub sha256: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// How many groups a partitioned model has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partitions {
    /// All of them.
    pub groups: u64,
    /// Those without a model of their own.
    pub fallback: u64,
    /// Those that were fitted now, and not carried over from another version.
    pub fitted: u64,
}

/// An algorithm as documentation shows it.
#[derive(Debug, Clone, Copy)]
pub struct AlgorithmDoc {
    /// The name that `USING` takes.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub doc: &'static str,
    /// Its parameters.
    pub parameters: &'static [parameter::Specification],
}

/// Every algorithm that there is.
///
/// Without `USING`, a target of type `DOUBLE` or `BIGINT` is learned by `linear_regression`, one of type `BOOLEAN` or
/// `TEXT` by `logistic_regression`.
pub fn algorithms() -> impl Iterator<Item = AlgorithmDoc> {
    let doc = |a: &&dyn Algorithm| AlgorithmDoc { name: a.name(), doc: a.doc(), parameters: a.parameters() };
    algorithm::ALGORITHMS.iter().map(doc)
}

/// Checks everything that can be checked before the query runs: algorithm, parameters, target, split, feature types.
///
/// `schema` is the training query's. Fails with `NotFound` for unknown names, with `Input` for wrong types and values.
pub fn check(request: &Request, schema: &Schema) -> Result<()> {
    Plan::new(request, schema).map(|_| ())
}

/// Trains on all rows of `batches`, in whatever order and size they come: same rows, same bytes.
///
/// NULL and NaN in a feature are missing values, which the model learns to live with; a row with NULL for a target is left
/// out. Fails with `Input` where the rows cannot be learned from, `Cancelled` and `Exhausted` as `watch` says.
pub fn train(request: &Request, schema: &Schema, batches: Vec<RecordBatch>, watch: &dyn Watch) -> Result<Trained> {
    let plan = Plan::new(request, schema)?;
    check_batches(schema, &batches)?;
    match &request.partition {
        Some(groups) => partition::train(&plan, request, groups, batches, None, watch),
        None => train_one(&plan, request, batches, watch),
    }
}

/// Trains one model.
fn train_one(plan: &Plan, request: &Request, batches: Vec<RecordBatch>, watch: &dyn Watch) -> Result<Trained> {
    let workers = Workers::new(watch.threads())?;
    let Matrices { train, held_out, classes, features, columns, dropped } =
        rows::read(plan, request, batches, &workers, watch)?;
    let context = Context {
        workers: &workers,
        parameters: &plan.parameters,
        classes: classes.len(),
        seed: request.seed,
        columns: &columns,
        watch,
    };
    let fitted = unwinding::caught(|| plan.algorithm.fit(&train, &context))?;
    watch.progress(FITTED_SHARE);
    let signature = signature(plan, features, classes);
    let parameters = plan.parameters.clone().into_inner();
    let artifact = artifact::write(fitted.kernel.as_ref(), &signature, plan.algorithm.name(), &parameters)?;
    // What is measured is what was written: the artifact as any later reader sees it.
    let (_, kernel) = artifact::read(&artifact)?;
    let mut metrics = metrics::measure(kernel.as_ref(), &held_out, "", &context)?;
    metrics.extend(metrics::measure(kernel.as_ref(), &train, "train_", &context)?);
    metrics.extend(fitted.metrics);
    watch.progress(1.0);
    Ok(Trained {
        algorithm: plan.algorithm.name(),
        parameters,
        signature,
        artifact,
        parts: Vec::new(),
        partitions: None,
        rows_train: train.len() as u64,
        rows_held_out: held_out.len() as u64,
        rows_dropped: dropped as u64,
        metrics,
    })
}

/// Trains the groups that changed since a partitioned model was trained, and carries the others over.
///
/// `batches` are the rows that the groups in `changed` have now; those without rows vanish. Features keep their categories:
/// a text that is new is unknown to every group. The model over all groups stays as it is. Fails with `Input` where
/// `request` is not the one that the older version was trained by.
pub fn refresh(
    request: &Request,
    schema: &Schema,
    batches: Vec<RecordBatch>,
    older: &Refresh<'_>,
    watch: &dyn Watch,
) -> Result<Trained> {
    let plan = Plan::new(request, schema)?;
    check_batches(schema, &batches)?;
    let Some(groups) = &request.partition else {
        return Err(Error::input("expected a training with `PARTITION BY`, found one without"));
    };
    let model = PartitionedModel::load(older.manifest, older.parts)?;
    let older = partition::Older { model: &model, parts: older.parts, changed: older.changed };
    partition::train(&plan, request, groups, batches, Some(&older), watch)
}

/// The version that a refresh starts from.
#[derive(Debug, Clone, Copy)]
pub struct Refresh<'a> {
    /// Its artifact.
    pub manifest: &'a [u8],
    /// The artifact's parts.
    pub parts: &'a Parts,
    /// The groups whose rows may have changed.
    pub changed: &'a KeySet,
}

/// What a model of that plan takes and gives.
fn signature(plan: &Plan, features: Vec<Feature>, classes: Vec<ClassLabel>) -> Signature {
    Signature {
        task: plan.task,
        target: plan.target.as_ref().map(|target| target.feature.clone()),
        features,
        classes,
        missing: match plan.parameters.text("missing") {
            Some("error") => Missing::Error,
            _ => Missing::Learned,
        },
    }
}

/// How much of a training's progress is over once the model is fitted.
const FITTED_SHARE: f64 = 0.9;

fn check_batches(schema: &Schema, batches: &[RecordBatch]) -> Result<()> {
    let types = |schema: &Schema| schema.fields().iter().map(|f| ValueType::of(f.data_type())).collect::<Vec<_>>();
    let expected = types(schema);
    match batches.iter().map(|batch| types(batch.schema_ref())).find(|found| *found != expected) {
        Some(found) => Err(Error::internal(format!("expected batches of {expected:?}, found {found:?}"))),
        None => Ok(()),
    }
}

/// SHA-256 of an artifact as 64 lower-case hex digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}
