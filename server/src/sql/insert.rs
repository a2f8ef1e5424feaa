//! `INSERT` in its forms: by position and by name, appending, replacing all rows, some rows, or some partitions.
//!
//! sqlparser knows the first forms; `BY NAME`, `REPLACE WHERE`, the partitions of an overwrite and `TRANSACTION` are read
//! here. It knows nothing of tables.

use sqlparser::ast::{self, Expr, ObjectName};
use sqlparser::tokenizer::Token;

use super::dialect::Cursor;
use super::refuse;
use super::statement::{Statement, parse as parse_statement};
use super::transaction::AppTransaction;
use crate::{Error, Result};

/// One parsed `INSERT`.
#[derive(Debug, Clone)]
pub struct Insert {
    /// What the planner reads: the table, its columns, the query, and whether all rows are replaced.
    pub statement: ast::Insert,
    /// `BY NAME`: the query's columns say by their names where they go.
    pub by_name: bool,
    /// What goes when the rows come.
    pub replaces: Replaces,
    /// `TRANSACTION ('application', version)`: the rows come once, however often they are sent.
    pub transaction: Option<AppTransaction>,
}

/// Which rows an `INSERT` replaces, besides those of `OVERWRITE`.
#[derive(Debug, Clone)]
pub enum Replaces {
    /// What the statement says by itself: none, or all.
    AsWritten,
    /// `REPLACE WHERE condition`.
    Where(Box<Expr>),
    /// `OVERWRITE t PARTITION (column, …)`: those of the partitions that the new rows are in.
    Partitions(Vec<String>),
}

/// Parses a statement that begins with `INSERT`.
pub fn parse(mut cursor: Cursor<'_>) -> Result<Statement> {
    if is_ours(&cursor) {
        return ours(cursor);
    }
    let statement = cursor.parser.parse_statement()?;
    cursor.end()?;
    let ast::Statement::Insert(statement) = statement else {
        return Err(Error::input("expected `INSERT INTO table query`"));
    };
    match &statement.source {
        Some(query) => refuse::query(query)?,
        None => return Err(Error::input("expected a query or `VALUES` in `INSERT`, found neither")),
    }
    let replaces = Replaces::AsWritten;
    Ok(Statement::Insert(Box::new(Insert { statement, by_name: false, replaces, transaction: None })))
}

/// Whether one of the clauses of this file follows the table's name.
fn is_ours(cursor: &Cursor<'_>) -> bool {
    let mut at = 1;
    let word = |at: usize| cursor.peek_word_at(at);
    while matches!(word(at).as_deref(), Some("INTO" | "OVERWRITE" | "TABLE")) {
        at += 1;
    }
    at += 1;
    while cursor.parser.peek_nth_token(at).token == Token::Period {
        at += 2;
    }
    if cursor.parser.peek_nth_token(at).token == Token::LParen {
        while !matches!(cursor.parser.peek_nth_token(at).token, Token::RParen | Token::EOF) {
            at += 1;
        }
        at += 1;
    }
    matches!(
        (word(at).as_deref(), word(at + 1).as_deref()),
        (Some("BY"), Some("NAME"))
            | (Some("REPLACE"), Some("WHERE" | "USING" | "ON"))
            | (Some("PARTITION" | "TRANSACTION"), _)
    )
}

fn ours(mut cursor: Cursor<'_>) -> Result<Statement> {
    cursor.expect_words(&["INSERT"])?;
    let overwrite = cursor.words(&["OVERWRITE"]);
    if !cursor.words(&["INTO"]) && !overwrite {
        return Err(cursor.expected("`INTO` or `OVERWRITE`"));
    }
    cursor.words(&["TABLE"]);
    let table = cursor.object_name("a table")?;
    let mut columns = match cursor.parser.peek_token().token {
        Token::LParen => names(&mut cursor)?,
        _ => Vec::new(),
    };
    let mut transaction = transaction(&mut cursor)?;
    let partitions = match cursor.words(&["PARTITION"]) {
        true => Some(partitions(&mut cursor, overwrite)?),
        false => None,
    };
    if transaction.is_none() {
        transaction = self::transaction(&mut cursor)?;
    }
    if columns.is_empty() && is_list(&cursor) {
        columns = names(&mut cursor)?;
    }
    let by_name = cursor.words(&["BY", "NAME"]);
    if by_name && !columns.is_empty() {
        return Err(Error::input("expected either columns or `BY NAME`, found both"));
    }
    let replaces = match (cursor.words(&["REPLACE"]), partitions) {
        (false, None) => Replaces::AsWritten,
        (false, Some(partitions)) => Replaces::Partitions(partitions),
        (true, _) if overwrite => return Err(Error::input("expected either `OVERWRITE` or `REPLACE`, found both")),
        (true, _) => Replaces::Where(Box::new(replaced(&mut cursor)?)),
    };
    let source = cursor.query()?;
    cursor.end()?;
    refuse::query(&source)?;
    let mut statement = plain()?;
    statement.table = ast::TableObject::TableName(table);
    statement.columns = columns;
    // Rows that come for some of those that are there are added by the same commit that takes these away.
    statement.overwrite = overwrite && matches!(replaces, Replaces::AsWritten);
    statement.source = Some(source);
    Ok(Statement::Insert(Box::new(Insert { statement, by_name, replaces, transaction })))
}

/// `TRANSACTION ('application', version)`, where it stands here.
fn transaction(cursor: &mut Cursor<'_>) -> Result<Option<AppTransaction>> {
    if !cursor.words(&["TRANSACTION"]) {
        return Ok(None);
    }
    cursor.expect_token(&Token::LParen)?;
    let application = cursor.string("the application's name in quotes")?;
    cursor.expect_token(&Token::Comma)?;
    let version = cursor.unsigned("the transaction's version, a whole number from 0")?;
    cursor.expect_token(&Token::RParen)?;
    AppTransaction::new(application, version).map(Some)
}

/// Whether a list of columns comes, not a query in brackets.
fn is_list(cursor: &Cursor<'_>) -> bool {
    let token = |at: usize| cursor.parser.peek_nth_token(at).token;
    token(0) == Token::LParen
        && matches!(token(1), Token::Word(_))
        && matches!(token(2), Token::Comma | Token::RParen | Token::Period)
}

fn replaced(cursor: &mut Cursor<'_>) -> Result<Expr> {
    if !cursor.words(&["WHERE"]) {
        let word = cursor.peek_word().unwrap_or_default();
        return Err(Error::unsupported(format!("the clause `REPLACE {word}` is not supported"))
            .with_hint("write `REPLACE WHERE condition`, or `INSERT OVERWRITE t PARTITION (column, …)`"));
    }
    let condition = cursor.parser.parse_expr()?;
    refuse::expression(&condition)?;
    Ok(condition)
}

fn partitions(cursor: &mut Cursor<'_>, overwrite: bool) -> Result<Vec<String>> {
    if !overwrite {
        return Err(Error::unsupported("the clause `PARTITION` of `INSERT INTO` is not supported")
            .with_hint("partition columns are columns like the others; `INSERT OVERWRITE` replaces partitions"));
    }
    cursor.expect_token(&Token::LParen)?;
    let mut columns = Vec::new();
    loop {
        columns.push(cursor.name("a partition column")?);
        if cursor.parser.peek_token().token == Token::Eq {
            return Err(Error::unsupported("a value in `PARTITION` is not supported")
                .with_hint("write `INSERT INTO t REPLACE WHERE column = value query`"));
        }
        if !cursor.token(&Token::Comma) {
            break;
        }
    }
    cursor.expect_token(&Token::RParen)?;
    Ok(columns)
}

fn names(cursor: &mut Cursor<'_>) -> Result<Vec<ObjectName>> {
    cursor.expect_token(&Token::LParen)?;
    let mut names = vec![cursor.object_name("a column")?];
    while cursor.token(&Token::Comma) {
        names.push(cursor.object_name("a column")?);
    }
    cursor.expect_token(&Token::RParen)?;
    Ok(names)
}

/// An `INSERT` with nothing of its own, which the clauses are put into.
fn plain() -> Result<ast::Insert> {
    match parse_statement("INSERT INTO t SELECT 1")? {
        Statement::Insert(insert) => Ok(insert.statement),
        _ => Err(Error::internal("an INSERT was not parsed as one")),
    }
}
