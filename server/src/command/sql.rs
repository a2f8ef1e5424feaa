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
use crate::command::serve::Server;
use crate::config::{Format, ServeConfig, SqlFlags};
use crate::engine::DataDirectory;
use crate::{Error, Result, telemetry};

/// Runs the statements, or the shell where there are none and a person is typing.
pub async fn run(flags: SqlFlags) -> Result<ExitCode> {
    telemetry::start_logging("warn");
    let script = script(&flags)?;
    let (client, server) = connect(&flags).await?;
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

/// A client, and the server behind it where it was started here.
async fn connect(flags: &SqlFlags) -> Result<(Client, Option<Server>)> {
    if let Some(url) = &flags.url {
        return Ok((connect_to(url).await?, None));
    }
    let data_dir = flags.data_dir();
    if let Some(address) = live_server(&data_dir)? {
        return Ok((connect_to(&format!("grpc://{address}")).await?, None));
    }
    let server = Server::start(ServeConfig::in_process(data_dir)).await?;
    let client = connect_to(&format!("grpc://{}", server.flight_addr())).await?;
    Ok((client, Some(server)))
}

/// Prints one result as a table.
pub(super) async fn print_rows(rows: Rows) -> Result<()> {
    let printed = Output::new(Format::Table, std::io::stdout()).rows(rows).await;
    printed.map(|_| ()).map_err(|failure| Error::internal(failure.to_string()))
}

/// A client of the server at `url`.
pub(super) async fn connect_to(url: &str) -> Result<Client> {
    Client::connect(url).await.map_err(|error| {
        let error_here = Error::unavailable(error.message());
        match error.hint() {
            Some(hint) => error_here.with_hint(hint),
            None => error_here,
        }
    })
}

/// Where the live server of a data directory answers; an error where one holds it and answers nowhere (yet).
fn live_server(data_dir: &Path) -> Result<Option<String>> {
    let Some(holder) = DataDirectory::holder(data_dir) else { return Ok(None) };
    match holder.flight {
        Some(address) => Ok(Some(address)),
        None => Err(Error::unavailable(format!(
            "the data directory `{}` is held by process {}, which does not serve yet",
            data_dir.display(),
            holder.pid
        ))
        .with_hint("try again in a moment")),
    }
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
