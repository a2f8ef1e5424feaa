//! Evaluators that are ready to score, by the hash of their artifact.
//!
//! Bounded in number and in bytes; the one that was not used for longest leaves first. It knows nothing of names, versions
//! and aliases: an alias that moves means another hash.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use limn_sql_udfs::model::evaluator::Evaluator;

use crate::limits::{MODEL_CACHE_BYTES, MODEL_CACHE_MAX};

/// The cache.
#[derive(Debug)]
pub(super) struct ModelCache {
    loaded: Mutex<Loaded>,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Loaded {
    by_hash: HashMap<String, Entry>,
    /// Counts uses, so that the entry with the smallest number was not used for longest.
    clock: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    evaluator: Arc<dyn Evaluator>,
    bytes: usize,
    used: u64,
}

impl ModelCache {
    pub(super) fn new() -> Self {
        ModelCache { loaded: Mutex::default(), bytes_max: MODEL_CACHE_BYTES }
    }

    // No code panics while it holds the lock, so a poisoned one is still whole.
    fn lock(&self) -> std::sync::MutexGuard<'_, Loaded> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The evaluator of an artifact.
    pub(super) fn find(&self, sha256: &str) -> Option<Arc<dyn Evaluator>> {
        let mut loaded = self.lock();
        loaded.clock += 1;
        let now = loaded.clock;
        let entry = loaded.by_hash.get_mut(sha256)?;
        entry.used = now;
        Some(Arc::clone(&entry.evaluator))
    }

    /// Keeps an evaluator that takes about `bytes`. One that alone takes more than all may is not kept.
    pub(super) fn keep(&self, sha256: &str, evaluator: &Arc<dyn Evaluator>, bytes: usize) {
        if bytes > self.bytes_max {
            return;
        }
        let mut leaving = Vec::new();
        {
            let mut loaded = self.lock();
            loaded.clock += 1;
            let entry = Entry { evaluator: Arc::clone(evaluator), bytes, used: loaded.clock };
            loaded.bytes += bytes;
            leaving.extend(loaded.by_hash.insert(sha256.to_owned(), entry));
            loaded.bytes -= leaving.iter().map(|entry| entry.bytes).sum::<usize>();
            while loaded.by_hash.len() > MODEL_CACHE_MAX || loaded.bytes > self.bytes_max {
                let oldest = loaded.by_hash.iter().min_by_key(|(_, entry)| entry.used).map(|(hash, _)| hash.clone());
                let Some(entry) = oldest.and_then(|hash| loaded.by_hash.remove(&hash)) else { break };
                loaded.bytes -= entry.bytes;
                leaving.push(entry);
            }
        }
        // A large model is freed without the lock.
        drop(leaving);
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::ArrayRef;
    use limn_sql_udfs::model::signature::Signature;

    use super::*;

    #[derive(Debug)]
    struct Nothing;

    impl Evaluator for Nothing {
        fn signature(&self) -> &Signature {
            unreachable!("nobody scores with it")
        }

        fn predict(&self, _: &[ArrayRef], _: usize) -> limn_sql_udfs::Result<ArrayRef> {
            unreachable!("nobody scores with it")
        }

        fn predict_proba(&self, _: &[ArrayRef], _: usize) -> limn_sql_udfs::Result<ArrayRef> {
            unreachable!("nobody scores with it")
        }
    }

    fn cache(bytes_max: usize) -> (ModelCache, Arc<dyn Evaluator>) {
        (ModelCache { loaded: Mutex::default(), bytes_max }, Arc::new(Nothing))
    }

    #[test]
    fn what_was_not_used_for_longest_leaves_when_bytes_are_short() {
        let (cache, model) = cache(100);
        cache.keep("a", &model, 40);
        cache.keep("b", &model, 40);
        assert!(cache.find("a").is_some());
        cache.keep("c", &model, 40);
        let found: Vec<bool> = ["a", "b", "c"].iter().map(|hash| cache.find(hash).is_some()).collect();
        assert_eq!(found, [true, false, true]);
        // The same artifact again, which two statements loaded at once, counts once.
        cache.keep("c", &model, 40);
        assert!(cache.find("a").is_some());
        // One that would drive out all others and itself is not kept.
        cache.keep("huge", &model, 101);
        assert!(cache.find("huge").is_none() && cache.find("a").is_some());
    }

    #[test]
    fn the_number_of_models_is_bounded() {
        let (cache, model) = cache(usize::MAX);
        for number in 0..=MODEL_CACHE_MAX {
            cache.keep(&number.to_string(), &model, 1);
        }
        assert!(cache.find("0").is_none() && cache.find("1").is_some());
        assert_eq!(cache.lock().by_hash.len(), MODEL_CACHE_MAX);
    }
}
