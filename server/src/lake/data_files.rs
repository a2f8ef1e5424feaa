//! Writes rows into a table's data files, which no commit names yet.

use std::num::NonZeroU64;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::execution::{SessionState, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::streaming::StreamingTableExec;
use deltalake_core::ObjectStore;
use deltalake_core::datafile::writer::{DeltaWriter, WriterConfig};
use deltalake_core::kernel::{Action, Add};
use futures::StreamExt;
use futures::stream::BoxStream;
use parquet::basic::Compression;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};

use super::encoding::Sample;
use super::rows::Rows;
use crate::limits::{DATA_FILE_BYTES_TARGET, DATA_FILE_ROW_GROUP_BYTES, ROW_GROUP_ROWS_MAX};
use crate::{Error, Result};

/// Finished files, durable, and how many rows they have.
#[derive(Debug, Clone, Default)]
pub struct DataFiles {
    adds: Vec<Add>,
    /// Their rows.
    pub rows: u64,
}

impl DataFiles {
    /// Writes the rows of a query.
    pub async fn of_query(
        rows: &Rows,
        partition_by: &[String],
        store: Arc<dyn ObjectStore>,
        state: &SessionState,
    ) -> Result<Self> {
        let schema = rows.schema().clone();
        let source = StreamingTableExec::try_new(schema.clone(), rows.partitions(), None, [], false, None)?;
        // One writer, so that a table has files of a size that is good to read and not one for each processor.
        let stream = CoalescePartitionsExec::new(Arc::new(source)).execute(0, Arc::new(TaskContext::from(state)))?;
        let batches = stream.map(|batch| batch.map_err(Error::from)).boxed();
        write(batches, schema, partition_by, store).await
    }

    /// Writes rows as they come.
    pub async fn of_stream(
        batches: BoxStream<'static, Result<RecordBatch>>,
        schema: SchemaRef,
        partition_by: &[String],
        store: Arc<dyn ObjectStore>,
    ) -> Result<Self> {
        write(batches, schema, partition_by, store).await
    }

    /// Writes rows that are there.
    pub async fn of_batches(batches: Vec<RecordBatch>, schema: SchemaRef, store: Arc<dyn ObjectStore>) -> Result<Self> {
        write(futures::stream::iter(batches.into_iter().map(Ok)).boxed(), schema, &[], store).await
    }

    /// How many files.
    pub fn count(&self) -> usize {
        self.adds.len()
    }

    /// How many bytes.
    pub fn bytes(&self) -> u64 {
        self.adds.iter().map(|add| u64::try_from(add.size).unwrap_or_default()).sum()
    }

    /// The files, as the log says them.
    pub fn into_adds(self) -> Vec<Add> {
        self.adds
    }

    /// What a commit says to make them part of the table where their rows were part of it before.
    pub fn into_moves(self) -> impl Iterator<Item = Action> {
        self.adds.into_iter().map(|add| Action::Add(Add { data_change: false, ..add }))
    }

    /// What a commit says to make them part of the table.
    pub fn into_actions(self) -> impl Iterator<Item = Action> {
        self.adds.into_iter().map(Action::Add)
    }
}

/// How Parquet files are written. A row group is held in memory until it is whole, so its size is what a write of any
/// length takes: by its rows, and where those are wide by its bytes.
fn properties() -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS_MAX))
        .set_max_row_group_bytes(Some(DATA_FILE_ROW_GROUP_BYTES))
}

async fn write(
    mut batches: BoxStream<'_, Result<RecordBatch>>,
    schema: SchemaRef,
    partition_by: &[String],
    store: Arc<dyn ObjectStore>,
) -> Result<DataFiles> {
    let mut sample = Sample::default();
    while !sample.is_full() {
        match batches.next().await {
            Some(batch) => sample.add(batch?),
            None => break,
        }
    }
    let properties = sample.encoded(&schema, properties()).build();
    // Statistics of the first 32 columns, as Delta's default has it; more slows writes and helps few queries.
    let config = WriterConfig::new(
        schema,
        partition_by.to_vec(),
        Some(properties),
        NonZeroU64::new(DATA_FILE_BYTES_TARGET),
        None,
        Default::default(),
        None,
    );
    let mut writer = DeltaWriter::new(store, config);
    let mut rows = 0;
    let mut batches = futures::stream::iter(sample.into_batches().into_iter().map(Ok)).chain(batches);
    while let Some(batch) = batches.next().await {
        let written = match batch {
            Ok(batch) => {
                rows += batch.num_rows() as u64;
                writer.write(&batch).await.map_err(super::error::delta)
            }
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            // Unfinished files are only given up by being told so.
            let _ = writer.abort().await;
            return Err(error);
        }
    }
    let adds = writer.close().await.map_err(super::error::delta)?;
    Ok(DataFiles { adds, rows })
}
