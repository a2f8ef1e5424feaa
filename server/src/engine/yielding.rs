//! Joins that make many rows of few give way to others now and then.
//!
//! A statement is stopped, timed out and kept from starving its neighbours between two polls of its plan. DataFusion lets
//! a plan pause where it reads; a join that multiplies what it has read computes for hours in one poll. Each batch that
//! such an operator gives counts against the task's budget from here on. It knows nothing of statements.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, PiecewiseMergeJoinExec, SortMergeJoinExec,
};
use datafusion::physical_plan::unnest::UnnestExec;

/// Puts a place to pause above every operator that may give many more rows than it reads.
#[derive(Debug)]
pub(super) struct Yielding;

impl PhysicalOptimizerRule for Yielding {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            Ok(match multiplies(node.as_ref()) {
                true => Transformed::yes(Arc::new(CooperativeExec::new(node)) as Arc<dyn ExecutionPlan>),
                false => Transformed::no(node),
            })
        })
        .data()
    }

    fn name(&self) -> &str {
        "Yielding"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn multiplies(node: &dyn ExecutionPlan) -> bool {
    node.is::<CrossJoinExec>()
        || node.is::<NestedLoopJoinExec>()
        || node.is::<HashJoinExec>()
        || node.is::<SortMergeJoinExec>()
        || node.is::<PiecewiseMergeJoinExec>()
        || node.is::<UnnestExec>()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use datafusion::execution::session_state::SessionStateBuilder;
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;

    /// One thread has only the pauses of the query to look at the clock.
    #[tokio::test]
    async fn a_join_of_everything_with_everything_pauses() {
        let state = SessionStateBuilder::new()
            .with_config(SessionConfig::new().with_target_partitions(1))
            .with_default_features()
            .with_physical_optimizer_rule(Arc::new(Yielding))
            .build();
        let ctx = SessionContext::new_with_state(state);
        // 10^10 rows, which is minutes of work.
        let sql = "SELECT sum(a.value * b.value) FROM generate_series(1, 100000) AS a, generate_series(1, 100000) AS b";
        let frame = ctx.sql(sql).await.unwrap();
        let given_up = tokio::time::timeout(Duration::from_millis(50), frame.collect()).await;
        assert!(given_up.is_err());
    }
}
