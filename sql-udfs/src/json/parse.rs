//! Parses JSON as RFC 8259 says it (<https://www.rfc-editor.org/rfc/rfc8259>), nothing more.
//!
//! No comments, no trailing commas, no `NaN`, no control characters in texts, no half of a surrogate pair. Values below
//! each other are bounded, so that no text can exhaust the stack. It knows nothing of what the values are for.

use std::borrow::Cow;
use std::fmt;

use super::Json;
use crate::limits::JSON_DEPTH_MAX;

/// What is wrong with a text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The byte at which reading ended.
    pub at: usize,
    expected: &'static str,
    found: Option<char>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.found {
            // Quotes are no riddle between backticks.
            Some(found @ ('\'' | '"')) => write!(f, "expected {}, found `{found}`", self.expected),
            Some(found) => write!(f, "expected {}, found `{}`", self.expected, found.escape_debug()),
            None => write!(f, "expected {}, found the end of the text", self.expected),
        }
    }
}

const TOO_DEEP: &str = "at most 128 arrays and objects within each other";
const _: () = assert!(JSON_DEPTH_MAX == 128);

/// The one value that `text` is, with blanks around it.
pub fn parse(text: &str) -> Result<Json<'_>, Fault> {
    let mut reader = Reader { text, bytes: text.as_bytes(), at: 0 };
    let value = reader.value(0)?;
    reader.blanks();
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(reader.fault("the end of the text")),
    }
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn fault(&self, expected: &'static str) -> Fault {
        let found = self.text.get(self.at..).and_then(|rest| rest.chars().next());
        Fault { at: self.at, expected, found }
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// A value, the blanks before it left out.
    fn value(&mut self, depth: usize) -> Result<Json<'a>, Fault> {
        self.blanks();
        match self.peek() {
            Some(b'{' | b'[') if depth >= JSON_DEPTH_MAX => Err(self.fault(TOO_DEEP)),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => Ok(Json::Text(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Json::Boolean(true)),
            Some(b'f') => self.word("false", Json::Boolean(false)),
            Some(b'n') => self.word("null", Json::Null),
            _ => Err(self.fault("a JSON value")),
        }
    }

    fn word(&mut self, word: &'static str, value: Json<'a>) -> Result<Json<'a>, Fault> {
        match self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word.as_bytes())) {
            true => {
                self.at += word.len();
                Ok(value)
            }
            false => Err(self.fault("a JSON value")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json<'a>, Fault> {
        self.at += 1;
        let mut entries = Vec::new();
        self.blanks();
        if self.take(b'}') {
            return Ok(Json::Object(entries));
        }
        loop {
            self.blanks();
            if self.peek() != Some(b'"') {
                return Err(self.fault("a key in double quotes"));
            }
            let key = self.string()?;
            self.blanks();
            if !self.take(b':') {
                return Err(self.fault("`:` behind a key"));
            }
            entries.push((key, self.value(depth + 1)?));
            self.blanks();
            if self.take(b'}') {
                return Ok(Json::Object(entries));
            }
            if !self.take(b',') {
                return Err(self.fault("`,` or `}`"));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json<'a>, Fault> {
        self.at += 1;
        let mut values = Vec::new();
        self.blanks();
        if self.take(b']') {
            return Ok(Json::Array(values));
        }
        loop {
            values.push(self.value(depth + 1)?);
            self.blanks();
            if self.take(b']') {
                return Ok(Json::Array(values));
            }
            if !self.take(b',') {
                return Err(self.fault("`,` or `]`"));
            }
        }
    }

    fn digits(&mut self) -> Result<(), Fault> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(self.fault("a digit"));
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Json<'a>, Fault> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        } else if self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(self.fault("no digit behind a leading zero"));
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Ok(Json::Number(self.text.get(start..self.at).unwrap_or_default()))
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        self.at += 1;
        let mut owned: Option<String> = None;
        let mut start = self.at;
        loop {
            match self.peek() {
                Some(b'"') => {
                    let piece = self.text.get(start..self.at).unwrap_or_default();
                    self.at += 1;
                    return Ok(match owned {
                        None => Cow::Borrowed(piece),
                        Some(text) => Cow::Owned(text + piece),
                    });
                }
                Some(b'\\') => {
                    let text = owned.get_or_insert_default();
                    text.push_str(self.text.get(start..self.at).unwrap_or_default());
                    self.at += 1;
                    text.push(self.escape()?);
                    start = self.at;
                }
                Some(0..0x20) => return Err(self.fault("no control character in a text")),
                Some(_) => self.at += 1,
                None => return Err(self.fault("a closing `\"`")),
            }
        }
    }

    /// What stands behind a backslash.
    fn escape(&mut self) -> Result<char, Fault> {
        let plain = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err(self.fault("an escape of JSON behind `\\`")),
        };
        self.at += 1;
        Ok(plain)
    }

    fn unicode(&mut self) -> Result<char, Fault> {
        const PAIR: &str = "both halves of a surrogate pair";
        let first = self.hex()?;
        let code = match first {
            0xD800..0xDC00 => {
                if !(self.take(b'\\') && self.take(b'u')) {
                    return Err(self.fault(PAIR));
                }
                let second = self.hex()?;
                if !(0xDC00..0xE000).contains(&second) {
                    return Err(self.fault(PAIR));
                }
                0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00)
            }
            alone => alone,
        };
        char::from_u32(code).ok_or_else(|| self.fault(PAIR))
    }

    fn hex(&mut self) -> Result<u32, Fault> {
        let mut value = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            value = value * 16 + digit.ok_or_else(|| self.fault("four hex digits behind `\\u`"))?;
            self.at += 1;
        }
        Ok(value)
    }
}
