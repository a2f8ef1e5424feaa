//! The servers that share a data directory: which of them live, what they are doing, and which one cares for all.
//!
//! Each server writes a file again and again; one whose file stays the same for long is taken for dead, by the clock of
//! whoever looks. One living server holds the lease, which is a number that it made first. Neither guards what must be
//! right: commits do that by themselves. It spares work, and lets somebody clean up behind the dead.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::directory::{Holder, replace};
use super::disk::Disk;
use super::sequence::Sequence;
use crate::{Error, Result};

/// This server among those that share a data directory.
#[derive(Debug)]
pub struct Membership {
    id: String,
    disk: Arc<dyn Disk>,
    root: PathBuf,
    lease: Sequence,
    /// A server whose file was the same for this long is dead.
    dead_after: Duration,
    own: Mutex<Member>,
    seen: Mutex<HashMap<String, Seen>>,
    leads: AtomicBool,
}

/// What a server's file says.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Member {
    #[serde(flatten)]
    holder: Holder,
    /// Another one each time.
    beat: u64,
    /// Runs that it is training.
    trainings: BTreeSet<String>,
}

#[derive(Debug)]
struct Seen {
    member: Member,
    /// When this was seen first.
    since: Instant,
}

impl Membership {
    /// Joins; the directory has its format already.
    pub fn join(root: &Path, disk: Arc<dyn Disk>, holder: Holder, dead_after: Duration) -> Result<Arc<Self>> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let temporary = temporary(root, &id);
        for dir in [servers(root), temporary.clone()] {
            disk.create_dir_all(&dir).map_err(|error| named(error, &dir))?;
        }
        let lease = Sequence::open(disk.clone(), root.join("lease"), temporary, false)?;
        let own = Mutex::new(Member { holder, beat: 0, trainings: BTreeSet::new() });
        let (seen, leads) = (Mutex::default(), AtomicBool::new(false));
        let this = Membership { id, disk, root: root.to_path_buf(), lease, dead_after, own, seen, leads };
        this.write()?;
        Ok(Arc::new(this))
    }

    /// The server's id, another one for each start.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where it has its unfinished files.
    pub fn temporary(&self) -> PathBuf {
        temporary(&self.root, &self.id)
    }

    /// Whether it is the one that cares for all.
    pub fn leads(&self) -> bool {
        self.leads.load(Ordering::Acquire)
    }

    /// Says where it serves.
    pub fn announce(&self, holder: Holder) -> Result<()> {
        self.own().holder = holder;
        self.write()
    }

    /// A run that this server trains, until the guard is dropped.
    pub fn training(self: &Arc<Self>, run_id: &str) -> Training {
        self.own().trainings.insert(run_id.to_string());
        Training { member: self.clone(), run_id: run_id.to_string() }
    }

    /// Whether a living server trains this run.
    pub fn is_trained(&self, run_id: &str) -> bool {
        let seen = self.seen();
        self.own().trainings.contains(run_id)
            || seen.values().any(|seen| self.is_live(seen) && seen.member.trainings.contains(run_id))
    }

    /// Says that it lives, looks who else does, and takes the lease where its holder does not. The dead by their ids.
    pub async fn beat(self: &Arc<Self>) -> Result<Vec<String>> {
        let this = self.clone();
        let looked = tokio::task::spawn_blocking(move || {
            this.own().beat += 1;
            this.write()?;
            this.look()
        });
        looked.await.map_err(|error| Error::internal(format!("looking for servers stopped: {error}")))??;
        let leads = self.lead().await?;
        if leads != self.leads.swap(leads, Ordering::AcqRel) {
            tracing::info!(server = %self.id, leads, "the server that cares for the shared data directory has changed");
        }
        let seen = self.seen();
        Ok(seen.iter().filter(|(_, seen)| !self.is_live(seen)).map(|(id, _)| id.clone()).collect())
    }

    /// Removes what a dead server left of itself.
    pub fn bury(&self, id: &str) -> Result<()> {
        let path = temporary(&self.root, id);
        match self.disk.remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(named(error, &path)),
            _ => {}
        }
        self.forget(id)
    }

    /// Leaves, so that nobody waits for a sign of life.
    pub fn leave(&self) -> Result<()> {
        self.leads.store(false, Ordering::Release);
        self.bury(&self.id)
    }

    /// A server that seems to live, for tools that look for one.
    pub fn anyone(root: &Path, within: Duration) -> Option<Holder> {
        let fresh = |path: &Path| {
            let age = std::fs::metadata(path).ok()?.modified().ok()?.elapsed().unwrap_or_default();
            (age < within).then_some(())
        };
        let entries = std::fs::read_dir(servers(root)).ok()?;
        let mut found: Vec<Holder> = entries
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                fresh(&path)?;
                read(&path).ok().flatten().map(|member| member.holder)
            })
            .filter(|holder| holder.flight.is_some())
            .collect();
        found.sort_by_key(|holder| holder.started_at);
        found.pop()
    }

    async fn lead(&self) -> Result<bool> {
        let (number, holder) = match self.lease.newest().await? {
            Some((number, holder)) => (number, String::from_utf8_lossy(&holder).into_owned()),
            None => (0, String::new()),
        };
        if holder == self.id {
            return Ok(true);
        }
        if self.seen().get(&holder).is_some_and(|seen| self.is_live(seen)) {
            return Ok(false);
        }
        let taken = self.lease.make(number + 1, self.id.clone().into_bytes()).await?;
        if taken {
            self.lease.remove_below(number).await?;
        }
        Ok(taken)
    }

    fn look(&self) -> Result<()> {
        let dir = servers(&self.root);
        let mut found = HashMap::new();
        for entry in std::fs::read_dir(&dir).map_err(|error| named(error, &dir))? {
            let path = entry.map_err(|error| named(error, &dir))?.path();
            let Some(id) = path.file_stem().and_then(|id| id.to_str()).filter(|id| *id != self.id) else { continue };
            // One that has just left is not there any more.
            if let Some(member) = read(&path)? {
                found.insert(id.to_string(), member);
            }
        }
        let mut seen = self.seen();
        seen.retain(|id, _| found.contains_key(id));
        for (id, member) in found {
            match seen.get_mut(&id) {
                Some(known) if known.member.beat == member.beat => known.member = member,
                _ => drop(seen.insert(id, Seen { member, since: Instant::now() })),
            }
        }
        Ok(())
    }

    fn is_live(&self, seen: &Seen) -> bool {
        seen.since.elapsed() < self.dead_after
    }

    fn write(&self) -> Result<()> {
        let text = serde_json::to_vec(&*self.own()).map_err(io::Error::from)?;
        let path = servers(&self.root).join(format!("{}.json", self.id));
        replace(self.disk.as_ref(), &path, &self.temporary(), &text).map_err(|error| named(error, &path))
    }

    fn forget(&self, id: &str) -> Result<()> {
        let path = servers(&self.root).join(format!("{id}.json"));
        match self.disk.remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(named(error, &path)),
            _ => {}
        }
        self.seen().remove(id);
        Ok(())
    }

    fn own(&self) -> MutexGuard<'_, Member> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<String, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A run that is being trained.
pub struct Training {
    member: Arc<Membership>,
    run_id: String,
}

impl Drop for Training {
    fn drop(&mut self) {
        self.member.own().trainings.remove(&self.run_id);
    }
}

fn servers(root: &Path) -> PathBuf {
    root.join("servers")
}

fn temporary(root: &Path, id: &str) -> PathBuf {
    root.join("tmp").join(id)
}

fn read(path: &Path) -> Result<Option<Member>> {
    match std::fs::read(path) {
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| Error::internal(format!("`{}` is damaged: {error}", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(named(error, path)),
    }
}

fn named(error: io::Error, path: &Path) -> Error {
    Error::from(error).context(format!("`{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;
    use crate::lake::disk::LocalDisk;

    const LONG: Duration = Duration::from_secs(3600);

    fn join(dir: &tempfile::TempDir, dead_after: Duration) -> Arc<Membership> {
        let holder = Holder { pid: 1, started_at: Utc::now(), flight: None, http: None, local: None };
        Membership::join(dir.path(), Arc::new(LocalDisk), holder, dead_after).unwrap()
    }

    #[tokio::test]
    async fn one_of_two_leads_until_it_leaves() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (join(&dir, LONG), join(&dir, LONG));
        assert!(first.beat().await.unwrap().is_empty() && second.beat().await.unwrap().is_empty());
        assert!(first.leads() && !second.leads());
        first.leave().unwrap();
        second.beat().await.unwrap();
        assert!(second.leads() && !first.leads());
    }

    #[tokio::test]
    async fn who_gives_no_sign_is_dead_and_leaves_the_lease_and_its_runs() {
        let dir = tempfile::tempdir().unwrap();
        let first = join(&dir, LONG);
        let training = first.training("r");
        first.beat().await.unwrap();
        let patient = join(&dir, LONG);
        assert!(patient.beat().await.unwrap().is_empty());
        assert!(patient.is_trained("r") && !patient.is_trained("s"));
        let second = join(&dir, Duration::ZERO);
        assert_eq!(second.beat().await.unwrap().len(), 2, "both others are dead to who never waits");
        assert!(second.leads() && !second.is_trained("r"));
        second.bury(first.id()).unwrap();
        assert!(!first.temporary().exists());
        // It was not dead, and says so.
        first.beat().await.unwrap();
        assert!(!first.leads() || second.beat().await.unwrap().is_empty());
        drop(training);
        first.beat().await.unwrap();
        patient.beat().await.unwrap();
        assert!(!patient.is_trained("r"));
    }
}
