//! Users and API tokens: one private file of the data directory, replaced whole and durably by each change.
//!
//! Readers see a snapshot and never wait; changes take turns and are visible once the file that has them is on the
//! disk. Passwords are kept as argon2id hashes and tokens as SHA-256 of random secrets; neither leaves this module. It
//! knows nothing of SQL, sessions or headers.
//!
//! # Layout
//! - `stored`: the file and the state in memory; `numbered_files`: where several servers share them
//! - `password`: hashing and checking, on few threads and with a short memory of what was right
//! - `secret`: random secrets and their comparison; `local`: the secret of this machine's own tools

mod local;
mod numbered_files;
mod password;
mod secret;
mod stored;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::Mutex;

pub use local::{LocalSecret, read as read_local_secret};

use numbered_files::SharedUsers;
use password::Passwords;
use stored::{Accounts, Token, User};

use crate::lake::disk::Disk;
use crate::lake::{DataDirectory, directory};
use crate::limits::{
    TOKEN_NAME_BYTES_MAX, TOKEN_TTL_DEFAULT, TOKEN_TTL_MAX, TOKENS_PER_USER_MAX, USER_NAME_BYTES_MAX, USERS_MAX,
};
use crate::{Error, Result, error};

/// The file, below the data directory.
const FILE: &str = "users.json";
/// Names of principals that are no users.
const RESERVED: [&str; 2] = ["anonymous", "local"];

/// The users and tokens of one data directory. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Users {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    accounts: RwLock<Arc<Accounts>>,
    /// Held across a change, file included: changes take turns.
    turn: Mutex<()>,
    /// Set while the file may differ from `accounts`, because writing it failed half-way.
    suspect: AtomicBool,
    passwords: Passwords,
    disk: Arc<dyn Disk>,
    path: PathBuf,
    temporary: PathBuf,
    /// Where several servers share them.
    shared: Option<SharedUsers>,
}

/// What was proved once, and what it depends on: the user as they were then, and the token if it was one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The user's name.
    pub user: String,
    /// The user's stamp: a later user of the same name has another.
    stamp: String,
    how: How,
}

/// What somebody presented.
#[derive(Debug, Clone, PartialEq, Eq)]
enum How {
    /// A password; how often it had been changed by then.
    Password(u64),
    /// The token with this id.
    Token(String),
    /// Somebody else's word.
    Vouched,
}

/// A user as `SHOW USERS` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRow {
    /// The user's name.
    pub name: String,
    /// Whether a password is set; without one, tokens and certificates remain.
    pub has_password: bool,
    /// When the user was created.
    pub created_at: DateTime<Utc>,
    /// When the password was set the last time.
    pub password_changed_at: Option<DateTime<Utc>>,
}

/// A token as `SHOW TOKENS` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// The token's id.
    pub id: String,
    /// Whose it is.
    pub user: String,
    /// What it is for, where that was said.
    pub name: Option<String>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// From when on it is not accepted.
    pub expires_at: DateTime<Utc>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// A token that was just made. The secret is nowhere else.
#[derive(Clone, PartialEq, Eq)]
pub struct NewToken {
    /// The token's id.
    pub id: String,
    /// What to present.
    pub secret: String,
    /// From when on it is not accepted.
    pub expires_at: DateTime<Utc>,
}

impl Users {
    /// Reads the users of a data directory that this process holds.
    pub fn open(data_dir: &Path, temporary: PathBuf, disk: Arc<dyn Disk>) -> Result<Self> {
        let path = data_dir.join("registry").join(FILE);
        let accounts = stored::read(&path)?;
        Users::of(accounts, path, temporary, disk, None)
    }

    /// Reads the users of a data directory, whether this process has it for itself or shares it.
    pub fn open_in(directory: &DataDirectory, disk: Arc<dyn Disk>) -> Result<Self> {
        if directory.member().is_none() {
            return Users::open(directory.path(), directory.temporary(), disk);
        }
        let (shared, accounts) = SharedUsers::open(directory.sequence("registry/users", &disk, true)?)?;
        Users::of(accounts, directory.path().join("registry").join(FILE), directory.temporary(), disk, Some(shared))
    }

    fn of(
        accounts: Accounts,
        path: PathBuf,
        temporary: PathBuf,
        disk: Arc<dyn Disk>,
        shared: Option<SharedUsers>,
    ) -> Result<Self> {
        let inner = Inner {
            accounts: RwLock::new(Arc::new(accounts)),
            turn: Mutex::default(),
            suspect: AtomicBool::new(false),
            passwords: Passwords::new()?,
            disk,
            path,
            temporary,
            shared,
        };
        Ok(Users { inner: Arc::new(inner) })
    }

    /// Whether there is no user.
    pub fn is_empty(&self) -> bool {
        self.accounts().users.is_empty()
    }

    /// Creates a user; without a password, only tokens and certificates prove who they are. `false` where the user
    /// exists and `if_not_exists` says that this is fine.
    pub async fn create(&self, name: &str, password: Option<&str>, if_not_exists: bool) -> Result<bool> {
        check_user_name(name)?;
        let password = match password {
            Some(password) => Some(self.inner.passwords.hash(password).await?),
            None => None,
        };
        let (name, now) = (name.to_string(), Utc::now());
        let changed = self.change(move |accounts| {
            if accounts.users.contains_key(&name) {
                return match if_not_exists {
                    true => Ok(None),
                    false => Err(Error::already_exists(format!("user `{name}` exists already"))),
                };
            }
            if accounts.users.len() >= USERS_MAX {
                return Err(Error::exhausted(format!("expected at most {USERS_MAX} users, found as many already")));
            }
            let password_changed_at = password.is_some().then_some(now);
            let (password, stamp) = (password.clone(), secret::id());
            let user = User { password, created_at: now, password_changed_at, password_changes: 0, stamp };
            accounts.users.insert(name.clone(), user);
            Ok(Some(()))
        });
        changed.await.map(|changed| changed.is_some())
    }

    /// Sets a user's password. Sessions that the old one opened end.
    pub async fn set_password(&self, name: &str, password: &str) -> Result<()> {
        if !self.accounts().users.contains_key(name) {
            return Err(unknown_user(&self.accounts(), name));
        }
        let password = self.inner.passwords.hash(password).await?;
        let name = name.to_string();
        let changed = self.change(move |accounts| {
            let missing = unknown_user(accounts, &name);
            let user = accounts.users.get_mut(&name).ok_or(missing)?;
            user.password = Some(password.clone());
            user.password_changed_at = Some(Utc::now());
            user.password_changes += 1;
            Ok(Some(()))
        });
        changed.await.map(drop)
    }

    /// Removes a user with all tokens; sessions end. `false` where there is none and `if_exists` says that this is fine.
    pub async fn remove(&self, name: &str, if_exists: bool) -> Result<bool> {
        let name = name.to_string();
        let changed = self.change(move |accounts| match accounts.users.remove(&name) {
            Some(_) => {
                accounts.tokens.retain(|_, token| token.user != name);
                Ok(Some(()))
            }
            None if if_exists => Ok(None),
            None => Err(unknown_user(accounts, &name)),
        });
        changed.await.map(|changed| changed.is_some())
    }

    /// Makes a token of a user that is accepted for `ttl`, or for a default time.
    pub async fn create_token(&self, user: &str, name: Option<&str>, ttl: Option<Duration>) -> Result<NewToken> {
        let ttl = ttl.unwrap_or(TOKEN_TTL_DEFAULT);
        if ttl.is_zero() || ttl > TOKEN_TTL_MAX {
            let most = TOKEN_TTL_MAX.as_secs() / 86_400;
            return Err(Error::input(format!("expected a token that expires in 1 hour to {most} days")));
        }
        if let Some(name) = name.filter(|name| name.len() > TOKEN_NAME_BYTES_MAX || name.contains(char::is_control)) {
            let shown: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
            return Err(Error::input(format!(
                "expected a token name of at most {TOKEN_NAME_BYTES_MAX} bytes on one line, found `{shown}…`"
            )));
        }
        let secret = secret::token()?;
        let (id, now) = (format!("tk{}", secret::short_id()), Utc::now());
        let new = NewToken { id: id.clone(), expires_at: now + ttl, secret };
        let token = Token {
            user: user.to_string(),
            name: name.map(str::to_string),
            sha256: secret::sha256(&new.secret),
            created_at: now,
            expires_at: new.expires_at,
            revoked_at: None,
        };
        let changed = self.change(move |accounts| {
            if !accounts.users.contains_key(&token.user) {
                return Err(unknown_user(accounts, &token.user));
            }
            make_room(accounts, &token.user, now)?;
            accounts.tokens.insert(id.clone(), token.clone());
            Ok(Some(()))
        });
        changed.await?;
        Ok(new)
    }

    /// Revokes a token; it stays in the list.
    pub async fn revoke_token(&self, id: &str) -> Result<()> {
        let id = id.to_string();
        let changed = self.change(move |accounts| {
            let missing = error::unknown("token", &id, accounts.tokens.keys().map(String::as_str));
            let token = accounts.tokens.get_mut(&id).ok_or(missing)?;
            if token.revoked_at.is_some() {
                return Ok(None);
            }
            token.revoked_at = Some(Utc::now());
            Ok(Some(()))
        });
        changed.await.map(drop)
    }

    /// All users by name.
    pub fn users(&self) -> Vec<UserRow> {
        let row = |(name, user): (&String, &User)| UserRow {
            name: name.clone(),
            has_password: user.password.is_some(),
            created_at: user.created_at,
            password_changed_at: user.password_changed_at,
        };
        self.accounts().users.iter().map(row).collect()
    }

    /// All tokens, the oldest first.
    pub fn tokens(&self) -> Vec<TokenRow> {
        let row = |(id, token): (&String, &Token)| TokenRow {
            id: id.clone(),
            user: token.user.clone(),
            name: token.name.clone(),
            created_at: token.created_at,
            expires_at: token.expires_at,
            revoked_at: token.revoked_at,
        };
        let mut rows: Vec<TokenRow> = self.accounts().tokens.iter().map(row).collect();
        rows.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        rows
    }

    /// The proof that this is the user's password, as a recent check remembers it; costs nothing.
    pub fn recall_password(&self, user: &str, password: &str) -> Option<Proof> {
        let accounts = self.accounts();
        let known = accounts.users.get(user)?;
        let how = How::Password(known.password_changes);
        self.inner.passwords.recalls(user, &known.password_stamp(), password).then(|| Proof::of(user, known, how))
    }

    /// The proof that this is the user's password, or `None`. Costs the same for users who do not exist.
    ///
    /// `Exhausted` where too many checks wait already.
    pub async fn check_password(&self, user: &str, password: &str) -> Result<Option<Proof>> {
        if !self.accounts().users.contains_key(user) {
            self.refresh().await?;
        }
        let known = self.accounts().users.get(user).cloned();
        let hash = known.as_ref().and_then(|known| known.password.clone());
        if !self.inner.passwords.verify(password, hash).await? {
            return Ok(None);
        }
        // The user may have changed while the hash was computed; what is proved is the password of then.
        let Some(known) = known else { return Ok(None) };
        let proof = Proof::of(user, &known, How::Password(known.password_changes));
        if !self.still_holds(&proof) {
            return Ok(None);
        }
        self.inner.passwords.remember(user, &known.password_stamp(), password);
        Ok(Some(proof))
    }

    /// The proof that this is a token of somebody, now.
    pub fn check_token(&self, secret: &str) -> Option<Proof> {
        let accounts = self.accounts();
        let (id, token) = accounts.token(&secret::sha256(secret))?;
        let known = accounts.users.get(&token.user).filter(|_| token.is_live(Utc::now()))?;
        Some(Proof::of(&token.user, known, How::Token(id.to_string())))
    }

    /// The user of that name, for whom somebody else vouches: a certificate's authority.
    pub fn vouched(&self, user: &str) -> Option<Proof> {
        self.accounts().users.get(user).map(|known| Proof::of(user, known, How::Vouched))
    }

    /// Whether what was proved is still so: the user is the same, the password, too, and the token is live.
    pub fn still_holds(&self, proof: &Proof) -> bool {
        let accounts = self.accounts();
        let known = accounts.users.get(&proof.user).filter(|known| known.stamp == proof.stamp);
        known.is_some_and(|known| match &proof.how {
            How::Password(changes) => known.password_changes == *changes,
            How::Token(id) => accounts.tokens.get(id).is_some_and(|token| token.is_live(Utc::now())),
            How::Vouched => true,
        })
    }

    fn accounts(&self) -> Arc<Accounts> {
        self.inner.accounts.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes a copy and makes it durable, then visible. `Ok(None)` leaves everything as it is; an error, too.
    ///
    /// Dropping the future does not stop a change half-way.
    async fn change<T: Send + 'static>(
        &self,
        change: impl FnMut(&mut Accounts) -> Result<Option<T>> + Send + 'static,
    ) -> Result<Option<T>> {
        let inner = Arc::clone(&self.inner);
        let whole = tokio::spawn(async move { inner.change(change).await });
        whole.await.map_err(|error| Error::internal(format!("changing the users: {error}")))?
    }
}

impl Inner {
    async fn change<T>(
        self: Arc<Self>,
        mut change: impl FnMut(&mut Accounts) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let _turn = self.turn.lock().await;
        if let Some(shared) = &self.shared {
            return self.change_shared(shared, change).await;
        }
        let before = self.accounts.read().unwrap_or_else(PoisonError::into_inner).clone();
        if self.suspect.load(Ordering::Acquire) {
            self.write(&before).await?;
        }
        let mut after = before.as_ref().clone();
        let Some(outcome) = change(&mut after)? else { return Ok(None) };
        after.index();
        if let Err(error) = self.write(&after).await {
            // The file may have the change all the same (the rename done, its sync not). Whoever was told that the
            // change failed must not find it after a restart, so the old content goes back now or before the next.
            if let Err(again) = self.write(&before).await {
                tracing::error!(error = %again, "the users' file cannot be written");
            }
            return Err(error);
        }
        *self.accounts.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(after);
        Ok(Some(outcome))
    }

    async fn write(self: &Arc<Self>, accounts: &Accounts) -> Result<()> {
        self.suspect.store(true, Ordering::Release);
        let (text, this) = (stored::encode(accounts)?, Arc::clone(self));
        let written = tokio::task::spawn_blocking(move || {
            directory::replace_private(this.disk.as_ref(), &this.path, &this.temporary, &text)
        });
        let written = written.await.map_err(|error| Error::internal(error.to_string()))?;
        written.map_err(|error| Error::from(error).context("the users' file cannot be written"))?;
        self.suspect.store(false, Ordering::Release);
        Ok(())
    }
}

impl Proof {
    fn of(user: &str, known: &User, how: How) -> Self {
        Proof { user: user.to_string(), stamp: known.stamp.clone(), how }
    }
}

/// One more token of a user: dead ones are forgotten before there are too many.
fn make_room(accounts: &mut Accounts, user: &str, now: DateTime<Utc>) -> Result<()> {
    let own: Vec<(DateTime<Utc>, String, bool)> = accounts
        .tokens
        .iter()
        .filter(|(_, token)| token.user == user)
        .map(|(id, token)| (token.created_at, id.clone(), token.is_live(now)))
        .collect();
    if own.len() < TOKENS_PER_USER_MAX {
        return Ok(());
    }
    match own.into_iter().filter(|(_, _, live)| !live).min() {
        Some((_, oldest, _)) => {
            accounts.tokens.remove(&oldest);
            Ok(())
        }
        None => Err(Error::exhausted(format!("user `{user}` has {TOKENS_PER_USER_MAX} tokens already"))
            .with_hint("revoke one that is not needed: DROP TOKEN id")),
    }
}

fn unknown_user(accounts: &Accounts, name: &str) -> Error {
    error::unknown("user", name, accounts.users.keys().map(String::as_str))
}

/// A name that a header, a log line and a certificate can carry.
fn check_user_name(name: &str) -> Result<()> {
    let shown: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
    if name.is_empty() || name.len() > USER_NAME_BYTES_MAX {
        return Err(Error::input(format!("expected a user name of 1 to {USER_NAME_BYTES_MAX} bytes, found `{shown}`")));
    }
    if name.contains(|c: char| c == ':' || c.is_control()) || name.trim() != name {
        return Err(Error::input(format!(
            "expected a user name without `:`, line breaks and blanks around it, found `{shown}`"
        )));
    }
    match RESERVED.contains(&name) {
        true => Err(Error::input(format!("the user name `{name}` is Limn's own"))),
        false => Ok(()),
    }
}
