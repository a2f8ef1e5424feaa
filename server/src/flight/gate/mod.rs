//! Who is let in: what a request presents, against the users of the server.
//!
//! Without users a server that only this machine reaches is open to everyone. With users each request presents a
//! password, a token or a certificate; what is not accepted is refused with one text, which tells nothing of who exists.
//! It knows nothing of statements, and of sessions only the tokens that name them.
//!
//! # Layout
//! - `logins`: the session tokens that handshakes gave out
//! - `attempts`: wrong passwords, counted
//! - `owed`: answers to those whom the server closed itself to

mod attempts;
mod logins;
mod owed;

use std::hash::{BuildHasher, RandomState};
use std::time::Instant;

use tonic::metadata::MetadataMap;

use self::attempts::Attempts;
use self::logins::Logins;
use self::owed::Owed;
use super::auth::{self, Credentials};
use super::linger::Peer;
use crate::engine::{LocalSecret, Principal, Proof, Users};
use crate::{Error, Result};

/// Passwords of one user are checked one after the other, so that the limit on wrong ones holds in a burst as well; so
/// many users at the same time.
const PASSWORD_LANES: usize = 64;

/// Decides who is let in.
#[derive(Debug)]
pub struct Gate {
    users: Users,
    /// Whether everyone is let in while there are no users.
    open: bool,
    local: LocalSecret,
    logins: Logins,
    attempts: Attempts,
    owed: Owed,
    lanes: Vec<tokio::sync::Mutex<()>>,
    lane_of: RandomState,
}

/// Who sent a request.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Who.
    pub principal: Principal,
    /// The session token that was presented, if it was one.
    pub token: Option<String>,
    basis: Basis,
}

/// Why somebody was let in; a session token stands for it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Basis {
    /// The server is open.
    Open,
    /// A tool of this machine, with the secret of the data directory.
    Local,
    /// A user.
    User(Proof),
}

impl Gate {
    /// A gate before `users`.
    pub fn new(users: Users, open: bool, local: LocalSecret) -> Self {
        let lanes = std::iter::repeat_with(Default::default).take(PASSWORD_LANES).collect();
        let (logins, attempts, owed) = (Logins::default(), Attempts::default(), Owed::default());
        Gate { users, open, local, logins, attempts, owed, lanes, lane_of: RandomState::new() }
    }

    /// Who sent a request with these headers over this connection.
    pub async fn identify(&self, metadata: &MetadataMap, peer: &Peer) -> Result<Identity> {
        let credentials = Credentials::from_metadata(metadata)?;
        let identity = match self.basis(&credentials, peer).await? {
            // Where nobody has to say who they are, a tool of this machine is like everybody.
            Basis::Local if self.is_open() => Identity::of(Basis::Local, Principal::anonymous()),
            Basis::Local => Identity::of(Basis::Local, Principal::operator()),
            Basis::Open => Identity::of(Basis::Open, Principal::anonymous()),
            Basis::User(proof) => {
                let principal = Principal(proof.user.clone());
                Identity::of(Basis::User(proof), principal)
            }
        };
        if peer.local && identity.basis != Basis::Local {
            return Err(refused());
        }
        let token = credentials.session_token().map(str::to_string);
        Ok(Identity { token, ..identity })
    }

    /// A new session token of somebody who was let in.
    pub fn login(&self, identity: &Identity, now: Instant) -> String {
        let token = auth::new_token();
        self.accept(&token, identity, now);
        token
    }

    /// Accepts a session token that was made for somebody who was let in.
    pub fn accept(&self, token: &str, identity: &Identity, now: Instant) {
        // Where the server is open, a token only names a session, and nothing is gained by keeping it.
        if identity.basis != Basis::Open {
            self.logins.insert(auth::hash(&[token]), identity.basis.clone(), now);
        }
    }

    /// Accepts the session token of a closed session no more.
    pub fn logout(&self, identity: &Identity) {
        if let Some(token) = &identity.token {
            self.logins.remove(&auth::hash(&[token]));
        }
    }

    /// Lets somebody whom the server has closed itself to, meanwhile, come for the result behind this ticket, where they
    /// are such a one.
    pub fn owe(&self, identity: &Identity, ticket: &[u8], now: Instant) {
        if identity.basis == Basis::Open && !self.is_open() {
            self.owed.insert(ticket, now);
        }
    }

    /// Whether the result behind this ticket is shown to whoever has it.
    pub fn is_owed(&self, ticket: &[u8], now: Instant) -> bool {
        self.owed.contains(ticket, now)
    }

    /// How many session tokens are accepted.
    pub fn session_tokens(&self) -> usize {
        self.logins.len()
    }

    /// Whether everyone is let in.
    pub fn is_open(&self) -> bool {
        self.open && self.users.is_empty()
    }

    async fn basis(&self, credentials: &Credentials, peer: &Peer) -> Result<Basis> {
        let presented = match credentials {
            Credentials::Bearer(token) => self.bearer(token),
            Credentials::Basic { .. } if self.users.is_empty() => None,
            Credentials::Basic { user, password } => self.password(user, password, peer).await?.map(Basis::User),
            Credentials::None => {
                let named = peer.certificate_name.as_deref();
                named.and_then(|name| self.users.vouched(name)).map(Basis::User)
            }
        };
        match presented {
            Some(basis) => Ok(basis),
            None if self.is_open() => Ok(Basis::Open),
            None if *credentials == Credentials::None && peer.certificate_name.is_none() => Err(missing()),
            None => Err(refused()),
        }
    }

    fn bearer(&self, token: &str) -> Option<Basis> {
        if !auth::is_token(token) {
            return match self.local.is(token) {
                true => Some(Basis::Local),
                false => self.users.check_token(token).map(Basis::User),
            };
        }
        let hash = auth::hash(&[token]);
        let basis = self.logins.find(&hash, Instant::now())?;
        let holds = match &basis {
            Basis::User(proof) => self.users.still_holds(proof),
            Basis::Local => true,
            Basis::Open => self.is_open(),
        };
        if !holds {
            self.logins.remove(&hash);
        }
        holds.then_some(basis)
    }

    async fn password(&self, user: &str, password: &str, peer: &Peer) -> Result<Option<Proof>> {
        if let Some(proof) = self.users.recall_password(user, password) {
            return Ok(Some(proof));
        }
        let address = peer.address.map(|address| address.ip());
        self.attempts.check(user, address, Instant::now())?;
        let lane = usize::try_from(self.lane_of.hash_one(user)).unwrap_or_default() % PASSWORD_LANES;
        let _turn = match self.lanes.get(lane) {
            Some(lane) => Some(lane.lock().await),
            None => None,
        };
        // Who waited may find that somebody else was right, or wrong too often, meanwhile.
        if let Some(proof) = self.users.recall_password(user, password) {
            return Ok(Some(proof));
        }
        self.attempts.check(user, address, Instant::now())?;
        let proof = self.users.check_password(user, password).await?;
        match &proof {
            Some(_) => self.attempts.succeeded(user),
            None => {
                self.attempts.failed(user, address, Instant::now());
                tracing::info!(user = ?user, address = ?address, "a password was not accepted");
            }
        }
        Ok(proof)
    }
}

impl Identity {
    /// Whoever sent this, on an open server.
    #[cfg(test)]
    pub fn anonymous(credentials: &Credentials) -> Self {
        let token = credentials.session_token().map(str::to_string);
        Identity { token, ..Identity::of(Basis::Open, Principal::anonymous()) }
    }

    fn of(basis: Basis, principal: Principal) -> Self {
        Identity { principal, token: None, basis }
    }
}

fn missing() -> Error {
    Error::unauthenticated("expected credentials, found none").with_hint("give a user and a password, or a token")
}

/// One text for whatever is wrong with credentials.
fn refused() -> Error {
    Error::unauthenticated("the credentials are not accepted")
        .with_hint("check user and password; a token may have expired or been revoked")
}
