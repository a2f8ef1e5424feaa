//! Splits bytes into CSV records and fields, exactly.
//!
//! RFC 4180 (<https://www.rfc-editor.org/rfc/rfc4180>) with the delimiter, quote and escape of the dialect, and lines
//! that end in LF, CRLF or CR. It is here and not a library because an error must name the physical line, a quoted
//! empty field is text and an unquoted one is NULL, and a quote that is never closed must not swallow a file. It works
//! on bytes in memory; it knows nothing of files or types.

/// How a CSV file is written. All three are single ASCII characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dialect {
    /// Between fields.
    pub(super) delimiter: u8,
    /// Around fields that hold delimiters or line ends; `None` where quotes are ordinary characters.
    pub(super) quote: Option<u8>,
    /// In front of a quote that is part of a quoted field; equal to the quote where quotes are doubled.
    pub(super) escape: Option<u8>,
}

/// How a field was written, which decides what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Without quotes.
    Plain,
    /// Within quotes; its bytes are its content.
    Quoted,
    /// Within quotes, with escapes that must be taken out.
    Escaped,
}

/// Where a field's content lies in the bytes; the quotes around it are not part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) style: Style,
}

/// What is wrong with a record's quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The bytes end within quotes.
    Unclosed,
    /// This byte stands behind a closing quote.
    AfterQuote(u8),
}

/// What reading one record gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A record; the next one starts at the index.
    Record(usize),
    /// The bytes end before the record does, and more will come.
    More,
    /// The record is broken in the field that follows those that were found.
    Broken(Fault),
}

impl Dialect {
    /// Appends the fields of the record that starts at `at`, which is below the length of `bytes`, to `fields`.
    ///
    /// With `last`, the end of the bytes is the end of the last record; without, more bytes follow. After any other
    /// outcome than a record, `fields` holds those that were found.
    pub(super) fn record(&self, bytes: &[u8], at: usize, last: bool, fields: &mut Vec<Field>) -> Outcome {
        let mut at = at;
        loop {
            let field = match bytes.get(at) {
                Some(byte) if Some(*byte) == self.quote => match self.quoted(bytes, at + 1, last) {
                    Ok(field) => field,
                    Err(outcome) => return outcome,
                },
                _ => (Field { start: at, end: self.plain_end(bytes, at), style: Style::Plain }, 0),
            };
            let (field, behind) = field;
            fields.push(field);
            let end = field.end + behind;
            match bytes.get(end) {
                Some(byte) if *byte == self.delimiter => at = end + 1,
                Some(b'\n') => return Outcome::Record(end + 1),
                // A carriage return: the line feed that may follow belongs to it.
                Some(_) => {
                    return match bytes.get(end + 1) {
                        Some(b'\n') => Outcome::Record(end + 2),
                        None if !last => Outcome::More,
                        _ => Outcome::Record(end + 1),
                    };
                }
                None if last => return Outcome::Record(end),
                None => return Outcome::More,
            }
        }
    }

    /// The index of the delimiter or line end behind an unquoted field, or the length of the bytes.
    fn plain_end(&self, bytes: &[u8], start: usize) -> usize {
        let delimiter = self.delimiter;
        let mut at = start;
        while at < bytes.len() {
            let byte = bytes[at];
            if byte == delimiter || byte == b'\n' || byte == b'\r' {
                break;
            }
            at += 1;
        }
        at
    }

    /// The field whose content starts at `start`, behind its opening quote, and the number of bytes from the end of its
    /// content to the delimiter or line end: the quote, and blanks.
    fn quoted(&self, bytes: &[u8], start: usize, last: bool) -> Result<(Field, usize), Outcome> {
        let open = if last { Outcome::Broken(Fault::Unclosed) } else { Outcome::More };
        let mut style = Style::Quoted;
        let mut at = start;
        let end = loop {
            let Some(&byte) = bytes.get(at) else { return Err(open) };
            let is_quote = Some(byte) == self.quote;
            if Some(byte) == self.escape {
                match bytes.get(at + 1) {
                    // With an escape of its own any character may be escaped, with doubled quotes only the quote.
                    Some(_) if !is_quote => {
                        style = Style::Escaped;
                        at += 2;
                        continue;
                    }
                    Some(next) if Some(*next) == self.quote => {
                        style = Style::Escaped;
                        at += 2;
                        continue;
                    }
                    None if !last => return Err(Outcome::More),
                    _ => {}
                }
            }
            if is_quote {
                break at;
            }
            at += 1;
        };
        let mut behind = 1;
        loop {
            match bytes.get(end + behind) {
                Some(byte) if *byte == self.delimiter || matches!(byte, b'\n' | b'\r') => break,
                Some(b' ' | b'\t') => behind += 1,
                Some(byte) => return Err(Outcome::Broken(Fault::AfterQuote(*byte))),
                None if last => break,
                None => return Err(Outcome::More),
            }
        }
        Ok((Field { start, end, style }, behind))
    }

    /// Takes the escapes out of the content of an [`Style::Escaped`] field.
    pub(super) fn unescape(&self, content: &str, into: &mut String) {
        into.clear();
        let escape = self.escape.map(char::from);
        let mut chars = content.chars();
        while let Some(c) = chars.next() {
            match Some(c) == escape {
                true => into.extend(chars.next()),
                false => into.push(c),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMON: Dialect = Dialect { delimiter: b',', quote: Some(b'"'), escape: Some(b'"') };

    /// All records as texts, or the first outcome that is none.
    fn split(dialect: Dialect, text: &str) -> Result<Vec<Vec<String>>, Outcome> {
        let (mut at, mut records) = (0, Vec::new());
        while at < text.len() {
            let mut fields = Vec::new();
            match dialect.record(text.as_bytes(), at, true, &mut fields) {
                Outcome::Record(next) => at = next,
                other => return Err(other),
            }
            let content = |field: &Field| {
                let raw = text.get(field.start..field.end).unwrap();
                let mut plain = raw.to_string();
                if field.style == Style::Escaped {
                    dialect.unescape(raw, &mut plain);
                }
                plain
            };
            records.push(fields.iter().map(content).collect());
        }
        Ok(records)
    }

    #[test]
    fn records_end_in_any_line_end() {
        let expected = [["a", "b"], ["1", ""], ["", "ü"]];
        for text in ["a,b\n1,\n,ü\n", "a,b\r\n1,\r\n,ü", "a,b\r1,\r,ü\r"] {
            assert_eq!(split(COMMON, text).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn quotes_hold_delimiters_line_ends_and_quotes() {
        let text = "\"a,\r\nb\",\"say \"\"hi\"\"\",x\"y\n\"\"  ,\"\"\"\",\n";
        let expected = [["a,\r\nb", "say \"hi\"", "x\"y"], ["", "\"", ""]];
        assert_eq!(split(COMMON, text).unwrap(), expected);
    }

    #[test]
    fn an_escape_of_its_own() {
        let dialect = Dialect { delimiter: b';', quote: Some(b'\''), escape: Some(b'\\') };
        assert_eq!(split(dialect, r"'it\'s';'a\\';'b'").unwrap(), [["it's", "a\\", "b"]]);
        let without = Dialect { quote: None, escape: None, ..COMMON };
        assert_eq!(split(without, "\"a,b\"").unwrap(), [["\"a", "b\""]]);
    }

    #[test]
    fn broken_quotes_are_found() {
        assert_eq!(split(COMMON, "a,\"b\nc").unwrap_err(), Outcome::Broken(Fault::Unclosed));
        assert_eq!(split(COMMON, "a,\"b\"c\n").unwrap_err(), Outcome::Broken(Fault::AfterQuote(b'c')));
    }

    #[test]
    fn every_prefix_of_a_record_asks_for_more() {
        let text = "12,\"a\"\"\n b\" ,ü\r\n";
        for end in 0..text.len() {
            let outcome = COMMON.record(&text.as_bytes()[..end], 0, false, &mut Vec::new());
            assert_eq!(outcome, Outcome::More, "{end}");
        }
        assert_eq!(COMMON.record(text.as_bytes(), 0, false, &mut Vec::new()), Outcome::Record(text.len()));
    }
}
