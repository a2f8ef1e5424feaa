//! What a server of a shared data directory does every moment: it says that it lives and reads what the others changed;
//! the one that leads ends what dead servers left.
//!
//! A statement does not depend on it: it reads what was changed before it begins, by itself.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::open::Inner;
use crate::Result;
use crate::lake::membership::Membership;
use crate::limits::SERVER_BEAT_INTERVAL;

impl Inner {
    /// Makes visible what servers that share the lake answered before this is called.
    pub(super) async fn refresh(&self) -> Result<()> {
        if self.directory.member().is_none() {
            return Ok(());
        }
        let (lake, registry) = tokio::join!(self.lake.refresh(), self.registry.refresh());
        lake.and(registry)
    }

    /// One moment. `orphans` remembers which trainings nobody claims, and since when.
    async fn tend(&self, member: &Arc<Membership>, orphans: &mut HashMap<String, Instant>) -> Result<()> {
        let dead = member.beat().await?;
        self.users.refresh().await?;
        self.refresh().await?;
        if !member.leads() {
            return Ok(());
        }
        self.registry.end_orphans(orphans, self.limits.server_dead_after).await?;
        for server in dead {
            tracing::warn!(server, "a server that shares the data directory is dead; ending what it left");
            self.pending.adopt(&server, &self.registry, &self.lake).await?;
            let member = member.clone();
            super::open::blocking(move || member.bury(&server)).await?;
        }
        Ok(())
    }
}

/// Goes on until the engine stops or is gone.
pub(super) async fn keep_tending(inner: Weak<Inner>, stop: CancellationToken) {
    let mut orphans = HashMap::new();
    loop {
        let Some(inner) = inner.upgrade() else { return };
        let Some(member) = inner.directory.member() else { return };
        if let Err(error) = inner.tend(member, &mut orphans).await {
            tracing::warn!(%error, "the shared data directory cannot be tended; trying again");
        }
        drop(inner);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SERVER_BEAT_INTERVAL) => {}
        }
    }
}
