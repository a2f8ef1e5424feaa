//! The gRPC service: resolves who is asking, hands each call to the Flight SQL dispatch, and keeps the session after.
//!
//! It is a type of its own around the dispatch that arrow-flight gives, because that one answers `GetSchema` and
//! `ListActions` wrongly and sees no response headers. It knows nothing of commands but their schemas.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
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
use super::gate::Gate;
use super::handles::Handles;
use super::linger::Peer;
use super::plans::Plans;
use super::poll::Poll;
use super::prepared::Prepared;
use super::session::{Caller, Sessions};
use super::sql_info::SqlInfos;
use super::status::answer;
use super::ticket::Ticket as StatementTicket;
use super::{auth, compute, poll, prepared, references, schema, statement};
use crate::engine::{Engine, KeptSessions};
use crate::limits::{POLL_IDLE, POLLS_MAX, POLLS_PER_PRINCIPAL_MAX, TIDY_INTERVAL_MAX, TIDY_INTERVAL_MIN};
use crate::{Error, Result};

/// What every call may use.
pub struct Shared {
    /// The engine.
    pub engine: Engine,
    /// Who is let in.
    pub gate: Gate,
    /// The kept sessions.
    pub sessions: Arc<Sessions>,
    /// The prepared statements, by handle.
    pub prepared: Handles<Arc<Prepared>>,
    /// The plans of queries whose rows nobody has asked for yet.
    pub plans: Plans,
    /// The bytes of parameters that are bound to them.
    pub bound_bytes: Arc<AtomicUsize>,
    /// The effects that are polled, by handle.
    pub polls: Handles<Arc<Poll>>,
    /// The work that no open call waits for.
    pub background: TaskTracker,
    /// Told when the server drains: what has begun goes on, nothing new is taken.
    pub draining: CancellationToken,
    /// What the server says about itself.
    pub sql_infos: SqlInfos,
}

impl Shared {
    /// The state of a new server.
    pub fn new(engine: Engine, gate: Gate, draining: CancellationToken) -> Result<Self> {
        let limits = engine.limits();
        let sessions = Arc::new(Sessions::new(limits));
        engine.show_sessions(Arc::clone(&sessions) as Arc<dyn KeptSessions>);
        let prepared = Handles::new(
            limits.max_prepared_statements,
            limits.max_prepared_statements_per_principal,
            limits.prepared_statement_idle,
        );
        let polls = Handles::new(POLLS_MAX, POLLS_PER_PRINCIPAL_MAX, POLL_IDLE);
        let (background, sql_infos, bound_bytes) = (TaskTracker::new(), SqlInfos::new()?, Arc::default());
        let plans = Plans::default();
        Ok(Shared { sessions, prepared, plans, bound_bytes, polls, background, engine, gate, draining, sql_infos })
    }

    /// Forgets what clients leave behind that never close anything, now and then until `closing`.
    pub async fn keep_tidy(self: Arc<Self>, closing: CancellationToken) {
        let limits = self.engine.limits();
        let shortest = limits.session_idle.min(limits.prepared_statement_idle).min(POLL_IDLE);
        let interval = (shortest / 4).clamp(TIDY_INTERVAL_MIN, TIDY_INTERVAL_MAX);
        while closing.run_until_cancelled(tokio::time::sleep(interval)).await.is_some() {
            let now = Instant::now();
            let running = self.engine.queries().running_by_session();
            self.sessions.sweep(now, |session| running.contains_key(&session.id));
            self.prepared.sweep(now, |_| false);
            self.polls.sweep(now, |poll| poll.runs());
            self.plans.sweep(now);
        }
    }

    /// Lets the metrics show how much is kept for clients.
    pub fn show(self: &Arc<Self>) {
        type Kept = (&'static str, &'static str, fn(&Shared) -> usize);
        let kept: [Kept; 4] = [
            ("limn_sessions", "Sessions that are kept.", |shared| shared.sessions.len()),
            ("limn_session_tokens", "Session tokens that are accepted.", |shared| shared.gate.session_tokens()),
            ("limn_prepared_statements", "Prepared statements that are kept.", |shared| shared.prepared.len()),
            ("limn_polled_statements", "Polled statements that are kept.", |shared| shared.polls.len()),
        ];
        for (name, help, count) in kept {
            let shared = Arc::downgrade(self);
            let count = move || shared.upgrade().map_or(0, |shared| count(&shared));
            self.engine.queries().metrics().gauge(name, help, count);
        }
        let network = tokio::runtime::Handle::current();
        self.engine.queries().metrics().gauge("limn_tasks", "Tasks that have not ended.", move || {
            network.metrics().num_alive_tasks() + compute::tasks()
        });
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

    /// [`Service::admit`] for a call that begins something, which a server that drains does not take.
    async fn admit_new<T>(&self, request: Request<T>) -> Result<(Caller, Request<T>), Status> {
        if self.shared.draining.is_cancelled() {
            return answer(Err(Error::unavailable("the server is stopping and takes no new work")
                .with_hint("connect again once it is back")));
        }
        self.admit(request).await
    }

    /// The request with its caller in the extensions, where the dispatch finds it.
    async fn admit<T>(&self, mut request: Request<T>) -> Result<(Caller, Request<T>), Status> {
        let peer = request.extensions().get::<Peer>().cloned().unwrap_or_default();
        // The future must not hold the request, whose body may be a stream.
        let metadata = request.metadata().clone();
        let identity = answer(self.shared.gate.identify(&metadata, &peer).await)?;
        let caller = answer(self.shared.sessions.caller(identity, &metadata, Instant::now()))?;
        request.extensions_mut().insert(caller.clone());
        Ok((caller, request))
    }

    /// Owes the results of a finished effect to a caller to whom the server has closed itself meanwhile.
    fn owe(&self, caller: &Caller, info: Option<&FlightInfo>) {
        let tickets = info.into_iter().flat_map(|info| &info.endpoint).filter_map(|endpoint| endpoint.ticket.as_ref());
        for ticket in tickets {
            if matches!(StatementTicket::of_statement(ticket), Ok(Some(StatementTicket::Effect(_)))) {
                self.shared.gate.owe(&caller.identity, &ticket.ticket, Instant::now());
            }
        }
    }

    /// The result behind a ticket whose answer is owed, whoever has it.
    fn owed(&self, ticket: &Ticket) -> Result<Option<Answers<FlightData>>, Status> {
        if !self.shared.gate.is_owed(&ticket.ticket, Instant::now()) {
            return Ok(None);
        }
        match answer(StatementTicket::of_statement(ticket))? {
            Some(StatementTicket::Effect(effect)) => answer(statement::effect_result(&effect)).map(Some),
            _ => Ok(None),
        }
    }

    /// The response, after the session that the call may have changed is kept.
    fn keep<T>(&self, caller: &Caller, response: Result<Response<T>, Status>) -> Result<Response<T>, Status> {
        let mut response = response?;
        if let Some(token) = self.shared.sessions.keep(caller, &mut response, Instant::now())? {
            self.shared.gate.accept(&token, &caller.identity, Instant::now());
        }
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
        let (caller, _) = self.admit_new(request).await?;
        let token = self.shared.gate.login(&caller.identity, Instant::now());
        let message = HandshakeResponse { protocol_version: 0, payload: token.clone().into() };
        let stream: Self::HandshakeStream = Box::pin(futures::stream::iter([Ok(message)]));
        let mut response = Response::new(stream);
        auth::return_token(&mut response, &token)?;
        Ok(response)
    }

    async fn list_flights(&self, request: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        self.admit(request).await?;
        answer(Err(Error::unsupported("ListFlights is not offered; list tables with GetTables or `SHOW TABLES`")))
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        let (caller, request) = self.admit_new(request).await?;
        let response = self.dispatch.get_flight_info(request).await;
        self.owe(&caller, response.as_ref().ok().map(Response::get_ref));
        self.keep(&caller, response)
    }

    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        let (caller, request) = match references::poll(request.get_ref()) {
            // What has begun is followed to its end, also by a server that drains.
            Some(_) => self.admit(request).await?,
            None => self.admit_new(request).await?,
        };
        let response = match poll::answer_of(&self.shared, &caller, request.get_ref()).await? {
            Some(told) => Response::new(told),
            None => self.dispatch.get_flight_info(request).await?.map(poll::complete),
        };
        self.owe(&caller, response.get_ref().info.as_ref());
        self.keep(&caller, Ok(response))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let (caller, request) = self.admit_new(request).await?;
        schema::of_descriptor(&self.shared, &caller, request.into_inner()).await.map(Response::new)
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        if let Some(stream) = self.owed(request.get_ref())? {
            return Ok(Response::new(stream));
        }
        let (caller, request) = self.admit_new(request).await?;
        self.keep(&caller, self.dispatch.do_get(request).await)
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        let (caller, request) = self.admit_new(request).await?;
        self.keep(&caller, self.dispatch.do_put(request).await)
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let closes = request.get_ref().r#type == "ClosePreparedStatement";
        if closes && !self.shared.gate.is_open() && prepared::close_left_behind(&self.shared, &request.get_ref().body) {
            return Ok(Response::new(Box::pin(futures::stream::empty())));
        }
        // What ends something is taken to the end.
        let is_new = matches!(request.get_ref().r#type.as_str(), "CreatePreparedStatement" | "SetSessionOptions");
        let (caller, request) = match is_new {
            true => self.admit_new(request).await?,
            false => self.admit(request).await?,
        };
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
    async fn list_actions(&self, request: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        self.admit(request).await?;
        let actions = ACTIONS.map(|(name, description)| {
            Ok(ActionType { r#type: name.to_string(), description: description.to_string() })
        });
        Ok(Response::new(Box::pin(futures::stream::iter(actions))))
    }

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        self.admit(request).await?;
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
