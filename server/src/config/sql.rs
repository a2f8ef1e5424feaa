//! The flags of `limn sql`, and what it takes from the environment besides.
//!
//! Its own part of the command line, because it is about a client and not a server. It opens no file and no connection.

use std::fmt;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::DEFAULT_DATA_DIR;

/// The pager where `PAGER` names none; a machine without it gets everything at once, and loses nothing.
const DEFAULT_PAGER: &str = "if command -v less > /dev/null; then less; else cat; fi";

/// `limn sql`.
#[derive(Debug, Args)]
pub struct SqlFlags {
    /// The server, such as grpc://localhost:50051 [default: the server of the data directory, or one in process]
    #[arg(long, env = "LIMN_URL", hide_env_values = true)]
    pub url: Option<Hidden>,
    /// The data directory whose server is joined, or that a server in process opens [default: ./limn-data]
    #[arg(long, env = "LIMN_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Run these statements and stop; may be given several times
    #[arg(short = 'c', value_name = "SQL", conflicts_with = "file")]
    pub command: Vec<String>,
    /// Run the statements of this file and stop; `-` is standard input
    #[arg(short = 'f', value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Who connects; the password comes from --password-file, LIMN_PASSWORD or a prompt
    #[arg(long, short = 'U', env = "LIMN_USER", value_name = "NAME")]
    pub user: Option<String>,
    /// A file whose first line is the password
    #[arg(long, env = "LIMN_PASSWORD_FILE", value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// A bearer token, instead of user and password
    #[arg(long, env = "LIMN_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub token: Option<Hidden>,
    /// The authorities to trust for TLS, as PEM [default: the system's]
    #[arg(long, env = "LIMN_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// The client's certificate for mutual TLS, as PEM
    #[arg(long, env = "LIMN_CERT_FILE", value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// The key of the client's certificate, as PEM
    #[arg(long, env = "LIMN_KEY_FILE", value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// Where the shell keeps what was typed [default: ~/.limn_history]
    #[arg(long, env = "LIMN_HISTORY", value_name = "FILE")]
    pub history: Option<PathBuf>,
    /// How results are written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// A text that may be or contain a secret; it is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(String);

impl Hidden {
    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Hidden {
    fn from(text: &str) -> Self {
        Hidden(text.to_string())
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How `limn sql` writes results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table for people
    Table,
    /// A line for each value, for people with narrow terminals or wide rows
    Vertical,
    /// CSV with a header line
    Csv,
    /// One JSON object a line
    Json,
    /// An Arrow IPC stream for each statement that has rows
    Arrow,
}

/// What the shell takes from the environment of the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terminal {
    /// What a shell runs for long results to go through.
    pub pager: String,
    /// The program that `\e` opens, with its arguments.
    pub editor: String,
    /// Whether colours are wanted.
    pub color: bool,
}

impl SqlFlags {
    /// The data directory that `--data-dir` or the default names.
    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| DEFAULT_DATA_DIR.into())
    }

    /// The file of the shell's history.
    pub fn history(&self) -> PathBuf {
        let home = || std::env::home_dir().unwrap_or_default();
        self.history.clone().unwrap_or_else(|| home().join(".limn_history"))
    }

    /// The password of `LIMN_PASSWORD`. It is no flag, because flags are seen by every user of the machine.
    pub fn password() -> Option<Hidden> {
        variable("LIMN_PASSWORD").map(Hidden)
    }
}

impl Format {
    /// The format of a name, as the flag takes it.
    pub fn named(name: &str) -> Option<Self> {
        <Self as ValueEnum>::from_str(name, true).ok()
    }

    /// Its name, as the flag takes it.
    pub fn name(self) -> &'static str {
        match self {
            Format::Table => "table",
            Format::Vertical => "vertical",
            Format::Csv => "csv",
            Format::Json => "json",
            Format::Arrow => "arrow",
        }
    }

    /// The names of all formats.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::value_variants().iter().map(|format| format.name())
    }
}

impl Terminal {
    /// Reads `PAGER`, `LESS`, `VISUAL`, `EDITOR`, `NO_COLOR` (<https://no-color.org>) and `TERM`.
    pub fn from_environment() -> Self {
        // Where nothing else is set, less cuts long lines, shows colours, and leaves at once where all fits.
        let pager = variable("PAGER").unwrap_or_else(|| DEFAULT_PAGER.into());
        Terminal {
            pager: format!("LESS=\"${{LESS-SFRX}}\"; export LESS; {pager}"),
            editor: variable("VISUAL").or_else(|| variable("EDITOR")).unwrap_or_else(|| "vi".into()),
            color: variable("NO_COLOR").is_none() && variable("TERM").is_none_or(|term| term != "dumb"),
        }
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Cli, Command};
    use super::*;

    fn flags(args: &[&str]) -> Result<SqlFlags, clap::Error> {
        match Cli::try_parse_from(["limn", "sql"].iter().chain(args))?.command {
            Command::Sql(flags) => Ok(flags),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn sql_takes_one_source_of_statements() {
        assert_eq!(flags(&["-c", "SELECT 1", "-c", "SELECT 2"]).unwrap().command, ["SELECT 1", "SELECT 2"]);
        assert!(flags(&["-c", "SELECT 1", "-f", "x.sql"]).is_err());
        assert!(flags(&["--format", "xml"]).is_err());
        assert!(flags(&["--cert", "x.pem"]).is_err(), "a certificate is of no use without its key");
    }

    #[test]
    fn formats_have_the_names_that_the_flag_takes() {
        for format in Format::value_variants() {
            assert_eq!(Format::named(format.name()), Some(*format));
            assert_eq!(format.to_possible_value().unwrap().get_name(), format.name());
        }
        assert_eq!(Format::named("CSV"), Some(Format::Csv));
        assert_eq!(Format::named("xml"), None);
    }

    #[test]
    fn secrets_are_not_printed() {
        let flags = flags(&["--url", "grpc://ada:hunter2@h:1", "--token", "hunter2"]).unwrap();
        assert!(!format!("{flags:?}").contains("hunter2"));
    }
}
