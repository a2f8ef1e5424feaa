//! The registry: experiments, runs, models, versions and aliases, kept as the system tables of the lakehouse.
//!
//! A transaction is answered once a private, synced log has its rows; a background task folds them into one Delta
//! table per system table; look-ups are served from an index in memory that reads its own writes. AS OF answers from
//! all of it, so folding changes no answer. It knows nothing of SQL, training or protocols.
//!
//! # Layout
//! - [`rows`]: the rows as Rust types; [`tables`]: the tables and their columns
//! - `version`, `batches`: row versions, and the same as Arrow
//! - `index`, `resolve`: the current rows, and what a model reference means
//! - `frame`, `segment`, `log`: the log: its bytes, its files, its writer
//! - `transact`: how a transaction becomes durable; `open`: how a registry comes back
//! - `fold`, `lake_tables`: from the log into Delta; `as_of`: what the tables said at some point
//! - `artifacts`: model files by their hash; `pins`: the table versions that models need

mod exact_double;
mod index;
mod micros;
mod resolve;
pub mod rows;
pub mod tables;
mod version;

pub use index::Index;
pub use rows::{Experiment, Input, Metric, Model, ModelAlias, ModelVersion, Param, Row, Run, RunSource, RunStatus};
pub use tables::SystemTable;

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use chrono::{DateTime, Utc};

use crate::Result;
use crate::lake::Lake;
use crate::lake::disk::Disk;

/// A point in the registry's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemAt {
    /// Now.
    Latest,
    /// `VERSION AS OF n`: after the transaction with this sequence number; 0 is the empty registry.
    Sequence(u64),
    /// `TIMESTAMP AS OF t`, by `recorded_at`.
    Timestamp(DateTime<Utc>),
}

/// The registry of one data directory. Cheap to clone.
#[derive(Clone)]
pub struct Registry {
    _inner: Arc<()>,
}

// The signatures that the engine and training rely on; the bodies follow.
impl Registry {
    /// Opens `<data_dir>/registry`. TRAIN runs that a dead server left running become `FAILED`.
    pub async fn open(data_dir: &Path, disk: Arc<dyn Disk>, lake: Lake) -> Result<Registry> { let _ = (data_dir, disk, lake); unimplemented!() }
    /// Runs `f` on the current index under the writer's lock; the rows that it returns become one atomic, durable
    /// transaction before this returns.
    pub async fn transact<T: Send>(&self, f: impl FnOnce(&Index) -> Result<(Vec<Row>, T)> + Send) -> Result<T> { let _ = f; unimplemented!() }
    /// The current rows. The guard blocks writers: do not hold it across an await (the compiler sees to that).
    pub fn index(&self) -> impl Deref<Target = Index> { unimplemented!() as std::sync::RwLockReadGuard<'_, Index> }
    /// Calls `f` on the current rows.
    pub fn with_index<T>(&self, f: impl FnOnce(&Index) -> T) -> T { f(&self.index()) }
    /// Stores an artifact under its hash (64 lower-case hex digits), durable when this returns. Idempotent.
    pub async fn put_artifact(&self, sha256: &str, bytes: &[u8]) -> Result<()> { let _ = (sha256, bytes); unimplemented!() }
    /// An artifact by its hash. `Internal`, naming the hash, where the file is missing or damaged.
    pub async fn artifact(&self, sha256: &str) -> Result<Vec<u8>> { let _ = sha256; unimplemented!() }
    /// The columns of a system table as SQL sees them.
    pub fn system_table_schema(table: SystemTable) -> SchemaRef { table.schema() }
    /// The rows of a system table at a point of its history, ordered by key.
    pub async fn rows(&self, table: SystemTable, at: SystemAt) -> Result<Vec<RecordBatch>> { let _ = (table, at); unimplemented!() }
    /// Folds what the log has into the Delta tables.
    pub async fn fold(&self) -> Result<()> { unimplemented!() }
    /// Folds a last time and stops; transactions are refused from here on.
    pub async fn close(&self) { unimplemented!() }
}
