//! A client of the server that the flags mean: by its URL, the live one of a data directory, or one in process.
//!
//! Whoever can read a data directory owns the data anyway, so its own server asks for no password: the directory has a
//! secret for that. It knows nothing of statements.

use std::path::Path;

use limn_client::{Client, ConnectOptions};

use super::password;
use crate::command::serve::Server;
use crate::config::{ServeConfig, ServerChoice, SqlFlags};
use crate::engine::{DataDirectory, read_local_secret};
use crate::{Class, Error, Result};

/// A client of the server that is meant, and the server where it was started here and has to be stopped.
pub async fn connect(choice: &ServerChoice) -> Result<(Client, Option<Server>)> {
    let (options, server) = match &choice.url {
        Some(url) => (remote(url.reveal(), choice)?, None),
        None => local(&choice.data_dir()).await?,
    };
    match Client::connect_with(&options).await {
        Ok(client) => Ok((client, server)),
        Err(error) => {
            if let Some(server) = server {
                server.stop().await?;
            }
            Err(own(error))
        }
    }
}

fn remote(url: &str, choice: &ServerChoice) -> Result<ConnectOptions> {
    let mut options = ConnectOptions::parse(url).map_err(own)?;
    if let Some(token) = &choice.token {
        options = options.with_token(token.reveal());
    }
    if let Some(file) = &choice.ca_file {
        let read = std::fs::read_to_string(file);
        options.ca_pem = Some(read.map_err(|error| Error::from(error).context(format!("`{}`", file.display())))?);
    }
    if let (Some(user), None) = (&options.user, &options.password) {
        let password = match SqlFlags::password() {
            Some(password) => password.reveal().to_string(),
            None => password::ask(&format!("password of {user}: "))?,
        };
        options = options.with_password(password);
    }
    Ok(options)
}

/// How to reach the server of a data directory, which is started in process where there is none.
pub async fn local(data_dir: &Path) -> Result<(ConnectOptions, Option<Server>)> {
    if let Some(address) = live_server(data_dir)? {
        return Ok((local_options(&address, data_dir)?, None));
    }
    let server = Server::start(ServeConfig::in_process(data_dir.to_path_buf())).await?;
    Ok((local_options(&server.local_addr().to_string(), data_dir)?, Some(server)))
}

/// How to reach the server of a data directory that answers this machine's tools at `address`.
pub fn local_options(address: &str, data_dir: &Path) -> Result<ConnectOptions> {
    let options = ConnectOptions::parse(&format!("grpc://{address}")).map_err(own)?;
    Ok(match read_local_secret(data_dir) {
        Some(secret) => options.with_token(secret),
        None => options,
    })
}

/// Where the live server of a data directory answers this machine's tools; an error where one holds it and answers
/// nowhere (yet).
pub fn live_server(data_dir: &Path) -> Result<Option<String>> {
    let Some(holder) = DataDirectory::holder(data_dir) else { return Ok(None) };
    match holder.local.or(holder.flight) {
        Some(address) => Ok(Some(address)),
        None => Err(Error::unavailable(format!(
            "the data directory `{}` is held by process {}, which does not serve yet",
            data_dir.display(),
            holder.pid
        ))
        .with_hint("try again in a moment")),
    }
}

/// An error of the client in this crate's words.
pub fn own(error: limn_client::Error) -> Error {
    use limn_client::Class as Theirs;
    let class = match error.class() {
        Theirs::Input => Class::Input,
        Theirs::NotFound => Class::NotFound,
        Theirs::AlreadyExists => Class::AlreadyExists,
        Theirs::Unauthenticated => Class::Unauthenticated,
        Theirs::Denied => Class::Denied,
        Theirs::Unsupported => Class::Unsupported,
        Theirs::Exhausted => Class::Exhausted,
        Theirs::Cancelled => Class::Cancelled,
        Theirs::DeadlineExceeded => Class::DeadlineExceeded,
        Theirs::Conflict => Class::Conflict,
        Theirs::Unavailable => Class::Unavailable,
        Theirs::Internal => Class::Internal,
    };
    let own = Error::new(class, error.message());
    match error.hint() {
        Some(hint) => own.with_hint(hint),
        None => own,
    }
}
