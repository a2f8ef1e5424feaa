//! A batch as the bytes of a gRPC message, in pieces: the columns' own buffers, and what stands between them.
//!
//! The problem: the usual way puts the buffers of a batch into one body, and that body into one message, which copies
//! every byte of a result twice before it reaches the socket. Our way: what is small is copied once, because a piece has
//! a price of its own, and large buffers go to the socket as they are. It knows nothing of HTTP.
//!
//! The formats: <https://arrow.apache.org/docs/format/Columnar.html#encapsulated-message-format>,
//! <https://arrow.apache.org/docs/format/Flight.html#downloading-data> (`FlightData`), and
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md> (the prefix of a message).

use std::collections::VecDeque;

use arrow::buffer::Buffer;
use arrow::datatypes::Schema;
use arrow::ipc::writer::StreamEncoder;
use arrow::ipc::{MessageHeader, root_as_message};
use arrow::record_batch::RecordBatch;
use arrow_flight::FlightData;
use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use crate::limits::{WIRE_MESSAGE_BYTES_MAX, WIRE_PIECE_BYTES_COPIED};
use crate::{Error, Result};

/// The bytes before a message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;
/// The bytes before the metadata of an Arrow message: a marker, and the metadata's length.
const ENCAPSULATION_BYTES: usize = 8;
/// Room for what stands before the header and the body of a message.
const HEAD_BYTES: usize = 64;
/// `FlightData.data_header` and `FlightData.data_body`.
const DATA_HEADER: u32 = 2;
const DATA_BODY: u32 = 1000;

/// Makes messages of the batches of one schema, which has no dictionaries.
pub struct Ropes {
    encoder: StreamEncoder,
}

impl Ropes {
    /// For batches of this schema.
    pub fn new(schema: &Schema) -> Result<Self> {
        Ok(Ropes { encoder: StreamEncoder::try_new(schema)? })
    }

    /// The pieces of the message of a batch. `Exhausted` where it is larger than a message may be.
    pub fn message(&mut self, batch: &RecordBatch) -> Result<VecDeque<Bytes>> {
        let mut rest = Pieces(self.encoder.encode(batch)?.into_iter().map(Shared::bytes).collect());
        loop {
            let (header, body_bytes, is_schema) = rest.metadata()?;
            // The encoder says the schema before its first batch, and the stream has said it already.
            if is_schema {
                continue;
            }
            if body_bytes > WIRE_MESSAGE_BYTES_MAX {
                return Err(too_large(body_bytes));
            }
            return Ok(framed(&header, rest.0, body_bytes));
        }
    }
}

/// The error of a message that no client would take.
pub fn too_large(bytes: usize) -> Error {
    Error::exhausted(format!("a message of {bytes} bytes is more than {WIRE_MESSAGE_BYTES_MAX}"))
        .with_hint("a single row may be too large; select fewer columns or parts of long values")
}

/// A message as bytes, with the prefix that it has on the wire.
pub fn whole(data: &FlightData) -> Bytes {
    let mut bytes = BytesMut::with_capacity(PREFIX_BYTES + data.encoded_len());
    put_prefix(&mut bytes, data.encoded_len());
    // Into memory that grows, nothing can fail.
    bytes.put(data.encode_to_vec().as_slice());
    bytes.freeze()
}

fn put_prefix(bytes: &mut BytesMut, message_bytes: usize) {
    bytes.put_u8(0);
    // A message has at most `WIRE_MESSAGE_BYTES_MAX` and a header.
    bytes.put_u32(u32::try_from(message_bytes).unwrap_or(u32::MAX));
}

/// `FlightData` with this header and this body, on the wire.
fn framed(header: &[u8], body: VecDeque<Bytes>, body_bytes: usize) -> VecDeque<Bytes> {
    let field = |number: u32, bytes: usize| key_len(number) + encoded_len_varint(wide(bytes)) + bytes;
    let message_bytes = field(DATA_HEADER, header.len()) + field(DATA_BODY, body_bytes);
    let copied: usize = body.iter().map(Bytes::len).filter(|bytes| *bytes <= WIRE_PIECE_BYTES_COPIED).sum();
    let mut open = BytesMut::with_capacity(HEAD_BYTES + header.len() + copied);
    put_prefix(&mut open, message_bytes);
    encode_key(DATA_HEADER, WireType::LengthDelimited, &mut open);
    encode_varint(wide(header.len()), &mut open);
    open.put(header);
    encode_key(DATA_BODY, WireType::LengthDelimited, &mut open);
    encode_varint(wide(body_bytes), &mut open);
    let mut pieces = VecDeque::with_capacity(body.len() + 1);
    for piece in body {
        match piece.len() <= WIRE_PIECE_BYTES_COPIED {
            true => open.put(piece),
            false => {
                if !open.is_empty() {
                    pieces.push_back(open.split().freeze());
                }
                pieces.push_back(piece);
            }
        }
    }
    if !open.is_empty() {
        pieces.push_back(open.freeze());
    }
    pieces
}

fn wide(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// What is left of what the encoder made.
struct Pieces(VecDeque<Bytes>);

impl Pieces {
    /// Takes the metadata of the next Arrow message: its bytes, how many bytes of body follow, whether it is a schema.
    fn metadata(&mut self) -> Result<(Bytes, usize, bool)> {
        let encapsulation = self.take(ENCAPSULATION_BYTES)?;
        let length = encapsulation.iter().skip(4).rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        let metadata = self.take(length)?;
        let message = root_as_message(&metadata)
            .map_err(|error| Error::internal(format!("the encoder made metadata that cannot be read: {error}")))?;
        let body_bytes = usize::try_from(message.bodyLength()).unwrap_or(usize::MAX);
        let is_schema = message.header_type() == MessageHeader::Schema;
        Ok((metadata, body_bytes, is_schema))
    }

    /// Takes so many bytes, without a copy where they are of one piece.
    fn take(&mut self, wanted: usize) -> Result<Bytes> {
        let mut taken = BytesMut::new();
        while taken.len() < wanted {
            let missing = wanted - taken.len();
            let Some(first) = self.0.front_mut() else {
                return Err(Error::internal("the encoder made fewer bytes than it says"));
            };
            let part = first.split_to(missing.min(first.len()));
            if first.is_empty() {
                self.0.pop_front();
            }
            if part.len() == wanted {
                return Ok(part);
            }
            taken.put(part);
        }
        Ok(taken.freeze())
    }
}

/// A buffer whose bytes are lent.
struct Shared(Buffer);

impl Shared {
    fn bytes(buffer: Buffer) -> Bytes {
        Bytes::from_owner(Shared(buffer))
    }
}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, NullArray, StringArray, StructArray,
    };
    use arrow::datatypes::{DataType, Field, Int32Type};
    use arrow::record_batch::RecordBatchOptions;
    use arrow_flight::SchemaAsIpc;
    use arrow_flight::decode::FlightRecordBatchStream;
    use futures::TryStreamExt;

    use super::*;

    /// The message as a client decodes it.
    fn decoded(pieces: VecDeque<Bytes>) -> FlightData {
        let bytes: Vec<u8> = pieces.into_iter().flatten().collect();
        let (prefix, message) = bytes.split_at(PREFIX_BYTES);
        assert_eq!(prefix[0], 0);
        assert_eq!(u32::from_be_bytes(prefix[1..].try_into().unwrap()) as usize, message.len());
        FlightData::decode(message).unwrap()
    }

    async fn round_trip(batches: Vec<RecordBatch>) {
        let schema = batches[0].schema();
        let mut ropes = Ropes::new(&schema).unwrap();
        let mut messages = vec![FlightData::from(SchemaAsIpc::new(&schema, &Default::default()))];
        messages.extend(batches.iter().map(|batch| decoded(ropes.message(batch).unwrap())));
        let messages = futures::stream::iter(messages.into_iter().map(Ok));
        let read: Vec<RecordBatch> =
            FlightRecordBatchStream::new_from_flight_data(messages).try_collect().await.unwrap();
        assert_eq!(read, batches);
    }

    fn columns(rows: i64) -> RecordBatch {
        let names = StringArray::from_iter((0..rows).map(|row| (row % 3 != 0).then(|| format!("row {row}"))));
        let lists = (0..rows).map(|row| Some((0..row % 4).map(|item| Some(item as i32)).collect::<Vec<_>>()));
        let flags = BooleanArray::from_iter((0..rows).map(|row| Some(row % 2 == 0)));
        let inner = Field::new("x", DataType::Float64, true);
        let xs = Float64Array::from_iter((0..rows).map(|row| (row != 1).then_some(row as f64 / 3.0)));
        let structs = StructArray::from(vec![(Arc::new(inner), Arc::new(xs) as ArrayRef)]);
        RecordBatch::try_from_iter(vec![
            ("id", Arc::new(Int64Array::from_iter_values(0..rows)) as ArrayRef),
            ("name", Arc::new(names)),
            ("list", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists))),
            ("flag", Arc::new(flags)),
            ("struct", Arc::new(structs)),
            ("nothing", Arc::new(NullArray::new(usize::try_from(rows).unwrap()))),
        ])
        .unwrap()
    }

    #[tokio::test]
    async fn batches_arrive_as_they_were() {
        let large = columns(20_000);
        let parts = [(0, 1), (3, 10_000), (5, 0), (19_999, 1), (0, 20_000)];
        round_trip(parts.map(|(from, rows)| large.slice(from, rows)).to_vec()).await;
    }

    #[tokio::test]
    async fn rows_without_columns_arrive() {
        let options = RecordBatchOptions::new().with_row_count(Some(7));
        round_trip(vec![RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap()]).await;
    }

    #[test]
    fn large_buffers_are_lent_and_small_ones_gathered() {
        let numbers = Int64Array::from_iter_values(0..100_000);
        let place = numbers.values().inner().as_ptr();
        let small = columns(5);
        let batch = RecordBatch::try_from_iter(vec![("n", Arc::new(numbers) as ArrayRef)]).unwrap();
        let pieces = Ropes::new(&batch.schema()).unwrap().message(&batch).unwrap();
        assert!(pieces.iter().any(|piece| piece.as_ptr() == place), "the column's own memory is a piece");
        assert_eq!(Ropes::new(&small.schema()).unwrap().message(&small).unwrap().len(), 1);
    }

    #[test]
    fn a_message_that_no_client_takes_is_refused() {
        let text = "x".repeat(WIRE_MESSAGE_BYTES_MAX + 1);
        let batch =
            RecordBatch::try_from_iter(vec![("s", Arc::new(StringArray::from(vec![text])) as ArrayRef)]).unwrap();
        let error = Ropes::new(&batch.schema()).unwrap().message(&batch).unwrap_err();
        assert_eq!(error.class(), crate::Class::Exhausted);
    }

    #[test]
    fn other_messages_have_the_same_prefix() {
        let data = FlightData { app_metadata: Bytes::from_static(b"note"), ..FlightData::default() };
        assert_eq!(decoded(VecDeque::from([whole(&data)])), data);
    }
}
