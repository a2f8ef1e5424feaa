//! What is typed or read from a file, step by step: statements that end with a semicolon, commands that begin with `\`.
//!
//! A command stands where a statement could begin, and ends with its line. It knows no command by name.

use limn_client::split;

/// One step of a script.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A statement without its semicolon.
    Statement(&'a str),
    /// A line that begins with a backslash, without it.
    Command(&'a str),
}

/// The next step, and what comes after it; `None` at the end.
pub fn next(script: &str) -> Option<(Step<'_>, &str)> {
    let rest = without_comments(script);
    if let Some(command) = rest.strip_prefix('\\') {
        let (line, after) = command.split_once('\n').unwrap_or((command, ""));
        return Some((Step::Command(line.trim()), after));
    }
    split::first(rest).map(|(statement, after)| (Step::Statement(statement), after))
}

/// Whether everything that is begun is ended, so that it can be run.
pub fn is_complete(script: &str) -> bool {
    let mut rest = without_comments(script);
    loop {
        if rest.is_empty() {
            return true;
        }
        if rest.starts_with('\\') {
            rest = without_comments(rest.split_once('\n').map_or("", |(_, after)| after));
            continue;
        }
        // A script is complete after a semicolon exactly where the statement in front of it is; a command may follow.
        let Some((_, after)) = split::first(rest) else { return split::is_complete(rest) };
        let taken = rest.get(..rest.len() - after.len()).unwrap_or_default();
        if !split::is_complete(taken) {
            return false;
        }
        rest = without_comments(after);
    }
}

/// The script from its first character that is neither blank nor in a line comment nor a lone semicolon.
fn without_comments(script: &str) -> &str {
    let mut rest = script.trim_start();
    loop {
        rest = match (rest.starts_with("--"), rest.strip_prefix(';')) {
            (true, _) => rest.split_once('\n').map_or("", |(_, after)| after).trim_start(),
            (false, Some(after)) => after.trim_start(),
            (false, None) => return rest,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(script: &str) -> Vec<Step<'_>> {
        let mut rest = script;
        std::iter::from_fn(|| {
            let (step, after) = next(rest)?;
            rest = after;
            Some(step)
        })
        .collect()
    }

    #[test]
    fn statements_and_commands_take_turns() {
        use Step::{Command, Statement};
        for (script, expected) in [
            ("SELECT 1;\n\\d t\nSELECT\n 2;", vec![Statement("SELECT 1"), Command("d t"), Statement("SELECT\n 2")]),
            ("-- x\n\\dt\n", vec![Command("dt")]),
            ("SELECT '\n\\dt';", vec![Statement("SELECT '\n\\dt'")]),
            ("SELECT 1; \\x\nSELECT 2", vec![Statement("SELECT 1"), Command("x"), Statement("SELECT 2")]),
            (" ;; \n", vec![]),
        ] {
            assert_eq!(steps(script), expected, "{script}");
        }
    }

    #[test]
    fn input_waits_for_its_end() {
        for complete in ["", " \n", "SELECT 1;", "\\d", "\\d 'x", "SELECT 1; -- done", "SELECT 1;\n\\d t", "-- x", ";"]
        {
            assert!(is_complete(complete), "{complete}");
        }
        for open in ["SELECT 1", "SELECT ';", "SELECT 1;\nSELECT 2", "\\d\nSELECT 1", "SELECT '\\", "/* ;"] {
            assert!(!is_complete(open), "{open}");
        }
    }
}
