//! Tickets as somebody would write them who has read what the server's tickets look like.
//!
//! The messages are written down here a second time, after the encoding that the server documents; so a change of it
//! shows. Nothing here decides what is a right answer.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, NullArray};
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use arrow_flight::sql::{Any, ProstMessageExt, TicketStatementQuery};
use prost::Message;

use crate::choices::Choices;
use crate::{Context, Outcome};

/// A ticket's content.
#[derive(Clone, PartialEq, Message)]
pub struct Handle {
    #[prost(uint32, tag = "1")]
    pub version: u32,
    #[prost(string, tag = "2")]
    pub query_id: String,
    #[prost(message, optional, tag = "3")]
    pub query: Option<Query>,
    #[prost(message, optional, tag = "4")]
    pub effect: Option<Effect>,
}

/// A query.
#[derive(Clone, PartialEq, Message)]
pub struct Query {
    #[prost(string, tag = "1")]
    pub sql: String,
    #[prost(bytes = "vec", tag = "2")]
    pub parameters: Vec<u8>,
    #[prost(string, tag = "3")]
    pub schema: String,
    #[prost(map = "string, string", tag = "4")]
    pub settings: HashMap<String, String>,
    #[prost(message, repeated, tag = "5")]
    pub tables: Vec<Version>,
    #[prost(message, repeated, tag = "6")]
    pub models: Vec<Version>,
    #[prost(uint64, tag = "7")]
    pub issued_ms: u64,
}

/// A version of something.
#[derive(Clone, PartialEq, Message)]
pub struct Version {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(uint64, tag = "2")]
    pub version: u64,
}

/// The result of an effect.
#[derive(Clone, PartialEq, Message)]
pub struct Effect {
    #[prost(bytes = "vec", tag = "1")]
    pub result: Vec<u8>,
}

/// A ticket's content, taken out of its wrappings.
pub fn open(ticket: &[u8]) -> Outcome<Handle> {
    let any = Any::decode(ticket)?;
    let statement: TicketStatementQuery = any.unpack()?.context("the ticket is not a statement's")?;
    Ok(Handle::decode(statement.statement_handle)?)
}

/// A ticket of this content.
pub fn wrap(handle: &Handle) -> Vec<u8> {
    TicketStatementQuery { statement_handle: handle.encode_to_vec().into() }.as_any().encode_to_vec()
}

/// A ticket that is understood, and whose content is refused as `InvalidArgument` or what stands beside it.
pub fn forged(genuine: &[u8], choices: &mut Choices) -> Outcome<Vec<u8>> {
    let mut handle = open(genuine)?;
    let mut query = handle.query.take().context("the genuine ticket is not a query's")?;
    match choices.below(9) {
        // Redeeming a ticket changes nothing, whatever it says.
        0 => query.sql = (*choices.one(&CHANGES)).to_string(),
        1 => query.parameters = choices.bytes(40),
        2 => query.parameters = cut(&parameters()?, choices),
        3 => query.parameters = lying(&parameters()?, choices),
        4 => query.parameters = many_nulls()?,
        5 => query.sql = "SELECT $1".into(),
        6 => handle.version = 2 + choices.below(1 << 30) as u32,
        7 => handle.effect = Some(Effect { result: Vec::new() }),
        _ => {
            handle.effect = Some(Effect { result: lying(&parameters()?, choices) });
            return Ok(wrap(&handle));
        }
    }
    handle.query = Some(query);
    Ok(wrap(&handle))
}

/// A ticket of a version that is nowhere.
pub fn of_a_version_that_is_not_there(genuine: &[u8], choices: &mut Choices) -> Outcome<Vec<u8>> {
    let mut handle = open(genuine)?;
    for pin in handle.query.iter_mut().flat_map(|query| query.tables.iter_mut()) {
        pin.version = *choices.one(&[1 << 20, 1 << 40, i64::MAX as u64, u64::MAX]);
    }
    Ok(wrap(&handle))
}

/// A ticket from long ago.
pub fn expired(genuine: &[u8], choices: &mut Choices) -> Outcome<Vec<u8>> {
    let mut handle = open(genuine)?;
    if let Some(query) = &mut handle.query {
        query.issued_ms = choices.below(1_000_000_000_000);
    }
    Ok(wrap(&handle))
}

const CHANGES: [&str; 6] = [
    "INSERT INTO t VALUES (99)",
    "DROP TABLE t",
    "CREATE TABLE stolen AS SELECT * FROM t",
    "USE system",
    "CREATE USER mallory PASSWORD 'let me in now'",
    "KILL QUERY 'x'",
];

/// Good parameters: one row of one number.
fn parameters() -> Outcome<Vec<u8>> {
    let column: ArrayRef = Arc::new(Int64Array::from(vec![7]));
    stream(&RecordBatch::try_from_iter([("$1", column)])?)
}

fn stream(batch: &RecordBatch) -> Outcome<Vec<u8>> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
    writer.write(batch)?;
    Ok(writer.into_inner()?)
}

/// A beginning of the stream that ends inside of its schema or of its rows.
fn cut(stream: &[u8], choices: &mut Choices) -> Vec<u8> {
    let mut cut = stream.to_vec();
    cut.truncate(5 + choices.index(stream.len() - 40));
    cut
}

/// The stream with a length of a message in it that no memory holds.
fn lying(stream: &[u8], choices: &mut Choices) -> Vec<u8> {
    let mut lie = stream.to_vec();
    let length = *choices.one(&[0x7FFF_FFF0_u32, 0x4000_0000, 0xFFFF_FFF0]);
    lie[4..8].copy_from_slice(&length.to_le_bytes());
    lie
}

/// More rows than a binding may have, in a few bytes.
fn many_nulls() -> Outcome<Vec<u8>> {
    let column: ArrayRef = Arc::new(NullArray::new(900_000_000));
    stream(&RecordBatch::try_from_iter([("$1", column)])?)
}
