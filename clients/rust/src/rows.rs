//! A result as it streams in.
//!
//! Dropping it cancels the statement on the server. It knows nothing of how the statement was sent.

use std::pin::Pin;
use std::task::{Context, Poll};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow_flight::decode::FlightRecordBatchStream;
use futures::{Stream, StreamExt};

use crate::Result;

/// A stream of batches whose schema is known before the first.
pub struct Rows {
    pub(crate) schema: SchemaRef,
    pub(crate) affected: Option<u64>,
    pub(crate) batches: FlightRecordBatchStream,
}

impl Rows {
    /// The schema of every batch.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows changed, where the statement was not a query and the server counted them.
    pub fn affected(&self) -> Option<u64> {
        self.affected
    }
}

impl Stream for Rows {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.batches.poll_next_unpin(cx).map(|next| next.map(|batch| Ok(batch?)))
    }
}
