//! Reads the records of a CSV file, many at a time, and says exactly where one is broken.
//!
//! It holds one buffer, which grows only for a record that is larger than it. The rows before a broken one are given
//! first, so that the error that a user sees is the first of the file. It knows nothing of types.

use std::io::Read;
use std::sync::Arc;

use super::source::Source;
use super::tokens::{Dialect, Fault, Field, Outcome, Style};
use crate::limits::{CSV_COLUMNS_MAX, CSV_FIELD_BYTES_MAX, CSV_READ_BYTES, CSV_SHOWN_CHARS_MAX};
use crate::{Error, Result};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// The records of a share of a file.
pub(super) struct Records {
    source: Arc<Source>,
    dialect: Dialect,
    /// The columns' names; empty while the number of columns is not known.
    names: Arc<[String]>,
    reader: Box<dyn Read + Send>,
    /// Bytes that the reader may still give.
    left: u64,
    buffer: Vec<u8>,
    /// The part of the buffer that holds bytes which are not given yet.
    start: usize,
    end: usize,
    /// The file's offset of the buffer's first byte.
    offset: u64,
    at_end: bool,
    fields: Vec<Field>,
    rows: Vec<usize>,
}

/// Some rows of a file: each has the same number of fields.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    text: &'a str,
    /// Where `text` starts in the buffer, which is what the fields count from.
    base: usize,
    fields: &'a [Field],
    starts: &'a [usize],
    offset: u64,
    columns: usize,
}

impl<'a> Rows<'a> {
    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// The content of a field and how it was written; escapes are still in it. Both indices must be in range.
    pub(super) fn field(&self, row: usize, column: usize) -> (&'a str, Style) {
        let field = self.fields[row * self.columns + column];
        let text = self.text.get(field.start - self.base..field.end - self.base).unwrap_or_default();
        (text, field.style)
    }

    /// The file's offset of a row.
    pub(super) fn offset(&self, row: usize) -> u64 {
        self.offset + self.starts[row] as u64
    }
}

impl Records {
    /// The records from `start` (the start of a record) to `end`, or to the end of the file.
    pub(super) fn open(
        source: &Arc<Source>,
        dialect: Dialect,
        names: &Arc<[String]>,
        start: u64,
        end: Option<u64>,
    ) -> Result<Self> {
        let mut records = Records {
            source: Arc::clone(source),
            dialect,
            names: Arc::clone(names),
            reader: source.open(start)?,
            left: end.map_or(u64::MAX, |end| end.saturating_sub(start)),
            buffer: vec![0; CSV_READ_BYTES],
            start: 0,
            end: 0,
            offset: start,
            at_end: false,
            fields: Vec::new(),
            rows: Vec::new(),
        };
        if start == 0 {
            records.skip_mark()?;
        }
        Ok(records)
    }

    /// Skips the byte order mark of UTF-8; refuses those of UTF-16.
    fn skip_mark(&mut self) -> Result<()> {
        while self.end < BOM.len() && !self.at_end {
            self.fill()?;
        }
        match &self.buffer[..self.end] {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
                let error = Error::input(format!("`{}`: expected UTF-8, found UTF-16", self.source.shown));
                Err(error.with_hint("convert the file to UTF-8"))
            }
            bytes if bytes.starts_with(BOM) => {
                self.start = BOM.len();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The file's offset of the next record.
    pub(super) fn position(&self) -> u64 {
        self.offset + self.start as u64
    }

    /// The next rows, at most `rows_max` of them, at least one; `None` at the end.
    ///
    /// Empty lines are skipped, except in a file of one column, where one is a row with an empty field.
    pub(super) fn next(&mut self, rows_max: usize) -> Result<Option<Rows<'_>>> {
        self.fields.clear();
        self.rows.clear();
        let mut at = self.start;
        while self.rows.len() < rows_max && !(self.at_end && at == self.end) {
            let before = self.fields.len();
            let outcome = match at == self.end {
                true => Outcome::More,
                false => self.dialect.record(&self.buffer[..self.end], at, self.at_end, &mut self.fields),
            };
            let found = self.fields.len() - before;
            match outcome {
                Outcome::Record(next) if self.is_blank(before, found) => {
                    self.fields.truncate(before);
                    at = next;
                    if self.rows.is_empty() {
                        self.start = next;
                    }
                }
                Outcome::Record(next) if self.is_as_wide(found) => {
                    self.rows.push(at);
                    at = next;
                }
                // What is wrong here is said when the rows before it are gone.
                _ if !self.rows.is_empty() => {
                    self.fields.truncate(before);
                    break;
                }
                Outcome::Record(_) => return Err(self.wrong_width(found)),
                Outcome::Broken(fault) => return Err(self.broken(fault, found)),
                Outcome::More => {
                    self.fields.clear();
                    self.fill()?;
                    at = self.start;
                }
            }
        }
        let Some(&first) = self.rows.first() else {
            self.start = at;
            return Ok(None);
        };
        let columns = self.fields.len() / self.rows.len();
        if let Err(error) = std::str::from_utf8(&self.buffer[first..at]) {
            let wrong = first + error.valid_up_to();
            let whole = self.rows.partition_point(|start| *start <= wrong) - 1;
            if whole == 0 {
                return Err(self.not_utf8(wrong));
            }
            // The rows before it first, as above.
            at = self.rows[whole];
            self.rows.truncate(whole);
            self.fields.truncate(whole * columns);
        }
        self.start = at;
        let text = std::str::from_utf8(&self.buffer[first..at]).map_err(|e| Error::internal(e.to_string()))?;
        let (fields, starts) = (self.fields.as_slice(), self.rows.as_slice());
        Ok(Some(Rows { text, base: first, fields, starts, offset: self.offset, columns }))
    }

    fn not_utf8(&self, at: usize) -> Error {
        let position = match self.source.position(self.offset + at as u64) {
            Ok(position) => position,
            Err(error) => return error,
        };
        let byte = self.buffer.get(at).copied().unwrap_or_default();
        let error = Error::input(format!(
            "`{}` line {}, byte {}: expected UTF-8, found the byte `0x{byte:02x}`",
            self.source.shown, position.line, position.byte
        ));
        error.with_hint("convert the file to UTF-8")
    }

    fn is_blank(&self, first: usize, found: usize) -> bool {
        let is_empty = |field: &Field| field.start == field.end && field.style == Style::Plain;
        found == 1 && self.names.len() != 1 && self.fields.get(first).is_some_and(is_empty)
    }

    fn is_as_wide(&self, found: usize) -> bool {
        match self.names.len() {
            0 => found <= CSV_COLUMNS_MAX,
            columns => found == columns,
        }
    }

    /// Makes room and reads more. Called only where no whole record is in the buffer.
    fn fill(&mut self) -> Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.offset += self.start as u64;
        self.end -= self.start;
        self.start = 0;
        if self.end > CSV_FIELD_BYTES_MAX {
            let line = self.source.position(self.offset)?.line;
            let error = Error::exhausted(format!(
                "`{}` line {line}: expected a row of at most {CSV_FIELD_BYTES_MAX} bytes",
                self.source.shown
            ));
            return Err(error.with_hint("a closing quote may be missing"));
        }
        if self.buffer.len() - self.end < CSV_READ_BYTES / 2 {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let room = u64::try_from(self.buffer.len() - self.end).unwrap_or(u64::MAX).min(self.left);
        let to = self.end + usize::try_from(room).unwrap_or(0);
        let read = loop {
            match self.reader.read(&mut self.buffer[self.end..to]) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                done => break done.map_err(|error| self.source.error(&error))?,
            }
        };
        self.end += read;
        self.left -= read as u64;
        self.at_end = read == 0 || self.left == 0;
        Ok(())
    }

    /// `` `x.csv` line 17, column 3 (`name`): expected … ``, for the row at an offset of the file.
    pub(super) fn cell_error(&self, row_offset: u64, column: usize, text: &str) -> Error {
        let line = match self.source.position(row_offset) {
            Ok(position) => position.line,
            Err(error) => return error,
        };
        let name = self.names.get(column).map_or(String::new(), |name| format!(" (`{name}`)"));
        Error::input(format!("`{}` line {line}, column {}{name}: {text}", self.source.shown, column + 1))
    }

    fn broken(&self, fault: Fault, column: usize) -> Error {
        let text = match fault {
            Fault::Unclosed => "expected a closing quote, found the end of the file".to_string(),
            Fault::AfterQuote(byte) => format!(
                "expected `{}` or the end of the line after the closing quote, found `{}`",
                char::from(self.dialect.delimiter),
                byte.escape_ascii()
            ),
        };
        self.cell_error(self.position(), column, &text)
    }

    fn wrong_width(&self, found: usize) -> Error {
        let line = match self.source.position(self.position()) {
            Ok(position) => position.line,
            Err(error) => return error,
        };
        let shown = &self.source.shown;
        match self.names.len() {
            0 => Error::exhausted(format!(
                "`{shown}` line {line}: expected at most {CSV_COLUMNS_MAX} columns, found {found}"
            )),
            expected => {
                let fields = if expected == 1 { "field" } else { "fields" };
                Error::input(format!("`{shown}` line {line}: expected {expected} {fields}, found {found}"))
            }
        }
    }
}

/// A value as an error shows it: in backticks, on one line, cut where it is long.
pub(super) fn shown(value: &str) -> String {
    let mut text = String::from("`");
    for (index, c) in value.chars().enumerate() {
        if index == CSV_SHOWN_CHARS_MAX {
            text.push('…');
            break;
        }
        match c.is_control() {
            true => text.extend(c.escape_default()),
            false => text.push(c),
        }
    }
    text.push('`');
    text
}
