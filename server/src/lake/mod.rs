//! The lake: the catalog, Delta tables, the one commit path, files that SQL reads. The only place that knows deltalake.
//!
//! # Layout
//! - [`disk`]: what is asked of a disk when writing; every durable byte of Limn goes through it
//! - [`directory`]: the data directory: its lock, its format version, what lies where
//! - `open`: one open lake; background work and its end
//! - `catalog`, `relations`: the schemas, tables and views of a lake, kept in one durable file
//! - `store`, `upload`: an object store over the data directory whose puts are durable when they return
//! - `log_store`, `lane`, `commit`: the one commit path: who may commit when, and what is refused
//! - `table`: a Delta table's states, open at several versions; `temporary`: one that no catalog names
//! - `create`, `write`, `staging`: what a statement does to a table
//! - `definition`, `constraints`, `generated`, `rows`, `align`, `data_files`: with what it does so
//! - `rewrite`: what changes rows; `numbered`, `marks`, `survivors`, `replaced`: with what it does so
//! - `snapshot`, `provider`, `bounds`, `history`, `changes`, `change_feed`: what is read of one
//! - `exclusive`: one commit that has a table for itself; `alter`, `restore`, `optimize`, `vacuum`: what it does;
//!   `partitions`, `z_order`: which files, and in which order; `properties`, `protocol`: what a
//!   table may declare, and what that asks of its readers and writers; `detail`: what a table is
//! - `clone`: a table with the files of another; `location`: tables outside of the data directory
//! - `sequence`, `membership`, `shared_catalog`: what servers that share a lake agree on, and who of them lives
//! - `upkeep`: care in the background, on record in `maintenance`; `checkpoint`: what it does to the log
//! - `system_table`: Delta tables of Limn's own, outside the catalog
//! - `error`: deltalake's errors in our classes; `named_files`: files in the errors of reading them
//! - [`files`]: CSV and Parquet files that SQL reads where they lie; [`types`]: the type table

pub mod directory;
pub mod disk;
pub mod files;
pub mod types;

mod align;
mod alter;
mod bounds;
mod catalog;
mod change_feed;
mod changes;
mod checkpoint;
mod clone;
mod commit;
mod constraints;
mod create;
mod data_files;
mod definition;
mod detail;
mod encoding;
mod error;
mod exclusive;
mod generated;
mod history;
mod lane;
mod location;
mod log_store;
pub mod maintenance;
mod marks;
pub mod membership;
mod named_files;
mod numbered;
mod open;
mod optimize;
mod partitions;
mod properties;
mod protocol;
mod provider;
mod relations;
mod replaced;
mod restore;
mod rewrite;
mod rows;
pub mod sequence;
mod shared_catalog;
mod snapshot;
mod staging;
mod store;
mod survivors;
mod system_table;
mod table;
mod temporary;
mod upkeep;
mod upload;
mod vacuum;
mod write;
mod z_order;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};

pub use alter::Alteration;
pub use changes::Changes;
pub use commit::CommitGate;
pub use create::NewRows;
pub use detail::Detail;
pub use directory::{DataDirectory, Holder};
pub use location::Place;
pub use named_files::NamedFiles;
pub use open::Lake;
pub use optimize::{Layout, Optimized};
pub use provider::TableVersion;
pub use restore::Restored;
pub use rewrite::{ChangeKind, ChangePlan, ChangeTarget, RowAction, RowChange};
pub use staging::{Shape, Staged};
pub use system_table::SystemTable;
pub use temporary::{TemporaryTable, is_temporary};
pub use vacuum::{Needed, Retention, Vacuumed};

/// A table's or view's full name, folded as SQL folds it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// The schema.
    pub schema: String,
    /// The table.
    pub table: String,
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

/// A table or view of the catalog.
#[derive(Debug, Clone, PartialEq)]
pub struct Relation {
    /// Its name.
    pub name: TableName,
    /// An id that no other table ever has, 32 hex digits; a name that is dropped and created again gets a new one.
    pub id: String,
    /// What it is.
    pub kind: RelationKind,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// The directory of a table that lies outside of the data directory.
    pub location: Option<PathBuf>,
}

/// What a relation is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelationKind {
    /// A Delta table.
    Table,
    /// A stored query.
    View {
        /// The query's text.
        sql: String,
    },
}

/// A point in a table's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The latest version.
    Latest,
    /// `VERSION AS OF n`.
    Version(u64),
    /// `TIMESTAMP AS OF t`.
    Timestamp(DateTime<Utc>),
}

/// A table at one version.
#[derive(Debug, Clone)]
pub struct TableSnapshot {
    /// The table.
    pub relation: std::sync::Arc<Relation>,
    /// The version.
    pub version: u64,
    /// The columns, as Arrow types of the type table.
    pub schema: SchemaRef,
}

/// What to do where the name is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExisting {
    /// `CREATE TABLE`: an `AlreadyExists` error.
    Fail,
    /// `IF NOT EXISTS`: nothing.
    Keep,
    /// `OR REPLACE`: a new version of the same table with the new schema and content.
    Replace,
}

/// A table to create.
#[derive(Debug, Clone)]
pub struct NewTable {
    /// Its name.
    pub name: TableName,
    /// Its columns.
    pub schema: SchemaRef,
    /// The partition columns.
    pub partition_by: Vec<String>,
    /// `TBLPROPERTIES`.
    pub properties: BTreeMap<String, String>,
    /// `COMMENT`.
    pub comment: Option<String>,
    /// A directory outside of the data directory.
    pub location: Option<PathBuf>,
    /// Where the name is taken.
    pub on_existing: OnExisting,
}

/// What goes into a commit besides data.
#[derive(Debug, Clone, Default)]
pub struct CommitNotes {
    /// Keys for the commit's `commitInfo`: query id, principal, …
    pub info: BTreeMap<String, String>,
    /// Application transactions (id, version): a commit that has them happens once.
    pub transactions: Vec<(String, i64)>,
    /// Stops the statement until its commit begins; see [`CommitGate`].
    pub gate: CommitGate,
    /// The version of the written table that the plan reads as what is in it now. A rewrite (OVERWRITE, OR REPLACE)
    /// of another version is a conflict: it would lose what was written since.
    pub read: Option<u64>,
    /// Who wants to know how far the writing of a query's rows is.
    pub onlooker: Option<Arc<dyn Onlooker>>,
}

/// Somebody who waits for a write.
pub trait Onlooker: fmt::Debug + Send + Sync {
    /// The share of its rows that is written, from 0 to 1. It is told where the plan says how many there will be, which
    /// may be an estimate.
    fn done(&self, share: f64);
}

/// What a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Rows written.
    pub rows: u64,
    /// The table's version after it.
    pub version: u64,
}

/// One row of `DESCRIBE HISTORY`.
#[derive(Debug, Clone)]
pub struct Commit {
    /// The version that it made.
    pub version: u64,
    /// When.
    pub timestamp: DateTime<Utc>,
    /// The operation's name, as Delta writes it (`WRITE`, `CREATE TABLE`).
    pub operation: String,
    /// Its parameters, as JSON text.
    pub operation_parameters: String,
    /// Its metrics, as JSON text.
    pub operation_metrics: Option<String>,
    /// Who did it, where the commit says so.
    pub user_name: Option<String>,
    /// The statement that did it, where it is Limn's.
    pub query_id: Option<String>,
    /// What wrote the commit, where it says so.
    pub engine: Option<String>,
}

/// Says which table versions must stay readable; the registry implements it.
pub trait Pins: Send + Sync {
    /// The pinned versions of a table, ascending.
    fn pinned(&self, table_id: &str) -> Vec<u64>;

    /// The same with who needs each of them, in words; a version that two need comes twice.
    fn pinned_by(&self, table_id: &str) -> Vec<(u64, String)>;
}
