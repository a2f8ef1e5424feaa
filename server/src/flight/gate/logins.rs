//! The session tokens that handshakes gave out: by hash, with what each stands for.
//!
//! A token that nobody used for a while is forgotten. It takes the time from its caller and knows nothing of headers.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::Basis;
use crate::limits::{SESSION_TOKEN_IDLE, SESSION_TOKENS_MAX};

/// Session tokens by their hashes.
#[derive(Debug, Default)]
pub struct Logins {
    // A plain mutex: it is held for a look-up, never across an await.
    entries: Mutex<HashMap<String, Login>>,
}

#[derive(Debug)]
struct Login {
    basis: Basis,
    used: Instant,
}

impl Logins {
    /// What the token with this hash stands for; it thereby counts as used.
    pub fn find(&self, hash: &str, now: Instant) -> Option<Basis> {
        let mut entries = self.lock();
        let login = entries.get_mut(hash)?;
        if now.saturating_duration_since(login.used) >= SESSION_TOKEN_IDLE {
            entries.remove(hash);
            return None;
        }
        login.used = now;
        Some(login.basis.clone())
    }

    /// Accepts a token from now on. Where there are too many, those that were used least recently go, several at once
    /// so that this stays rare.
    pub fn insert(&self, hash: String, basis: Basis, now: Instant) {
        let mut entries = self.lock();
        if entries.len() >= SESSION_TOKENS_MAX {
            let mut used: Vec<Instant> = entries.values().map(|login| login.used).collect();
            let (_, oldest, _) = used.select_nth_unstable(SESSION_TOKENS_MAX / 16);
            let oldest = *oldest;
            entries.retain(|_, login| login.used > oldest);
        }
        entries.insert(hash, Login { basis, used: now });
    }

    /// How many are accepted.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Does not accept a token any more.
    pub fn remove(&self, hash: &str) {
        self.lock().remove(hash);
    }

    // No code panics while it holds the lock, so a poisoned one is still whole.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Login>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_token_lives_while_it_is_used() {
        let (logins, start) = (Logins::default(), Instant::now());
        logins.insert("a".into(), Basis::Local, start);
        let almost = SESSION_TOKEN_IDLE - Duration::from_secs(1);
        assert!(logins.find("a", start + almost).is_some());
        assert!(logins.find("a", start + almost * 2).is_some());
        assert!(logins.find("a", start + almost * 2 + SESSION_TOKEN_IDLE).is_none());
        logins.insert("b".into(), Basis::Local, start);
        logins.remove("b");
        assert!(logins.find("b", start).is_none());
    }

    #[test]
    fn the_least_recently_used_go_when_there_are_too_many() {
        let (logins, start) = (Logins::default(), Instant::now());
        for n in 0..SESSION_TOKENS_MAX as u64 {
            logins.insert(n.to_string(), Basis::Local, start + Duration::from_millis(n));
        }
        let later = start + Duration::from_secs(3600);
        assert!(logins.find("0", later).is_some());
        logins.insert("new".into(), Basis::Local, later);
        assert!(logins.find("0", later).is_some() && logins.find("new", later).is_some());
        assert!(logins.find("1", later).is_none());
        assert!(logins.lock().len() <= SESSION_TOKENS_MAX);
    }
}
