//! `TRAIN MODEL`, the engine's side: plan the query on fixed snapshots, refuse what could not be repeated, run it.
//!
//! What is learned and recorded is training's business. It knows nothing of algorithms.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::scalar::ScalarValue;
use futures::StreamExt;
use limn_sql_udfs::train::Request;

use super::catalog::Scope;
use super::live_tables;
use super::plan::{self, Planned};
use super::recorded::{self, SessionNote};
use super::{Answer, columns, output, session_functions};
use crate::lake::is_temporary;
use crate::lake::types::{wire_batch, wire_schema};
use crate::sql::train::Train;
use crate::training::{self, Job, Read};
use crate::{Error, Result};

/// The columns of the one row that `TRAIN MODEL` answers.
pub(super) fn result_schema() -> SchemaRef {
    wire_schema(&training::result_schema())
}

/// The plan of the training query, checked against what the statement asks for.
pub(super) async fn planned(scope: Scope, statement: &Train) -> Result<Planned> {
    let planned = plan::query(scope, statement.query.as_ref().clone()).await?;
    if planned.reads_files {
        return Err(Error::unsupported("a training query cannot read files: what it learned from could change unseen")
            .with_hint("load the files first: CREATE TABLE t AS SELECT * FROM read_csv('…')"));
    }
    let reads = planned.scope.reads();
    if let Some(live) = reads.iter().find(|read| live_tables::is_live(&read.name)) {
        return Err(Error::unsupported(format!(
            "a training query cannot read `{}`: it is never the same again",
            live.name
        ))
        .with_hint(format!("keep its rows first: CREATE TABLE t AS SELECT * FROM {}", live.name)));
    }
    if let Some(read) = reads.iter().find(|read| is_temporary(&read.id)) {
        let name = &read.name.table;
        return Err(Error::unsupported(format!("a training query cannot read `{name}`, which is a temporary table"))
            .with_hint("what a model learned from must last: put the rows into a table"));
    }
    repeatable(&planned.plan)?;
    let analysed = planned.state.optimize(&plan::described(planned.plan.clone())?)?;
    let columns = planned.columns(&analysed);
    columns::each_once(&columns)?;
    limn_sql_udfs::train::check(&request(statement), &wire_schema(&columns))?;
    Ok(planned)
}

fn request(statement: &Train) -> Request {
    Request {
        algorithm: statement.algorithm.clone(),
        parameters: statement.parameters.clone(),
        target: statement.target.clone(),
        split: statement.split.clone(),
        seed: statement.seed.unwrap_or(0),
        partition: statement.partition.clone(),
    }
}

/// Functions that are constant in one statement and different in the next.
const CHANGING_FUNCTIONS: &[&str] = &["now", "current_timestamp", "current_date", "current_time", "today"];

/// An error where the query would give other rows when it is repeated on the same data.
fn repeatable(plan: &LogicalPlan) -> Result<()> {
    let mut culprit = None;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::ScalarFunction(call) = expr {
                    let volatile = call.func.signature().volatility == Volatility::Volatile;
                    let name = call.func.name();
                    if volatile || CHANGING_FUNCTIONS.contains(&name) || session_functions::CHANGING.contains(&name) {
                        culprit = Some(name.to_string());
                        return Ok(TreeNodeRecursion::Stop);
                    }
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    match culprit {
        None => Ok(()),
        Some(name) => Err(Error::input(format!(
            "the training query calls `{name}()`, whose value would be another one when it is repeated"
        ))
        .with_hint("bind the value as a parameter or write it as a literal; both are recorded")),
    }
}

/// Runs `TRAIN MODEL`; the answer is its one row.
pub(super) async fn run(scope: Scope, statement: Train, sql: &str, parameters: &[ScalarValue]) -> Result<Answer> {
    let registry = scope.inner.registry.clone();
    let row = training::run(&registry, job(scope, &statement, sql, parameters).await?).await?;
    let affected = row.num_rows() as u64;
    Ok(output::finished(row.with_schema(result_schema())?, Some(affected)))
}

/// Plans the training query, and begins to run it.
pub(super) async fn job(scope: Scope, statement: &Train, sql: &str, parameters: &[ScalarValue]) -> Result<Job> {
    let ctx = scope.ctx.clone();
    let planned = ctx.run(planned(scope, statement)).await?;
    let plan = plan::bound(&planned.state, planned.plan.clone(), parameters)?;
    job_of(&planned, plan, statement, sql, parameters).await
}

/// Begins to run the plan of a training query.
pub(super) async fn job_of(
    planned: &Planned,
    plan: LogicalPlan,
    statement: &Train,
    sql: &str,
    parameters: &[ScalarValue],
) -> Result<Job> {
    let ctx = planned.scope.ctx.clone();
    let plan = planned.state.optimize(&plan)?;
    let schema = wire_schema(&planned.names.restore(plan.schema().as_arrow()));
    let physical =
        ctx.run(async { Ok(planned.state.query_planner().create_physical_plan(&plan, &planned.state).await?) });
    let physical = physical.await?;
    fits(physical.as_ref(), schema.fields().len(), planned.scope.inner.statement_bytes)?;
    let rows = execute_stream(physical, planned.task())?;
    let cast = Arc::clone(&schema);
    let batches = rows.map(move |batch| wire_batch(&batch.map_err(Error::from)?, &cast)).boxed();
    let pool = &planned.environment.memory_pool;
    Ok(Job {
        model: statement.model.clone(),
        experiment: statement.experiment.clone(),
        alias: statement.alias.clone(),
        request: request(statement),
        statement: sql.to_string(),
        query_id: ctx.query_id.clone(),
        user_name: ctx.principal.0.clone(),
        bound: recorded::shown(parameters),
        parameters: recorded::to_text(parameters)?,
        session: SessionNote::of(&planned.scope).to_text()?,
        reads: planned
            .scope
            .reads()
            .into_iter()
            .map(|read| Read { schema: read.name.schema, table: read.name.table, id: read.id, version: read.version })
            .collect(),
        schema,
        batches,
        memory: MemoryConsumer::new(format!("training of `{}`", statement.model)).register(pool),
        cancel: ctx.cancel.clone(),
        deadline: ctx.deadline,
        progress: ctx.progress.clone(),
        threads: planned.state.config().target_partitions(),
        older: None,
        notes: Vec::new(),
    })
}

/// An error where the rows that the query is known to give could not be held, before any of them is read.
fn fits(rows: &dyn ExecutionPlan, columns: usize, memory_bytes: usize) -> Result<()> {
    let known = StatisticsContext::new().compute(rows, &StatisticsArgs::new())?;
    let Precision::Exact(count) = known.num_rows else { return Ok(()) };
    // A number in 64 bits for each value is what the smallest training holds.
    let needed = count.saturating_mul(columns).saturating_mul(size_of::<f64>());
    match needed <= memory_bytes {
        true => Ok(()),
        false => Err(Error::exhausted(format!(
            "the training does not fit: {count} rows of {columns} columns take at least {} MiB, and a statement may take {} MiB",
            needed >> 20,
            memory_bytes >> 20
        ))
        .with_hint("train on fewer rows or columns, or give the server more memory (`limn serve --memory`)")),
    }
}
