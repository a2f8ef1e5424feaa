//! The current rows of the system tables in memory, with the look-ups that the engine and training need.
//!
//! It holds the last version of each row, and of a metric the greatest (step, timestamp, value); lineage and older
//! versions are read from the Delta tables where somebody asks. It is plain data: no lock, no file, no clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::rows::{Experiment, Input, Metric, Model, ModelAlias, ModelVersion, Param, Row, Run, RunSource, RunStatus};
use super::tables::SystemTable;
use super::version::{Key, Record, Stamp, Version, number};
use crate::Result;

/// The current rows. See the module.
#[derive(Debug, Clone)]
pub struct Index {
    /// By table (in the order of [`SystemTable::ALL`]) and key; a metric's key ends at its name.
    tables: [BTreeMap<Key, Arc<Version>>; SystemTable::ALL.len()],
    /// Experiment ids by name.
    experiment_ids: BTreeMap<String, String>,
    /// The greatest version that each model name ever had, deleted ones included.
    greatest_versions: BTreeMap<String, u64>,
    /// The last transaction.
    last: Stamp,
}

/// Reads the rows of one kind out of row versions that are all of that kind.
macro_rules! rows_of {
    ($versions:expr, $variant:ident) => {
        $versions.filter_map(|version| match &version.record {
            Record::$variant(row) => Some(row),
            _ => None,
        })
    };
}

impl Index {
    /// An empty registry.
    pub(super) fn new() -> Self {
        Index {
            tables: std::array::from_fn(|_| BTreeMap::new()),
            experiment_ids: BTreeMap::new(),
            greatest_versions: BTreeMap::new(),
            last: Stamp { seq: 0, recorded_at: DateTime::<Utc>::UNIX_EPOCH },
        }
    }

    /// The sequence number of the last transaction; 0 for an empty registry.
    pub fn last_seq(&self) -> u64 {
        self.last.seq
    }

    /// The last transaction's stamp.
    pub(super) fn last(&self) -> Stamp {
        self.last
    }

    /// An experiment by its id.
    pub fn experiment(&self, experiment_id: &str) -> Option<&Experiment> {
        rows_of!(self.find(SystemTable::Experiments, Key::texts(experiment_id, "")), Experiments).next()
    }

    /// An experiment by its name.
    pub fn experiment_by_name(&self, name: &str) -> Option<&Experiment> {
        self.experiment(self.experiment_ids.get(name)?)
    }

    /// All experiments, ordered by id as text.
    pub fn experiments(&self) -> impl Iterator<Item = &Experiment> {
        rows_of!(self.versions(SystemTable::Experiments), Experiments)
    }

    /// The id of the next experiment, as decimal text.
    pub fn next_experiment_id(&self) -> String {
        let greatest = self.experiments().filter_map(|row| row.experiment_id.parse::<u64>().ok()).max();
        greatest.map_or(0, |id| id.saturating_add(1)).to_string()
    }

    /// A run by its id.
    pub fn run(&self, run_id: &str) -> Option<&Run> {
        rows_of!(self.find(SystemTable::Runs, Key::texts(run_id, "")), Runs).next()
    }

    /// All runs, ordered by id.
    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        rows_of!(self.versions(SystemTable::Runs), Runs)
    }

    /// The runs of TRAIN and REPRODUCE that have not ended; no index on them, since only a start of the server asks.
    pub(super) fn running_trainings(&self) -> impl Iterator<Item = &Run> {
        self.runs().filter(|run| run.status == RunStatus::Running && run.source != RunSource::Client)
    }

    /// The parameters of a run, ordered by name.
    pub fn params(&self, run_id: &str) -> impl Iterator<Item = &Param> {
        rows_of!(self.range(SystemTable::Params, run_id), Params)
    }

    /// The latest value of each metric of a run, ordered by name: the greatest (step, timestamp, value).
    pub fn latest_metrics(&self, run_id: &str) -> impl Iterator<Item = &Metric> {
        rows_of!(self.range(SystemTable::Metrics, run_id), Metrics)
    }

    /// The table versions that a run read.
    pub fn inputs(&self, run_id: &str) -> impl Iterator<Item = &Input> {
        rows_of!(self.range(SystemTable::Inputs, run_id), Inputs)
    }

    /// A model by its name.
    pub fn model(&self, name: &str) -> Option<&Model> {
        rows_of!(self.find(SystemTable::Models, Key::texts(name, "")), Models).next()
    }

    /// All models, ordered by name.
    pub fn models(&self) -> impl Iterator<Item = &Model> {
        rows_of!(self.versions(SystemTable::Models), Models)
    }

    /// One version of a model.
    pub fn model_version(&self, name: &str, version: u64) -> Option<&ModelVersion> {
        let key = Key::numbered(name, "", number(version));
        rows_of!(self.find(SystemTable::ModelVersions, key), ModelVersions).next()
    }

    /// The versions of a model, ascending.
    pub fn model_versions(&self, name: &str) -> impl DoubleEndedIterator<Item = &ModelVersion> {
        rows_of!(self.range(SystemTable::ModelVersions, name), ModelVersions)
    }

    /// The number of a model's next version: never one that the name had before, not even a deleted one's.
    pub fn next_version(&self, name: &str) -> u64 {
        self.greatest_versions.get(name).map_or(1, |greatest| greatest.saturating_add(1))
    }

    /// One alias of a model.
    pub fn model_alias(&self, name: &str, alias: &str) -> Option<&ModelAlias> {
        rows_of!(self.find(SystemTable::ModelAliases, Key::texts(name, alias)), ModelAliases).next()
    }

    /// The aliases of a model, ordered by alias.
    pub fn model_aliases(&self, name: &str) -> impl Iterator<Item = &ModelAlias> {
        rows_of!(self.range(SystemTable::ModelAliases, name), ModelAliases)
    }

    /// The rows that drop a model: its aliases, its versions and itself.
    pub fn drop_model(&self, name: &str) -> Result<Vec<Row>> {
        self.known_model(name)?;
        let mut rows = self.unset_aliases(name, |_| true);
        rows.extend(
            self.model_versions(name).map(|row| Row::DropModelVersion { name: name.into(), version: row.version }),
        );
        rows.push(Row::DropModel { name: name.into() });
        Ok(rows)
    }

    /// The rows that drop one version of a model: the aliases that point to it, and itself.
    pub fn drop_model_version(&self, name: &str, version: u64) -> Result<Vec<Row>> {
        self.known_version(name, version)?;
        let mut rows = self.unset_aliases(name, |alias| alias.version == version);
        rows.push(Row::DropModelVersion { name: name.into(), version });
        Ok(rows)
    }

    fn unset_aliases(&self, name: &str, which: impl Fn(&ModelAlias) -> bool) -> Vec<Row> {
        self.model_aliases(name)
            .filter(|row| which(row))
            .map(|row| Row::UnsetAlias { name: row.name.clone(), alias: row.alias.clone() })
            .collect()
    }

    /// The current row versions of a table, ordered by key; of the metrics only the latest.
    pub(super) fn versions(&self, table: SystemTable) -> impl Iterator<Item = &Arc<Version>> {
        self.tables[table.ordinal()].values()
    }

    /// The current row version under a key, as an iterator of at most one.
    pub(super) fn find(&self, table: SystemTable, key: Key) -> impl Iterator<Item = &Arc<Version>> {
        self.tables[table.ordinal()].get(&key).into_iter()
    }

    /// The current row versions whose key begins with `first`.
    fn range(&self, table: SystemTable, first: &str) -> impl DoubleEndedIterator<Item = &Arc<Version>> {
        // The least text that is greater than `first`.
        let end = format!("{first}\0");
        let bound = |text: &str| Key::numbered(text, "", i64::MIN);
        self.tables[table.ordinal()].range(bound(first)..bound(&end)).map(|(_, version)| version)
    }

    /// Records that the transaction happened.
    pub(super) fn advance(&mut self, stamp: Stamp) {
        if stamp.seq > self.last.seq {
            self.last = stamp;
        }
    }

    /// Takes in a row version. Versions of one row come in their order; those of different rows in any.
    pub(super) fn apply(&mut self, version: &Arc<Version>) {
        self.advance(version.stamp);
        let table = version.record.table();
        let mut key = version.record.key();
        match &version.record {
            Record::Experiments(row) => {
                let before = self.experiment(&row.experiment_id).map(|before| before.name.clone());
                // Another experiment may have taken over the name in the same transaction.
                if let Some(name) = before.filter(|name| self.experiment_ids.get(name) == Some(&row.experiment_id)) {
                    self.experiment_ids.remove(&name);
                }
                self.experiment_ids.insert(row.name.clone(), row.experiment_id.clone());
            }
            Record::ModelVersions(row) => {
                let greatest = self.greatest_versions.entry(row.name.clone()).or_default();
                *greatest = row.version.max(*greatest);
            }
            Record::Lineage(_) => return,
            Record::Metrics(_) => {
                key = Key::texts(&key.first, &key.second);
                let point = |version: &Version| {
                    let key = version.record.key();
                    (key.number, key.point, version.stamp.seq)
                };
                let known = self.tables[table.ordinal()].get(&key);
                if known.is_some_and(|known| point(known) > point(version)) {
                    return;
                }
            }
            _ => {}
        }
        match version.deleted {
            true => self.tables[table.ordinal()].remove(&key),
            false => self.tables[table.ordinal()].insert(key, version.clone()),
        };
    }

    /// The model of that name, or an error that offers the nearest.
    pub fn known_model(&self, name: &str) -> Result<&Model> {
        self.model(name).ok_or_else(|| crate::error::unknown("model", name, self.models().map(|row| row.name.as_str())))
    }
}
