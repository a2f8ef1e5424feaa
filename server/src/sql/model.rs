//! `ALTER MODEL … SET|UNSET ALIAS` and `DROP MODEL`.
//!
//! It knows nothing of which models exist.

use limn_sql_udfs::model::reference::check_alias;

use super::dialect::Cursor;
use super::statement::Statement;
use crate::{Error, Result};

/// A model or one of its versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelTarget {
    /// The model's name, folded.
    pub model: String,
    /// `VERSION n`.
    pub version: Option<u64>,
}

/// `ALTER MODEL name SET ALIAS a TO VERSION n` and `… UNSET ALIAS a`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlterModel {
    /// The model's name, folded.
    pub model: String,
    /// The alias, folded.
    pub alias: String,
    /// The version it shall point to; `None` to unset it.
    pub version: Option<u64>,
}

/// Parses a statement that begins with `ALTER MODEL`.
pub fn alter(mut cursor: Cursor<'_>) -> Result<Statement> {
    cursor.expect_words(&["ALTER", "MODEL"])?;
    let model = cursor.name_or_string("a model name")?;
    let set = cursor.words(&["SET", "ALIAS"]);
    if !set && !cursor.words(&["UNSET", "ALIAS"]) {
        return Err(cursor.expected("`SET ALIAS` or `UNSET ALIAS`"));
    }
    let alias = cursor.name_or_string("an alias")?;
    let version = match set {
        false => None,
        true => {
            check_alias(&alias)?;
            cursor.expect_words(&["TO", "VERSION"])?;
            Some(version(&mut cursor)?)
        }
    };
    cursor.end()?;
    Ok(Statement::AlterModel(AlterModel { model, alias, version }))
}

/// Parses what follows `DROP`.
pub fn drop(mut cursor: Cursor<'_>) -> Result<Statement> {
    cursor.expect_words(&["MODEL"])?;
    let if_exists = cursor.words(&["IF", "EXISTS"]);
    let model = cursor.name_or_string("a model name")?;
    let version = match cursor.words(&["VERSION"]) {
        true => Some(version(&mut cursor)?),
        false => None,
    };
    cursor.end()?;
    Ok(Statement::DropModel { target: ModelTarget { model, version }, if_exists })
}

/// A version number from 1.
pub(super) fn version(cursor: &mut Cursor<'_>) -> Result<u64> {
    match cursor.unsigned("a version number from 1")? {
        0 => Err(Error::input("expected a version number from 1, found `0`")),
        version => Ok(version),
    }
}
