//! A bounded map of things that clients refer to by a handle: each one is forgotten when nobody used it for a while.
//!
//! Sessions and prepared statements live in one each. It knows nothing of what it keeps, and takes the time from its
//! caller, so that a test need not wait.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Handles to values of one kind. Values are cloned out, so `V` is an `Arc` of something.
#[derive(Debug)]
pub struct Handles<V> {
    max: usize,
    owner_max: usize,
    idle: Duration,
    // A plain mutex: it is held for a look-up, never across an await.
    state: Mutex<State<V>>,
}

#[derive(Debug)]
struct State<V> {
    entries: HashMap<String, Entry<V>>,
    /// How many entries each owner has; nobody has none.
    owned: HashMap<String, usize>,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    owner: String,
    used: Instant,
}

/// Why a value is not kept: so many are there, all of them in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// Of all owners together.
    All(usize),
    /// Of this owner.
    Owner(usize),
}

impl<V> State<V> {
    fn remove(&mut self, handle: &str) -> Option<V> {
        let entry = self.entries.remove(handle)?;
        if let Some(count) = self.owned.get_mut(&entry.owner) {
            *count -= 1;
            if *count == 0 {
                self.owned.remove(&entry.owner);
            }
        }
        Some(entry.value)
    }

    fn owned_by(&self, owner: &str) -> usize {
        self.owned.get(owner).copied().unwrap_or(0)
    }

    fn forget_idle(&mut self, idle: Duration, now: Instant) -> Vec<V> {
        let expired = self.entries.iter().filter(|(_, entry)| now.duration_since(entry.used) >= idle);
        let expired: Vec<String> = expired.map(|(handle, _)| handle.clone()).collect();
        expired.iter().filter_map(|handle| self.remove(handle)).collect()
    }
}

impl<V: Clone> Handles<V> {
    /// At most `max` values, and `owner_max` of one owner, each forgotten once nobody used it for `idle`.
    pub fn new(max: usize, owner_max: usize, idle: Duration) -> Self {
        let state = State { entries: HashMap::new(), owned: HashMap::new() };
        Handles { max, owner_max, idle, state: Mutex::new(state) }
    }

    /// The value with this handle, which thereby counts as used.
    pub fn find(&self, handle: &str, now: Instant) -> Option<V> {
        let mut state = self.lock();
        let entry = state.entries.get_mut(handle)?;
        if now.duration_since(entry.used) >= self.idle {
            state.remove(handle);
            return None;
        }
        entry.used = now;
        Some(entry.value.clone())
    }

    /// Keeps a value under a handle, which stays with its first owner; an error where there is no room for one more.
    pub fn insert(&self, handle: String, owner: &str, value: V, now: Instant) -> Result<(), Full> {
        let mut state = self.lock();
        if let Some(entry) = state.entries.get_mut(&handle) {
            entry.value = value;
            entry.used = now;
            return Ok(());
        }
        if state.entries.len() >= self.max || state.owned_by(owner) >= self.owner_max {
            state.forget_idle(self.idle, now);
            if state.owned_by(owner) >= self.owner_max {
                return Err(Full::Owner(self.owner_max));
            }
            if state.entries.len() >= self.max {
                return Err(Full::All(self.max));
            }
        }
        *state.owned.entry(owner.to_string()).or_default() += 1;
        state.entries.insert(handle, Entry { value, owner: owner.to_string(), used: now });
        Ok(())
    }

    /// Forgets what nobody used for a while. What is `in_use` all the time counts as used now.
    pub fn sweep(&self, now: Instant, in_use: impl Fn(&V) -> bool) {
        let mut state = self.lock();
        for entry in state.entries.values_mut().filter(|entry| in_use(&entry.value)) {
            entry.used = now;
        }
        let forgotten = state.forget_idle(self.idle, now);
        drop(state);
        // What they hold goes after the lock.
        drop(forgotten);
    }

    /// Forgets a value and returns it.
    pub fn remove(&self, handle: &str) -> Option<V> {
        self.lock().remove(handle)
    }

    /// How many there are, those that have expired and still take room included.
    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// All values that have not expired.
    pub fn values(&self, now: Instant) -> Vec<V> {
        let state = self.lock();
        let live = state.entries.values().filter(|entry| now.duration_since(entry.used) < self.idle);
        live.map(|entry| entry.value.clone()).collect()
    }

    // No code panics while it holds the lock, so a poisoned one is still whole.
    fn lock(&self) -> MutexGuard<'_, State<V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(10);

    #[test]
    fn a_value_lives_while_it_is_used() {
        let handles = Handles::new(2, 2, IDLE);
        let start = Instant::now();
        handles.insert("a".into(), "ada", 1, start).unwrap();
        assert_eq!(handles.find("a", start + IDLE / 2), Some(1));
        assert_eq!(handles.find("a", start + IDLE), Some(1));
        assert_eq!(handles.values(start + IDLE), [1]);
        assert_eq!(handles.len(), 1);
        assert_eq!(handles.find("a", start + IDLE * 2), None);
        assert_eq!(handles.find("a", start), None);
    }

    #[test]
    fn a_full_map_makes_room_only_of_idle_values() {
        let handles = Handles::new(2, 2, IDLE);
        let start = Instant::now();
        handles.insert("a".into(), "ada", 1, start).unwrap();
        handles.insert("b".into(), "ben", 2, start + IDLE / 2).unwrap();
        assert_eq!(handles.insert("c".into(), "ben", 3, start + IDLE / 2), Err(Full::All(2)));
        handles.insert("b".into(), "ben", 4, start + IDLE / 2).unwrap();
        handles.insert("c".into(), "ben", 3, start + IDLE).unwrap();
        assert_eq!(handles.find("a", start + IDLE), None);
        assert_eq!(handles.find("b", start + IDLE), Some(4));
    }

    #[test]
    fn a_sweep_forgets_what_is_idle_and_not_in_use() {
        let handles = Handles::new(10, 10, IDLE);
        let start = Instant::now();
        for (handle, value) in [("idle", 1), ("in use", 2), ("fresh", 3)] {
            handles.insert(handle.into(), "ada", value, start).unwrap();
        }
        handles.find("fresh", start + IDLE / 2);
        handles.sweep(start + IDLE, |value| *value == 2);
        // Only what is there no more makes room without a look at the time.
        assert_eq!(["idle", "in use", "fresh"].map(|handle| handles.remove(handle)), [None, Some(2), Some(3)]);
    }

    #[test]
    fn one_owner_cannot_take_the_room_of_others() {
        let handles = Handles::new(10, 2, IDLE);
        let start = Instant::now();
        handles.insert("a".into(), "ada", 1, start).unwrap();
        handles.insert("b".into(), "ada", 2, start).unwrap();
        assert_eq!(handles.insert("c".into(), "ada", 3, start), Err(Full::Owner(2)));
        handles.insert("d".into(), "ben", 4, start).unwrap();
        assert_eq!(handles.remove("a"), Some(1));
        assert_eq!(handles.remove("a"), None);
        handles.insert("c".into(), "ada", 3, start).unwrap();
        assert_eq!(handles.values(start).len(), 3);
    }
}
