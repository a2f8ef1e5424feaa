//! One run of a statement, as `system.queries` shows it, and runs as rows of Arrow.
//!
//! Plain data: it knows neither how a statement runs nor where its row is kept.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use chrono::{DateTime, Utc};

use crate::Result;

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// It was planned, and its rows may be asked for.
    Planned,
    /// It waits for others to end.
    Queued,
    /// It is planned or executed, or its rows are read.
    Running,
    /// It ended well.
    Finished,
    /// It ended with an error.
    Failed,
    /// It was stopped: by its client, by `KILL QUERY`, or because its client went away.
    Cancelled,
    /// It was planned, and nobody asked for its rows in time.
    Abandoned,
}

impl RunState {
    /// The text in `system.queries.state`.
    pub fn name(self) -> &'static str {
        match self {
            RunState::Planned => "planned",
            RunState::Queued => "queued",
            RunState::Running => "running",
            RunState::Finished => "finished",
            RunState::Failed => "failed",
            RunState::Cancelled => "cancelled",
            RunState::Abandoned => "abandoned",
        }
    }
}

/// One run of a statement. A ticket that is redeemed twice makes two, with one query id.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryRecord {
    /// The statement's id.
    pub query_id: String,
    /// The session in which it runs.
    pub session_id: String,
    /// Who runs it.
    pub principal: String,
    /// Its text, without what looks like a secret.
    pub statement: String,
    /// `query` or `effect`; `None` before that is known.
    pub kind: Option<&'static str>,
    /// Where it stands.
    pub state: RunState,
    /// When it arrived.
    pub queued_at: DateTime<Utc>,
    /// When it was let in.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// From its start until its rows could flow, in milliseconds; `None` for an effect.
    pub planning_ms: Option<u64>,
    /// From then on, or from its start; the time that its reader took is in it.
    pub execution_ms: Option<u64>,
    /// From its arrival to its end.
    pub total_ms: Option<u64>,
    /// Rows sent.
    pub rows: u64,
    /// Bytes of Arrow data sent.
    pub bytes: u64,
    /// Rows changed, where it was an effect that counts them.
    pub rows_changed: Option<u64>,
    /// The most memory that it had reserved at once.
    pub peak_memory_bytes: u64,
    /// The class of its error.
    pub error_class: Option<&'static str>,
    /// The beginning of its error's text.
    pub error: Option<String>,
    /// What the client calls itself.
    pub client: Option<String>,
}

/// The columns of `system.queries`.
pub static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let text = |name, nullable| Field::new(name, DataType::Utf8, nullable);
    let time =
        |name, nullable| Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), nullable);
    let number = |name, nullable| Field::new(name, DataType::Int64, nullable);
    Arc::new(Schema::new(vec![
        text("query_id", false),
        text("session_id", false),
        text("principal", false),
        text("statement", false),
        text("kind", true),
        text("state", false),
        time("queued_at", false),
        time("started_at", true),
        time("ended_at", true),
        number("planning_ms", true),
        number("execution_ms", true),
        number("total_ms", true),
        number("rows", false),
        number("bytes", false),
        number("rows_changed", true),
        number("peak_memory_bytes", false),
        text("error_class", true),
        text("error", true),
        text("client", true),
    ]))
});

/// The runs as rows, in the order given.
pub fn batch(records: &[Arc<QueryRecord>]) -> Result<RecordBatch> {
    let text = |of: fn(&QueryRecord) -> Option<&str>| -> ArrayRef {
        Arc::new(records.iter().map(|record| of(record)).collect::<StringArray>())
    };
    let time = |of: fn(&QueryRecord) -> Option<DateTime<Utc>>| -> ArrayRef {
        let micros = records.iter().map(|record| of(record).map(|at| at.timestamp_micros()));
        Arc::new(micros.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
    };
    let number = |of: fn(&QueryRecord) -> Option<u64>| -> ArrayRef {
        let numbers = records.iter().map(|record| of(record).map(|n| i64::try_from(n).unwrap_or(i64::MAX)));
        Arc::new(numbers.collect::<Int64Array>())
    };
    let columns = vec![
        text(|r| Some(&r.query_id)),
        text(|r| Some(&r.session_id)),
        text(|r| Some(&r.principal)),
        text(|r| Some(&r.statement)),
        text(|r| r.kind),
        text(|r| Some(r.state.name())),
        time(|r| Some(r.queued_at)),
        time(|r| r.started_at),
        time(|r| r.ended_at),
        number(|r| r.planning_ms),
        number(|r| r.execution_ms),
        number(|r| r.total_ms),
        number(|r| Some(r.rows)),
        number(|r| Some(r.bytes)),
        number(|r| r.rows_changed),
        number(|r| Some(r.peak_memory_bytes)),
        text(|r| r.error_class),
        text(|r| r.error.as_deref()),
        text(|r| r.client.as_deref()),
    ];
    Ok(RecordBatch::try_new(Arc::clone(&SCHEMA), columns)?)
}

/// The time in whole microseconds, as tables store it.
pub fn now() -> DateTime<Utc> {
    let now = Utc::now();
    DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now)
}

/// At most `chars` characters of a text, with `…` where something is missing.
pub fn cut(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        None => text.to_string(),
        Some(_) => text.chars().take(chars.saturating_sub(1)).chain(['…']).collect(),
    }
}
