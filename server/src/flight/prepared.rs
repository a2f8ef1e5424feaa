//! Prepared statements: create, bind, run as a query or as an update, close.
//!
//! The server keeps text, description and the last binding under a handle, because some clients ignore the handle that
//! a binding returns. A handle may be used from any connection of its principal, as often as one likes, until it is
//! closed or nobody used it for a while. How a statement runs is the business of [`statement`](super::statement).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
    Any, CommandPreparedStatementQuery, CommandPreparedStatementUpdate, DoPutPreparedStatementResult, ProstMessageExt,
};
use arrow_flight::{FlightData, FlightDescriptor, FlightInfo};
use bytes::Bytes;
use futures::Stream;
use prost::Message;
use tonic::Status;

use super::handles::Full;
use super::parameters::{Binding, parameter_schema};
use super::service::Shared;
use super::session::Caller;
use super::statement::{self, Asked};
use super::status::{answer, to_status};
use super::{columns, info, references, update};
use crate::engine::{Description, Kind, Principal};
use crate::limits::BOUND_BYTES_KEPT_MAX;
use crate::{Error, Result};

/// A statement that a client prepared.
#[derive(Debug)]
pub struct Prepared {
    principal: Principal,
    sql: String,
    description: Description,
    // A plain mutex: it is held to swap the binding, never across an await.
    bound: Mutex<Bound>,
}

/// What is bound to a statement, counted among all that the server keeps.
#[derive(Debug, Default)]
struct Bound {
    binding: Binding,
    bytes: usize,
    all: Arc<AtomicUsize>,
}

impl Bound {
    /// Counts a binding until it is dropped; an error where the server would keep too much.
    fn new(binding: Binding, all: &Arc<AtomicUsize>) -> Result<Self> {
        let bytes = binding.bytes();
        let before = all.fetch_add(bytes, Ordering::Relaxed);
        let bound = Bound { binding, bytes, all: Arc::clone(all) };
        match before.saturating_add(bytes) > BOUND_BYTES_KEPT_MAX {
            true => Err(Error::exhausted(format!(
                "the server keeps {before} bytes of bound parameters, and {bytes} more are too many"
            ))
            .with_hint("close prepared statements that are not needed, or load the rows into a table instead")),
            false => Ok(bound),
        }
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Prepared {
    fn binding(&self) -> Binding {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner).binding.clone()
    }

    fn bind(&self, bound: Bound) {
        *self.bound.lock().unwrap_or_else(PoisonError::into_inner) = bound;
    }

    /// What the client was told of the result; a statement with an effect and no rows has none.
    pub fn description(&self) -> &Description {
        &self.description
    }
}

/// `ActionCreatePreparedStatementResult`, of which arrow-flight's message has no `is_update` (FlightSql.proto).
#[derive(Clone, PartialEq, Message)]
struct Created {
    #[prost(bytes = "bytes", tag = "1")]
    prepared_statement_handle: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    dataset_schema: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    parameter_schema: Bytes,
    /// Whether it is to be sent as an update; older clients tell by the empty `dataset_schema`.
    #[prost(bool, optional, tag = "4")]
    is_update: Option<bool>,
}

/// The action `CreatePreparedStatement`, both bodies wrapped in `Any`.
pub async fn create(shared: &Shared, caller: &Caller, body: &[u8]) -> Result<Bytes, Status> {
    let malformed = || Error::input("the body is not an ActionCreatePreparedStatementRequest");
    let any = answer(Any::decode(body).map_err(|_| malformed()))?;
    let request = answer(any.unpack().ok().flatten().ok_or_else(malformed))?;
    let created = described(shared, caller, request).await?;
    let type_url = ActionCreatePreparedStatementResult::type_url().to_string();
    Ok(Any { type_url, value: created.encode_to_vec().into() }.encode_to_vec().into())
}

/// Describes and executes nothing. An empty result schema says that it is an update.
async fn described(
    shared: &Shared,
    caller: &Caller,
    request: ActionCreatePreparedStatementRequest,
) -> Result<Created, Status> {
    let ctx = caller.statement();
    let mut counted = shared.engine.queries().begin(&ctx, &request.query);
    counted.start();
    let created = async {
        statement::outside_transactions(request.transaction_id.as_ref())?;
        let sql = statement::accept(&request.query)?;
        let description = statement::describe(shared, &ctx, &sql).await?;
        let dataset_schema = match description.kind {
            Kind::Effect => Bytes::new(),
            Kind::Query | Kind::EffectWithRows => info::schema_bytes(&columns::annotate(&description.schema))?,
        };
        let is_update = Some(description.kind == Kind::Effect);
        let parameter_schema = info::schema_bytes(&parameter_schema(&description.parameters))?;
        let handle = references::fresh();
        let principal = caller.principal.clone();
        let prepared = Prepared { principal, sql, description, bound: Mutex::default() };
        let owner = caller.principal.0.as_str();
        shared.prepared.insert(handle.clone(), owner, Arc::new(prepared), Instant::now()).map_err(full)?;
        Ok(Created { prepared_statement_handle: handle.into(), dataset_schema, parameter_schema, is_update })
    }
    .await;
    let created = counted.ended(created);
    if created.is_ok() {
        counted.passed_on();
    }
    created.map_err(|error| to_status(&error, &ctx.query_id))
}

fn full(full: Full) -> Error {
    let (text, limit) = match full {
        Full::All(max) => (format!("the server keeps {max} prepared statements, no more"), "max_prepared_statements"),
        Full::Owner(max) => {
            (format!("you have {max} prepared statements, no more are kept"), "max_prepared_statements_per_principal")
        }
    };
    Error::exhausted(text).with_hint(format!("close those that are not needed; the limit is `{limit}`"))
}

/// `ClosePreparedStatement`. A handle that is unknown or has expired is closed already.
pub fn close(shared: &Shared, request: &ActionClosePreparedStatementRequest) {
    if let Some(handle) = references::prepared(&request.prepared_statement_handle) {
        shared.prepared.remove(handle);
    }
}

/// `ClosePreparedStatement` by whoever prepared it when nobody had to say who they are, and has to now: closes it and
/// says so. The handle is known to nobody else, and closing is all that it is good for.
pub fn close_left_behind(shared: &Shared, body: &[u8]) -> bool {
    let request: Option<ActionClosePreparedStatementRequest> =
        Any::decode(body).ok().and_then(|any| any.unpack().ok().flatten());
    let Some(request) = request else { return false };
    let Ok(handle) = std::str::from_utf8(&request.prepared_statement_handle) else { return false };
    let is_left = shared.prepared.find(handle, Instant::now());
    let is_left = is_left.is_some_and(|prepared| prepared.principal == Principal::anonymous());
    is_left && shared.prepared.remove(handle).is_some()
}

/// The statement with this handle.
pub fn find(shared: &Shared, caller: &Caller, handle: &[u8]) -> Result<Arc<Prepared>> {
    references::prepared(handle)
        .and_then(|handle| shared.prepared.find(handle, Instant::now()))
        .filter(|prepared| prepared.principal == caller.principal)
        .ok_or_else(|| {
            Error::not_found("no prepared statement has this handle; it was closed or has expired")
                .with_hint("prepare the statement again")
        })
}

/// `DoPut` of parameters for a later execution.
pub async fn bind(
    shared: &Shared,
    caller: &Caller,
    command: CommandPreparedStatementQuery,
    messages: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
) -> Result<DoPutPreparedStatementResult, Status> {
    let bound = async {
        let prepared = find(shared, caller, &command.prepared_statement_handle)?;
        let binding = Binding::read(messages).await?;
        binding.check(prepared.description.parameters.len())?;
        prepared.bind(Bound::new(binding, &shared.bound_bytes)?);
        Ok(())
    };
    answer(bound.await)?;
    Ok(DoPutPreparedStatementResult { prepared_statement_handle: Some(command.prepared_statement_handle) })
}

/// The statement with this handle, with what was bound last and what was promised of its result.
pub fn asked(shared: &Shared, caller: &Caller, handle: &[u8]) -> Result<Asked> {
    let prepared = find(shared, caller, handle)?;
    let promised = match prepared.description.kind {
        Kind::Effect => None,
        Kind::Query | Kind::EffectWithRows => Some(Arc::clone(&prepared.description.schema)),
    };
    Ok(Asked { sql: prepared.sql.clone(), binding: prepared.binding(), promised })
}

/// `GetFlightInfo`.
pub async fn flight_info(
    shared: &Shared,
    caller: &Caller,
    command: &CommandPreparedStatementQuery,
    descriptor: FlightDescriptor,
) -> Result<FlightInfo, Status> {
    let asked = answer(asked(shared, caller, &command.prepared_statement_handle))?;
    statement::flight_info(shared, caller, asked, descriptor).await
}

/// `DoPut` of an update: the rows of the stream, or else those bound before.
pub async fn update(
    shared: &Shared,
    caller: &Caller,
    command: &CommandPreparedStatementUpdate,
    messages: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
) -> Result<i64, Status> {
    let prepared = answer(find(shared, caller, &command.prepared_statement_handle))?;
    let binding = match prepared.description.parameters.is_empty() {
        // Nothing is wanted, so nothing is read: the sender may be waiting for the answer.
        true => Binding::default(),
        false => match answer(Binding::read(messages).await)? {
            sent if sent.is_empty() => prepared.binding(),
            sent => sent,
        },
    };
    update::run(shared, caller, &prepared.sql, binding).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    #[test]
    fn what_is_bound_counts_until_it_goes() {
        let all = Arc::new(AtomicUsize::new(BOUND_BYTES_KEPT_MAX - 1));
        let empty = Bound::new(Binding::default(), &all).unwrap();
        assert_eq!((empty.bytes, all.load(Ordering::Relaxed)), (0, BOUND_BYTES_KEPT_MAX - 1));
        let row = || Binding::of_numbers(&[1, 2, 3]);
        assert!(row().bytes() >= 3 * 8);
        assert_eq!(Bound::new(row(), &all).unwrap_err().class(), Class::Exhausted);
        assert_eq!(all.load(Ordering::Relaxed), BOUND_BYTES_KEPT_MAX - 1, "what is refused is not kept");
        all.store(0, Ordering::Relaxed);
        let bound = Bound::new(row(), &all).unwrap();
        assert_eq!(all.load(Ordering::Relaxed), row().bytes());
        drop(bound);
        assert_eq!(all.load(Ordering::Relaxed), 0);
    }
}
