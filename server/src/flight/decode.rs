//! The batches of a `DoPut`, out of messages that a client made: what is malformed is the client's error.
//!
//! Arrow's reader panics on some messages that lie about their lengths, so a panic here is an answer and not a bug. It
//! knows nothing of what the rows are for.

use std::panic::AssertUnwindSafe;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow_flight::FlightData;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use futures::{FutureExt, Stream, StreamExt, TryStreamExt};
use tonic::{Code, Status};

use super::ipc;
use crate::{Class, Error, Result};

/// Batches as they come.
pub struct Incoming {
    decoded: FlightRecordBatchStream,
    /// What they are, for errors: `the rows`.
    what: &'static str,
}

impl Incoming {
    /// The batches in `messages`, the one with the descriptor included.
    pub fn new(messages: impl Stream<Item = Result<FlightData, Status>> + Send + 'static, what: &'static str) -> Self {
        // A first message that only has a descriptor carries no schema, which the decoder would trip over.
        let with_content = messages.try_filter(|data| std::future::ready(!data.data_header.is_empty()));
        let checked = with_content.map_err(FlightError::from).map(|data| {
            let data = data?;
            match ipc::check(&data.data_header, &data.data_body) {
                Ok(()) => Ok(data),
                Err(error) => Err(FlightError::ExternalError(Box::new(error))),
            }
        });
        let decoded = FlightRecordBatchStream::new_from_flight_data(checked);
        Incoming { decoded, what }
    }

    /// The next batch; `None` at the end, and ever after.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let what = self.what;
        match AssertUnwindSafe(self.decoded.next()).catch_unwind().await {
            Ok(next) => next.transpose().map_err(|error| unreadable(what, error)),
            Err(_panic) => Err(Error::input(format!("{what} cannot be read: a message is malformed"))),
        }
    }

    /// The schema, once a batch or the end has come; `None` where none was sent.
    pub fn schema(&self) -> Option<SchemaRef> {
        self.decoded.schema().cloned()
    }
}

fn unreadable(what: &str, error: FlightError) -> Error {
    match error {
        FlightError::Tonic(status) if matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted) => {
            Error::exhausted(format!("a message of {what} has more bytes than the server accepts"))
                .with_hint("send fewer rows at a time; the limit is `max_message_bytes`")
        }
        FlightError::Tonic(status) => Error::input(format!("{what} ended early: {}", status.message())),
        FlightError::Arrow(error) => match Error::from(error) {
            // Nothing was read but what the client sent.
            error if error.class() == Class::Internal => {
                Error::input(format!("{what} cannot be read: {}", error.message()))
            }
            error => error.context(format!("{what} cannot be read")),
        },
        FlightError::ExternalError(error) => match error.downcast::<Error>() {
            Ok(own) => own.context(format!("{what} cannot be read")),
            Err(other) => Error::input(format!("{what} cannot be read: {other}")),
        },
        other => Error::input(format!("{what} cannot be read: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, StringArray};
    use arrow_flight::encode::FlightDataEncoderBuilder;

    use super::*;

    async fn messages() -> Vec<FlightData> {
        let words: ArrayRef = Arc::new(StringArray::from(vec!["one", "two", "three"]));
        let batch = RecordBatch::try_from_iter([("s", words)]).unwrap();
        FlightDataEncoderBuilder::new().build(futures::stream::iter([Ok(batch)])).try_collect().await.unwrap()
    }

    async fn read(messages: Vec<FlightData>) -> Result<usize> {
        let mut incoming = Incoming::new(futures::stream::iter(messages.into_iter().map(Ok)), "the rows");
        let mut rows = 0;
        while let Some(batch) = incoming.next().await? {
            rows += batch.num_rows();
        }
        Ok(rows)
    }

    #[tokio::test]
    async fn every_cut_and_every_flipped_byte_is_an_error_or_rows() {
        let good = messages().await;
        assert_eq!(read(good.clone()).await.unwrap(), 3);
        for length in 0..good[1].data_body.len() {
            let mut cut = good.clone();
            cut[1].data_body = cut[1].data_body.slice(0..length);
            if let Err(error) = read(cut).await {
                assert_ne!(error.class(), Class::Internal, "{error}");
            }
        }
        for at in 0..good[1].data_header.len() {
            let mut flipped = good.clone();
            let mut header = flipped[1].data_header.to_vec();
            header[at] ^= 0xFF;
            flipped[1].data_header = header.into();
            if let Err(error) = read(flipped).await {
                assert_ne!(error.class(), Class::Internal, "at {at}: {error}");
            }
        }
    }
}
