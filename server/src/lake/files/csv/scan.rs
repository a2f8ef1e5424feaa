//! One partition of a CSV scan: reads its shares in order and gives Arrow batches.
//!
//! Reading and parsing block, so they run on a thread of their own that waits while the query has enough batches and
//! ends when the query drops the stream. It knows nothing of planning.

use std::fmt;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::PartitionStream;

use super::column::{self, Nulls};
use super::records::{Records, Rows, shown};
use super::source::Source;
use super::split::Share;
use super::tokens::Dialect;
use crate::lake::types::sql_name;
use crate::limits::{BATCH_ROWS, CSV_BATCHES_BUFFERED};
use crate::{Error, Result};

/// What all partitions of a table share.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) dialect: Dialect,
    pub(super) nulls: Nulls,
    /// All columns of the files.
    pub(super) schema: SchemaRef,
    pub(super) names: Arc<[String]>,
    /// Which columns' types were inferred and not said.
    pub(super) inferred: Vec<bool>,
    pub(super) sources: Vec<Arc<Source>>,
}

/// One partition of a scan.
#[derive(Clone)]
pub(super) struct Partition {
    pub(super) reading: Arc<Reading>,
    pub(super) shares: Vec<Share>,
    /// The columns that are wanted, as indices of the files' columns.
    pub(super) projection: Vec<usize>,
    pub(super) schema: SchemaRef,
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "csv({} shares)", self.shares.len())
    }
}

impl PartitionStream for Partition {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _ctx: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut stream = RecordBatchReceiverStream::builder(Arc::clone(&self.schema), CSV_BATCHES_BUFFERED);
        let (partition, batches) = (self.clone(), stream.tx());
        stream.spawn_blocking(move || {
            // A send fails when the query is gone, which ends the work.
            let read = partition.read(|batch| batches.blocking_send(Ok(batch)).is_ok());
            read.map_err(Error::into_datafusion)
        });
        stream.build()
    }
}

impl Partition {
    /// Gives every batch to `give`, until that answers `false`.
    pub(super) fn read(&self, mut give: impl FnMut(RecordBatch) -> bool) -> Result<()> {
        for share in &self.shares {
            let source = &self.reading.sources[share.file];
            let mut records = Records::open(source, self.reading.dialect, &self.reading.names, share.start, share.end)?;
            while let Some(rows) = records.next(BATCH_ROWS)? {
                let built = self.batch(&rows)?;
                let batch = built.map_err(|wrong| self.error(&records, &wrong))?;
                if !give(batch) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The wanted columns of the rows, or the first wrong value: the first of its row, in the first such row.
    fn batch(&self, rows: &Rows<'_>) -> Result<std::result::Result<RecordBatch, Wrong>> {
        let mut first: Option<(usize, usize)> = None;
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.projection.len());
        for &column in &self.projection {
            let data_type = self.reading.schema.field(column).data_type();
            match column::array(rows, column, data_type, &self.reading.nulls, &self.reading.dialect) {
                Ok(array) => arrays.push(array),
                Err(row) => first = Some(first.map_or((row, column), |first| first.min((row, column)))),
            }
        }
        if let Some((row, column)) = first {
            let text = rows.field(row, column).0.to_string();
            return Ok(Err(Wrong { row_offset: rows.offset(row), column, text }));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Ok(Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)?))
    }

    fn error(&self, records: &Records, wrong: &Wrong) -> Error {
        let expected = sql_name(self.reading.schema.field(wrong.column).data_type());
        let text = format!("expected {expected}, found {}", shown(&wrong.text));
        let error = records.cell_error(wrong.row_offset, wrong.column, &text);
        match self.reading.inferred.get(wrong.column) {
            Some(true) => error.with_hint(format!(
                "the type was inferred from the file's first rows; say another with `columns => '\"{}\" TEXT'`",
                self.reading.names[wrong.column]
            )),
            _ => error,
        }
    }
}

/// A text that is no value of its column's type.
struct Wrong {
    row_offset: u64,
    column: usize,
    text: String,
}
