//! What leaves the engine: one schema per statement, and a stream of batches in exactly that schema.
//!
//! The schema is computed once from the optimised plan, all columns nullable, without view or dictionary types unless
//! the client asked for them, so that what it was told before equals every batch that it gets. It knows nothing of
//! messages.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;

use super::context::StatementContext;
use super::{Answer, BatchStream};
use crate::lake::types::wire_batch;
use crate::{Error, Result};

/// The wire schema of an engine schema, for the client of this statement.
pub(super) fn wire(ctx: &StatementContext, schema: &Schema) -> SchemaRef {
    let sent = ctx.wire_types.schema(schema);
    let fields: Vec<Field> = sent.fields().iter().map(|field| Field::clone(field).with_nullable(true)).collect();
    Arc::new(Schema::new(fields))
}

/// The rows of a running plan, cast to the wire schema, until the statement is stopped.
pub(super) fn stream(ctx: &StatementContext, schema: SchemaRef, rows: SendableRecordBatchStream) -> Answer {
    let cast = Arc::clone(&schema);
    let ctx = ctx.clone();
    let batches = futures::stream::try_unfold((rows, ctx), |(mut rows, ctx)| async move {
        let next = ctx.run(async { Ok(rows.next().await) }).await?;
        match next {
            Some(batch) => Ok(Some((batch.map_err(Error::from)?, (rows, ctx)))),
            None => Ok(None),
        }
    })
    .map(move |batch| batch.and_then(|batch| wire_batch(&batch, &cast)));
    Answer { schema, batches: Box::pin(batches), affected: None }
}

/// A finished answer of one batch.
pub(super) fn finished(batch: RecordBatch, affected: Option<u64>) -> Answer {
    let schema = batch.schema();
    let batches: BatchStream = Box::pin(futures::stream::iter([Ok(batch)]));
    Answer { schema, batches, affected }
}

/// The schema of an effect that counts rows.
pub(super) fn count_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("count", DataType::Int64, true)]))
}

/// The answer of an effect that counts rows.
pub(super) fn count(rows: u64) -> Result<Answer> {
    let shown = i64::try_from(rows).unwrap_or(i64::MAX);
    let batch = RecordBatch::try_new(count_schema(), vec![Arc::new(Int64Array::from(vec![shown]))])?;
    Ok(finished(batch, Some(rows)))
}

/// The answer of an effect without rows.
pub(super) fn done() -> Result<Answer> {
    let options = RecordBatchOptions::new().with_row_count(Some(0));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)?;
    Ok(finished(batch, Some(0)))
}

/// A table of text columns; an integer column is given by [`integers`].
pub(super) fn table(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch> {
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, array)| array).collect())?)
}

/// A text column.
pub(super) fn texts<T: AsRef<str>>(values: impl IntoIterator<Item = Option<T>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<StringArray>())
}

/// A `BIGINT` column.
pub(super) fn integers(values: impl IntoIterator<Item = u64>) -> ArrayRef {
    Arc::new(values.into_iter().map(|value| i64::try_from(value).ok()).collect::<Int64Array>())
}
