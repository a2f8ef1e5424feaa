//! A TRAIN statement, start to end: a run begins, rows are gathered, a model is learned, stored and made visible.
//!
//! Whoever plans the query hands in its rows; the algorithms are `limn-sql-udfs`'s; the registry remembers. A model
//! version becomes visible in the one transaction that also ends its run, after its artifact is stored, so nobody ever
//! sees half of one. It knows nothing of SQL or sessions.
//!
//! # Layout
//! - `record`: the rows that a training leaves in the registry
//! - `environment`: what a training runs on
//! - `reproduce`: a training done again
//! - `watch`: what a training may use and when it must stop

mod environment;
mod record;
mod reproduce;
mod watch;

use std::sync::Arc;
use std::time::Instant;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use chrono::Utc;
use datafusion::execution::memory_pool::MemoryReservation;
use futures::stream::BoxStream;
use limn_sql_udfs::model::partition::KeySet;
use limn_sql_udfs::train::{Refresh, Request, Trained, refresh, sha256_hex, train};
use tokio_util::sync::CancellationToken;

use crate::registry::{Registry, RunSource};
use crate::{Class, Error, Result};
pub use reproduce::{Again, RowCounts, environment_differences, outcome_differences, reproduce};
pub use watch::Progress;
use watch::TrainingWatch;

/// A table version that the training query reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The table's schema.
    pub schema: String,
    /// The table's name.
    pub table: String,
    /// The table's id.
    pub id: String,
    /// The version.
    pub version: u64,
}

/// Everything that a training needs.
pub struct Job {
    /// The model that gets a new version.
    pub model: String,
    /// The experiment's name; `None` for `Default`.
    pub experiment: Option<String>,
    /// The alias that the new version gets.
    pub alias: Option<String>,
    /// What to learn.
    pub request: Request,
    /// The statement's text.
    pub statement: String,
    /// The statement's id.
    pub query_id: String,
    /// Who trains.
    pub user_name: String,
    /// The bound parameters with their values and their types, as texts.
    pub bound: Vec<(String, String)>,
    /// The bound parameters exactly, as a run keeps them.
    pub parameters: Option<String>,
    /// What of its session the query depends on, as a JSON object.
    pub session: String,
    /// The table versions that the query reads.
    pub reads: Vec<Read>,
    /// The schema of the rows.
    pub schema: SchemaRef,
    /// The rows, in any order.
    pub batches: BoxStream<'static, Result<RecordBatch>>,
    /// What the training may take from the memory pool.
    pub memory: MemoryReservation,
    /// Told when the statement is cancelled.
    pub cancel: CancellationToken,
    /// When it must be done.
    pub deadline: Option<Instant>,
    /// Where it says how far it is.
    pub progress: Progress,
    /// The threads that it may compute on.
    pub threads: usize,
    /// The version that is refreshed, where one is.
    pub older: Option<Older>,
    /// What the run shall say beside what was asked for.
    pub notes: Vec<(String, String)>,
}

/// A version of a partitioned model, and the groups that changed since. The rows of the job are those groups'.
pub struct Older {
    /// The version's artifact.
    pub manifest: Vec<u8>,
    /// The artifact's parts by their hashes.
    pub parts: Vec<(String, Vec<u8>)>,
    /// The groups.
    pub changed: Arc<KeySet>,
}

/// The columns of the one row that a training answers.
pub fn result_schema() -> Schema {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let number = |name: &str| Field::new(name, DataType::Int64, true);
    Schema::new(vec![
        text("model"),
        number("version"),
        text("run_id"),
        text("algorithm"),
        number("partitions"),
        number("rows"),
        text("metrics"),
        text("artifact_sha256"),
        number("train_ms"),
    ])
}

/// Trains and registers one model version; the answer has [`result_schema`] and one row.
///
/// A run exists from before the first row is read; where the training fails or is stopped, the run says so and why, and
/// nothing else has changed.
pub async fn run(registry: &Registry, job: Job) -> Result<RecordBatch> {
    let started = Instant::now();
    let run = record::begin(registry, record::opening(&job, RunSource::Train)).await?;
    let Job { request, schema, batches, memory, cancel, deadline, progress, threads, older, .. } = job;
    let watch = Arc::new(TrainingWatch::new(memory, cancel, deadline, progress, threads));
    let learned = learn(request, schema, batches, older, Arc::clone(&watch)).await;
    let stored = match learned {
        Ok(trained) => match keep(registry, &trained).await {
            Ok(sha256) => record::finish(registry, &run, &trained, &sha256).await.map(|v| (v, trained, sha256)),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    match stored {
        Ok((version, trained, sha256)) => answer(&run, version, &trained, &sha256, started),
        Err(error) => {
            let error = watch.reason().unwrap_or(error);
            let killed = matches!(error.class(), Class::Cancelled | Class::DeadlineExceeded);
            if let Err(failure) = record::fail(registry, &run, killed, &error).await {
                tracing::error!(run_id = %run.row.run_id, %failure, "the end of run {} was not recorded", run.row.run_id);
            }
            Err(error)
        }
    }
}

/// Stores an artifact with its parts, which are durable before anything names them. Its hash.
async fn keep(registry: &Registry, trained: &Trained) -> Result<String> {
    for part in &trained.parts {
        registry.put_artifact(&part.sha256, &part.bytes).await?;
    }
    let sha256 = sha256_hex(&trained.artifact);
    registry.put_artifact(&sha256, &trained.artifact).await?;
    Ok(sha256)
}

/// Gathers the rows and learns from them, off the async threads.
async fn learn(
    request: Request,
    schema: SchemaRef,
    mut rows: BoxStream<'static, Result<RecordBatch>>,
    older: Option<Older>,
    watch: Arc<TrainingWatch>,
) -> Result<Trained> {
    let mut batches = Vec::new();
    while let Some(batch) = watch.next(&mut rows).await? {
        watch.take(batch.get_array_memory_size())?;
        batches.push(batch);
    }
    drop(rows);
    let work = tokio::task::spawn_blocking(move || match &older {
        None => train(&request, &schema, batches, watch.as_ref()),
        Some(Older { manifest, parts, changed }) => {
            refresh(&request, &schema, batches, &Refresh { manifest, parts, changed }, watch.as_ref())
        }
    });
    match work.await {
        Ok(trained) => Ok(trained?),
        Err(error) => Err(Error::internal(format!("the training failed: {error}"))),
    }
}

fn answer(run: &record::Begun, version: u64, trained: &Trained, sha256: &str, started: Instant) -> Result<RecordBatch> {
    let text = |value: &str| Arc::new(StringArray::from(vec![value]));
    let number = |value: u64| Arc::new(Int64Array::from(vec![i64::try_from(value).unwrap_or(i64::MAX)]));
    let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(RecordBatch::try_new(
        Arc::new(result_schema()),
        vec![
            text(&run.model),
            number(version),
            text(&run.row.run_id),
            text(trained.algorithm),
            number(trained.partitions.map_or(1, |partitions| partitions.fitted)),
            number(trained.rows_train),
            text(&record::metrics_json(&trained.metrics, |_| true)),
            text(sha256),
            number(elapsed_ms),
        ],
    )?)
}

/// Now, as the registry stores it.
fn now() -> chrono::DateTime<Utc> {
    Utc::now()
}
