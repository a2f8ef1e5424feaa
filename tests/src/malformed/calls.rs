//! The kinds of malformed calls, and the codes that are right answers to each.
//!
//! `InvalidArgument` is what a client must not send again, `ResourceExhausted` what is too much, `Unauthenticated` who
//! nobody is. No call may be answered with `Internal`, which says that the server is broken, or not at all.

use arrow_flight::sql::{
    Any, CommandPreparedStatementQuery, CommandPreparedStatementUpdate, CommandStatementUpdate, ProstMessageExt,
};
use arrow_flight::{Action, FlightData, FlightDescriptor, HandshakeRequest, Ticket};
use futures::TryStreamExt;
use prost::Message;
use tonic::{Code, Status};

use super::{Target, frames, rows, tickets};
use crate::Outcome;
use crate::choices::Choices;
use crate::raw::{Raw, descriptor, statement};

/// A kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    GarbageTicket,
    CutTicket,
    FlippedTicket,
    ForgedTicket,
    TicketOfNoVersion,
    ExpiredTicket,
    PreparedHandle,
    PollHandle,
    UnknownAction,
    ActionBody,
    Descriptor,
    PutWithoutCommand,
    LyingRows,
    OversizedMessage,
    LongWord,
    Forged,
    MalformedHeader,
    WrongFrame,
    OversizedFrame,
    UnknownMethod,
    NoHttp,
}

/// All kinds.
pub const ALL: [Call; 21] = [
    Call::GarbageTicket,
    Call::CutTicket,
    Call::FlippedTicket,
    Call::ForgedTicket,
    Call::TicketOfNoVersion,
    Call::ExpiredTicket,
    Call::PreparedHandle,
    Call::PollHandle,
    Call::UnknownAction,
    Call::ActionBody,
    Call::Descriptor,
    Call::PutWithoutCommand,
    Call::LyingRows,
    Call::OversizedMessage,
    Call::LongWord,
    Call::Forged,
    Call::MalformedHeader,
    Call::WrongFrame,
    Call::OversizedFrame,
    Call::UnknownMethod,
    Call::NoHttp,
];

impl Call {
    /// Its name in a report.
    pub fn name(self) -> &'static str {
        match self {
            Call::GarbageTicket => "garbage as a ticket",
            Call::CutTicket => "a cut ticket",
            Call::FlippedTicket => "a ticket with a wrong byte",
            Call::ForgedTicket => "a forged ticket",
            Call::TicketOfNoVersion => "a ticket of no version",
            Call::ExpiredTicket => "an expired ticket",
            Call::PreparedHandle => "an unknown prepared handle",
            Call::PollHandle => "an unknown poll handle",
            Call::UnknownAction => "an unknown action",
            Call::ActionBody => "a malformed action",
            Call::Descriptor => "a malformed descriptor",
            Call::PutWithoutCommand => "a put without a command",
            Call::LyingRows => "rows that lie",
            Call::OversizedMessage => "an oversized message",
            Call::LongWord => "a word of a megabyte",
            Call::Forged => "a forged or expired token",
            Call::MalformedHeader => "malformed credentials",
            Call::WrongFrame => "a wrong frame",
            Call::OversizedFrame => "an oversized frame",
            Call::UnknownMethod => "an unknown method",
            Call::NoHttp => "no HTTP/2",
        }
    }

    /// The right answers.
    pub fn codes(self) -> &'static [Code] {
        match self {
            // A wrong byte may make another statement, another name, another time, or another command.
            Call::FlippedTicket => {
                &[Code::Ok, Code::InvalidArgument, Code::NotFound, Code::Unimplemented, Code::ResourceExhausted]
            }
            // More rows than may be bound are too much, the rest is wrong.
            Call::ForgedTicket => &[Code::InvalidArgument, Code::ResourceExhausted],
            Call::ExpiredTicket | Call::OversizedMessage | Call::OversizedFrame => &[Code::ResourceExhausted],
            Call::PreparedHandle | Call::PollHandle => &[Code::NotFound],
            Call::UnknownAction | Call::UnknownMethod => &[Code::Unimplemented],
            Call::LyingRows => &[Code::InvalidArgument, Code::ResourceExhausted],
            Call::Forged | Call::MalformedHeader => &[Code::Unauthenticated],
            _ => &[Code::InvalidArgument],
        }
    }
}

/// Makes a call; `None` where there is no code to be had.
pub async fn make(
    call: Call,
    raw: &mut Raw,
    target: &Target,
    choices: &mut Choices,
) -> Outcome<Option<(Code, String)>> {
    let answer = match call {
        Call::GarbageTicket => {
            let length = 1 + choices.index(100);
            let mut ticket = choices.bytes(length);
            // Seven of these eight bits make a tag that protobuf does not have.
            ticket[0] |= 0x07;
            get(raw, ticket).await
        }
        Call::CutTicket => get(raw, target.ticket[..1 + choices.index(target.ticket.len() - 1)].to_vec()).await,
        Call::FlippedTicket => {
            let mut ticket = target.ticket.clone();
            let at = choices.index(ticket.len());
            ticket[at] ^= 1 + choices.below(255) as u8;
            get(raw, ticket).await
        }
        Call::ForgedTicket => get(raw, tickets::forged(&target.ticket, choices)?).await,
        Call::TicketOfNoVersion => get(raw, tickets::of_a_version_that_is_not_there(&target.ticket, choices)?).await,
        Call::ExpiredTicket => get(raw, tickets::expired(&target.ticket, choices)?).await,
        Call::PreparedHandle => prepared(raw, choices).await,
        Call::PollHandle => poll(raw, choices).await,
        Call::UnknownAction => {
            let body = choices.bytes(20);
            raw.action(&format!("Action{}", choices.below(1000)), body).await.map(drop)
        }
        Call::ActionBody => malformed_action(raw, choices).await,
        Call::Descriptor => malformed_descriptor(raw, choices).await,
        Call::PutWithoutCommand => put_without_command(raw, choices).await,
        Call::LyingRows => {
            let messages = rows::lying(choices).await?;
            raw.put(messages).await.map(drop)
        }
        Call::OversizedMessage => oversized(raw, choices).await,
        Call::LongWord => raw.info(&statement(&"x".repeat(1 << 20))).await.map(drop),
        Call::Forged => {
            raw.headers = vec![("authorization", choices.one(&target.refused).clone())];
            anything(raw, choices).await
        }
        Call::MalformedHeader => {
            let header = *choices.one(&["Basic !", "Basic YWRh", "Basic /zo=", "Digest x", "", "Bearer", "limn"]);
            raw.headers = vec![("authorization", header.to_string())];
            anything(raw, choices).await
        }
        Call::WrongFrame => return frames::wrong_frame(target, choices).await.map(Some),
        Call::OversizedFrame => return frames::oversized_frame(target, choices).await.map(Some),
        Call::UnknownMethod => return frames::unknown_method(target, choices).await.map(Some),
        Call::NoHttp => {
            // Blocking, and short.
            tokio::task::block_in_place(|| frames::bytes(target, choices))?;
            return Ok(None);
        }
    };
    Ok(Some(match answer {
        Ok(()) => (Code::Ok, String::new()),
        Err(status) => (status.code(), status.message().to_string()),
    }))
}

/// `DoGet`, read to the end.
async fn get(raw: &mut Raw, ticket: Vec<u8>) -> Result<(), Status> {
    let request = raw.request(Ticket { ticket: ticket.into() });
    raw.service.do_get(request).await?.into_inner().try_for_each(|_| std::future::ready(Ok(()))).await
}

/// What was never given out, or given to somebody else.
async fn prepared(raw: &mut Raw, choices: &mut Choices) -> Result<(), Status> {
    let length = *choices.one(&[0, 1, 32, 33, 500]);
    let handle: Vec<u8> = match choices.below(2) {
        0 => choices.bytes(length),
        _ => (0..length).map(|_| b"0123456789abcdef"[choices.index(16)]).collect(),
    };
    let query = CommandPreparedStatementQuery { prepared_statement_handle: handle.clone().into() };
    let update = CommandPreparedStatementUpdate { prepared_statement_handle: handle.into() };
    match choices.below(4) {
        0 => raw.info(&query).await.map(drop),
        1 => {
            let request = raw.request(descriptor(&query));
            raw.service.get_schema(request).await.map(drop)
        }
        2 => raw.put(vec![FlightData::new().with_descriptor(descriptor(&query))]).await.map(drop),
        _ => raw.put(vec![FlightData::new().with_descriptor(descriptor(&update))]).await.map(drop),
    }
}

async fn poll(raw: &mut Raw, choices: &mut Choices) -> Result<(), Status> {
    let value = format!("{:x}", choices.below(1 << 60));
    let any = Any { type_url: "type.googleapis.com/limn.PollHandle".into(), value: value.into_bytes().into() };
    raw.poll(FlightDescriptor::new_cmd(any.encode_to_vec())).await.map(drop)
}

const ACTIONS: [&str; 5] =
    ["CreatePreparedStatement", "ClosePreparedStatement", "CancelFlightInfo", "CancelQuery", "SetSessionOptions"];

/// A body that no message begins with: a field of a kind that protobuf does not have.
async fn malformed_action(raw: &mut Raw, choices: &mut Choices) -> Result<(), Status> {
    let mut body = vec![0x0F];
    body.extend(choices.bytes(30));
    let name: &str = choices.one::<&str>(&ACTIONS);
    raw.action(name, body).await.map(drop)
}

async fn malformed_descriptor(raw: &mut Raw, choices: &mut Choices) -> Result<(), Status> {
    let descriptor = match choices.below(3) {
        0 => FlightDescriptor::new_path(vec!["t".into()]),
        1 => FlightDescriptor::new_cmd(vec![0x0F; 12]),
        // The command of a query whose text is cut.
        _ => {
            let mut command = statement("SELECT a FROM t").as_any().encode_to_vec();
            command.truncate(command.len() - 1 - choices.index(10));
            FlightDescriptor::new_cmd(command)
        }
    };
    let request = raw.request(descriptor);
    match choices.below(3) {
        0 => raw.service.get_flight_info(request).await.map(drop),
        1 => raw.service.poll_flight_info(request).await.map(drop),
        _ => raw.service.get_schema(request).await.map(drop),
    }
}

async fn put_without_command(raw: &mut Raw, choices: &mut Choices) -> Result<(), Status> {
    let messages = match choices.below(3) {
        0 => Vec::new(),
        1 => vec![FlightData::new().with_data_body(choices.bytes(50))],
        _ => vec![FlightData::new().with_descriptor(FlightDescriptor::new_cmd(vec![0x0F; 5]))],
    };
    raw.put(messages).await.map(drop)
}

/// More than the server under test accepts in one message.
async fn oversized(raw: &mut Raw, choices: &mut Choices) -> Result<(), Status> {
    let large = vec![b'x'; super::MESSAGE_BYTES + 1];
    match choices.below(3) {
        0 => get(raw, large).await,
        1 => raw.action("CancelQuery", large).await.map(drop),
        _ => raw.info(&statement(&"x".repeat(super::MESSAGE_BYTES + 1))).await.map(drop),
    }
}

/// Any call, which nobody may make.
async fn anything(raw: &mut Raw, choices: &mut Choices) -> Result<(), Status> {
    let query = statement("SELECT a FROM t");
    match choices.below(6) {
        0 => {
            let request = raw.request(futures::stream::iter([HandshakeRequest::default()]));
            raw.service.handshake(request).await.map(drop)
        }
        1 => raw.info(&query).await.map(drop),
        2 => get(raw, query.as_any().encode_to_vec()).await,
        3 => {
            let request = raw.request(Action::new("GetSessionOptions", Vec::new()));
            raw.service.do_action(request).await.map(drop)
        }
        4 => raw.poll(descriptor(&query)).await.map(drop),
        _ => {
            let update = CommandStatementUpdate { query: "DROP TABLE t".into(), transaction_id: None };
            raw.put(vec![FlightData::new().with_descriptor(descriptor(&update))]).await.map(drop)
        }
    }
}
