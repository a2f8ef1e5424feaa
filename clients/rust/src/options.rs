//! Where to connect, as whom, and how: the settings of a connection, read from a URL and set field by field.
//!
//! Nothing here reads the environment or a file: programs decide what may. Secrets show as `***` wherever settings are
//! printed, and errors never carry the part of a URL in which one may be.

use std::fmt;
use std::time::Duration;

use crate::{Class, Error, Result};

/// The port where a URL names none.
pub const DEFAULT_PORT: u16 = 50051;
/// How long connecting may take where nothing else is said.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// A text that is not printed.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret text.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The text itself, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Secret::new(text)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Secret(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How a connection is made.
///
/// ```
/// use limn_client::ConnectOptions;
/// let options = ConnectOptions::parse("grpc+tls://ada@lake.example:443").unwrap().with_password("secret");
/// assert_eq!(options.to_string(), "grpc+tls://ada@lake.example:443");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectOptions {
    /// A host name or an address; IPv6 in brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Who connects, by password.
    pub user: Option<String>,
    /// The user's password; empty where only a user is given.
    pub password: Option<Secret>,
    /// A bearer token, instead of user and password.
    pub token: Option<Secret>,
    /// The certificates of authorities to trust, as PEM, instead of the system's.
    pub ca_pem: Option<String>,
    /// The client's certificate chain for mutual TLS, as PEM.
    pub client_certificate_pem: Option<String>,
    /// The key of the client's certificate, as PEM.
    pub client_key_pem: Option<Secret>,
    /// The name that the server's certificate must have; the host where not set.
    pub server_name: Option<String>,
    /// How long connecting and the handshake may take.
    pub connect_timeout: Duration,
    /// How long each call may take; unbounded where not set. It travels as `grpc-timeout`, so the server stops too.
    pub timeout: Option<Duration>,
}

impl Default for ConnectOptions {
    /// The local server, without credentials.
    fn default() -> Self {
        ConnectOptions {
            host: "127.0.0.1".into(),
            port: DEFAULT_PORT,
            tls: false,
            user: None,
            password: None,
            token: None,
            ca_pem: None,
            client_certificate_pem: None,
            client_key_pem: None,
            server_name: None,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            timeout: None,
        }
    }
}

/// The parameters that a URL may have after `?`.
const PARAMETERS: [&str; 6] = ["transport", "user", "password", "token", "server_name", "connect_timeout"];

impl ConnectOptions {
    /// Reads `SCHEME://[USER[:PASSWORD]@]HOST[:PORT][?NAME=VALUE&…]`.
    ///
    /// Schemes without encryption are `grpc`, `grpc+tcp`, `flightsql`, `http` and none at all; with it `grpc+tls` and
    /// `https`; `flightsql` takes `?transport=tls`. Other parameters are `user`, `password`, `token`, `server_name` and
    /// `connect_timeout` in seconds. User, password and values are percent-encoded where they must be. A URL that is
    /// none is an `Input` error that leaves out what may be secret.
    pub fn parse(url: &str) -> Result<Self> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("grpc", url));
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "grpc" | "grpc+tcp" | "flightsql" | "http" => false,
            "grpc+tls" | "https" => true,
            _ => return Err(malformed(url)),
        };
        // A scheme that is not special keeps the host as written and every port explicit.
        let parsed = url::Url::parse(&format!("grpc://{rest}")).map_err(|_| malformed(url))?;
        let host = parsed.host_str().filter(|host| !host.is_empty()).ok_or_else(|| malformed(url))?;
        if !matches!(parsed.path(), "" | "/") || parsed.fragment().is_some() {
            return Err(malformed(url).with_hint("a URL ends after the port, but for parameters after `?`"));
        }
        let mut options = ConnectOptions {
            host: host.to_string(),
            port: parsed.port().unwrap_or(DEFAULT_PORT),
            tls,
            ..Self::default()
        };
        if !parsed.username().is_empty() {
            options.user = Some(decoded(parsed.username()));
        }
        options.password = parsed.password().map(|password| Secret(decoded(password)));
        for (name, value) in parsed.query_pairs() {
            // Whatever is no name may be a part of a secret that should have been encoded.
            if !name.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
                return Err(malformed(url));
            }
            options.parameter(&name, &value)?;
        }
        Ok(options)
    }

    fn parameter(&mut self, name: &str, value: &str) -> Result<()> {
        match name {
            "transport" => {
                self.tls = match value {
                    "tls" => true,
                    "tcp" | "plain" => false,
                    _ => return Err(wrong_value(name, "`tls` or `tcp`")),
                }
            }
            "user" => self.user = Some(value.to_string()),
            "password" => self.password = Some(value.into()),
            "token" => self.token = Some(value.into()),
            "server_name" => self.server_name = Some(value.to_string()),
            "connect_timeout" => {
                let seconds = value.parse().ok().filter(|seconds| *seconds > 0);
                let seconds = seconds.ok_or_else(|| wrong_value(name, "a whole number of seconds"))?;
                self.connect_timeout = Duration::from_secs(seconds);
            }
            _ => {
                let known = PARAMETERS.map(|name| format!("`{name}`")).join(", ");
                let error = Error::new(Class::Input, format!("unknown parameter `{name}` in the URL"));
                return Err(error.with_hint(format!("the parameters are {known}")));
            }
        }
        Ok(())
    }

    /// The same with a user, whose password is asked for with the handshake.
    #[must_use]
    pub fn with_user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// The same with a password.
    #[must_use]
    pub fn with_password(mut self, password: impl Into<Secret>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// The same with a bearer token.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<Secret>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The same with a deadline for each call.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Whether the server is on this machine, where nobody listens in between.
    pub fn is_local(&self) -> bool {
        let address = self.host.trim_start_matches('[').trim_end_matches(']');
        self.host.eq_ignore_ascii_case("localhost")
            || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// The URL as tonic wants it.
    pub(crate) fn http_url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}:{}", self.host, self.port)
    }

    /// What the handshake sends in `authorization`; an `Input` error where two kinds of credentials are given.
    pub(crate) fn credentials(&self) -> Result<Option<String>> {
        use base64::Engine as _;
        match (&self.user, &self.password, &self.token) {
            (None, None, None) => Ok(None),
            (None, None, Some(token)) => Ok(Some(format!("Bearer {}", token.reveal()))),
            (Some(user), password, None) => {
                let password = password.as_ref().map(Secret::reveal).unwrap_or_default();
                let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
                Ok(Some(format!("Basic {pair}")))
            }
            (None, Some(_), None) => {
                Err(Error::new(Class::Input, "expected a user with the password, found only the password"))
            }
            (_, _, Some(_)) => Err(Error::new(Class::Input, "expected a user with a password or a token, found both")),
        }
    }
}

/// The URL without its secrets, as messages and prompts show it.
impl fmt::Display for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.tls { "grpc+tls://" } else { "grpc://" })?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl std::str::FromStr for ConnectOptions {
    type Err = Error;

    fn from_str(url: &str) -> Result<Self> {
        Self::parse(url)
    }
}

fn decoded(text: &str) -> String {
    // The form's decoder is the one that the URL crate offers; it takes `+` for a blank, which here it is not.
    let pair = format!("={}", text.replace('+', "%2B").replace('&', "%26"));
    url::form_urlencoded::parse(pair.as_bytes()).map(|(_, value)| value.into_owned()).collect()
}

/// Before an `@` may be a password and after a `?` a token, so that only a URL without both is shown whole.
fn malformed(url: &str) -> Error {
    let shown = match (url.contains(['@', '?']), url.split_once("://")) {
        (false, _) => url.to_string(),
        (true, Some((scheme, _))) => format!("{scheme}://***"),
        (true, None) => "***".into(),
    };
    Error::new(Class::Input, format!("expected a URL like `grpc://localhost:50051`, found `{shown}`"))
}

fn wrong_value(name: &str, expected: &str) -> Error {
    Error::new(Class::Input, format!("parameter `{name}` of the URL: expected {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> ConnectOptions {
        ConnectOptions::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    #[test]
    fn urls_of_every_client_tool() {
        for url in ["grpc://h:1", "grpc+tcp://h:1", "flightsql://h:1", "http://h:1/", "GRPC://h:1", "h:1"] {
            assert_eq!(parsed(url).http_url(), "http://h:1", "{url}");
        }
        for url in ["grpc+tls://h:1", "https://h:1", "flightsql://h:1?transport=tls", "grpc://h:1?transport=tls"] {
            assert_eq!(parsed(url).http_url(), "https://h:1", "{url}");
        }
        assert_eq!(parsed("h").http_url(), "http://h:50051");
        assert_eq!(parsed("http://h:80").http_url(), "http://h:80");
        assert_eq!(parsed("grpc://[::1]:7").http_url(), "http://[::1]:7");
    }

    #[test]
    fn credentials_come_decoded() {
        let options = parsed("grpc://ada:p%40ss%3A+%25é@h:1");
        assert_eq!(options.user.as_deref(), Some("ada"));
        assert_eq!(options.password, Some("p@ss:+%é".into()));
        let options = parsed("grpc+tls://h:1?token=a%2Bb&server_name=lake&connect_timeout=3");
        assert_eq!(options.token, Some("a+b".into()));
        assert_eq!((options.server_name.as_deref(), options.connect_timeout), (Some("lake"), Duration::from_secs(3)));
        let options = parsed("grpc://h:1?user=ada&password=x");
        assert_eq!((options.user.as_deref(), options.password), (Some("ada"), Some("x".into())));
    }

    #[test]
    fn the_handshake_gets_one_kind_of_credentials() {
        let open = ConnectOptions::default();
        assert_eq!(open.credentials().unwrap(), None);
        // printf 'ada:xy' | base64
        let basic = open.clone().with_user("ada").with_password("xy");
        assert_eq!(basic.credentials().unwrap().as_deref(), Some("Basic YWRhOnh5"));
        // printf 'ada:' | base64
        assert_eq!(open.clone().with_user("ada").credentials().unwrap().as_deref(), Some("Basic YWRhOg=="));
        assert_eq!(open.clone().with_token("t").credentials().unwrap().as_deref(), Some("Bearer t"));
        for wrong in [basic.with_token("t"), open.with_password("x")] {
            assert_eq!(wrong.credentials().unwrap_err().class(), Class::Input);
        }
    }

    #[test]
    fn secrets_are_never_shown() {
        let mut options = parsed("grpc://ada:hidden1@h:1").with_token("hidden2");
        options.client_key_pem = Some("hidden3".into());
        let shown = format!("{options:?} {options}");
        assert!(!shown.contains("hidden") && shown.contains("ada"), "{shown}");
        for url in [
            "ftp://ada:hidden@h:1",
            "grpc://ada:hid/den@h:1",
            "grpc://ada:hidden@h:99999",
            "grpc://h:x?token=hidden",
            "grpc://ada:?hidden@h:1",
            "ada:hidden@h:1:2",
            "grpc://h:1?connect_timeout=hidden",
            "grpc://h:1/hid?token=hidden",
            "grpc://h:1?transport=hidden",
        ] {
            let error = ConnectOptions::parse(url).unwrap_err();
            assert_eq!(error.class(), Class::Input, "{url}");
            assert!(!error.to_string().contains("hid") && !error.to_string().contains("den"), "{error}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for url in ["", "grpc://", "grpc://:1", "ftp://h:1", "grpc://h:1/path", "grpc://h:1#x", "grpc://h:1?colour=red"]
        {
            assert_eq!(ConnectOptions::parse(url).unwrap_err().class(), Class::Input, "{url}");
        }
        let error = ConnectOptions::parse("grpc://h:1?colour=red").unwrap_err();
        assert_eq!(error.message(), "unknown parameter `colour` in the URL");
    }

    #[test]
    fn loopback_is_local() {
        for (host, local) in [
            ("localhost", true),
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("[::1]", true),
            ("10.0.0.1", false),
            ("lake.example", false),
        ] {
            assert_eq!(parsed(&format!("grpc://{host}:1")).is_local(), local, "{host}");
        }
    }
}
