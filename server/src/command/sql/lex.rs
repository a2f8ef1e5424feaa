//! SQL as it is typed, in pieces: good enough to colour and to complete it, also where it is not finished.
//!
//! It knows places and no grammar; what a statement means is the server's business.

use std::ops::Range;

/// What a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A name or keyword without quotes.
    Word,
    /// A name in double quotes or backticks.
    Quoted,
    /// A text in single or dollar quotes, perhaps not closed yet.
    Text,
    /// A number.
    Number,
    /// A comment.
    Comment,
    /// Anything else that is visible, one character.
    Symbol,
}

/// A piece with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// What it is.
    pub kind: Kind,
    /// Its bytes.
    pub at: Range<usize>,
}

impl Piece {
    /// Its text.
    pub fn text<'a>(&self, sql: &'a str) -> &'a str {
        sql.get(self.at.clone()).unwrap_or_default()
    }
}

/// The pieces of a statement or of several; blanks are left out.
pub fn pieces(sql: &str) -> Vec<Piece> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(rest) = sql.get(at..).filter(|rest| !rest.is_empty()) {
        let Some(first) = rest.chars().next() else { break };
        let (kind, bytes) = piece(rest, first);
        if let Some(kind) = kind {
            found.push(Piece { kind, at: at..at + bytes });
        }
        at += bytes;
    }
    found
}

fn piece(rest: &str, first: char) -> (Option<Kind>, usize) {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    match first {
        '\'' => (Some(Kind::Text), quoted(rest, first)),
        '"' | '`' => (Some(Kind::Quoted), quoted(rest, first)),
        '-' if rest.starts_with("--") => (Some(Kind::Comment), rest.find('\n').unwrap_or(rest.len())),
        '/' if rest.starts_with("/*") => (Some(Kind::Comment), rest.find("*/").map_or(rest.len(), |end| end + 2)),
        '$' if rest.starts_with("$$") => {
            let end = rest.get(2..).and_then(|inner| inner.find("$$"));
            (Some(Kind::Text), end.map_or(rest.len(), |end| end + 4))
        }
        c if c.is_ascii_digit() => {
            let number = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_';
            (Some(Kind::Number), rest.find(|c| !number(c)).unwrap_or(rest.len()))
        }
        c if word(c) => (Some(Kind::Word), rest.find(|c| !word(c)).unwrap_or(rest.len())),
        c if c.is_whitespace() => (None, c.len_utf8()),
        c => (Some(Kind::Symbol), c.len_utf8()),
    }
}

/// The bytes up to and with the closing quote; a doubled one is a part of the text.
fn quoted(rest: &str, quote: char) -> usize {
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c != quote {
            continue;
        }
        match chars.peek() {
            Some((_, next)) if *next == quote => {
                chars.next();
            }
            _ => return at + quote.len_utf8(),
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_everything_but_blanks() {
        let sql = "SELECT \"a b\", 'it''s', 1.5e3 -- end\nFROM t@v2 /* x */ WHERE é = $$q$$";
        let shown: Vec<(Kind, &str)> = pieces(sql).iter().map(|piece| (piece.kind, piece.text(sql))).collect();
        use Kind::{Comment, Number, Quoted, Symbol, Text, Word};
        let expected = [
            (Word, "SELECT"),
            (Quoted, "\"a b\""),
            (Symbol, ","),
            (Text, "'it''s'"),
            (Symbol, ","),
            (Number, "1.5e3"),
            (Comment, "-- end"),
            (Word, "FROM"),
            (Word, "t"),
            (Symbol, "@"),
            (Word, "v2"),
            (Comment, "/* x */"),
            (Word, "WHERE"),
            (Word, "é"),
            (Symbol, "="),
            (Text, "$$q$$"),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_is_open_goes_to_the_end() {
        for open in ["'abc", "\"abc", "/* abc", "$$abc", "'a''"] {
            let found = pieces(open);
            assert_eq!((found.len(), found[0].at.clone()), (1, 0..open.len()), "{open}");
        }
    }
}
