//! The change data feed: which rows came, went and changed, commit by commit (`delta.enableChangeDataFeed`).
//!
//! deltalake reads the feed; where it begins and ends is resolved here, so that a version outside of the history is an
//! error that names the range, as everywhere.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::Result as PlanResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use deltalake_core::DeltaTable;
use deltalake_core::delta_datafusion::DeltaCdfTableProvider;

use super::alter::refuse_mapping;
use super::open::Lake;
use super::{At, Relation, RelationKind};
use crate::{Error, Result};

impl Lake {
    /// The changes of the versions `from` to `to`, both included; to `latest` where no end is given.
    ///
    /// A time as a beginning means the first version that was made no earlier, as an end the last that was made no
    /// later.
    pub async fn change_feed(
        &self,
        relation: &Arc<Relation>,
        from: At,
        to: Option<At>,
        latest: u64,
    ) -> Result<Arc<dyn TableProvider>> {
        if let RelationKind::View { .. } = relation.kind {
            return Err(Error::input(format!(
                "expected a table in `table_changes`, found the view `{}`",
                relation.name
            )));
        }
        let table = self.table(relation)?;
        let state = table.at(latest).await?;
        refuse_mapping(relation, state.metadata(), "table_changes")?;
        let from = match from {
            At::Timestamp(time) => {
                let times = table.commit_times(latest).await?;
                let first = times.iter().find(|known| known.at >= time);
                first.map(|known| known.version).ok_or_else(|| {
                    Error::input(format!("`{}` has no version since {}", relation.name, time.to_rfc3339()))
                })?
            }
            other => self.snapshot(relation, other).await?.version,
        };
        let to = match to {
            Some(to) => self.snapshot(relation, to).await?.version.min(latest),
            None => latest,
        };
        if from > to {
            return Err(Error::input(format!(
                "expected a first version no later than the last, found {from} and {to}"
            )));
        }
        for version in [from, to] {
            let on = table.at(version).await?.table_config().enable_change_data_feed == Some(true);
            if !on {
                return Err(Error::input(format!("`{}` has no change data feed at version {version}", relation.name))
                    .with_hint(format!(
                        "ALTER TABLE {} SET TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true') begins one",
                        relation.name
                    )));
            }
        }
        let mut delta = DeltaTable::new(table.log_store().clone());
        delta.state = Some(state);
        let feed = delta.scan_cdf().with_starting_version(from).with_ending_version(to);
        Ok(Arc::new(Feed(DeltaCdfTableProvider::try_new(feed).map_err(super::error::delta)?)))
    }
}

/// deltalake's feed, closed to the optimiser. Its plan puts files of several layouts together, and a sort that is
/// pushed into it fails for those in which a column is elsewhere.
#[derive(Debug)]
struct Feed(DeltaCdfTableProvider);

#[async_trait]
impl TableProvider for Feed {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let plan = self.0.scan(session, projection, filters, limit).await?;
        let schema = plan.schema();
        let stream = |index| {
            let part = Part { plan: Arc::clone(&plan), index, schema: Arc::clone(&schema) };
            Arc::new(part) as Arc<dyn PartitionStream>
        };
        let streams = (0..plan.output_partitioning().partition_count()).map(stream).collect();
        Ok(Arc::new(StreamingTableExec::try_new(Arc::clone(&schema), streams, None, [], false, None)?))
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> PlanResult<Vec<TableProviderFilterPushDown>> {
        self.0.supports_filters_pushdown(filters)
    }
}

/// One stream of a feed.
#[derive(Debug)]
struct Part {
    plan: Arc<dyn ExecutionPlan>,
    index: usize,
    schema: SchemaRef,
}

impl PartitionStream for Part {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, ctx: Arc<TaskContext>) -> SendableRecordBatchStream {
        match self.plan.execute(self.index, ctx) {
            Ok(rows) => rows,
            Err(error) => {
                let failed = futures::stream::once(std::future::ready(Err(error)));
                Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), failed))
            }
        }
    }
}
