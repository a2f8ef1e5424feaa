//! The command line, the environment and `limn.toml`, as typed settings.
//!
//! Flags win over `LIMN_*` variables, those over the file, the file over the defaults. Parsing is pure ([`Cli`],
//! [`FileSettings::parse`], [`ServeConfig::merge`]); only [`ServerFlags::resolve`] reads the file and resolves names.
//! Commands see resolved settings and never the environment.

mod accounts;
mod sql;
mod tls;

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

pub use self::accounts::{PasswordSource, ServerChoice, TokenAction, TokenFlags, UserAction, UserFlags};
pub use self::sql::{Format, Hidden, SqlFlags, Terminal};
pub use self::tls::{TlsFiles, TlsFlags};
use crate::limits::{Limits, MEMORY_POOL_BYTES_DEFAULT, byte_count};
use crate::{Error, Result, error};

/// The file that is read where `--config` names none, if it exists in the working directory.
const DEFAULT_FILE: &str = "limn.toml";
/// The data directory where nothing says otherwise.
const DEFAULT_DATA_DIR: &str = "./limn-data";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "limn", version, about = "A SQL lakehouse that learns: Delta tables, models and Arrow Flight SQL")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve a lakehouse over Arrow Flight SQL
    Serve(ServeFlags),
    /// Walk through load, time travel, training and prediction on example data, and go on serving
    Demo(DemoFlags),
    /// Run SQL: a shell, or statements from the command line, a file or standard input
    Sql(SqlFlags),
    /// Add, list and remove users
    User(UserFlags),
    /// Create, list and revoke tokens
    Token(TokenFlags),
    /// Write example data, the same bytes for the same seed
    Generate(GenerateFlags),
}

/// `limn generate`.
#[derive(Debug, Args)]
pub struct GenerateFlags {
    /// What to generate.
    #[command(subcommand)]
    pub what: Generate,
}

/// What `limn generate` knows to make.
#[derive(Debug, Subcommand)]
pub enum Generate {
    /// Half-hourly electricity demand with weather, seasons and holidays, as CSV
    Energy(EnergyFlags),
}

/// `limn generate energy`.
#[derive(Debug, Args)]
pub struct EnergyFlags {
    /// Sites; with more than one the first column is `site`
    #[arg(long, default_value_t = 1)]
    pub sites: u32,
    /// Days for each site
    #[arg(long, default_value_t = 3 * 365)]
    pub days: u32,
    /// Another seed gives other weather and other noise
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// `limn serve`.
#[derive(Debug, Args)]
pub struct ServeFlags {
    /// What every server has.
    #[command(flatten)]
    pub server: ServerFlags,
}

/// `limn demo`.
#[derive(Debug, Args)]
pub struct DemoFlags {
    /// What every server has.
    #[command(flatten)]
    pub server: ServerFlags,
    /// Stop after the walk-through instead of serving on
    #[arg(long)]
    pub exit: bool,
}

/// The flags of everything that starts a server.
#[derive(Debug, Default, Clone, Args)]
pub struct ServerFlags {
    /// The data directory; created where it does not exist [default: ./limn-data]
    #[arg(long, env = "LIMN_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Share the data directory with other servers; decided when it is made [default: as it was made, else false]
    #[arg(long, env = "LIMN_SHARED", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub shared: Option<bool>,
    /// Where to serve Flight SQL; port 0 picks a free port [default: 127.0.0.1:50051]
    #[arg(long, env = "LIMN_FLIGHT_ADDR", value_name = "HOST:PORT")]
    pub flight_addr: Option<String>,
    /// Where to serve health and metrics; port 0 picks a free port [default: 127.0.0.1:8080]
    #[arg(long, env = "LIMN_HTTP_ADDR", value_name = "HOST:PORT")]
    pub http_addr: Option<String>,
    /// A file with settings [default: ./limn.toml, if it exists]
    #[arg(long, env = "LIMN_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Write the addresses into this file as JSON once both listeners accept
    #[arg(long, env = "LIMN_READY_FILE", value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
    /// The memory of all running statements together, such as 512MiB or 8GB [default: 4GiB]
    #[arg(long, env = "LIMN_MEMORY", value_name = "BYTES")]
    pub memory: Option<String>,
    /// A limit of the server, such as `max_concurrent_queries=8`; several are separated by commas
    #[arg(long = "limit", env = "LIMN_LIMITS", value_name = "NAME=VALUE", value_delimiter = ',')]
    pub limits: Vec<String>,
    /// The certificates.
    #[command(flatten)]
    pub tls: TlsFlags,
    /// Serve other machines without users or without TLS
    #[arg(long, env = "LIMN_INSECURE", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub insecure: Option<bool>,
    /// What to log, such as `info` or `limn_server=debug` [default: warn]
    #[arg(long, env = "LIMN_LOG", value_name = "FILTER")]
    pub log: Option<String>,
}

/// The settings of a server, resolved.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// The data directory.
    pub data_dir: PathBuf,
    /// Whether other servers share it; `None` where that is as it was made.
    pub shared: Option<bool>,
    /// Where Flight SQL listens.
    pub flight_addr: SocketAddr,
    /// Where HTTP listens.
    pub http_addr: SocketAddr,
    /// The file that gets the addresses once both accept.
    pub ready_file: Option<PathBuf>,
    /// The memory pool, in bytes.
    pub memory_bytes: usize,
    /// What else bounds the server.
    pub limits: Limits,
    /// The certificates.
    pub tls: Option<TlsFiles>,
    /// Serve other machines without users or without TLS.
    pub insecure: bool,
    /// What to log.
    pub log: String,
}

/// What a `limn.toml` says; each key is a flag's name with `_` for `-`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct FileSettings {
    data_dir: Option<PathBuf>,
    shared: Option<bool>,
    flight_addr: Option<String>,
    http_addr: Option<String>,
    ready_file: Option<PathBuf>,
    memory: Option<String>,
    tls: TlsFlags,
    insecure: Option<bool>,
    log: Option<String>,
    limits: Vec<(String, String)>,
}

/// The keys of a `limn.toml`.
const KEYS: [&str; 10] =
    ["data_dir", "shared", "flight_addr", "http_addr", "ready_file", "memory", "tls", "insecure", "log", "limits"];

impl ServerFlags {
    /// Reads the file, if there is one, and resolves everything.
    pub fn resolve(self) -> Result<ServeConfig> {
        let file = match (&self.config, Path::new(DEFAULT_FILE).exists()) {
            (Some(named), _) => FileSettings::read(named)?,
            (None, true) => FileSettings::read(Path::new(DEFAULT_FILE))?,
            (None, false) => FileSettings::default(),
        };
        ServeConfig::merge(self, file)
    }
}

impl FileSettings {
    fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::from(error).context(format!("cannot read the configuration file `{shown}`")))?;
        Self::parse(&text).map_err(|error| error.context(format!("configuration file `{shown}`")))
    }

    /// Reads the text of a `limn.toml`; an unknown key is an error that offers the nearest.
    pub fn parse(text: &str) -> Result<Self> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| Error::input(error.message()))?;
        let mut settings = FileSettings::default();
        for (key, value) in table {
            match key.replace('-', "_").as_str() {
                "data_dir" => settings.data_dir = Some(string(&key, value)?.into()),
                "shared" => settings.shared = Some(boolean(&key, value)?),
                "flight_addr" => settings.flight_addr = Some(string(&key, value)?),
                "http_addr" => settings.http_addr = Some(string(&key, value)?),
                "ready_file" => settings.ready_file = Some(string(&key, value)?.into()),
                "memory" => settings.memory = Some(string_or_number(&key, value)?),
                "tls" => settings.tls = TlsFlags::parse(&key, value)?,
                "insecure" => settings.insecure = Some(boolean(&key, value)?),
                "log" => settings.log = Some(string(&key, value)?),
                "limits" => settings.limits = limits(&key, value)?,
                _ => return Err(unknown_key(&key)),
            }
        }
        Ok(settings)
    }
}

fn unknown_key(key: &str) -> Error {
    let error = match error::nearest(key, KEYS) {
        Some(nearest) => Error::input(format!("unknown key `{key}`, the nearest is `{nearest}`")),
        None => Error::input(format!("unknown key `{key}`")),
    };
    error.with_hint(format!("the keys are {}", KEYS.map(|key| format!("`{key}`")).join(", ")))
}

fn mistyped(key: &str, expected: &str, found: &toml::Value) -> Error {
    Error::input(format!("key `{key}`: expected {expected}, found {} `{found}`", found.type_str()))
}

fn string(key: &str, value: toml::Value) -> Result<String> {
    match value {
        toml::Value::String(text) => Ok(text),
        other => Err(mistyped(key, "a string", &other)),
    }
}

fn string_or_number(key: &str, value: toml::Value) -> Result<String> {
    match value {
        toml::Value::Integer(number) => Ok(number.to_string()),
        other => string(key, other),
    }
}

/// The table `[limits]`: names and values, checked when they are set.
fn limits(key: &str, value: toml::Value) -> Result<Vec<(String, String)>> {
    match value {
        toml::Value::Table(table) => {
            table.into_iter().map(|(name, value)| Ok((name.clone(), string_or_number(&name, value)?))).collect()
        }
        other => Err(mistyped(key, "a table", &other)),
    }
}

/// The limits of the file, then those of the command line.
fn resolved_limits(file: Vec<(String, String)>, flags: &[String]) -> Result<Limits> {
    let mut limits = Limits::default();
    for (name, value) in file {
        limits.set(&name.replace('-', "_"), &value)?;
    }
    for flag in flags {
        let (name, value) = flag.split_once('=').ok_or_else(|| {
            Error::input(format!("--limit: expected NAME=VALUE, found `{flag}`"))
                .with_hint("write it like `--limit max_concurrent_queries=8`")
        })?;
        limits.set(&name.trim().replace('-', "_"), value)?;
    }
    Ok(limits)
}

fn boolean(key: &str, value: toml::Value) -> Result<bool> {
    match value {
        toml::Value::Boolean(value) => Ok(value),
        other => Err(mistyped(key, "true or false", &other)),
    }
}

impl ServeConfig {
    /// Flags (which clap has filled from the environment) over file over defaults. Resolves host names.
    pub fn merge(flags: ServerFlags, file: FileSettings) -> Result<Self> {
        let flight_addr = address("flight-addr", flags.flight_addr.or(file.flight_addr), "127.0.0.1:50051")?;
        let http_addr = address("http-addr", flags.http_addr.or(file.http_addr), "127.0.0.1:8080")?;
        let tls = flags.tls.resolve(file.tls)?;
        let insecure = flags.insecure.or(file.insecure).unwrap_or(false);
        // Whether there are users shows once the data directory is open.
        if !insecure && tls.is_none() {
            refuse_exposed("flight-addr", flight_addr)?;
            refuse_exposed("http-addr", http_addr)?;
        }
        let memory_bytes = match flags.memory.or(file.memory) {
            Some(text) => bytes("memory", &text)?,
            None => MEMORY_POOL_BYTES_DEFAULT,
        };
        let limits = resolved_limits(file.limits, &flags.limits)?;
        Ok(ServeConfig {
            data_dir: flags.data_dir.or(file.data_dir).unwrap_or_else(|| DEFAULT_DATA_DIR.into()),
            shared: flags.shared.or(file.shared),
            flight_addr,
            http_addr,
            ready_file: flags.ready_file.or(file.ready_file),
            memory_bytes,
            limits,
            tls,
            insecure,
            log: flags.log.or(file.log).unwrap_or_else(|| "warn".into()),
        })
    }

    /// A server in process for `data_dir`: loopback, free ports.
    pub fn in_process(data_dir: PathBuf) -> Self {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        ServeConfig {
            data_dir,
            shared: None,
            flight_addr: loopback,
            http_addr: loopback,
            ready_file: None,
            memory_bytes: MEMORY_POOL_BYTES_DEFAULT,
            limits: Limits::default(),
            tls: None,
            insecure: false,
            log: "warn".into(),
        }
    }
}

fn address(flag: &str, given: Option<String>, default: &str) -> Result<SocketAddr> {
    let text = given.as_deref().unwrap_or(default);
    let wrong = |why: String| {
        Error::input(format!("--{flag}: expected HOST:PORT, found `{text}`{why}"))
            .with_hint("port 0 picks a free port, as in `127.0.0.1:0`")
    };
    let mut found = text.to_socket_addrs().map_err(|error| wrong(format!(" ({error})")))?;
    found.next().ok_or_else(|| wrong(" (the name has no address)".into()))
}

/// Without TLS passwords and data can be read on the way, so other machines are not served unasked.
fn refuse_exposed(flag: &str, addr: SocketAddr) -> Result<()> {
    if addr.ip().is_loopback() {
        return Ok(());
    }
    Err(Error::input(format!("--{flag}: `{addr}` is reachable from other machines, and no TLS is set up"))
        .with_hint("give --tls-cert and --tls-key, bind to 127.0.0.1, or say `--insecure`"))
}

/// A number of bytes, see [`byte_count`].
fn bytes(flag: &str, text: &str) -> Result<usize> {
    byte_count(text).ok_or_else(|| {
        Error::input(format!("--{flag}: expected a number of bytes, found `{text}`"))
            .with_hint("write it like `1073741824`, `512MiB` or `8GB`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    fn flags(args: &[&str]) -> ServerFlags {
        let line = ["limn", "serve"].iter().chain(args);
        match Cli::try_parse_from(line).unwrap().command {
            Command::Serve(serve) => serve.server,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_table_of_flags_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let file =
            FileSettings::parse("flight_addr = '127.0.0.1:1'\nhttp-addr = '127.0.0.1:2'\nmemory = 4096").unwrap();
        let config = ServeConfig::merge(flags(&["--flight-addr", "127.0.0.1:7"]), file).unwrap();
        assert_eq!(config.flight_addr.to_string(), "127.0.0.1:7");
        assert_eq!(config.http_addr.to_string(), "127.0.0.1:2");
        assert_eq!(config.memory_bytes, 4096);
        assert_eq!(config.data_dir, PathBuf::from("./limn-data"));
    }

    #[test]
    fn every_key_of_the_file_is_read() {
        let text = "data_dir='d'\nshared=true\nflight_addr='f'\nhttp_addr='h'\nready_file='r'\nmemory='m'\ninsecure=true\n\
                    log='l'\n[limits]\nmax_sessions=7\nqueue-wait='5s'\n[tls]\ncert='c'";
        let expected = FileSettings {
            data_dir: Some("d".into()),
            shared: Some(true),
            flight_addr: Some("f".into()),
            http_addr: Some("h".into()),
            ready_file: Some("r".into()),
            memory: Some("m".into()),
            insecure: Some(true),
            log: Some("l".into()),
            limits: vec![("max_sessions".into(), "7".into()), ("queue-wait".into(), "5s".into())],
            tls: TlsFlags { cert: Some("c".into()), ..TlsFlags::default() },
        };
        assert_eq!(FileSettings::parse(text).unwrap(), expected);
        let table: toml::Table = text.parse().unwrap();
        assert!(KEYS.iter().all(|key| table.contains_key(*key)), "a key is missing from this test");
    }

    #[test]
    fn limits_come_from_the_file_and_then_from_flags() {
        let file = || FileSettings::parse("[limits]\nmax_sessions = 7\nqueue-wait = '5s'").unwrap();
        let config = ServeConfig::merge(flags(&["--limit", "max_sessions=9,drain-timeout=1s"]), file()).unwrap();
        assert_eq!(config.limits.max_sessions, 9);
        assert_eq!(config.limits.queue_wait.as_secs(), 5);
        assert_eq!(config.limits.drain_timeout.as_secs(), 1);
        let error = ServeConfig::merge(flags(&["--limit", "max_sessions"]), file()).unwrap_err();
        assert_eq!(error.message(), "--limit: expected NAME=VALUE, found `max_sessions`");
        let error = ServeConfig::merge(flags(&["--limit", "max_session=1"]), file()).unwrap_err();
        assert_eq!(error.message(), "unknown limit `max_session`, the nearest is `max_sessions`");
    }

    #[test]
    fn an_unknown_key_offers_the_nearest() {
        let error = FileSettings::parse("flight_adr = 'x'").unwrap_err();
        assert_eq!(error.class(), Class::Input);
        assert_eq!(error.message(), "unknown key `flight_adr`, the nearest is `flight_addr`");
        let error = FileSettings::parse("insecure = 1").unwrap_err();
        assert_eq!(error.message(), "key `insecure`: expected true or false, found integer `1`");
        assert_eq!(FileSettings::parse("memory = ").unwrap_err().class(), Class::Input);
    }

    #[test]
    fn other_machines_are_served_only_when_told() {
        let error = ServeConfig::merge(flags(&["--flight-addr", "0.0.0.0:0"]), FileSettings::default()).unwrap_err();
        assert_eq!(error.class(), Class::Input);
        assert!(error.message().starts_with("--flight-addr: `0.0.0.0:0` is reachable from other machines"));
        let told = flags(&["--flight-addr", "0.0.0.0:0", "--insecure"]);
        assert!(ServeConfig::merge(told, FileSettings::default()).is_ok());
        let tls = flags(&["--flight-addr", "0.0.0.0:0", "--tls-cert", "c.pem", "--tls-key", "k.pem"]);
        assert!(ServeConfig::merge(tls, FileSettings::default()).unwrap().tls.is_some());
        assert!(ServeConfig::merge(flags(&["--http-addr", "[::1]:0"]), FileSettings::default()).is_ok());
    }

    #[test]
    fn addresses_that_are_none_say_so() {
        let error = ServeConfig::merge(flags(&["--http-addr", "8080"]), FileSettings::default()).unwrap_err();
        assert!(error.message().starts_with("--http-addr: expected HOST:PORT, found `8080`"), "{error}");
    }

    #[test]
    fn bytes_know_units() {
        for (text, expected) in [
            ("1", 1),
            ("4096", 4096),
            ("2KiB", 2048),
            ("2k", 2048),
            ("3 MB", 3_000_000),
            ("1gib", 1 << 30),
            ("1TB", 1_000_000_000_000),
        ] {
            assert_eq!(bytes("memory", text).unwrap(), expected, "{text}");
        }
        for text in ["", "0", "MiB", "1.5GiB", "-1", "12 parsecs", "99999999999TiB", "１"] {
            assert_eq!(bytes("memory", text).unwrap_err().class(), Class::Input, "{text}");
        }
    }
}
