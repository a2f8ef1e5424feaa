//! Who is asking: the `authorization` header, and the handshake that answers with a bearer token.
//!
//! It reads credentials and makes session tokens; who is let in is the gate's business.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha2::{Digest, Sha256};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Response, Status};

use crate::{Error, Result};

/// What tokens of Limn begin with; other bearers are the client's own and name no session.
const TOKEN_PREFIX: &str = "limn-";

/// Go's clients send no padding, Java's and C++'s do.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What an `authorization` header says.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// No header.
    None,
    /// `Basic`, RFC 7617.
    Basic {
        /// Up to the first colon.
        user: String,
        /// After it; may contain colons.
        password: String,
    },
    /// `Bearer`, RFC 6750.
    Bearer(String),
}

/// Secrets are not for logs.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Credentials::None => f.write_str("None"),
            Credentials::Basic { user, .. } => write!(f, "Basic({user:?}, ***)"),
            Credentials::Bearer(_) => f.write_str("Bearer(***)"),
        }
    }
}

impl Credentials {
    /// Reads the header of a request. A malformed one is an error, whether or not users are configured.
    pub fn from_metadata(metadata: &MetadataMap) -> Result<Self> {
        match metadata.get("authorization").map(MetadataValue::to_str) {
            None => Ok(Credentials::None),
            Some(Ok(header)) => Self::parse(header),
            Some(Err(_)) => Err(Error::unauthenticated("the `authorization` header is not ASCII text")),
        }
    }

    /// Reads a header's value. Schemes compare without case, as RFC 9110 has it.
    pub fn parse(header: &str) -> Result<Self> {
        let (scheme, value) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        let value = value.trim();
        match scheme.to_ascii_lowercase().as_str() {
            "basic" => Self::parse_basic(value),
            "bearer" => Ok(Credentials::Bearer(value.to_string())),
            // What stands there may be a token without a scheme, so it is not shown.
            _ => Err(Error::unauthenticated("expected the scheme `Basic` or `Bearer` in the `authorization` header")),
        }
    }

    fn parse_basic(value: &str) -> Result<Self> {
        let malformed = || Error::unauthenticated("`Basic` credentials are not base64 of `user:password`");
        let decoded = BASE64.decode(value).map_err(|_| malformed())?;
        let text = String::from_utf8(decoded).map_err(|_| malformed())?;
        let (user, password) = text.split_once(':').ok_or_else(malformed)?;
        Ok(Credentials::Basic { user: user.to_string(), password: password.to_string() })
    }

    /// The session that the credentials name, where they are a token of ours.
    pub fn session_token(&self) -> Option<&str> {
        match self {
            Credentials::Bearer(token) if is_token(token) => Some(token),
            _ => None,
        }
    }
}

/// Whether `text` has the form of our tokens; anything else, however long, is never a key of a map.
pub fn is_token(text: &str) -> bool {
    let id = text.strip_prefix(TOKEN_PREFIX).unwrap_or_default();
    id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())
}

/// A fresh token, which nobody can guess.
pub fn new_token() -> String {
    format!("{TOKEN_PREFIX}{}", uuid::Uuid::new_v4().simple())
}

/// A hash of texts, in hex digits: maps are keyed by it, so that no token lies in memory. No two lists of texts have
/// the same.
pub fn hash(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part.as_bytes());
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Puts `authorization: Bearer TOKEN` into the response headers, where JDBC, ODBC and ADBC look for it.
pub fn return_token<T>(response: &mut Response<T>, token: &str) -> Result<(), Status> {
    let value = MetadataValue::try_from(format!("Bearer {token}"))
        .map_err(|_| Status::internal("a session token is not a header value"))?;
    response.metadata_mut().insert("authorization", value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    fn basic(user: &str, password: &str) -> Credentials {
        Credentials::Basic { user: user.into(), password: password.into() }
    }

    #[test]
    fn basic_with_and_without_padding() {
        // printf 'ada:x' | base64, and the same for other lengths: YWRhOng=, YWRhOnh5, YWRhOg==
        for (header, expected) in [
            ("Basic YWRhOng=", basic("ada", "x")),
            ("Basic YWRhOng", basic("ada", "x")),
            ("basic YWRhOnh5", basic("ada", "xy")),
            ("Basic YWRhOg==", basic("ada", "")),
            ("Basic YWRhOg", basic("ada", "")),
            // printf 'ada:a:b' | base64
            ("Basic YWRhOmE6Yg==", basic("ada", "a:b")),
            // printf 'ada:é' | base64
            ("BASIC YWRhOsOp", basic("ada", "é")),
        ] {
            assert_eq!(Credentials::parse(header).unwrap(), expected, "{header}");
        }
    }

    #[test]
    fn bearers_and_session_tokens() {
        let token = new_token();
        assert_ne!(token, new_token());
        let own = Credentials::parse(&format!("Bearer {token}")).unwrap();
        assert_eq!(own.session_token(), Some(token.as_str()));
        for foreign in ["bearer abc", "bearer limn-abc", "bearer limn-zz000000000000000000000000000000"] {
            assert_eq!(Credentials::parse(foreign).unwrap().session_token(), None, "{foreign}");
        }
        assert_eq!(Credentials::from_metadata(&MetadataMap::new()).unwrap(), Credentials::None);
    }

    #[test]
    fn malformed_headers_are_refused() {
        // YWRh is `ada` without a colon; /w== is the byte 0xFF.
        for header in ["Basic !", "Basic YWRh", "Basic /zo=", "Digest x", ""] {
            assert_eq!(Credentials::parse(header).unwrap_err().class(), Class::Unauthenticated, "{header}");
        }
    }
}
