//! The values of one JSON file, each as its text with the line that it begins on.
//!
//! Values are cut apart by brackets and quotes only; what is within them is for the parser. One value is held at a time,
//! and its size is bounded. It knows nothing of columns.

use std::io::Read;

use limn_sql_udfs::json::Json;
use limn_sql_udfs::json::parse::parse;

use super::options::Format;
use crate::lake::files::csv::source::Source;
use crate::limits::{CSV_READ_BYTES, JSON_VALUE_BYTES_MAX};
use crate::{Error, Result};

/// One value's text.
#[derive(Debug)]
pub(super) struct Text {
    /// The line on which it begins, from 1.
    pub(super) line: u64,
    json: String,
}

impl Text {
    /// How long it is.
    pub(super) fn bytes(&self) -> usize {
        self.json.len()
    }

    /// The value, or what is wrong and in which line.
    pub(super) fn parse(&self, source: &Source) -> Result<Json<'_>> {
        parse(&self.json).map_err(|fault| {
            let before = self.json.bytes().take(fault.at).filter(|byte| *byte == b'\n').count();
            let line = self.line + u64::try_from(before).unwrap_or(0);
            Error::input(format!("`{}` line {line}: {fault}", source.shown))
        })
    }
}

/// Reads a file's values in order.
pub(super) struct Values<'s> {
    source: &'s Source,
    reader: Box<dyn Read + Send>,
    bytes: Vec<u8>,
    at: usize,
    line: u64,
    has_ended: bool,
    format: Format,
    is_open: bool,
    is_closed: bool,
}

impl<'s> Values<'s> {
    /// The values from the file's beginning on.
    pub(super) fn open(source: &'s Source, format: Format) -> Result<Self> {
        let reader = source.open(0)?;
        let mut values = Values {
            source,
            reader,
            bytes: Vec::new(),
            at: 0,
            line: 1,
            has_ended: false,
            format,
            is_open: false,
            is_closed: false,
        };
        values.fill()?;
        if values.bytes.starts_with("\u{feff}".as_bytes()) {
            values.at = '\u{feff}'.len_utf8();
        }
        if format == Format::Auto {
            values.format = values.guess()?;
        }
        Ok(values)
    }

    fn guess(&mut self) -> Result<Format> {
        let first = self.peek()?;
        if first == Some(b'[') {
            return Ok(Format::Array);
        }
        while !self.has_ended && !self.rest().contains(&b'\n') {
            self.fill()?;
        }
        let line = self.rest().split(|byte| *byte == b'\n').next().unwrap_or_default();
        let is_value = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok_and(|text| parse(text).is_ok());
        // A first line that is broken in itself is told as a line; one that goes on is a value of many lines, and one
        // that has something behind its value is the first of many.
        let is_begun =
            first == Some(b'{') && end_of_value(line).is_none_or(|end| line.get(..end).is_some_and(is_value));
        Ok(if is_value(line) || !is_begun { Format::Lines } else { Format::Sequence })
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Reads more behind what is left.
    fn fill(&mut self) -> Result<()> {
        self.bytes.drain(..self.at);
        self.at = 0;
        if self.bytes.len() > JSON_VALUE_BYTES_MAX {
            let error = self.error(&format!("expected a value of at most {JSON_VALUE_BYTES_MAX} bytes"));
            return Err(Error::exhausted(error).with_hint("a closing quote or bracket may be missing"));
        }
        let more = u64::try_from(CSV_READ_BYTES).unwrap_or(u64::MAX);
        let read = self.reader.by_ref().take(more).read_to_end(&mut self.bytes);
        self.has_ended = read.map_err(|error| self.source.error(&error))? == 0;
        Ok(())
    }

    fn error(&self, text: &str) -> String {
        format!("`{}` line {}: {text}", self.source.shown, self.line)
    }

    /// The next byte that is no blank.
    fn peek(&mut self) -> Result<Option<u8>> {
        loop {
            let blanks = self.rest().iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count();
            self.skip(blanks);
            match self.rest().first() {
                Some(byte) => return Ok(Some(*byte)),
                None if self.has_ended => return Ok(None),
                None => self.fill()?,
            }
        }
    }

    fn skip(&mut self, bytes: usize) {
        let lines = self.rest().iter().take(bytes).filter(|byte| **byte == b'\n').count();
        self.line += u64::try_from(lines).unwrap_or(0);
        self.at += bytes;
    }

    fn take(&mut self, bytes: usize) -> Result<Text> {
        let line = self.line;
        let json = String::from_utf8(self.rest().get(..bytes).unwrap_or_default().to_vec());
        let json = json.map_err(|_| Error::input(self.error("expected UTF-8 text, found other bytes")))?;
        self.skip(bytes);
        Ok(Text { line, json })
    }

    /// The next value.
    pub(super) fn next(&mut self) -> Result<Option<Text>> {
        match self.format {
            Format::Lines | Format::Auto => self.on_a_line(),
            Format::Array => match self.enter()? {
                true => self.bracketed(),
                false => Ok(None),
            },
            Format::Sequence => match self.peek()? {
                Some(_) => self.bracketed(),
                None => Ok(None),
            },
        }
    }

    fn on_a_line(&mut self) -> Result<Option<Text>> {
        if self.peek()?.is_none() {
            return Ok(None);
        }
        let mut searched = 0;
        loop {
            let rest = self.rest();
            match rest.iter().skip(searched).position(|byte| *byte == b'\n') {
                Some(end) => return self.take(searched + end).map(Some),
                None if self.has_ended => return self.take(rest.len()).map(Some),
                None => {
                    searched = rest.len();
                    self.fill()?;
                }
            }
        }
    }

    /// Goes to the next value of the file's array; whether there is one.
    fn enter(&mut self) -> Result<bool> {
        if self.is_closed {
            return Ok(false);
        }
        let next = self.peek()?;
        match (self.is_open, next) {
            (false, Some(b'[')) => {
                self.is_open = true;
                self.skip(1);
                if self.peek()? != Some(b']') {
                    return Ok(true);
                }
            }
            (false, None) => return Ok(false),
            (false, Some(_)) => return Err(self.unexpected("`[`", next)),
            (true, Some(b',')) => {
                self.skip(1);
                return Ok(true);
            }
            (true, Some(b']')) => {}
            (true, _) => return Err(self.unexpected("`,` or `]`", next)),
        }
        self.skip(1);
        self.is_closed = true;
        match self.peek()? {
            None => Ok(false),
            next => Err(self.unexpected("the end of the file", next)),
        }
    }

    fn unexpected(&self, expected: &str, found: Option<u8>) -> Error {
        let found = match found {
            Some(byte) => format!("`{}`", char::from(byte)),
            None => "the end of the file".to_string(),
        };
        Error::input(self.error(&format!("expected {expected}, found {found}")))
    }

    fn bracketed(&mut self) -> Result<Option<Text>> {
        if self.peek()?.is_none() {
            return Err(self.unexpected("a JSON value", None));
        }
        loop {
            match end_of_value(self.rest()) {
                Some(end) => return self.take(end).map(Some),
                None if self.has_ended => return self.take(self.rest().len()).map(Some),
                None => self.fill()?,
            }
        }
    }
}

/// Where the value that begins the bytes ends; none where they may go on.
fn end_of_value(bytes: &[u8]) -> Option<usize> {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => {
                in_text = !in_text;
                if !in_text && depth == 0 {
                    return Some(at + 1);
                }
            }
            _ if in_text => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth > 1 => depth -= 1,
            b'}' | b']' if depth == 1 => return Some(at + 1),
            // A number or a word ends before what follows it.
            b',' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n' if depth == 0 => return Some(at.max(1)),
            _ => {}
        }
    }
    None
}
