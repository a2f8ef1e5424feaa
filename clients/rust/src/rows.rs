//! A result as it streams in, and the handle that stops it from elsewhere.
//!
//! Dropping it cancels the statement on the server. It knows nothing of how the statement was sent.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::{CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightData, FlightInfo, IpcMessage};
use futures::{Stream, StreamExt, TryStreamExt};
use prost::Message;

use crate::{Class, Client, Error, Result};

/// A stream of batches whose schema is known before the first.
pub struct Rows {
    schema: SchemaRef,
    affected: Option<u64>,
    batches: FlightRecordBatchStream,
    cancel: CancelHandle,
}

impl Rows {
    pub(crate) fn new(client: Client, info: FlightInfo, messages: tonic::Streaming<FlightData>) -> Result<Self> {
        let schema = Schema::try_from(IpcMessage(info.schema.clone()))?;
        Ok(Rows {
            schema: Arc::new(schema),
            affected: u64::try_from(info.total_records).ok(),
            batches: FlightRecordBatchStream::new_from_flight_data(messages.map_err(FlightError::from)),
            cancel: CancelHandle { client, info },
        })
    }

    /// The schema of every batch.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows changed, where the statement was not a query and the server counted them.
    pub fn affected(&self) -> Option<u64> {
        self.affected
    }

    /// What stops the statement while something else reads its rows.
    pub fn cancel_handle(&self) -> CancelHandle {
        self.cancel.clone()
    }

    /// All rows together; only for results that fit into memory.
    pub async fn into_batches(self) -> Result<Vec<RecordBatch>> {
        self.try_collect().await
    }
}

impl Stream for Rows {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.batches.poll_next_unpin(cx).map(|next| next.map(|batch| Ok(batch?)))
    }
}

/// Stops one statement from any task, over the same session.
#[derive(Debug, Clone)]
pub struct CancelHandle {
    client: Client,
    info: FlightInfo,
}

impl CancelHandle {
    pub(crate) fn new(client: Client, info: FlightInfo) -> Self {
        CancelHandle { client, info }
    }

    /// Cancels the statement; whoever reads its rows gets [`Class::Cancelled`]. `false` where it has ended already.
    pub async fn cancel(&self) -> Result<bool> {
        let request = CancelFlightInfoRequest { info: Some(self.info.clone()) };
        let answer = match self.client.action_once("CancelFlightInfo", request.encode_to_vec()).await {
            Err(error) if error.class() == Class::NotFound => return Ok(false),
            answer => CancelFlightInfoResult::decode(answer?)?,
        };
        match answer.status() {
            CancelStatus::Cancelled | CancelStatus::Cancelling => Ok(true),
            CancelStatus::NotCancellable => Ok(false),
            CancelStatus::Unspecified => {
                Err(Error::new(Class::Internal, "the server did not say whether it cancelled"))
            }
        }
    }
}
