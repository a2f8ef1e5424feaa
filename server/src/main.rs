//! The binary `limn`: parses the command line, starts logging, dispatches.
//!
//! No logic lives here; see `limn_server::command`.

use std::process::ExitCode;

use clap::Parser;
use limn_server::config::{Cli, Command};
use limn_server::limits::THREAD_STACK_BYTES;
use limn_server::{Error, Result, allocator, command, telemetry};

fn main() -> ExitCode {
    allocator::set_up();
    // Two TLS providers are linked in, and rustls panics at its first use unless one is the process's default.
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
    match start(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            command::exit_code(error.class())
        }
    }
}

fn start(cli: Cli) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(THREAD_STACK_BYTES)
        .build()
        .map_err(|error| Error::from(error).context("cannot start the runtime"))?;
    let code = runtime.block_on(dispatch(cli.command));
    // Work that was told to stop and has not must not keep the process.
    runtime.shutdown_background();
    code
}

async fn dispatch(command: Command) -> Result<ExitCode> {
    match command {
        Command::Serve(flags) => {
            let config = flags.server.resolve()?;
            telemetry::start_logging(&config.log);
            command::serve::run(config).await.map(|()| ExitCode::SUCCESS)
        }
        Command::Generate(flags) => command::generate::run(flags).map(|()| ExitCode::SUCCESS),
        Command::Demo(flags) => command::demo::run(flags).await.map(|()| ExitCode::SUCCESS),
        Command::User(flags) => command::user::run(flags).await.map(|()| ExitCode::SUCCESS),
        Command::Token(flags) => command::token::run(flags).await.map(|()| ExitCode::SUCCESS),
        Command::Sql(flags) => command::sql::run(flags).await,
    }
}
