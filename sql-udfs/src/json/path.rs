//! Paths into a JSON value: `$.a.b[0]`, `$['a b'].c`, `$."a b"`.
//!
//! The part of SQL/JSON's paths that names one value. Wildcards, slices, filters and `..` name many; they are refused,
//! never taken for keys. It knows nothing of SQL.

use super::Json;
use crate::{Error, Result};

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    /// From 0; below 0 from the end.
    Index(i64),
}

/// A way from a value to one value within it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Path(Vec<Step>);

impl Path {
    /// A path that begins with `$`.
    pub fn parse(text: &str) -> Result<Self> {
        let Some(rest) = text.strip_prefix('$') else {
            let error = Error::input(format!("expected a JSON path that begins with `$`, found `{text}`"));
            return Err(error.with_hint(format!("write `$.{text}`")));
        };
        let mut steps = Vec::new();
        let mut chars = rest.chars().peekable();
        while let Some(c) = chars.next() {
            steps.push(match c {
                '.' => dotted(text, &mut chars)?,
                '[' => bracketed(text, &mut chars)?,
                other => {
                    return Err(Error::input(format!("JSON path `{text}`: expected `.` or `[`, found `{other}`"))
                        .with_hint("a key that begins with `$` is written `$.\"$key\"`"));
                }
            });
        }
        Ok(Path(steps))
    }

    /// A path where the text begins with `$`, else the key that the text is.
    pub fn or_key(text: &str) -> Result<Self> {
        match text.starts_with('$') {
            true => Self::parse(text),
            false => Ok(Path(vec![Step::Key(text.to_string())])),
        }
    }

    /// One value of an array: from 0, below 0 from the end.
    pub fn index(index: i64) -> Self {
        Path(vec![Step::Index(index)])
    }

    /// The value at the end of the path.
    pub fn find<'v, 'a>(&self, value: &'v Json<'a>) -> Option<&'v Json<'a>> {
        self.0.iter().try_fold(value, |value, step| match (step, value) {
            (Step::Key(key), value) => value.get(key),
            (Step::Index(index), Json::Array(values)) => {
                let from_end = || values.len().checked_sub(usize::try_from(index.unsigned_abs()).ok()?);
                let at = if *index < 0 { from_end() } else { usize::try_from(*index).ok() };
                values.get(at?)
            }
            _ => None,
        })
    }
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn refused(path: &str, what: &str) -> Error {
    Error::unsupported(format!("JSON path `{path}`: {what} is not supported"))
        .with_hint("a path names one value: `$.key`, `$['key']`, `$[0]`; unnest an array with from_json and UNNEST")
}

fn dotted(path: &str, chars: &mut Chars<'_>) -> Result<Step> {
    match chars.peek() {
        Some('.') => return Err(refused(path, "`..`")),
        Some('*') => return Err(refused(path, "the wildcard `*`")),
        Some('"') => {
            chars.next();
            return quoted(path, chars, '"').map(Step::Key);
        }
        _ => {}
    }
    let mut key = String::new();
    while let Some(c) = chars.next_if(|c| !matches!(c, '.' | '[')) {
        key.push(c);
    }
    match key.is_empty() {
        true => Err(Error::input(format!("JSON path `{path}`: expected a key behind `.`"))),
        false => Ok(Step::Key(key)),
    }
}

fn bracketed(path: &str, chars: &mut Chars<'_>) -> Result<Step> {
    let step = match chars.peek().copied() {
        Some(quote @ ('\'' | '"')) => {
            chars.next();
            Step::Key(quoted(path, chars, quote)?)
        }
        Some('*') => return Err(refused(path, "the wildcard `[*]`")),
        Some('?') => return Err(refused(path, "a filter")),
        _ => {
            let mut digits = String::new();
            while let Some(c) = chars.next_if(|c| *c != ']') {
                digits.push(c);
            }
            if digits.contains([':', ',']) {
                return Err(refused(path, "a slice or a list of indices"));
            }
            match digits.parse::<i64>() {
                Ok(index) if index >= 0 => Step::Index(index),
                _ => {
                    let what = "an index from 0 or a key in quotes";
                    return Err(Error::input(format!(
                        "JSON path `{path}`: expected {what} in `[…]`, found `{digits}`"
                    )));
                }
            }
        }
    };
    match chars.next() {
        Some(']') => Ok(step),
        _ => Err(Error::input(format!("JSON path `{path}`: expected a closing `]`"))),
    }
}

/// A key in quotes, behind its opening one; a backslash takes the next character as it is.
fn quoted(path: &str, chars: &mut Chars<'_>, quote: char) -> Result<String> {
    let mut key = String::new();
    while let Some(c) = chars.next() {
        match c {
            '\\' => key.extend(chars.next()),
            c if c == quote => return Ok(key),
            c => key.push(c),
        }
    }
    Err(Error::input(format!("JSON path `{path}`: expected a closing `{quote}`")))
}
