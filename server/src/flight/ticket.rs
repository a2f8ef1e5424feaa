//! Encodes and decodes Flight SQL tickets.
//!
//! The ticket of a query carries everything `DoGet` needs: statement, parameters, session, and the versions that
//! `GetFlightInfo` resolved. The ticket of an effect carries its finished result; redeeming it executes nothing,
//! however often. So a client that never redeems a ticket costs the server nothing, and one that redeems it twice does
//! no harm. A ticket grants nothing: it may do what the one who presents it may do. It knows nothing of execution.

use std::collections::BTreeMap;
use std::time::Duration;

use arrow_flight::Ticket as FlightTicket;
use arrow_flight::sql::{Any, ProstMessageExt, TicketStatementQuery};
use bytes::Bytes;
use prost::Message;

use crate::limits::WIRE_TICKET_BYTES_MAX;
use crate::{Error, Result};

/// The encoding's version. A ticket of another version is refused, not guessed at.
pub const VERSION: u32 = 1;

/// What a statement's ticket says.
#[derive(Debug, Clone, PartialEq)]
pub enum Ticket {
    /// Run this query.
    Query(QueryTicket),
    /// Show this result.
    Effect(EffectTicket),
}

/// A query that has not run yet.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct QueryTicket {
    /// The statement's id.
    pub query_id: String,
    /// The statement.
    pub sql: String,
    /// The bound parameters as an Arrow IPC stream; empty where there are none.
    pub parameters: Bytes,
    /// The session's current schema.
    pub schema: String,
    /// The session's settings.
    pub settings: BTreeMap<String, String>,
    /// Versions of tables, by table id.
    pub tables: Vec<(String, u64)>,
    /// Versions of models, by reference.
    pub models: Vec<(String, u64)>,
    /// When it was made, in milliseconds since 1970.
    pub issued_ms: u64,
}

/// An effect that has run.
#[derive(Debug, Clone, PartialEq)]
pub struct EffectTicket {
    /// The statement's id.
    pub query_id: String,
    /// Its result as an Arrow IPC stream.
    pub result: Bytes,
}

impl QueryTicket {
    /// An error where the ticket is older than `ttl` at `now_ms`: what it was planned on need not be there any more.
    pub fn check_age(&self, now_ms: u64, ttl: Duration) -> Result<()> {
        let age = Duration::from_millis(now_ms.saturating_sub(self.issued_ms));
        match age > ttl {
            false => Ok(()),
            true => Err(Error::exhausted(format!(
                "the ticket is {} ms old, more than {} ms",
                age.as_millis(),
                ttl.as_millis()
            ))
            .with_hint("run the statement again; the limit is `result_ttl`")),
        }
    }
}

/// The ticket of Flight SQL with this handle.
pub fn with_handle(handle: Bytes) -> FlightTicket {
    FlightTicket::new(TicketStatementQuery { statement_handle: handle }.as_any().encode_to_vec())
}

impl Ticket {
    /// The statement's id.
    pub fn query_id(&self) -> &str {
        match self {
            Ticket::Query(query) => &query.query_id,
            Ticket::Effect(effect) => &effect.query_id,
        }
    }

    /// The ticket as Flight SQL carries it.
    pub fn encode(self) -> Result<FlightTicket> {
        self.handle().map(with_handle)
    }

    /// What [`Ticket::decode`] reads.
    pub fn handle(self) -> Result<Bytes> {
        let wire = match self {
            Ticket::Query(query) => Wire {
                version: VERSION,
                query_id: query.query_id.clone(),
                query: Some(WireQuery::from(query)),
                effect: None,
            },
            Ticket::Effect(effect) => Wire {
                version: VERSION,
                query_id: effect.query_id,
                query: None,
                effect: Some(WireEffect { result: effect.result }),
            },
        };
        let handle = Bytes::from(wire.encode_to_vec());
        if handle.len() > WIRE_TICKET_BYTES_MAX {
            return Err(Error::exhausted(format!(
                "the statement and its parameters make a ticket of {} bytes, more than {WIRE_TICKET_BYTES_MAX}",
                handle.len()
            ))
            .with_hint("bind fewer rows at a time, or load them into a table"));
        }
        Ok(handle)
    }

    /// Reads the handle of a [`TicketStatementQuery`].
    pub fn decode(handle: &[u8]) -> Result<Self> {
        // None that was given out is larger, so none that is larger is looked at.
        if handle.len() > WIRE_TICKET_BYTES_MAX {
            return Err(Error::input("the ticket is not one of this server"));
        }
        let wire = Wire::decode(handle).map_err(|_| Error::input("the ticket is not one of this server"))?;
        if wire.version != VERSION {
            return Err(Error::input(format!("the ticket has version {}, expected {VERSION}", wire.version))
                .with_hint("run the statement again"));
        }
        match (wire.query, wire.effect) {
            (Some(query), None) => Ok(Ticket::Query(query.into_ticket(wire.query_id))),
            (None, Some(effect)) => Ok(Ticket::Effect(EffectTicket { query_id: wire.query_id, result: effect.result })),
            _ => Err(Error::input("the ticket is not one of this server")),
        }
    }

    /// Reads a ticket as Flight SQL carries it; `None` where it is another command's.
    pub fn of_statement(ticket: &FlightTicket) -> Result<Option<Self>> {
        let foreign = || Error::input("the ticket is not one of Flight SQL");
        let any = Any::decode(ticket.ticket.as_ref()).map_err(|_| foreign())?;
        match any.unpack::<TicketStatementQuery>().map_err(|_| foreign())? {
            Some(statement) => Self::decode(&statement.statement_handle).map(Some),
            None => Ok(None),
        }
    }
}

#[derive(Clone, PartialEq, Message)]
struct Wire {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(string, tag = "2")]
    query_id: String,
    #[prost(message, optional, tag = "3")]
    query: Option<WireQuery>,
    #[prost(message, optional, tag = "4")]
    effect: Option<WireEffect>,
}

#[derive(Clone, PartialEq, Message)]
struct WireQuery {
    #[prost(string, tag = "1")]
    sql: String,
    #[prost(bytes = "bytes", tag = "2")]
    parameters: Bytes,
    #[prost(string, tag = "3")]
    schema: String,
    #[prost(btree_map = "string, string", tag = "4")]
    settings: BTreeMap<String, String>,
    #[prost(message, repeated, tag = "5")]
    tables: Vec<WireVersion>,
    #[prost(message, repeated, tag = "6")]
    models: Vec<WireVersion>,
    #[prost(uint64, tag = "7")]
    issued_ms: u64,
}

#[derive(Clone, PartialEq, Message)]
struct WireVersion {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint64, tag = "2")]
    version: u64,
}

#[derive(Clone, PartialEq, Message)]
struct WireEffect {
    #[prost(bytes = "bytes", tag = "1")]
    result: Bytes,
}

impl From<QueryTicket> for WireQuery {
    fn from(query: QueryTicket) -> Self {
        let list = |pairs: Vec<(String, u64)>| {
            pairs.into_iter().map(|(name, version)| WireVersion { name, version }).collect()
        };
        WireQuery {
            sql: query.sql,
            parameters: query.parameters,
            schema: query.schema,
            settings: query.settings,
            tables: list(query.tables),
            models: list(query.models),
            issued_ms: query.issued_ms,
        }
    }
}

impl WireQuery {
    fn into_ticket(self, query_id: String) -> QueryTicket {
        let pairs = |list: Vec<WireVersion>| list.into_iter().map(|pin| (pin.name, pin.version)).collect();
        QueryTicket {
            query_id,
            sql: self.sql,
            parameters: self.parameters,
            schema: self.schema,
            settings: self.settings,
            tables: pairs(self.tables),
            models: pairs(self.models),
            issued_ms: self.issued_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    fn query() -> QueryTicket {
        QueryTicket {
            query_id: "q1".into(),
            sql: "SELECT '😀', $1".into(),
            parameters: Bytes::from_static(b"ipc"),
            schema: "sales".into(),
            settings: BTreeMap::from([("timezone".into(), "UTC".into())]),
            tables: vec![("t1".into(), 7), ("t2".into(), 0)],
            models: vec![("churn@prod".into(), 3)],
            issued_ms: 1_700_000_000_000,
        }
    }

    #[test]
    fn tickets_come_back_as_they_were() {
        let effect = EffectTicket { query_id: "q2".into(), result: Bytes::from_static(b"rows") };
        for ticket in [Ticket::Query(query()), Ticket::Query(QueryTicket::default()), Ticket::Effect(effect)] {
            let wire = ticket.clone().encode().unwrap();
            assert_eq!(Ticket::of_statement(&wire).unwrap(), Some(ticket));
        }
    }

    #[test]
    fn the_encoding_of_version_1_does_not_change() {
        // Written by hand after the protobuf encoding: tag 1 varint 1; tag 2 "q"; tag 4 { tag 1 "r" }.
        let bytes = [0x08, 1, 0x12, 1, b'q', 0x22, 3, 0x0A, 1, b'r'];
        let expected = EffectTicket { query_id: "q".into(), result: Bytes::from_static(b"r") };
        assert_eq!(Ticket::decode(&bytes).unwrap(), Ticket::Effect(expected));
    }

    #[test]
    fn foreign_tickets_are_refused() {
        let future = Wire { version: 2, ..Wire::default() }.encode_to_vec();
        let empty = Wire { version: VERSION, ..Wire::default() }.encode_to_vec();
        for (handle, text) in [
            (future, "the ticket has version 2, expected 1"),
            (empty, "the ticket is not one of this server"),
            (vec![0xFF; 9], "the ticket is not one of this server"),
            (vec![0x08; WIRE_TICKET_BYTES_MAX + 1], "the ticket is not one of this server"),
            (Vec::new(), "the ticket has version 0, expected 1"),
        ] {
            let error = Ticket::decode(&handle).unwrap_err();
            assert_eq!((error.class(), error.message()), (Class::Input, text));
        }
        let other = arrow_flight::sql::CommandGetCatalogs {}.as_any().encode_to_vec();
        assert_eq!(Ticket::of_statement(&FlightTicket::new(other)).unwrap(), None);
        assert!(Ticket::of_statement(&FlightTicket::new(vec![0xFF])).is_err());
    }

    #[test]
    fn an_old_ticket_is_refused() {
        let ttl = Duration::from_secs(60);
        query().check_age(1_700_000_060_000, ttl).unwrap();
        // A clock that went back makes no ticket old.
        query().check_age(1_600_000_000_000, ttl).unwrap();
        let error = query().check_age(1_700_000_060_001, ttl).unwrap_err();
        assert_eq!(error.class(), Class::Exhausted);
        assert_eq!(error.message(), "the ticket is 60001 ms old, more than 60000 ms");
    }

    #[test]
    fn an_oversized_ticket_is_refused() {
        let parameters = Bytes::from(vec![0; WIRE_TICKET_BYTES_MAX]);
        let error = Ticket::Query(QueryTicket { parameters, ..query() }).encode().unwrap_err();
        assert_eq!(error.class(), Class::Exhausted);
    }
}
