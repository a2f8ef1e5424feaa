//! Cuts CSV files into shares that can be read at the same time.
//!
//! A share starts where a record starts. Whether a line end is one or lies within quotes depends on every quote before
//! it, so the cut follows the quotes from the first byte on; stretches without a quote are skipped over, which makes
//! this as fast as reading. Compressed files are not cut. The shares depend on sizes only, never on timing: the same
//! files are always read as the same shares.

use std::io::Read;
use std::sync::Arc;

use super::source::Source;
use super::tokens::Dialect;
use crate::Result;
use crate::lake::files::Stop;
use crate::limits::{CSV_PARTITION_BYTES_MIN, CSV_READ_BYTES};

/// Bytes that are searched for a quote at once.
const STRETCH_BYTES: usize = 16 * 1024;

/// A part of a file that starts and ends with a record.
#[derive(Debug, Clone)]
pub(super) struct Share {
    /// Which file.
    pub(super) file: usize,
    pub(super) start: u64,
    /// Where it ends; `None` is the file's end.
    pub(super) end: Option<u64>,
}

/// A file to cut: where its records start.
pub(super) struct Whole<'a> {
    pub(super) source: &'a Arc<Source>,
    pub(super) start: u64,
}

/// The shares of all files, by partition: at most `partitions_max`, at least one. Blocking; reads large files once.
pub(super) fn partitions(
    files: &[Whole<'_>],
    dialect: Dialect,
    partitions_max: usize,
    share_bytes_min: u64,
    stop: &Stop,
) -> Result<Vec<Vec<Share>>> {
    let total: u64 = files.iter().map(|file| file.source.bytes).sum();
    let most = u64::try_from(partitions_max.max(1)).unwrap_or(1);
    let share_bytes = total.div_ceil(most).max(share_bytes_min).max(1);
    let mut partitions: Vec<Vec<Share>> = vec![Vec::new()];
    let mut filled = 0;
    let mut add = |share: Share, bytes: u64| {
        if filled >= share_bytes {
            partitions.push(Vec::new());
            filled = 0;
        }
        filled += bytes;
        if let Some(last) = partitions.last_mut() {
            last.push(share);
        }
    };
    for (index, file) in files.iter().enumerate() {
        let mut start = file.start;
        // Half a share too many is not worth a cut.
        if !file.source.gzip && file.source.bytes >= share_bytes + share_bytes / 2 {
            let pieces = file.source.bytes.div_ceil(share_bytes);
            let wanted: Vec<u64> = (1..pieces).map(|piece| file.source.bytes / pieces * piece).collect();
            for cut in record_starts(file, dialect, &wanted, stop)? {
                if cut > start {
                    add(Share { file: index, start, end: Some(cut) }, share_bytes);
                    start = cut;
                }
            }
            add(Share { file: index, start, end: None }, share_bytes);
        } else {
            add(Share { file: index, start, end: None }, file.source.bytes);
        }
    }
    Ok(partitions)
}

/// The default for the smallest share.
pub(super) fn share_bytes_min() -> u64 {
    CSV_PARTITION_BYTES_MIN
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In front of a field.
    FieldStart,
    /// In or behind an unquoted field, or behind a closing quote.
    Outside,
    /// Behind CR: a record starts with the next byte, unless that is LF.
    AfterReturn,
    /// In a quoted field.
    Within,
    /// Behind an escape in a quoted field.
    Escaped,
    /// Behind a quote in a quoted field that may be the first of two.
    Quote,
}

/// For each wanted offset, ascending, the first start of a record that is not before it.
fn record_starts(file: &Whole<'_>, dialect: Dialect, wanted: &[u64], stop: &Stop) -> Result<Vec<u64>> {
    let mut reader = file.source.open(file.start)?;
    let mut buffer = vec![0; CSV_READ_BYTES];
    let (mut at, mut state, mut starts) = (file.start, At::FieldStart, Vec::new());
    while starts.len() < wanted.len() {
        stop.check()?;
        let read = reader.read(&mut buffer).map_err(|error| file.source.error(&error))?;
        if read == 0 {
            break;
        }
        for stretch in buffer[..read].chunks(STRETCH_BYTES) {
            let end = at + stretch.len() as u64;
            let has_cut = wanted.get(starts.len()).is_some_and(|next| *next < end);
            let skips = !has_cut && !matches!(state, At::Within | At::Escaped | At::Quote);
            match stretch.last() {
                Some(last) if skips && !has_quote(stretch, dialect.quote) => state = after(*last, dialect),
                _ => {
                    for (byte, offset) in stretch.iter().zip(at..) {
                        let (next, start) = step(state, *byte, offset, dialect);
                        state = next;
                        while start.is_some_and(|s| wanted.get(starts.len()).is_some_and(|next| *next <= s)) {
                            starts.extend(start);
                        }
                    }
                }
            }
            at = end;
        }
    }
    Ok(starts)
}

/// Looks at every byte: without an early end the compiler makes wide instructions of it.
fn has_quote(stretch: &[u8], quote: Option<u8>) -> bool {
    quote.is_some_and(|quote| stretch.iter().fold(false, |found, byte| found | (*byte == quote)))
}

/// The state behind a stretch without quotes, which only its last byte decides.
fn after(last: u8, dialect: Dialect) -> At {
    match last {
        b'\n' => At::FieldStart,
        b'\r' => At::AfterReturn,
        byte if byte == dialect.delimiter => At::FieldStart,
        _ => At::Outside,
    }
}

/// The state behind a byte, and the start of a record where the byte shows one.
fn step(state: At, byte: u8, offset: u64, dialect: Dialect) -> (At, Option<u64>) {
    let is_quote = Some(byte) == dialect.quote;
    match state {
        At::Escaped => (At::Within, None),
        At::Within if is_quote && dialect.escape == dialect.quote => (At::Quote, None),
        At::Within if is_quote => (At::Outside, None),
        At::Within if Some(byte) == dialect.escape => (At::Escaped, None),
        At::Within => (At::Within, None),
        At::Quote if is_quote => (At::Within, None),
        At::AfterReturn if byte == b'\n' => (At::FieldStart, Some(offset + 1)),
        At::FieldStart | At::AfterReturn if is_quote => (At::Within, (state == At::AfterReturn).then_some(offset)),
        At::AfterReturn => (after(byte, dialect), Some(offset)),
        At::FieldStart | At::Outside | At::Quote => (after(byte, dialect), (byte == b'\n').then_some(offset + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::files::csv::tokens::Outcome;

    const COMMON: Dialect = Dialect { delimiter: b',', quote: Some(b'"'), escape: Some(b'"') };

    fn source(directory: &tempfile::TempDir, text: &str) -> Arc<Source> {
        let path = directory.path().join("x.csv");
        std::fs::write(&path, text).unwrap();
        Arc::new(Source { path, shown: "x.csv".into(), bytes: text.len() as u64, gzip: false })
    }

    /// Where records start, by the tokenizer that reads them.
    fn true_starts(text: &str) -> Vec<u64> {
        let (mut at, mut starts) = (0, Vec::new());
        while at < text.len() {
            starts.push(at as u64);
            match COMMON.record(text.as_bytes(), at, true, &mut Vec::new()) {
                Outcome::Record(next) => at = next,
                other => panic!("{other:?}"),
            }
        }
        starts
    }

    #[test]
    fn cuts_are_where_the_tokenizer_starts_records() {
        let directory = tempfile::tempdir().unwrap();
        let text = "a,\"x\n\"\"y\"\"\",2\r\n\"\",\"\n\n\"\r,\nü,b\"c,\"d\"\n\n\"last\"\n".repeat(3);
        let source = source(&directory, &text);
        let starts = true_starts(&text);
        let file = Whole { source: &source, start: 0 };
        for wanted in 1..text.len() as u64 {
            let found = record_starts(&file, COMMON, &[wanted], &Stop::default()).unwrap();
            let next = starts.iter().copied().find(|start| *start >= wanted);
            // The end of the file is a start that no record has.
            assert_eq!(found.first().copied().filter(|s| *s < text.len() as u64), next, "{wanted}");
        }
    }

    #[test]
    fn shares_follow_each_other_and_cover_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let line = "\"quoted\nover lines\",12345\n";
        let text = line.repeat(4000);
        let source = source(&directory, &text);
        let files = [Whole { source: &source, start: 0 }, Whole { source: &source, start: 27 }];
        let partitions = partitions(&files, COMMON, 4, 1000, &Stop::default()).unwrap();
        assert_eq!(partitions.len(), 4);
        for (index, file) in files.iter().enumerate() {
            let mut at = file.start;
            for share in partitions.iter().flatten().filter(|share| share.file == index) {
                assert_eq!((share.start, (share.start as usize) % line.len()), (at, at as usize % line.len()));
                at = share.end.unwrap_or(text.len() as u64);
            }
            assert_eq!(at, text.len() as u64);
        }
    }

    #[test]
    fn small_files_are_one_partition() {
        let directory = tempfile::tempdir().unwrap();
        let source = source(&directory, "a\n1\n");
        let files = [Whole { source: &source, start: 2 }, Whole { source: &source, start: 2 }];
        let partitions = partitions(&files, COMMON, 8, share_bytes_min(), &Stop::default()).unwrap();
        assert_eq!(partitions.len(), 1);
        assert_eq!(partitions[0].len(), 2);
    }
}
