//! The engine: SQL, parameters and a statement context in; a schema and a stream of Arrow batches out.
//!
//! This is the whole seam between protocols and the lakehouse. An edge describes a statement (nothing is executed),
//! executes it, and browses the catalog; it sees neither plans nor tables. Nothing in here names a protocol.
//!
//! # Layout
//! - [`context`], [`session`]: who runs a statement, in which session, on which snapshots

pub mod context;
pub mod session;

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::scalar::ScalarValue;
use futures::Stream;

pub use context::{Principal, Snapshots, StatementContext};
pub use session::{CATALOG, DEFAULT_SCHEMA, Session};

use crate::lake::disk::Disk;
use crate::Result;

/// What a statement does to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Reads only; may be executed again at will.
    Query,
    /// Changes something and answers a count of rows (`INSERT`, DDL, `SET`); runs exactly once.
    Effect,
    /// Changes something and answers rows (`TRAIN MODEL`); runs exactly once.
    EffectWithRows,
}

/// What is known of a statement before it runs.
#[derive(Debug, Clone)]
pub struct Description {
    /// Query or effect.
    pub kind: Kind,
    /// The wire schema of the result, equal to that of every batch: a count column for [`Kind::Effect`] with rows,
    /// no column for effects without.
    pub schema: SchemaRef,
    /// The types of `$1`, `$2`, … in order; `None` where nothing in the statement says which.
    pub parameters: Vec<Option<DataType>>,
}

/// A stream of result batches.
pub type BatchStream = Pin<Box<dyn Stream<Item = Result<RecordBatch>> + Send>>;

/// A running query, or a finished effect.
pub struct Answer {
    /// The schema of every batch.
    pub schema: SchemaRef,
    /// The batches. Dropping it stops the query.
    pub batches: BatchStream,
    /// Rows changed, where the statement was an effect.
    pub affected: Option<u64>,
}

/// How to open an engine.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// The data directory.
    pub data_dir: PathBuf,
    /// The memory pool of all statements, in bytes.
    pub memory_bytes: usize,
    /// Where bytes are written: the machine's disk, or one under test.
    pub disk: Arc<dyn Disk>,
}

/// One row of the catalog.
#[derive(Debug, Clone)]
pub struct CatalogTable {
    /// The schema's name.
    pub schema: String,
    /// The table's name.
    pub name: String,
    /// `TABLE`, `VIEW` or `SYSTEM TABLE`.
    pub table_type: &'static str,
}

/// The engine over one open data directory. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    _inner: Arc<()>,
}

impl Engine {
    /// Opens the data directory, recovers what a crash left, and is ready to answer.
    ///
    /// Fails with `Unavailable` where another live server holds the directory (and says which), with `Unsupported`
    /// where a newer Limn wrote it.
    pub async fn open(options: EngineOptions) -> Result<Self> {
        let _ = options;
        unimplemented!()
    }

    /// What `sql` would answer; executes nothing and has no effect.
    pub async fn describe(&self, ctx: &StatementContext, sql: &str) -> Result<Description> {
        let _ = (ctx, sql);
        unimplemented!()
    }

    /// Runs one statement. A query streams; an effect is complete (durable and visible) when this returns.
    pub async fn execute(&self, ctx: &StatementContext, sql: &str, parameters: &[ScalarValue]) -> Result<Answer> {
        let _ = (ctx, sql, parameters);
        unimplemented!()
    }

    /// The schemas of the catalog, `main`, `system` and `information_schema` included, in order.
    pub fn schemas(&self) -> Vec<String> {
        unimplemented!()
    }

    /// All tables and views, ordered by schema and name.
    pub fn tables(&self) -> Vec<CatalogTable> {
        unimplemented!()
    }

    /// The wire schema of one table or view.
    pub async fn table_schema(&self, ctx: &StatementContext, schema: &str, table: &str) -> Result<SchemaRef> {
        let _ = (ctx, schema, table);
        unimplemented!()
    }

    /// Waits for background work (folding, checkpoints) to reach a stopping point and releases the directory.
    pub async fn close(&self) {
        unimplemented!()
    }
}
