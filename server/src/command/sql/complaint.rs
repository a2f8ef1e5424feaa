//! An error as the shell shows it: its text, the place in the statement where it names one, its hint.
//!
//! The place is read from the text's end for show only; nothing is decided by it.

use std::fmt::Write;

use super::cell::{one_line, width};
use super::render::Failure;
use crate::Error;

/// What is shown of an error.
#[derive(Debug, PartialEq, Eq)]
pub struct Complaint {
    text: String,
    place: Option<Place>,
    hint: Option<String>,
}

/// A line of a statement, and how many columns are in front of what is wrong in it.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    line: String,
    before: usize,
}

impl From<&Error> for Complaint {
    fn from(error: &Error) -> Self {
        Complaint { text: error.message().into(), place: None, hint: error.hint().map(Into::into) }
    }
}

impl Complaint {
    /// What is shown when `sql` failed.
    pub fn of(failure: &Failure, sql: &str) -> Self {
        let Failure::Client(error) = failure else {
            return Complaint { text: failure.to_string(), place: None, hint: None };
        };
        Complaint {
            text: error.message().to_string(),
            place: place(error.message(), sql),
            hint: error.hint().map(str::to_string),
        }
    }

    /// The lines, each ended.
    pub fn shown(&self, color: bool) -> String {
        let (red, bold, off) = if color { ("\x1b[1;31m", "\x1b[1m", "\x1b[0m") } else { ("", "", "") };
        let mut out = format!("{red}error:{off} {}\n", self.text);
        if let Some(Place { line, before }) = &self.place {
            // Writing into a String does not fail.
            let _ = writeln!(out, "  {line}\n  {}{red}^{off}", " ".repeat(*before));
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(out, "{bold}hint:{off} {hint}");
        }
        out
    }
}

/// The place that a text ending in `at line L, column C` names.
fn place(text: &str, sql: &str) -> Option<Place> {
    let (_, numbers) = text.rsplit_once(" at line ")?;
    let (line, column) = numbers.split_once(", column ")?;
    let (line, column): (usize, usize) = (line.parse().ok()?, column.parse().ok()?);
    let line = sql.lines().nth(line.checked_sub(1)?)?;
    let before: String = line.chars().take(column.checked_sub(1)?).collect();
    Some(Place { line: one_line(line), before: width(&one_line(&before)) })
}

#[cfg(test)]
mod tests {
    use limn_client::Class;

    use super::*;

    fn shown(text: &str, sql: &str) -> String {
        let error = limn_client::Error::new(Class::Input, text).with_hint("write it so");
        Complaint::of(&Failure::Client(error), sql).shown(false)
    }

    #[test]
    fn the_place_is_pointed_at() {
        let shown = shown("expected a value, found - at line 2, column 9", "SELECT\n  'é', 日-, 1");
        assert_eq!(
            shown,
            "error: expected a value, found - at line 2, column 9\n    'é', 日-, 1\n           ^\nhint: write it so\n"
        );
    }

    #[test]
    fn a_text_without_a_place_or_with_one_of_a_file_is_left_alone() {
        for text in
            ["no place", "at line 9, column 1", "`a.csv` line 1, column 4 (`x`): wrong", "x at line 0, column 0"]
        {
            assert_eq!(shown(text, "SELECT 1"), format!("error: {text}\nhint: write it so\n"));
        }
    }
}
