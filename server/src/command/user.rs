//! `limn user`: who may use a server.
//!
//! Each action is a statement that the server runs; a password travels as a bound parameter, so that no statement's text
//! has it. It holds no rules about users.

use limn_client::{Client, params};

use super::connection::{connect, own};
use super::password;
use super::sql::print_rows;
use crate::config::{UserAction, UserFlags};
use crate::{Result, telemetry};

/// Runs one action.
pub async fn run(flags: UserFlags) -> Result<()> {
    telemetry::start_logging("warn");
    // Asked before anything is started, so that whoever thinks better of it has changed nothing.
    let password = match &flags.action {
        UserAction::Add { password, .. } if password.no_password => None,
        UserAction::Add { name, password } => Some(new_password(name, password.password_stdin)?),
        UserAction::Password { name, password_stdin } => Some(new_password(name, *password_stdin)?),
        UserAction::Remove { .. } | UserAction::List => None,
    };
    let (client, server) = connect(&flags.server).await?;
    let done = act(&client, flags.action, password).await;
    drop(client);
    if let Some(server) = server {
        server.stop().await?;
    }
    done
}

fn new_password(user: &str, from_stdin: bool) -> Result<String> {
    match from_stdin {
        true => password::from_stdin(),
        false => password::ask_new(user),
    }
}

async fn act(client: &Client, action: UserAction, password: Option<String>) -> Result<()> {
    match action {
        UserAction::Add { name, .. } => {
            change(client, &format!("CREATE USER {}", quoted(&name)), password).await?;
            eprintln!("added user `{name}`");
        }
        UserAction::Password { name, .. } => {
            change(client, &format!("ALTER USER {}", quoted(&name)), password).await?;
            eprintln!("user `{name}` has a new password");
        }
        UserAction::Remove { name } => {
            change(client, &format!("DROP USER {}", quoted(&name)), None).await?;
            eprintln!("removed user `{name}`");
        }
        UserAction::List => print_rows(client.query("SHOW USERS").await.map_err(own)?).await?,
    }
    Ok(())
}

async fn change(client: &Client, statement: &str, password: Option<String>) -> Result<()> {
    match password {
        None => client.execute(statement).await.map_err(own)?,
        Some(password) => {
            let prepared = client.prepare(&format!("{statement} PASSWORD $1")).await.map_err(own)?;
            prepared.execute(params![password]).await.map_err(own)?
        }
    };
    Ok(())
}

/// A name as an identifier that is not folded.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
