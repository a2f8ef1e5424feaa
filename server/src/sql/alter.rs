//! `ALTER TABLE …` and `COMMENT ON …`.
//!
//! The grammar is written out here, so that a clause that nothing would honour is an error by being unknown. It knows
//! neither tables nor types.

use sqlparser::tokenizer::Token;

use super::care::Care;
use super::dialect::Cursor;
use super::statement::{ObjectRef, Statement, object_ref};
use super::table::{ColumnSpec, column_specs, properties, property_key};
use crate::{Error, Result};

/// One parsed `ALTER TABLE`.
#[derive(Debug, Clone, PartialEq)]
pub struct AlterTable {
    /// The table.
    pub table: ObjectRef,
    /// What becomes of it.
    pub change: TableChange,
}

/// What an `ALTER TABLE` changes.
#[derive(Debug, Clone, PartialEq)]
pub enum TableChange {
    /// `ADD COLUMN[S]`.
    AddColumns {
        /// The columns, which come behind those that are there.
        columns: Vec<ColumnSpec>,
        /// `IF NOT EXISTS`.
        if_not_exists: bool,
    },
    /// `RENAME COLUMN a TO b`.
    RenameColumn {
        /// The old name.
        from: String,
        /// The new name.
        to: String,
    },
    /// `DROP COLUMN[S]`.
    DropColumns {
        /// The columns.
        columns: Vec<String>,
        /// `IF EXISTS`.
        if_exists: bool,
    },
    /// `SET TBLPROPERTIES`.
    SetProperties(Vec<(String, String)>),
    /// `UNSET TBLPROPERTIES`.
    UnsetProperties {
        /// The properties.
        keys: Vec<String>,
        /// `IF EXISTS`.
        if_exists: bool,
    },
    /// `ADD CONSTRAINT name CHECK (condition)`.
    AddConstraint {
        /// Its name.
        name: String,
        /// The condition's text.
        condition: String,
    },
    /// `DROP CONSTRAINT name`.
    DropConstraint {
        /// Its name.
        name: String,
        /// `IF EXISTS`.
        if_exists: bool,
    },
    /// `ALTER COLUMN c SET NOT NULL` and `… DROP NOT NULL`.
    Nullable {
        /// The column.
        column: String,
        /// Whether it may be NULL from now on.
        nullable: bool,
    },
    /// `ALTER COLUMN c COMMENT '…'`, `COMMENT ON COLUMN t.c IS '…'`.
    CommentColumn {
        /// The column.
        column: String,
        /// The comment; `None` takes it away.
        comment: Option<String>,
    },
    /// `COMMENT ON TABLE t IS '…'`.
    Comment(Option<String>),
    /// `RENAME TO name`.
    RenameTo(ObjectRef),
}

/// Parses a statement that begins with `ALTER TABLE`.
pub fn alter_table(mut cursor: Cursor<'_>) -> Result<Statement> {
    cursor.expect_words(&["ALTER", "TABLE"])?;
    let table = object_ref(&cursor.object_name("a table")?)?;
    let change = change(&mut cursor)?;
    cursor.end()?;
    Ok(Statement::Care(Box::new(Care::Alter(Box::new(AlterTable { table, change })))))
}

fn change(cursor: &mut Cursor<'_>) -> Result<TableChange> {
    if cursor.words(&["ADD", "CONSTRAINT"]) {
        let name = cursor.name("a constraint's name")?;
        cursor.expect_words(&["CHECK"])?;
        cursor.expect_token(&Token::LParen)?;
        let condition = cursor.parser.parse_expr()?.to_string();
        cursor.expect_token(&Token::RParen)?;
        return Ok(TableChange::AddConstraint { name, condition });
    }
    if cursor.words(&["ADD"]) {
        return add_columns(cursor);
    }
    if cursor.words(&["DROP", "CONSTRAINT"]) {
        let if_exists = cursor.words(&["IF", "EXISTS"]);
        return Ok(TableChange::DropConstraint { name: cursor.name("a constraint's name")?, if_exists });
    }
    if cursor.words(&["DROP", "COLUMN"]) || cursor.words(&["DROP", "COLUMNS"]) {
        let if_exists = cursor.words(&["IF", "EXISTS"]);
        return Ok(TableChange::DropColumns { columns: names(cursor)?, if_exists });
    }
    if cursor.words(&["RENAME", "COLUMN"]) {
        let from = cursor.name("a column")?;
        cursor.expect_words(&["TO"])?;
        return Ok(TableChange::RenameColumn { from, to: cursor.name("a column")? });
    }
    if cursor.words(&["RENAME", "TO"]) {
        return Ok(TableChange::RenameTo(object_ref(&cursor.object_name("a table")?)?));
    }
    if cursor.words(&["SET", "TBLPROPERTIES"]) {
        let properties = properties(cursor)?;
        return match properties.is_empty() {
            true => Err(Error::input("expected at least one property, found none")),
            false => Ok(TableChange::SetProperties(properties)),
        };
    }
    if cursor.words(&["UNSET", "TBLPROPERTIES"]) {
        return unset(cursor);
    }
    if cursor.words(&["ALTER"]) || cursor.words(&["CHANGE"]) {
        return column(cursor);
    }
    match cursor.peek_word() {
        Some(word) => Err(Error::unsupported(format!("`ALTER TABLE … {word}` is not supported")).with_hint(
            "expected ADD COLUMN, DROP COLUMN, RENAME, ALTER COLUMN, ADD CONSTRAINT, DROP CONSTRAINT, SET TBLPROPERTIES \
             or UNSET TBLPROPERTIES",
        )),
        None => Err(cursor.expected("`ADD`, `DROP`, `RENAME`, `ALTER`, `SET TBLPROPERTIES` or `UNSET TBLPROPERTIES`")),
    }
}

fn add_columns(cursor: &mut Cursor<'_>) -> Result<TableChange> {
    if !cursor.words(&["COLUMNS"]) {
        cursor.words(&["COLUMN"]);
    }
    let if_not_exists = cursor.words(&["IF", "NOT", "EXISTS"]);
    let parsed = match cursor.parser.peek_token().token {
        Token::LParen => {
            let (columns, constraints) = cursor.parser.parse_columns()?;
            if let Some(constraint) = constraints.first() {
                return Err(Error::input(format!("expected columns, found `{constraint}`"))
                    .with_hint("ALTER TABLE t ADD CONSTRAINT name CHECK (condition)"));
            }
            columns
        }
        _ => {
            let mut columns = vec![cursor.parser.parse_column_def()?];
            while cursor.token(&Token::Comma) {
                columns.push(cursor.parser.parse_column_def()?);
            }
            columns
        }
    };
    if parsed.is_empty() {
        return Err(Error::input("expected at least one column, found none"));
    }
    Ok(TableChange::AddColumns { columns: column_specs(parsed)?, if_not_exists })
}

fn names(cursor: &mut Cursor<'_>) -> Result<Vec<String>> {
    let parenthesised = cursor.token(&Token::LParen);
    let mut names = vec![cursor.name("a column")?];
    while cursor.token(&Token::Comma) {
        names.push(cursor.name("a column")?);
    }
    if parenthesised {
        cursor.expect_token(&Token::RParen)?;
    }
    Ok(names)
}

fn unset(cursor: &mut Cursor<'_>) -> Result<TableChange> {
    let if_exists = cursor.words(&["IF", "EXISTS"]);
    cursor.expect_token(&Token::LParen)?;
    let mut keys = vec![property_key(cursor)?];
    while cursor.token(&Token::Comma) {
        keys.push(property_key(cursor)?);
    }
    cursor.expect_token(&Token::RParen)?;
    Ok(TableChange::UnsetProperties { keys, if_exists })
}

/// What follows `ALTER` or `CHANGE`.
fn column(cursor: &mut Cursor<'_>) -> Result<TableChange> {
    cursor.words(&["COLUMN"]);
    let column = cursor.name("a column")?;
    if cursor.words(&["COMMENT"]) {
        let comment = comment(cursor)?;
        return Ok(TableChange::CommentColumn { column, comment });
    }
    if cursor.words(&["DROP", "NOT", "NULL"]) {
        return Ok(TableChange::Nullable { column, nullable: true });
    }
    if cursor.words(&["SET", "NOT", "NULL"]) {
        return Ok(TableChange::Nullable { column, nullable: false });
    }
    match cursor.peek_word().as_deref() {
        Some("TYPE") | Some("SET") | Some("DROP") | Some("FIRST") | Some("AFTER") => {
            Err(Error::unsupported("a column's type, default and place are not changed").with_hint(
                "expected `SET NOT NULL`, `DROP NOT NULL` or `COMMENT '…'`; a new type takes a new table: CREATE OR \
                 REPLACE TABLE t AS SELECT CAST(…) …",
            ))
        }
        _ => Err(cursor.expected("`SET NOT NULL`, `DROP NOT NULL` or `COMMENT`")),
    }
}

/// `'text'`, or NULL for none.
fn comment(cursor: &mut Cursor<'_>) -> Result<Option<String>> {
    match cursor.words(&["NULL"]) {
        true => Ok(None),
        false => Ok(Some(cursor.string("a comment in quotes, or NULL")?)),
    }
}

/// Parses a statement that begins with `COMMENT`.
pub fn comment_on(mut cursor: Cursor<'_>) -> Result<Statement> {
    cursor.expect_words(&["COMMENT", "ON"])?;
    let on_column = cursor.words(&["COLUMN"]);
    if !on_column && !cursor.words(&["TABLE"]) {
        return Err(cursor.expected("`TABLE` or `COLUMN`"));
    }
    let mut name = cursor.object_name(if on_column { "a table's column" } else { "a table" })?;
    let column = match on_column {
        true => name.0.pop().and_then(|part| part.as_ident().map(super::dialect::fold)),
        false => None,
    };
    if on_column && name.0.is_empty() {
        return Err(Error::input("expected `table.column` after `COMMENT ON COLUMN`, found a column alone"));
    }
    let table = object_ref(&name)?;
    cursor.expect_words(&["IS"])?;
    let comment = comment(&mut cursor)?;
    cursor.end()?;
    let change = match column {
        Some(column) => TableChange::CommentColumn { column, comment },
        None => TableChange::Comment(comment),
    };
    Ok(Statement::Care(Box::new(Care::Alter(Box::new(AlterTable { table, change })))))
}
