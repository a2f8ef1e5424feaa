//! The engine: SQL, parameters and a statement context in; a schema and a stream of Arrow batches out.
//!
//! This is the whole seam between protocols and the lakehouse. An edge describes a statement (nothing is executed),
//! executes it, and browses the catalog; it sees neither plans nor tables. Nothing in here names a protocol.
//!
//! # Layout
//! - [`context`], [`session`]: who runs a statement, in which session, on which snapshots
//! - `open`: what all statements share; `catalog`: the catalog as one statement sees it
//! - `temporaries`: the tables that one session has besides
//! - `information_schema`: the standard's views of the catalog
//! - `plan`, `columns`, `features`, `models`: from a parsed statement to a plan; columns of one name; by-name
//!   features; model references;
//!   `session_functions`: `current_schema()` and the like
//! - `predictions`: models made smaller by what a query says of their features; `explain`: what `EXPLAIN` says of them
//! - `ready`: a query that is planned and has not run
//! - `insert_rows`: an `INSERT` of many bound rows as one plan; `yielding`: joins that can be stopped
//! - `execute`: what happens to each statement; `output`: what leaves the engine
//! - `insert`, `copy`, `table_statements`, `care`, `model_statements`, `user_statements`, `settings`, `train`: effects,
//!   one family a file
//! - `ingest`: rows from outside into a table
//! - `parameters`, `types`: what bound parameters are, what type names in expressions mean
//! - [`queries`]: what runs, waits and ran; `live_tables` shows it, `query_history` keeps it, `kill` stops it
//! - `maintenance`: what the lake did in the background
//! - `memory`: what one statement may take
//! - `lineage`: which models take part in what a statement writes
//! - `export`: a model as a file
//! - `recorded`, `reproduce`: what a training keeps of its statement, and the training once more
//! - `fuzzed`: what holds for any text and any artifact
//! - `show`, `show_table`, `describe_model`: small tables about the catalog and the registry

mod care;
mod catalog;
mod change;
mod change_insert;
mod change_plan;
mod columns;
pub mod context;
mod copy;
mod describe_model;
mod execute;
mod explain;
mod export;
mod features;
#[cfg(test)]
pub mod fuzzed;
mod information_schema;
mod ingest;
mod insert;
mod insert_rows;
mod json_functions;
mod kill;
mod lateral_unnest;
mod lineage;
mod live_tables;
mod lost;
mod maintenance;
mod memory;
mod model_cache;
mod model_partitions;
mod model_statements;
mod models;
mod open;
mod output;
mod parameters;
mod plan;
mod predictions;
pub mod queries;
mod query_history;
mod ready;
mod recorded;
mod refresh;
mod reproduce;
pub mod session;
mod session_functions;
mod settings;
mod show;
mod show_table;
mod table_statements;
mod temporaries;
mod tending;
mod train;
mod types;
mod user_statements;
mod yielding;

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::scalar::ScalarValue;
use futures::Stream;
use futures::future::BoxFuture;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use kill::stop_refused;
pub use live_tables::KeptSessions;
pub use queries::{Queries, Run};
pub use ready::ReadyQuery;

pub use crate::sql::transaction::AppTransaction;
pub use context::{Principal, Progress, Snapshots, StatementContext};
pub use ingest::{IfExists, IfMissing, IngestRequest};
pub use session::{CATALOG, DEFAULT_SCHEMA, Session};
pub use settings::{WIRE_TYPES, wire_types};

pub use crate::lake::types::{WireTypes, parameter_type, sql_name};
pub use crate::lake::{DataDirectory, Holder};
pub use crate::registry::users::{LocalSecret, Proof, Users, read_local_secret};
pub use crate::sql::placeholder::number_placeholders;

use catalog::Scope;

use crate::Result;
use crate::lake::disk::Disk;
use crate::lake::types::wire_schema;
use crate::lake::{At, RelationKind};
use crate::limits::Limits;
use crate::sql::ObjectRef;
use crate::telemetry::Metrics;

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

/// What running a statement takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Next to nothing (`SHOW`): it waits for nobody.
    Light,
    /// Next to nothing, and it changes something (`SET`, `USE`, `KILL`).
    LightEffect,
    /// Reading, for as long as its rows are read.
    Query,
    /// Changing something.
    Effect,
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
    /// Whether other servers share the data directory; `None` where that is as it was made.
    pub shared: Option<bool>,
    /// The memory pool of all statements, in bytes.
    pub memory_bytes: usize,
    /// Where bytes are written: the machine's disk, or one under test.
    pub disk: Arc<dyn Disk>,
    /// What an operator may set.
    pub limits: Limits,
    /// Where statements are counted.
    pub metrics: Metrics,
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

// The futures behind its functions are boxed: nested as they are, their types would be too deep for the compiler, and
// each edge that awaits one would compile it again.

/// The engine over one open data directory. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<open::Inner>,
    /// Stops the saving of ended statements with the last clone.
    #[expect(dead_code, reason = "held for its drop")]
    saving: Arc<DropGuard>,
}

impl Engine {
    /// Opens the data directory, recovers what a crash left, and is ready to answer.
    ///
    /// Fails with `Unavailable` where another live server holds the directory (and says which), with `Unsupported`
    /// where a newer Limn wrote it.
    pub async fn open(options: EngineOptions) -> Result<Self> {
        let inner = Arc::new(open::open(options).await?);
        let stop = CancellationToken::new();
        tokio::spawn(query_history::keep_saving(Arc::downgrade(&inner), stop.clone()));
        tokio::spawn(tending::keep_tending(Arc::downgrade(&inner), stop.clone()));
        Ok(Engine { inner, saving: Arc::new(stop.drop_guard()) })
    }

    /// What `sql` would answer; executes nothing and has no effect.
    pub async fn describe(&self, ctx: &StatementContext, sql: &str) -> Result<Description> {
        self.plan(ctx, sql).await.map(|(description, _)| description)
    }

    /// What `sql` would answer, and its plan, where one is worth keeping: that of a query without parameters which
    /// would be planned the same way again. Executes nothing and has no effect.
    pub async fn plan(&self, ctx: &StatementContext, sql: &str) -> Result<(Description, Option<ReadyQuery>)> {
        let description: BoxFuture<'_, _> = Box::pin(async {
            self.inner.refresh().await?;
            execute::describe(&self.inner, ctx, sql).await
        });
        ctx.run(description).await
    }

    /// Runs a query as it was planned.
    pub async fn run(&self, ctx: &StatementContext, query: ReadyQuery) -> Result<Answer> {
        let running: BoxFuture<'_, _> = Box::pin(query.run(ctx));
        running.await
    }

    /// Runs one statement. A query streams; an effect is complete (durable and visible) when this returns.
    ///
    /// Dropping the future stops the statement until its commit begins; from there it completes.
    pub async fn execute(&self, ctx: &StatementContext, sql: &str, parameters: &[ScalarValue]) -> Result<Answer> {
        let execution: BoxFuture<'_, Result<Answer>> = Box::pin(async {
            self.inner.refresh().await?;
            execute::execute(&self.inner, ctx, sql, parameters).await
        });
        execution.await
    }

    /// Runs an `INSERT` of one row of `VALUES` for all rows of parameters, in one commit. The columns of `rows` are the
    /// parameters in order. `None`, and nothing has happened, where the statement is another one.
    pub async fn insert_rows(&self, ctx: &StatementContext, sql: &str, rows: &[RecordBatch]) -> Result<Option<Answer>> {
        let execution: BoxFuture<'_, _> = Box::pin(async {
            self.inner.refresh().await?;
            execute::insert_rows(&self.inner, ctx, sql, rows).await
        });
        execution.await
    }

    /// What running `sql` takes. It is parsed, no more; what cannot be parsed fails at once.
    pub fn work(&self, sql: &str) -> Work {
        execute::work(sql)
    }

    /// What runs, waits and ran. An edge begins a run here for each statement.
    pub fn queries(&self) -> &Queries {
        &self.inner.queries
    }

    /// The limits that were set.
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// Says which sessions an edge keeps, for `system.sessions`. The first edge to say so stays.
    pub fn show_sessions(&self, kept: Arc<dyn KeptSessions>) {
        let _first = self.inner.kept_sessions.set(kept);
    }

    /// Takes the rows of `batches`, which have the columns of `schema`, into a table: all of them in one durable
    /// commit, or none. Answers how many rows there were.
    ///
    /// An error among the batches, or `ctx.cancel`, ends it without a trace as long as the commit has not begun.
    pub async fn ingest(
        &self,
        ctx: &StatementContext,
        request: IngestRequest,
        schema: SchemaRef,
        batches: BatchStream,
    ) -> Result<u64> {
        self.inner.refresh().await?;
        ingest::run(&self.inner, ctx, request, schema, batches).await
    }

    /// Makes visible what servers that share the data directory answered before. Statements do so by themselves.
    pub async fn refresh(&self) -> Result<()> {
        self.inner.refresh().await
    }

    /// Whether other servers share the data directory.
    pub fn is_shared(&self) -> bool {
        self.inner.directory.member().is_some()
    }

    /// The schemas of the catalog, `main`, `system` and `information_schema` included, in order.
    pub fn schemas(&self) -> Vec<String> {
        schema_names(&self.inner)
    }

    /// All tables and views, ordered by schema and name.
    pub fn tables(&self) -> Vec<CatalogTable> {
        let lake = &self.inner.lake;
        let mut tables = Vec::new();
        for schema in schema_names(&self.inner) {
            match schema.as_str() {
                SYSTEM_SCHEMA => tables.extend(live_tables::system_table_names().iter().map(|name| CatalogTable {
                    schema: schema.clone(),
                    name: (*name).into(),
                    table_type: "SYSTEM TABLE",
                })),
                INFORMATION_SCHEMA => tables.extend(information_schema::TABLES.iter().map(|name| CatalogTable {
                    schema: schema.clone(),
                    name: (*name).into(),
                    table_type: "VIEW",
                })),
                _ => tables.extend(lake.relations(&schema).unwrap_or_default().iter().map(|relation| CatalogTable {
                    schema: schema.clone(),
                    name: relation.name.table.clone(),
                    table_type: table_type(&relation.kind),
                })),
            }
        }
        tables.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
        tables
    }

    /// The temporary tables of a statement's session, as if they were in its schema, in order.
    pub fn temporary_tables(&self, ctx: &StatementContext) -> Vec<CatalogTable> {
        let schema = ctx.session.schema();
        let listed = |relation: &Arc<crate::lake::Relation>| CatalogTable {
            schema: schema.clone(),
            name: relation.name.table.clone(),
            table_type: TEMPORARY_TABLE,
        };
        ctx.session.temporaries.list().iter().map(listed).collect()
    }

    /// The wire schema of one table or view, with the nullability of its columns.
    pub async fn table_schema(&self, ctx: &StatementContext, schema: &str, table: &str) -> Result<SchemaRef> {
        self.inner.refresh().await?;
        let scope = Scope::new(&self.inner, ctx);
        // Where both are listed under one name, the temporary table is the one.
        let temporary = schema == ctx.session.schema() && ctx.session.temporaries.find(table).is_some();
        let schema = (!temporary).then(|| schema.to_string());
        let name = scope.named(&ObjectRef { schema, name: table.to_string() });
        let provider = ctx.run(scope.table(&name, At::Latest)).await?;
        Ok(wire_schema(&provider.schema()))
    }

    /// Says in the data directory's lock where this server answers, for tools that look for it.
    pub fn announce(&self, flight: &str, http: &str, local: &str) -> Result<()> {
        self.inner.directory.announce(flight, http, local)
    }

    /// Who may use this server.
    pub fn users(&self) -> &Users {
        &self.inner.users
    }

    /// Waits for background work (folding, checkpoints) to reach a stopping point.
    pub async fn close(&self) {
        if let Err(error) = self.inner.history.save(&self.inner.queries).await {
            tracing::warn!(%error, "the last rows of system.queries are lost: they could not be saved");
        }
        self.inner.registry.close().await;
        self.inner.lake.end_care();
        self.inner.lake.settle().await;
        if let Some(member) = self.inner.directory.member()
            && let Err(error) = member.leave()
        {
            tracing::warn!(%error, "the other servers will have to find out that this one has left");
        }
    }
}

/// The type of temporary tables, in the standard's words.
pub const TEMPORARY_TABLE: &str = "LOCAL TEMPORARY";

/// The schema of Limn's own tables.
pub const SYSTEM_SCHEMA: &str = "system";
/// The schema of the standard's catalog views.
pub const INFORMATION_SCHEMA: &str = "information_schema";

/// All schemas in order.
fn schema_names(inner: &open::Inner) -> Vec<String> {
    let mut names = inner.lake.schemas();
    names.extend([SYSTEM_SCHEMA.to_string(), INFORMATION_SCHEMA.to_string()]);
    names.sort();
    names
}

/// A relation's type in the standard's words.
fn table_type(kind: &RelationKind) -> &'static str {
    match kind {
        RelationKind::Table => "TABLE",
        RelationKind::View { .. } => "VIEW",
    }
}
