//! `PollFlightInfo`: a query is complete at once, an effect runs in the background while its client asks for it.
//!
//! An effect is started by the first poll, exactly once; what it answers then is kept for a while under a handle that
//! only that client knows. It goes on to its end also where nobody asks any more; a client that does not want it says
//! so by `CancelFlightInfo`. It knows nothing of what statements do.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use arrow::datatypes::Schema;
use arrow_flight::sql::{Any, Command};
use arrow_flight::{FlightDescriptor, FlightInfo, PollInfo};
use prost::Message;
use tokio::sync::watch;
use tonic::Status;

use super::service::Shared;
use super::session::Caller;
use super::statement::{self, Asked};
use super::status::{answer, to_status};
use super::{columns, parameters, prepared, references};
use crate::engine::{Description, Kind, Principal, Progress, StatementContext, Work};
use crate::limits::{POLL_IDLE, POLL_WAIT};
use crate::{Error, Result};

/// An effect that a client polls.
#[derive(Debug)]
pub struct Poll {
    principal: Principal,
    query_id: String,
    schema: Arc<Schema>,
    progress: Progress,
    /// `None` while it runs.
    outcome: watch::Receiver<Option<Result<FlightInfo>>>,
}

impl Poll {
    /// The statement's id, by which it is cancelled.
    pub fn query_id(&self) -> &str {
        &self.query_id
    }

    /// Whether it has not ended.
    pub fn runs(&self) -> bool {
        self.outcome.borrow().is_none()
    }
}

/// The answer for a statement or for a handle; `None` for other commands, whose infos are always complete.
pub async fn answer_of(
    shared: &Arc<Shared>,
    caller: &Caller,
    descriptor: &FlightDescriptor,
) -> Result<Option<PollInfo>, Status> {
    if let Some(handle) = references::poll(descriptor) {
        let found = shared.polls.find(&handle, Instant::now()).filter(|poll| poll.principal == caller.principal);
        let poll = answer(found.ok_or_else(|| {
            Error::not_found(
                "no statement is polled by this descriptor; it ended a while ago, or the server was restarted",
            )
        }))?;
        return told(&handle, &poll).await.map(Some);
    }
    let malformed = || Error::input("the descriptor is not a Flight SQL command");
    let any = answer(Any::decode(descriptor.cmd.as_ref()).map_err(|_| malformed()))?;
    let asked = match answer(Command::try_from(any).map_err(|_| malformed()))? {
        Command::CommandStatementQuery(command) => {
            answer(statement::outside_transactions(command.transaction_id.as_ref()))?;
            let sql = answer(statement::accept(&command.query))?;
            Asked { sql, binding: parameters::Binding::default(), promised: None }
        }
        Command::CommandPreparedStatementQuery(command) => {
            answer(prepared::asked(shared, caller, &command.prepared_statement_handle))?
        }
        _ => return Ok(None),
    };
    if matches!(shared.engine.work(&asked.sql), Work::Light | Work::LightEffect) {
        return statement::flight_info(shared, caller, asked, descriptor.clone())
            .await
            .map(|info| Some(complete(info)));
    }
    let ctx = caller.statement();
    let described = statement::describe(shared, &ctx, &asked.sql).await;
    let description = described.map_err(|error| to_status(&error, &ctx.query_id))?;
    match description.kind {
        Kind::Query => {
            statement::flight_info(shared, caller, asked, descriptor.clone()).await.map(|info| Some(complete(info)))
        }
        Kind::Effect | Kind::EffectWithRows => begin(shared, caller, asked, description, descriptor).await.map(Some),
    }
}

/// A complete answer.
pub fn complete(info: FlightInfo) -> PollInfo {
    PollInfo { info: Some(info), progress: Some(1.0), ..PollInfo::default() }
}

/// Starts an effect, which nothing but its own end, a cancellation or the server's end stops.
async fn begin(
    shared: &Arc<Shared>,
    caller: &Caller,
    asked: Asked,
    description: Description,
    descriptor: &FlightDescriptor,
) -> Result<PollInfo, Status> {
    // The time that the client gives is for this answer, not for the statement.
    let ctx = StatementContext { deadline: None, ..caller.statement() }.with_timeout(caller.statement_timeout);
    let (sender, outcome) = watch::channel(None);
    let poll = Arc::new(Poll {
        principal: caller.principal.clone(),
        query_id: ctx.query_id.clone(),
        schema: columns::annotate(&description.schema),
        progress: ctx.progress.clone(),
        outcome,
    });
    let handle = references::fresh();
    let owner = caller.principal.0.as_str();
    answer(shared.polls.insert(handle.clone(), owner, Arc::clone(&poll), Instant::now()).map_err(|_| {
        Error::exhausted("the server keeps no more polled statements").with_hint("send it without polling, or later")
    }))?;
    let (own, descriptor) = (Arc::clone(shared), descriptor.clone());
    shared.background.spawn(async move {
        let done = statement::done(&own, ctx, asked, descriptor).await;
        // Nobody may be left to hear it.
        let _ = sender.send(Some(done));
    });
    // What the statement sets or creates in the session must be found by the calls after it.
    caller.session.set_awaited(true);
    let told = told(&handle, &poll).await;
    if !matches!(&told, Ok(info) if info.flight_descriptor.is_some()) {
        // The client has all there is, and was not told the handle.
        shared.polls.remove(&handle);
        caller.session.set_awaited(false);
    }
    told
}

/// What is known of an effect, after a short wait for its end.
async fn told(handle: &str, poll: &Poll) -> Result<PollInfo, Status> {
    let mut outcome = poll.outcome.clone();
    let ended = tokio::time::timeout(POLL_WAIT, outcome.wait_for(Option::is_some)).await;
    let outcome = match ended {
        Ok(Ok(outcome)) => outcome.clone(),
        Ok(Err(_)) => Some(Err(Error::unavailable("the statement ended with the server's end"))),
        Err(_elapsed) => None,
    };
    match outcome {
        Some(Ok(info)) => Ok(complete(info)),
        Some(Err(error)) => Err(to_status(&error, &poll.query_id)),
        None => answer(running(handle, poll)),
    }
}

fn running(handle: &str, poll: &Poll) -> Result<PollInfo> {
    let descriptor = references::poll_descriptor(handle);
    let info = FlightInfo::new().try_with_schema(&poll.schema)?.with_descriptor(descriptor.clone());
    let mut told = PollInfo::new().with_info(info).with_descriptor(descriptor);
    told.progress = poll.progress.known();
    let until = SystemTime::now() + POLL_IDLE;
    let since_epoch = until.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    told.expiration_time.get_or_insert_default().seconds = i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX);
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_running_statement_says_how_far_it_is() {
        let (sender, outcome) = watch::channel(None);
        let progress = Progress::default();
        let poll = Poll {
            principal: Principal::anonymous(),
            query_id: "q".into(),
            schema: Arc::new(Schema::empty()),
            progress: progress.clone(),
            outcome,
        };
        assert_eq!(told("h", &poll).await.unwrap().progress, None);
        progress.is(0.25);
        let running = told("h", &poll).await.unwrap();
        assert_eq!(
            (running.progress, references::poll(&running.flight_descriptor.unwrap()).as_deref()),
            (Some(0.25), Some("h"))
        );
        assert!(running.expiration_time.unwrap().seconds > 0 && running.info.unwrap().endpoint.is_empty());
        sender.send(Some(Ok(FlightInfo::new()))).unwrap();
        for _ in 0..2 {
            let done = told("h", &poll).await.unwrap();
            assert_eq!((done.progress, done.flight_descriptor), (Some(1.0), None));
        }
    }
}
