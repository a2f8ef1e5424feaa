//! `KILL QUERY id`.
//!
//! The id is 32 hex digits, as a string or as it is. Whether it runs is not known here.

use sqlparser::tokenizer::Token;

use super::dialect::Cursor;
use super::statement::Statement;
use crate::{Error, Result};

/// Parses a statement that begins with `KILL`.
pub fn parse(mut cursor: Cursor<'_>) -> Result<Statement> {
    cursor.expect_words(&["KILL"])?;
    cursor.expect_words(&["QUERY"])?;
    let query_id = match cursor.parser.peek_token().token {
        Token::SingleQuotedString(text) => {
            cursor.parser.next_token();
            text
        }
        _ => bare_id(&mut cursor),
    };
    if query_id.is_empty() {
        return Err(cursor.expected("a query's id"));
    }
    cursor.end()?;
    let query_id = query_id.to_lowercase();
    match query_id.len() == 32 && query_id.bytes().all(|b| b.is_ascii_hexdigit()) {
        true => Ok(Statement::KillQuery { query_id }),
        false => Err(Error::input(format!("expected a query's id of 32 hex digits, found `{query_id}`"))
            .with_hint("the ids are in `query_id` of system.queries")),
    }
}

/// An id without quotes, which may be a number, a word, or both without a blank between them.
fn bare_id(cursor: &mut Cursor<'_>) -> String {
    let mut text = String::new();
    loop {
        match cursor.parser.peek_token_no_skip().token {
            Token::Whitespace(_) if text.is_empty() => {}
            Token::Word(word) if word.quote_style.is_none() => text.push_str(&word.value),
            Token::Number(digits, long) => {
                text.push_str(&digits);
                // The tokenizer takes an `L` behind a number for its type; no hex digit is lost.
                if long {
                    text.push('L');
                }
            }
            _ => return text,
        }
        cursor.parser.next_token_no_skip();
    }
}

#[cfg(test)]
mod tests {
    use crate::sql::{Statement, parse};

    #[test]
    fn ids_with_and_without_quotes() {
        for id in [
            "0123456789abcdef0123456789abcdef",
            "12345678901234567890123456789012",
            "1e5e6e7e8e9e0e1e2e3e4e5e6e7e8e9e",
            "abcdefabcdefabcdefabcdefabcdefab",
            "00000000000000000000000000000e+1",
        ] {
            for text in [format!("KILL QUERY {id}"), format!("kill query '{id}';"), format!("KILL QUERY {id} ;")] {
                match parse(&text) {
                    Ok(Statement::KillQuery { query_id }) => assert_eq!(query_id, id, "{text}"),
                    other => assert!(id.contains('+') && other.is_err(), "{text}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in
            ["KILL", "KILL QUERY", "KILL QUERY ''", "KILL QUERY 'x'", "KILL QUERY 7", "KILL 'x'", "KILL QUERY a b"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
