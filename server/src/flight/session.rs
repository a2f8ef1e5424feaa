//! Which session a request belongs to: by the bearer token that a handshake gave, else by cookie, else one of its own.
//!
//! A session is its principal's alone: the same token or cookie from somebody else names another one.
//! A session is kept only once it differs from a new one, so that clients without cookies and tokens (most, on a server
//! without users) cost nothing. It knows nothing of statements.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Response, Status};

use super::auth;
use super::gate::Identity;
use super::handles::{Full, Handles};
use super::headers::{COOKIE, client, cookie, timeout};
use super::status::answer;
use crate::engine::{DEFAULT_SCHEMA, KeptSessions, Principal, Session, StatementContext, WireTypes, wire_types};
use crate::limits::Limits;
use crate::{Error, Result};

/// Tonic's own timers for `grpc-timeout`, the server's and the client's, answer CANCELLED. Ours is a tenth earlier, at
/// most this much, so that DEADLINE_EXCEEDED, which is what happened, wins on a busy machine too.
const DEADLINE_MARGIN: Duration = Duration::from_millis(100);

/// The header by which a client that keeps no session asks for other types; drivers send what they do not know in an
/// address as headers.
const WIRE_TYPES_HEADER: &str = "limn-wire-types";

/// The sessions of a server.
#[derive(Debug)]
pub struct Sessions {
    kept: Handles<Arc<Session>>,
    statement_timeout: Duration,
}

/// Who sent a request, put into its extensions before the handlers see it.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who.
    pub principal: Principal,
    /// Why they were let in.
    pub identity: Identity,
    /// In which session.
    pub session: Arc<Session>,
    /// By when the answer is wanted.
    pub deadline: Option<Instant>,
    /// The token or cookie that named the session.
    key: Option<String>,
    /// How long a statement may run where the session says nothing; zero is any time.
    pub statement_timeout: Duration,
    /// What the client calls itself.
    client: Option<Arc<str>>,
    /// The types that it asks for in this request, whatever its session says.
    wire_types: Option<WireTypes>,
}

impl Sessions {
    /// No sessions yet.
    pub fn new(limits: &Limits) -> Self {
        let kept = Handles::new(limits.max_sessions, limits.max_sessions_per_principal, limits.session_idle);
        Sessions { kept, statement_timeout: limits.statement_timeout }
    }

    /// The session of a request with these headers, by somebody who was let in.
    pub fn caller(&self, identity: Identity, metadata: &MetadataMap, now: Instant) -> Result<Caller> {
        let token = identity.token.clone().or_else(|| cookie(metadata));
        let key = token.map(|token| key(&identity.principal, &token));
        let session = key.as_ref().and_then(|key| self.kept.find(key, now));
        Ok(Caller {
            principal: identity.principal.clone(),
            identity,
            session: session.unwrap_or_else(|| Arc::new(Session::new())),
            deadline: timeout(metadata).map(|timeout| now + timeout - DEADLINE_MARGIN.min(timeout / 10)),
            key,
            statement_timeout: self.statement_timeout,
            client: client(metadata),
            wire_types: asked_types(metadata)?,
        })
    }

    /// Keeps the session of a request that changed it. A client that named none gets a token and a cookie, and the
    /// caller the token.
    pub fn keep<T>(&self, caller: &Caller, response: &mut Response<T>, now: Instant) -> Result<Option<String>, Status> {
        if is_new(&caller.session) {
            return Ok(None);
        }
        let mut made = None;
        let key = match &caller.key {
            Some(key) => key.clone(),
            None => {
                let token = auth::new_token();
                set_cookie(response, &token)?;
                auth::return_token(response, &token)?;
                let key = key(&caller.principal, &token);
                made = Some(token);
                key
            }
        };
        let owner = caller.principal.0.as_str();
        answer(self.kept.insert(key, owner, Arc::clone(&caller.session), now).map_err(full))?;
        Ok(made)
    }

    /// Forgets the sessions that nobody used for a while and in which nothing goes on.
    pub fn sweep(&self, now: Instant, runs: impl Fn(&Session) -> bool) {
        self.kept.sweep(now, |session| session.is_awaited() || runs(session));
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Forgets the session of a request; `false` where it has none that is kept.
    pub fn close(&self, caller: &Caller) -> bool {
        let was_kept = caller.key.as_ref().is_some_and(|key| self.kept.remove(key).is_some());
        // The session may be in use by this very request; as a new one it is not kept again.
        caller.session.set_schema(DEFAULT_SCHEMA);
        caller.session.temporaries.clear();
        caller.session.set_awaited(false);
        for name in caller.session.settings().into_keys() {
            caller.session.set(&name, None);
        }
        was_kept
    }
}

impl Caller {
    /// The context of a new statement.
    pub fn statement(&self) -> StatementContext {
        let mut ctx = StatementContext::new(self.principal.clone(), Arc::clone(&self.session));
        ctx.deadline = self.deadline;
        ctx.client = self.client.clone();
        ctx.wire_types = self.wire_types.unwrap_or(ctx.wire_types);
        ctx.with_timeout(self.statement_timeout)
    }
}

impl KeptSessions for Sessions {
    fn kept_sessions(&self) -> Vec<Arc<Session>> {
        self.kept.values(Instant::now())
    }
}

fn full(full: Full) -> Error {
    let (text, limit) = match full {
        Full::All(max) => (format!("the server keeps {max} sessions, no more"), "max_sessions"),
        Full::Owner(max) => (format!("you have {max} sessions, no more are kept"), "max_sessions_per_principal"),
    };
    Error::exhausted(text).with_hint(format!("close those that are not needed; the limit is `{limit}`"))
}

fn asked_types(metadata: &MetadataMap) -> Result<Option<WireTypes>> {
    let asked = metadata.get(WIRE_TYPES_HEADER).map(|value| value.to_str().unwrap_or_default());
    asked.map(wire_types).transpose()
}

/// What a session is kept under.
fn key(principal: &Principal, token: &str) -> String {
    auth::hash(&[&principal.0, token])
}

fn is_new(session: &Session) -> bool {
    session.schema() == DEFAULT_SCHEMA
        && session.settings().is_empty()
        && session.temporaries.is_empty()
        && !session.is_awaited()
}

/// A session cookie: no `Max-Age` and no `Expires`, which some clients answer in an old format.
fn set_cookie<T>(response: &mut Response<T>, token: &str) -> Result<(), Status> {
    let value = MetadataValue::try_from(format!("{COOKIE}={token}; Path=/; HttpOnly"))
        .map_err(|_| Status::internal("a session token is not a header value"))?;
    response.metadata_mut().append("set-cookie", value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(pairs: &[(&'static str, &str)]) -> MetadataMap {
        let mut map = MetadataMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    /// The caller on an open server.
    fn caller(sessions: &Sessions, metadata: &MetadataMap, now: Instant) -> Result<Caller> {
        let credentials = auth::Credentials::from_metadata(metadata)?;
        sessions.caller(Identity::anonymous(&credentials), metadata, now)
    }

    #[test]
    fn a_changed_session_comes_back_by_token_and_by_cookie() {
        let sessions = Sessions::new(&Limits::default());
        let now = Instant::now();
        let first = caller(&sessions, &metadata(&[]), now).unwrap();
        first.session.set_schema("sales");
        let mut response = Response::new(());
        sessions.keep(&first, &mut response, now).unwrap();

        let bearer = response.metadata().get("authorization").unwrap().to_str().unwrap().to_string();
        let again = caller(&sessions, &metadata(&[("authorization", &bearer)]), now).unwrap();
        assert_eq!(again.session.schema(), "sales");

        let set_cookie = response.metadata().get("set-cookie").unwrap().to_str().unwrap();
        let pair = set_cookie.split(';').next().unwrap();
        let (name, value) = pair.split_once('=').unwrap();
        for cookie in [pair.to_string(), format!("$Version=1; {name}=\"{value}\";$Path=/; other=1")] {
            let again = caller(&sessions, &metadata(&[("cookie", &cookie)]), now).unwrap();
            assert_eq!(again.session.schema(), "sales", "{cookie}");
        }
        assert!(sessions.close(&again));
        assert!(!sessions.close(&again));
        sessions.keep(&again, &mut Response::new(()), now).unwrap();
        let after = caller(&sessions, &metadata(&[("authorization", &bearer)]), now).unwrap();
        assert_eq!(after.session.schema(), DEFAULT_SCHEMA);
    }

    #[test]
    fn a_session_more_than_may_be_is_refused_and_named() {
        let limits = Limits { max_sessions_per_principal: 1, ..Limits::default() };
        let sessions = Sessions::new(&limits);
        let now = Instant::now();
        let changed = || {
            let changed = caller(&sessions, &metadata(&[("user-agent", "test/1")]), now).unwrap();
            changed.session.set_schema("sales");
            changed
        };
        let (first, second) = (changed(), changed());
        sessions.keep(&first, &mut Response::new(()), now).unwrap();
        let status = sessions.keep(&second, &mut Response::new(()), now).unwrap_err();
        assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        assert!(status.message().contains("hint: close those"), "{}", status.message());
        assert_eq!(first.statement().client.as_deref(), Some("test/1"));
        assert_eq!(sessions.kept_sessions().len(), 1);
        // One that nobody uses any more makes room.
        sessions.keep(&second, &mut Response::new(()), now + limits.session_idle).unwrap();
    }

    #[test]
    fn an_unchanged_session_is_not_kept() {
        let sessions = Sessions::new(&Limits::default());
        let now = Instant::now();
        let caller = caller(&sessions, &metadata(&[]), now).unwrap();
        let mut response = Response::new(());
        sessions.keep(&caller, &mut response, now).unwrap();
        assert!(response.metadata().is_empty());
    }

    #[test]
    fn two_clients_with_the_same_foreign_bearer_share_nothing() {
        let sessions = Sessions::new(&Limits::default());
        let now = Instant::now();
        let headers = metadata(&[("authorization", "Bearer company-token")]);
        let first = caller(&sessions, &headers, now).unwrap();
        first.session.set_schema("sales");
        sessions.keep(&first, &mut Response::new(()), now).unwrap();
        assert_eq!(caller(&sessions, &headers, now).unwrap().session.schema(), DEFAULT_SCHEMA);
    }
}
