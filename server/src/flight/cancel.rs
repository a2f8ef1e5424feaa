//! `CancelFlightInfo` and `CancelQuery`: stop the statements that run for a ticket.
//!
//! Clients mostly just drop their stream, which cancels too. Bodies of `CancelFlightInfo` are plain protobuf, those of
//! `CancelQuery` are wrapped.

use std::time::Instant;

use arrow_flight::sql::{ActionCancelQueryRequest, ActionCancelQueryResult};
use arrow_flight::{CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightInfo};
use prost::Message;

use super::references;
use super::service::Shared;
use super::ticket::Ticket;
use crate::engine::queries::Cancelled;
use crate::{Error, Result};

/// `CancelQuery`, with a serialised info in it.
pub fn query(shared: &Shared, request: &ActionCancelQueryRequest) -> Result<ActionCancelQueryResult> {
    let info = FlightInfo::decode(request.info.as_ref()).map_err(|_| Error::input("the info is not a FlightInfo"))?;
    // The two enums have the same numbers.
    Ok(ActionCancelQueryResult { result: status_of(shared, &info)? as i32 })
}

/// `CancelFlightInfo`.
pub fn flight_info(shared: &Shared, body: &[u8]) -> Result<CancelFlightInfoResult> {
    let request =
        CancelFlightInfoRequest::decode(body).map_err(|_| Error::input("the body is not a CancelFlightInfoRequest"))?;
    let info = request.info.ok_or_else(|| Error::input("the request has no FlightInfo"))?;
    Ok(CancelFlightInfoResult::new(status_of(shared, &info)?))
}

fn status_of(shared: &Shared, info: &FlightInfo) -> Result<CancelStatus> {
    let mut cancelled = false;
    for ticket in info.endpoint.iter().filter_map(|endpoint| endpoint.ticket.as_ref()) {
        if let Some(ticket) = Ticket::of_statement(ticket)? {
            cancelled |= matches!(shared.engine.queries().cancel(ticket.query_id()), Cancelled::Running(_));
        }
    }
    let polled = info.flight_descriptor.as_ref().and_then(references::poll);
    if let Some(poll) = polled.and_then(|handle| shared.polls.find(&handle, Instant::now())) {
        cancelled |= matches!(shared.engine.queries().cancel(poll.query_id()), Cancelled::Running(_));
    }
    match cancelled {
        true => Ok(CancelStatus::Cancelled),
        false => Err(Error::not_found("no statement runs for this ticket; it has ended or not begun")),
    }
}
