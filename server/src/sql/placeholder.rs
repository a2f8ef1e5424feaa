//! Numbers the placeholders that ODBC and JDBC write: `?` becomes `$1`, `$2`, … in order.
//!
//! It works on characters, before anything parses the text, and so knows the places where a `?` is not a placeholder:
//! strings, quoted identifiers, comments, dollar-quoted strings. It knows nothing of statements.

use std::borrow::Cow;
use std::iter::Peekable;
use std::str::CharIndices;

/// `sql` with numbered placeholders. A text that has none of them comes back as it is.
pub fn number_placeholders(sql: &str) -> Cow<'_, str> {
    if !sql.contains('?') {
        return Cow::Borrowed(sql);
    }
    let mut scanner = Scanner { sql, chars: sql.char_indices().peekable() };
    let mut out = String::with_capacity(sql.len() + 8);
    let (mut number, mut word) = (0, 0..0);
    while let Some((at, c)) = scanner.chars.next() {
        if c == '?' {
            number += 1;
            out.push('$');
            out.push_str(&number.to_string());
            continue;
        }
        let before = if word.end == at { sql.get(word.clone()).unwrap_or_default() } else { "" };
        scanner.skip_literal(at, c, before);
        let end = scanner.position();
        out.push_str(sql.get(at..end).unwrap_or_default());
        if c.is_alphanumeric() || c == '_' {
            word = if word.end == at { word.start..end } else { at..end };
        }
    }
    Cow::Owned(out)
}

struct Scanner<'a> {
    sql: &'a str,
    chars: Peekable<CharIndices<'a>>,
}

impl Scanner<'_> {
    /// Where the next character begins.
    fn position(&mut self) -> usize {
        self.chars.peek().map_or(self.sql.len(), |(at, _)| *at)
    }

    fn next_is(&mut self, wanted: char) -> bool {
        self.chars.next_if(|(_, c)| *c == wanted).is_some()
    }

    /// Given that `c` at byte `at` was read, right after the word `before`, reads to the end of the string, identifier or
    /// comment that it opens.
    fn skip_literal(&mut self, at: usize, c: char, before: &str) {
        let is = |word: &str| before.eq_ignore_ascii_case(word);
        match c {
            '\'' if is("e") => self.skip_escaped(),
            '\'' if is("q") || is("nq") => self.skip_delimited(),
            // A doubled quote stays inside, as it closes and opens again.
            '\'' | '"' | '`' => self.skip_past(c),
            '-' if self.next_is('-') => self.skip_past('\n'),
            '/' if self.next_is('*') => self.skip_block_comment(),
            '$' => self.skip_dollar_quoted(at),
            _ => {}
        }
    }

    fn skip_past(&mut self, end: char) {
        let _found = self.chars.by_ref().any(|(_, c)| c == end);
    }

    /// `E'…'`, where a backslash takes its meaning from the character after it.
    fn skip_escaped(&mut self) {
        while let Some((_, c)) = self.chars.next() {
            match c {
                '\\' => drop(self.chars.next()),
                '\'' if !self.next_is('\'') => return,
                _ => {}
            }
        }
    }

    /// `Q'[…]'`, which ends with the counterpart of its first character and a quote.
    fn skip_delimited(&mut self) {
        let close = match self.chars.next() {
            Some((_, '[')) => ']',
            Some((_, '{')) => '}',
            Some((_, '<')) => '>',
            Some((_, '(')) => ')',
            Some((_, other)) => other,
            None => return,
        };
        while let Some((_, c)) = self.chars.next() {
            if c == close && self.next_is('\'') {
                return;
            }
        }
    }

    /// Block comments nest in this dialect.
    fn skip_block_comment(&mut self) {
        let mut depth = 1_u32;
        while let Some((_, c)) = self.chars.next() {
            if c == '*' && self.next_is('/') {
                depth -= 1;
            } else if c == '/' && self.next_is('*') {
                depth += 1;
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// `$$ … $$` and `$tag$ … $tag$`; a `$1` is none.
    fn skip_dollar_quoted(&mut self, at: usize) {
        let rest = self.sql.get(at..).unwrap_or_default();
        let Some((tag, after)) = rest.strip_prefix('$').and_then(|rest| rest.split_once('$')) else { return };
        let is_tag = tag.chars().all(|c| c.is_alphanumeric() || c == '_');
        if !is_tag || tag.starts_with(|c: char| c.is_ascii_digit()) {
            return;
        }
        let quote = format!("${tag}$");
        let content = after.find(&quote).map_or(after.len(), |found| found + quote.len());
        let end = at + quote.len() + content;
        while self.chars.next_if(|(position, _)| *position < end).is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_numbered_in_order() {
        for (sql, expected) in [
            ("SELECT ?", "SELECT $1"),
            ("SELECT ? + ?, f(?)", "SELECT $1 + $2, f($3)"),
            (
                "INSERT INTO t VALUES (?,?,?,?,?,?,?,?,?,?,?)",
                "INSERT INTO t VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11)",
            ),
            ("?", "$1"),
            ("SELECT 'é', ?, 'ü?'", "SELECT 'é', $1, 'ü?'"),
        ] {
            assert_eq!(number_placeholders(sql), expected);
        }
    }

    #[test]
    fn literals_identifiers_and_comments_stay() {
        for sql in [
            "SELECT '?'",
            "SELECT 'it''s ?'",
            "SELECT \"a?\", \"b\"\"?\"",
            "SELECT `a?`",
            "SELECT 1 -- why?",
            "SELECT 1 /* ? /* ? */ ? */",
            "SELECT $$ ? $$",
            "SELECT $tag$ ? $$ ? $tag$",
            "SELECT $1",
            "SELECT E'it\\'s ?', e'a''b\\'?', E'\\\\' || '?'",
            "SELECT Q'[it's ?]', q'{?]'?}', nQ'!it's ?!'",
            "SELECT 'unfinished ?",
            "SELECT E'unfinished \\",
            "SELECT Q'",
            "SELECT Q'[unfinished ?",
            "SELECT /* unfinished ?",
            "SELECT $$ unfinished ?",
        ] {
            assert_eq!(number_placeholders(sql), sql);
        }
    }

    #[test]
    fn what_follows_a_literal_is_seen_again() {
        for (sql, expected) in [
            ("SELECT '?' = ?", "SELECT '?' = $1"),
            ("SELECT E'\\\\', ?, E'?'", "SELECT E'\\\\', $1, E'?'"),
            ("SELECT q'(?)'||?", "SELECT q'(?)'||$1"),
            // Longer words and blanks give a quote no other meaning.
            ("SELECT DATE'\\', ?", "SELECT DATE'\\', $1"),
            ("SELECT 1 AS e, '\\', ?", "SELECT 1 AS e, '\\', $1"),
            ("SELECT e '\\', ?", "SELECT e '\\', $1"),
            ("SELECT 1 -- ?\n, ?", "SELECT 1 -- ?\n, $1"),
            ("SELECT /* ? */ ? /*?*/ ?", "SELECT /* ? */ $1 /*?*/ $2"),
            ("SELECT $a$?$a$, ?", "SELECT $a$?$a$, $1"),
            ("SELECT 4 / ? - ?", "SELECT 4 / $1 - $2"),
            ("SELECT a-?, b/?", "SELECT a-$1, b/$2"),
            ("SELECT '''?', ?", "SELECT '''?', $1"),
        ] {
            assert_eq!(number_placeholders(sql), expected);
        }
    }

    #[test]
    fn a_text_without_question_marks_is_not_copied() {
        assert!(matches!(number_placeholders("SELECT $1"), Cow::Borrowed(_)));
    }

    #[test]
    fn numbering_twice_changes_nothing() {
        let once = number_placeholders("SELECT ?, '?'").into_owned();
        assert_eq!(number_placeholders(&once), once);
    }
}
