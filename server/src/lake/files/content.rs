//! Files as rows: `path`, `size`, `modified`, and `content`, which is read only where a query wants it.
//!
//! Conditions on the other columns are decided before a file is opened. It knows nothing of formats.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryArray, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Result as DataFusionResult};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use datafusion::scalar::ScalarValue;

use super::glob::{self, FileStat};
use crate::lake::types::instant;
use crate::limits::{BATCH_ROWS, FILE_CONTENT_BYTES_MAX};
use crate::{Error, Result};

/// The column that takes reading a file.
const CONTENT: &str = "content";
const CONTENT_INDEX: usize = 3;

/// What a file's content is given as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Its bytes: `read_binary`.
    Binary,
    /// The text that they are in UTF-8: `read_text`.
    Text,
}

/// A table with a row for each file that a path, a glob or a `file://` URL names.
pub async fn open_content(
    pattern: &str,
    content: Content,
    options: &[(String, ScalarValue)],
) -> Result<Arc<dyn TableProvider>> {
    if let Some((name, _)) = options.first() {
        let function = if content == Content::Binary { "read_binary" } else { "read_text" };
        return Err(Error::input(format!("unknown option `{name}` of `{function}`, it has none")));
    }
    let files = glob::list(pattern).await?;
    let data_type = if content == Content::Binary { DataType::Binary } else { DataType::Utf8 };
    let schema = Arc::new(Schema::new(vec![
        Field::new("path", DataType::Utf8, false),
        Field::new("size", DataType::Int64, false),
        Field::new("modified", instant(), false),
        Field::new(CONTENT, data_type, true),
    ]));
    Ok(Arc::new(ContentTable { files, content, schema }))
}

#[derive(Debug)]
struct ContentTable {
    files: Vec<FileStat>,
    content: Content,
    schema: SchemaRef,
}

#[async_trait]
impl TableProvider for ContentTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> DataFusionResult<Vec<TableProviderFilterPushDown>> {
        let decided = |filter: &&Expr| match filter.column_refs().iter().any(|column| column.name == CONTENT) {
            true => TableProviderFilterPushDown::Unsupported,
            false => TableProviderFilterPushDown::Exact,
        };
        Ok(filters.iter().map(decided).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let mut files = self.files.clone();
        if let Some(filter) = conjunction(filters.to_vec()) {
            let known = Arc::new(self.schema.project(&[0, 1, 2])?);
            let rows =
                RecordBatch::try_new(Arc::clone(&known), (0..CONTENT_INDEX).map(|at| listed(&files, at)).collect())?;
            let filter = state.create_physical_expr(filter, &DFSchema::try_from(known.as_ref().clone())?)?;
            let kept = filter.evaluate(&rows)?.into_array(files.len())?;
            let mut kept = kept.as_boolean().iter();
            files.retain(|_| kept.next().flatten() == Some(true));
        }
        files.truncate(limit.unwrap_or(usize::MAX));
        let projection = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let schema = Arc::new(self.schema.project(&projection)?);
        let files = Files { files: Arc::new(files), content: self.content, projection, schema: Arc::clone(&schema) };
        Ok(Arc::new(StreamingTableExec::try_new(schema, vec![Arc::new(files)], None, [], false, limit)?))
    }
}

/// One of the columns that the listing has.
fn listed(files: &[FileStat], column: usize) -> ArrayRef {
    match column {
        0 => Arc::new(files.iter().map(|file| Some(file.path.to_string_lossy())).collect::<StringArray>()),
        1 => Arc::new(Int64Array::from_iter_values(
            files.iter().map(|file| i64::try_from(file.bytes).unwrap_or(i64::MAX)),
        )),
        _ => {
            let times = files.iter().map(|file| file.modified_ms.saturating_mul(1000));
            Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
        }
    }
}

/// The rows of a scan.
#[derive(Clone)]
struct Files {
    files: Arc<Vec<FileStat>>,
    content: Content,
    projection: Vec<usize>,
    schema: SchemaRef,
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "content({} files)", self.files.len())
    }
}

impl PartitionStream for Files {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _ctx: Arc<TaskContext>) -> SendableRecordBatchStream {
        // One file waits while the query has another; its content may be large.
        let mut stream = RecordBatchReceiverStream::builder(Arc::clone(&self.schema), 1);
        let (files, batches) = (self.clone(), stream.tx());
        stream.spawn_blocking(move || {
            let rows = if files.projection.contains(&CONTENT_INDEX) { 1 } else { BATCH_ROWS };
            for files_of_batch in files.files.chunks(rows) {
                let batch = files.batch(files_of_batch).map_err(Error::into_datafusion)?;
                if batches.blocking_send(Ok(batch)).is_err() {
                    break;
                }
            }
            Ok(())
        });
        stream.build()
    }
}

impl Files {
    fn batch(&self, files: &[FileStat]) -> Result<RecordBatch> {
        let column = |at: &usize| match *at {
            CONTENT_INDEX => self.contents(files),
            other => Ok(listed(files, other)),
        };
        let columns = self.projection.iter().map(column).collect::<Result<Vec<ArrayRef>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(files.len()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }

    fn contents(&self, files: &[FileStat]) -> Result<ArrayRef> {
        let contents = files.iter().map(content).collect::<Result<Vec<Vec<u8>>>>()?;
        if self.content == Content::Binary {
            return Ok(Arc::new(BinaryArray::from_iter_values(contents)));
        }
        let texts = contents.into_iter().zip(files).map(|(bytes, file)| {
            String::from_utf8(bytes).map_err(|_| {
                let error = Error::input(format!("`{}`: expected UTF-8 text, found other bytes", file.shown));
                error.with_hint("read_binary reads any file")
            })
        });
        Ok(Arc::new(StringArray::from(texts.collect::<Result<Vec<String>>>()?)))
    }
}

fn content(file: &FileStat) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| Error::from(error).context(format!("`{}`", file.shown));
    let mut bytes = Vec::new();
    let opened = File::open(&file.path).map_err(failed)?;
    opened.take(FILE_CONTENT_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    match u64::try_from(bytes.len()).is_ok_and(|length| length <= FILE_CONTENT_BYTES_MAX) {
        true => Ok(bytes),
        false => Err(Error::exhausted(format!(
            "`{}`: expected a content of at most {FILE_CONTENT_BYTES_MAX} bytes, found a file of {}",
            file.shown, file.bytes
        ))
        .with_hint("leave the column `content` out, or the file with a condition on `size`")),
    }
}
