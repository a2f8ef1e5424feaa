//! Delta tables of Limn's own, under `system/` and outside the catalog: what the registry folds its rows into.
//!
//! They are plain Delta tables that any reader can open. They only grow by appends, so none of their commits can
//! conflict with another. This file does not know what is in them.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;

use super::{CommitNotes, Lake, Written};
use crate::Result;

/// A Delta table of Limn's own. Cheap to clone.
#[derive(Clone)]
pub struct SystemTable {
    _inner: Arc<()>,
}

impl Lake {
    /// Opens the system table `name`, creating it with these columns where it does not exist.
    ///
    /// Fails with `Internal` where it exists with other columns.
    pub async fn system_table(&self, name: &str, schema: SchemaRef) -> Result<SystemTable> {
        let _ = (name, schema);
        unimplemented!()
    }
}

impl SystemTable {
    /// The columns.
    pub fn schema(&self) -> SchemaRef {
        unimplemented!()
    }

    /// Appends rows in one commit, which is durable when this returns.
    ///
    /// Where an application transaction of `notes` was recorded before, nothing is written and `rows` is 0.
    pub async fn append(&self, batches: Vec<RecordBatch>, notes: CommitNotes) -> Result<Written> {
        let _ = (batches, notes);
        unimplemented!()
    }

    /// The version that an application transaction recorded last.
    pub async fn transaction_version(&self, app_id: &str) -> Result<Option<i64>> {
        let _ = app_id;
        unimplemented!()
    }

    /// What DataFusion scans: the latest version.
    pub async fn provider(&self) -> Result<Arc<dyn TableProvider>> {
        unimplemented!()
    }

    /// All rows of the latest version.
    pub async fn read(&self) -> Result<Vec<RecordBatch>> {
        unimplemented!()
    }
}
