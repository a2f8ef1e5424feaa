//! Which session a request belongs to: by the bearer token that a handshake gave, else by cookie, else one of its own.
//!
//! A session is kept only once it differs from a new one, so that clients without cookies and tokens (most, on a server
//! without users) cost nothing. It knows nothing of statements.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Response, Status};

use super::auth::{self, Credentials};
use super::handles::Handles;
use crate::Result;
use crate::engine::{DEFAULT_SCHEMA, Principal, Session, StatementContext};
use crate::limits::{SESSION_IDLE, SESSIONS_MAX};

/// The cookie that names a session.
const COOKIE: &str = "limn_session";

/// Tonic's own timer for `grpc-timeout` answers CANCELLED. Ours is a little earlier, so that DEADLINE_EXCEEDED, which
/// is what happened, wins.
const DEADLINE_MARGIN: Duration = Duration::from_millis(5);

/// The sessions of a server.
#[derive(Debug)]
pub struct Sessions {
    kept: Handles<Arc<Session>>,
    stopping: CancellationToken,
}

/// Who sent a request, put into its extensions before the handlers see it.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who.
    pub principal: Principal,
    /// In which session.
    pub session: Arc<Session>,
    /// By when the answer is wanted.
    pub deadline: Option<Instant>,
    /// The token or cookie that named the session.
    key: Option<String>,
    stopping: CancellationToken,
}

impl Sessions {
    /// No sessions yet; all statements are cancelled when `stopping` is.
    pub fn new(stopping: CancellationToken) -> Self {
        Sessions { kept: Handles::new(SESSIONS_MAX, SESSION_IDLE), stopping }
    }

    /// Who sent the request with these headers.
    pub fn caller(&self, metadata: &MetadataMap, now: Instant) -> Result<Caller> {
        let credentials = Credentials::from_metadata(metadata)?;
        let key = credentials.session_token().map(str::to_string).or_else(|| cookie(metadata));
        let session = key.as_ref().and_then(|key| self.kept.find(key, now));
        Ok(Caller {
            principal: Principal::anonymous(),
            session: session.unwrap_or_else(|| Arc::new(Session::new())),
            deadline: timeout(metadata).map(|timeout| now + timeout.saturating_sub(DEADLINE_MARGIN)),
            key,
            stopping: self.stopping.clone(),
        })
    }

    /// Keeps the session of a request that changed it. A client that named none gets a token and a cookie.
    pub fn keep<T>(&self, caller: &Caller, response: &mut Response<T>, now: Instant) -> Result<(), Status> {
        if is_new(&caller.session) {
            return Ok(());
        }
        let key = match &caller.key {
            Some(key) => key.clone(),
            None => {
                let token = auth::new_token();
                set_cookie(response, &token)?;
                auth::return_token(response, &token)?;
                token
            }
        };
        self.kept.insert_evicting(key, Arc::clone(&caller.session), now);
        Ok(())
    }

    /// Forgets the session of a request; `false` where it has none that is kept.
    pub fn close(&self, caller: &Caller) -> bool {
        let was_kept = caller.key.as_ref().is_some_and(|key| self.kept.remove(key).is_some());
        // The session may be in use by this very request; as a new one it is not kept again.
        caller.session.set_schema(DEFAULT_SCHEMA);
        caller.session.temporaries.clear();
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
        ctx.cancel = self.stopping.child_token();
        ctx
    }
}

fn is_new(session: &Session) -> bool {
    session.schema() == DEFAULT_SCHEMA && session.settings().is_empty() && session.temporaries.is_empty()
}

/// The session that the cookies name. Java's client quotes values and adds `$Path` attributes.
fn cookie(metadata: &MetadataMap) -> Option<String> {
    let headers = metadata.get_all("cookie");
    let mut pairs = headers.iter().filter_map(|header| header.to_str().ok()).flat_map(|header| header.split(';'));
    pairs.find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (name.trim() == COOKIE && auth::is_token(value)).then(|| value.to_string())
    })
}

/// A session cookie: no `Max-Age` and no `Expires`, which some clients answer in an old format.
fn set_cookie<T>(response: &mut Response<T>, token: &str) -> Result<(), Status> {
    let value = MetadataValue::try_from(format!("{COOKIE}={token}; Path=/; HttpOnly"))
        .map_err(|_| Status::internal("a session token is not a header value"))?;
    response.metadata_mut().append("set-cookie", value);
    Ok(())
}

/// The header `grpc-timeout`: at most eight digits and a unit,
/// <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.
fn timeout(metadata: &MetadataMap) -> Option<Duration> {
    let mut text = metadata.get("grpc-timeout")?.to_str().ok()?.to_string();
    let unit = text.pop()?;
    let amount: u64 = text.parse().ok().filter(|_| text.len() <= 8)?;
    match unit {
        'H' => Some(Duration::from_secs(amount * 3600)),
        'M' => Some(Duration::from_secs(amount * 60)),
        'S' => Some(Duration::from_secs(amount)),
        'm' => Some(Duration::from_millis(amount)),
        'u' => Some(Duration::from_micros(amount)),
        'n' => Some(Duration::from_nanos(amount)),
        _ => None,
    }
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

    #[test]
    fn a_changed_session_comes_back_by_token_and_by_cookie() {
        let sessions = Sessions::new(CancellationToken::new());
        let now = Instant::now();
        let first = sessions.caller(&metadata(&[]), now).unwrap();
        first.session.set_schema("sales");
        let mut response = Response::new(());
        sessions.keep(&first, &mut response, now).unwrap();

        let bearer = response.metadata().get("authorization").unwrap().to_str().unwrap().to_string();
        let again = sessions.caller(&metadata(&[("authorization", &bearer)]), now).unwrap();
        assert_eq!(again.session.schema(), "sales");

        let set_cookie = response.metadata().get("set-cookie").unwrap().to_str().unwrap();
        let pair = set_cookie.split(';').next().unwrap();
        let (name, value) = pair.split_once('=').unwrap();
        for cookie in [pair.to_string(), format!("$Version=1; {name}=\"{value}\";$Path=/; other=1")] {
            let again = sessions.caller(&metadata(&[("cookie", &cookie)]), now).unwrap();
            assert_eq!(again.session.schema(), "sales", "{cookie}");
        }
        assert!(sessions.close(&again));
        assert!(!sessions.close(&again));
        sessions.keep(&again, &mut Response::new(()), now).unwrap();
        let after = sessions.caller(&metadata(&[("authorization", &bearer)]), now).unwrap();
        assert_eq!(after.session.schema(), DEFAULT_SCHEMA);
    }

    #[test]
    fn stopping_the_server_cancels_every_statement_and_no_statement_another() {
        let stopping = CancellationToken::new();
        let caller = Sessions::new(stopping.clone()).caller(&metadata(&[]), Instant::now()).unwrap();
        let (first, second) = (caller.statement(), caller.statement());
        first.cancel.cancel();
        assert!(!second.cancel.is_cancelled());
        stopping.cancel();
        assert!(second.cancel.is_cancelled());
    }

    #[test]
    fn an_unchanged_session_is_not_kept() {
        let sessions = Sessions::new(CancellationToken::new());
        let now = Instant::now();
        let caller = sessions.caller(&metadata(&[]), now).unwrap();
        let mut response = Response::new(());
        sessions.keep(&caller, &mut response, now).unwrap();
        assert!(response.metadata().is_empty());
    }

    #[test]
    fn two_clients_with_the_same_foreign_bearer_share_nothing() {
        let sessions = Sessions::new(CancellationToken::new());
        let now = Instant::now();
        let headers = metadata(&[("authorization", "Bearer company-token")]);
        let first = sessions.caller(&headers, now).unwrap();
        first.session.set_schema("sales");
        sessions.keep(&first, &mut Response::new(()), now).unwrap();
        assert_eq!(sessions.caller(&headers, now).unwrap().session.schema(), DEFAULT_SCHEMA);
    }

    #[test]
    fn timeouts_of_every_unit() {
        for (text, expected) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("100m", Some(Duration::from_millis(100))),
            ("5u", Some(Duration::from_micros(5))),
            ("6n", Some(Duration::from_nanos(6))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("123456789S", None),
            ("S", None),
            ("", None),
            ("-1S", None),
            ("1é", None),
        ] {
            let mut map = MetadataMap::new();
            if let Ok(value) = MetadataValue::try_from(text) {
                map.insert("grpc-timeout", value);
            }
            assert_eq!(timeout(&map), expected, "{text}");
        }
        assert_eq!(timeout(&MetadataMap::new()), None);
    }
}
