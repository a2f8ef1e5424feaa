//! The names of files in the errors of reading them: a broken page is told with the file that it is in.
//!
//! Readers of Parquet say what is wrong and not where. A scan reads the files of a partition one after the other, so that
//! of several all are named that may be meant. A file of a table that cannot be read is a failure of the machine under
//! it; a file that a statement names is the statement's.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result, Statistics};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties,
    ReplaceChildrenOptions,
};
use futures::StreamExt;
use parquet::errors::ParquetError;

use crate::Error;

/// Files that an error names at most.
const NAMED_MAX: usize = 3;

/// Puts what names the files above every scan of them, to be run after all other rules.
#[derive(Debug, Default)]
pub struct NamedFiles;

impl PhysicalOptimizerRule for NamedFiles {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let named = Arc::clone(&plan).transform_up(|node| {
            Ok(match files(node.as_ref()) {
                Some((own, files)) => {
                    Transformed::yes(
                        Arc::new(NamedFilesExec { input: node, own, files: files.into() }) as Arc<dyn ExecutionPlan>
                    )
                }
                None => Transformed::no(node),
            })
        });
        // deltalake wants its own scan right below a table with deletion vectors; that plan stays as it is.
        Ok(named.data().unwrap_or(plan))
    }

    fn name(&self) -> &str {
        "NamedFiles"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The files of each partition of a scan, and whether they are a table's; `None` for every other node.
fn files(node: &dyn ExecutionPlan) -> Option<(bool, Vec<Vec<String>>)> {
    let source = node.downcast_ref::<DataSourceExec>()?.data_source();
    let scan = source.downcast_ref::<FileScanConfig>()?;
    let own = !scan.object_store_url.as_str().starts_with("file:");
    let path = |location: String| if own { location } else { format!("/{location}") };
    let groups = scan
        .file_groups
        .iter()
        .map(|group| group.files().iter().map(|file| path(file.object_meta.location.to_string())).collect::<Vec<_>>());
    Some((own, groups.collect()))
}

/// A scan whose errors name files.
#[derive(Debug, Clone)]
struct NamedFilesExec {
    input: Arc<dyn ExecutionPlan>,
    /// Whether they are a table's.
    own: bool,
    /// The files by partition.
    files: Arc<[Vec<String>]>,
}

impl NamedFilesExec {
    fn named(own: bool, files: &[String], error: DataFusionError) -> DataFusionError {
        let Some(text) = unreadable(&error) else { return error };
        let shown: Vec<String> = files.iter().take(NAMED_MAX).map(|file| format!("`{file}`")).collect();
        let which = match files.len() {
            0 => return error,
            1 => shown.concat(),
            all if all <= NAMED_MAX => format!("one of {}", shown.join(", ")),
            all => format!("one of {} and {} more", shown.join(", "), all - NAMED_MAX),
        };
        let text = format!("{which} cannot be read: {text}");
        let error = if own { Error::internal(format!("the data file {text}")) } else { Error::input(text) };
        error.into_datafusion()
    }
}

/// What is wrong with the content of a file, where that is what failed.
fn unreadable(error: &DataFusionError) -> Option<String> {
    match error.find_root() {
        DataFusionError::ParquetError(error) => Some(error.to_string()),
        DataFusionError::ArrowError(error, _) => match error.as_ref() {
            ArrowError::ParquetError(text) => Some(text.clone()),
            ArrowError::ExternalError(source) => source.downcast_ref::<ParquetError>().map(ToString::to_string),
            _ => None,
        },
        DataFusionError::External(source) => source.downcast_ref::<ParquetError>().map(ToString::to_string),
        _ => None,
    }
}

impl DisplayAs for NamedFilesExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NamedFilesExec")
    }
}

impl ExecutionPlan for NamedFilesExec {
    fn name(&self) -> &str {
        "NamedFilesExec"
    }

    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self { input, ..Self::clone(&self) })),
            _ => Err(DataFusionError::Internal("a scan has one node below it".into())),
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        match inputs {
            [input] => Ok(Arc::clone(input)),
            _ => Err(DataFusionError::Internal("a scan has one node below it".into())),
        }
    }

    fn execute(&self, partition: usize, ctx: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (own, all) = (self.own, Arc::clone(&self.files));
        let rows = self.input.execute(partition, ctx)?.map(move |batch| {
            batch.map_err(|error| Self::named(own, all.get(partition).map(Vec::as_slice).unwrap_or_default(), error))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}
