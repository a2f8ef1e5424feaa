//! How a registry comes back: the folded rows, the log behind them, and what the last server left undone.
//!
//! The open segment is written anew: what is read here may be in the machine's cache only (the server may have died
//! before its sync, or its sync may have failed), and everything that readers see must be durable.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::artifacts::Artifacts;
use super::fold::{self, FoldTarget, blocking};
use super::index::Index;
use super::log::LogWriter;
use super::published::{Published, State};
use super::rows::{Experiment, Row, Run, RunStatus};
use super::shared_log::{self, SharedLog};
use super::tables::SystemTable;
use super::transact::{Clock, Staging, Writers};
use super::version::{Key, Stamp, Version};
use super::{Inner, Registry, Shared, segment};
use crate::Result;
use crate::lake::disk::Disk;
use crate::limits::REGISTRY_QUEUE_MAX;

/// The experiment that exists from the start, as the MLflow clients expect it.
const DEFAULT_EXPERIMENT: (&str, &str) = ("0", "Default");
/// Why a TRAIN run that was found running is not.
const LEFT_RUNNING: &str = "the server stopped while this training was running";

/// Opens the registry of `data_dir` with its rows folded into `target`.
pub(super) async fn open(
    data_dir: &Path,
    disk: Arc<dyn Disk>,
    target: Arc<dyn FoldTarget>,
    clock: Clock,
    shared: Option<Shared>,
) -> Result<Registry> {
    if let Some(shared) = shared {
        return open_shared(data_dir, disk, target, clock, shared).await;
    }
    let mut state = folded_rows(target.as_ref()).await?;
    let (log_dir, log_disk, data) = (data_dir.join("registry"), disk.clone(), data_dir.to_path_buf());
    let dir = log_dir.clone();
    let (state, first_seq, artifacts) = blocking(move || {
        let artifacts = Artifacts::open(log_disk.clone(), &data)?;
        log_disk.create_dir_all(&dir).map_err(|error| segment::named(error, &dir))?;
        let first_seq = replay(log_disk.as_ref(), &dir, &mut state)?;
        Ok((state, first_seq, artifacts))
    })
    .await?;

    let staging = Staging::new(state.index.clone());
    let published = Arc::new(Published::new(state));
    let writer = LogWriter::open(disk.clone(), log_dir.clone(), first_seq, published.clone())?;
    let (queue, waiting) = mpsc::channel(REGISTRY_QUEUE_MAX);
    let writers = Writers::new(staging, queue, writer.failure(), clock, false);
    writer.start(waiting)?;
    let registry = Registry::of(Parts { disk, log_dir, artifacts, published, writers, target, shared: None });
    recover(&registry).await?;
    registry.keep_folding();
    Ok(registry)
}

/// The same where the log is shared with other servers.
async fn open_shared(
    data_dir: &Path,
    disk: Arc<dyn Disk>,
    target: Arc<dyn FoldTarget>,
    clock: Clock,
    shared: Shared,
) -> Result<Registry> {
    let mut state = folded_rows(target.as_ref()).await?;
    shared_log::replay(&shared.segments, &mut state).await?;
    let (artifact_disk, data) = (disk.clone(), data_dir.to_path_buf());
    let artifacts = blocking(move || Artifacts::open_beside(artifact_disk, &data)).await?;
    let staging = Staging::new(state.index.clone());
    let published = Arc::new(Published::new(state));
    let (queue, waiting) = mpsc::channel(REGISTRY_QUEUE_MAX);
    let log = SharedLog::new(shared.segments.clone(), published.clone(), staging.clone());
    let writers = Writers::new(staging, queue, log.failure(), clock, true);
    log.start(waiting);
    let log_dir = data_dir.join("registry");
    let registry = Registry::of(Parts { disk, log_dir, artifacts, published, writers, target, shared: Some(shared) });
    let now = registry.inner.writers.now();
    registry
        .transact(|index| {
            let is_there = index.experiment(DEFAULT_EXPERIMENT.0).is_some();
            Ok((if is_there { Vec::new() } else { vec![default_experiment(now)] }, ()))
        })
        .await?;
    registry.keep_folding();
    Ok(registry)
}

/// What an open registry is made of.
struct Parts {
    disk: Arc<dyn Disk>,
    log_dir: PathBuf,
    artifacts: Artifacts,
    published: Arc<Published>,
    writers: Writers,
    target: Arc<dyn FoldTarget>,
    shared: Option<Shared>,
}

impl Registry {
    fn of(parts: Parts) -> Self {
        let Parts { disk, log_dir, artifacts, published, writers, target, shared } = parts;
        let (folding, stop) = (tokio::sync::Mutex::new(()), CancellationToken::new());
        let background = stop.clone().drop_guard();
        let inner = Inner { disk, log_dir, artifacts, published, writers, target, folding, shared, stop, background };
        Registry { inner: Arc::new(inner) }
    }

    fn keep_folding(&self) {
        let weak: Weak<Inner> = Arc::downgrade(&self.inner);
        tokio::spawn(fold::keep_folding(weak, self.inner.stop.clone()));
    }

    /// Ends the trainings of servers that are dead: those that no living one has said to be its own for `patience`.
    /// `since` remembers from when on nobody did.
    pub async fn end_orphans(&self, since: &mut HashMap<String, Instant>, patience: Duration) -> Result<()> {
        let Some(shared) = &self.inner.shared else { return Ok(()) };
        let running: Vec<String> =
            self.with_index(|index| index.running_trainings().map(|run| run.run_id.clone()).collect());
        since.retain(|run_id, _| running.contains(run_id));
        let mut orphans = Vec::new();
        for run_id in running {
            match shared.member.is_trained(&run_id) {
                true => drop(since.remove(&run_id)),
                false if since.entry(run_id.clone()).or_insert_with(Instant::now).elapsed() >= patience => {
                    orphans.push(run_id);
                }
                false => {}
            }
        }
        if orphans.is_empty() {
            return Ok(());
        }
        let now = self.inner.writers.now();
        self.transact(|index| {
            let dead = index.running_trainings().filter(|run| orphans.contains(&run.run_id));
            Ok((dead.map(|run| Row::Run(fail(run, now))).collect(), ()))
        })
        .await
    }
}

/// The rows that the target has.
async fn folded_rows(target: &dyn FoldTarget) -> Result<State> {
    let mut index = Index::new();
    let mut first: Option<Stamp> = None;
    let mut folded = [0; SystemTable::ALL.len()];
    for table in SystemTable::ALL {
        let through = target.folded(table).await?;
        folded[table.ordinal()] = through;
        if through == 0 {
            continue;
        }
        let stored = target.read(table).await?;
        let versions = blocking(move || fold::versions(table, &stored, |_| true)).await?;
        let earliest = versions.iter().map(|version| version.stamp).min_by_key(|stamp| stamp.seq);
        first = [first, earliest].into_iter().flatten().min_by_key(|stamp| stamp.seq);
        for version in last_versions(versions) {
            index.apply(&version);
        }
    }
    Ok(State::new(index, first, folded))
}

/// The last version of each row, deleting ones included.
fn last_versions(versions: Vec<Arc<Version>>) -> Vec<Arc<Version>> {
    let mut last: BTreeMap<Key, Arc<Version>> = BTreeMap::new();
    for version in versions {
        let key = version.record.key();
        if last.get(&key).is_none_or(|known| known.stamp.seq < version.stamp.seq) {
            last.insert(key, version);
        }
    }
    let mut last: Vec<Arc<Version>> = last.into_values().collect();
    last.sort_by_key(|version| version.stamp.seq);
    last
}

/// Takes the log into `state` and gives the first sequence number of the segment to append to, in place and durable.
fn replay(disk: &dyn Disk, dir: &Path, state: &mut State) -> Result<u64> {
    let folded = state.index.last_seq();
    segment::sweep(disk, dir)?;
    let segments = segment::list(dir)?;
    // The number that the next transaction of the log must have; `None` before the first segment.
    let mut next: Option<u64> = None;
    let mut open = None;
    for first_seq in &segments {
        let path = segment::path(dir, *first_seq);
        let is_last = segments.last() == Some(first_seq);
        let (whole, frames) = segment::read(dir, *first_seq, is_last)?;
        // Segments are removed once everything in them is folded, and a power cut may bring any of them back.
        let gap = next.unwrap_or(1)..*first_seq;
        if gap.start > gap.end {
            let why = format!("expected a segment from transaction {} on", gap.start);
            return Err(segment::damaged(&path, 0, &why));
        }
        if !gap.is_empty() && first_seq - 1 > folded {
            let from = gap.start.max(folded + 1);
            let why = format!("the transactions {from} to {} are in no file before it", first_seq - 1);
            return Err(segment::damaged(&path, 0, &why));
        }
        let mut expected = *first_seq;
        for (offset, group) in &frames.groups {
            if group.stamp.seq != expected {
                let why = format!("expected transaction {expected}, found {}", group.stamp.seq);
                return Err(segment::damaged(&path, *offset, &why));
            }
            state.apply(group);
            expected += 1;
        }
        next = Some(expected);
        open = Some((*first_seq, whole));
    }
    let after = state.index.last_seq() + 1;
    match open.filter(|_| next == Some(after)) {
        Some((first_seq, whole)) => {
            segment::write(disk, dir, first_seq, &whole)?;
            Ok(first_seq)
        }
        // There is no log, or one that is older than the folded tables.
        None => {
            segment::write(disk, dir, after, &[])?;
            Ok(after)
        }
    }
}

/// Makes the first experiment, and ends the trainings that died with their server.
async fn recover(registry: &Registry) -> Result<()> {
    let now = registry.inner.writers.now();
    let is_whole = registry.with_index(|index| {
        index.experiment(DEFAULT_EXPERIMENT.0).is_some() && index.running_trainings().next().is_none()
    });
    if is_whole {
        return Ok(());
    }
    registry
        .transact(|index| {
            let failed = index.running_trainings().map(|run| Row::Run(fail(run, now)));
            let default = index.experiment(DEFAULT_EXPERIMENT.0).is_none().then(|| default_experiment(now));
            Ok((default.into_iter().chain(failed).collect(), ()))
        })
        .await
}

fn fail(run: &Run, now: DateTime<Utc>) -> Run {
    Run { status: RunStatus::Failed, ended_at: Some(now), error: Some(LEFT_RUNNING.into()), ..run.clone() }
}

fn default_experiment(now: DateTime<Utc>) -> Row {
    let (experiment_id, name) = DEFAULT_EXPERIMENT;
    Row::Experiment(Experiment {
        experiment_id: experiment_id.into(),
        name: name.into(),
        lifecycle_stage: "active".into(),
        created_at: now,
    })
}
