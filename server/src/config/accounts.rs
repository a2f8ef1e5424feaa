//! The flags of `limn user` and `limn token`.
//!
//! A password is never a flag: flags are in the shell's history and in the list of processes.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::{DEFAULT_DATA_DIR, Hidden};

/// `limn user`.
#[derive(Debug, Args)]
pub struct UserFlags {
    /// Which server.
    #[command(flatten)]
    pub server: ServerChoice,
    /// What to do.
    #[command(subcommand)]
    pub action: UserAction,
}

/// What `limn user` does.
#[derive(Debug, Subcommand)]
pub enum UserAction {
    /// Add a user; asks for a password
    Add {
        /// The user's name
        name: String,
        /// How the password comes.
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Set a user's password; sessions that the old one opened end
    Password {
        /// The user's name
        name: String,
        /// Read the password from the first line of standard input instead of asking
        #[arg(long)]
        password_stdin: bool,
    },
    /// Remove a user with all tokens
    Remove {
        /// The user's name
        name: String,
    },
    /// List the users
    List,
}

/// How a password comes.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct PasswordSource {
    /// Read the password from the first line of standard input instead of asking
    #[arg(long)]
    pub password_stdin: bool,
    /// No password: the user has tokens or a certificate
    #[arg(long)]
    pub no_password: bool,
}

/// `limn token`.
#[derive(Debug, Args)]
pub struct TokenFlags {
    /// Which server.
    #[command(flatten)]
    pub server: ServerChoice,
    /// What to do.
    #[command(subcommand)]
    pub action: TokenAction,
}

/// What `limn token` does.
#[derive(Debug, Subcommand)]
pub enum TokenAction {
    /// Create a token and write it to standard output, this once
    Create {
        /// Whose token it is
        #[arg(long = "for", visible_alias = "user", value_name = "USER")]
        user: String,
        /// What it is for
        #[arg(long)]
        name: Option<String>,
        /// When it expires, such as 12h or 90d [default: 90d]
        #[arg(long, value_name = "TIME", value_parser = hours)]
        expires: Option<Duration>,
    },
    /// Revoke a token
    Revoke {
        /// The token's id, as `limn token list` has it
        id: String,
    },
    /// List the tokens
    List,
}

/// The server whose users are meant.
#[derive(Debug, Args)]
pub struct ServerChoice {
    /// The server, such as grpc+tls://ada@lake.example:50051 [default: the server of the data directory]
    #[arg(long, env = "LIMN_URL", hide_env_values = true, global = true)]
    pub url: Option<Hidden>,
    /// A bearer token for the server at the URL, instead of user and password
    #[arg(long, env = "LIMN_TOKEN", hide_env_values = true, global = true)]
    pub token: Option<Hidden>,
    /// Authorities to trust for TLS, as PEM [default: the system's]
    #[arg(long, env = "LIMN_CA_FILE", value_name = "FILE", global = true)]
    pub ca_file: Option<PathBuf>,
    /// The data directory whose server is asked, or that a server in process opens [default: ./limn-data]
    #[arg(long, env = "LIMN_DATA_DIR", value_name = "DIR", global = true)]
    pub data_dir: Option<PathBuf>,
}

impl ServerChoice {
    /// The data directory that `--data-dir` or the default names.
    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| DEFAULT_DATA_DIR.into())
    }
}

/// `12h` or `90d`.
fn hours(text: &str) -> Result<Duration, String> {
    let wrong = || format!("expected a number of hours or days such as `12h` or `90d`, found `{text}`");
    let (digits, unit) = match (text.strip_suffix('h'), text.strip_suffix('d')) {
        (Some(digits), _) => (digits, 1),
        (None, Some(digits)) => (digits, 24),
        (None, None) => return Err(wrong()),
    };
    let number: u64 = digits.parse().ok().filter(|number| *number > 0).ok_or_else(wrong)?;
    number.checked_mul(unit * 3600).map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(hours("12h"), Ok(Duration::from_secs(12 * 3600)));
        assert_eq!(hours("90d"), Ok(Duration::from_secs(90 * 24 * 3600)));
        for wrong in ["", "d", "0d", "-1d", "1.5h", "90", "90 d", "9m", "99999999999999999999d", "999999999999999999d"]
        {
            assert!(hours(wrong).is_err(), "{wrong}");
        }
    }
}
