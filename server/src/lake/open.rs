//! One open lake. The bodies follow.

use std::path::Path;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::execution::SessionState;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::LogicalPlan;

use super::disk::Disk;
use super::*;
use crate::Result;

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
    /// Opens the lake of a data directory; call it inside a tokio runtime.
    pub fn open(directory: DataDirectory, disk: Arc<dyn Disk>) -> Result<Lake> { let _ = (directory, disk); unimplemented!() }
    /// The data directory.
    pub fn directory(&self) -> &DataDirectory { unimplemented!() }
    /// Who says which versions must stay readable.
    pub fn set_pins(&self, pins: Arc<dyn Pins>) { let _ = pins; unimplemented!() }
    /// Removes what a crash left behind; call it once the pins are set.
    pub async fn sweep(&self) -> Result<()> { unimplemented!() }
    /// Waits until background work (checkpoints, removals) has nothing left to do.
    pub async fn settle(&self) { unimplemented!() }
    /// Makes the lake's store known to an environment that is going to scan its tables.
    pub fn register_stores(&self, env: &RuntimeEnv) { let _ = env; unimplemented!() }
}
