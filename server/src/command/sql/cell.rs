//! One value as text on a screen: what it reads like, how wide it is, how it is cut.
//!
//! Characters that would move the cursor or command the terminal are written as escapes, because a table's text is not
//! the shell's. It knows nothing of tables.

use arrow::array::Array;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use rustyline::GraphemeClusterMode;

/// A value to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// What it reads like; more than one line where the value has several.
    pub text: String,
    /// Whether it stands for no value.
    pub is_null: bool,
}

/// The cells of a column.
pub fn cells(column: &dyn Array) -> Result<Vec<Cell>, ArrowError> {
    let options = FormatOptions::new().with_null("NULL").with_display_error(true);
    let formatter = ArrayFormatter::try_new(column, &options)?;
    let cell = |row| Cell { text: formatter.value(row).to_string(), is_null: column.is_null(row) };
    Ok((0..column.len()).map(cell).collect())
}

/// The columns of a terminal that a text without control characters takes.
pub fn width(text: &str) -> usize {
    let mut buffer = [0; 4];
    text.chars().map(|c| char_width(c, &mut buffer)).sum()
}

fn char_width(c: char, buffer: &mut [u8; 4]) -> usize {
    match c.is_ascii() {
        true => 1,
        false => usize::from(GraphemeClusterMode::WcWidth.width(c.encode_utf8(buffer))),
    }
}

/// The text on one line, with escapes for what is no visible character.
pub fn one_line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match is_hidden(c) {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
}

/// Control characters, and those that turn the direction of the text around them.
fn is_hidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The beginning of a text that fits into so many columns, with `…` at the end where something is missing.
pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_string();
    }
    let (mut kept, mut taken, mut buffer) = (String::new(), 1, [0; 4]);
    for c in text.chars() {
        taken += char_width(c, &mut buffer);
        if taken > columns {
            break;
        }
        kept.push(c);
    }
    kept.push('…');
    kept
}

/// The text with blanks up to so many columns, in front of it or after it.
pub fn padded(text: &str, columns: usize, right: bool) -> String {
    let blanks = " ".repeat(columns.saturating_sub(width(text)));
    match right {
        true => format!("{blanks}{text}"),
        false => format!("{text}{blanks}"),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray};

    use super::*;

    #[test]
    fn nulls_are_told_from_the_word() {
        let shown = cells(&StringArray::from(vec![Some("NULL"), None])).unwrap();
        assert_eq!(shown.iter().map(|cell| cell.is_null).collect::<Vec<_>>(), [false, true]);
        assert_eq!(cells(&Int64Array::from(vec![-7])).unwrap()[0].text, "-7");
    }

    #[test]
    fn widths_are_those_of_a_terminal() {
        // East Asian characters and emoji take two columns, combining marks none (Unicode Annex 11).
        for (text, expected) in [("", 0), ("abc", 3), ("é", 1), ("e\u{301}", 1), ("日本", 4), ("😀!", 3)] {
            assert_eq!(width(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_cut_fits() {
        for (text, columns, expected) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
            ("日本語", 6, "日本語"),
            ("abc", 1, "…"),
        ] {
            assert_eq!(cut(text, columns), expected);
            assert!(width(&cut(text, columns)) <= columns);
        }
    }

    #[test]
    fn a_value_cannot_command_the_terminal() {
        assert_eq!(one_line("a\x1b[2J\n\tb\u{7}\u{202e}é"), "a\\u{1b}[2J\\n\\tb\\u{7}\\u{202e}é");
    }

    #[test]
    fn numbers_are_padded_in_front() {
        assert_eq!((padded("7", 3, true), padded("日", 3, false)), ("  7".into(), "日 ".into()));
    }
}
