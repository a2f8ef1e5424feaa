//! Messages of rows that lie: about lengths, about sizes before compression, about how many rows there are.
//!
//! They are made from good ones by changing the numbers in them. Nothing here decides what is a right answer.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::ipc::CompressionType;
use arrow::ipc::writer::IpcWriteOptions;
use arrow::record_batch::RecordBatch;
use arrow_flight::FlightData;
use arrow_flight::encode::FlightDataEncoderBuilder;
use futures::TryStreamExt;

use crate::Outcome;
use crate::choices::Choices;
use crate::raw::{descriptor, ingest_mode};

/// Rows of a good batch: their number stands out among other numbers.
const ROWS: i64 = 54_321;

/// The messages of an ingestion, of which something is wrong.
pub async fn lying(choices: &mut Choices) -> Outcome<Vec<FlightData>> {
    let compressed = choices.below(2) == 0;
    let mut messages = good(compressed).await?;
    let Some(batch) = messages.get_mut(1) else { return Ok(messages) };
    match choices.below(5) {
        0 => batch.data_header = choices.bytes(64).into(),
        1 => {
            let length = choices.index(batch.data_body.len() / 2);
            batch.data_body = batch.data_body.slice(..length);
        }
        2 => batch.data_header = replaced(&batch.data_header, ROWS, 1 << 62).into(),
        3 if compressed => batch.data_body = replaced(&batch.data_body, ROWS * 8, 1 << 45).into(),
        3 => batch.data_header = replaced(&batch.data_header, ROWS * 8, 1 << 45).into(),
        _ => messages = messages.split_off(1),
    }
    if let Some(first) = messages.first_mut() {
        first.flight_descriptor = Some(descriptor(&ingest_mode("lies", "create_append")));
    }
    Ok(messages)
}

async fn good(compressed: bool) -> Outcome<Vec<FlightData>> {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..ROWS));
    let words: ArrayRef = Arc::new(StringArray::from_iter_values((0..ROWS).map(|n| (n % 7).to_string())));
    let batch = RecordBatch::try_from_iter([("a", numbers), ("s", words)])?;
    let compression = compressed.then_some(CompressionType::LZ4_FRAME);
    let options = IpcWriteOptions::default().try_with_compression(compression)?;
    let encoder = FlightDataEncoderBuilder::new().with_options(options).with_max_flight_data_size(usize::MAX);
    Ok(encoder.build(futures::stream::iter([Ok(batch)])).try_collect().await?)
}

/// The bytes with another number wherever this one stands in eight of them.
fn replaced(bytes: &[u8], number: i64, other: i64) -> Vec<u8> {
    let (number, other) = (number.to_le_bytes(), other.to_le_bytes());
    let mut bytes = bytes.to_vec();
    for at in 0..bytes.len().saturating_sub(7) {
        if bytes[at..at + 8] == number {
            bytes[at..at + 8].copy_from_slice(&other);
        }
    }
    bytes
}
