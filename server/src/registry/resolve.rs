//! What a model reference (`name`, `name@alias`, `name/version`) means now.
//!
//! An unknown name, alias or version is an error that offers the nearest name or the range of versions.

use limn_sql_udfs::model::reference::{ModelRef, Selector};

use super::index::Index;
use super::rows::ModelVersion;
use crate::error::nearest;
use crate::{Error, Result};

/// Versions or aliases that an error text lists.
const LISTED_MAX: usize = 12;

impl Index {
    /// The version that `reference` names.
    pub fn resolve(&self, reference: &ModelRef) -> Result<&ModelVersion> {
        let name = &reference.name;
        self.known_model(name)?;
        match &reference.selector {
            Selector::Latest => self
                .model_versions(name)
                .next_back()
                .ok_or_else(|| Error::not_found(format!("model `{name}` has no versions"))),
            Selector::Version(version) => self.known_version(name, *version),
            Selector::Alias(alias) => match self.model_alias(name, alias) {
                Some(row) => self.known_version(name, row.version),
                None => Err(self.unknown_alias(name, alias)),
            },
        }
    }

    /// One version of a model, or an error that names those there are.
    pub fn known_version(&self, name: &str, version: u64) -> Result<&ModelVersion> {
        self.known_model(name)?;
        self.model_version(name, version).ok_or_else(|| {
            let versions: Vec<u64> = self.model_versions(name).map(|row| row.version).collect();
            Error::not_found(format!("model `{name}` has no version {version}{}", versions_text(&versions)))
        })
    }

    /// The error for an alias that a model does not have.
    pub fn unknown_alias(&self, name: &str, alias: &str) -> Error {
        let aliases: Vec<&str> = self.model_aliases(name).map(|row| row.alias.as_str()).collect();
        let tail = match nearest(alias, aliases.iter().copied()) {
            Some(nearest) => format!(", the nearest is `{nearest}`"),
            None if aliases.is_empty() => ", it has no aliases".to_string(),
            None => {
                let listed: Vec<String> = aliases.iter().take(LISTED_MAX).map(|a| format!("`{a}`")).collect();
                format!(", its aliases are {}{}", listed.join(", "), ellipsis(aliases.len()))
            }
        };
        Error::not_found(format!("model `{name}` has no alias `{alias}`{tail}"))
    }
}

/// `, its versions are 1 to 3`, or what else there is to say.
fn versions_text(versions: &[u64]) -> String {
    match versions {
        [] => ", all its versions were dropped".into(),
        [only] => format!(", its only version is {only}"),
        [first, .., last] if last - first == versions.len() as u64 - 1 => {
            format!(", its versions are {first} to {last}")
        }
        _ => {
            let listed: Vec<String> = versions.iter().take(LISTED_MAX).map(u64::to_string).collect();
            format!(", its versions are {}{}", listed.join(", "), ellipsis(versions.len()))
        }
    }
}

fn ellipsis(count: usize) -> &'static str {
    if count > LISTED_MAX { ", …" } else { "" }
}
