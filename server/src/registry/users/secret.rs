//! Random secrets, their hashes, and comparing without telling by time.
//!
//! It knows nothing of users.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{Error, Result};

/// What API tokens begin with, so that people and scanners know them.
const TOKEN_PREFIX: &str = "limn_";
/// Random bytes of a secret.
const SECRET_BYTES: usize = 32;

/// Random bytes from the operating system.
pub fn random() -> Result<[u8; SECRET_BYTES]> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::getrandom(&mut bytes)
        .map_err(|error| Error::internal(format!("the operating system gives no random numbers: {error}")))?;
    Ok(bytes)
}

/// A fresh API token: a prefix and 64 hex digits.
pub fn token() -> Result<String> {
    Ok(format!("{TOKEN_PREFIX}{}", hex(&random()?)))
}

/// An id that nobody else has; no secret.
pub fn id() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// An id for people to type; the caller sees to it that it is not taken.
pub fn short_id() -> String {
    id().chars().take(12).collect()
}

/// SHA-256 in hex digits.
pub fn sha256(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

/// Whether two secrets are the same; the time depends on their length only.
pub fn same(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_new_and_hashes_are_sha256() {
        let (first, second) = (token().unwrap(), token().unwrap());
        assert_ne!(first, second);
        assert_eq!(first.len(), "limn_".len() + 64);
        // FIPS 180-2, appendix B.1: the hash of `abc`.
        assert_eq!(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(same(b"abc", b"abc") && !same(b"abc", b"abd") && !same(b"abc", b"ab"));
    }
}
