//! Answers that are owed to somebody whom the server would not let in any more.
//!
//! Whoever creates the first user closes the server, to themselves as well; most clients then come for the result of that
//! very statement. Its ticket has the finished result in it and nothing else, so that showing it tells them nothing new.
//! The exact ticket is remembered for a while, by its hash, and is good for nothing else. It takes the time from its
//! caller.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use sha2::{Digest, Sha256};

use crate::limits::{OWED_ANSWER_TTL, OWED_ANSWERS_MAX};

/// The tickets of such answers.
#[derive(Debug, Default)]
pub struct Owed {
    // A plain mutex: it is held for a look-up, never across an await.
    tickets: Mutex<VecDeque<(Hash, Instant)>>,
}

type Hash = [u8; 32];

impl Owed {
    /// Remembers a ticket.
    pub fn insert(&self, ticket: &[u8], now: Instant) {
        let mut tickets = self.lock();
        while tickets.len() >= OWED_ANSWERS_MAX {
            tickets.pop_front();
        }
        tickets.push_back((Sha256::digest(ticket).into(), now));
    }

    /// Whether the answer behind this ticket is owed. Nothing is hashed where none is, which is nearly always.
    pub fn contains(&self, ticket: &[u8], now: Instant) -> bool {
        let mut tickets = self.lock();
        tickets.retain(|(_, since)| now.saturating_duration_since(*since) < OWED_ANSWER_TTL);
        if tickets.is_empty() {
            return false;
        }
        let hash: Hash = Sha256::digest(ticket).into();
        tickets.iter().any(|(known, _)| *known == hash)
    }

    // No code panics while it holds the lock, so a poisoned one is still whole.
    fn lock(&self) -> MutexGuard<'_, VecDeque<(Hash, Instant)>> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_ticket_counts_and_not_for_ever() {
        let (owed, start) = (Owed::default(), Instant::now());
        assert!(!owed.contains(b"a", start));
        owed.insert(b"a", start);
        assert!(owed.contains(b"a", start) && owed.contains(b"a", start) && !owed.contains(b"ab", start));
        assert!(!owed.contains(b"a", start + OWED_ANSWER_TTL));
    }

    #[test]
    fn no_more_are_remembered_than_may_be() {
        let (owed, start) = (Owed::default(), Instant::now());
        for n in 0..=OWED_ANSWERS_MAX {
            owed.insert(n.to_string().as_bytes(), start);
        }
        assert!(!owed.contains(b"0", start) && owed.contains(b"1", start));
        assert_eq!(owed.lock().len(), OWED_ANSWERS_MAX);
    }
}
