//! The interactive loop: lines until a semicolon, history, timing, Ctrl-C to stop a statement, a few short commands.
//!
//! It turns lines into statements; what a statement means is the server's business.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use limn_client::{Client, split};
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use super::render::{Failure, Output};
use crate::config::Format;
use crate::{Error, Result};

const HELP: &str = r"Statements end with a semicolon and may take several lines.
  \d           tables and views        \d NAME      columns of a table
  \dt          the same as \d          \dn          schemas
  \dm          models                  \?           this help
  \q           quit (also Ctrl-D)      Ctrl-C       stops a statement, or clears what is typed";

/// Reads and runs statements until the end of the input.
pub async fn run(client: &Client, format: Format, history: &Path) -> Result<ExitCode> {
    let failed = |error: ReadlineError| Error::internal(format!("the terminal cannot be used: {error}"));
    let mut editor = DefaultEditor::new().map_err(failed)?;
    // The first time there is none.
    let _no_history_yet = editor.load_history(history);
    eprintln!("limn {} - type \\? for help, \\q to quit", env!("CARGO_PKG_VERSION"));
    let mut typed = String::new();
    loop {
        let prompt = if typed.is_empty() { "limn> " } else { "  ... " };
        // The editor blocks its thread until a line is there.
        match tokio::task::block_in_place(|| editor.readline(prompt)) {
            Ok(line) => typed.push_str(&format!("{line}\n")),
            Err(ReadlineError::Interrupted) => {
                typed.clear();
                continue;
            }
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(failed(error)),
        }
        match next(&typed) {
            Next::More => continue,
            Next::Quit => break,
            Next::Help => eprintln!("{HELP}"),
            Next::Unknown(command) => eprintln!("error: unknown command `{command}`\nhint: type \\? for help"),
            Next::Run(statements) => run_all(client, format, statements).await,
        }
        let _ = editor.add_history_entry(typed.trim_end());
        typed.clear();
    }
    if let Err(error) = editor.save_history(history) {
        eprintln!("the history cannot be written to `{}`: {error}", history.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// What to do with what is typed so far.
#[derive(Debug, PartialEq)]
enum Next {
    /// Wait for more lines.
    More,
    /// Run these statements.
    Run(Vec<String>),
    Help,
    Quit,
    Unknown(String),
}

fn next(typed: &str) -> Next {
    let text = typed.trim();
    if let Some(command) = text.strip_prefix('\\') {
        return short_command(command);
    }
    match split::is_complete(typed) {
        true => Next::Run(split::statements(typed).into_iter().map(str::to_string).collect()),
        false => Next::More,
    }
}

fn short_command(command: &str) -> Next {
    let (name, argument) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    let argument = argument.trim().trim_end_matches(';');
    let run = |sql: String| Next::Run(vec![sql]);
    match (name, argument) {
        ("q", "") => Next::Quit,
        ("?", _) => Next::Help,
        ("d" | "dt", "") => run("SHOW TABLES".into()),
        ("d", table) => run(format!("DESCRIBE {table}")),
        ("dn", "") => run("SHOW SCHEMAS".into()),
        ("dm", "") => run("SHOW MODELS".into()),
        _ => Next::Unknown(format!("\\{command}")),
    }
}

/// Runs statements up to the first that fails or is stopped.
async fn run_all(client: &Client, format: Format, statements: Vec<String>) {
    for sql in statements {
        let begun = Instant::now();
        let ended = tokio::select! {
            ended = run_one(client, format, &sql) => ended,
            // Dropping the statement's future cancels it on the server.
            _ = tokio::signal::ctrl_c() => {
                eprintln!("stopped");
                return;
            }
        };
        match ended {
            Ok(rows) => {
                eprintln!("{rows} row{}, {:.3} s", if rows == 1 { "" } else { "s" }, begun.elapsed().as_secs_f64())
            }
            Err(error) => {
                eprintln!("error: {error}");
                return;
            }
        }
    }
}

async fn run_one(client: &Client, format: Format, sql: &str) -> Result<u64, Failure> {
    let rows = client.query(sql).await?;
    Output::new(format, std::io::stdout()).rows(rows).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_run_once_they_are_ended() {
        assert_eq!(next("SELECT 1\n"), Next::More);
        assert_eq!(next("SELECT ';\n"), Next::More);
        assert_eq!(next("SELECT 1\n;\n"), Next::Run(vec!["SELECT 1".into()]));
        assert_eq!(next("SELECT 1; SELECT 2;\n"), Next::Run(vec!["SELECT 1".into(), "SELECT 2".into()]));
        assert_eq!(next("\n"), Next::Run(vec![]));
    }

    #[test]
    fn short_commands_are_statements() {
        assert_eq!(next("\\q\n"), Next::Quit);
        assert_eq!(next("\\?\n"), Next::Help);
        assert_eq!(next("\\dt\n"), Next::Run(vec!["SHOW TABLES".into()]));
        assert_eq!(next("\\d main.t;\n"), Next::Run(vec!["DESCRIBE main.t".into()]));
        assert_eq!(next("\\dx\n"), Next::Unknown("\\dx".into()));
    }
}
