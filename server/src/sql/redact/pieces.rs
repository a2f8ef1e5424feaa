//! A statement's text in pieces: words, literals, comments, marks. Put together again they are the text.
//!
//! It accepts everything, also what no statement may contain; an unclosed literal goes to the end of the text.

/// What a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Blanks.
    Space,
    /// `-- …` and `/* … */`.
    Comment,
    /// `'…'`, also with a prefix such as `E`, and `$tag$…$tag$`.
    Literal,
    /// `"…"` and `` `…` ``.
    Identifier,
    /// A word without quotes.
    Word,
    /// Begins with a digit.
    Number,
    /// `?`, `$1`.
    Placeholder,
    /// Any other character.
    Mark,
}

/// A part of a statement's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// What it is.
    pub kind: Kind,
    /// As it is written.
    pub text: &'a str,
}

impl<'a> Piece<'a> {
    /// More than blanks and comments.
    pub fn is_content(&self) -> bool {
        !matches!(self.kind, Kind::Space | Kind::Comment)
    }

    /// Whether it is this word, which is in upper case.
    pub fn is(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// What is between the quotes, if there are any.
    pub fn content(&self) -> &'a str {
        self.text.trim_matches(['\'', '"', '`'])
    }
}

/// All pieces of `text`, in order and without gaps.
pub fn split(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (kind, bytes) = measure(rest, first);
        // Every measure ends between characters and after the first; a whole rest would be right as well.
        let (text, after) = rest.split_at_checked(bytes.max(first.len_utf8())).unwrap_or((rest, ""));
        pieces.push(Piece { kind, text });
        rest = after;
    }
    pieces
}

/// The kind and the bytes of the piece that `text` begins with.
fn measure(text: &str, first: char) -> (Kind, usize) {
    match first {
        _ if first.is_whitespace() => (Kind::Space, run(text, char::is_whitespace)),
        '-' if text.starts_with("--") => (Kind::Comment, run(text, |c| c != '\n')),
        '/' if text.starts_with("/*") => (Kind::Comment, block_comment(text)),
        '\'' => (Kind::Literal, quoted(text, '\'', false)),
        '"' | '`' => (Kind::Identifier, quoted(text, first, false)),
        '$' => dollar(text),
        '?' => (Kind::Placeholder, 1),
        _ if first.is_ascii_digit() => (Kind::Number, run(text, |c| c.is_alphanumeric() || matches!(c, '.' | '_'))),
        _ if first.is_alphabetic() || first == '_' => word(text),
        _ => (Kind::Mark, first.len_utf8()),
    }
}

/// The bytes in front of the first character that `belongs` refuses.
fn run(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

/// A word, or the literal that it is the prefix of.
fn word(text: &str) -> (Kind, usize) {
    let bytes = run(text, |c| c.is_alphanumeric() || c == '_');
    match text.split_at_checked(bytes) {
        Some((prefix, rest)) if bytes == 1 && rest.starts_with('\'') => {
            (Kind::Literal, bytes + quoted(rest, '\'', prefix.eq_ignore_ascii_case("e")))
        }
        _ => (Kind::Word, bytes),
    }
}

/// From quote to quote; a doubled one, and with `escapes` one after a backslash, is content.
fn quoted(text: &str, quote: char, escapes: bool) -> usize {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if escapes && c == '\\' {
            chars.next();
        } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return at + quote.len_utf8();
        }
    }
    text.len()
}

/// `$1`, or `$tag$ … $tag$`.
fn dollar(text: &str) -> (Kind, usize) {
    let after = text.strip_prefix('$').unwrap_or_default();
    let name = run(after, |c| c.is_alphanumeric() || c == '_');
    let Some((tag, rest)) = text.split_at_checked(name + 2).filter(|(tag, _)| tag.ends_with('$')) else {
        return (Kind::Placeholder, name + 1);
    };
    let end = rest.find(tag).map_or(text.len(), |at| tag.len() + at + tag.len());
    (Kind::Literal, end)
}

/// Comments nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        match (c, next) {
            ('/', Some('*')) => {
                depth += 1;
                chars.next();
            }
            ('*', Some('/')) => {
                depth = depth.saturating_sub(1);
                chars.next();
                if depth == 0 {
                    return at + 2;
                }
            }
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_put_together_are_the_text() {
        for text in [
            "SELECT E'a\\'b', x'00', $$a'$$, $t$b$t$, $1, ?, \"é\"\"x\" -- größe\n /* a /* b */ c */ + 1.5e3",
            "'open",
            "/* open /* */",
            "$x$ open",
            "\"open",
            "$",
            "é$é",
        ] {
            let together: String = split(text).iter().map(|piece| piece.text).collect();
            assert_eq!(together, text);
        }
    }

    #[test]
    fn kinds() {
        let kinds = |text| split(text).iter().map(|piece| piece.kind).collect::<Vec<_>>();
        assert_eq!(kinds("'a''b'"), [Kind::Literal]);
        assert_eq!(kinds("E'a\\'b'"), [Kind::Literal]);
        assert_eq!(kinds("$t$a$b$t$"), [Kind::Literal]);
        assert_eq!(kinds("a b"), [Kind::Word, Kind::Space, Kind::Word]);
        assert_eq!(kinds("$1?"), [Kind::Placeholder, Kind::Placeholder]);
        assert_eq!(kinds("a-1"), [Kind::Word, Kind::Mark, Kind::Number]);
        assert_eq!(kinds("/*/**/*/-- x"), [Kind::Comment, Kind::Comment]);
    }
}
