//! The plans of queries between `GetFlightInfo` and the `DoGet` that redeems its ticket.
//!
//! The ticket says all that is needed to plan the query again, and does where the plan is gone: most clients come right
//! after, and are spared that. A plan is run once, for the one who had it made. It knows nothing of what is in a plan.
//!
//! A query is described before it is planned to the end: while the client reads the one answer and asks for the other,
//! the rest of the planning goes on.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::session::Caller;
use crate::engine::{Principal, ReadyQuery, StatementContext};
use crate::limits::{WIRE_PLANS_KEPT, WIRE_PLANS_KEPT_FOR, WIRE_PLANS_KEPT_TICKET_BYTES};

/// A plan that is made to the end meanwhile; nothing comes of it where that fails.
pub type Waiting = oneshot::Receiver<ReadyQuery>;

/// What is kept, the oldest first.
#[derive(Debug, Default)]
pub struct Plans {
    // A plain mutex: it is held for a look-up among few, never across an await.
    kept: Mutex<VecDeque<Kept<Waiting>>>,
}

#[derive(Debug)]
struct Kept<P> {
    handle: Bytes,
    principal: Principal,
    since: Instant,
    plan: P,
}

impl Plans {
    /// Keeps the plan of a statement for whoever brings its ticket.
    pub fn keep(&self, ctx: &StatementContext, handle: Bytes, plan: Waiting) {
        // Temporary tables are those of a session, which the ticket does not name.
        if handle.len() > WIRE_PLANS_KEPT_TICKET_BYTES || !ctx.session.temporaries.is_empty() {
            return;
        }
        let kept = Kept { handle, principal: ctx.principal.clone(), since: Instant::now(), plan };
        let forgotten = push(&mut self.lock(), kept);
        drop(forgotten);
    }

    /// The plan of this ticket, which is given out once.
    pub fn take(&self, caller: &Caller, handle: &[u8]) -> Option<Waiting> {
        if !caller.session.temporaries.is_empty() {
            return None;
        }
        take(&mut self.lock(), &caller.principal, handle, Instant::now())
    }

    /// Forgets what nobody came for.
    pub fn sweep(&self, now: Instant) {
        let forgotten = expired(&mut self.lock(), now);
        drop(forgotten);
    }

    /// No code panics while it holds the lock, so a poisoned one is still whole.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Kept<Waiting>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds one and answers those that had to go for it, to be dropped without the lock.
fn push<P>(kept: &mut VecDeque<Kept<P>>, new: Kept<P>) -> Vec<Kept<P>> {
    let mut forgotten = expired(kept, new.since);
    let room = WIRE_PLANS_KEPT.saturating_sub(1);
    forgotten.extend(kept.drain(..kept.len().saturating_sub(room)));
    kept.push_back(new);
    forgotten
}

fn take<P>(kept: &mut VecDeque<Kept<P>>, principal: &Principal, handle: &[u8], now: Instant) -> Option<P> {
    let is_it = |one: &Kept<P>| one.handle == handle && one.principal == *principal;
    let place = kept.iter().position(is_it)?;
    let found = kept.remove(place)?;
    (now.duration_since(found.since) < WIRE_PLANS_KEPT_FOR).then_some(found.plan)
}

fn expired<P>(kept: &mut VecDeque<Kept<P>>, now: Instant) -> Vec<Kept<P>> {
    let old = kept.iter().take_while(|one| now.duration_since(one.since) >= WIRE_PLANS_KEPT_FOR).count();
    kept.drain(..old).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn kept(handle: &'static str, principal: &str, since: Instant) -> Kept<&'static str> {
        Kept {
            handle: Bytes::from_static(handle.as_bytes()),
            principal: Principal(principal.into()),
            since,
            plan: handle,
        }
    }

    #[test]
    fn a_plan_is_given_once_to_the_one_who_made_it() {
        let (mut plans, now) = (VecDeque::new(), Instant::now());
        let (ada, bob) = (Principal("ada".into()), Principal("bob".into()));
        push(&mut plans, kept("one", "ada", now));
        push(&mut plans, kept("two", "ada", now));
        assert_eq!(take(&mut plans, &bob, b"one", now), None);
        assert_eq!(take(&mut plans, &ada, b"one and more", now), None);
        assert_eq!(take(&mut plans, &ada, b"one", now), Some("one"));
        assert_eq!(take(&mut plans, &ada, b"one", now), None);
        assert_eq!(take(&mut plans, &ada, b"two", now), Some("two"));
    }

    #[test]
    fn the_old_and_the_many_are_forgotten() {
        let (mut plans, now) = (VecDeque::new(), Instant::now());
        let ada = Principal("ada".into());
        push(&mut plans, kept("old", "ada", now));
        let later = now + WIRE_PLANS_KEPT_FOR;
        assert_eq!(push(&mut plans, kept("new", "ada", later)).len(), 1);
        assert_eq!(take(&mut plans, &ada, b"old", now), None);
        for _ in 0..WIRE_PLANS_KEPT - 1 {
            assert!(push(&mut plans, kept("more", "ada", later)).is_empty());
        }
        assert_eq!(push(&mut plans, kept("most", "ada", later))[0].plan, "new");
        assert_eq!(plans.len(), WIRE_PLANS_KEPT);
        assert_eq!(take(&mut plans, &ada, b"most", later + WIRE_PLANS_KEPT_FOR), None);
        assert_eq!(
            expired(&mut plans, later + WIRE_PLANS_KEPT_FOR + Duration::from_nanos(1)).len(),
            WIRE_PLANS_KEPT - 1
        );
        assert!(plans.is_empty());
    }
}
