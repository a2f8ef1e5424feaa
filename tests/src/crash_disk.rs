//! A disk that remembers what it was asked to make durable, and can be cut off at any moment.
//!
//! It works on a real directory, so that reads find what was written, and keeps a journal of every operation. A power
//! cut after the N-th operation is the journal's first N operations played on a model of a disk that keeps a file's
//! bytes only as of its last sync and a directory's names only as of its last sync; what was not synced survives by
//! chance, as on a real disk. It can also fail its N-th operation. It knows nothing of what is written.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use limn_server::lake::disk::{Disk, DiskFile, LocalDisk};

/// Names a file whatever it is called, as an inode does.
type FileId = u64;

/// One operation that succeeded.
#[derive(Debug, Clone)]
enum Operation {
    CreateDir(PathBuf),
    Create(PathBuf, FileId),
    Write(FileId, Vec<u8>),
    Sync(FileId),
    Truncate(PathBuf, u64),
    Rename(PathBuf, PathBuf),
    Link(PathBuf, PathBuf),
    Remove(PathBuf),
    RemoveAll(PathBuf),
    SyncDir(PathBuf),
}

/// The disk. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CrashDisk {
    inner: Arc<Mutex<Inner>>,
    root: PathBuf,
}

#[derive(Debug, Default)]
struct Inner {
    journal: Vec<Operation>,
    /// Operations asked for, those that failed included.
    asked: usize,
    fail_at: Option<usize>,
    failed: bool,
    /// Syncs of this kind say that they are done and do nothing.
    lie: Option<Lie>,
    next_id: FileId,
    /// Which file has which name now.
    names: BTreeMap<PathBuf, FileId>,
}

/// What becomes of changes that were made and not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsynced {
    /// All are lost.
    Lost,
    /// Each survives or not, as this seed has it: names without their bytes, bytes without their names.
    Chance(u64),
}

/// What a disk only says to have synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// The bytes of files.
    Files,
    /// The names in directories.
    Dirs,
}

impl CrashDisk {
    /// A disk for everything below `root`, an existing directory.
    pub fn new(root: &Path) -> io::Result<Self> {
        Ok(CrashDisk { inner: Arc::default(), root: root.canonicalize()? })
    }

    /// How many operations succeeded so far; a point in time for [`CrashDisk::power_cut`].
    pub fn operations(&self) -> usize {
        self.lock().journal.len()
    }

    /// How many operations were asked for so far.
    pub fn asked(&self) -> usize {
        self.lock().asked
    }

    /// Fails the `n`-th operation from the disk's beginning, counted from 1, and no other.
    pub fn fail_at(&self, n: usize) {
        self.lock().fail_at = Some(n);
    }

    /// Whether the operation that was to fail has been asked for.
    pub fn failed(&self) -> bool {
        self.lock().failed
    }

    /// From now on, syncs of this kind do nothing and say that they are done: a test that passes on such a disk does
    /// not test durability.
    pub fn lie_about(&self, syncs: Lie) {
        self.lock().lie = Some(syncs);
    }

    /// Writes into `into` what a disk has after a power cut right after `operations` operations.
    pub fn power_cut(&self, operations: usize, unsynced: Unsynced, into: &Path) -> io::Result<()> {
        let mut model = Model::new(self.root.clone());
        for operation in &self.lock().journal[..operations] {
            model.play(operation);
        }
        model.materialise(unsynced, into)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does one operation and writes it down, or fails it; one after the other, so that the journal is in order.
    fn step<T>(
        &self,
        work: impl FnOnce(&mut Inner) -> io::Result<T>,
        operation: impl FnOnce(&T) -> Operation,
    ) -> io::Result<T> {
        let mut inner = self.lock();
        inner.asked += 1;
        if inner.fail_at == Some(inner.asked) {
            inner.failed = true;
            return Err(io::Error::other("the disk was told to fail"));
        }
        let done = work(&mut inner)?;
        let operation = operation(&done);
        let untrue = match operation {
            Operation::Sync(_) => inner.lie == Some(Lie::Files),
            Operation::SyncDir(_) => inner.lie == Some(Lie::Dirs),
            _ => false,
        };
        if !untrue {
            inner.journal.push(operation);
        }
        Ok(done)
    }

    fn open(&self, path: &Path, work: impl FnOnce() -> io::Result<Box<dyn DiskFile>>) -> io::Result<Box<dyn DiskFile>> {
        let opened = self.step(
            |inner| {
                let file = work()?;
                let known = inner.names.get(path).copied();
                inner.next_id += 1;
                let id = known.unwrap_or(inner.next_id);
                inner.names.insert(path.to_path_buf(), id);
                Ok((file, id))
            },
            |(_, id)| Operation::Create(path.to_path_buf(), *id),
        );
        let (file, id) = opened?;
        Ok(Box::new(CrashFile { disk: self.clone(), file, id }))
    }
}

impl Disk for CrashDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let missing: Vec<&Path> = path.ancestors().take_while(|p| !p.exists()).collect();
        for dir in missing.into_iter().rev() {
            let made = self.step(|_| std::fs::create_dir(dir), |()| Operation::CreateDir(dir.to_path_buf()));
            match made {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => other?,
            }
            self.sync_dir(dir.parent().unwrap_or(Path::new("/")))?;
        }
        Ok(())
    }

    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.open(path, || LocalDisk.create_new(path))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.open(path, || LocalDisk.append(path))
    }

    fn truncate(&self, path: &Path, bytes: u64) -> io::Result<()> {
        self.step(|_| LocalDisk.truncate(path, bytes), |()| Operation::Truncate(path.to_path_buf(), bytes))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(
            |inner| {
                LocalDisk.rename(from, to)?;
                if let Some(id) = inner.names.remove(from) {
                    inner.names.insert(to.to_path_buf(), id);
                }
                Ok(())
            },
            |()| Operation::Rename(from.to_path_buf(), to.to_path_buf()),
        )
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(
            |inner| {
                LocalDisk.hard_link(from, to)?;
                if let Some(id) = inner.names.get(from).copied() {
                    inner.names.insert(to.to_path_buf(), id);
                }
                Ok(())
            },
            |()| Operation::Link(from.to_path_buf(), to.to_path_buf()),
        )
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.step(
            |inner| {
                LocalDisk.remove_file(path)?;
                inner.names.remove(path);
                Ok(())
            },
            |()| Operation::Remove(path.to_path_buf()),
        )
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.step(
            |inner| {
                LocalDisk.remove_dir_all(path)?;
                inner.names.retain(|name, _| !name.starts_with(path));
                Ok(())
            },
            |()| Operation::RemoveAll(path.to_path_buf()),
        )
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.step(|_| LocalDisk.sync_dir(path), |()| Operation::SyncDir(path.to_path_buf()))
    }
}

#[derive(Debug)]
struct CrashFile {
    disk: CrashDisk,
    file: Box<dyn DiskFile>,
    id: FileId,
}

impl DiskFile for CrashFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (file, id) = (&mut self.file, self.id);
        self.disk.step(|_| file.write_all(bytes), |()| Operation::Write(id, bytes.to_vec()))
    }

    fn sync(&mut self) -> io::Result<()> {
        let (file, id) = (&mut self.file, self.id);
        self.disk.step(|_| file.sync(), |()| Operation::Sync(id))
    }
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Dir,
    File(FileId),
}

#[derive(Debug, Default)]
struct Bytes {
    now: Vec<u8>,
    /// As of the last sync.
    synced: Vec<u8>,
}

/// A disk on which only what was synced lasts.
#[derive(Debug)]
struct Model {
    root: PathBuf,
    files: BTreeMap<FileId, Bytes>,
    now: BTreeMap<PathBuf, Entry>,
    /// As of the last sync of each name's directory.
    synced: BTreeMap<PathBuf, Entry>,
}

impl Model {
    fn new(root: PathBuf) -> Self {
        Model { root, files: BTreeMap::new(), now: BTreeMap::new(), synced: BTreeMap::new() }
    }

    fn play(&mut self, operation: &Operation) {
        match operation {
            Operation::CreateDir(path) => {
                self.now.insert(path.clone(), Entry::Dir);
            }
            Operation::Create(path, id) => {
                self.files.entry(*id).or_default();
                self.now.insert(path.clone(), Entry::File(*id));
            }
            Operation::Write(id, bytes) => self.files.entry(*id).or_default().now.extend(bytes),
            Operation::Sync(id) => {
                let file = self.files.entry(*id).or_default();
                file.synced = file.now.clone();
            }
            Operation::Truncate(path, bytes) => {
                if let Some(Entry::File(id)) = self.now.get(path) {
                    let file = self.files.entry(*id).or_default();
                    file.now.truncate(usize::try_from(*bytes).unwrap_or(usize::MAX));
                    file.synced = file.now.clone();
                }
            }
            Operation::Rename(from, to) => {
                if let Some(entry) = self.now.remove(from) {
                    self.now.insert(to.clone(), entry);
                }
            }
            Operation::Link(from, to) => {
                if let Some(entry) = self.now.get(from).copied() {
                    self.now.insert(to.clone(), entry);
                }
            }
            Operation::Remove(path) => {
                self.now.remove(path);
            }
            Operation::RemoveAll(path) => self.now.retain(|name, _| !name.starts_with(path)),
            Operation::SyncDir(path) => self.sync_dir(path),
        }
    }

    fn sync_dir(&mut self, path: &Path) {
        self.synced.retain(|name, _| name.parent() != Some(path) || self.now.contains_key(name));
        let here = self.now.iter().filter(|(name, _)| name.parent() == Some(path));
        self.synced.extend(here.map(|(name, entry)| (name.clone(), *entry)));
    }

    fn materialise(&self, unsynced: Unsynced, into: &Path) -> io::Result<()> {
        let mut chance = Chance::new(unsynced);
        let mut names: Vec<&PathBuf> = self.now.keys().chain(self.synced.keys()).collect();
        names.sort();
        names.dedup();
        // Parents come before what is in them, and what is in a directory that did not last is lost with it.
        for name in names {
            let (now, synced) = (self.now.get(name), self.synced.get(name));
            let lasting = if now != synced && chance.survives() { now } else { synced };
            let Ok(relative) = name.strip_prefix(&self.root) else { continue };
            let target = into.join(relative);
            if !target.parent().is_some_and(Path::is_dir) {
                continue;
            }
            match lasting {
                None => {}
                Some(Entry::Dir) => std::fs::create_dir_all(&target)?,
                Some(Entry::File(id)) => std::fs::write(&target, self.lasting_bytes(*id, &mut chance))?,
            }
        }
        Ok(())
    }

    fn lasting_bytes(&self, id: FileId, chance: &mut Chance) -> Vec<u8> {
        let Some(file) = self.files.get(&id) else { return Vec::new() };
        let unsynced = file.now.len() > file.synced.len() && file.now.starts_with(&file.synced);
        if !unsynced || !chance.survives() {
            return file.synced.clone();
        }
        let lasts = file.synced.len() + chance.below(file.now.len() - file.synced.len() + 1);
        file.now[..lasts].to_vec()
    }
}

/// Coins that fall the same way for the same seed (SplitMix64, <https://prng.di.unimi.it/splitmix64.c>).
struct Chance(Option<u64>);

impl Chance {
    fn new(unsynced: Unsynced) -> Self {
        match unsynced {
            Unsynced::Lost => Chance(None),
            Unsynced::Chance(seed) => Chance(Some(seed)),
        }
    }

    fn next(&mut self) -> Option<u64> {
        let state = self.0.as_mut()?;
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Some(mixed ^ (mixed >> 31))
    }

    fn survives(&mut self) -> bool {
        self.next().is_some_and(|coin| coin & 1 == 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next().unwrap_or(0) % bound as u64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A disk that never forgets would pass every crash test, so this one is shown to forget.
    #[test]
    fn only_what_was_synced_lasts() {
        let (dir, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let disk = CrashDisk::new(dir.path()).unwrap();
        let root = dir.path().canonicalize().unwrap();

        let mut kept = disk.create_new(&root.join("kept")).unwrap();
        kept.write_all(b"synced").unwrap();
        kept.sync().unwrap();
        kept.write_all(b" and more").unwrap();
        disk.sync_dir(&root).unwrap();
        let mut nameless = disk.create_new(&root.join("nameless")).unwrap();
        nameless.write_all(b"bytes").unwrap();
        nameless.sync().unwrap();
        disk.rename(&root.join("kept"), &root.join("renamed")).unwrap();

        disk.power_cut(disk.operations(), Unsynced::Lost, cut.path()).unwrap();
        assert_eq!(names(cut.path()), ["kept"]);
        assert_eq!(std::fs::read(cut.path().join("kept")).unwrap(), b"synced");
    }

    #[test]
    fn what_was_not_synced_survives_by_chance() {
        let dir = tempfile::tempdir().unwrap();
        let disk = CrashDisk::new(dir.path()).unwrap();
        disk.create_new(&dir.path().canonicalize().unwrap().join("a")).unwrap().write_all(b"bytes").unwrap();
        let outcomes: std::collections::BTreeSet<Option<Vec<u8>>> = (0..64)
            .map(|seed| {
                let cut = tempfile::tempdir().unwrap();
                disk.power_cut(disk.operations(), Unsynced::Chance(seed), cut.path()).unwrap();
                std::fs::read(cut.path().join("a")).ok()
            })
            .collect();
        let whole = Some(b"bytes".to_vec());
        assert!(outcomes.contains(&None) && outcomes.contains(&Some(Vec::new())) && outcomes.contains(&whole));
    }

    #[test]
    fn one_operation_fails_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let disk = CrashDisk::new(dir.path()).unwrap();
        disk.fail_at(2);
        let mut file = disk.create_new(&dir.path().join("a")).unwrap();
        assert!(file.write_all(b"x").is_err() && disk.failed());
        file.write_all(b"y").unwrap();
        assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"y");
        assert_eq!(disk.asked(), 3);
    }
}
