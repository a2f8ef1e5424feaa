//! Files with certificates and a key, made into what a handshake needs.
//!
//! Texts name the file and what is wrong with it, never what is in it.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::Protocol;
use crate::config::TlsFiles;
use crate::limits::TLS_FILE_BYTES_MAX;
use crate::{Error, Result};

/// Configurations of one set of files.
#[derive(Debug)]
pub struct Material {
    grpc: Arc<ServerConfig>,
    http: Arc<ServerConfig>,
    /// The files, as they were before they were read.
    pub seen: Seen,
}

/// What tells whether files are still the same: when they were changed, and their lengths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen(Vec<Option<(SystemTime, u64)>>);

impl Seen {
    /// The files as they are now.
    pub fn of(files: &TlsFiles) -> Self {
        let look = |path: &Path| {
            let found = std::fs::metadata(path).ok()?;
            Some((found.modified().ok()?, found.len()))
        };
        let paths = [Some(&files.certificate), Some(&files.key), files.client_ca.as_ref()];
        Seen(paths.into_iter().flatten().map(|path| look(path)).collect())
    }
}

impl Material {
    /// Reads the files.
    pub fn load(files: &TlsFiles) -> Result<Self> {
        let seen = Seen::of(files);
        let chain = certificates("--tls-cert", &files.certificate)?;
        let key = private_key(&files.key)?;
        let authorities = files.client_ca.as_deref().map(|path| certificates("--tls-client-ca", path)).transpose()?;
        let build = |alpn: &[u8]| -> Result<Arc<ServerConfig>> {
            let builder = match &authorities {
                None => ServerConfig::builder().with_no_client_auth(),
                Some(authorities) => ServerConfig::builder().with_client_cert_verifier(verifier(files, authorities)?),
            };
            let mut config = builder.with_single_cert(chain.clone(), key.clone_key()).map_err(|error| {
                let (certificate, key) = (files.certificate.display(), files.key.display());
                Error::input(format!("--tls-cert `{certificate}` and --tls-key `{key}`: {error}"))
            })?;
            config.alpn_protocols = vec![alpn.to_vec()];
            Ok(Arc::new(config))
        };
        Ok(Material { grpc: build(b"h2")?, http: build(b"http/1.1")?, seen })
    }

    /// The configuration for a protocol.
    pub fn config(&self, protocol: Protocol) -> Arc<ServerConfig> {
        Arc::clone(match protocol {
            Protocol::Grpc => &self.grpc,
            Protocol::Http => &self.http,
        })
    }
}

/// A certificate is checked where a client has one; who has none presents a password or a token.
fn verifier(
    files: &TlsFiles,
    authorities: &[CertificateDer<'static>],
) -> Result<Arc<dyn tokio_rustls::rustls::server::danger::ClientCertVerifier>> {
    let shown = || files.client_ca.as_deref().unwrap_or(Path::new("")).display().to_string();
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots
            .add(authority.clone())
            .map_err(|error| Error::input(format!("--tls-client-ca `{}`: {error}", shown())))?;
    }
    let built = WebPkiClientVerifier::builder(Arc::new(roots)).allow_unauthenticated().build();
    built.map_err(|error| Error::input(format!("--tls-client-ca `{}`: {error}", shown())))
}

fn certificates(flag: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let shown = path.display();
    // The reader's own words may have a line of the file in them, so they are left out.
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(flag, path)?).collect();
    let found = read.map_err(|_| Error::input(format!("{flag} `{shown}`: expected certificates as PEM")))?;
    match found.is_empty() {
        true => Err(Error::input(format!("{flag} `{shown}`: expected certificates as PEM, found none"))),
        false => Ok(found),
    }
}

/// PKCS #8, PKCS #1 or SEC1.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(&read("--tls-key", path)?).map_err(|_| {
        Error::input(format!("--tls-key `{}`: expected a private key as PEM", path.display()))
            .with_hint("a key with a passphrase must be decrypted first")
    })
}

fn read(flag: &str, path: &Path) -> Result<Vec<u8>> {
    let named = |error: Error| error.context(format!("{flag} `{}`", path.display()));
    let file = std::fs::File::open(path).map_err(|error| named(error.into()))?;
    let mut content = Vec::new();
    file.take(TLS_FILE_BYTES_MAX + 1).read_to_end(&mut content).map_err(|error| named(error.into()))?;
    match content.len() as u64 > TLS_FILE_BYTES_MAX {
        true => Err(named(Error::input(format!("expected at most {TLS_FILE_BYTES_MAX} bytes, found more")))),
        false => Ok(content),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    #[test]
    fn what_is_wrong_names_the_file_and_nothing_of_its_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.pem");
        assert_eq!(certificates("--tls-cert", &path).unwrap_err().class(), Class::NotFound);
        for content in ["", "hidden", "-----BEGIN CERTIFICATE-----\nhidden\n"] {
            std::fs::write(&path, content).unwrap();
            for error in [certificates("--tls-cert", &path).map(drop), private_key(&path).map(drop)] {
                let error = error.unwrap_err();
                assert_eq!(error.class(), Class::Input);
                assert!(error.message().contains("x.pem") && !error.message().contains("hidden"), "{error}");
            }
        }
        std::fs::write(&path, vec![b'x'; TLS_FILE_BYTES_MAX as usize + 1]).unwrap();
        assert!(private_key(&path).unwrap_err().message().contains("found more"));
    }

    #[test]
    fn a_changed_file_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.pem");
        let files = TlsFiles { certificate: path.clone(), key: path.clone(), client_ca: None };
        let missing = Seen::of(&files);
        std::fs::write(&path, "a").unwrap();
        let there = Seen::of(&files);
        assert!(missing != there && there == Seen::of(&files));
        std::fs::write(&path, "ab").unwrap();
        assert_ne!(there, Seen::of(&files));
    }
}
