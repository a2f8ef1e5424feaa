//! The system tables: their names, their columns, and which of them are kept.
//!
//! One table of columns decides the schema that SQL sees, the schema of the Delta table, and the order in which
//! `batches.rs` reads and writes cells. It knows nothing of where rows are.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// A system table that the registry stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SystemTable {
    /// `system.experiments`
    Experiments,
    /// `system.runs`
    Runs,
    /// `system.params`
    Params,
    /// `system.metrics`
    Metrics,
    /// `system.inputs`
    Inputs,
    /// `system.models`
    Models,
    /// `system.model_versions`
    ModelVersions,
    /// `system.model_aliases`
    ModelAliases,
    /// `system.lineage`
    Lineage,
}

/// The type of a column, and whether it may be NULL.
type Column = (&'static str, Cell, Nulls);

#[derive(Debug, Clone, Copy)]
enum Cell {
    Text,
    BigInt,
    Double,
    Time,
    Boolean,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Nulls {
    Never,
    Allowed,
}

use Cell::{BigInt, Boolean, Double, Text, Time};
use Nulls::{Allowed, Never};

impl SystemTable {
    /// All of them.
    pub const ALL: [SystemTable; 9] = [
        SystemTable::Experiments,
        SystemTable::Runs,
        SystemTable::Params,
        SystemTable::Metrics,
        SystemTable::Inputs,
        SystemTable::Models,
        SystemTable::ModelVersions,
        SystemTable::ModelAliases,
        SystemTable::Lineage,
    ];

    /// The table's name in the schema `system`.
    pub fn name(self) -> &'static str {
        match self {
            SystemTable::Experiments => "experiments",
            SystemTable::Runs => "runs",
            SystemTable::Params => "params",
            SystemTable::Metrics => "metrics",
            SystemTable::Inputs => "inputs",
            SystemTable::Models => "models",
            SystemTable::ModelVersions => "model_versions",
            SystemTable::ModelAliases => "model_aliases",
            SystemTable::Lineage => "lineage",
        }
    }

    /// The table of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }

    /// Whether the index in memory has the last version of every row. Of the metrics it has only the latest, and of
    /// lineage, which grows with every statement that predicts and which nobody looks up, nothing.
    pub(super) fn is_indexed(self) -> bool {
        !matches!(self, SystemTable::Metrics | SystemTable::Lineage)
    }

    /// The place in [`SystemTable::ALL`].
    pub(super) fn ordinal(self) -> usize {
        self as usize
    }

    /// The columns that SQL sees.
    pub fn schema(self) -> SchemaRef {
        Arc::new(schema(self.columns().iter().chain(STAMP)))
    }

    /// The columns of the Delta table: those that SQL sees, and whether the row version is the row's end.
    pub fn stored_schema(self) -> SchemaRef {
        Arc::new(schema(self.columns().iter().chain(STAMP).chain(DELETED)))
    }

    fn columns(self) -> &'static [Column] {
        match self {
            SystemTable::Experiments => EXPERIMENTS,
            SystemTable::Runs => RUNS,
            SystemTable::Params => PARAMS,
            SystemTable::Metrics => METRICS,
            SystemTable::Inputs => INPUTS,
            SystemTable::Models => MODELS,
            SystemTable::ModelVersions => MODEL_VERSIONS,
            SystemTable::ModelAliases => MODEL_ALIASES,
            SystemTable::Lineage => LINEAGE,
        }
    }
}

/// The stamp of every row version.
const STAMP: &[Column] = &[("seq", BigInt, Never), ("recorded_at", Time, Never)];
/// Whether a row version is the row's end.
const DELETED: &[Column] = &[("deleted", Boolean, Never)];

const EXPERIMENTS: &[Column] = &[
    ("experiment_id", Text, Never),
    ("name", Text, Never),
    ("lifecycle_stage", Text, Never),
    ("created_at", Time, Never),
];
const RUNS: &[Column] = &[
    ("run_id", Text, Never),
    ("experiment_id", Text, Never),
    ("name", Text, Never),
    ("status", Text, Never),
    ("source", Text, Never),
    ("user_name", Text, Never),
    ("query_id", Text, Allowed),
    ("statement", Text, Allowed),
    ("algorithm", Text, Allowed),
    ("seed", BigInt, Allowed),
    ("engine_build", Text, Allowed),
    ("started_at", Time, Never),
    ("ended_at", Time, Allowed),
    ("error", Text, Allowed),
    ("cpu_level", Text, Allowed),
    ("session", Text, Allowed),
    ("parameters", Text, Allowed),
];
const PARAMS: &[Column] = &[("run_id", Text, Never), ("key", Text, Never), ("value", Text, Never)];
const METRICS: &[Column] = &[
    ("run_id", Text, Never),
    ("key", Text, Never),
    ("value", Double, Never),
    ("step", BigInt, Never),
    ("timestamp", Time, Never),
];
const INPUTS: &[Column] = &[
    ("run_id", Text, Never),
    ("table_schema", Text, Never),
    ("table_name", Text, Never),
    ("table_id", Text, Never),
    ("version", BigInt, Never),
    ("context", Text, Never),
];
const MODELS: &[Column] = &[("name", Text, Never), ("description", Text, Allowed), ("created_at", Time, Never)];
const MODEL_VERSIONS: &[Column] = &[
    ("name", Text, Never),
    ("version", BigInt, Never),
    ("model_id", Text, Never),
    ("run_id", Text, Allowed),
    ("algorithm", Text, Never),
    ("task", Text, Never),
    ("target", Text, Allowed),
    ("signature", Text, Never),
    ("artifact_sha256", Text, Never),
    ("artifact_bytes", BigInt, Never),
    ("rows", BigInt, Never),
    ("metrics", Text, Never),
    ("created_at", Time, Never),
];
const MODEL_ALIASES: &[Column] = &[("name", Text, Never), ("alias", Text, Never), ("version", BigInt, Never)];
const LINEAGE: &[Column] = &[
    ("query_id", Text, Never),
    ("user_name", Text, Never),
    ("kind", Text, Never),
    ("model", Text, Never),
    ("model_version", BigInt, Never),
    ("artifact_sha256", Text, Never),
    ("role", Text, Never),
    ("table_schema", Text, Never),
    ("table_name", Text, Never),
    ("table_id", Text, Never),
    ("table_version", BigInt, Never),
    ("created_at", Time, Never),
];

fn schema<'a>(columns: impl Iterator<Item = &'a Column>) -> Schema {
    Schema::new(
        columns.map(|(name, cell, nulls)| Field::new(*name, arrow_type(*cell), *nulls == Allowed)).collect::<Vec<_>>(),
    )
}

fn arrow_type(cell: Cell) -> DataType {
    match cell {
        Text => DataType::Utf8,
        BigInt => DataType::Int64,
        Double => DataType::Float64,
        Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Boolean => DataType::Boolean,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ordinals_agree_with_the_list() {
        for (place, table) in SystemTable::ALL.into_iter().enumerate() {
            assert_eq!(SystemTable::from_name(table.name()), Some(table));
            assert_eq!(table.ordinal(), place);
        }
        assert_eq!(SystemTable::from_name("Runs"), None);
    }

    #[test]
    fn every_table_ends_with_its_stamp() {
        for table in SystemTable::ALL {
            let seen = table.schema();
            let names: Vec<&str> = seen.fields().iter().map(|f| f.name().as_str()).collect();
            assert_eq!(names.iter().rev().take(2).collect::<Vec<_>>(), [&"recorded_at", &"seq"], "{}", table.name());
            assert_eq!(table.stored_schema().fields().len(), seen.fields().len() + 1);
        }
    }
}
