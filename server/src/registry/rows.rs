//! The rows of the system tables as Rust types: what a writer hands in and what the index hands out.
//!
//! One struct a table, one field a column, in the table's order. They are written to the registry's log as they are
//! (serde), so a field's name is part of the log's format. Nothing here knows sequence numbers, storage or Arrow.

use chrono::{DateTime, Utc};
use limn_sql_udfs::model::signature::Signature;
use serde::{Deserialize, Serialize};

use super::micros;
use crate::{Error, Result};

/// A row of `system.experiments`; key `experiment_id`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Experiment {
    /// Decimal text; `0` is `Default`.
    pub experiment_id: String,
    /// Free text, no two alike.
    pub name: String,
    /// `active`.
    pub lifecycle_stage: String,
    /// When it was created.
    #[serde(with = "micros")]
    pub created_at: DateTime<Utc>,
}

/// A row of `system.runs`; key `run_id`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// 32 hex digits.
    pub run_id: String,
    /// The experiment that it belongs to.
    pub experiment_id: String,
    /// Free text.
    pub name: String,
    /// Where it stands.
    pub status: RunStatus,
    /// Who opened it.
    pub source: RunSource,
    /// The principal.
    pub user_name: String,
    /// The statement's id.
    pub query_id: Option<String>,
    /// The statement's text.
    pub statement: Option<String>,
    /// The algorithm's name in SQL.
    pub algorithm: Option<String>,
    /// The seed that the training used.
    pub seed: Option<i64>,
    /// The build of Limn that ran it.
    pub engine_build: Option<String>,
    /// When it began.
    #[serde(with = "micros")]
    pub started_at: DateTime<Utc>,
    /// When it ended; `None` while it runs.
    #[serde(with = "micros::option")]
    pub ended_at: Option<DateTime<Utc>>,
    /// Why it failed.
    pub error: Option<String>,
    /// The level of the processor that it ran on, such as `x86-64-v3`.
    #[serde(default)]
    pub cpu_level: Option<String>,
    /// What of its session the statement depended on, as a JSON object.
    #[serde(default)]
    pub session: Option<String>,
    /// The bound parameters, exactly: one row of an Arrow stream in base64. `system.params` shows them as texts.
    #[serde(default)]
    pub parameters: Option<String>,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RunStatus {
    /// It has not ended.
    Running,
    /// It ended well.
    Finished,
    /// It ended with an error.
    Failed,
    /// It was stopped.
    Killed,
}

impl RunStatus {
    /// The text in `system.runs.status`.
    pub fn name(self) -> &'static str {
        match self {
            RunStatus::Running => "RUNNING",
            RunStatus::Finished => "FINISHED",
            RunStatus::Failed => "FAILED",
            RunStatus::Killed => "KILLED",
        }
    }

    /// The status of that name.
    pub(super) fn from_name(name: &str) -> Result<Self> {
        [RunStatus::Running, RunStatus::Finished, RunStatus::Failed, RunStatus::Killed]
            .into_iter()
            .find(|status| status.name() == name)
            .ok_or_else(|| Error::internal(format!("expected a run's status, found `{name}`")))
    }
}

/// Who opened a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RunSource {
    /// A TRAIN statement of this server; it cannot outlive the server.
    Train,
    /// A REPRODUCE statement, which trains and registers nothing.
    Reproduce,
    /// An outside client, which may come back to it after the server was away.
    Client,
}

impl RunSource {
    /// The text in `system.runs.source`.
    pub fn name(self) -> &'static str {
        match self {
            RunSource::Train => "TRAIN",
            RunSource::Reproduce => "REPRODUCE",
            RunSource::Client => "CLIENT",
        }
    }

    /// The source of that name.
    pub(super) fn from_name(name: &str) -> Result<Self> {
        [RunSource::Train, RunSource::Reproduce, RunSource::Client]
            .into_iter()
            .find(|source| source.name() == name)
            .ok_or_else(|| Error::internal(format!("expected a run's source, found `{name}`")))
    }
}

/// A row of `system.params`; key `(run_id, key)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Param {
    /// The run.
    pub run_id: String,
    /// The parameter's name.
    pub key: String,
    /// Its value, as text.
    pub value: String,
}

/// A row of `system.metrics`; every row is kept, its key is all of its columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// The run.
    pub run_id: String,
    /// The metric's name.
    pub key: String,
    /// Its value; may be NaN or infinite.
    #[serde(with = "super::exact_double")]
    pub value: f64,
    /// The step at which it was measured; may be negative.
    pub step: i64,
    /// When it was measured.
    #[serde(with = "micros")]
    pub timestamp: DateTime<Utc>,
}

/// A row of `system.inputs`: a table version that a run read; key `(run_id, table_id, version)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// The run.
    pub run_id: String,
    /// The table's schema when it was read.
    pub table_schema: String,
    /// The table's name when it was read.
    pub table_name: String,
    /// The table's id, which outlives renames.
    pub table_id: String,
    /// The version that was read.
    pub version: u64,
    /// What it was read for: `training`.
    pub context: String,
}

/// A row of `system.models`; key `name`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// The name, folded.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// When its first version was registered.
    #[serde(with = "micros")]
    pub created_at: DateTime<Utc>,
}

/// A row of `system.model_versions`; key `(name, version)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelVersion {
    /// The model.
    pub name: String,
    /// From 1, never given twice.
    pub version: u64,
    /// `m-` and 32 hex digits.
    pub model_id: String,
    /// The run that made it; `None` for an imported model.
    pub run_id: Option<String>,
    /// The algorithm's name in SQL.
    pub algorithm: String,
    /// The task's name: `regression`, `classification`, …
    pub task: String,
    /// The target column; `None` where the task has none.
    pub target: Option<String>,
    /// The signature, as JSON; [`ModelVersion::signature`] reads it.
    pub signature: String,
    /// The hash of the artifact, 64 lower-case hex digits.
    pub artifact_sha256: String,
    /// The artifact's length in bytes.
    pub artifact_bytes: u64,
    /// Rows that it was trained on.
    pub rows: u64,
    /// Held-out metrics, as a JSON object.
    pub metrics: String,
    /// When it was registered.
    #[serde(with = "micros")]
    pub created_at: DateTime<Utc>,
}

impl ModelVersion {
    /// What the model takes and gives.
    pub fn signature(&self) -> Result<Signature> {
        serde_json::from_str(&self.signature).map_err(|error| {
            Error::internal(format!("the signature of model `{}/{}` cannot be read: {error}", self.name, self.version))
        })
    }
}

/// A row of `system.model_aliases`; key `(name, alias)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelAlias {
    /// The model.
    pub name: String,
    /// The alias.
    pub alias: String,
    /// The version that it points to.
    pub version: u64,
}

/// A row of `system.lineage`: a table version that a model came from, or one that it wrote. Rows stay when the model
/// goes; key `(query_id, kind, role, model, model_version, table_id, table_version)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lineage {
    /// The statement's id.
    pub query_id: String,
    /// The principal.
    pub user_name: String,
    /// What the statement did with the model.
    pub kind: LineageKind,
    /// The model.
    pub model: String,
    /// Its version.
    pub model_version: u64,
    /// The hash of the version's artifact.
    pub artifact_sha256: String,
    /// Which end of it the table is.
    pub role: LineageRole,
    /// The table's schema at that time.
    pub table_schema: String,
    /// The table's name at that time.
    pub table_name: String,
    /// The table's id.
    pub table_id: String,
    /// The version that was read, or that was written.
    pub table_version: u64,
    /// When the statement had its effect.
    #[serde(with = "micros")]
    pub created_at: DateTime<Utc>,
}

/// What a statement did with a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LineageKind {
    /// It made the version.
    Train,
    /// It wrote rows that the model took part in.
    Predict,
}

impl LineageKind {
    /// The text in `system.lineage.kind`.
    pub fn name(self) -> &'static str {
        match self {
            LineageKind::Train => "train",
            LineageKind::Predict => "predict",
        }
    }

    /// The kind of that name.
    pub(super) fn from_name(name: &str) -> Result<Self> {
        [LineageKind::Train, LineageKind::Predict]
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| Error::internal(format!("expected a kind of lineage, found `{name}`")))
    }
}

/// Which end of a lineage a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LineageRole {
    /// It was read.
    Source,
    /// It was written.
    Target,
}

impl LineageRole {
    /// The text in `system.lineage.role`.
    pub fn name(self) -> &'static str {
        match self {
            LineageRole::Source => "source",
            LineageRole::Target => "target",
        }
    }

    /// The role of that name.
    pub(super) fn from_name(name: &str) -> Result<Self> {
        [LineageRole::Source, LineageRole::Target]
            .into_iter()
            .find(|role| role.name() == name)
            .ok_or_else(|| Error::internal(format!("expected a role in a lineage, found `{name}`")))
    }
}

/// One change that a transaction asks for: a new version of a row, or the end of one.
#[derive(Debug, Clone, PartialEq)]
pub enum Row {
    /// Adds or changes an experiment.
    Experiment(Experiment),
    /// Adds or changes a run.
    Run(Run),
    /// Adds or changes a parameter.
    Param(Param),
    /// Adds a measurement.
    Metric(Metric),
    /// Adds an input.
    Input(Input),
    /// Adds or changes a model.
    Model(Model),
    /// Adds or changes a model version.
    ModelVersion(ModelVersion),
    /// Sets an alias, or moves it.
    ModelAlias(ModelAlias),
    /// Adds a lineage.
    Lineage(Lineage),
    /// Takes an alias away.
    UnsetAlias {
        /// The model.
        name: String,
        /// The alias.
        alias: String,
    },
    /// Takes a model version away; [`super::Index::drop_model_version`] gives the rows that go with it.
    DropModelVersion {
        /// The model.
        name: String,
        /// The version.
        version: u64,
    },
    /// Takes a model away; [`super::Index::drop_model`] gives the rows that go with it.
    DropModel {
        /// The model.
        name: String,
    },
}
