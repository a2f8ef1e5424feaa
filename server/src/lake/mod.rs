//! The lake: the catalog, Delta tables, the one commit path, files that SQL reads. The only place that knows deltalake.
//!
//! # Layout
//! - [`disk`]: what is asked of a disk when writing; every durable byte of Limn goes through it
//! - [`files`]: CSV and Parquet files that SQL reads where they lie; [`types`]: the type table

pub mod disk;
pub mod files;
pub mod types;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;

use crate::Result;

/// A table's or view's full name, folded as SQL folds it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// The schema.
    pub schema: String,
    /// The table.
    pub table: String,
}

/// A table or view of the catalog.
#[derive(Debug, Clone)]
pub struct Relation {
    /// Its name.
    pub name: TableName,
    /// An id that no other table ever has, 32 hex digits; a name that is dropped and created again gets a new one.
    pub id: String,
    /// What it is.
    pub kind: RelationKind,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

/// What a relation is.
#[derive(Debug, Clone)]
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
    pub relation: Arc<Relation>,
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
}

/// Says which table versions must stay readable; the registry implements it.
pub trait Pins: Send + Sync {
    /// The pinned versions of a table, ascending.
    fn pinned(&self, table_id: &str) -> Vec<u64>;
}

/// The lake of one data directory. Cheap to clone.
#[derive(Clone)]
pub struct Lake {
    _inner: Arc<()>,
}

// The signatures that the engine relies on.
impl Lake {
    /// The schemas, `main` first by name order; `system` and `information_schema` are not the lake's.
    pub fn schemas(&self) -> Vec<String> { unimplemented!() }
    /// All relations of a schema by name; `None` for an unknown schema.
    pub fn relations(&self, schema: &str) -> Option<Vec<Arc<Relation>>> { let _ = schema; unimplemented!() }
    /// The relation of that name.
    pub fn find(&self, name: &TableName) -> Option<Arc<Relation>> { let _ = name; unimplemented!() }
    /// The relation of that name, or an error that offers the nearest.
    pub fn relation(&self, name: &TableName) -> Result<Arc<Relation>> { let _ = name; unimplemented!() }
    /// Creates a schema; `false` where it was there and that is allowed.
    pub async fn create_schema(&self, name: &str, if_not_exists: bool) -> Result<bool> { let _ = (name, if_not_exists); unimplemented!() }
    /// Drops a schema; with `cascade` all that is in it.
    pub async fn drop_schema(&self, name: &str, if_exists: bool, cascade: bool) -> Result<bool> { let _ = (name, if_exists, cascade); unimplemented!() }
    /// Stores a view.
    pub async fn create_view(&self, name: &TableName, sql: &str, on_existing: OnExisting) -> Result<bool> { let _ = (name, sql, on_existing); unimplemented!() }
    /// Drops a table (`view` = false) or a view.
    pub async fn drop_relation(&self, name: &TableName, view: bool, if_exists: bool) -> Result<bool> { let _ = (name, view, if_exists); unimplemented!() }
    /// Creates an empty table; `false` where it was there and that is allowed.
    pub async fn create_table(&self, table: NewTable, notes: CommitNotes) -> Result<bool> { let _ = (table, notes); unimplemented!() }
    /// Creates a table with the rows of `plan`, in one commit. `None` where it was there and that is allowed.
    pub async fn create_table_as(&self, table: NewTable, plan: LogicalPlan, state: &SessionState, notes: CommitNotes) -> Result<Option<Written>> { let _ = (table, plan, state, notes); unimplemented!() }
    /// Appends the rows of `plan` (columns in the table's order), or replaces all rows by them.
    pub async fn insert(&self, name: &TableName, plan: LogicalPlan, overwrite: bool, state: &SessionState, notes: CommitNotes) -> Result<Written> { let _ = (name, plan, overwrite, state, notes); unimplemented!() }
    /// A table at a point of its history. An error that names the range where the point is outside.
    pub async fn snapshot(&self, relation: &Arc<Relation>, at: At) -> Result<TableSnapshot> { let _ = (relation, at); unimplemented!() }
    /// What DataFusion scans.
    pub async fn provider(&self, snapshot: &TableSnapshot) -> Result<Arc<dyn TableProvider>> { let _ = snapshot; unimplemented!() }
    /// The commits of a table, newest first.
    pub async fn history(&self, relation: &Arc<Relation>) -> Result<Vec<Commit>> { let _ = relation; unimplemented!() }
    /// The version that an application transaction recorded last.
    pub async fn transaction_version(&self, relation: &Arc<Relation>, app_id: &str) -> Result<Option<i64>> { let _ = (relation, app_id); unimplemented!() }
}
