//! `ALTER MODEL … SET|UNSET ALIAS`, `DROP MODEL`, `REPRODUCE MODEL` and `EXPORT MODEL`.
//!
//! It knows nothing of which models exist.

use limn_sql_udfs::model::reference::{ModelRef, Selector, check_alias};

use super::dialect::Cursor;
use super::partition;
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

/// `EXPORT [OR REPLACE] MODEL name [VERSION n | ALIAS a] [PARTITION (column = literal, …)] TO 'uri'`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportModel {
    /// The model and the version.
    pub model: ModelRef,
    /// The group of a partitioned model: its columns with their values as text, `None` for NULL.
    pub group: Option<Vec<(String, Option<String>)>>,
    /// The path or `file:` URL, as written.
    pub to: String,
    /// `OR REPLACE`.
    pub replace: bool,
}

/// Parses a statement that begins with `REPRODUCE`.
pub fn reproduce(mut cursor: Cursor<'_>) -> Result<Statement> {
    cursor.expect_words(&["REPRODUCE", "MODEL"])?;
    let model = selected(&mut cursor)?;
    cursor.end()?;
    Ok(Statement::Reproduce(model))
}

/// Parses a statement that begins with `EXPORT`.
pub fn export(mut cursor: Cursor<'_>) -> Result<Statement> {
    cursor.expect_words(&["EXPORT"])?;
    let replace = cursor.words(&["OR", "REPLACE"]);
    cursor.expect_words(&["MODEL"])?;
    let model = selected(&mut cursor)?;
    let group = cursor.words(&["PARTITION"]).then(|| partition::group(&mut cursor)).transpose()?;
    cursor.expect_words(&["TO"])?;
    let to = cursor.string("a path in quotes")?;
    cursor.end()?;
    Ok(Statement::ExportModel(ExportModel { model, group, to, replace }))
}

/// `name [VERSION n | ALIAS a]`.
pub(super) fn selected(cursor: &mut Cursor<'_>) -> Result<ModelRef> {
    let name = cursor.name_or_string("a model name")?;
    let selector = match (cursor.words(&["VERSION"]), cursor.words(&["ALIAS"])) {
        (true, false) => Selector::Version(version(cursor)?),
        (false, true) => Selector::Alias(cursor.name_or_string("an alias")?),
        (true, true) => return Err(Error::input("expected `VERSION n` or `ALIAS a`, found both")),
        (false, false) => Selector::Latest,
    };
    Ok(ModelRef { name, selector })
}

/// A version number from 1.
pub(super) fn version(cursor: &mut Cursor<'_>) -> Result<u64> {
    match cursor.unsigned("a version number from 1")? {
        0 => Err(Error::input("expected a version number from 1, found `0`")),
        version => Ok(version),
    }
}
