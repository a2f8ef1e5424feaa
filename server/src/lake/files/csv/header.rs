//! The names of a CSV file's columns, and where its rows start.
//!
//! Names that are missing or given twice are made unique the way DuckDB does it: `column2`, `a_1`. Case does not make
//! two names different, because tables cannot have columns that differ in case only. It knows nothing of types.

use std::collections::HashSet;
use std::sync::Arc;

use super::options::CsvOptions;
use super::records::{Records, shown};
use super::source::Source;
use super::tokens::{Dialect, Style};
use crate::{Error, Result};

/// The start of a file.
pub(super) struct Head {
    /// The columns' names, unique.
    pub(super) names: Vec<String>,
    /// The names as the file has them.
    raw: Vec<String>,
    /// The file's offset of the first row.
    pub(super) start: u64,
}

impl Head {
    /// Reads the first record of a file.
    pub(super) fn read(source: &Arc<Source>, dialect: Dialect, options: &CsvOptions) -> Result<Self> {
        let mut records = Records::open(source, dialect, &Arc::from([]), 0, None)?;
        let first_row = records.position();
        let mut raw = Vec::new();
        match records.next(1)? {
            None => {
                let expected = if options.header { "a line with the columns' names" } else { "at least one row" };
                return Err(Error::input(format!("`{}`: expected {expected}, found an empty file", source.shown)));
            }
            Some(rows) => {
                for column in 0..rows.columns() {
                    let (text, style) = rows.field(0, column);
                    let mut name = text.to_string();
                    if style == Style::Escaped {
                        dialect.unescape(text, &mut name);
                    }
                    raw.push(name);
                }
            }
        }
        if options.header {
            return Ok(Head { names: unique(&raw), raw, start: records.position() });
        }
        let names = match options.columns.len() {
            0 => unique(&vec![String::new(); raw.len()]),
            said if said == raw.len() => options.columns.iter().map(|(name, _)| name.clone()).collect(),
            said => {
                let text = format!("`{}`: expected {said} columns, as in the option `columns`", source.shown);
                return Err(Error::input(format!("{text}, found {}", raw.len())));
            }
        };
        Ok(Head { names, raw, start: first_row })
    }

    /// An error where another file has other columns.
    pub(super) fn check_same(&self, source: &Source, other: &Head, other_source: &Source) -> Result<()> {
        let (first, shown_other) = (&source.shown, &other_source.shown);
        if self.raw.len() != other.raw.len() {
            return Err(Error::input(format!(
                "`{shown_other}` line 1: expected {} columns, as in `{first}`, found {}",
                self.raw.len(),
                other.raw.len()
            )));
        }
        let pairs = self.raw.iter().zip(&other.raw).enumerate();
        for (index, (expected, found)) in pairs {
            if expected != found {
                return Err(Error::input(format!(
                    "`{shown_other}` line 1, column {}: expected the column {}, as in `{first}`, found {}",
                    index + 1,
                    shown(expected),
                    shown(found)
                )));
            }
        }
        Ok(())
    }
}

/// Unique names for columns: `column` and the index where there is none, padded to the same length; `_1`, `_2` … behind
/// a name that is taken.
fn unique(raw: &[String]) -> Vec<String> {
    let width = raw.len().saturating_sub(1).to_string().len();
    // A name that the file gives is never taken from it by a name that is made here.
    let given: HashSet<String> = raw.iter().map(|name| name.to_lowercase()).collect();
    let mut taken: HashSet<String> = HashSet::new();
    let mut names = Vec::with_capacity(raw.len());
    for (index, name) in raw.iter().enumerate() {
        let base = match name.is_empty() {
            true => format!("column{index:0width$}"),
            false => name.clone(),
        };
        let mut candidate = base.clone();
        let mut number = 0;
        while taken.contains(&candidate.to_lowercase())
            || (candidate != *name && given.contains(&candidate.to_lowercase()))
        {
            number += 1;
            candidate = format!("{base}_{number}");
        }
        taken.insert(candidate.to_lowercase());
        names.push(candidate);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(raw: &[&str]) -> Vec<String> {
        unique(&raw.iter().map(|name| name.to_string()).collect::<Vec<_>>())
    }

    #[test]
    fn names_are_made_unique() {
        assert_eq!(names(&["a", "b", "c"]), ["a", "b", "c"]);
        assert_eq!(names(&["a", "a", "a"]), ["a", "a_1", "a_2"]);
        assert_eq!(names(&["a", "A"]), ["a", "A_1"]);
        assert_eq!(names(&["a", "", "c"]), ["a", "column1", "c"]);
        assert_eq!(names(&["a", "a", "a_1"]), ["a", "a_2", "a_1"]);
        assert_eq!(names(&["", "column0"]), ["column0_1", "column0"]);
        assert_eq!(names(&[""; 11])[..2], ["column00", "column01"]);
    }
}
