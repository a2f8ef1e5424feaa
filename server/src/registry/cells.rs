//! Each row's cells in its table's column order, written and read.
//!
//! The order is that of `tables.rs`; a round trip through every table is tested in `batches.rs`. Nothing here knows
//! how a cell is stored.

use super::batches::{CellReader, CellWriter};
use super::rows::{
    Experiment, Input, Lineage, LineageKind, LineageRole, Metric, Model, ModelAlias, ModelVersion, Param, Run,
    RunSource, RunStatus,
};
use super::tables::SystemTable;
use super::version::{Record, number};
use crate::Result;

impl Record {
    /// Writes the row's own cells.
    pub(super) fn write(&self, to: &mut CellWriter) {
        match self {
            Record::Experiments(row) => row.write(to),
            Record::Runs(row) => row.write(to),
            Record::Params(row) => row.write(to),
            Record::Metrics(row) => row.write(to),
            Record::Inputs(row) => row.write(to),
            Record::Models(row) => row.write(to),
            Record::ModelVersions(row) => row.write(to),
            Record::ModelAliases(row) => row.write(to),
            Record::Lineage(row) => row.write(to),
        }
    }

    /// Reads the own cells of a row of `table`.
    pub(super) fn read(table: SystemTable, from: &mut CellReader) -> Result<Self> {
        Ok(match table {
            SystemTable::Experiments => Record::Experiments(Experiment::read(from)?),
            SystemTable::Runs => Record::Runs(Run::read(from)?),
            SystemTable::Params => Record::Params(Param::read(from)?),
            SystemTable::Metrics => Record::Metrics(Metric::read(from)?),
            SystemTable::Inputs => Record::Inputs(Input::read(from)?),
            SystemTable::Models => Record::Models(Model::read(from)?),
            SystemTable::ModelVersions => Record::ModelVersions(ModelVersion::read(from)?),
            SystemTable::ModelAliases => Record::ModelAliases(ModelAlias::read(from)?),
            SystemTable::Lineage => Record::Lineage(Lineage::read(from)?),
        })
    }
}

// A struct's fields are evaluated in the order in which they are written, which is what reads the cells in order.

impl Experiment {
    fn write(&self, to: &mut CellWriter) {
        to.text(&self.experiment_id);
        to.text(&self.name);
        to.text(&self.lifecycle_stage);
        to.time(self.created_at);
    }

    fn read(from: &mut CellReader) -> Result<Self> {
        Ok(Experiment {
            experiment_id: from.text()?,
            name: from.text()?,
            lifecycle_stage: from.text()?,
            created_at: from.time()?,
        })
    }
}

impl Run {
    fn write(&self, to: &mut CellWriter) {
        to.text(&self.run_id);
        to.text(&self.experiment_id);
        to.text(&self.name);
        to.text(self.status.name());
        to.text(self.source.name());
        to.text(&self.user_name);
        to.text_or_null(self.query_id.as_deref());
        to.text_or_null(self.statement.as_deref());
        to.text_or_null(self.algorithm.as_deref());
        to.big_int_or_null(self.seed);
        to.text_or_null(self.engine_build.as_deref());
        to.time(self.started_at);
        to.time_or_null(self.ended_at);
        to.text_or_null(self.error.as_deref());
        to.text_or_null(self.cpu_level.as_deref());
        to.text_or_null(self.session.as_deref());
        to.text_or_null(self.parameters.as_deref());
    }

    fn read(from: &mut CellReader) -> Result<Self> {
        Ok(Run {
            run_id: from.text()?,
            experiment_id: from.text()?,
            name: from.text()?,
            status: RunStatus::from_name(&from.text()?)?,
            source: RunSource::from_name(&from.text()?)?,
            user_name: from.text()?,
            query_id: from.text_or_null()?,
            statement: from.text_or_null()?,
            algorithm: from.text_or_null()?,
            seed: from.big_int_or_null()?,
            engine_build: from.text_or_null()?,
            started_at: from.time()?,
            ended_at: from.time_or_null()?,
            error: from.text_or_null()?,
            cpu_level: from.text_or_null()?,
            session: from.text_or_null()?,
            parameters: from.text_or_null()?,
        })
    }
}

impl Param {
    fn write(&self, to: &mut CellWriter) {
        to.text(&self.run_id);
        to.text(&self.key);
        to.text(&self.value);
    }

    fn read(from: &mut CellReader) -> Result<Self> {
        Ok(Param { run_id: from.text()?, key: from.text()?, value: from.text()? })
    }
}

impl Metric {
    fn write(&self, to: &mut CellWriter) {
        to.text(&self.run_id);
        to.text(&self.key);
        to.double(self.value);
        to.big_int(self.step);
        to.time(self.timestamp);
    }

    fn read(from: &mut CellReader) -> Result<Self> {
        Ok(Metric {
            run_id: from.text()?,
            key: from.text()?,
            value: from.double()?,
            step: from.big_int()?,
            timestamp: from.time()?,
        })
    }
}

impl Input {
    fn write(&self, to: &mut CellWriter) {
        to.text(&self.run_id);
        to.text(&self.table_schema);
        to.text(&self.table_name);
        to.text(&self.table_id);
        to.big_int(number(self.version));
        to.text(&self.context);
    }

    fn read(from: &mut CellReader) -> Result<Self> {
        Ok(Input {
            run_id: from.text()?,
            table_schema: from.text()?,
            table_name: from.text()?,
            table_id: from.text()?,
            version: from.count()?,
            context: from.text()?,
        })
    }
}

impl Model {
    fn write(&self, to: &mut CellWriter) {
        to.text(&self.name);
        to.text_or_null(self.description.as_deref());
        to.time(self.created_at);
    }

    fn read(from: &mut CellReader) -> Result<Self> {
        Ok(Model { name: from.text()?, description: from.text_or_null()?, created_at: from.time()? })
    }
}

impl ModelVersion {
    fn write(&self, to: &mut CellWriter) {
        to.text(&self.name);
        to.big_int(number(self.version));
        to.text(&self.model_id);
        to.text_or_null(self.run_id.as_deref());
        to.text(&self.algorithm);
        to.text(&self.task);
        to.text_or_null(self.target.as_deref());
        to.text(&self.signature);
        to.text(&self.artifact_sha256);
        to.big_int(number(self.artifact_bytes));
        to.big_int(number(self.rows));
        to.text(&self.metrics);
        to.time(self.created_at);
    }

    fn read(from: &mut CellReader) -> Result<Self> {
        Ok(ModelVersion {
            name: from.text()?,
            version: from.count()?,
            model_id: from.text()?,
            run_id: from.text_or_null()?,
            algorithm: from.text()?,
            task: from.text()?,
            target: from.text_or_null()?,
            signature: from.text()?,
            artifact_sha256: from.text()?,
            artifact_bytes: from.count()?,
            rows: from.count()?,
            metrics: from.text()?,
            created_at: from.time()?,
        })
    }
}

impl ModelAlias {
    fn write(&self, to: &mut CellWriter) {
        to.text(&self.name);
        to.text(&self.alias);
        to.big_int(number(self.version));
    }

    fn read(from: &mut CellReader) -> Result<Self> {
        Ok(ModelAlias { name: from.text()?, alias: from.text()?, version: from.count()? })
    }
}

impl Lineage {
    fn write(&self, to: &mut CellWriter) {
        to.text(&self.query_id);
        to.text(&self.user_name);
        to.text(self.kind.name());
        to.text(&self.model);
        to.big_int(number(self.model_version));
        to.text(&self.artifact_sha256);
        to.text(self.role.name());
        to.text(&self.table_schema);
        to.text(&self.table_name);
        to.text(&self.table_id);
        to.big_int(number(self.table_version));
        to.time(self.created_at);
    }

    fn read(from: &mut CellReader) -> Result<Self> {
        Ok(Lineage {
            query_id: from.text()?,
            user_name: from.text()?,
            kind: LineageKind::from_name(&from.text()?)?,
            model: from.text()?,
            model_version: from.count()?,
            artifact_sha256: from.text()?,
            role: LineageRole::from_name(&from.text()?)?,
            table_schema: from.text()?,
            table_name: from.text()?,
            table_id: from.text()?,
            table_version: from.count()?,
            created_at: from.time()?,
        })
    }
}
