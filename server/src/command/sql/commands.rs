//! The shell's commands: lines that begin with a backslash, from text to what is asked for, and the list that `\?` shows.
//!
//! It reads them and does nothing.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::Format;
use crate::error;
use crate::{Error, Result};

/// What a line asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Show the list of commands.
    Help,
    /// End the shell.
    Quit,
    /// Run this statement.
    Statement(String),
    /// The tables of a schema, or of the current one.
    Tables(Option<String>),
    /// Functions whose names contain this text.
    Functions(String),
    /// Switch vertical rows on or off, or turn them over.
    Expanded(Option<Expanded>),
    /// Switch the times of statements on or off, or turn them over.
    Timing(Option<bool>),
    /// Choose a format, or show it.
    Format(Option<Format>),
    /// Write results into a file, or to the screen again.
    Output(Option<PathBuf>),
    /// Run the file.
    Include(PathBuf),
    /// Edit the last statement in an editor and run it.
    Edit,
    /// Switch the pager on or off, or turn it over.
    Pager(Option<bool>),
    /// Show the shell's settings.
    Settings,
    /// Connect to another server, or again to this one.
    Connect(Option<String>),
    /// Say where the shell is connected.
    ConnectionInfo,
    /// Repeat the last statement until Ctrl-C.
    Watch(Duration),
}

/// When rows are written vertically.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expanded {
    /// Where a table of few rows would be cut.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// How often `\watch` repeats where nothing is said.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

/// Every command as it is written, with what it does.
pub const COMMANDS: &[(&str, &str)] = &[
    (r"\?", "this list"),
    (r"\q", "quit (also Ctrl-D)"),
    (r"\d", "tables and views of the current schema"),
    (r"\d NAME", "columns of a table or view"),
    (r"\dh NAME", "versions of a table"),
    (r"\dt [SCHEMA]", "tables"),
    (r"\dv [SCHEMA]", "views"),
    (r"\dn", "schemas"),
    (r"\dm [NAME]", "models, or what is known of one"),
    (r"\df [TEXT]", "functions, or those with TEXT in their names"),
    (r"\x [on|off|auto]", "rows vertically; auto: where a short result would be cut"),
    (r"\f [FORMAT]", "format of results: table, vertical, csv, json, arrow"),
    (r"\timing [on|off]", "the time that each statement took"),
    (r"\pager [on|off]", "long results through $PAGER"),
    (r"\o [FILE]", "results into FILE; without FILE to the screen again"),
    (r"\i FILE", "run the statements of FILE"),
    (r"\e", "edit the last statement in $EDITOR, and run it"),
    (r"\watch [SECONDS]", "repeat the last statement until Ctrl-C"),
    (r"\set", "the shell's settings"),
    (r"\c [URL]", "connect to another server, or to the same again"),
    (r"\conninfo", "where the shell is connected"),
];

/// The list that `\?` shows.
pub fn help() -> String {
    let mut text = String::from("Statements end with a semicolon and may take several lines.\n");
    for (usage, what) in COMMANDS {
        text.push_str(&format!("  {usage:<18} {what}\n"));
    }
    text.push_str("Keys: Tab completes, Ctrl-R searches the history, Ctrl-C stops a statement or clears the line.\n");
    text
}

/// Reads a command without its backslash.
pub fn parse(line: &str) -> Result<Command> {
    let (name, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let argument = argument.trim().trim_end_matches(';').trim_end();
    let given = (!argument.is_empty()).then(|| argument.to_string());
    let command = match (name.trim_end_matches(';'), given) {
        ("?" | "h" | "help", _) => Command::Help,
        ("q" | "quit", None) => Command::Quit,
        ("d", None) => Command::Statement("SHOW TABLES".into()),
        ("d", Some(name)) => Command::Statement(format!("DESCRIBE {name}")),
        ("dh", Some(name)) => Command::Statement(format!("DESCRIBE HISTORY {name}")),
        ("dt", schema) => Command::Tables(schema),
        ("dv", None) => Command::Statement("SHOW VIEWS".into()),
        ("dv", Some(schema)) => Command::Statement(format!("SHOW VIEWS IN {schema}")),
        ("dn", None) => Command::Statement("SHOW SCHEMAS".into()),
        ("dm", None) => Command::Statement("SHOW MODELS".into()),
        ("dm", Some(name)) => Command::Statement(format!("DESCRIBE MODEL {name}")),
        ("df", text) => Command::Functions(text.unwrap_or_default()),
        ("x", None) => Command::Expanded(None),
        ("x", Some(value)) => Command::Expanded(Some(expanded(&value)?)),
        ("timing", value) => Command::Timing(value.map(|value| switch(&value)).transpose()?),
        ("pager", value) => Command::Pager(value.map(|value| switch(&value)).transpose()?),
        ("f", None) => Command::Format(None),
        ("f", Some(name)) => Command::Format(Some(format(&name)?)),
        ("o", file) => Command::Output(file.map(PathBuf::from)),
        ("i", Some(file)) => Command::Include(PathBuf::from(file)),
        ("e", None) => Command::Edit,
        ("set", None) => Command::Settings,
        ("c", url) => Command::Connect(url),
        ("conninfo", None) => Command::ConnectionInfo,
        ("watch", None) => Command::Watch(WATCH_INTERVAL),
        ("watch", Some(seconds)) => Command::Watch(interval(&seconds)?),
        (name, _) => return Err(wrong(name)),
    };
    Ok(command)
}

/// A known command with wrong arguments, or an unknown one.
fn wrong(name: &str) -> Error {
    let usages: Vec<String> = COMMANDS
        .iter()
        .filter(|(usage, _)| usage.trim_start_matches('\\').split(' ').next() == Some(name))
        .map(|(usage, _)| format!("`{usage}`"))
        .collect();
    match usages.is_empty() {
        true => Error::input(format!("unknown command `\\{name}`")).with_hint("type \\? for help"),
        false => Error::input(format!("expected {}", usages.join(" or "))),
    }
}

fn switch(value: &str) -> Result<bool> {
    match value.to_ascii_lowercase().as_str() {
        "on" | "true" | "1" => Ok(true),
        "off" | "false" | "0" => Ok(false),
        _ => Err(Error::input(format!("expected `on` or `off`, found `{value}`"))),
    }
}

fn expanded(value: &str) -> Result<Expanded> {
    match value.to_ascii_lowercase().as_str() {
        "auto" => Ok(Expanded::Auto),
        "on" => Ok(Expanded::On),
        "off" => Ok(Expanded::Off),
        _ => Err(Error::input(format!("expected `on`, `off` or `auto`, found `{value}`"))),
    }
}

fn format(name: &str) -> Result<Format> {
    Format::named(name).ok_or_else(|| error::unknown("format", name, Format::names()))
}

fn interval(seconds: &str) -> Result<Duration> {
    let wrong = || Error::input(format!("expected a number of seconds, found `{seconds}`"));
    let seconds: f64 = seconds.parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(seconds).ok().filter(|interval| !interval.is_zero()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    #[test]
    fn short_commands_are_statements() {
        for (line, expected) in [
            ("d", "SHOW TABLES"),
            ("d main.t;", "DESCRIBE main.t"),
            ("dh t", "DESCRIBE HISTORY t"),
            ("dv sales", "SHOW VIEWS IN sales"),
            ("dn", "SHOW SCHEMAS"),
            ("dm", "SHOW MODELS"),
            ("dm demand", "DESCRIBE MODEL demand"),
        ] {
            assert_eq!(parse(line).unwrap(), Command::Statement(expected.into()), "{line}");
        }
    }

    #[test]
    fn switches_are_on_off_or_turned_over() {
        assert_eq!(parse("x").unwrap(), Command::Expanded(None));
        assert_eq!(parse("x AUTO").unwrap(), Command::Expanded(Some(Expanded::Auto)));
        assert_eq!(parse("timing off").unwrap(), Command::Timing(Some(false)));
        assert_eq!(parse("f csv").unwrap(), Command::Format(Some(Format::Csv)));
        assert_eq!(parse("watch 0.5").unwrap(), Command::Watch(Duration::from_millis(500)));
        assert_eq!(parse("o my file.csv").unwrap(), Command::Output(Some("my file.csv".into())));
    }

    #[test]
    fn what_is_wrong_says_what_is_right() {
        for (line, expected) in [
            ("nope", "unknown command `\\nope`"),
            ("i", "expected `\\i FILE`"),
            ("dh", "expected `\\dh NAME`"),
            ("q now", "expected `\\q`"),
            ("timing perhaps", "expected `on` or `off`, found `perhaps`"),
            ("f tabel", "unknown format `tabel`, the nearest is `table`"),
            ("watch -1", "expected a number of seconds, found `-1`"),
            ("watch 0", "expected a number of seconds, found `0`"),
            ("watch 1e400", "expected a number of seconds, found `1e400`"),
        ] {
            let error = parse(line).unwrap_err();
            assert_eq!(error.message(), expected, "{line}");
            assert!(matches!(error.class(), Class::Input | Class::NotFound));
        }
    }

    #[test]
    fn every_listed_command_is_known() {
        for (usage, _) in COMMANDS {
            let bare = usage.trim_start_matches('\\').split(" [").next().unwrap();
            let line = bare.replace("NAME", "t").replace("FILE", "f");
            assert!(parse(&line).is_ok(), "{usage}");
            assert!(help().contains(usage));
        }
        for format in Format::names() {
            assert!(help().contains(format), "{format}");
        }
    }
}
