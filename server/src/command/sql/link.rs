//! The connection of `limn sql`: made from flags, made anew when it is lost, and its session's settings brought back.
//!
//! Without a URL it joins the live server of the data directory, or starts one in process; it never opens the directory
//! behind a server's back.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use limn_client::{Client, ConnectOptions};

use crate::command::connection::{live_server, local, local_options, own};
use crate::command::password;
use crate::command::serve::Server;
use crate::config::SqlFlags;
use crate::{Error, Result};

/// A connection with what it takes to make it again.
pub struct Link {
    options: ConnectOptions,
    client: Client,
    /// The data directory whose server was joined with its own secret, which each of its servers makes anew.
    data_dir: Option<PathBuf>,
    /// The session's settings after the last statement that may have changed them.
    settings: BTreeMap<String, String>,
    /// Whether a setting differs from a new session's, so that a new session would be noticed only by its answers.
    changed: bool,
}

impl Link {
    /// Connects as the flags say; with the server behind it where it was started here.
    pub async fn open(flags: &SqlFlags) -> Result<(Self, Option<Server>)> {
        let (mut options, server) = match &flags.url {
            Some(url) => (ConnectOptions::parse(url.reveal()).map_err(own)?, None),
            None => local(&flags.data_dir()).await?,
        };
        secure(&mut options, flags)?;
        identify(&mut options, flags)?;
        let by_secret = flags.url.is_none() && flags.user.is_none() && flags.token.is_none();
        match Link::to(options, by_secret.then(|| flags.data_dir())).await {
            Ok(link) => Ok((link, server)),
            Err(error) => {
                if let Some(server) = server {
                    server.stop().await?;
                }
                Err(error)
            }
        }
    }

    async fn to(options: ConnectOptions, data_dir: Option<PathBuf>) -> Result<Self> {
        let client = Client::connect_with(&options).await.map_err(own)?;
        Ok(Link { options, client, data_dir, settings: BTreeMap::new(), changed: false })
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// How the connection was made.
    pub fn options(&self) -> &ConnectOptions {
        &self.options
    }

    /// The schema that a statement has changed the session to, if one has.
    pub fn schema(&self) -> Option<&str> {
        self.settings.get("schema").map(String::as_str)
    }

    /// Connects again, and sets the session's settings as they were.
    pub async fn again(&mut self) -> Result<()> {
        if let Some(data_dir) = &self.data_dir {
            let Some(address) = live_server(data_dir)? else {
                let text = format!("no server holds the data directory `{}`", data_dir.display());
                return Err(Error::unavailable(text).with_hint("start one with `limn serve`"));
            };
            self.options = local_options(&address, data_dir)?;
        }
        self.client = Client::connect_with(&self.options).await.map_err(own)?;
        self.restore().await
    }

    /// Connects to another server with the same certificates, but with no credentials that the URL does not have: a
    /// password is for the server that it was given for.
    pub async fn other(&mut self, url: &str) -> Result<()> {
        let mut options = ConnectOptions::parse(url).map_err(own)?;
        if options.tls {
            options.ca_pem = self.options.ca_pem.clone();
            options.client_certificate_pem = self.options.client_certificate_pem.clone();
            options.client_key_pem = self.options.client_key_pem.clone();
        }
        if let (Some(user), None) = (&options.user, &options.password) {
            options.password = Some(ask(user)?.into());
        }
        *self = Link::to(options, None).await?;
        Ok(())
    }

    /// Notes the session's settings, after a statement that may have changed them.
    pub async fn note_settings(&mut self) {
        if let Ok(settings) = self.client.options_of_session().await {
            self.changed = true;
            self.settings = settings;
        }
    }

    /// Whether the server had forgotten the session, as a restarted one has; its settings are then set again.
    ///
    /// Without this, a statement after `USE sales` could go to another schema without a word.
    pub async fn recover(&mut self) -> Result<bool> {
        if !self.changed {
            return Ok(false);
        }
        let found = self.client.options_of_session().await.map_err(own)?;
        if found == self.settings {
            return Ok(false);
        }
        self.restore().await?;
        Ok(true)
    }

    async fn restore(&mut self) -> Result<()> {
        if !self.changed {
            return Ok(());
        }
        for (name, value) in &self.settings {
            self.client.set_option(name, Some(value)).await.map_err(own)?;
        }
        Ok(())
    }
}

/// Certificates.
fn secure(options: &mut ConnectOptions, flags: &SqlFlags) -> Result<()> {
    let read = |file: &Option<PathBuf>| file.as_deref().map(read).transpose();
    options.ca_pem = read(&flags.ca_file)?;
    options.client_certificate_pem = read(&flags.cert)?;
    options.client_key_pem = read(&flags.key)?.map(Into::into);
    Ok(())
}

/// Credentials: what the flags say replaces what the URL says.
fn identify(options: &mut ConnectOptions, flags: &SqlFlags) -> Result<()> {
    if let Some(user) = &flags.user {
        options.user = Some(user.clone());
        options.token = None;
    }
    if let Some(token) = &flags.token {
        options.token = Some(token.reveal().into());
    }
    if let Some(file) = &flags.password_file {
        options.password = Some(read(file)?.lines().next().unwrap_or_default().into());
    } else if let (Some(_), None, Some(password)) = (&options.user, &options.password, SqlFlags::password()) {
        options.password = Some(password.reveal().into());
    }
    let (Some(user), None, None) = (&options.user, &options.password, &options.token) else { return Ok(()) };
    if !std::io::stdin().is_terminal() {
        return Err(
            Error::input("expected a password for the user").with_hint("give --password-file, or set LIMN_PASSWORD")
        );
    }
    options.password = Some(ask(user)?.into());
    Ok(())
}

fn ask(user: &str) -> Result<String> {
    tokio::task::block_in_place(|| password::ask(&format!("password of {user}: ")))
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file)
        .map_err(|error| Error::from(error).context(format!("cannot read `{}`", file.display())))
}
