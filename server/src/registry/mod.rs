//! The registry: experiments, runs, models, versions and aliases, kept as the system tables of the lakehouse.
//!
//! A transaction is answered once a private, synced log has its rows; a background task folds them into one Delta
//! table per system table; look-ups are served from an index in memory that reads its own writes. AS OF answers from
//! all of it, so folding changes no answer. It knows nothing of SQL, training or protocols.
//!
//! # Layout
//! - [`rows`]: the rows as Rust types; [`tables`]: the tables and their columns
//! - `version`, `micros`, `exact_double`: row versions and how their values are written
//! - `batches`, `cells`: the same as Arrow
//! - `index`, `resolve`, `check`: the current rows, what a model reference means, what a transaction may do
//! - `frame`, `segment`, `log`: the log: its bytes, its files, its writer; `shared_log`: that of several servers
//! - `transact`, `published`: how a transaction becomes durable, and what readers see
//! - `open`: how a registry comes back
//! - `fold`, `lake_tables`: from the log into Delta; `as_of`: what the tables said at some point
//! - [`users`]: users and their tokens, in a file of their own that no query reads
//! - `pending`: lineage between a commit and its rows here
//! - `artifacts`: model files by their hash; `pins`: the table versions that models need

mod artifacts;
mod as_of;
mod batches;
mod cells;
mod check;
mod exact_double;
mod fold;
mod frame;
mod index;
mod lake_tables;
mod log;
mod micros;
mod open;
mod pending;
mod pins;
mod published;
mod resolve;
pub mod rows;
mod segment;
mod shared_log;
pub mod tables;
mod transact;
pub mod users;
mod version;

#[cfg(test)]
mod tests;

pub use crate::lake::membership::Training;
pub use fold::FoldTarget;
pub use index::Index;
pub use pending::{Pending, Prediction, TableAt, UsedModel};
pub use rows::{
    Experiment, Input, Lineage, LineageKind, LineageRole, Metric, Model, ModelAlias, ModelVersion, Param, Row, Run,
    RunSource, RunStatus,
};
pub use tables::SystemTable;

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLockReadGuard};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use chrono::{DateTime, Utc};
use tokio_util::sync::{CancellationToken, DropGuard};

use artifacts::Artifacts;
use fold::blocking;
use lake_tables::LakeTables;
use log::Message;
use published::{Published, State};
use transact::Writers;

use crate::Result;
use crate::lake::disk::Disk;
use crate::lake::membership::Membership;
use crate::lake::sequence::Sequence;
use crate::lake::{Lake, Pins};

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
    inner: Arc<Inner>,
}

struct Inner {
    disk: Arc<dyn Disk>,
    log_dir: PathBuf,
    artifacts: Artifacts,
    published: Arc<Published>,
    writers: Writers,
    target: Arc<dyn FoldTarget>,
    /// Held while folding; two folds at once would append the same rows.
    folding: tokio::sync::Mutex<()>,
    /// Where other servers write the same log.
    shared: Option<Shared>,
    /// Stops the background task; so does dropping the last clone.
    stop: CancellationToken,
    #[expect(dead_code, reason = "held for its drop")]
    background: DropGuard,
}

impl Registry {
    /// Opens `<data_dir>/registry`, reading the folded tables and the log behind them. TRAIN runs that a dead server
    /// left running become `FAILED`.
    pub async fn open(data_dir: &Path, disk: Arc<dyn Disk>, lake: Lake) -> Result<Registry> {
        let tables = Arc::new(LakeTables::open(&lake).await?);
        let shared = match lake.directory().member() {
            Some(member) => Some(Shared {
                member: member.clone(),
                segments: lake.directory().sequence("registry/log", &disk, false)?,
            }),
            None => None,
        };
        open::open(data_dir, disk, tables, Arc::new(Utc::now), shared).await
    }

    /// The same with the target of folding given.
    pub async fn open_on(data_dir: &Path, disk: Arc<dyn Disk>, target: Arc<dyn FoldTarget>) -> Result<Registry> {
        open::open(data_dir, disk, target, Arc::new(Utc::now), None).await
    }

    /// Runs `f` on the current rows under the writers' lock; the rows that it returns become one atomic, durable
    /// transaction before this returns. `f` must not ask the registry for anything else, and is asked again where
    /// another server was first.
    ///
    /// `Unavailable` means that the log cannot be written; whether this transaction is there shows after a restart.
    pub async fn transact<T: Send>(&self, f: impl FnMut(&Index) -> Result<(Vec<Row>, T)> + Send) -> Result<T> {
        self.inner.writers.transact(&self.inner.published, &self.inner.artifacts, f).await
    }

    /// Publishes what other servers made durable before.
    pub async fn refresh(&self) -> Result<()> {
        match &self.inner.shared {
            Some(_) => self.inner.writers.settled().await,
            None => Ok(()),
        }
    }

    /// Says that this server trains a run, to those that share the registry, until the guard is dropped.
    pub fn training(&self, run_id: &str) -> Option<Training> {
        self.inner.shared.as_ref().map(|shared| shared.member.training(run_id))
    }

    /// The current rows. The guard holds writers up: drop it soon, and before asking the registry for anything else.
    pub fn index(&self) -> impl Deref<Target = Index> {
        Current(self.inner.published.read())
    }

    /// Calls `f` on the current rows.
    pub fn with_index<T>(&self, f: impl FnOnce(&Index) -> T) -> T {
        f(&self.index())
    }

    /// Stores an artifact under its hash (64 lower-case hex digits), durable when this returns. Idempotent.
    pub async fn put_artifact(&self, sha256: &str, bytes: &[u8]) -> Result<()> {
        let (artifacts, sha256, bytes) = (self.inner.artifacts.clone(), sha256.to_string(), bytes.to_vec());
        blocking(move || artifacts.put(&sha256, &bytes)).await
    }

    /// An artifact by its hash. `Internal`, naming the hash, where the file is missing or damaged.
    pub async fn artifact(&self, sha256: &str) -> Result<Vec<u8>> {
        let (artifacts, sha256) = (self.inner.artifacts.clone(), sha256.to_string());
        blocking(move || artifacts.read(&sha256)).await
    }

    /// The columns of a system table as SQL sees them.
    pub fn system_table_schema(table: SystemTable) -> SchemaRef {
        table.schema()
    }

    /// The rows of a system table at a point of its history, ordered by key.
    pub async fn rows(&self, table: SystemTable, at: SystemAt) -> Result<Vec<RecordBatch>> {
        self.inner.rows(table, at).await
    }

    /// Says which table versions registered models need, for [`Lake::set_pins`].
    pub fn pins(&self) -> Arc<dyn Pins> {
        Arc::new(pins::RegistryPins(self.inner.published.clone()))
    }

    /// Folds everything that is durable now into the Delta tables.
    pub async fn fold(&self) -> Result<()> {
        self.inner.fold().await
    }

    /// Folds a last time and stops; transactions are refused from here on.
    pub async fn close(&self) {
        self.inner.stop.cancel();
        self.inner.writers.close();
        if let Err(error) = self.inner.fold().await {
            tracing::warn!(%error, "the registry was closed without folding; its log keeps the rows");
        }
        // Where the thread has ended already, it was closed before.
        drop(self.inner.writers.ask(Message::Stop).await);
    }
}

/// What a registry has where other servers write the same log.
struct Shared {
    member: Arc<Membership>,
    segments: Sequence,
}

/// A guard of the current rows that shows nothing else.
struct Current<'a>(RwLockReadGuard<'a, State>);

impl Deref for Current<'_> {
    type Target = Index;

    fn deref(&self) -> &Index {
        &self.0.index
    }
}
