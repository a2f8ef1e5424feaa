//! Row versions: a row as it was from one transaction on, under the key that says which row it is.
//!
//! This is what the log, the index, the Delta tables and AS OF have in common. A transaction has one sequence number,
//! so that no AS OF ever shows half of one; within it each key occurs once.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::micros;
use super::rows::{Experiment, Input, Lineage, Metric, Model, ModelAlias, ModelVersion, Param, Run};
use super::tables::SystemTable;

/// When a transaction happened: its place in the order of all, and the time that was recorded for it.
///
/// Both grow strictly together, so that ordering by one is ordering by the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The transaction's sequence number, from 1; 0 is the empty registry.
    pub seq: u64,
    /// The recorded time, in whole microseconds.
    pub recorded_at: DateTime<Utc>,
}

/// A row of any system table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "table", content = "row", rename_all = "snake_case")]
pub enum Record {
    /// `system.experiments`
    Experiments(Experiment),
    /// `system.runs`
    Runs(Run),
    /// `system.params`
    Params(Param),
    /// `system.metrics`
    Metrics(Metric),
    /// `system.inputs`
    Inputs(Input),
    /// `system.models`
    Models(Model),
    /// `system.model_versions`
    ModelVersions(ModelVersion),
    /// `system.model_aliases`
    ModelAliases(ModelAlias),
    /// `system.lineage`
    Lineage(Lineage),
}

/// A row as it was from a transaction on.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// The transaction.
    pub stamp: Stamp,
    /// Whether the row ended there; its columns are then those it had last.
    pub deleted: bool,
    /// The columns.
    pub record: Record,
}

/// Which row of its table a row version belongs to. Ordered as its table is shown.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The first column of the key: an id or a name.
    pub first: String,
    /// The second one where it is a text.
    pub second: String,
    /// A version or a step.
    pub number: i64,
    /// A measurement's time in microseconds and its value.
    pub point: (i64, Measured),
}

impl Key {
    /// A key of one or two texts.
    pub fn texts(first: &str, second: &str) -> Self {
        Key::numbered(first, second, 0)
    }

    /// A key of one or two texts and a number.
    pub fn numbered(first: &str, second: &str, number: i64) -> Self {
        Key { first: first.into(), second: second.into(), number, point: (0, Measured(0.0)) }
    }
}

/// A metric's value in its order: NaN takes part as 0 and gives way to it, as the MLflow clients expect.
#[derive(Debug, Clone, Copy)]
pub struct Measured(pub f64);

impl Measured {
    fn rank(self) -> (f64, bool) {
        match self.0.is_nan() {
            true => (0.0, false),
            // Adding 0 makes -0 and 0 the same.
            false => (self.0 + 0.0, true),
        }
    }
}

impl Ord for Measured {
    fn cmp(&self, other: &Self) -> Ordering {
        let ((a, a_is_number), (b, b_is_number)) = (self.rank(), other.rank());
        a.total_cmp(&b).then(a_is_number.cmp(&b_is_number))
    }
}

impl PartialOrd for Measured {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Measured {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Measured {}

impl Record {
    /// The table that the row belongs to.
    pub fn table(&self) -> SystemTable {
        match self {
            Record::Experiments(_) => SystemTable::Experiments,
            Record::Runs(_) => SystemTable::Runs,
            Record::Params(_) => SystemTable::Params,
            Record::Metrics(_) => SystemTable::Metrics,
            Record::Inputs(_) => SystemTable::Inputs,
            Record::Models(_) => SystemTable::Models,
            Record::ModelVersions(_) => SystemTable::ModelVersions,
            Record::ModelAliases(_) => SystemTable::ModelAliases,
            Record::Lineage(_) => SystemTable::Lineage,
        }
    }

    /// Which row of its table it is.
    pub fn key(&self) -> Key {
        match self {
            Record::Experiments(row) => Key::texts(&row.experiment_id, ""),
            Record::Runs(row) => Key::texts(&row.run_id, ""),
            Record::Params(row) => Key::texts(&row.run_id, &row.key),
            Record::Metrics(row) => {
                let point = (row.timestamp.timestamp_micros(), Measured(row.value));
                Key { point, ..Key::numbered(&row.run_id, &row.key, row.step) }
            }
            Record::Inputs(row) => Key::numbered(&row.run_id, &row.table_id, number(row.version)),
            Record::Models(row) => Key::texts(&row.name, ""),
            Record::ModelVersions(row) => Key::numbered(&row.name, "", number(row.version)),
            Record::ModelAliases(row) => Key::texts(&row.name, &row.alias),
            Record::Lineage(row) => {
                // No name of a model has a slash in it.
                let (kind, role) = (row.kind.name(), row.role.name());
                let second = format!("{}/{}/{kind}/{role}/{}", row.model, row.model_version, row.table_id);
                Key::numbered(&row.query_id, &second, number(row.table_version))
            }
        }
    }

    /// The same row with its times in whole microseconds, as it is stored.
    pub fn cut(mut self) -> Self {
        match &mut self {
            Record::Experiments(row) => row.created_at = micros::cut(row.created_at),
            Record::Runs(row) => {
                row.started_at = micros::cut(row.started_at);
                row.ended_at = row.ended_at.map(micros::cut);
            }
            Record::Metrics(row) => row.timestamp = micros::cut(row.timestamp),
            Record::Models(row) => row.created_at = micros::cut(row.created_at),
            Record::ModelVersions(row) => row.created_at = micros::cut(row.created_at),
            Record::Lineage(row) => row.created_at = micros::cut(row.created_at),
            Record::Params(_) | Record::Inputs(_) | Record::ModelAliases(_) => {}
        }
        self
    }
}

/// A version as a BIGINT; versions count from small numbers, so the limit is never met.
pub fn number(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::Measured;

    #[test]
    fn nan_takes_part_as_zero() {
        assert!(Measured(f64::NAN) < Measured(0.0));
        assert!(Measured(f64::NAN) > Measured(-1e-300));
        assert!(Measured(f64::INFINITY) > Measured(f64::MAX));
        assert_eq!(Measured(-0.0), Measured(0.0));
        assert_eq!(Measured(f64::NAN), Measured(-f64::NAN));
    }
}
