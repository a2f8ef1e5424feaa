//! What happens to each statement: described without an effect, or executed.
//!
//! Queries stream. Effects run in a task of their own, so that a client that goes away stops them until their commit
//! begins and cannot tear them in the middle of it. It knows each statement's file and nothing of how it works.

use std::sync::Arc;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::scalar::ScalarValue;
use tokio_util::sync::CancellationToken;

use super::catalog::Scope;
use super::change::{self, Changing};
use super::context::{Progress, StatementContext};
use super::open::Inner;
use super::plan::{self, Planned};
use super::ready::ReadyQuery;
use super::{
    Answer, Description, Kind, Work, care, copy, export, insert, kill, lost, model_statements, output, refresh,
    reproduce, settings, show, table_statements, train, user_statements,
};
use crate::sql::{Statement, parse};
use crate::{Error, Result};

/// What `sql` would answer, and the plan of a query.
pub(super) async fn describe(
    inner: &Arc<Inner>,
    ctx: &StatementContext,
    sql: &str,
) -> Result<(Description, Option<ReadyQuery>)> {
    match parse(sql)? {
        Statement::Query(query) => describe_query(ctx, plan::query(Scope::new(inner, ctx), *query).await?),
        other => describe_other(Scope::new(inner, ctx), ctx, other).await.map(|description| (description, None)),
    }
}

async fn describe_other(scope: Scope, ctx: &StatementContext, statement: Statement) -> Result<Description> {
    match statement {
        Statement::Query(_) => Err(Error::internal("a query took the way of an effect")),
        Statement::Explain(statement) => Ok(describe_query(ctx, plan::statement(scope, *statement).await?)?.0),
        Statement::Show(show) => {
            let batch = show::answer(&scope, &show).await?;
            Ok(Description { kind: Kind::Query, schema: output::wire(ctx, &batch.schema()), parameters: Vec::new() })
        }
        Statement::Insert(insert) => {
            let planned = insert::planned(scope, *insert).await?;
            effect(Kind::Effect, output::count_schema(), Some(&planned))
        }
        Statement::Change(change) => {
            let name = change.target().table.clone();
            let planned = change::planned(scope, &Changing::Change(change), &name).await?;
            effect(Kind::Effect, output::count_schema(), Some(&planned))
        }
        Statement::CreateTable(table) => match &table.query {
            Some(query) => {
                let planned = plan::query(scope, query.as_ref().clone()).await?;
                effect(Kind::Effect, output::count_schema(), Some(&planned))
            }
            None => effect(Kind::Effect, Arc::new(Schema::empty()), None),
        },
        Statement::Copy(_) | Statement::KillQuery { .. } => effect(Kind::Effect, output::count_schema(), None),
        Statement::Train(statement) => {
            let planned = train::planned(scope, &statement).await?;
            effect(Kind::EffectWithRows, train::result_schema(), Some(&planned))
        }
        Statement::Refresh(_) => effect(Kind::EffectWithRows, train::result_schema(), None),
        Statement::Reproduce(_) => effect(Kind::EffectWithRows, reproduce::result_schema(), None),
        Statement::ExportModel(_) => effect(Kind::EffectWithRows, export::result_schema(), None),
        Statement::User(statement) => Ok(user_statements::describe(&statement)),
        Statement::Care(care) => Ok(care::describe(&care)),
        Statement::CreateView(_)
        | Statement::CreateSchema { .. }
        | Statement::DropRelation { .. }
        | Statement::DropSchema { .. }
        | Statement::AlterModel(_)
        | Statement::DropModel { .. }
        | Statement::Use(_)
        | Statement::Set { .. } => effect(Kind::Effect, Arc::new(Schema::empty()), None),
    }
}

/// What running `sql` takes, as far as its first words say. What cannot be parsed fails at once.
pub(super) fn work(sql: &str) -> Work {
    match parse(sql) {
        Ok(Statement::Query(_) | Statement::Explain(_)) => Work::Query,
        Ok(Statement::Use(_) | Statement::Set { .. } | Statement::KillQuery { .. }) => Work::LightEffect,
        Ok(Statement::Show(_)) | Err(_) => Work::Light,
        Ok(_) => Work::Effect,
    }
}

fn effect(kind: Kind, schema: SchemaRef, planned: Option<&Planned>) -> Result<Description> {
    let parameters = match planned {
        Some(planned) => plan::parameters(&planned.plan)?,
        None => Vec::new(),
    };
    Ok(Description { kind, schema, parameters })
}

fn describe_query(ctx: &StatementContext, planned: Planned) -> Result<(Description, Option<ReadyQuery>)> {
    let parameters = plan::parameters(&planned.plan)?;
    let described = plan::described(planned.plan.clone())?;
    let ready = ReadyQuery::new(ctx, planned, &described)?;
    let description = Description { kind: Kind::Query, schema: ready.schema(), parameters };
    // One with parameters was planned with NULLs in their places.
    let kept = (description.parameters.is_empty() && ready.still_holds()).then_some(ready);
    Ok((description, kept))
}

/// Runs one statement.
pub(super) async fn execute(
    inner: &Arc<Inner>,
    ctx: &StatementContext,
    sql: &str,
    parameters: &[ScalarValue],
) -> Result<Answer> {
    let statement = parse(sql)?;
    if !matches!(statement, Statement::Query(_) | Statement::Explain(_) | Statement::Show(_)) {
        return run_effect(inner, ctx, sql, parameters, statement).await;
    }
    let scope = Scope::new(inner, ctx);
    match statement {
        Statement::Query(query) => run_query(ctx, plan::query(scope, *query).await?, parameters).await,
        Statement::Explain(explain) => run_query(ctx, plan::statement(scope, *explain).await?, parameters).await,
        Statement::Show(show) => {
            no_parameters(parameters)?;
            let batch = show::answer(&scope, &show).await?;
            let schema = output::wire(ctx, &batch.schema());
            Ok(output::finished(crate::lake::types::wire_batch(&batch, &schema)?, None))
        }
        _ => Err(Error::internal("an effect took the way of a query")),
    }
}

async fn run_query(ctx: &StatementContext, planned: Planned, parameters: &[ScalarValue]) -> Result<Answer> {
    let bound = plan::bound(&planned.state, planned.plan.clone(), parameters)?;
    ReadyQuery::new(ctx, planned, &bound)?.run(ctx).await
}

fn no_parameters(parameters: &[ScalarValue]) -> Result<()> {
    match parameters.len() {
        0 => Ok(()),
        found => Err(Error::input(format!("expected 0 bound parameters, found {found}"))),
    }
}

/// Tells a statement to stop when whoever waits for it goes away.
struct StopOnDrop(Option<CancellationToken>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        if let Some(token) = self.0.take() {
            token.cancel();
        }
    }
}

async fn run_effect(
    inner: &Arc<Inner>,
    ctx: &StatementContext,
    sql: &str,
    parameters: &[ScalarValue],
    statement: Statement,
) -> Result<Answer> {
    let (inner, own, sql, parameters) = (Arc::clone(inner), ctx.clone(), sql.to_string(), parameters.to_vec());
    in_a_task(ctx, async move {
        match effect_of(&inner, &own, &sql, &parameters, statement).await {
            Err(error) => Err(lost::explained(&inner, &own, error).await),
            done => done,
        }
    })
    .await
}

/// Runs an `INSERT` for all rows of parameters at once; `None` for every other statement.
pub(super) async fn insert_rows(
    inner: &Arc<Inner>,
    ctx: &StatementContext,
    sql: &str,
    rows: &[RecordBatch],
) -> Result<Option<Answer>> {
    let Statement::Insert(statement) = parse(sql)? else { return Ok(None) };
    ctx.check()?;
    let (scope, rows) = (Scope::new(inner, ctx), rows.to_vec());
    in_a_task(ctx, async move { insert::run_rows(scope, *statement, &rows).await }).await
}

/// Runs an effect so that it outlives whoever waits for it, once it has begun to commit.
async fn in_a_task<T: Send + 'static>(
    ctx: &StatementContext,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let mut guard = StopOnDrop(Some(ctx.cancel.clone()));
    let done = tokio::spawn(work).await;
    guard.0 = None;
    match done {
        Ok(done) => done,
        Err(error) => Err(Error::internal(format!("the statement's task failed: {error}"))),
    }
}

async fn effect_of(
    inner: &Arc<Inner>,
    ctx: &StatementContext,
    sql: &str,
    parameters: &[ScalarValue],
    statement: Statement,
) -> Result<Answer> {
    ctx.check()?;
    let scope = Scope::new(inner, ctx);
    let takes_parameters = matches!(
        statement,
        Statement::Insert(_)
            | Statement::Change(_)
            | Statement::CreateTable(_)
            | Statement::Train(_)
            | Statement::User(_)
    );
    if !takes_parameters {
        no_parameters(parameters)?;
    }
    match statement {
        Statement::Insert(statement) => insert::run(scope, *statement, parameters).await,
        Statement::Change(changed) => {
            let name = changed.target().table.clone();
            change::run(scope, Changing::Change(changed), &name, parameters).await
        }
        Statement::CreateTable(table) => table_statements::create_table(scope, *table, parameters).await,
        Statement::CreateView(view) => table_statements::create_view(scope, view).await,
        Statement::CreateSchema { name, if_not_exists } => {
            inner.lake.create_schema(&name, if_not_exists).await?;
            output::done()
        }
        Statement::DropRelation { name, view, if_exists } => {
            table_statements::drop_relation(&scope, &name, view, if_exists).await
        }
        Statement::DropSchema { name, if_exists, cascade } => {
            inner.lake.drop_schema(&name, if_exists, cascade).await?;
            output::done()
        }
        Statement::Care(care) => care::run(scope, *care).await,
        Statement::Copy(copy) => copy::run(scope, copy).await,
        Statement::Train(statement) => train::run(scope, *statement, sql, parameters).await,
        Statement::Refresh(statement) => refresh::run(scope, statement, sql).await,
        Statement::Reproduce(model) => reproduce::run(scope, &model).await,
        Statement::ExportModel(statement) => export::run(inner, statement).await,
        Statement::AlterModel(alter) => model_statements::alter(inner, alter).await,
        Statement::DropModel { target, if_exists } => model_statements::drop(inner, target, if_exists).await,
        Statement::KillQuery { query_id } => kill::run(inner, &ctx.principal, &query_id),
        Statement::User(statement) => user_statements::run(&inner.users, statement, parameters).await,
        Statement::Use(schema) => settings::use_schema(inner, ctx, &schema),
        Statement::Set { name, value } => settings::set(ctx, &name, value),
        Statement::Query(_) | Statement::Explain(_) | Statement::Show(_) => {
            Err(Error::internal("a query took the way of an effect"))
        }
    }
}

/// Waits for `work` unless the statement is stopped before its commit begins.
pub(super) async fn until_commit<T>(
    ctx: &StatementContext,
    gate: &crate::lake::CommitGate,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let mut work = std::pin::pin!(work);
    let stopped = ctx.run(async {
        std::future::pending::<()>().await;
        Ok(())
    });
    tokio::select! {
        biased;
        done = &mut work => return done,
        stopped = stopped => {
            if gate.close() {
                return stopped.and_then(|()| Err(Error::cancelled("the statement was cancelled")));
            }
        }
    }
    // Its commit has begun, so it is neither stopped nor answered before it is whole.
    work.await
}

/// Notes for a commit of this statement.
pub(super) fn notes(ctx: &StatementContext) -> crate::lake::CommitNotes {
    crate::lake::CommitNotes {
        info: [("queryId", &ctx.query_id), ("userName", &ctx.principal.0)]
            .into_iter()
            .map(|(key, value)| (key.to_string(), value.clone()))
            .collect(),
        onlooker: Some(Arc::new(ctx.progress.clone())),
        ..Default::default()
    }
}

impl crate::lake::Onlooker for Progress {
    fn done(&self, share: f64) {
        self.is(share);
    }
}
