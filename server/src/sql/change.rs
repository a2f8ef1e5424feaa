//! `UPDATE` and `DELETE`, and what they and `MERGE` have in common: a target, and columns that get values.
//!
//! The grammar is written out here, so that a clause that nothing would honour is an error by being unknown. It knows
//! neither tables nor plans; [`super::change_query`] makes queries of what is parsed.

use sqlparser::ast::{Expr, Ident, ObjectNamePart};
use sqlparser::tokenizer::Token;

use super::dialect::{Cursor, fold};
use super::merge::Merge;
use super::refuse;
use super::statement::{ObjectRef, Statement, object_ref};
use crate::{Error, Result};

/// A statement that changes rows of one table.
#[derive(Debug, Clone)]
pub enum Change {
    /// `UPDATE t SET …`.
    Update(Box<Update>),
    /// `DELETE FROM t`.
    Delete(Box<Delete>),
    /// `MERGE INTO t`.
    Merge(Box<Merge>),
}

/// The table that a statement changes.
#[derive(Debug, Clone)]
pub struct Target {
    /// The table.
    pub table: ObjectRef,
    /// What expressions call it.
    pub alias: Ident,
}

/// `column = value`.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// The column, folded.
    pub column: String,
    /// What it gets.
    pub value: Expr,
}

/// `UPDATE t [AS a] SET column = value, … [WHERE condition]`.
#[derive(Debug, Clone)]
pub struct Update {
    /// The table.
    pub target: Target,
    /// What changes.
    pub assignments: Vec<Assignment>,
    /// In which rows; all without it.
    pub condition: Option<Expr>,
}

/// `DELETE FROM t [AS a] [WHERE condition]`.
#[derive(Debug, Clone)]
pub struct Delete {
    /// The table.
    pub target: Target,
    /// Which rows; all without it.
    pub condition: Option<Expr>,
}

impl Change {
    /// The table that is changed.
    pub fn target(&self) -> &Target {
        match self {
            Change::Update(update) => &update.target,
            Change::Delete(delete) => &delete.target,
            Change::Merge(merge) => &merge.target,
        }
    }
}

/// Parses a statement that begins with `UPDATE`.
pub fn update(mut cursor: Cursor<'_>) -> Result<Statement> {
    cursor.expect_words(&["UPDATE"])?;
    let target = target(&mut cursor, &["SET"])?;
    if cursor.peek_word().as_deref() == Some("FROM") {
        return Err(from_refused());
    }
    cursor.expect_words(&["SET"])?;
    let assignments = assignments(&mut cursor, &target)?;
    if cursor.peek_word().as_deref() == Some("FROM") {
        return Err(from_refused());
    }
    let condition = condition(&mut cursor, "WHERE")?;
    end(&mut cursor)?;
    Ok(Statement::Change(Change::Update(Box::new(Update { target, assignments, condition }))))
}

fn from_refused() -> Error {
    Error::unsupported("the clause `FROM` of `UPDATE` is not supported")
        .with_hint("use `MERGE INTO t USING source ON … WHEN MATCHED THEN UPDATE SET …`, or a subquery as the value")
}

/// Parses a statement that begins with `DELETE`.
pub fn delete(mut cursor: Cursor<'_>) -> Result<Statement> {
    cursor.expect_words(&["DELETE"])?;
    cursor.expect_words(&["FROM"])?;
    let target = target(&mut cursor, &["WHERE", "USING", "RETURNING", "ORDER", "LIMIT"])?;
    if cursor.peek_word().as_deref() == Some("USING") {
        return Err(Error::unsupported("the clause `USING` of `DELETE` is not supported")
            .with_hint("use `WHERE EXISTS (SELECT … )`, or `MERGE … WHEN MATCHED THEN DELETE`"));
    }
    let condition = condition(&mut cursor, "WHERE")?;
    end(&mut cursor)?;
    Ok(Statement::Change(Change::Delete(Box::new(Delete { target, condition }))))
}

/// `t [[AS] alias]`; `ends` are the words that may come next.
pub(super) fn target(cursor: &mut Cursor<'_>, ends: &[&str]) -> Result<Target> {
    let name = cursor.object_name("a table")?;
    let table = object_ref(&name)?;
    if let Some(ObjectNamePart::Identifier(last)) = name.0.last()
        && last.quote_style.is_none()
        && last.value.contains('@')
    {
        return Err(Error::input(format!("expected a table to write to, found a version of one, `{name}`")));
    }
    if let Some(word @ ("VERSION" | "TIMESTAMP" | "FOR")) = cursor.peek_word().as_deref() {
        return Err(Error::input(format!("expected a table to write to, found a version clause, `{word} …`")));
    }
    let explicit = cursor.words(&["AS"]);
    let has_alias = match (explicit, cursor.peek_word()) {
        (true, _) => true,
        (false, Some(word)) => !ends.contains(&word.as_str()) && word != "FROM",
        (false, None) => matches!(cursor.parser.peek_token().token, Token::Word(_)),
    };
    let alias = match has_alias {
        true => cursor.parser.parse_identifier()?,
        false => Ident::with_quote('"', table.name.clone()),
    };
    Ok(Target { table, alias })
}

/// `column = value, …`.
pub(super) fn assignments(cursor: &mut Cursor<'_>, target: &Target) -> Result<Vec<Assignment>> {
    let mut all: Vec<Assignment> = Vec::new();
    loop {
        if cursor.parser.peek_token().token == Token::LParen {
            return Err(Error::unsupported("several columns in one assignment are not supported")
                .with_hint("write `SET a = …, b = …`"));
        }
        let column = column(cursor, target)?;
        cursor.expect_token(&Token::Eq)?;
        let value = value(cursor)?;
        if all.iter().any(|known| known.column == column) {
            return Err(Error::input(format!("expected each column once after `SET`, found `{column}` twice")));
        }
        all.push(Assignment { column, value });
        if !cursor.token(&Token::Comma) {
            return Ok(all);
        }
    }
}

/// A column of the target: `column` or `target.column`.
pub(super) fn column(cursor: &mut Cursor<'_>, target: &Target) -> Result<String> {
    let name = cursor.object_name("a column")?;
    let parts: Vec<String> = name.0.iter().filter_map(ObjectNamePart::as_ident).map(fold).collect();
    let own = |part: &String| *part == fold(&target.alias) || *part == target.table.name;
    match parts.as_slice() {
        [column] => Ok(column.clone()),
        [table, column] if own(table) => Ok(column.clone()),
        _ => Err(Error::unsupported(format!("expected a column of `{}`, found `{name}`", target.alias.value))
            .with_hint("a field of a STRUCT is set by giving the whole column a value")),
    }
}

/// A value; `DEFAULT` is none.
pub(super) fn value(cursor: &mut Cursor<'_>) -> Result<Expr> {
    if cursor.peek_word().as_deref() == Some("DEFAULT") {
        return Err(Error::unsupported("`DEFAULT` as a value is not supported").with_hint("write the value, or NULL"));
    }
    let value = cursor.parser.parse_expr()?;
    refuse::expression(&value)?;
    Ok(value)
}

/// `word condition`, where the word comes next.
pub(super) fn condition(cursor: &mut Cursor<'_>, word: &str) -> Result<Option<Expr>> {
    if !cursor.words(&[word]) {
        return Ok(None);
    }
    let condition = cursor.parser.parse_expr()?;
    refuse::expression(&condition)?;
    Ok(Some(condition))
}

/// The end, or an error that names a clause which others have.
fn end(cursor: &mut Cursor<'_>) -> Result<()> {
    match cursor.peek_word().as_deref() {
        Some(word @ ("RETURNING" | "LIMIT" | "ORDER" | "USING")) => {
            Err(Error::unsupported(format!("the clause `{word}` is not supported in a statement that changes rows")))
        }
        _ => cursor.end(),
    }
}
