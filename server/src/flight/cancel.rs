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
use crate::engine::{Principal, stop_refused};
use crate::{Error, Result};

/// `CancelQuery`, with a serialised info in it.
pub fn query(shared: &Shared, by: &Principal, request: &ActionCancelQueryRequest) -> Result<ActionCancelQueryResult> {
    let info = FlightInfo::decode(request.info.as_ref()).map_err(|_| Error::input("the info is not a FlightInfo"))?;
    // The two enums have the same numbers.
    Ok(ActionCancelQueryResult { result: status_of(shared, by, &info)? as i32 })
}

/// `CancelFlightInfo`.
pub fn flight_info(shared: &Shared, by: &Principal, body: &[u8]) -> Result<CancelFlightInfoResult> {
    let request =
        CancelFlightInfoRequest::decode(body).map_err(|_| Error::input("the body is not a CancelFlightInfoRequest"))?;
    let info = request.info.ok_or_else(|| Error::input("the request has no FlightInfo"))?;
    Ok(CancelFlightInfoResult::new(status_of(shared, by, &info)?))
}

fn status_of(shared: &Shared, by: &Principal, info: &FlightInfo) -> Result<CancelStatus> {
    let mut ids = Vec::new();
    for ticket in info.endpoint.iter().filter_map(|endpoint| endpoint.ticket.as_ref()) {
        ids.extend(Ticket::of_statement(ticket)?.map(|ticket| ticket.query_id().to_string()));
    }
    let polled = info.flight_descriptor.as_ref().and_then(references::poll);
    if let Some(poll) = polled.and_then(|handle| shared.polls.find(&handle, Instant::now())) {
        ids.push(poll.query_id().to_string());
    }
    let mut cancelled = false;
    for id in &ids {
        match shared.engine.queries().cancel(id, by) {
            Cancelled::Running(_) => cancelled = true,
            // A ticket grants nothing, so that one with another's id in it does not stop theirs.
            Cancelled::Foreign(owner) => return Err(stop_refused(id, &owner)),
            Cancelled::Ended | Cancelled::Unknown => {}
        }
    }
    match cancelled {
        true => Ok(CancelStatus::Cancelled),
        false => Err(Error::not_found("no statement runs for this ticket; it has ended or not begun")),
    }
}
