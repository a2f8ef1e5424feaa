//! `SHOW …` and `DESCRIBE …`.
//!
//! It only says what is asked for; the engine answers from the catalog and the registry.

use sqlparser::tokenizer::Token;

use super::dialect::{Cursor, fold};
use super::model;
use super::statement::{ObjectRef, Statement, object_ref};
use crate::{Error, Result};

/// What to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Show {
    /// `SHOW TABLES [IN schema]`: tables and views.
    Tables {
        /// The schema, or the current one.
        schema: Option<String>,
    },
    /// `SHOW VIEWS [IN schema]`.
    Views {
        /// The schema, or the current one.
        schema: Option<String>,
    },
    /// `SHOW SCHEMAS`, `SHOW DATABASES`.
    Schemas,
    /// `SHOW CATALOGS`.
    Catalogs,
    /// `SHOW MODELS`.
    Models,
    /// `SHOW ALGORITHMS`: what `USING` takes, with parameters.
    Algorithms,
    /// `SHOW QUERIES`: what runs and what waits.
    Queries,
    /// `SHOW USERS`.
    Users,
    /// `SHOW TOKENS`.
    Tokens,
    /// `SHOW setting`, `SHOW ALL`.
    Settings {
        /// One setting, or all.
        name: Option<String>,
    },
    /// `DESCRIBE t`, `SHOW COLUMNS IN t`.
    Columns(ObjectRef),
    /// `DESCRIBE HISTORY t`.
    History(ObjectRef),
    /// `DESCRIBE DETAIL t`.
    Detail(ObjectRef),
    /// `SHOW TBLPROPERTIES t [('key')]`.
    Properties {
        /// The table.
        table: ObjectRef,
        /// One property, or all.
        key: Option<String>,
    },
    /// `SHOW CREATE TABLE t`.
    CreateTable(ObjectRef),
    /// `DESCRIBE MODEL name [VERSION n | ALIAS a]`.
    Model {
        /// The model's name, folded.
        model: String,
        /// `VERSION n`.
        version: Option<u64>,
        /// `ALIAS a`.
        alias: Option<String>,
    },
}

/// Parses a statement that begins with `SHOW`.
pub fn show(mut cursor: Cursor<'_>) -> Result<Statement> {
    cursor.expect_words(&["SHOW"])?;
    let Some(what) = cursor.peek_word() else {
        return Err(cursor.expected("`TABLES`, `VIEWS`, `SCHEMAS`, `COLUMNS`, `MODELS` or a setting after `SHOW`"));
    };
    let show = match what.as_str() {
        "TABLES" | "VIEWS" => {
            cursor.words(&[&what]);
            let schema = match cursor.words(&["IN"]) || cursor.words(&["FROM"]) {
                true => Some(cursor.name("a schema")?),
                false => None,
            };
            match what.as_str() {
                "TABLES" => Show::Tables { schema },
                _ => Show::Views { schema },
            }
        }
        "SCHEMAS" | "DATABASES" => take(&mut cursor, &what, Show::Schemas),
        "CATALOGS" => take(&mut cursor, &what, Show::Catalogs),
        "MODELS" => take(&mut cursor, &what, Show::Models),
        "ALGORITHMS" => take(&mut cursor, &what, Show::Algorithms),
        "QUERIES" => take(&mut cursor, &what, Show::Queries),
        "USERS" => take(&mut cursor, &what, Show::Users),
        "TOKENS" => take(&mut cursor, &what, Show::Tokens),
        "COLUMNS" => {
            cursor.words(&["COLUMNS"]);
            if !cursor.words(&["IN"]) {
                cursor.expect_words(&["FROM"])?;
            }
            Show::Columns(object_ref(&cursor.object_name("a table")?)?)
        }
        "TBLPROPERTIES" => {
            cursor.words(&["TBLPROPERTIES"]);
            let table = object_ref(&cursor.object_name("a table")?)?;
            let key = match cursor.token(&Token::LParen) {
                true => {
                    let key = super::table::property_key(&mut cursor)?;
                    cursor.expect_token(&Token::RParen)?;
                    Some(key)
                }
                false => None,
            };
            Show::Properties { table, key }
        }
        "CREATE" if cursor.peek_word_at(1).as_deref() == Some("TABLE") => {
            cursor.words(&["CREATE", "TABLE"]);
            Show::CreateTable(object_ref(&cursor.object_name("a table")?)?)
        }
        "CREATE" | "FUNCTIONS" | "PARTITIONS" | "VARIABLES" => {
            return Err(Error::unsupported(format!("`SHOW {what}` is not supported yet")));
        }
        "ALL" => take(&mut cursor, "ALL", Show::Settings { name: None }),
        _ => {
            let name = cursor.object_name("a setting")?;
            let parts: Vec<String> = name.0.iter().filter_map(|part| part.as_ident()).map(fold).collect();
            Show::Settings { name: Some(parts.join(".")) }
        }
    };
    cursor.end()?;
    Ok(Statement::Show(show))
}

fn take(cursor: &mut Cursor<'_>, word: &str, show: Show) -> Show {
    cursor.words(&[word]);
    show
}

/// Parses a statement that begins with `DESCRIBE` or `DESC`.
pub fn describe(mut cursor: Cursor<'_>) -> Result<Statement> {
    if !cursor.words(&["DESCRIBE"]) {
        cursor.expect_words(&["DESC"])?;
    }
    // A table may have the name of a clause: `DESCRIBE history` describes the table, `DESCRIBE HISTORY t` its history.
    let followed = cursor.peek_word_at(1).is_some();
    let show = if followed && cursor.words(&["HISTORY"]) {
        Show::History(object_ref(&cursor.object_name("a table")?)?)
    } else if followed && cursor.words(&["DETAIL"]) {
        Show::Detail(object_ref(&cursor.object_name("a table")?)?)
    } else if cursor.peek_word().as_deref() == Some("MODEL") && !ends_after_one(&cursor) {
        cursor.words(&["MODEL"]);
        describe_model(&mut cursor)?
    } else {
        cursor.words(&["TABLE"]);
        Show::Columns(object_ref(&cursor.object_name("a table")?)?)
    };
    cursor.end()?;
    Ok(Statement::Show(show))
}

fn ends_after_one(cursor: &Cursor<'_>) -> bool {
    matches!(cursor.parser.peek_nth_token(1).token, Token::EOF | Token::SemiColon | Token::Period)
}

fn describe_model(cursor: &mut Cursor<'_>) -> Result<Show> {
    let name = cursor.name_or_string("a model name")?;
    let version = match cursor.words(&["VERSION"]) {
        true => Some(model::version(cursor)?),
        false => None,
    };
    let alias = match version.is_none() && cursor.words(&["ALIAS"]) {
        true => Some(cursor.name_or_string("an alias")?),
        false => None,
    };
    Ok(Show::Model { model: name, version, alias })
}
