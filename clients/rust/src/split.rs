//! Splits a script into its statements at the semicolons that end them.
//!
//! Those in strings, quoted identifiers, dollar quotes and comments end nothing. It knows the places, not the grammar.

/// The statements of `script` without their semicolons; parts that are blank or only comments are left out.
pub fn statements(script: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = script;
    while let Some((statement, after)) = first(rest) {
        found.push(statement);
        rest = after;
    }
    found
}

/// The next statement of `script`, without its semicolon, and what comes after; `None` where there is no more.
pub fn first(script: &str) -> Option<(&str, &str)> {
    let mut rest = script;
    while !rest.is_empty() {
        let part = first_part(rest);
        let found = rest.get(..part.end).unwrap_or_default().trim();
        rest = rest.get(part.end + usize::from(part.ended)..).unwrap_or_default();
        if part.has_content {
            return Some((found, rest));
        }
    }
    None
}

/// Whether the last statement of `script` is ended by a semicolon (or nothing was begun), so that it can be run.
pub fn is_complete(script: &str) -> bool {
    let mut rest = script;
    loop {
        let part = first_part(rest);
        if !part.ended {
            return !part.has_content && !part.is_open;
        }
        rest = rest.get(part.end + 1..).unwrap_or_default();
    }
}

/// A statement at the beginning of a script.
#[derive(Debug, PartialEq)]
struct Part {
    /// The byte where its semicolon is, or the end of the script.
    end: usize,
    /// Whether there is a semicolon.
    ended: bool,
    /// Whether it is more than blanks and comments.
    has_content: bool,
    /// Whether a string or comment is not closed.
    is_open: bool,
}

fn first_part(script: &str) -> Part {
    let mut has_content = false;
    let mut at = 0;
    loop {
        let rest = script.get(at..).unwrap_or_default();
        let Some(first) = rest.chars().next() else {
            return Part { end: at, ended: false, has_content, is_open: false };
        };
        if first == ';' {
            return Part { end: at, ended: true, has_content, is_open: false };
        }
        let (token, is_comment) = token(rest, first);
        has_content |= !is_comment && !first.is_whitespace();
        match token {
            Some(bytes) => at += bytes,
            None => return Part { end: script.len(), ended: false, has_content, is_open: true },
        }
    }
}

/// The bytes of the token that `rest` begins with, `None` where it is not closed; and whether it is a comment.
fn token(rest: &str, first: char) -> (Option<usize>, bool) {
    match first {
        // A doubled quote closes and opens again, which comes to the same.
        '\'' | '"' | '`' => (closed(rest, 1, first), false),
        // A line comment that the script ends is closed by its end.
        '-' if rest.starts_with("--") => (Some(rest.find('\n').map_or(rest.len(), |end| end + 1)), true),
        '/' if rest.starts_with("/*") => (block_comment(rest), true),
        '$' => (dollar_quoted(rest), false),
        other => (Some(other.len_utf8()), false),
    }
}

fn closed(rest: &str, after: usize, quote: char) -> Option<usize> {
    let content = rest.get(after..)?;
    content.find(quote).map(|found| after + found + quote.len_utf8())
}

/// Block comments nest.
fn block_comment(rest: &str) -> Option<usize> {
    let mut depth = 0_u32;
    let mut at = 0;
    while at < rest.len() {
        let here = rest.get(at..)?;
        if here.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += here.chars().next()?.len_utf8();
        }
    }
    None
}

/// `$$ … $$` and `$tag$ … $tag$`; any other `$` is a token by itself.
fn dollar_quoted(rest: &str) -> Option<usize> {
    let tag = rest.strip_prefix('$').and_then(|rest| rest.split_once('$')).map(|(tag, _)| tag);
    let is_tag = |tag: &&str| {
        tag.chars().all(|c| c.is_alphanumeric() || c == '_') && !tag.starts_with(|c: char| c.is_ascii_digit())
    };
    let Some(tag) = tag.filter(is_tag) else { return Some(1) };
    let quote = format!("${tag}$");
    let content = rest.get(quote.len()..)?;
    content.find(&quote).map(|found| found + 2 * quote.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_at_their_semicolons() {
        for (script, expected) in [
            ("SELECT 1", vec!["SELECT 1"]),
            ("SELECT 1;", vec!["SELECT 1"]),
            (" SELECT 1 ;\n\nSELECT 2; ", vec!["SELECT 1", "SELECT 2"]),
            ("SELECT ';'; SELECT \"a;b\"", vec!["SELECT ';'", "SELECT \"a;b\""]),
            ("SELECT 'it''s; fine'; x", vec!["SELECT 'it''s; fine'", "x"]),
            ("SELECT 1 -- a; b\n; SELECT 2", vec!["SELECT 1 -- a; b", "SELECT 2"]),
            ("/* a; /* b; */ c; */ SELECT 1; -- end;", vec!["/* a; /* b; */ c; */ SELECT 1"]),
            ("SELECT $$;$$; SELECT $x$ ; $$ $x$; SELECT $1", vec!["SELECT $$;$$", "SELECT $x$ ; $$ $x$", "SELECT $1"]),
            ("SELECT 'é;ü'; SELECT '😀'", vec!["SELECT 'é;ü'", "SELECT '😀'"]),
            (";;  ; -- nothing\n/* at all */", vec![]),
            ("", vec![]),
            ("SELECT 'open; SELECT 2", vec!["SELECT 'open; SELECT 2"]),
            ("SELECT 4 / 2 - 1; y", vec!["SELECT 4 / 2 - 1", "y"]),
        ] {
            assert_eq!(statements(script), expected, "{script}");
        }
    }

    #[test]
    fn a_script_is_complete_after_its_last_semicolon() {
        for complete in ["", "  ", "SELECT 1;", "SELECT 1; -- done", "SELECT 1; SELECT 2;\n", "-- only this"] {
            assert!(is_complete(complete), "{complete}");
        }
        for open in ["SELECT 1", "SELECT ';", "SELECT 1; SELECT 2", "SELECT 1; /* ;", "/*", "SELECT $$;", "';"] {
            assert!(!is_complete(open), "{open}");
        }
    }
}
