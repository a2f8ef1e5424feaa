//! Hashing and checking passwords: argon2id, on few threads, with a short memory of what was right.
//!
//! A check costs 19 MiB and tens of milliseconds by design, so only so many run at once and only so many wait. Clients
//! that send their password with each call are checked once in a while; what is remembered is a keyed hash that is
//! worth nothing outside of this process. It knows nothing of files.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::secret;
use crate::limits::{
    PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN, PASSWORD_CHECKS_CONCURRENT, PASSWORD_CHECKS_WAITING_MAX,
    PASSWORD_REMEMBERED, PASSWORDS_REMEMBERED_MAX,
};
use crate::{Error, Result};

/// Bytes of a salt.
const SALT_BYTES: usize = 16;

/// Checks passwords.
pub struct Passwords {
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// The hash of no password, for users who have none or do not exist.
    dummy: String,
    key: [u8; 32],
    // A plain mutex: it is held for a look-up, never across an await.
    remembered: Mutex<HashMap<[u8; 32], Instant>>,
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").finish_non_exhaustive()
    }
}

impl Passwords {
    /// Nothing checked yet.
    pub fn new() -> Result<Self> {
        Ok(Passwords {
            turns: Arc::new(Semaphore::new(PASSWORD_CHECKS_CONCURRENT)),
            waiting: AtomicUsize::new(0),
            dummy: hash(&secret::token()?)?,
            key: secret::random()?,
            remembered: Mutex::default(),
        })
    }

    /// The hash of a new password as a PHC string.
    pub async fn hash(&self, password: &str) -> Result<String> {
        let chars = password.chars().count();
        if chars < PASSWORD_CHARS_MIN || password.len() > PASSWORD_BYTES_MAX {
            return Err(Error::input(format!(
                "expected a password of {PASSWORD_CHARS_MIN} characters to {PASSWORD_BYTES_MAX} bytes, \
                 found {chars} characters"
            )));
        }
        let password = password.to_string();
        self.in_turn(move || hash(&password)).await?
    }

    /// Whether `password` has this hash; without a hash the answer is no, after the same time.
    pub async fn verify(&self, password: &str, hash: Option<String>) -> Result<bool> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Ok(false);
        }
        let exists = hash.is_some();
        let (hash, password) = (hash.unwrap_or_else(|| self.dummy.clone()), password.to_string());
        let matches = self.in_turn(move || verify(&password, &hash)).await??;
        Ok(exists && matches)
    }

    /// Whether this password of this user was right a short while ago.
    pub fn recalls(&self, user: &str, stamp: &str, password: &str) -> bool {
        let until = self.lock().get(&self.digest(user, stamp, password)).copied();
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Remembers that it was right.
    pub fn remember(&self, user: &str, stamp: &str, password: &str) {
        let now = Instant::now();
        let mut remembered = self.lock();
        if remembered.len() >= PASSWORDS_REMEMBERED_MAX {
            remembered.retain(|_, until| now < *until);
        }
        if remembered.len() < PASSWORDS_REMEMBERED_MAX {
            remembered.insert(self.digest(user, stamp, password), now + PASSWORD_REMEMBERED);
        }
    }

    fn digest(&self, user: &str, stamp: &str, password: &str) -> [u8; 32] {
        let mut digest = Sha256::new_with_prefix(self.key);
        for part in [user, stamp, password] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part.as_bytes());
        }
        digest.finalize().into()
    }

    /// Runs slow work on a thread for it, when it is its turn.
    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let _waits = Waits::begin(&self.waiting)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let turn = turn.map_err(|_| Error::unavailable("the server is stopping"))?;
        let done = tokio::task::spawn_blocking(move || {
            // The turn ends with the work, also where nobody waits for it any more.
            let _turn = turn;
            work()
        });
        done.await.map_err(|error| Error::internal(format!("checking a password: {error}")))
    }

    // No code panics while it holds the lock, so a poisoned one is still whole.
    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Instant>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who waits for a check or has it done.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn begin(waiting: &'a AtomicUsize) -> Result<Self> {
        let before = waiting.fetch_add(1, Ordering::AcqRel);
        let waits = Waits(waiting);
        match before < PASSWORD_CHECKS_WAITING_MAX {
            true => Ok(waits),
            false => Err(Error::exhausted("too many clients present a password at the same time")
                .with_hint("try again in a moment, or use a token: checking one costs nothing")),
        }
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The parameters are OWASP's first choice for argon2id, which the library has as its defaults: 19 MiB, two passes, one
/// lane, <https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>.
fn hash(password: &str) -> Result<String> {
    let failed = |error: argon2::password_hash::Error| Error::internal(format!("hashing a password: {error}"));
    let random = secret::random()?;
    let salt = SaltString::encode_b64(random.get(..SALT_BYTES).unwrap_or(&random)).map_err(failed)?;
    let hash = Argon2::default().hash_password(password.as_bytes(), &salt).map_err(failed)?;
    Ok(hash.to_string())
}

/// The library compares in constant time.
fn verify(password: &str, hash: &str) -> Result<bool> {
    use argon2::password_hash::Error as HashError;
    let parsed =
        PasswordHash::new(hash).map_err(|error| Error::internal(format!("a password's hash is damaged: {error}")))?;
    match Argon2::default().verify_password(password.as_bytes(), &parsed) {
        Ok(()) => Ok(true),
        Err(HashError::Password) => Ok(false),
        Err(error) => Err(Error::internal(format!("a password's hash cannot be checked: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    #[tokio::test]
    async fn hashes_are_argon2id_with_a_salt_each() {
        let passwords = Passwords::new().unwrap();
        let (first, second) =
            (passwords.hash("correct horse").await.unwrap(), passwords.hash("correct horse").await.unwrap());
        assert!(first.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{first}");
        assert_ne!(first, second);
        assert!(passwords.verify("correct horse", Some(first.clone())).await.unwrap());
        assert!(!passwords.verify("correct horsf", Some(first)).await.unwrap());
        assert!(!passwords.verify("correct horse", None).await.unwrap());
        assert!(!passwords.verify(&"x".repeat(PASSWORD_BYTES_MAX + 1), None).await.unwrap());
    }

    #[tokio::test]
    async fn short_and_long_passwords_are_refused() {
        let passwords = Passwords::new().unwrap();
        for wrong in ["", "1234567", &"x".repeat(PASSWORD_BYTES_MAX + 1)] {
            let error = passwords.hash(wrong).await.unwrap_err();
            assert_eq!(error.class(), Class::Input);
        }
        // Characters count, not bytes.
        assert!(passwords.hash("ééééééé").await.is_err());
        assert!(passwords.hash("éééééééé").await.is_ok());
    }

    #[test]
    fn what_was_right_is_remembered_for_its_user_and_stamp() {
        let passwords = Passwords::new().unwrap();
        passwords.remember("ada", "s", "p");
        assert!(passwords.recalls("ada", "s", "p"));
        for (user, stamp, password) in [("ad", "as", "p"), ("ada", "t", "p"), ("ada", "s", "q"), ("ada", "sp", "")] {
            assert!(!passwords.recalls(user, stamp, password));
        }
    }

    #[test]
    fn only_so_many_wait() {
        let waiting = AtomicUsize::new(PASSWORD_CHECKS_WAITING_MAX - 1);
        let last = Waits::begin(&waiting).unwrap();
        assert_eq!(Waits::begin(&waiting).map(drop).unwrap_err().class(), Class::Exhausted);
        drop(last);
        assert!(Waits::begin(&waiting).is_ok());
    }
}
