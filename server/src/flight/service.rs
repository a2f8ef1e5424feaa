//! The gRPC service: resolves who is asking, hands each call to the Flight SQL dispatch, and keeps the session after.
//!
//! It is a type of its own around the dispatch that arrow-flight gives, because that one answers `GetSchema` and
//! `ListActions` wrongly and sees no response headers. It knows nothing of commands but their schemas.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, SchemaResult, Ticket,
};
use futures::Stream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming};

use super::dispatch::{Dispatch, NO_SUBSTRAIT};
use super::execution::Statements;
use super::handles::Handles;
use super::poll::Poll;
use super::prepared::Prepared;
use super::session::{Caller, Sessions};
use super::sql_info::SqlInfos;
use super::status::answer;
use super::{auth, poll, prepared, schema};
use crate::engine::Engine;
use crate::limits::{POLL_IDLE, POLLS_MAX, PREPARED_STATEMENT_IDLE, PREPARED_STATEMENTS_MAX};
use crate::telemetry::Metrics;
use crate::{Error, Result};

/// What every call may use.
pub struct Shared {
    /// The engine.
    pub engine: Engine,
    /// The kept sessions.
    pub sessions: Sessions,
    /// The prepared statements, by handle.
    pub prepared: Handles<Arc<Prepared>>,
    /// The effects that are polled, by handle.
    pub polls: Handles<Arc<Poll>>,
    /// The work that no open call waits for.
    pub background: TaskTracker,
    /// The running statements.
    pub statements: Statements,
    /// What the server says about itself.
    pub sql_infos: SqlInfos,
}

impl Shared {
    /// The state of a new server.
    pub fn new(engine: Engine, metrics: Metrics, stopping: CancellationToken) -> Result<Self> {
        Ok(Shared {
            engine,
            sessions: Sessions::new(stopping),
            prepared: Handles::new(PREPARED_STATEMENTS_MAX, PREPARED_STATEMENT_IDLE),
            polls: Handles::new(POLLS_MAX, POLL_IDLE),
            background: TaskTracker::new(),
            statements: Statements::new(metrics),
            sql_infos: SqlInfos::new()?,
        })
    }
}

/// The service that tonic serves.
pub struct Service {
    shared: Arc<Shared>,
    dispatch: Dispatch,
}

impl Service {
    /// A service over `shared`.
    pub fn new(shared: Arc<Shared>) -> Self {
        Service { dispatch: Dispatch { shared: Arc::clone(&shared) }, shared }
    }

    /// The request with its caller in the extensions, where the dispatch finds it.
    fn admit<T>(&self, mut request: Request<T>) -> Result<(Caller, Request<T>), Status> {
        let caller = answer(self.shared.sessions.caller(request.metadata(), Instant::now()))?;
        request.extensions_mut().insert(caller.clone());
        Ok((caller, request))
    }

    /// The response, after the session that the call may have changed is kept.
    fn keep<T>(&self, caller: &Caller, response: Result<Response<T>, Status>) -> Result<Response<T>, Status> {
        let mut response = response?;
        self.shared.sessions.keep(caller, &mut response, Instant::now())?;
        Ok(response)
    }
}

/// The streams that calls answer.
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send + 'static>>;

#[tonic::async_trait]
impl FlightService for Service {
    type HandshakeStream = Answers<HandshakeResponse>;
    type ListFlightsStream = Answers<FlightInfo>;
    type DoGetStream = Answers<FlightData>;
    type DoPutStream = Answers<PutResult>;
    type DoActionStream = Answers<arrow_flight::Result>;
    type ListActionsStream = Answers<ActionType>;
    type DoExchangeStream = Answers<FlightData>;

    /// Answers at once: clients send one empty message, or none and just end the stream.
    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        // The credentials are read, so that malformed ones fail here; without users all others are accepted.
        let _caller = self.admit(request)?;
        let token = auth::new_token();
        let message = HandshakeResponse { protocol_version: 0, payload: token.clone().into() };
        let stream: Self::HandshakeStream = Box::pin(futures::stream::iter([Ok(message)]));
        let mut response = Response::new(stream);
        auth::return_token(&mut response, &token)?;
        Ok(response)
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        answer(Err(Error::unsupported("ListFlights is not offered; list tables with GetTables or `SHOW TABLES`")))
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        let (caller, request) = self.admit(request)?;
        self.keep(&caller, self.dispatch.get_flight_info(request).await)
    }

    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        let (caller, request) = self.admit(request)?;
        let response = match poll::answer_of(&self.shared, &caller, request.get_ref()).await? {
            Some(told) => Response::new(told),
            None => self.dispatch.get_flight_info(request).await?.map(poll::complete),
        };
        self.keep(&caller, Ok(response))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let (caller, request) = self.admit(request)?;
        schema::of_descriptor(&self.shared, &caller, request.into_inner()).await.map(Response::new)
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let (caller, request) = self.admit(request)?;
        self.keep(&caller, self.dispatch.do_get(request).await)
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        let (caller, request) = self.admit(request)?;
        self.keep(&caller, self.dispatch.do_put(request).await)
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let (caller, request) = self.admit(request)?;
        let response = match request.get_ref().r#type.as_str() {
            // arrow-flight's answers to these have no `is_update`, and no refusal.
            "CreatePreparedStatement" => {
                let body = prepared::create(&self.shared, &caller, &request.get_ref().body).await?;
                let answers: Self::DoActionStream =
                    Box::pin(futures::stream::iter([Ok(arrow_flight::Result { body })]));
                Ok(Response::new(answers))
            }
            "CreatePreparedSubstraitPlan" => answer(Err(Error::unsupported(NO_SUBSTRAIT))),
            _ => self.dispatch.do_action(request).await,
        };
        self.keep(&caller, response)
    }

    /// The actions that work; arrow-flight's own list has transactions and savepoints in it.
    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        let actions = ACTIONS.map(|(name, description)| {
            Ok(ActionType { r#type: name.to_string(), description: description.to_string() })
        });
        Ok(Response::new(Box::pin(futures::stream::iter(actions))))
    }

    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoExchangeStream>, Status> {
        answer(Err(Error::unsupported("DoExchange is not offered")))
    }
}

/// The actions, with what they do.
pub const ACTIONS: [(&str, &str); 7] = [
    ("CreatePreparedStatement", "Prepares a statement. Body: Any(ActionCreatePreparedStatementRequest)"),
    ("ClosePreparedStatement", "Closes a prepared statement. Body: Any(ActionClosePreparedStatementRequest)"),
    ("CancelFlightInfo", "Cancels the statements of a FlightInfo. Body: CancelFlightInfoRequest"),
    ("CancelQuery", "Cancels the statements of a FlightInfo. Body: Any(ActionCancelQueryRequest)"),
    ("SetSessionOptions", "Sets options of the session. Body: SetSessionOptionsRequest"),
    ("GetSessionOptions", "Shows the options of the session. Body: GetSessionOptionsRequest"),
    ("CloseSession", "Forgets the session. Body: CloseSessionRequest"),
];
