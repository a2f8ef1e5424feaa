//! The bytes of the registry's log: a segment's header, and frames of transactions that were synced together.
//!
//! A frame is `length u32, crc32 u32, payload` (little endian, the crc over length and payload), its payload one JSON
//! object a transaction, one a line. All transactions of one sync share a frame: pages of one write may reach the disk
//! in any order, and with one checksum over all of them a power cut leaves nothing that looks like damage.
//! This file knows no files.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::micros;
use super::version::{Record, Stamp, Version};
use crate::limits::REGISTRY_RECORD_BYTES_MAX;
use crate::{Error, Result};

const MAGIC: &[u8; 8] = b"LIMNRLOG";
/// The format that this build writes. A newer one is refused, an older one is read.
const FORMAT: u32 = 1;
/// Bytes of a segment's header: magic, format u32, first sequence number u64, crc32 u32 over all before.
pub const HEADER_BYTES: usize = 24;
/// Bytes before a frame's payload.
const FRAME_HEAD_BYTES: usize = 8;

/// A transaction: a stamp and the row versions that it made.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// When.
    pub stamp: Stamp,
    /// What.
    pub versions: Vec<Arc<Version>>,
}

#[derive(Serialize, Deserialize)]
struct Line<R> {
    seq: u64,
    #[serde(with = "micros")]
    recorded_at: DateTime<Utc>,
    rows: Vec<LineRow<R>>,
}

#[derive(Serialize, Deserialize)]
struct LineRow<R> {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
    record: R,
}

impl Group {
    /// The transaction's line in a frame.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let rows = self.versions.iter().map(|v| LineRow { deleted: v.deleted, record: &v.record }).collect();
        let line = Line { seq: self.stamp.seq, recorded_at: self.stamp.recorded_at, rows };
        serde_json::to_vec(&line).map_err(|error| Error::internal(format!("a transaction cannot be encoded: {error}")))
    }

    fn decode(line: &[u8]) -> Result<Self, String> {
        let line: Line<Record> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        let stamp = Stamp { seq: line.seq, recorded_at: line.recorded_at };
        let version = |row: LineRow<Record>| Arc::new(Version { stamp, deleted: row.deleted, record: row.record });
        Ok(Group { stamp, versions: line.rows.into_iter().map(version).collect() })
    }
}

/// A segment's header.
pub fn header(first_seq: u64) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(FORMAT.to_le_bytes());
    bytes.extend(first_seq.to_le_bytes());
    bytes.extend(crc32(&[&bytes]).to_le_bytes());
    bytes
}

/// Checks a segment's header. `Err` says what was expected and found.
pub fn check_header(bytes: &[u8], first_seq: u64) -> Result<()> {
    let Some(head) = bytes.get(..HEADER_BYTES) else {
        return Err(Error::internal(format!("expected a header of {HEADER_BYTES} bytes, found {}", bytes.len())));
    };
    if !head.starts_with(MAGIC) {
        return Err(Error::internal("expected a segment of the registry's log, found another file"));
    }
    match u32_at(head, 8) {
        Some(FORMAT) => {}
        found => {
            let found = found.unwrap_or_default();
            return Err(Error::unsupported(format!("expected log format {FORMAT}, found {found}"))
                .with_hint("a newer Limn wrote it; open it with that one"));
        }
    }
    match head == header(first_seq) {
        true => Ok(()),
        false => Err(Error::internal(format!("expected a header for sequence number {first_seq}"))),
    }
}

/// A frame of the given lines.
pub fn frame<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>> {
    let mut bytes = vec![0; FRAME_HEAD_BYTES];
    for line in lines {
        bytes.extend(line);
        bytes.push(b'\n');
    }
    let length = (bytes.len() - FRAME_HEAD_BYTES) as u64;
    let length = u32::try_from(length)
        .ok()
        .filter(|length| *length as usize <= REGISTRY_RECORD_BYTES_MAX)
        .ok_or_else(|| Error::internal(format!("a frame of {length} bytes is over the limit")))?;
    let length = length.to_le_bytes();
    let crc = crc32(&[&length, &bytes[FRAME_HEAD_BYTES..]]).to_le_bytes();
    bytes[..4].copy_from_slice(&length);
    bytes[4..FRAME_HEAD_BYTES].copy_from_slice(&crc);
    Ok(bytes)
}

/// The payload of the frame at the front of `bytes`, where there is a whole and undamaged one.
fn payload(bytes: &[u8]) -> Option<&[u8]> {
    let length = u32_at(bytes, 0)? as usize;
    if length == 0 || length > REGISTRY_RECORD_BYTES_MAX {
        return None;
    }
    let payload = bytes.get(FRAME_HEAD_BYTES..FRAME_HEAD_BYTES + length)?;
    (crc32(&[&bytes[..4], payload]) == u32_at(bytes, 4)?).then_some(payload)
}

/// What is in a segment after its header.
#[derive(Debug)]
pub struct Frames {
    /// The transactions, each with the offset of its frame.
    pub groups: Vec<(usize, Group)>,
    /// Where the whole frames end.
    pub end: usize,
    /// What is wrong there, where the segment does not end there.
    pub fault: Option<Fault>,
}

/// Why a segment could not be read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// No whole frame follows: what a power cut leaves of a write that was never answered.
    Torn,
    /// Whole frames follow, or a whole frame cannot be understood: bytes that were once synced have changed.
    Damaged(String),
}

/// Reads a segment (its header is skipped, the caller checks it).
pub fn read(bytes: &[u8]) -> Frames {
    let mut frames = Frames { groups: Vec::new(), end: HEADER_BYTES.min(bytes.len()), fault: None };
    while frames.end < bytes.len() {
        let at = frames.end;
        let Some(payload) = payload(&bytes[at..]) else {
            // A write is only begun after the one before it is synced, so a whole frame behind a broken one proves
            // that the broken one was whole once.
            let later = (at + 1..bytes.len()).find(|later| self::payload(&bytes[*later..]).is_some());
            frames.fault = Some(match later {
                Some(later) => Fault::Damaged(format!("the checksum is wrong, and a whole record follows at {later}")),
                None => Fault::Torn,
            });
            break;
        };
        for line in payload.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match Group::decode(line) {
                Ok(group) => frames.groups.push((at, group)),
                Err(error) => {
                    frames.fault = Some(Fault::Damaged(error));
                    return frames;
                }
            }
        }
        frames.end = at + FRAME_HEAD_BYTES + payload.len();
    }
    frames
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

/// CRC-32 as in IEEE 802.3 (reflected, polynomial 0xEDB88320) of the parts, one after the other.
fn crc32(parts: &[&[u8]]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0u32; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut crc = byte as u32;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
                bit += 1;
            }
            table[byte] = crc;
            byte += 1;
        }
        table
    };
    let bytes = parts.iter().flat_map(|part| part.iter());
    !bytes.fold(!0, |crc, byte| (crc >> 8) ^ TABLE[((crc ^ u32::from(*byte)) & 0xFF) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::rows::Param;

    fn group(seq: u64) -> Group {
        let recorded_at = DateTime::from_timestamp_micros(seq as i64).unwrap();
        let stamp = Stamp { seq, recorded_at };
        let record = Record::Params(Param { run_id: "r".into(), key: "é\n".into(), value: seq.to_string() });
        Group { stamp, versions: vec![Arc::new(Version { stamp, deleted: seq.is_multiple_of(2), record })] }
    }

    fn segment(frames: &[&[u64]]) -> Vec<u8> {
        let mut bytes = header(1);
        for seqs in frames {
            let lines: Vec<Vec<u8>> = seqs.iter().map(|seq| group(*seq).encode().unwrap()).collect();
            bytes.extend(frame(lines.iter().map(Vec::as_slice)).unwrap());
        }
        bytes
    }

    #[test]
    fn the_checksum_is_the_well_known_one() {
        assert_eq!(crc32(&[b"123456789"]), 0xCBF4_3926);
        assert_eq!(crc32(&[b"1234", b"", b"56789"]), 0xCBF4_3926);
    }

    #[test]
    fn frames_come_back() {
        let frames = read(&segment(&[&[1, 2], &[3]]));
        let groups: Vec<Group> = frames.groups.into_iter().map(|(_, group)| group).collect();
        assert_eq!(groups, [group(1), group(2), group(3)]);
        assert_eq!(frames.fault, None);
    }

    #[test]
    fn a_tail_cut_at_any_byte_is_torn_and_leaves_the_frames_before_it() {
        let whole = segment(&[&[1], &[2, 3]]);
        let second = read(&whole).groups[1].0;
        for cut in second + 1..whole.len() {
            let frames = read(&whole[..cut]);
            assert_eq!((frames.groups.len(), frames.end, frames.fault), (1, second, Some(Fault::Torn)), "cut at {cut}");
        }
    }

    #[test]
    fn a_tail_whose_pages_did_not_all_arrive_is_torn() {
        let whole = segment(&[&[1], &[2, 3]]);
        let second = read(&whole).groups[1].0;
        for from in second..whole.len() {
            let mut bytes = whole.clone();
            bytes[second..=from].fill(0);
            let frames = read(&bytes);
            assert_eq!((frames.end, frames.fault), (second, Some(Fault::Torn)), "zeros to {from}");
        }
    }

    #[test]
    fn any_changed_byte_before_a_whole_frame_is_damage() {
        let whole = segment(&[&[1], &[2], &[3]]);
        let last = read(&whole).groups[2].0;
        for at in HEADER_BYTES..last {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x40;
            let frames = read(&bytes);
            assert!(matches!(frames.fault, Some(Fault::Damaged(_))), "byte {at}: {:?}", frames.fault);
            assert!(frames.end <= at);
        }
    }

    #[test]
    fn headers_are_checked() {
        let good = header(7);
        assert_eq!(good.len(), HEADER_BYTES);
        assert!(check_header(&good, 7).is_ok());
        assert!(check_header(&good, 8).is_err());
        assert!(check_header(&good[..HEADER_BYTES - 1], 7).is_err());
        let mut newer = good;
        newer[8] = 2;
        assert_eq!(check_header(&newer, 7).unwrap_err().class(), crate::Class::Unsupported);
    }
}
