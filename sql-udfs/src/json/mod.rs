//! JSON texts as values, kept exact.
//!
//! Numbers stay the digits that were written and objects keep every key, so nothing is lost between a text and the
//! column that it becomes. It is here and not a library because serde_json rounds what 64 bits do not hold and drops
//! keys that are given twice. It knows nothing of SQL or files.
//!
//! # Layout
//! - [`parse`]: a text to a [`Json`], strictly (RFC 8259); `write`: back to the shortest text
//! - [`path`]: `$.a.b[0]`; [`decode`]: values to Arrow; [`encode`]: Arrow to texts; `number`: digits to numbers

pub mod decode;
pub mod encode;
mod number;
pub mod parse;
pub mod path;
#[cfg(test)]
mod tests;
mod write;

use std::borrow::Cow;

/// One JSON value; it borrows from its text what it can.
#[derive(Debug, Clone, PartialEq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true`, `false`
    Boolean(bool),
    /// A number, as it was written.
    Number(&'a str),
    /// A text, its escapes taken out.
    Text(Cow<'a, str>),
    /// `[…]`
    Array(Vec<Json<'a>>),
    /// `{…}`: all keys in their order, those that are given twice too.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

/// Whether two keys differ in case at most.
pub fn same_key(one: &str, other: &str) -> bool {
    match one.is_ascii() && other.is_ascii() {
        true => one.eq_ignore_ascii_case(other),
        false => one.to_lowercase() == other.to_lowercase(),
    }
}

impl Json<'_> {
    /// The value of a key; of a key that is given twice the last one, as in Python, JavaScript and PostgreSQL.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Json::Object(entries) => entries.iter().rev().find(|(known, _)| known == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The value of a key, or else of one that differs in case only.
    pub fn get_any_case(&self, key: &str) -> Option<&Self> {
        let Json::Object(entries) = self else { return None };
        let folded = || entries.iter().rev().find(|(known, _)| same_key(known, key)).map(|(_, value)| value);
        self.get(key).or_else(folded)
    }

    /// The keys of an object, each once, in the order in which they first stand.
    pub fn keys(&self) -> Option<Vec<&str>> {
        let Json::Object(entries) = self else { return None };
        let mut seen = std::collections::HashSet::with_capacity(entries.len());
        Some(entries.iter().map(|(key, _)| key.as_ref()).filter(|key| seen.insert(*key)).collect())
    }

    /// What kind of value it is: `object`, `array`, `string`, `number`, `boolean`, `null`.
    pub fn kind(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Boolean(_) => "boolean",
            Json::Number(_) => "number",
            Json::Text(_) => "string",
            Json::Array(_) => "array",
            Json::Object(_) => "object",
        }
    }

    /// The value as a text: a text without its quotes, anything else as JSON, `null` as none.
    pub fn to_text(&self) -> Option<String> {
        match self {
            Json::Null => None,
            Json::Text(text) => Some(text.clone().into_owned()),
            other => Some(other.to_string()),
        }
    }
}
