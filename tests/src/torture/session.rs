//! Sends a writer's statements over Flight SQL, one after the other, and writes down what became of each.
//!
//! An effect's ticket names its query, as the commit in the log does; so does the header of a refusal. It knows nothing
//! of what the statements mean.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use arrow_flight::FlightInfo;
use arrow_flight::sql::{Any, TicketStatementQuery};
use prost::Message;
use tonic::Status;

use super::op::{Op, Rows};
use super::writer::TABLES;
use crate::raw::{Raw, ingest_mode, statement};
use crate::{Context, Outcome};

/// The header that names a refused statement.
const QUERY_ID_HEADER: &str = "limn-query-id";

/// A statement that was sent.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Of which table, by its number.
    pub table: usize,
    /// What.
    pub op: Op,
    /// What came back.
    pub reply: Reply,
}

/// What came back.
#[derive(Debug, Clone)]
pub enum Reply {
    /// It is done.
    Done(Answer),
    /// It was refused, with gRPC's code and a text, by the server.
    Refused {
        /// Its id.
        query_id: String,
        /// The code and the text.
        status: String,
        /// Whether it is a conflict with another writer, which may be refused.
        conflict: bool,
    },
    /// The connection ended before an answer came.
    None(String),
}

/// What an answer says.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// The statement's id; an ingest does not say it.
    pub query_id: Option<String>,
    /// Rows that changed; for a statement that answers a row, 1 where it says to have done something.
    pub changed: u64,
    /// The version that it says to have made, where it says so.
    pub version: Option<u64>,
}

/// The part of a ticket that names the statement.
#[derive(Clone, PartialEq, Message)]
struct Named {
    #[prost(string, tag = "2")]
    query_id: String,
}

fn query_id(info: &FlightInfo) -> Outcome<String> {
    let ticket = info.endpoint.first().and_then(|endpoint| endpoint.ticket.as_ref()).context("no ticket")?;
    let statement: TicketStatementQuery = Any::decode(ticket.ticket.as_ref())?.unpack()?.context("another ticket")?;
    Ok(Named::decode(statement.statement_handle)?.query_id)
}

/// Rows as a batch.
fn batch(rows: &Rows) -> Outcome<RecordBatch> {
    let column = |of: Vec<i64>| Arc::new(Int64Array::from(of)) as ArrayRef;
    Ok(RecordBatch::try_from_iter_with_nullable([
        ("id", column(rows.keys().copied().collect()), true),
        ("n", column(rows.values().map(|row| row.n).collect()), true),
        ("p", column(rows.values().map(|row| row.p).collect()), true),
    ])?)
}

/// Sends one statement.
pub async fn send(raw: &mut Raw, table: usize, op: Op) -> Outcome<Asked> {
    let (name, _) = TABLES[table];
    let sent = match &op {
        Op::Ingest(rows) => {
            let rows = batch(rows)?;
            let ingested = raw.ingest(&ingest_mode(name, "append"), vec![rows]).await;
            ingested.map(|rows| Answer { changed: u64::try_from(rows).unwrap_or(0), ..Answer::default() })
        }
        other => match raw.info(&statement(&other.sql(name))).await {
            Ok(info) => answer(raw, &op, &info).await?,
            Err(status) => Err(status),
        },
    };
    let reply = match sent {
        Ok(answer) => Reply::Done(answer),
        Err(status) => refusal(&status),
    };
    Ok(Asked { table, op, reply })
}

async fn answer(raw: &mut Raw, op: &Op, info: &FlightInfo) -> Outcome<Result<Answer, Status>> {
    let query_id = Some(query_id(info)?);
    if !op.answers_rows() {
        let changed = u64::try_from(info.total_records).context("an effect without a count")?;
        return Ok(Ok(Answer { query_id, changed, version: None }));
    }
    // That the statement is done is known from here on, whether its row can be had or not.
    let Ok(rows) = raw.batch(info).await else { return Ok(Ok(Answer { query_id, ..Answer::default() })) };
    let number = |column: usize| rows.column(column).as_primitive_opt::<Int64Type>().map(|column| column.value(0));
    let (version, second) = (number(0).context("a version")?, number(1).context("a second number")?);
    // A second number of `OPTIMIZE` is the files that are gone, of `RESTORE` the version that the table is like.
    let changed = match op {
        Op::Restore(_) => version != second,
        _ => second > 0,
    };
    let version = changed.then_some(u64::try_from(version)?);
    Ok(Ok(Answer { query_id, changed: u64::from(changed), version }))
}

fn refusal(status: &Status) -> Reply {
    let said = status.metadata().get(QUERY_ID_HEADER).and_then(|id| id.to_str().ok());
    let text = format!("{:?}: {}", status.code(), status.message());
    match said {
        Some(id) => {
            Reply::Refused { query_id: id.to_string(), status: text, conflict: status.code() == tonic::Code::Aborted }
        }
        None => Reply::None(text),
    }
}
