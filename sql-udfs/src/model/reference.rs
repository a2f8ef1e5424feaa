//! The text by which SQL names a model: `name`, `name@alias`, `name/version`.
//!
//! Unquoted names fold to lower case as SQL identifiers do; `"…"` keeps them as written, with `""` for a quote.
//! It knows nothing of which models exist.

use std::fmt;

use crate::{Error, Result};

/// Which version of a model is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Selector {
    /// The greatest version.
    Latest,
    /// The version that an alias points to.
    Alias(String),
    /// A version by number, from 1.
    Version(u64),
}

/// A model's name with the version that is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ModelRef {
    /// The model's name, folded.
    pub name: String,
    /// Which version.
    pub selector: Selector,
}

impl ModelRef {
    /// Parses the first argument of `PREDICT`.
    pub fn parse(text: &str) -> Result<Self> {
        let (name, rest) = split_name(text)?;
        let mut rest = rest.chars();
        let selector = match rest.next() {
            None => Selector::Latest,
            Some('@') => {
                let (alias, tail) = split_name(rest.as_str())?;
                check_end(text, tail)?;
                Selector::Alias(alias)
            }
            Some('/') => match rest.as_str().parse::<u64>() {
                Ok(version) if version > 0 => Selector::Version(version),
                _ => {
                    return Err(Error::input(format!(
                        "expected a version number from 1 after `/` in the model reference `{text}`, found `{}`",
                        rest.as_str()
                    )));
                }
            },
            Some(_) => return Err(malformed(text)),
        };
        Ok(ModelRef { name, selector })
    }
}

/// Checks a model's name: not empty, none of `/ : @`.
pub fn check_model_name(name: &str) -> Result<()> {
    match name.chars().find(|c| matches!(c, '/' | ':' | '@')) {
        _ if name.is_empty() => Err(Error::input("expected a model name, found an empty text")),
        Some(c) => Err(Error::input(format!("a model name cannot contain `{c}`, found `{name}`"))),
        None => Ok(()),
    }
}

/// Checks an alias: a model name's rules, and neither `latest` nor `v<digits>`.
pub fn check_alias(alias: &str) -> Result<()> {
    check_model_name(alias).map_err(|_| {
        Error::input(format!("expected an alias of at least one character without `/`, `:` and `@`, found `{alias}`"))
    })?;
    let numbered = alias.strip_prefix('v').is_some_and(|d| !d.is_empty() && d.chars().all(|c| c.is_ascii_digit()));
    if alias == "latest" || numbered {
        return Err(Error::input(format!("`{alias}` cannot be an alias: it would read as a version"))
            .with_hint("choose another name, such as `champion` or `prod`"));
    }
    Ok(())
}

/// Reads a folded or quoted name off the front; the rest begins at `@`, `/` or the end.
fn split_name(text: &str) -> Result<(String, &str)> {
    let mut name = String::new();
    let mut chars = text.chars();
    if let Some(after) = text.strip_prefix('"') {
        chars = after.chars();
        loop {
            match chars.next() {
                None => return Err(malformed(text)),
                Some('"') => match chars.as_str().strip_prefix('"') {
                    Some(rest) => {
                        name.push('"');
                        chars = rest.chars();
                    }
                    None => break,
                },
                Some(c) => name.push(c),
            }
        }
    } else {
        while let Some(c) = chars.clone().next() {
            if matches!(c, '@' | '/') {
                break;
            }
            name.extend(c.to_lowercase());
            chars.next();
        }
    }
    match name.is_empty() || name.chars().any(|c| matches!(c, '/' | ':' | '@')) {
        true => Err(malformed(text)),
        false => Ok((name, chars.as_str())),
    }
}

fn check_end(text: &str, rest: &str) -> Result<()> {
    match rest.is_empty() {
        true => Ok(()),
        false => Err(malformed(text)),
    }
}

fn malformed(text: &str) -> Error {
    Error::input(format!("expected a model as `name`, `name@alias` or `name/version`, found `{text}`"))
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.selector {
            Selector::Latest => write!(f, "{}", self.name),
            Selector::Alias(alias) => write!(f, "{}@{alias}", self.name),
            Selector::Version(version) => write!(f, "{}/{version}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fold_unless_quoted() {
        let r = ModelRef::parse("Demand@Prod").unwrap();
        assert_eq!((r.name.as_str(), r.selector), ("demand", Selector::Alias("prod".into())));
        assert_eq!(ModelRef::parse("\"Demand\"/3").unwrap().name, "Demand");
        assert_eq!(ModelRef::parse("größe").unwrap().name, "größe");
        assert_eq!(ModelRef::parse("\"a\"\"b\"").unwrap().name, "a\"b");
    }

    #[test]
    fn malformed_references_are_refused() {
        for text in ["", "@a", "m@", "m/", "m/0", "m/x", "m@a@b", "\"m", "\"m\"x", "a:b"] {
            assert!(ModelRef::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn aliases_that_read_as_versions_are_refused() {
        for alias in ["latest", "v1", "v22", "", "a/b"] {
            assert!(check_alias(alias).is_err(), "{alias}");
        }
        for alias in ["v", "v1a", "prod", "Latest2"] {
            assert!(check_alias(alias).is_ok(), "{alias}");
        }
    }
}
