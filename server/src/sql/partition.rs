//! `PARTITION BY (column, …) [MIN ROWS n] [FALLBACK | NO FALLBACK]` of a training, and `PARTITION (column = literal, …)`,
//! which names one group of a model.
//!
//! It knows nothing of which columns there are.

use limn_sql_udfs::limits::GROUP_ROWS_MIN;
use limn_sql_udfs::train::Partition;
use sqlparser::ast::Value as SqlValue;
use sqlparser::tokenizer::Token;

use super::dialect::Cursor;
use crate::{Error, Result};

/// What follows `PARTITION` in a training.
pub(super) fn clause(cursor: &mut Cursor<'_>) -> Result<Partition> {
    cursor.expect_words(&["BY"])?;
    cursor.expect_token(&Token::LParen)?;
    let mut columns = vec![cursor.name("a group column")?];
    while !cursor.token(&Token::RParen) {
        cursor.expect_token(&Token::Comma)?;
        columns.push(cursor.name("a group column")?);
    }
    let min_rows = match cursor.words(&["MIN", "ROWS"]) {
        true => min_rows(cursor)?,
        false => GROUP_ROWS_MIN,
    };
    let fallback = cursor.words(&["FALLBACK"]) || !cursor.words(&["NO", "FALLBACK"]);
    Ok(Partition { columns, min_rows, fallback })
}

fn min_rows(cursor: &mut Cursor<'_>) -> Result<u64> {
    match cursor.unsigned("a number of rows from 1")? {
        0 => Err(Error::input("expected a number of rows from 1, found `0`")),
        rows => Ok(rows),
    }
}

/// What follows `PARTITION` where one group is named: the columns with their values as text, `None` for NULL.
pub(super) fn group(cursor: &mut Cursor<'_>) -> Result<Vec<(String, Option<String>)>> {
    cursor.expect_token(&Token::LParen)?;
    let mut group = Vec::new();
    loop {
        let column = cursor.name("a group column")?;
        cursor.expect_token(&Token::Eq)?;
        let value = match cursor.literal(&format!("a literal for the group column `{column}`"))? {
            SqlValue::SingleQuotedString(text) => Some(text),
            SqlValue::Number(digits, _) => Some(digits),
            SqlValue::Boolean(flag) => Some(flag.to_string()),
            SqlValue::Null => None,
            other => {
                return Err(Error::input(format!(
                    "expected a number, text, TRUE, FALSE or NULL for the group column `{column}`, found `{other}`"
                )));
            }
        };
        if group.iter().any(|(known, _)| *known == column) {
            return Err(Error::input(format!("expected the group column `{column}` once, found it twice")));
        }
        group.push((column, value));
        if cursor.token(&Token::RParen) {
            return Ok(group);
        }
        cursor.expect_token(&Token::Comma)?;
    }
}
