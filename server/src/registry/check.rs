//! What a transaction may do: no row without the rows that it refers to, no name twice, no version number twice.
//!
//! It is the last line behind the checks of the callers, who know better texts. A row may refer to one of the same
//! transaction. Nothing here changes anything.

use std::collections::BTreeMap;

use limn_sql_udfs::model::reference::{check_alias, check_model_name};

use super::index::Index;
use super::rows::{Experiment, ModelVersion, Row};
use super::tables::SystemTable;
use super::version::{Key, Record, number};
use crate::{Error, Result};

/// The rows of a transaction by table and key: whether each ends there, and its columns.
pub type Changes = BTreeMap<(SystemTable, Key), (bool, Record)>;

/// Turns the rows of a transaction into changes, the last one for each key, and checks them.
pub fn changes(index: &Index, rows: Vec<Row>) -> Result<Changes> {
    let mut changes = Changes::new();
    for row in rows {
        let (deleted, record) = record(index, row)?;
        let record = record.cut();
        changes.insert((record.table(), record.key()), (deleted, record));
    }
    let checked = Checked { index, changes: &changes };
    for (deleted, record) in changes.values() {
        if !deleted {
            checked.check(record)?;
        }
    }
    Ok(changes)
}

/// The columns that a change gives to its row: for an end, those that it had last.
fn record(index: &Index, row: Row) -> Result<(bool, Record)> {
    let record = match row {
        Row::Experiment(row) => Record::Experiments(row),
        Row::Run(row) => Record::Runs(row),
        Row::Param(row) => Record::Params(row),
        Row::Metric(row) => Record::Metrics(row),
        Row::Input(row) => Record::Inputs(row),
        Row::Model(row) => Record::Models(row),
        Row::ModelVersion(row) => Record::ModelVersions(row),
        Row::ModelAlias(row) => Record::ModelAliases(row),
        Row::Lineage(row) => Record::Lineage(row),
        Row::UnsetAlias { name, alias } => {
            index.known_model(&name)?;
            let row = index.model_alias(&name, &alias).ok_or_else(|| index.unknown_alias(&name, &alias))?;
            return Ok((true, Record::ModelAliases(row.clone())));
        }
        Row::DropModelVersion { name, version } => {
            return Ok((true, Record::ModelVersions(index.known_version(&name, version)?.clone())));
        }
        Row::DropModel { name } => return Ok((true, Record::Models(index.known_model(&name)?.clone()))),
    };
    Ok((false, record))
}

struct Checked<'a> {
    index: &'a Index,
    changes: &'a Changes,
}

impl Checked<'_> {
    fn check(&self, record: &Record) -> Result<()> {
        match record {
            Record::Experiments(row) => self.experiment(row),
            Record::Runs(row) => self.needs(SystemTable::Experiments, &row.experiment_id, "experiment"),
            Record::Params(row) => self.needs_run(&row.run_id),
            Record::Metrics(row) => self.needs_run(&row.run_id),
            Record::Inputs(row) => self.needs_run(&row.run_id),
            // It is true however short the model lived.
            Record::Lineage(_) => Ok(()),
            Record::Models(row) => Ok(check_model_name(&row.name)?),
            Record::ModelVersions(row) => self.model_version(row),
            Record::ModelAliases(row) => {
                check_alias(&row.alias)?;
                match self.has(SystemTable::ModelVersions, Key::numbered(&row.name, "", number(row.version))) {
                    true => Ok(()),
                    false => Err(self.index.known_version(&row.name, row.version).err().unwrap_or_else(|| {
                        Error::not_found(format!("model `{}` has no version {}", row.name, row.version))
                    })),
                }
            }
        }
    }

    fn experiment(&self, row: &Experiment) -> Result<()> {
        // One that has the name now may give it up in the same transaction.
        let is_kept = |other: &&Experiment| {
            !self.changes.contains_key(&(SystemTable::Experiments, Key::texts(&other.experiment_id, "")))
        };
        let stored = self.index.experiment_by_name(&row.name).into_iter().filter(is_kept);
        let changed = self.changes.values().filter_map(|(_, record)| match record {
            Record::Experiments(row) => Some(row),
            _ => None,
        });
        let mut same_name = stored.chain(changed).filter(|other| other.name == row.name);
        match same_name.any(|other| other.experiment_id != row.experiment_id) {
            true => Err(Error::already_exists(format!("experiment `{}` exists already", row.name))),
            false => Ok(()),
        }
    }

    fn model_version(&self, row: &ModelVersion) -> Result<()> {
        self.needs(SystemTable::Models, &row.name, "model")?;
        if let Some(run_id) = &row.run_id {
            self.needs_run(run_id)?;
        }
        let next = self.index.next_version(&row.name);
        match row.version >= next || self.index.model_version(&row.name, row.version).is_some() {
            true => Ok(()),
            false => Err(Error::internal(format!(
                "expected version {next} or later as a new version of model `{}`, found {}",
                row.name, row.version
            ))),
        }
    }

    fn needs_run(&self, run_id: &str) -> Result<()> {
        self.needs(SystemTable::Runs, run_id, "run")
    }

    fn needs(&self, table: SystemTable, id: &str, kind: &str) -> Result<()> {
        match self.has(table, Key::texts(id, "")) {
            true => Ok(()),
            false => Err(Error::not_found(format!("unknown {kind} `{id}`"))),
        }
    }

    /// Whether a row is there once the transaction is.
    fn has(&self, table: SystemTable, key: Key) -> bool {
        let wanted = (table, key);
        match self.changes.get(&wanted) {
            Some((deleted, _)) => !deleted,
            None => self.index.find(table, wanted.1).next().is_some(),
        }
    }
}
