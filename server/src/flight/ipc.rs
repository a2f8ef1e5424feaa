//! Arrow IPC that comes from outside: refused before it is decoded where it claims more than it carries.
//!
//! Arrow's readers allocate what a message claims (the length of its body, the sizes of compressed buffers), and an
//! allocation that fails ends the process; rows without columns of bytes may claim to be any number. So claims are held
//! against what is there first, and what a reader still panics at is malformed. It knows nothing of what rows are for.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use arrow::ipc::{self, root_as_message};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;

use crate::limits::{WIRE_BATCH_ROWS_MAX, WIRE_UNCOMPRESSED_BYTES_MAX};
use crate::{Error, Result};

/// What stands before a length where a stream goes on,
/// <https://arrow.apache.org/docs/format/Columnar.html#encapsulated-message-format>.
const CONTINUATION: u32 = 0xFFFF_FFFF;
/// What stands before a compressed buffer that is not compressed after all.
const NOT_COMPRESSED: i64 = -1;

/// Batches as an Arrow IPC stream.
pub fn to_ipc(schema: &Schema, batches: &[RecordBatch]) -> Result<Bytes> {
    let mut writer = StreamWriter::try_new(Vec::new(), schema)?;
    for batch in batches {
        writer.write(batch)?;
    }
    Ok(Bytes::from(writer.into_inner()?))
}

/// The schema and the batches of an Arrow IPC stream that anybody may have written. What is wrong with it is `Input`.
pub fn from_ipc(bytes: &Bytes) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    check_stream(bytes)?;
    let read = || -> Result<(SchemaRef, Vec<RecordBatch>), ArrowError> {
        let reader = StreamReader::try_new(Cursor::new(bytes), None)?;
        let schema = reader.schema();
        Ok((schema, reader.collect::<Result<_, _>>()?))
    };
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(read) => read.map_err(|error| Error::input(format!("the Arrow data cannot be read: {error}"))),
        Err(_panic) => Err(malformed()),
    }
}

/// An error where a stream has a message that claims more than it carries.
fn check_stream(stream: &[u8]) -> Result<()> {
    let mut rest = stream;
    while let Some((length, after)) = message_length(rest)? {
        let (header, after) = after.split_at_checked(length).ok_or_else(malformed)?;
        let claimed = root_as_message(header).map_err(|_| malformed())?.bodyLength();
        let body = usize::try_from(claimed).ok().and_then(|claimed| after.split_at_checked(claimed));
        let (body, after) = body.ok_or_else(malformed)?;
        check(header, body)?;
        rest = after;
    }
    Ok(())
}

/// The length of the next message's header, and what follows it; `None` at the end of the stream.
fn message_length(stream: &[u8]) -> Result<Option<(usize, &[u8])>> {
    let Some((first, mut rest)) = stream.split_first_chunk::<4>() else { return Ok(None) };
    let mut length = u32::from_le_bytes(*first);
    if length == CONTINUATION {
        let (second, after) = rest.split_first_chunk::<4>().ok_or_else(malformed)?;
        (length, rest) = (u32::from_le_bytes(*second), after);
    }
    let length = usize::try_from(length).map_err(|_| malformed())?;
    Ok((length > 0).then_some((length, rest)))
}

/// An error where a message, whose header and body these are, claims more than it carries or than is accepted.
pub fn check(header: &[u8], body: &[u8]) -> Result<()> {
    let message = root_as_message(header).map_err(|_| malformed())?;
    if let Some(batch) = message.header_as_record_batch() {
        return check_batch(&batch, body);
    }
    match message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data()) {
        Some(batch) => check_batch(&batch, body),
        None => Ok(()),
    }
}

fn check_batch(batch: &ipc::RecordBatch<'_>, body: &[u8]) -> Result<()> {
    let nodes = batch.nodes().into_iter().flatten().map(|node| node.length());
    for rows in std::iter::once(batch.length()).chain(nodes) {
        match usize::try_from(rows) {
            Ok(rows) if rows <= WIRE_BATCH_ROWS_MAX => {}
            Ok(rows) => {
                return Err(Error::exhausted(format!(
                    "a batch has {rows} rows, more than the {WIRE_BATCH_ROWS_MAX} that one may have"
                ))
                .with_hint("send fewer rows at a time"));
            }
            Err(_) => return Err(malformed()),
        }
    }
    match batch.compression() {
        Some(_) => check_compressed(batch, body),
        None => Ok(()),
    }
}

/// Each buffer of a compressed body begins with its size before compression, which a reader takes for true.
fn check_compressed(batch: &ipc::RecordBatch<'_>, body: &[u8]) -> Result<()> {
    let mut all = 0_usize;
    for buffer in batch.buffers().into_iter().flatten() {
        let (offset, length) = (usize::try_from(buffer.offset()), usize::try_from(buffer.length()));
        let (Ok(offset), Ok(length)) = (offset, length) else { return Err(malformed()) };
        let end = offset.checked_add(length).ok_or_else(malformed)?;
        let bytes = body.get(offset..end).ok_or_else(malformed)?;
        let claimed = match bytes.split_first_chunk::<8>() {
            None if bytes.is_empty() => continue,
            None => return Err(malformed()),
            Some((size, _)) => i64::from_le_bytes(*size),
        };
        if claimed != NOT_COMPRESSED {
            all = all.saturating_add(usize::try_from(claimed).map_err(|_| malformed())?);
        }
    }
    match all > WIRE_UNCOMPRESSED_BYTES_MAX {
        false => Ok(()),
        true => Err(Error::exhausted(format!(
            "a batch of {all} bytes is compressed in one message, more than the {WIRE_UNCOMPRESSED_BYTES_MAX} that are \
             accepted"
        ))
        .with_hint("send fewer rows at a time")),
    }
}

fn malformed() -> Error {
    Error::input("the Arrow data is malformed")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, NullArray, StringArray};
    use arrow::ipc::CompressionType;
    use arrow::ipc::writer::IpcWriteOptions;

    use super::*;
    use crate::Class;

    fn batch() -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Int64Array::from((0..500).collect::<Vec<_>>()));
        let words: ArrayRef = Arc::new(StringArray::from(vec!["word"; 500]));
        RecordBatch::try_from_iter([("a", numbers), ("s", words)]).unwrap()
    }

    fn compressed(batch: &RecordBatch) -> Vec<u8> {
        let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME)).unwrap();
        let mut writer = StreamWriter::try_new_with_options(Vec::new(), &batch.schema(), options).unwrap();
        writer.write(batch).unwrap();
        writer.into_inner().unwrap()
    }

    #[test]
    fn rows_come_back_compressed_or_not() {
        let plain = to_ipc(&batch().schema(), &[batch(), batch()]).unwrap();
        assert_eq!(from_ipc(&plain).unwrap(), (batch().schema(), vec![batch(), batch()]));
        assert_eq!(from_ipc(&compressed(&batch()).into()).unwrap().1, [batch()]);
        let none = to_ipc(&batch().schema(), &[]).unwrap();
        assert_eq!(from_ipc(&none).unwrap(), (batch().schema(), Vec::new()));
    }

    #[test]
    fn every_cut_and_every_flipped_byte_is_wrong_input_or_rows() {
        for good in [to_ipc(&batch().schema(), &[batch()]).unwrap().to_vec(), compressed(&batch())] {
            for length in 0..good.len() {
                if let Err(error) = from_ipc(&Bytes::copy_from_slice(&good[..length])) {
                    assert_eq!(error.class(), Class::Input, "cut at {length}: {error}");
                }
            }
            for at in 0..good.len() {
                let mut flipped = good.clone();
                flipped[at] ^= 0x7F;
                if let Err(error) = from_ipc(&flipped.into()) {
                    assert!(matches!(error.class(), Class::Input | Class::Exhausted), "flipped {at}: {error}");
                }
            }
        }
    }

    /// The places in `bytes` where `number` stands in eight bytes.
    fn places(bytes: &[u8], number: i64) -> Vec<usize> {
        let wanted = number.to_le_bytes();
        bytes.windows(8).enumerate().filter(|(_, window)| *window == wanted).map(|(at, _)| at).collect()
    }

    #[test]
    fn a_claim_that_no_memory_holds_is_refused_before_it_is_believed() {
        let huge = (1_i64 << 62).to_le_bytes();
        // 500 numbers of eight bytes: the claimed size of the first compressed buffer.
        let good = compressed(&batch());
        let at = *places(&good, 4000).last().unwrap();
        let mut lie = good;
        lie[at..at + 8].copy_from_slice(&huge);
        let error = from_ipc(&lie.into()).unwrap_err();
        assert_eq!(error.class(), Class::Exhausted, "{error}");

        // Rows of no bytes.
        let nulls: ArrayRef = Arc::new(NullArray::new(77_777));
        let nulls = RecordBatch::try_from_iter([("n", nulls)]).unwrap();
        let mut lie = to_ipc(&nulls.schema(), &[nulls]).unwrap().to_vec();
        let found = places(&lie, 77_777);
        assert!(!found.is_empty());
        for at in found {
            lie[at..at + 8].copy_from_slice(&huge);
        }
        assert_eq!(from_ipc(&lie.into()).unwrap_err().class(), Class::Exhausted);

        // The length of the body, which stands in the header of the second message; a schema has none.
        let good = to_ipc(&batch().schema(), &[batch()]).unwrap();
        let (length, after) = message_length(&good).unwrap().unwrap();
        let (length, after) = message_length(&after[length..]).unwrap().unwrap();
        let body = root_as_message(&after[..length]).unwrap().bodyLength();
        let found = places(&after[..length], body);
        assert!(!found.is_empty());
        for at in found {
            let at = good.len() - after.len() + at;
            let mut lie = good.to_vec();
            lie[at..at + 8].copy_from_slice(&huge);
            assert_eq!(from_ipc(&lie.into()).unwrap_err().class(), Class::Input);
        }
    }
}
