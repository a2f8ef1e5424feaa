//! Statements given as text: `GetFlightInfo` describes a query or runs an effect, `DoGet` runs the query or shows what
//! the effect answered.
//!
//! Prepared statements end here too, with their text and their parameters. An effect is executed in `GetFlightInfo`,
//! once, because many clients cancel the `DoGet` of a statement that has no rows.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow_flight::{FlightDescriptor, FlightInfo};
use bytes::Bytes;
use datafusion::scalar::ScalarValue;
use futures::{StreamExt, TryStreamExt};
use tokio::sync::oneshot;
use tonic::Status;

use super::compute;
use super::direct::Place;
use super::execution;
use super::ipc::{from_ipc, to_ipc};
use super::parameters::Binding;
use super::plans::Waiting;
use super::service::Shared;
use super::session::Caller;
use super::status::{answer, to_status};
use super::stream::{self, FlightStream, Running};
use super::ticket::{self, EffectTicket, QueryTicket, Ticket};
use super::{columns, info};
use crate::engine::{
    Answer, BatchStream, Description, Engine, Kind, ReadyQuery, Run, Session, Snapshots, StatementContext, WIRE_TYPES,
    Work, number_placeholders,
};
use crate::limits::{STATEMENT_BYTES_MAX, WIRE_EFFECT_RESULT_BYTES_MAX};
use crate::{Error, Result};

/// A statement's text as the engine takes it: bounded, with numbered placeholders.
pub fn accept(sql: &str) -> Result<String> {
    if sql.len() > STATEMENT_BYTES_MAX {
        return Err(Error::exhausted(format!(
            "the statement has {} bytes, more than {STATEMENT_BYTES_MAX}",
            sql.len()
        )));
    }
    Ok(number_placeholders(sql).into_owned())
}

/// Why transactions are refused.
pub const NO_TRANSACTIONS: &str = "transactions are not offered: each statement commits by itself";

/// Refuses a statement that belongs to a transaction: outside of it, it would do something else than its client means.
pub fn outside_transactions(id: Option<&Bytes>) -> Result<()> {
    match id.is_some_and(|id| !id.is_empty()) {
        true => Err(Error::unsupported(NO_TRANSACTIONS)),
        false => Ok(()),
    }
}

/// What a statement would answer.
pub async fn describe(shared: &Shared, ctx: &StatementContext, sql: &str) -> Result<Description> {
    let (engine, own, sql) = (shared.engine.clone(), ctx.clone(), sql.to_string());
    execution::read(ctx, async move { engine.describe(&own, &sql).await }).await
}

/// What a statement would answer, and the plan of a query that is worth keeping, once it is planned to the end.
async fn plan(shared: &Shared, ctx: &StatementContext, sql: &str) -> Result<(Description, Option<Waiting>)> {
    let (description, ready) = match compute::right_here() {
        Some(_here) => execution::catch(shared.engine.plan(ctx, sql)).await?,
        None => {
            let (engine, own, sql) = (shared.engine.clone(), ctx.clone(), sql.to_string());
            execution::read(ctx, async move { engine.plan(&own, &sql).await }).await?
        }
    };
    let waiting = ready.map(|ready| {
        let (ahead, waiting) = oneshot::channel();
        compute::spawn(plan_ahead(ready, ahead));
        waiting
    });
    Ok((description, waiting))
}

/// Plans to the end, for whoever waits. Where that fails, it fails again when the query runs, and is told then.
async fn plan_ahead(mut ready: ReadyQuery, ahead: oneshot::Sender<ReadyQuery>) {
    if execution::catch(ready.plan_ahead()).await.is_ok() {
        // Nobody waits any more where the plan has been forgotten.
        let _forgotten = ahead.send(ready);
    }
}

/// A statement that a client asked for, with what it bound.
#[derive(Debug)]
pub struct Asked {
    /// The text, with numbered placeholders.
    pub sql: String,
    /// The bound rows.
    pub binding: Binding,
    /// The result's schema that the client was promised when it prepared the statement.
    pub promised: Option<SchemaRef>,
}

/// `GetFlightInfo`.
pub async fn flight_info(
    shared: &Shared,
    caller: &Caller,
    asked: Asked,
    descriptor: FlightDescriptor,
) -> Result<FlightInfo, Status> {
    let ctx = caller.statement();
    let query_id = ctx.query_id.clone();
    done(shared, ctx, asked, descriptor).await.map_err(|error| to_status(&error, &query_id))
}

/// Plans a query or runs an effect; answers its info.
pub async fn done(
    shared: &Shared,
    ctx: StatementContext,
    asked: Asked,
    descriptor: FlightDescriptor,
) -> Result<FlightInfo> {
    let mut run = shared.engine.queries().begin(&ctx, &asked.sql);
    let done = planned_or_done(shared, &ctx, &mut run, asked, descriptor).await;
    let planned_only = matches!(&done, Ok((Kind::Query, _)));
    let done = run.ended(done);
    if planned_only {
        run.planned_for(shared.engine.limits().result_ttl);
    }
    done.map(|(_, info)| info)
}

async fn planned_or_done(
    shared: &Shared,
    ctx: &StatementContext,
    run: &mut Run,
    asked: Asked,
    descriptor: FlightDescriptor,
) -> Result<(Kind, FlightInfo)> {
    match shared.engine.work(&asked.sql) {
        Work::Effect => run.admit().await?,
        // A query that is only planned holds no place: its client may never come back for the rows.
        Work::Light | Work::LightEffect | Work::Query => run.start(),
    }
    let (description, waiting) = plan(shared, ctx, &asked.sql).await?;
    run.is(description.kind);
    asked.binding.check(description.parameters.len())?;
    if asked.promised.is_some_and(|promised| promised != description.schema) {
        return Err(Error::conflict("the result's columns have changed since the statement was prepared")
            .with_hint("prepare the statement again"));
    }
    let kind = description.kind;
    let (schema, ticket, affected) = match kind {
        Kind::Query => {
            let handle = query_ticket(ctx, asked.sql, &asked.binding)?.handle()?;
            if let Some(waiting) = waiting {
                shared.plans.keep(ctx, handle.clone(), waiting);
            }
            (description.schema, ticket::with_handle(handle), None)
        }
        Kind::Effect | Kind::EffectWithRows => {
            let effect = run_effect(&shared.engine, ctx, asked.sql, &asked.binding, kind).await?;
            let affected = effect.affected;
            run.changed(affected);
            (Arc::clone(&effect.schema), effect_ticket(ctx, &effect)?.encode()?, affected)
        }
    };
    let info = info::flight_info(descriptor, &columns::annotate(&schema), ticket, affected)?;
    Ok((kind, info))
}

fn query_ticket(ctx: &StatementContext, sql: String, binding: &Binding) -> Result<Ticket> {
    let (tables, models) = ctx.snapshots.to_lists();
    let mut settings = ctx.session.settings();
    // The request may have asked for other types than its session.
    if ctx.wire_types != ctx.session.wire_types() {
        settings.insert(WIRE_TYPES.into(), ctx.wire_types.name().into());
    }
    Ok(Ticket::Query(QueryTicket {
        query_id: ctx.query_id.clone(),
        sql,
        parameters: binding.to_ipc()?,
        schema: ctx.session.schema(),
        settings,
        tables,
        models,
        issued_ms: now_ms(),
    }))
}

fn now_ms() -> u64 {
    u64::try_from(chrono::Utc::now().timestamp_millis()).unwrap_or(0)
}

fn effect_ticket(ctx: &StatementContext, effect: &Finished) -> Result<Ticket> {
    let result = to_ipc(&effect.schema, &effect.batches)?;
    if result.len() > WIRE_EFFECT_RESULT_BYTES_MAX {
        return Err(Error::exhausted(format!(
            "the statement is done, but its result of {} bytes is more than {WIRE_EFFECT_RESULT_BYTES_MAX}",
            result.len()
        )));
    }
    Ok(Ticket::Effect(EffectTicket { query_id: ctx.query_id.clone(), result }))
}

/// What effects answered, row of parameters by row.
#[derive(Debug)]
pub struct Finished {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    /// Rows changed, all executions together.
    pub affected: Option<u64>,
}

/// Runs an effect once for each bound row, to the end.
pub async fn run_effect(
    engine: &Engine,
    ctx: &StatementContext,
    sql: String,
    binding: &Binding,
    kind: Kind,
) -> Result<Finished> {
    if let Some(done) = run_at_once(engine, ctx, &sql, binding).await? {
        return Ok(done);
    }
    let rows = binding.rows()?;
    if kind == Kind::EffectWithRows && rows.len() != 1 {
        return Err(Error::input(format!("expected one row of parameters for this statement, found {}", rows.len()))
            .with_hint("run the statement once for each row"));
    }
    let (engine, own) = (engine.clone(), ctx.clone());
    execution::change(ctx, async move {
        let mut all = Finished { schema: Arc::new(arrow::datatypes::Schema::empty()), batches: vec![], affected: None };
        let several = rows.len() > 1;
        for (index, row) in rows.iter().enumerate() {
            let done = run_once(&engine, &own, &sql, row).await;
            let done = if several { done.map_err(|error| at_row(error, index)) } else { done };
            let one = done?;
            all.schema = one.schema;
            all.batches.extend(one.batches);
            all.affected = match (all.affected, one.affected) {
                (Some(sum), Some(more)) => Some(sum.saturating_add(more)),
                (sum, more) => more.or(sum),
            };
        }
        // Binding no rows at all changes nothing, which is a number too.
        all.affected = all.affected.or(rows.is_empty().then_some(0));
        Ok(all)
    })
    .await
}

/// Inserts all bound rows in one commit; `None` where the statement has to run once for each.
async fn run_at_once(
    engine: &Engine,
    ctx: &StatementContext,
    sql: &str,
    binding: &Binding,
) -> Result<Option<Finished>> {
    let Some(rows) = binding.several() else { return Ok(None) };
    let own = StatementContext { snapshots: Snapshots::default(), ..ctx.clone() };
    let (engine, sql, rows) = (engine.clone(), sql.to_string(), rows.to_vec());
    execution::change(ctx, async move {
        let Some(answer) = engine.insert_rows(&own, &sql, &rows).await? else { return Ok(None) };
        let Answer { schema, batches, affected } = answer;
        Ok(Some(Finished { schema, batches: batches.try_collect().await?, affected }))
    })
    .await
}

/// One execution sees the newest versions, those that the rows before it made included.
async fn run_once(engine: &Engine, ctx: &StatementContext, sql: &str, row: &[ScalarValue]) -> Result<Finished> {
    let ctx = StatementContext { snapshots: Snapshots::default(), ..ctx.clone() };
    ctx.check()?;
    let Answer { schema, batches, affected } = engine.execute(&ctx, sql, row).await?;
    Ok(Finished { schema, batches: batches.try_collect().await?, affected })
}

fn at_row(error: Error, index: usize) -> Error {
    let error = error.context(format!("row {} of the bound parameters", index + 1));
    match (index, error.hint()) {
        (0, _) | (_, Some(_)) => error,
        _ => error.with_hint("the rows before it have been executed"),
    }
}

/// `DoGet` with the handle of a statement's ticket. Where there is a place for messages, the rows of a query go there.
pub async fn do_get(
    shared: &Shared,
    caller: &Caller,
    handle: &[u8],
    place: Option<&Place>,
) -> Result<FlightStream, Status> {
    match answer(Ticket::decode(handle))? {
        Ticket::Effect(effect) => answer(effect_result(&effect)),
        Ticket::Query(query) => {
            answer(query.check_age(now_ms(), shared.engine.limits().result_ttl))?;
            let running = run_query(shared, caller, query, shared.plans.take(caller, handle)).await?;
            answer(running.to(place))
        }
    }
}

/// What an effect answered.
pub fn effect_result(effect: &EffectTicket) -> Result<FlightStream> {
    let (schema, batches) = from_ipc(&effect.result)?;
    Ok(stream::finished(columns::annotate(&schema), batches))
}

async fn run_query(
    shared: &Shared,
    caller: &Caller,
    query: QueryTicket,
    waiting: Option<Waiting>,
) -> Result<Running, Status> {
    let ctx = as_planned(caller, &query);
    let mut run = shared.engine.queries().begin(&ctx, &query.sql);
    run.is(Kind::Query);
    let ready = match waiting {
        Some(waiting) => match ctx.run(async { Ok(waiting.await.ok()) }).await {
            Ok(ready) => ready,
            Err(error) => return Err(to_status(&run.failed(error), &ctx.query_id)),
        },
        None => None,
    };
    let ready = ready.filter(ReadyQuery::still_holds);
    // One row of constants is there at once.
    let here = ready.as_ref().filter(|ready| ready.is_one_row()).and_then(|_| compute::right_here());
    let (engine, own, stall) = (shared.engine.clone(), ctx.clone(), shared.engine.limits().result_read_stall);
    let begun = async move {
        let begun = execution::catch(start_query(&engine, &own, &mut run, query, ready)).await;
        (run, begun.map(|(schema, batches)| (columns::annotate(&schema), batches)))
    };
    let query_id = ctx.query_id.clone();
    let running = match here {
        Some(_here) => stream::complete(ctx, begun, stall).await,
        None => stream::running(ctx, begun, stall).await,
    };
    running.map_err(|error| to_status(&error, &query_id))
}

/// The context in which the query was described: its session and its versions, whatever happened since.
fn as_planned(caller: &Caller, query: &QueryTicket) -> StatementContext {
    let mut session = Session::new();
    session.id = caller.session.id.clone();
    session.temporaries = Arc::clone(&caller.session.temporaries);
    session.set_schema(&query.schema);
    for (name, value) in &query.settings {
        session.set(name, Some(value.clone()));
    }
    let mut ctx = caller.statement();
    ctx.wire_types = session.wire_types();
    ctx.session = Arc::new(session);
    ctx.query_id = query.query_id.clone();
    ctx.snapshots = Snapshots::from_lists(query.tables.clone(), query.models.clone());
    ctx.with_timeout(caller.statement_timeout)
}

/// Runs the query for each bound row; the result is one after the other.
async fn start_query(
    engine: &Engine,
    ctx: &StatementContext,
    run: &mut Run,
    query: QueryTicket,
    ready: Option<ReadyQuery>,
) -> Result<(SchemaRef, BatchStream)> {
    if let Some(ready) = ready {
        run.admit().await?;
        let Answer { schema, batches, .. } = ctx.run(engine.run(ctx, ready)).await?;
        run.planned();
        return Ok((schema, batches));
    }
    match engine.work(&query.sql) {
        Work::Light => run.start(),
        Work::Query => run.admit().await?,
        // None is given out for an effect, whose ticket carries what it answered.
        Work::LightEffect | Work::Effect => {
            return Err(Error::input("the ticket is not one of this server: its statement would change something"));
        }
    }
    let mut rows = Binding::from_ipc(&query.parameters)?.rows()?.into_iter();
    let Some(first) = rows.next() else {
        let description = engine.describe(ctx, &query.sql).await?;
        return Ok((description.schema, futures::stream::empty().boxed()));
    };
    let execute = {
        let (engine, ctx, sql) = (engine.clone(), ctx.clone(), query.sql);
        move |row: Vec<ScalarValue>| {
            let (engine, ctx, sql) = (engine.clone(), ctx.clone(), sql.clone());
            async move { engine.execute(&ctx, &sql, &row).await }
        }
    };
    let Answer { schema, batches, .. } = ctx.run(execute(first)).await?;
    run.planned();
    let rest = futures::stream::iter(rows).then(execute).map_ok(|answer| answer.batches).try_flatten();
    Ok((schema, batches.chain(rest).boxed()))
}
