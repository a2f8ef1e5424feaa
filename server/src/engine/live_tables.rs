//! System tables that show what is going on and who may take part: `system.queries`, `system.sessions`,
//! `system.maintenance`, `system.users` and `system.tokens`; and the groups of partitioned models, which are in their
//! artifacts.
//!
//! Their rows are made when a query reads them. What runs in which session the engine's activity knows; which sessions
//! an edge keeps, only the edge does, so it says so through a trait. Only statements that have ended have a past.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use chrono::{DateTime, Utc};
use datafusion::catalog::{MemTable, TableProvider};

use super::SYSTEM_SCHEMA;
use super::maintenance;
use super::model_partitions::ModelPartitions;
use super::open::Inner;
use super::session::Session;
use super::user_statements;
use crate::lake::{At, TableName};
use crate::registry::SystemTable;
use crate::{Error, Result};

/// The sessions that an edge keeps.
pub trait KeptSessions: fmt::Debug + Send + Sync {
    /// All that have not expired.
    fn kept_sessions(&self) -> Vec<Arc<Session>>;
}

/// A system table that is made when it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LiveTable {
    /// `system.maintenance`
    Maintenance,
    /// `system.model_partitions`
    ModelPartitions,
    /// `system.queries`
    Queries,
    /// `system.sessions`
    Sessions,
    /// `system.tokens`
    Tokens,
    /// `system.users`
    Users,
}

impl LiveTable {
    /// All of them.
    pub(super) const ALL: [LiveTable; 6] = [
        LiveTable::Maintenance,
        LiveTable::ModelPartitions,
        LiveTable::Queries,
        LiveTable::Sessions,
        LiveTable::Tokens,
        LiveTable::Users,
    ];

    /// The table's name in the schema `system`.
    pub(super) fn name(self) -> &'static str {
        match self {
            LiveTable::Maintenance => "maintenance",
            LiveTable::ModelPartitions => "model_partitions",
            LiveTable::Queries => "queries",
            LiveTable::Sessions => "sessions",
            LiveTable::Tokens => "tokens",
            LiveTable::Users => "users",
        }
    }

    /// The table of that name.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }

    /// What a query scans.
    pub(super) async fn provider(self, inner: &Inner, at: At) -> Result<Arc<dyn TableProvider>> {
        match (self, at) {
            (LiveTable::Queries, At::Latest) => inner.history.provider(&inner.queries, None).await,
            (LiveTable::Queries, At::Timestamp(at)) => {
                let now = Utc::now();
                if at > now {
                    return Err(Error::input(format!("expected a time that has passed, found `{at}`; it is `{now}`")));
                }
                inner.history.provider(&inner.queries, Some(at)).await
            }
            (LiveTable::Queries, At::Version(_)) => {
                Err(self.no_versions("TIMESTAMP AS OF shows what had ended by then"))
            }
            (LiveTable::ModelPartitions, At::Latest) => Ok(Arc::new(ModelPartitions::new(inner.registry.clone()))),
            (LiveTable::ModelPartitions, _) => Err(self.no_versions("it has the versions of all models")),
            (LiveTable::Sessions, At::Latest) => scanned(sessions(inner)?),
            (LiveTable::Maintenance, At::Latest) => scanned(maintenance::rows(&inner.lake)?),
            (LiveTable::Maintenance, _) => Err(self.no_versions("it shows what was done since the server started")),
            // Neither secrets nor their hashes are in them.
            (LiveTable::Users, At::Latest) => scanned(user_statements::show_users(&inner.users)?),
            (LiveTable::Tokens, At::Latest) => scanned(user_statements::show_tokens(&inner.users)?),
            (LiveTable::Users | LiveTable::Tokens, _) => Err(self.no_versions("it shows those of now")),
            (LiveTable::Sessions, _) => Err(self.no_versions("it shows the sessions of now")),
        }
    }

    fn no_versions(self, hint: &str) -> Error {
        Error::unsupported(format!("`{SYSTEM_SCHEMA}.{}` has no versions", self.name())).with_hint(hint)
    }
}

/// Whether the table is one of them.
pub(super) fn is_live(name: &TableName) -> bool {
    name.schema == SYSTEM_SCHEMA && LiveTable::from_name(&name.table).is_some()
}

fn scanned(rows: RecordBatch) -> Result<Arc<dyn TableProvider>> {
    Ok(Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows]])?))
}

/// The names of all system tables, in order.
pub(super) fn system_table_names() -> Vec<&'static str> {
    let kept = SystemTable::ALL.into_iter().map(SystemTable::name);
    let mut names: Vec<&str> = kept.chain(LiveTable::ALL.map(LiveTable::name)).collect();
    names.sort_unstable();
    names
}

fn sessions_schema() -> SchemaRef {
    let text = |name, nullable| Field::new(name, DataType::Utf8, nullable);
    let time = |name| Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false);
    Arc::new(Schema::new(vec![
        text("session_id", false),
        text("principal", true),
        time("created_at"),
        time("last_used_at"),
        text("schema", false),
        text("settings", false),
        text("client", true),
        Field::new("running_statements", DataType::Int64, false),
    ]))
}

/// The sessions that are kept and those in which something runs, by the time of their making.
fn sessions(inner: &Inner) -> Result<RecordBatch> {
    let kept = inner.kept_sessions.get().map(|edge| edge.kept_sessions()).unwrap_or_default();
    let running = inner.queries.running_by_session();
    let mut all: BTreeMap<(DateTime<Utc>, String), (Arc<Session>, u64)> = BTreeMap::new();
    for session in kept {
        all.insert((session.created_at, session.id.clone()), (session, 0));
    }
    for (session, count) in running.into_values() {
        all.insert((session.created_at, session.id.clone()), (session, count));
    }
    let all: Vec<(Arc<Session>, u64)> = all.into_values().collect();
    let texts = |of: &dyn Fn(&Session) -> Option<String>| -> ArrayRef {
        Arc::new(all.iter().map(|(session, _)| of(session)).collect::<StringArray>())
    };
    let times = |of: &dyn Fn(&Session) -> DateTime<Utc>| -> ArrayRef {
        let micros = all.iter().map(|(session, _)| Some(of(session).timestamp_micros()));
        Arc::new(micros.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
    };
    let counts = all.iter().map(|(_, count)| i64::try_from(*count).ok()).collect::<Int64Array>();
    let columns = vec![
        texts(&|session| Some(session.id.clone())),
        texts(&|session| session.last_use().principal),
        times(&|session| session.created_at),
        times(&|session| session.last_use().at),
        texts(&|session| Some(session.schema())),
        texts(&|session| serde_json::to_string(&session.settings()).ok()),
        texts(&|session| session.last_use().client),
        Arc::new(counts),
    ];
    Ok(RecordBatch::try_new(sessions_schema(), columns)?)
}
