//! The catalog of servers that share a lake: a file for each change, which names all there is.
//!
//! A change reads what others made since, decides on that, and makes the next file; where another server was first, it
//! decides anew. Before a statement begins, what others made is read, so that it sees all that was answered before.

use std::sync::{Arc, PoisonError};

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::catalog::{Catalog, Names, decode, encode, whole};
use super::directory::DataDirectory;
use super::disk::Disk;
use super::sequence::Sequence;
use crate::limits::SHARED_ATTEMPTS_MAX;
use crate::{Error, Result};

/// The files.
#[derive(Debug)]
pub struct SharedCatalog {
    files: Sequence,
    /// The number of the file that was read last.
    at: Arc<Mutex<u64>>,
}

impl SharedCatalog {
    /// The files of a shared directory, with `start` as the first where there are none.
    pub fn open(directory: &DataDirectory, disk: &Arc<dyn Disk>, start: Names) -> Result<Option<Self>> {
        if directory.member().is_none() {
            return Ok(None);
        }
        let files = directory.sequence("catalog", disk, false)?;
        if files.newest_now()?.is_none() {
            // Another server may be first with the same.
            files.make_now(1, &encode(&start)?)?;
        }
        Ok(Some(SharedCatalog { files, at: Arc::default() }))
    }
}

impl Catalog {
    /// Reads what other servers changed; whether there was anything.
    pub async fn refresh(&self) -> Result<bool> {
        let Some(shared) = &self.shared else { return Ok(false) };
        let mut at = shared.at.lock().await;
        self.catch_up(shared, &mut at).await
    }

    /// See [`Catalog::change`].
    pub(super) async fn change_shared<T>(
        self: &Arc<Self>,
        shared: &SharedCatalog,
        turn: OwnedMutexGuard<()>,
        mut change: impl FnMut(&mut Names) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        for _ in 0..SHARED_ATTEMPTS_MAX {
            let mut at = shared.at.clone().lock_owned().await;
            self.catch_up(shared, &mut at).await?;
            let mut after = self.names().as_ref().clone();
            let Some(outcome) = change(&mut after)? else { return Ok(None) };
            let (this, files) = (Arc::clone(self), shared.files.clone());
            // A task of its own, which keeps the place: half-way is no place to stop.
            let made = whole(async move {
                let made = files.make(*at + 1, encode(&after)?).await?;
                if made {
                    *at += 1;
                    *this.names.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(after);
                }
                Ok(made)
            });
            let made = made.await.map_err(|error| {
                Error::unavailable(format!("the catalog cannot be written: {}", error.message()))
                    .with_hint("the change may have been made all the same: look before you send it again")
            })?;
            if made {
                drop(turn);
                return Ok(Some(outcome));
            }
        }
        Err(Error::unavailable(format!("other servers changed the catalog first, {SHARED_ATTEMPTS_MAX} times")))
    }

    async fn catch_up(&self, shared: &SharedCatalog, at: &mut u64) -> Result<bool> {
        let mut newest = match *at {
            // Early files may be gone.
            0 => shared.files.newest().await?,
            _ => None,
        };
        let mut next = newest.as_ref().map_or(*at, |(number, _)| *number) + 1;
        while let Some(text) = shared.files.read(next).await? {
            newest = Some((next, text));
            next += 1;
        }
        let Some((number, text)) = newest else { return Ok(false) };
        let names = decode(&text).map_err(|error| error.context(format!("`catalog/{number:020}`")))?;
        *self.names.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(names);
        *at = number;
        if number % CLEANED_EVERY == 0 {
            shared.files.remove_below(number).await?;
        }
        Ok(true)
    }
}

/// Changes after which old files are looked for.
const CLEANED_EVERY: u64 = 64;
