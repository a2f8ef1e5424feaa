//! `TRAIN MODEL name REFRESH`: the statement's text to what it asks for.
//!
//! The query is the one that the model's latest version was trained by, so there is none here.

use limn_sql_udfs::model::reference::check_alias;

use super::dialect::Cursor;
use super::statement::Statement;
use crate::{Error, Result};

/// One parsed `TRAIN MODEL name REFRESH [EXPERIMENT name] [ALIAS name]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refresh {
    /// The model's name, folded.
    pub model: String,
    /// The experiment's name.
    pub experiment: Option<String>,
    /// The alias that the new version gets.
    pub alias: Option<String>,
}

/// Parses what follows `REFRESH`.
pub(super) fn parse(mut cursor: Cursor<'_>, model: String) -> Result<Statement> {
    let (mut experiment, mut alias) = (None, None);
    loop {
        if cursor.words(&["EXPERIMENT"]) {
            once("EXPERIMENT", &mut experiment, cursor.name_or_string("an experiment")?)?;
        } else if cursor.words(&["ALIAS"]) {
            let name = cursor.name_or_string("an alias")?;
            check_alias(&name)?;
            once("ALIAS", &mut alias, name)?;
        } else {
            break;
        }
    }
    cursor.end()?;
    Ok(Statement::Refresh(Refresh { model, experiment, alias }))
}

fn once(clause: &str, slot: &mut Option<String>, value: String) -> Result<()> {
    match slot.replace(value) {
        Some(_) => Err(Error::input(format!("expected `{clause}` once, found it twice"))),
        None => Ok(()),
    }
}
