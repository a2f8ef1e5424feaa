//! The interactive loop: reads input until it is complete, and has it run.
//!
//! It turns lines into input; [`super::runner`] runs it.

use std::process::ExitCode;

use super::editor::{Editor, Typed};
use super::runner::{Ended, Runner};
use crate::Result;
use crate::config::SqlFlags;

/// Reads and runs until the end of the input.
pub async fn run(runner: &mut Runner, flags: &SqlFlags) -> Result<ExitCode> {
    let mut editor = Editor::new(&flags.history(), runner.names.clone(), runner.terminal.color)?;
    runner.names.refresh(runner.link.client());
    greet(runner).await;
    loop {
        let prompt = match runner.link.schema() {
            None | Some("main") => "limn> ".to_string(),
            Some(schema) => format!("limn:{schema}> "),
        };
        let input = match editor.read(&prompt)? {
            Typed::Input(input) => input,
            Typed::Nothing => continue,
            Typed::End => break,
        };
        editor.remember(&input);
        runner.dimensions = editor.dimensions();
        if runner.run(&input).await == Ended::Quit {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn greet(runner: &Runner) {
    let server = match runner.link.client().server_info().await {
        Ok(info) => format!("{} {}", info.name, info.version),
        Err(_says_nothing) => "a server".into(),
    };
    eprintln!("limn {}, connected to {server} at {}", env!("CARGO_PKG_VERSION"), runner.link.options());
    if runner.link.options().user.is_some() && !runner.link.options().tls && !runner.link.options().is_local() {
        eprintln!("warning: password and data travel unencrypted; use grpc+tls:// where the server has TLS");
    }
    eprintln!("type \\? for help, \\q to quit");
}
