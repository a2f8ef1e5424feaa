//! The rows that a training leaves in the registry: a run that begins, and how it ends.
//!
//! Each function is one transaction. It learns nothing and reads no rows of data.

use limn_sql_udfs::train::{Metric as Measured, Split, Trained, Value};

use super::environment::{ENGINE_BUILD, cpu_level};
use super::{Job, now};
use crate::registry::{
    Experiment, Index, Input, Lineage, LineageKind, LineageRole, Metric, Model, ModelAlias, ModelVersion, Param,
    Registry, Row, Run, RunSource, RunStatus, Training,
};
use crate::{Error, Result};

/// The experiment of trainings that name none.
const DEFAULT_EXPERIMENT: &str = "Default";

/// A run that has begun.
pub(super) struct Begun {
    /// The run's row as it was written.
    pub row: Run,
    /// The model that it trains.
    pub model: String,
    /// The alias that the version gets.
    alias: Option<String>,
    /// Says to servers that share the registry that this one trains it.
    #[expect(dead_code, reason = "held for its drop")]
    claim: Option<Training>,
}

/// The rows of a run that is about to begin. Apart from [`begin`], because a job's rows cannot be shared by threads.
pub(super) struct Opening {
    experiment: String,
    row: Run,
    rows: Vec<Row>,
    model: String,
    alias: Option<String>,
}

impl Opening {
    /// Adds something that was asked for.
    pub(super) fn says(&mut self, key: &str, value: String) {
        self.rows.push(param(&self.row.run_id, key.into(), value));
    }
}

/// What a job writes down first: `RUNNING`, what was asked for, and every table version that will be read.
pub(super) fn opening(job: &Job, source: RunSource) -> Opening {
    let run_id = uuid::Uuid::new_v4().simple().to_string();
    let experiment = job.experiment.clone().unwrap_or_else(|| DEFAULT_EXPERIMENT.into());
    let row = Run {
        run_id: run_id.clone(),
        experiment_id: String::new(),
        name: job.model.clone(),
        status: RunStatus::Running,
        source,
        user_name: job.user_name.clone(),
        query_id: Some(job.query_id.clone()),
        statement: Some(job.statement.clone()),
        algorithm: job.request.algorithm.clone(),
        seed: i64::try_from(job.request.seed).ok(),
        engine_build: Some(ENGINE_BUILD.into()),
        started_at: now(),
        ended_at: None,
        error: None,
        cpu_level: Some(cpu_level().into()),
        session: Some(job.session.clone()),
        parameters: job.parameters.clone(),
    };
    let mut rows: Vec<Row> = asked(job).into_iter().map(|(key, value)| param(&run_id, key, value)).collect();
    rows.extend(job.reads.iter().map(|read| {
        Row::Input(Input {
            run_id: run_id.clone(),
            table_schema: read.schema.clone(),
            table_name: read.table.clone(),
            table_id: read.id.clone(),
            version: read.version,
            context: "training".into(),
        })
    }));
    Opening { experiment, row, rows, model: job.model.clone(), alias: job.alias.clone() }
}

/// Opens the run.
pub(super) async fn begin(registry: &Registry, opening: Opening) -> Result<Begun> {
    let Opening { experiment, row, rows, model, alias } = opening;
    let claim = registry.training(&row.run_id);
    let row = registry
        .transact(move |index| {
            let (experiment_id, new) = experiment_of(index, &experiment);
            let row = Run { experiment_id, ..row.clone() };
            let all = rows.iter().cloned().chain(new).chain([Row::Run(row.clone())]);
            Ok((all.collect(), row))
        })
        .await?;
    Ok(Begun { row, model, alias, claim })
}

/// The experiment's id, and its row where it is new.
fn experiment_of(index: &Index, name: &str) -> (String, Option<Row>) {
    if let Some(known) = index.experiment_by_name(name) {
        return (known.experiment_id.clone(), None);
    }
    let experiment = Experiment {
        experiment_id: index.next_experiment_id(),
        name: name.into(),
        lifecycle_stage: "active".into(),
        created_at: now(),
    };
    (experiment.experiment_id.clone(), Some(Row::Experiment(experiment)))
}

/// What the statement asked for beyond the algorithm's parameters.
fn asked(job: &Job) -> Vec<(String, String)> {
    let mut asked = vec![("split".to_string(), split_text(&job.request.split))];
    asked.extend(job.request.target.iter().map(|target| ("target".to_string(), target.clone())));
    if let Some(partition) = &job.request.partition {
        let columns = serde_json::json!(partition.columns).to_string();
        asked.push(("partition_by".to_string(), columns));
        asked.push(("min_rows".to_string(), partition.min_rows.to_string()));
        asked.push(("fallback".to_string(), partition.fallback.to_string()));
    }
    asked.extend(job.notes.iter().cloned());
    asked.extend(job.bound.iter().cloned());
    asked
}

fn split_text(split: &Split) -> String {
    match split {
        Split::Random(share) => format!("random {share:?}"),
        Split::Time { column, held_out } => format!("by time {column} {held_out:?}"),
        Split::Column(column) => format!("on {column}"),
        Split::None => "none".into(),
    }
}

fn param(run_id: &str, key: String, value: String) -> Row {
    Row::Param(Param { run_id: run_id.into(), key, value })
}

/// How a run ends well: what was used and what was measured.
fn ended(begun: &Begun, trained: &Trained) -> Vec<Row> {
    let run_id = begun.row.run_id.clone();
    let measured_at = now();
    let mut rows: Vec<Row> =
        trained.parameters.iter().map(|(key, value)| param(&run_id, key.clone(), Value::to_string(value))).collect();
    for (key, count) in [("rows_held_out", trained.rows_held_out), ("rows_dropped", trained.rows_dropped)] {
        rows.push(param(&run_id, key.into(), count.to_string()));
    }
    rows.extend(trained.metrics.iter().map(|metric| {
        Row::Metric(Metric {
            run_id: run_id.clone(),
            key: metric.name.clone(),
            value: metric.value,
            step: metric.step,
            timestamp: measured_at,
        })
    }));
    rows.push(Row::Run(Run {
        status: RunStatus::Finished,
        algorithm: Some(trained.algorithm.into()),
        ended_at: Some(measured_at),
        ..begun.row.clone()
    }));
    rows
}

/// Ends a run that registers nothing.
pub(super) async fn conclude(registry: &Registry, begun: &Begun, trained: &Trained, sha256: &str) -> Result<()> {
    let mut rows = ended(begun, trained);
    rows.push(param(&begun.row.run_id, "artifact_sha256".into(), sha256.into()));
    registry.transact(move |_| Ok((rows.clone(), ()))).await
}

/// Makes the model version visible and ends its run, at once. The version's number.
pub(super) async fn finish(registry: &Registry, begun: &Begun, trained: &Trained, sha256: &str) -> Result<u64> {
    let ended = ended(begun, trained);
    let version = version_row(begun, trained, sha256)?;
    registry
        .transact(|index| {
            still_running(index, begun)?;
            let mut rows = ended.clone();
            let version = ModelVersion { version: index.next_version(&version.name), ..version.clone() };
            if index.model(&version.name).is_none() {
                rows.push(Row::Model(Model {
                    name: version.name.clone(),
                    description: None,
                    created_at: version.created_at,
                }));
            }
            let (name, number) = (version.name.clone(), version.version);
            rows.extend(learned_from(index, &begun.row, &version));
            rows.push(Row::ModelVersion(version));
            let alias = begun.alias.clone();
            rows.extend(alias.map(|alias| Row::ModelAlias(ModelAlias { name, alias, version: number })));
            Ok((rows, number))
        })
        .await
}

/// Fails where another server has taken this one for dead and ended the run.
fn still_running(index: &Index, begun: &Begun) -> Result<()> {
    match index.run(&begun.row.run_id).map(|run| run.status) {
        Some(RunStatus::Running) => Ok(()),
        _ => Err(Error::unavailable(format!("run {} was ended by another server", begun.row.run_id))
            .with_hint("this server gave no sign of life for too long; train again")),
    }
}

/// The tables that a new version comes from.
fn learned_from(index: &Index, run: &Run, version: &ModelVersion) -> Vec<Row> {
    let inputs = index.inputs(&run.run_id);
    inputs
        .map(|input| {
            Row::Lineage(Lineage {
                query_id: run.query_id.clone().unwrap_or_default(),
                user_name: run.user_name.clone(),
                kind: LineageKind::Train,
                model: version.name.clone(),
                model_version: version.version,
                artifact_sha256: version.artifact_sha256.clone(),
                role: LineageRole::Source,
                table_schema: input.table_schema.clone(),
                table_name: input.table_name.clone(),
                table_id: input.table_id.clone(),
                table_version: input.version,
                created_at: version.created_at,
            })
        })
        .collect()
}

fn version_row(begun: &Begun, trained: &Trained, sha256: &str) -> Result<ModelVersion> {
    let signature = serde_json::to_string(&trained.signature)
        .map_err(|error| Error::internal(format!("a signature cannot be written: {error}")))?;
    let held_out = trained.metrics.iter().any(|metric| !metric.name.starts_with("train_"));
    Ok(ModelVersion {
        name: begun.model.clone(),
        version: 0,
        model_id: format!("m-{}", uuid::Uuid::new_v4().simple()),
        run_id: Some(begun.row.run_id.clone()),
        algorithm: trained.algorithm.into(),
        task: trained.signature.task.name().into(),
        target: trained.signature.target.as_ref().map(|target| target.name.clone()),
        signature,
        artifact_sha256: sha256.into(),
        artifact_bytes: (trained.artifact.len() + trained.parts.iter().map(|part| part.bytes.len()).sum::<usize>())
            as u64,
        rows: trained.rows_train,
        metrics: metrics_json(&trained.metrics, |name| !held_out || !name.starts_with("train_")),
        created_at: now(),
    })
}

/// Final metrics as a JSON object, by name.
pub(super) fn metrics_json(metrics: &[Measured], wanted: impl Fn(&str) -> bool) -> String {
    let object: serde_json::Map<String, serde_json::Value> = metrics
        .iter()
        .filter(|metric| metric.step == 0 && wanted(&metric.name))
        .map(|metric| (metric.name.clone(), serde_json::json!(metric.value)))
        .collect();
    serde_json::Value::Object(object).to_string()
}

/// Ends the run as `FAILED`, or `KILLED` where it was stopped, with the reason.
pub(super) async fn fail(registry: &Registry, begun: &Begun, killed: bool, error: &Error) -> Result<()> {
    let row = Run {
        status: if killed { RunStatus::Killed } else { RunStatus::Failed },
        ended_at: Some(now()),
        error: Some(error.message().to_string()),
        ..begun.row.clone()
    };
    registry.transact(move |_| Ok((vec![Row::Run(row.clone())], ()))).await
}
