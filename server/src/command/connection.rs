//! A client of the server that the flags mean: by its URL, the live one of a data directory, or one in process.
//!
//! Whoever can read a data directory owns the data anyway, so its own server asks for no password: the directory has a
//! secret for that. It knows nothing of statements.

use std::path::Path;

use limn_client::{Client, ConnectOptions};

use super::password;
use crate::command::serve::Server;
use crate::config::ServeConfig;
use crate::engine::{DataDirectory, read_local_secret};
use crate::{Class, Error, Result};

/// A client, and the server behind it where it was started here and has to be stopped.
pub async fn connect(url: Option<&str>, data_dir: &Path) -> Result<(Client, Option<Server>)> {
    if let Some(url) = url {
        let mut options = ConnectOptions::parse(url).map_err(own)?;
        if let (Some(user), None) = (&options.user, &options.password) {
            options = options.clone().with_password(password::ask(&format!("password of {user}: "))?);
        }
        return Ok((connect_with(&options).await?, None));
    }
    if let Some(address) = live_server(data_dir)? {
        return Ok((connect_local(&address, data_dir).await?, None));
    }
    let server = Server::start(ServeConfig::in_process(data_dir.to_path_buf())).await?;
    let client = connect_local(&server.local_addr().to_string(), data_dir).await?;
    Ok((client, Some(server)))
}

/// A client of the server of a data directory, which answers this machine's tools at `address`.
pub async fn connect_local(address: &str, data_dir: &Path) -> Result<Client> {
    let mut options = ConnectOptions::parse(&format!("grpc://{address}")).map_err(own)?;
    if let Some(secret) = read_local_secret(data_dir) {
        options = options.with_token(secret);
    }
    connect_with(&options).await
}

async fn connect_with(options: &ConnectOptions) -> Result<Client> {
    Client::connect_with(options).await.map_err(own)
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
