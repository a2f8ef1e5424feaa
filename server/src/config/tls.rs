//! Where the certificates are: flags, variables and the table `[tls]` of `limn.toml`.
//!
//! It only names files; whether they are any good shows when they are read.

use std::path::PathBuf;

use clap::Args;

use super::{mistyped, string};
use crate::{Error, Result, error};

/// The flags of TLS.
#[derive(Debug, Default, Clone, PartialEq, Eq, Args)]
pub struct TlsFlags {
    /// The server's certificate and its chain, as PEM; read again when it changes
    #[arg(long = "tls-cert", env = "LIMN_TLS_CERT", value_name = "FILE")]
    pub cert: Option<PathBuf>,
    /// The certificate's key, as PEM
    #[arg(long = "tls-key", env = "LIMN_TLS_KEY", value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Authorities whose certificates prove who a client is, as PEM
    #[arg(long = "tls-client-ca", env = "LIMN_TLS_CLIENT_CA", value_name = "FILE")]
    pub client_ca: Option<PathBuf>,
}

/// The files of a server with TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate and its chain.
    pub certificate: PathBuf,
    /// The certificate's key.
    pub key: PathBuf,
    /// Authorities of clients' certificates.
    pub client_ca: Option<PathBuf>,
}

/// The keys of the table `[tls]`.
const KEYS: [&str; 3] = ["cert", "key", "client_ca"];

impl TlsFlags {
    /// Reads the table `[tls]`.
    pub(super) fn parse(key: &str, value: toml::Value) -> Result<Self> {
        let toml::Value::Table(table) = value else { return Err(mistyped(key, "a table", &value)) };
        let mut tls = TlsFlags::default();
        for (name, value) in table {
            let path = Some(PathBuf::from(string(&format!("tls.{name}"), value)?));
            match name.replace('-', "_").as_str() {
                "cert" => tls.cert = path,
                "key" => tls.key = path,
                "client_ca" => tls.client_ca = path,
                _ => {
                    let unknown = error::unknown("key", &format!("tls.{name}"), []);
                    let keys = KEYS.map(|key| format!("`{key}`")).join(", ");
                    return Err(Error::input(unknown.message()).with_hint(format!("the keys of [tls] are {keys}")));
                }
            }
        }
        Ok(tls)
    }

    /// These flags over what the file says.
    pub(super) fn resolve(self, file: TlsFlags) -> Result<Option<TlsFiles>> {
        let client_ca = self.client_ca.or(file.client_ca);
        let missing = |flag: &str| Err(Error::input(format!("expected --{flag} as well: TLS needs both files")));
        match (self.cert.or(file.cert), self.key.or(file.key)) {
            (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key, client_ca })),
            (Some(_), None) => missing("tls-key"),
            (None, Some(_)) => missing("tls-cert"),
            (None, None) if client_ca.is_some() => {
                Err(Error::input("--tls-client-ca: expected --tls-cert and --tls-key as well"))
            }
            (None, None) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    fn tls(cert: Option<&str>, key: Option<&str>, client_ca: Option<&str>) -> TlsFlags {
        TlsFlags { cert: cert.map(Into::into), key: key.map(Into::into), client_ca: client_ca.map(Into::into) }
    }

    #[test]
    fn flags_win_over_the_file() {
        let table = |text: &str| toml::Value::Table(text.parse().unwrap());
        let file = TlsFlags::parse("tls", table("cert='c'\nkey='k'\nclient-ca='a'")).unwrap();
        assert_eq!(file, tls(Some("c"), Some("k"), Some("a")));
        let files = tls(Some("d"), None, None).resolve(file).unwrap().unwrap();
        assert_eq!(files, TlsFiles { certificate: "d".into(), key: "k".into(), client_ca: Some("a".into()) });
        for wrong in ["certt='c'", "cert=1"] {
            assert_eq!(TlsFlags::parse("tls", table(wrong)).unwrap_err().class(), Class::Input, "{wrong}");
        }
        assert_eq!(TlsFlags::parse("tls", toml::Value::Integer(1)).unwrap_err().class(), Class::Input);
    }

    #[test]
    fn one_file_alone_is_refused() {
        assert_eq!(TlsFlags::default().resolve(TlsFlags::default()).unwrap(), None);
        for wrong in [tls(Some("c"), None, None), tls(None, Some("k"), None), tls(None, None, Some("a"))] {
            assert_eq!(wrong.resolve(TlsFlags::default()).unwrap_err().class(), Class::Input);
        }
    }
}
