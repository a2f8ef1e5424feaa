//! The bytes of one CSV file, decompressed, from any offset; and the line that an offset lies in.
//!
//! Offsets count decompressed bytes. Lines are only counted when an error needs one: a scan keeps no count, so that
//! shares of one file can be read at once. It knows nothing of records.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;

use flate2::read::MultiGzDecoder;

use crate::limits::CSV_READ_BYTES;
use crate::{Error, Result};

/// One CSV file.
#[derive(Debug, Clone)]
pub(in crate::lake::files) struct Source {
    pub(in crate::lake::files) path: PathBuf,
    /// How errors name it.
    pub(in crate::lake::files) shown: String,
    /// As it lies on the disk, in bytes.
    pub(in crate::lake::files) bytes: u64,
    /// Whether it is compressed with gzip.
    pub(in crate::lake::files) gzip: bool,
}

/// Where an offset lies: both count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lake::files) struct Position {
    pub(in crate::lake::files) line: u64,
    /// The byte in the line.
    pub(in crate::lake::files) byte: u64,
}

impl Source {
    /// The bytes from `start` on.
    pub(in crate::lake::files) fn open(&self, start: u64) -> Result<Box<dyn Read + Send>> {
        let mut file = File::open(&self.path).map_err(|error| self.error(&error))?;
        if !self.gzip {
            file.seek(SeekFrom::Start(start)).map_err(|error| self.error(&error))?;
            return Ok(Box::new(file));
        }
        let mut reader = MultiGzDecoder::new(BufReader::with_capacity(CSV_READ_BYTES, file));
        io::copy(&mut reader.by_ref().take(start), &mut io::sink()).map_err(|error| self.error(&error))?;
        Ok(Box::new(reader))
    }

    /// A failure to read, with the file's name; data that is not gzip is the user's mistake, not the machine's.
    pub(in crate::lake::files) fn error(&self, error: &io::Error) -> Error {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        match self.gzip && matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof) {
            true => Error::input(format!("`{}`: expected gzip data: {error}", self.shown)),
            false => Error::from(io::Error::from(error.kind())).context(format!("`{}`", self.shown)),
        }
    }

    /// The line and byte of an offset. Reads the file up to there.
    pub(in crate::lake::files) fn position(&self, offset: u64) -> Result<Position> {
        let mut reader = self.open(0)?.take(offset);
        let mut buffer = vec![0; CSV_READ_BYTES];
        let mut position = Position { line: 1, byte: 1 };
        let mut after_return = false;
        loop {
            let read = reader.read(&mut buffer).map_err(|error| self.error(&error))?;
            if read == 0 {
                return Ok(position);
            }
            for byte in buffer.iter().take(read) {
                match byte {
                    // The second half of CRLF.
                    b'\n' if after_return => position.byte = 1,
                    b'\n' | b'\r' => position = Position { line: position.line + 1, byte: 1 },
                    _ => position.byte += 1,
                }
                after_return = *byte == b'\r';
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_physical_lines() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.csv");
        std::fs::write(&path, "a\n\"b\nc\"\r\nd\re").unwrap();
        let source = Source { path, shown: "x.csv".into(), bytes: 11, gzip: false };
        let at = |offset| {
            let position = source.position(offset).unwrap();
            (position.line, position.byte)
        };
        assert_eq!([at(0), at(2), at(4), at(5), at(9), at(11)], [(1, 1), (2, 1), (2, 3), (3, 1), (4, 1), (5, 1)]);
    }
}
