//! SQL in colours: keywords, texts, numbers and comments. The text stays as wide as it is.
//!
//! It colours by the list of words and knows no grammar.

use super::lex::{Kind, pieces};
use super::words::{KEYWORDS, is_in};

/// The text with colours.
pub fn colored(sql: &str) -> String {
    if sql.trim_start().starts_with('\\') {
        return format!("\x1b[1m{sql}\x1b[0m");
    }
    let mut out = String::with_capacity(sql.len() * 2);
    let mut done = 0;
    for piece in pieces(sql) {
        let text = piece.text(sql);
        let color = match piece.kind {
            Kind::Word if is_in(text, KEYWORDS) => "\x1b[1;36m",
            Kind::Text => "\x1b[32m",
            Kind::Number => "\x1b[33m",
            Kind::Comment => "\x1b[2m",
            Kind::Word | Kind::Quoted | Kind::Symbol => "",
        };
        out.push_str(sql.get(done..piece.at.start).unwrap_or_default());
        match color.is_empty() {
            true => out.push_str(text),
            false => out.extend([color, text, "\x1b[0m"]),
        }
        done = piece.at.end;
    }
    out.push_str(sql.get(done..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text without the sequences that colour it.
    fn plain(text: &str) -> String {
        let mut parts = text.split("\x1b[");
        let first = parts.next().unwrap_or_default().to_string();
        parts.fold(first, |all, part| all + part.split_once('m').unwrap().1)
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        for sql in ["SELECT 'a' -- x\nFROM t WHERE é = 1.5", "\\d t", "'open", "", "SELECT\t\"A b\""] {
            assert_eq!(plain(&colored(sql)), sql);
        }
    }

    #[test]
    fn keywords_and_texts_stand_out() {
        assert_eq!(colored("select a"), "\x1b[1;36mselect\x1b[0m a");
        assert_eq!(colored("'x'"), "\x1b[32m'x'\x1b[0m");
    }
}
