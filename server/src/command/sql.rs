//! `limn sql`: statements from the command line, a file or standard input, or a shell; always over Flight SQL.
//!
//! Results go to standard output, talk and errors to standard error.
//!
//! # Layout
//! - [`link`]: the connection; [`runner`]: runs statements over it; [`obey`]: runs commands
//! - [`script`], [`commands`]: what is typed, into statements and commands
//! - [`render`]: results in their formats, by [`table`], [`vertical`] and [`cell`]; [`complaint`]: errors
//! - [`shell`]: the interactive loop; [`screen`]: progress and pager
//! - [`editor`]: the line editor, with [`complete`], [`highlight`] and [`names`], by [`lex`] and [`words`]

mod cell;
mod commands;
mod complaint;
mod complete;
mod editor;
mod highlight;
mod lex;
mod link;
mod names;
mod obey;
mod render;
mod runner;
mod screen;
mod script;
mod shell;
mod table;
mod vertical;
mod words;

use std::io::{IsTerminal, Read};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use limn_client::Rows;

use self::commands::Expanded;
use self::link::Link;
use self::render::Output;
use self::runner::{Ended, Runner, Settings, Target};
use self::table::Style;
use crate::config::{Format, SqlFlags, Terminal};
use crate::limits::SHELL_CLOSE_TIMEOUT;
use crate::{Error, Result, telemetry};

/// Runs the statements, or the shell where there are none and a person is typing.
pub async fn run(flags: SqlFlags) -> Result<ExitCode> {
    telemetry::start_logging("warn");
    let scripts = scripts(&flags)?;
    let (link, server) = Link::open(&flags).await?;
    let interactive = scripts.is_none();
    let is_terminal = std::io::stdout().is_terminal();
    let mut runner = Runner {
        link,
        settings: Settings { format: flags.format, expanded: Expanded::Auto, timing: interactive, pager: is_terminal },
        target: Target::Standard,
        last: None,
        took: None,
        interactive,
        terminal: Terminal::from_environment(),
        dimensions: if is_terminal { editor::terminal_dimensions() } else { None },
        names: Arc::default(),
        depth: 0,
    };
    let code = match scripts {
        None => shell::run(&mut runner, &flags).await,
        Some(scripts) => Ok(run_scripts(&mut runner, &scripts).await),
    };
    // The server forgets idle sessions by itself, so this is a courtesy and waits for nobody.
    let closing = runner.link.client().clone().close();
    let _ = tokio::time::timeout(SHELL_CLOSE_TIMEOUT, closing).await;
    drop(runner);
    if let Some(server) = server {
        server.stop().await?;
    }
    code
}

async fn run_scripts(runner: &mut Runner, scripts: &[String]) -> ExitCode {
    for script in scripts {
        match runner.run(script).await {
            Ended::Done => {}
            Ended::Quit => break,
            Ended::Failed => return ExitCode::FAILURE,
        }
    }
    ExitCode::SUCCESS
}

/// The texts to run; `None` for the shell.
fn scripts(flags: &SqlFlags) -> Result<Option<Vec<String>>> {
    if !flags.command.is_empty() {
        return Ok(Some(flags.command.clone()));
    }
    match flags.file.as_deref() {
        Some(file) if file != Path::new("-") => std::fs::read_to_string(file)
            .map(|text| Some(vec![text]))
            .map_err(|error| Error::from(error).context(format!("cannot read `{}`", file.display()))),
        None if std::io::stdin().is_terminal() => Ok(None),
        _ => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| Error::from(error).context("cannot read standard input"))?;
            Ok(Some(vec![text]))
        }
    }
}

/// Prints one result as a table that suits where it goes.
pub(super) async fn print_rows(rows: Rows) -> Result<()> {
    let dimensions = if std::io::stdout().is_terminal() { editor::terminal_dimensions() } else { None };
    let style = Style::of_terminal(dimensions, Terminal::from_environment().color);
    let mut output = Output::new(Format::Table, std::io::stdout()).styled(style, style.columns.is_some());
    output.rows(rows).await.map(|_written| ()).map_err(|failure| Error::internal(failure.to_string()))
}
