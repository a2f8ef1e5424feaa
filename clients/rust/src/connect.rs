//! The way to a session: the channel with or without TLS, then the handshake with or without credentials.
//!
//! What a server gives back to know its caller by (a bearer token, cookies) is kept in [`Identity`] and sent with every
//! call. It knows nothing of statements.

use std::collections::BTreeMap;
use std::error::Error as StdError;

use arrow_flight::HandshakeRequest;
use arrow_flight::flight_service_client::FlightServiceClient;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity as TlsIdentity};

use crate::{Class, ConnectOptions, Error, Result, Secret};

/// Bytes of one message from the server.
const MESSAGE_BYTES_MAX: usize = 65 * 1024 * 1024;
/// Cookies that are kept; a server that sets more has its first ones forgotten.
const COOKIES_MAX: usize = 16;

/// What the server knows its caller by; it may replace each part in any response.
#[derive(Debug, Default)]
pub struct Identity {
    authorization: Option<MetadataValue<Ascii>>,
    cookies: BTreeMap<String, String>,
}

impl Identity {
    /// The identity of a connection that has said nothing but its credentials.
    fn new(options: &ConnectOptions) -> Result<Self> {
        let Some(header) = options.credentials()? else { return Ok(Identity::default()) };
        let mut value = MetadataValue::try_from(header)
            .map_err(|_| Error::new(Class::Input, "expected a token of printable ASCII characters"))?;
        value.set_sensitive(true);
        Ok(Identity { authorization: Some(value), cookies: BTreeMap::new() })
    }

    /// Says who is asking.
    pub fn sign(&self, metadata: &mut MetadataMap) {
        if let Some(value) = &self.authorization {
            metadata.insert("authorization", value.clone());
        }
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if let (false, Ok(value)) = (cookies.is_empty(), MetadataValue::try_from(cookies.join("; "))) {
            metadata.insert("cookie", value);
        }
    }

    /// Learns what a response says about the caller.
    pub fn remember(&mut self, metadata: &MetadataMap) {
        if let Some(value) = metadata.get("authorization") {
            let mut value = value.clone();
            value.set_sensitive(true);
            self.authorization = Some(value);
        }
        for header in metadata.get_all("set-cookie").iter().filter_map(|header| header.to_str().ok()) {
            let pair = header.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                self.cookies.insert(name.trim().to_string(), value.trim().to_string());
            }
            if self.cookies.len() > COOKIES_MAX {
                self.cookies.pop_first();
            }
        }
    }
}

/// Connects and opens a session.
pub async fn open(options: &ConnectOptions) -> Result<(FlightServiceClient<Channel>, Identity)> {
    let mut identity = Identity::new(options)?;
    let opened = async {
        let unreachable = |error: tonic::transport::Error| {
            Error::new(Class::Unavailable, format!("cannot reach the server at `{options}`: {}", root(&error)))
        };
        let channel = endpoint(options)?.connect().await.map_err(unreachable)?;
        let mut service = FlightServiceClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let mut hello = Request::new(futures::stream::iter([HandshakeRequest::default()]));
        identity.sign(hello.metadata_mut());
        let response = service.handshake(hello).await?;
        identity.remember(response.metadata());
        // The answer is read to its end, where an error may be.
        let mut answers = response.into_inner();
        while answers.message().await?.is_some() {}
        Ok::<_, Error>(service)
    };
    let service = tokio::time::timeout(options.connect_timeout, opened).await.map_err(|_| {
        let seconds = options.connect_timeout.as_secs_f64();
        Error::new(Class::Unavailable, format!("cannot reach the server at `{options}`: no answer in {seconds} s"))
    })??;
    Ok((service, identity))
}

fn endpoint(options: &ConnectOptions) -> Result<Endpoint> {
    let malformed =
        |_| Error::new(Class::Input, format!("expected a host and a port, found `{}:{}`", options.host, options.port));
    let endpoint = Endpoint::from_shared(options.http_url())
        .map_err(malformed)?
        .connect_timeout(options.connect_timeout)
        .tcp_nodelay(true);
    if !options.tls {
        return match (&options.ca_pem, &options.client_certificate_pem) {
            (None, None) => Ok(endpoint),
            _ => Err(Error::new(Class::Input, format!("certificates are given, but `{options}` is without TLS"))
                .with_hint("write `grpc+tls://` in front of the host")),
        };
    }
    let refused = |error: tonic::transport::Error| {
        Error::new(Class::Input, format!("the certificates cannot be used: {}", root(&error)))
    };
    endpoint.tls_config(tls(options)?).map_err(refused)
}

fn tls(options: &ConnectOptions) -> Result<ClientTlsConfig> {
    let config = ClientTlsConfig::new();
    let config = match &options.ca_pem {
        Some(pem) => config.ca_certificate(Certificate::from_pem(pem)),
        None => config.with_native_roots(),
    };
    let config = match &options.server_name {
        Some(name) => config.domain_name(name),
        None => config,
    };
    match (&options.client_certificate_pem, options.client_key_pem.as_ref().map(Secret::reveal)) {
        (None, None) => Ok(config),
        (Some(certificate), Some(key)) => Ok(config.identity(TlsIdentity::from_pem(certificate, key))),
        _ => Err(Error::new(Class::Input, "expected a client certificate together with its key, found one of them")),
    }
}

/// The innermost cause, which is the one that says something.
pub fn root<'a>(error: &'a (dyn StdError + 'static)) -> &'a (dyn StdError + 'static) {
    let mut at = error;
    while let Some(source) = at.source() {
        at = source;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_identity_is_sent() {
        let mut identity = Identity::new(&ConnectOptions::default().with_token("first")).unwrap();
        let mut response = MetadataMap::new();
        response.insert("authorization", "Bearer second".parse().unwrap());
        response.append("set-cookie", "a=1; Path=/; HttpOnly".parse().unwrap());
        response.append("set-cookie", "b=2".parse().unwrap());
        identity.remember(&response);
        let mut request = MetadataMap::new();
        identity.sign(&mut request);
        assert_eq!(request.get("authorization").unwrap(), "Bearer second");
        assert_eq!(request.get("cookie").unwrap(), "a=1; b=2");
        assert!(!format!("{identity:?}").contains("second"));
    }

    #[test]
    fn cookies_are_bounded() {
        let mut identity = Identity::default();
        for n in 0..100 {
            let mut response = MetadataMap::new();
            response.append("set-cookie", format!("c{n}=1").parse().unwrap());
            identity.remember(&response);
        }
        assert_eq!(identity.cookies.len(), COOKIES_MAX);
    }

    #[test]
    fn half_of_mutual_tls_is_refused() {
        let mut options = ConnectOptions::parse("grpc+tls://h:1").unwrap();
        options.client_certificate_pem = Some("x".into());
        assert_eq!(endpoint(&options).unwrap_err().class(), Class::Input);
        options.tls = false;
        assert!(endpoint(&options).unwrap_err().message().contains("without TLS"));
    }

    #[tokio::test]
    async fn a_token_that_is_no_header_is_refused() {
        let error = open(&ConnectOptions::default().with_token("a\nb")).await.unwrap_err();
        assert_eq!(error.class(), Class::Input);
    }
}
