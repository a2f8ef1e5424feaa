//! Statements that care for a table: `TRUNCATE`, `RESTORE`, `OPTIMIZE`, `VACUUM`, `CLONE`, `CONVERT`.
//!
//! `ALTER TABLE` has a file of its own. Nothing here knows what a table is made of.

use sqlparser::ast::Expr;
use sqlparser::tokenizer::Token;

use super::alter::AlterTable;
use super::dialect::Cursor;
use super::refuse;
use super::scan::VersionClause;
use super::statement::{ObjectRef, Statement, object_ref};
use crate::{Error, Result};

/// A statement that shapes or cares for one table.
#[derive(Debug, Clone, PartialEq)]
pub enum Care {
    /// `ALTER TABLE`, `COMMENT ON`.
    Alter(Box<AlterTable>),
    /// `TRUNCATE [TABLE] t`.
    Truncate(ObjectRef),
    /// `RESTORE [TABLE] t TO VERSION|TIMESTAMP AS OF`.
    Restore {
        /// The table.
        table: ObjectRef,
        /// What it becomes again.
        to: VersionClause,
    },
    /// `OPTIMIZE t [WHERE condition] [ZORDER BY (…)]`.
    Optimize {
        /// The table.
        table: ObjectRef,
        /// A condition on partition columns.
        condition: Option<Box<Expr>>,
        /// The columns whose values are to lie together.
        z_order: Vec<String>,
    },
    /// `VACUUM t [RETAIN n HOURS] [DRY RUN] [FORCE]`.
    Vacuum(Vacuum),
    /// `CREATE [OR REPLACE] TABLE [IF NOT EXISTS] t SHALLOW CLONE source [version]`.
    Clone(CloneTable),
    /// `CONVERT TO DELTA 'path' [PARTITIONED BY (column type, …)]`.
    Convert {
        /// The directory of Parquet files.
        location: String,
        /// The columns that directories name.
        partition_by: Vec<super::table::ColumnSpec>,
    },
}

/// One parsed `VACUUM`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vacuum {
    /// The table.
    pub table: ObjectRef,
    /// `RETAIN n HOURS`.
    pub retain_hours: Option<u64>,
    /// `DRY RUN`: says what would go.
    pub dry_run: bool,
    /// `FORCE`: versions that models need go too.
    pub force: bool,
}

/// One parsed `CREATE TABLE … CLONE`.
#[derive(Debug, Clone, PartialEq)]
pub struct CloneTable {
    /// The new table.
    pub name: ObjectRef,
    /// `OR REPLACE`.
    pub or_replace: bool,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// What is cloned.
    pub source: ObjectRef,
    /// Which version of it; the latest without.
    pub version: Option<VersionClause>,
}

fn care(care: Care) -> Statement {
    Statement::Care(Box::new(care))
}

/// Parses a statement that begins with `TRUNCATE`.
pub fn truncate(mut cursor: Cursor<'_>) -> Result<Statement> {
    cursor.expect_words(&["TRUNCATE"])?;
    cursor.words(&["TABLE"]);
    let table = object_ref(&cursor.object_name("a table")?)?;
    cursor.end()?;
    Ok(care(Care::Truncate(table)))
}

/// Parses a statement that begins with `RESTORE`.
pub fn restore(mut cursor: Cursor<'_>) -> Result<Statement> {
    cursor.expect_words(&["RESTORE"])?;
    cursor.words(&["TABLE"]);
    let table = object_ref(&cursor.object_name("a table")?)?;
    cursor.expect_words(&["TO"])?;
    let to = version(&mut cursor)?.ok_or_else(|| cursor.expected("`VERSION AS OF` or `TIMESTAMP AS OF`"))?;
    cursor.end()?;
    Ok(care(Care::Restore { table, to }))
}

/// `VERSION AS OF n` or `TIMESTAMP AS OF expression`, where one comes next.
fn version(cursor: &mut Cursor<'_>) -> Result<Option<VersionClause>> {
    if cursor.words(&["VERSION", "AS", "OF"]) {
        return Ok(Some(VersionClause::Version(cursor.unsigned("a version from 0")?)));
    }
    if cursor.words(&["TIMESTAMP", "AS", "OF"]) {
        return Ok(Some(VersionClause::Timestamp(Box::new(cursor.parser.parse_expr()?))));
    }
    Ok(None)
}

/// Parses a statement that begins with `OPTIMIZE`.
pub fn optimize(mut cursor: Cursor<'_>) -> Result<Statement> {
    cursor.expect_words(&["OPTIMIZE"])?;
    cursor.words(&["TABLE"]);
    let table = object_ref(&cursor.object_name("a table")?)?;
    let condition = match cursor.words(&["WHERE"]) {
        true => Some(cursor.parser.parse_expr()?),
        false => None,
    };
    if let Some(condition) = &condition {
        refuse::expression(condition)?;
    }
    let mut z_order = Vec::new();
    if cursor.words(&["ZORDER", "BY"]) {
        let parenthesised = cursor.token(&Token::LParen);
        loop {
            let column = cursor.name("a column")?;
            if z_order.contains(&column) {
                return Err(Error::input(format!("expected each column once in `ZORDER BY`, found `{column}` twice")));
            }
            z_order.push(column);
            if !cursor.token(&Token::Comma) {
                break;
            }
        }
        if parenthesised {
            cursor.expect_token(&Token::RParen)?;
        }
    }
    cursor.end()?;
    Ok(care(Care::Optimize { table, condition: condition.map(Box::new), z_order }))
}

/// Parses a statement that begins with `VACUUM`.
pub fn vacuum(mut cursor: Cursor<'_>) -> Result<Statement> {
    cursor.expect_words(&["VACUUM"])?;
    cursor.words(&["TABLE"]);
    let table = object_ref(&cursor.object_name("a table")?)?;
    let mut vacuum = Vacuum { table, retain_hours: None, dry_run: false, force: false };
    if cursor.words(&["RETAIN"]) {
        vacuum.retain_hours = Some(cursor.unsigned("a whole number of hours")?);
        if !cursor.words(&["HOUR"]) {
            cursor.expect_words(&["HOURS"])?;
        }
    }
    vacuum.dry_run = cursor.words(&["DRY", "RUN"]);
    vacuum.force = cursor.words(&["FORCE"]);
    if !vacuum.dry_run {
        vacuum.dry_run = cursor.words(&["DRY", "RUN"]);
    }
    cursor.end()?;
    Ok(care(Care::Vacuum(vacuum)))
}

/// What follows `CREATE TABLE name`, where it is `[SHALLOW] CLONE`.
pub fn clone(
    cursor: &mut Cursor<'_>,
    name: &ObjectRef,
    or_replace: bool,
    if_not_exists: bool,
) -> Result<Option<Statement>> {
    if cursor.words(&["DEEP", "CLONE"]) {
        return Err(Error::unsupported("`DEEP CLONE` is not supported")
            .with_hint("CREATE TABLE … AS SELECT * FROM …, or SHALLOW CLONE, which shares the data files"));
    }
    if !cursor.words(&["SHALLOW", "CLONE"]) && !cursor.words(&["CLONE"]) {
        return Ok(None);
    }
    let source = object_ref(&cursor.object_name("a table")?)?;
    let version = version(cursor)?;
    cursor.end()?;
    let name = name.clone();
    Ok(Some(care(Care::Clone(CloneTable { name, or_replace, if_not_exists, source, version }))))
}

/// Parses a statement that begins with `CONVERT`.
pub fn convert(mut cursor: Cursor<'_>) -> Result<Statement> {
    cursor.expect_words(&["CONVERT", "TO", "DELTA"])?;
    let location = cursor.string("a directory in quotes")?;
    let mut partition_by = Vec::new();
    if cursor.words(&["PARTITIONED", "BY"]) {
        let (columns, constraints) = cursor.parser.parse_columns()?;
        if let Some(constraint) = constraints.first() {
            return Err(Error::input(format!("expected `column type`, found `{constraint}`")));
        }
        partition_by = super::table::column_specs(columns)?;
    }
    cursor.end()?;
    Ok(care(Care::Convert { location, partition_by }))
}
