//! Users and tokens that several servers share: a private file for each change, which names all there are.
//!
//! What another server changed is known here a moment later, with its next sign of life; whoever is not known is looked
//! for at once. So a token that was revoked elsewhere is accepted for that moment.

use std::sync::{Arc, PoisonError};

use tokio::sync::Mutex;

use super::stored::{self, Accounts};
use super::{Inner, Users};
use crate::lake::sequence::Sequence;
use crate::limits::SHARED_ATTEMPTS_MAX;
use crate::{Error, Result};

/// The files.
#[derive(Debug)]
pub struct SharedUsers {
    files: Sequence,
    /// The number of the file that was read last; 0 for none.
    at: Mutex<u64>,
}

impl SharedUsers {
    /// The files, and what the newest says.
    pub fn open(files: Sequence) -> Result<(Self, Accounts)> {
        let (at, accounts) = match files.newest_now()? {
            Some((number, text)) => (number, stored::decode(&text)?),
            None => (0, Accounts::default()),
        };
        Ok((SharedUsers { files, at: Mutex::new(at) }, accounts))
    }
}

impl Users {
    /// Reads what other servers changed.
    pub async fn refresh(&self) -> Result<()> {
        match &self.inner.shared {
            Some(shared) => self.inner.catch_up(shared, &mut *shared.at.lock().await).await,
            None => Ok(()),
        }
    }
}

impl Inner {
    /// A change on top of what other servers changed; asked again where one of them was first.
    pub(super) async fn change_shared<T>(
        &self,
        shared: &SharedUsers,
        mut change: impl FnMut(&mut Accounts) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let mut at = shared.at.lock().await;
        for _ in 0..SHARED_ATTEMPTS_MAX {
            self.catch_up(shared, &mut at).await?;
            let mut after = self.accounts.read().unwrap_or_else(PoisonError::into_inner).as_ref().clone();
            let Some(outcome) = change(&mut after)? else { return Ok(None) };
            after.index();
            if shared.files.make(*at + 1, stored::encode(&after)?).await? {
                *at += 1;
                *self.accounts.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(after);
                return Ok(Some(outcome));
            }
        }
        Err(Error::unavailable(format!("other servers changed the users first, {SHARED_ATTEMPTS_MAX} times")))
    }

    async fn catch_up(&self, shared: &SharedUsers, at: &mut u64) -> Result<()> {
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
        let Some((number, text)) = newest else { return Ok(()) };
        *self.accounts.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(stored::decode(&text)?);
        *at = number;
        // Passwords and tokens that are no more do not stay for long.
        shared.files.remove_below(number).await
    }
}
