//! A query that is planned and has not run.
//!
//! Clients ask for a query's columns first and for its rows right after, in two calls. What was planned for the first
//! can be run by the second. It knows nothing of calls, and does not decide how long it is kept.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream, execute_stream};
use futures::StreamExt;

use super::context::StatementContext;
use super::plan::Planned;
use super::{Answer, explain, lost, output};
use crate::Result;

/// A query with values for all its parameters, optimised.
pub struct ReadyQuery {
    planned: Planned,
    plan: LogicalPlan,
    schema: SchemaRef,
    physical: Option<Arc<dyn ExecutionPlan>>,
}

impl fmt::Debug for ReadyQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadyQuery").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl ReadyQuery {
    /// Optimises `bound`, which is the plan of `planned` with values in it.
    pub(super) fn new(ctx: &StatementContext, planned: Planned, bound: &LogicalPlan) -> Result<Self> {
        let plan = planned.state.optimize(bound)?;
        let schema = output::wire(ctx, &planned.columns(&plan));
        Ok(ReadyQuery { planned, plan, schema, physical: None })
    }

    /// The wire schema of its result.
    pub fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    /// Whether planning it again would give the same: what it reads has a version, and is still there.
    pub fn still_holds(&self) -> bool {
        !self.planned.reads_files && self.planned.scope.still_holds()
    }

    /// Whether it is known to give one row of constants, as `SELECT 1` does.
    pub fn is_one_row(&self) -> bool {
        fn is_one_row(plan: &dyn ExecutionPlan) -> bool {
            match plan.children().as_slice() {
                [] => plan.is::<PlaceholderRowExec>(),
                [child] => plan.is::<ProjectionExec>() && is_one_row(child.as_ref()),
                _ => false,
            }
        }
        self.physical.as_ref().is_some_and(|physical| is_one_row(physical.as_ref()))
    }

    /// Does what is left of planning, so that its rows come sooner.
    pub async fn plan_ahead(&mut self) -> Result<()> {
        self.physical = Some(self.physical().await?);
        Ok(())
    }

    async fn physical(&self) -> Result<Arc<dyn ExecutionPlan>> {
        let state = &self.planned.state;
        Ok(state.query_planner().create_physical_plan(&self.plan, state).await?)
    }

    /// Runs it, in the memory of the statement `ctx`.
    pub(super) async fn run(mut self, ctx: &StatementContext) -> Result<Answer> {
        self.planned.belongs_to(ctx);
        let physical = match self.physical.take() {
            Some(physical) => physical,
            None => self.physical().await?,
        };
        let rows = execute_stream(physical, self.planned.task())?;
        let models = explain::models(&self.plan, &rows.schema())?;
        let rows = lost::named(&self.planned.scope, rows);
        let rows: SendableRecordBatchStream = match models {
            None => rows,
            Some(models) => {
                let more = futures::stream::iter([Ok(models)]);
                Box::pin(RecordBatchStreamAdapter::new(rows.schema(), rows.chain(more)))
            }
        };
        Ok(output::stream(ctx, self.schema, rows))
    }
}
