//! How many wrong passwords were presented lately, for each user and from each address.
//!
//! Users who do not exist are counted as well, so that a refusal tells nothing. It takes the time from its caller and
//! knows nothing of passwords.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::limits::{
    FAILED_ATTEMPTS_PER_ADDRESS_MAX, FAILED_ATTEMPTS_PER_USER_MAX, FAILED_ATTEMPTS_TRACKED_MAX, FAILED_ATTEMPTS_WINDOW,
};
use crate::{Error, Result};

/// Who is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    /// By a hash of the name, which may be long.
    User(String),
    Address(IpAddr),
}

impl Who {
    fn max(&self) -> u32 {
        match self {
            Who::User(_) => FAILED_ATTEMPTS_PER_USER_MAX,
            Who::Address(_) => FAILED_ATTEMPTS_PER_ADDRESS_MAX,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Count {
    wrong: u32,
    since: Instant,
}

/// The counts.
#[derive(Debug, Default)]
pub struct Attempts {
    // A plain mutex: it is held for a look-up, never across an await.
    counts: Mutex<HashMap<Who, Count>>,
}

impl Attempts {
    /// `Exhausted` where there were too many.
    pub fn check(&self, user: &str, address: Option<IpAddr>, now: Instant) -> Result<()> {
        let counts = self.lock();
        for who in both(user, address) {
            let recent = counts.get(&who).filter(|count| is_recent(count, now));
            if let Some(count) = recent.filter(|count| count.wrong >= who.max()) {
                let left = FAILED_ATTEMPTS_WINDOW.saturating_sub(now.duration_since(count.since));
                return Err(Error::exhausted("too many wrong passwords")
                    .with_hint(format!("wait {} seconds and try again", left.as_secs().max(1))));
            }
        }
        Ok(())
    }

    /// Counts a wrong password.
    pub fn failed(&self, user: &str, address: Option<IpAddr>, now: Instant) {
        let mut counts = self.lock();
        for who in both(user, address) {
            if counts.len() >= FAILED_ATTEMPTS_TRACKED_MAX && !counts.contains_key(&who) {
                make_room(&mut counts, now);
            }
            let count = counts.entry(who).or_insert(Count { wrong: 0, since: now });
            if !is_recent(count, now) {
                *count = Count { wrong: 0, since: now };
            }
            count.wrong += 1;
        }
    }

    /// Forgets what was wrong for a user who was right. The address stays counted: who has one password of their own
    /// may not guess others' without end.
    pub fn succeeded(&self, user: &str) {
        for who in both(user, None) {
            self.lock().remove(&who);
        }
    }

    // No code panics while it holds the lock, so a poisoned one is still whole.
    fn lock(&self) -> MutexGuard<'_, HashMap<Who, Count>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_recent(count: &Count, now: Instant) -> bool {
    now.saturating_duration_since(count.since) < FAILED_ATTEMPTS_WINDOW
}

/// What is old goes first; where nothing is, the ones with the fewest wrong passwords.
fn make_room(counts: &mut HashMap<Who, Count>, now: Instant) {
    counts.retain(|_, count| is_recent(count, now));
    if counts.len() >= FAILED_ATTEMPTS_TRACKED_MAX {
        let least = counts.values().map(|count| count.wrong).min().unwrap_or_default();
        counts.retain(|_, count| count.wrong > least);
    }
}

fn both(user: &str, address: Option<IpAddr>) -> impl Iterator<Item = Who> {
    let user = Who::User(crate::flight::auth::hash(&[user]));
    std::iter::once(user).chain(address.map(|address| Who::Address(network(address))))
}

/// An IPv6 client has a whole network of addresses to come from.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_user_is_refused_after_so_many_and_again_accepted_later() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        for n in 0..FAILED_ATTEMPTS_PER_USER_MAX {
            // From wherever they come.
            let from = address(&format!("10.0.0.{n}"));
            attempts.check("ada", from, start).unwrap();
            attempts.failed("ada", from, start);
        }
        let error = attempts.check("ada", None, start).unwrap_err();
        assert_eq!((error.class(), error.hint()), (Class::Exhausted, Some("wait 60 seconds and try again")));
        attempts.check("bob", address("10.0.0.1"), start).unwrap();
        attempts.check("ada", None, start + FAILED_ATTEMPTS_WINDOW).unwrap();
    }

    #[test]
    fn the_right_password_resets_the_user_and_not_the_address() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        let from = address("2001:db8::1");
        for n in 0..FAILED_ATTEMPTS_PER_ADDRESS_MAX {
            attempts.failed(&format!("user{}", n / 2), from, start);
            attempts.succeeded(&format!("user{}", n / 2));
        }
        attempts.check("user0", None, start).unwrap();
        // The same network.
        assert!(attempts.check("ada", address("2001:db8::2"), start).is_err());
        attempts.check("ada", address("2001:db8:1::2"), start).unwrap();
    }

    #[test]
    fn no_more_are_tracked_than_may_be() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        attempts.failed("ada", None, start);
        attempts.failed("ada", None, start);
        for n in 0..2 * FAILED_ATTEMPTS_TRACKED_MAX {
            attempts.failed(&n.to_string(), None, start);
        }
        let counts = attempts.lock();
        assert!(counts.len() <= FAILED_ATTEMPTS_TRACKED_MAX);
        assert!(counts.values().any(|count| count.wrong == 2), "the most suspicious one was forgotten");
    }
}
