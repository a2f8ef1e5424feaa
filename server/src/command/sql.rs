//! `limn sql`: statements from the command line, a file or standard input, or a shell; always over Flight SQL.
//!
//! Without a URL it joins the live server of the data directory, or starts one in process; it never opens the directory
//! behind a server's back. Results go to standard output, talk and errors to standard error.
//!
//! # Layout
//! - [`render`]: results as a table, CSV, JSON or Arrow
//! - [`shell`]: the interactive loop

mod render;
mod shell;

use std::io::{IsTerminal, Read};
use std::path::Path;
use std::process::ExitCode;

use limn_client::{Client, Rows, split};

use self::render::Output;
use crate::command::connection::connect;
use crate::config::{Format, SqlFlags};
use crate::{Error, Result, telemetry};

/// Runs the statements, or the shell where there are none and a person is typing.
pub async fn run(flags: SqlFlags) -> Result<ExitCode> {
    telemetry::start_logging("warn");
    let script = script(&flags)?;
    let (client, server) = connect(flags.url.as_deref(), &flags.data_dir()).await?;
    let code = match script {
        Some(script) => run_script(&client, &script, flags.format).await,
        None => shell::run(&client, flags.format, &flags.history()).await?,
    };
    if let Some(server) = server {
        drop(client);
        server.stop().await?;
    }
    Ok(code)
}

/// The text to run; `None` for the shell.
fn script(flags: &SqlFlags) -> Result<Option<String>> {
    if let Some(sql) = &flags.command {
        return Ok(Some(sql.clone()));
    }
    match flags.file.as_deref() {
        Some(file) if file != Path::new("-") => std::fs::read_to_string(file)
            .map(Some)
            .map_err(|error| Error::from(error).context(format!("cannot read `{}`", file.display()))),
        None if std::io::stdin().is_terminal() => Ok(None),
        _ => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| Error::from(error).context("cannot read standard input"))?;
            Ok(Some(text))
        }
    }
}

/// Prints one result as a table.
pub(super) async fn print_rows(rows: Rows) -> Result<()> {
    let printed = Output::new(Format::Table, std::io::stdout()).rows(rows).await;
    printed.map(|_| ()).map_err(|failure| Error::internal(failure.to_string()))
}

/// Runs statements up to the first that fails.
async fn run_script(client: &Client, script: &str, format: Format) -> ExitCode {
    let mut output = Output::new(format, std::io::stdout().lock());
    for sql in split::statements(script) {
        let done = match client.query(sql).await {
            Ok(rows) => output.rows(rows).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = done {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
