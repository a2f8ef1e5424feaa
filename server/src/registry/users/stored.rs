//! The users' file, and the same in memory.
//!
//! It has hashes in it, so only its owner may read it, and no query can. It knows nothing of how they are made.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The format of the file.
const FORMAT: u32 = 1;

/// All users and tokens at one moment.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    /// Users by name.
    pub users: BTreeMap<String, User>,
    /// Tokens by id.
    pub tokens: BTreeMap<String, Token>,
    /// Ids by the tokens' hashes.
    by_hash: HashMap<String, String>,
}

/// A user.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The password's hash as a PHC string: algorithm, parameters, salt, hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// When the user was created.
    pub created_at: DateTime<Utc>,
    /// When the password was set the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_changed_at: Option<DateTime<Utc>>,
    /// How often the password was changed.
    #[serde(default)]
    pub password_changes: u64,
    /// Random: a later user of the same name has another.
    pub stamp: String,
}

impl User {
    /// Another one after each change of the password, and for another user of the same name.
    pub fn password_stamp(&self) -> String {
        format!("{} {}", self.stamp, self.password_changes)
    }
}

/// A token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Whose it is.
    pub user: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// SHA-256 of the secret in hex digits; the secret is random and long, so no slow hash is needed.
    pub sha256: String,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// From when on it is not accepted.
    pub expires_at: DateTime<Utc>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Hashes are not for logs.
impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("created_at", &self.created_at).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Token {
    /// Whether it is accepted at this moment.
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }
}

impl Accounts {
    /// Makes tokens findable after a change.
    pub fn index(&mut self) {
        self.by_hash = self.tokens.iter().map(|(id, token)| (token.sha256.clone(), id.clone())).collect();
    }

    /// The token with this hash. What is looked up is the hash of what somebody sent, so the time that it takes says
    /// nothing about the secrets.
    pub fn token(&self, sha256: &str) -> Option<(&str, &Token)> {
        let id = self.by_hash.get(sha256)?;
        self.tokens.get(id).map(|token| (id.as_str(), token))
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    format: u32,
    users: BTreeMap<String, User>,
    tokens: BTreeMap<String, Token>,
}

/// Reads the file; without one there are no users.
pub fn read(path: &Path) -> Result<Accounts> {
    let named = |error: Error| error.context(format!("`{}`", path.display()));
    match std::fs::read(path) {
        Ok(text) => decode(&text).map_err(named),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Accounts::default()),
        Err(error) => Err(named(error.into())),
    }
}

/// The file's text.
pub fn encode(accounts: &Accounts) -> Result<Vec<u8>> {
    let stored = Stored { format: FORMAT, users: accounts.users.clone(), tokens: accounts.tokens.clone() };
    serde_json::to_vec_pretty(&stored).map_err(|error| Error::internal(format!("the users have no text: {error}")))
}

/// What a text says.
pub fn decode(text: &[u8]) -> Result<Accounts> {
    let stored: Stored = serde_json::from_slice(text).map_err(|error| Error::internal(format!("damaged: {error}")))?;
    if stored.format > FORMAT {
        return Err(Error::unsupported(format!("expected format at most {FORMAT}, found {}", stored.format))
            .with_hint("a newer Limn wrote it; use that one or a later one"));
    }
    let mut accounts = Accounts { users: stored.users, tokens: stored.tokens, by_hash: HashMap::new() };
    accounts.index();
    Ok(accounts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    #[test]
    fn a_file_written_by_hand_is_read() {
        let text = br#"{"format": 1, "users": {"ada": {"created_at": "2026-01-02T03:04:05Z", "stamp": "s"}},
            "tokens": {"tk1": {"user": "ada", "sha256": "ab", "created_at": "2026-01-02T03:04:05Z",
            "expires_at": "2026-01-03T03:04:05Z"}}}"#;
        let accounts = decode(text).unwrap();
        assert_eq!(accounts.users["ada"].password, None);
        let (id, token) = accounts.token("ab").unwrap();
        assert_eq!((id, token.user.as_str()), ("tk1", "ada"));
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        assert!(token.is_live(at("2026-01-03T03:04:04Z")) && !token.is_live(at("2026-01-03T03:04:05Z")));
        let again = decode(&encode(&accounts).unwrap()).unwrap();
        assert_eq!((again.users, again.tokens), (accounts.users, accounts.tokens));
    }

    #[test]
    fn the_file_of_a_newer_limn_is_refused() {
        let error = decode(br#"{"format": 2, "users": {}, "tokens": {}}"#).unwrap_err();
        assert_eq!(error.class(), Class::Unsupported);
        assert_eq!(decode(b"{").unwrap_err().class(), Class::Internal);
    }

    #[test]
    fn hashes_are_not_shown() {
        let text = br#"{"format": 1, "users": {"ada": {"created_at": "2026-01-02T03:04:05Z", "stamp": "hidden",
            "password": "hidden"}}, "tokens": {"tk1": {"user": "ada", "sha256": "hidden",
            "created_at": "2026-01-02T03:04:05Z", "expires_at": "2026-01-03T03:04:05Z"}}}"#;
        let accounts = decode(text).unwrap();
        assert!(!format!("{:?} {:?}", accounts.users, accounts.tokens).contains("hidden"));
    }
}
