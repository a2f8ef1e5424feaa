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
    idle: Duration,
    // A plain mutex: it is held for a look-up, never across an await.
    entries: Mutex<HashMap<String, Entry<V>>>,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    used: Instant,
}

impl<V: Clone> Handles<V> {
    /// At most `max` values, each forgotten once nobody used it for `idle`.
    pub fn new(max: usize, idle: Duration) -> Self {
        Handles { max, idle, entries: Mutex::default() }
    }

    /// The value with this handle, which thereby counts as used.
    pub fn find(&self, handle: &str, now: Instant) -> Option<V> {
        let mut entries = self.lock();
        let entry = entries.get_mut(handle)?;
        if now.duration_since(entry.used) >= self.idle {
            entries.remove(handle);
            return None;
        }
        entry.used = now;
        Some(entry.value.clone())
    }

    /// Keeps a value; gives it back where the map is full of values in use.
    pub fn insert(&self, handle: String, value: V, now: Instant) -> Result<(), V> {
        let mut entries = self.lock();
        if entries.len() >= self.max && !entries.contains_key(&handle) {
            entries.retain(|_, entry| now.duration_since(entry.used) < self.idle);
            if entries.len() >= self.max {
                return Err(value);
            }
        }
        entries.insert(handle, Entry { value, used: now });
        Ok(())
    }

    /// Keeps a value; where the map is full, the one that was used least recently goes.
    pub fn insert_evicting(&self, handle: String, value: V, now: Instant) {
        if let Err(value) = self.insert(handle.clone(), value, now) {
            let mut entries = self.lock();
            let oldest = entries.iter().min_by_key(|(_, entry)| entry.used).map(|(handle, _)| handle.clone());
            if let Some(oldest) = oldest {
                entries.remove(&oldest);
            }
            entries.insert(handle, Entry { value, used: now });
        }
    }

    /// Forgets a value and returns it.
    pub fn remove(&self, handle: &str) -> Option<V> {
        self.lock().remove(handle).map(|entry| entry.value)
    }

    // No code panics while it holds the lock, so a poisoned one is still whole.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry<V>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(10);

    #[test]
    fn a_value_lives_while_it_is_used() {
        let handles = Handles::new(2, IDLE);
        let start = Instant::now();
        handles.insert("a".into(), 1, start).unwrap();
        assert_eq!(handles.find("a", start + IDLE / 2), Some(1));
        assert_eq!(handles.find("a", start + IDLE), Some(1));
        assert_eq!(handles.find("a", start + IDLE * 2), None);
        assert_eq!(handles.find("a", start), None);
    }

    #[test]
    fn a_full_map_makes_room_only_of_idle_values() {
        let handles = Handles::new(2, IDLE);
        let start = Instant::now();
        handles.insert("a".into(), 1, start).unwrap();
        handles.insert("b".into(), 2, start + IDLE / 2).unwrap();
        assert_eq!(handles.insert("c".into(), 3, start + IDLE / 2), Err(3));
        handles.insert("b".into(), 4, start + IDLE / 2).unwrap();
        handles.insert("c".into(), 3, start + IDLE).unwrap();
        assert_eq!(handles.find("a", start + IDLE), None);
        assert_eq!(handles.find("b", start + IDLE), Some(4));
    }

    #[test]
    fn evicting_takes_the_least_recently_used() {
        let handles = Handles::new(2, IDLE);
        let start = Instant::now();
        let step = Duration::from_secs(1);
        handles.insert_evicting("a".into(), 1, start);
        handles.insert_evicting("b".into(), 2, start + step);
        assert_eq!(handles.find("a", start + step * 2), Some(1));
        handles.insert_evicting("c".into(), 3, start + step * 3);
        assert_eq!(handles.find("b", start + step * 3), None);
        assert_eq!(handles.find("a", start + step * 3), Some(1));
        assert_eq!(handles.remove("c"), Some(3));
        assert_eq!(handles.remove("c"), None);
    }
}
