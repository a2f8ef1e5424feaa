//! `CREATE TABLE` and `CREATE VIEW`.
//!
//! Column options that Limn would not honour (defaults, keys) are refused, never dropped. Types are checked by
//! those who know the type table.

use sqlparser::ast::{self, ColumnOption, DataType, Query};
use sqlparser::tokenizer::Token;

use super::dialect::{Cursor, fold};
use super::statement::{ObjectRef, Statement, object_ref};
use super::{care, refuse};
use crate::{Error, Result};

/// A column of `CREATE TABLE`.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnSpec {
    /// Its name, folded.
    pub name: String,
    /// Its SQL type.
    pub data_type: DataType,
    /// Whether NULL is allowed.
    pub nullable: bool,
    /// `COMMENT`.
    pub comment: Option<String>,
    /// `GENERATED ALWAYS AS (expression)`: the expression's text.
    pub generated: Option<String>,
}

/// One parsed `CREATE TABLE`.
#[derive(Debug, Clone)]
pub struct CreateTable {
    /// The table.
    pub name: ObjectRef,
    /// `TEMPORARY`: of the session, gone with it.
    pub temporary: bool,
    /// `OR REPLACE`.
    pub or_replace: bool,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// The columns; empty with a query.
    pub columns: Vec<ColumnSpec>,
    /// `PARTITIONED BY`.
    pub partition_by: Vec<String>,
    /// `TBLPROPERTIES`.
    pub properties: Vec<(String, String)>,
    /// `COMMENT`.
    pub comment: Option<String>,
    /// `LOCATION`: a directory outside of the data directory.
    pub location: Option<String>,
    /// `AS query`.
    pub query: Option<Box<Query>>,
}

/// One parsed `CREATE VIEW`.
#[derive(Debug, Clone)]
pub struct CreateView {
    /// The view.
    pub name: ObjectRef,
    /// `OR REPLACE`.
    pub or_replace: bool,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// The query.
    pub query: Box<Query>,
    /// The query's text as it was written.
    pub text: String,
}

/// Parses what follows `CREATE [OR REPLACE] [TEMPORARY] TABLE`.
pub fn create_table(mut cursor: Cursor<'_>, or_replace: bool, temporary: bool) -> Result<Statement> {
    let if_not_exists = cursor.words(&["IF", "NOT", "EXISTS"]);
    if or_replace && if_not_exists {
        return Err(Error::input("expected either `OR REPLACE` or `IF NOT EXISTS`, found both"));
    }
    let name = object_ref(&cursor.object_name("a table")?)?;
    let mut table = CreateTable {
        name,
        temporary,
        or_replace,
        if_not_exists,
        columns: Vec::new(),
        partition_by: Vec::new(),
        properties: Vec::new(),
        comment: None,
        location: None,
        query: None,
    };
    if !temporary && let Some(clone) = care::clone(&mut cursor, &table.name, or_replace, if_not_exists)? {
        return Ok(clone);
    }
    if cursor.parser.peek_token().token == Token::LParen {
        let (columns, checks) = columns(&mut cursor)?;
        table.columns = columns;
        table.properties = checks;
    }
    while table_clause(&mut cursor, &mut table)? {}
    if cursor.words(&["AS"]) {
        let query = cursor.query()?;
        refuse::query(&query)?;
        table.query = Some(query);
    }
    cursor.end()?;
    match (table.columns.is_empty(), &table.query) {
        (true, None) if table.location.is_some() => Ok(Statement::CreateTable(Box::new(table))),
        (true, None) => Err(Error::input("expected columns or `AS query` in `CREATE TABLE`, found neither")),
        (false, Some(_)) => {
            Err(Error::unsupported("`CREATE TABLE` with both columns and a query is not supported yet")
                .with_hint("cast the columns in the query"))
        }
        _ => Ok(Statement::CreateTable(Box::new(table))),
    }
}

fn table_clause(cursor: &mut Cursor<'_>, table: &mut CreateTable) -> Result<bool> {
    if cursor.words(&["USING"]) {
        let format = cursor.name("`DELTA` after `USING`")?;
        if format != "delta" {
            return Err(Error::unsupported(format!("expected `USING DELTA`, found `USING {format}`")));
        }
    } else if cursor.words(&["PARTITIONED", "BY"]) {
        cursor.expect_token(&Token::LParen)?;
        loop {
            table.partition_by.push(cursor.name("a partition column")?);
            if !cursor.token(&Token::Comma) {
                break;
            }
        }
        cursor.expect_token(&Token::RParen)?;
    } else if cursor.words(&["TBLPROPERTIES"]) {
        let given = properties(cursor)?;
        if let Some((key, _)) = given.iter().find(|(key, _)| table.properties.iter().any(|(known, _)| known == key)) {
            return Err(Error::input(format!("expected each property once, found `{key}` twice")));
        }
        table.properties.extend(given);
    } else if cursor.words(&["COMMENT"]) {
        table.comment = Some(cursor.string("a comment in quotes")?);
    } else if cursor.words(&["LOCATION"]) {
        table.location = Some(cursor.string("a directory in quotes")?);
    } else if cursor.peek_word().as_deref() == Some("CLUSTER") {
        return Err(Error::unsupported("the clause `CLUSTER BY` of `CREATE TABLE` is not supported yet"));
    } else {
        return Ok(false);
    }
    Ok(true)
}

/// `('key' = 'value', …)`; each key once.
pub(super) fn properties(cursor: &mut Cursor<'_>) -> Result<Vec<(String, String)>> {
    let mut properties: Vec<(String, String)> = Vec::new();
    cursor.expect_token(&Token::LParen)?;
    while !cursor.token(&Token::RParen) {
        if !properties.is_empty() {
            cursor.expect_token(&Token::Comma)?;
        }
        let key = property_key(cursor)?;
        cursor.expect_token(&Token::Eq)?;
        let value = match cursor.literal(&format!("a value for the property `{key}`"))? {
            ast::Value::SingleQuotedString(text) => text,
            other => other.to_string(),
        };
        if properties.iter().any(|(known, _)| *known == key) {
            return Err(Error::input(format!("expected each property once, found `{key}` twice")));
        }
        properties.push((key, value));
    }
    Ok(properties)
}

/// `'delta.appendOnly'` or `delta.appendOnly`; properties keep their case.
pub(super) fn property_key(cursor: &mut Cursor<'_>) -> Result<String> {
    if let Token::SingleQuotedString(_) = cursor.parser.peek_token().token {
        return cursor.string("a property");
    }
    let name = cursor.object_name("a property")?;
    let parts: Vec<String> = name.0.iter().filter_map(|part| part.as_ident()).map(|i| i.value.clone()).collect();
    Ok(parts.join("."))
}

/// The properties in which a table keeps a `CHECK`.
const CONSTRAINT: &str = "delta.constraints.";

/// The columns, and the `CHECK` constraints of columns and table as the properties that they are kept in.
fn columns(cursor: &mut Cursor<'_>) -> Result<(Vec<ColumnSpec>, Vec<(String, String)>)> {
    let (mut columns, constraints) = cursor.parser.parse_columns()?;
    let mut found = checks_of_columns(&mut columns);
    for constraint in constraints {
        match constraint {
            ast::TableConstraint::Check(check) => found.push(check),
            other => {
                return Err(Error::unsupported(format!("the table constraint `{other}` is not supported yet")));
            }
        }
    }
    let mut checks: Vec<(String, String)> = Vec::new();
    for check in found {
        if check.enforced.is_some() {
            return Err(Error::unsupported(
                "every `CHECK` is enforced: expected none of `ENFORCED` and `NOT ENFORCED`",
            ));
        }
        let name = match &check.name {
            Some(name) => fold(name),
            None => format!("check_{}", checks.len() + 1),
        };
        let key = format!("{CONSTRAINT}{name}");
        if checks.iter().any(|(known, _)| *known == key) {
            return Err(Error::input(format!("expected each constraint once, found `{name}` twice")));
        }
        checks.push((key, check.expr.to_string()));
    }
    Ok((column_specs(columns)?, checks))
}

/// Takes the `CHECK`s out of columns: what they say of one column they say of the table's rows.
fn checks_of_columns(columns: &mut [ast::ColumnDef]) -> Vec<ast::CheckConstraint> {
    let mut found = Vec::new();
    for column in columns {
        let (checks, others) = std::mem::take(&mut column.options)
            .into_iter()
            .partition(|option| matches!(option.option, ColumnOption::Check(_)));
        column.options = others;
        let checks: Vec<ast::ColumnOptionDef> = checks;
        found.extend(checks.into_iter().filter_map(|option| match option.option {
            ColumnOption::Check(check) => Some(ast::CheckConstraint { name: check.name.or(option.name), ..check }),
            _ => None,
        }));
    }
    found
}

/// The columns as they are to be; an option that nothing would honour is refused.
pub(super) fn column_specs(columns: Vec<ast::ColumnDef>) -> Result<Vec<ColumnSpec>> {
    let mut specs: Vec<ColumnSpec> = Vec::with_capacity(columns.len());
    for column in columns {
        let name = fold(&column.name);
        if specs.iter().any(|known| known.name == name) {
            return Err(Error::input(format!("expected each column once, found `{name}` twice")));
        }
        let mut spec = ColumnSpec { name, data_type: column.data_type, nullable: true, comment: None, generated: None };
        for option in column.options {
            let shown = option.option.to_string();
            match option.option {
                ColumnOption::Null => spec.nullable = true,
                ColumnOption::NotNull => spec.nullable = false,
                ColumnOption::Comment(comment) => spec.comment = Some(comment),
                ColumnOption::Generated {
                    generated_as: ast::GeneratedAs::Always | ast::GeneratedAs::ExpStored,
                    sequence_options: None,
                    generation_expr: Some(expression),
                    generation_expr_mode: None | Some(ast::GeneratedExpressionMode::Stored),
                    generated_keyword: true,
                } => spec.generated = Some(expression.to_string()),
                _ => {
                    return Err(Error::unsupported(format!(
                        "the option `{shown}` of the column `{}` is not supported yet",
                        spec.name
                    )));
                }
            }
        }
        specs.push(spec);
    }
    Ok(specs)
}

/// Parses what follows `CREATE [OR REPLACE] VIEW`.
pub fn create_view(mut cursor: Cursor<'_>, or_replace: bool) -> Result<Statement> {
    let if_not_exists = cursor.words(&["IF", "NOT", "EXISTS"]);
    let name = object_ref(&cursor.object_name("a view")?)?;
    if cursor.parser.peek_token().token == Token::LParen {
        return Err(Error::unsupported("column names in `CREATE VIEW` are not supported yet")
            .with_hint("name the columns in the query with `AS`"));
    }
    cursor.expect_words(&["AS"])?;
    let text = cursor.text_from(cursor.location()).to_string();
    let query = cursor.query()?;
    cursor.end()?;
    refuse::query(&query)?;
    Ok(Statement::CreateView(CreateView { name, or_replace, if_not_exists, query, text }))
}
