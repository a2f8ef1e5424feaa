//! `DoPut` of a statement's text: runs it once and answers the number of rows that it changed.
//!
//! The request may consist of a descriptor alone, and its sender may wait for the answer before it ends the stream; so
//! nothing is read after the first message.

use futures::TryStreamExt;
use tonic::Status;

use super::execution;
use super::parameters::Binding;
use super::service::Shared;
use super::session::Caller;
use super::statement::{accept, describe, run_effect};
use super::status::to_status;
use crate::engine::{Engine, Kind, StatementContext, Work};
use crate::{Error, Result};

/// What an update answers where it changed no rows that anybody counted.
const NOT_COUNTED: i64 = 0;
/// What an update answers where the statement was a query.
const NOT_AN_UPDATE: i64 = -1;

/// Runs `sql` once for each row of `binding`.
pub async fn run(shared: &Shared, caller: &Caller, sql: &str, binding: Binding) -> Result<i64, Status> {
    let ctx = caller.statement();
    let mut run = shared.engine.queries().begin(&ctx, sql);
    let done = async {
        let sql = accept(sql)?;
        match shared.engine.work(&sql) {
            Work::Light | Work::LightEffect => run.start(),
            Work::Query | Work::Effect => run.admit().await?,
        }
        let description = describe(shared, &ctx, &sql).await?;
        run.is(description.kind);
        binding.check(description.parameters.len())?;
        match description.kind {
            Kind::Query => drain(&shared.engine, &ctx, sql, &binding).await,
            kind @ (Kind::Effect | Kind::EffectWithRows) => {
                let done = run_effect(&shared.engine, &ctx, sql, &binding, kind).await?;
                run.changed(done.affected);
                Ok(done.affected.map_or(NOT_COUNTED, |rows| i64::try_from(rows).unwrap_or(i64::MAX)))
            }
        }
    }
    .await;
    run.ended(done).map_err(|error| to_status(&error, &ctx.query_id))
}

/// A script may contain queries: they run, so that their errors are seen, and their rows go nowhere.
async fn drain(engine: &Engine, ctx: &StatementContext, sql: String, binding: &Binding) -> Result<i64> {
    let rows = binding.rows()?;
    let (engine, own) = (engine.clone(), ctx.clone());
    execution::read(ctx, async move {
        for row in rows {
            let answer = engine.execute(&own, &sql, &row).await?;
            answer.batches.try_for_each(|_batch| std::future::ready(Ok::<(), Error>(()))).await?;
        }
        Ok(NOT_AN_UPDATE)
    })
    .await
}
