//! The data directory: one live process at a time, or several that share it; one format version; what lies where.
//!
//! ```text
//! LOCK            held by the live process; says which one and where it serves
//! FORMAT          the version of this layout
//! catalog.json    schemas, tables, views
//! tables/<id>/    one Delta table each, as any Delta reader expects it
//! system/<name>/  Delta tables of Limn's own
//! tmp/            unfinished files; emptied at every start
//! servers/, lease/, catalog/: of servers that share the directory, see `membership` and `sequence`
//! ```
//! What else is in it belongs to the parts that put it there. This file knows nothing of Delta.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::disk::{Disk, DiskFile};
use super::membership::Membership;
use super::sequence::Sequence;
use crate::limits::{LOCK_ATTEMPTS_MAX, LOCK_RETRY_INTERVAL, SERVER_DEAD_AFTER};
use crate::{Error, Result};

/// The format that this Limn writes for one server; it reads all up to this one.
///
/// - 2: `system.runs` says more of how a run came about, and there is `system.lineage`.
pub const FORMAT: u32 = 2;
/// The format of a directory that several servers share.
pub const SHARED_FORMAT: u32 = 3;

const LOCK_FILE: &str = "LOCK";
const FORMAT_FILE: &str = "FORMAT";
const TEMPORARY: &str = "tmp";

/// Who holds a data directory, as its lock file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// When it took the directory.
    pub started_at: DateTime<Utc>,
    /// Where it serves Flight SQL, once it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flight: Option<String>,
    /// Where it serves HTTP, once it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// Where tools of this machine reach Flight SQL without TLS, once they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<String>,
}

/// A data directory that this process holds; dropping the last clone releases it.
#[derive(Debug, Clone)]
pub struct DataDirectory {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// The lock lives as long as this file is open, and ends with the process however that ends.
    lock: Mutex<File>,
    holder: Mutex<Holder>,
    /// This server among those that share the directory.
    member: Option<Arc<Membership>>,
}

#[derive(Serialize, Deserialize)]
struct Format {
    format: u32,
}

impl DataDirectory {
    /// Takes the directory, creating it where it does not exist; alone, unless it was made to be shared.
    ///
    /// Fails with `Unavailable` where another live process holds it, with `Unsupported` where a newer Limn wrote it,
    /// and with `Input` where it has content that is not Limn's.
    pub fn open(path: &Path, disk: &Arc<dyn Disk>) -> Result<Self> {
        Self::open_for(path, disk, None, SERVER_DEAD_AFTER)
    }

    /// The same for a directory that must be shared (`Some(true)`), that must not be, or that is as it is.
    pub fn open_for(path: &Path, disk: &Arc<dyn Disk>, wanted: Option<bool>, dead_after: Duration) -> Result<Self> {
        let shown = path.display();
        let failed = |error: io::Error| Error::from(error).context(format!("data directory `{shown}`"));
        disk.create_dir_all(path).map_err(failed)?;
        let path = path.canonicalize().map_err(failed)?;
        refuse_foreign(&path)?;
        let found = read_format(&path)?;
        let shared = match found {
            None => wanted.unwrap_or(false),
            Some(format) => format == SHARED_FORMAT,
        };
        if let Some(wanted) = wanted.filter(|wanted| *wanted != shared) {
            return Err(other_mode(&path, wanted));
        }
        let lock = lock(&path, shared)?;
        let holder = Holder { pid: std::process::id(), started_at: Utc::now(), flight: None, http: None, local: None };
        let temporary = path.join(TEMPORARY);
        check_format(&path, disk.as_ref(), &temporary, shared)?;
        for name in ["tables", "system", TEMPORARY] {
            disk.create_dir_all(&path.join(name)).map_err(failed)?;
        }
        let member = match shared {
            true => Some(Membership::join(&path, Arc::clone(disk), holder.clone(), dead_after)?),
            false => None,
        };
        let inner = Inner { path, lock: Mutex::new(lock), holder: Mutex::new(holder.clone()), member };
        let directory = DataDirectory { inner: Arc::new(inner) };
        if !shared {
            directory.write_holder(&holder).map_err(failed)?;
            directory.empty(disk.as_ref(), &temporary).map_err(failed)?;
        }
        Ok(directory)
    }

    /// Whether there is a directory that was made for one server.
    pub fn is_for_one(path: &Path) -> Result<bool> {
        Ok(read_format(path)?.is_some_and(|format| format < SHARED_FORMAT))
    }

    /// Makes a directory that this process has for itself one to share: what one server keeps in a file that it
    /// replaces becomes the first of a sequence. The registry's log must be folded. Open it again after this.
    pub fn share(&self, disk: &Arc<dyn Disk>) -> Result<()> {
        for (file, name, is_private) in
            [("catalog.json", "catalog", false), ("registry/users.json", "registry/users", true)]
        {
            // What a conversion left that did not come to its end.
            match disk.remove_dir_all(&self.path().join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
            match std::fs::read(self.path().join(file)) {
                Ok(text) => drop(self.sequence(name, disk, is_private)?.make_now(1, &text)?),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        let text = serde_json::to_vec(&Format { format: SHARED_FORMAT }).map_err(io::Error::from)?;
        Ok(replace(disk.as_ref(), &self.path().join(FORMAT_FILE), &self.temporary(), &text)?)
    }

    /// This server among those that share the directory; `None` where it has it for itself.
    pub fn member(&self) -> Option<&Arc<Membership>> {
        self.inner.member.as_ref()
    }

    /// A sequence of files below the directory, which all that share it see.
    pub fn sequence(&self, name: &str, disk: &Arc<dyn Disk>, is_private: bool) -> Result<Sequence> {
        Sequence::open(Arc::clone(disk), self.path().join(name), self.temporary(), is_private)
    }

    /// The directory, absolute.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Where unfinished files are written.
    pub fn temporary(&self) -> PathBuf {
        match self.member() {
            Some(member) => member.temporary(),
            None => self.path().join(TEMPORARY),
        }
    }

    /// Writes into the lock file where this process serves, for `limn sql` and for error texts.
    pub fn announce(&self, flight: &str, http: &str, local: &str) -> Result<()> {
        let holder = {
            let mut holder = self.inner.holder.lock().unwrap_or_else(PoisonError::into_inner);
            holder.flight = Some(flight.to_string());
            holder.http = Some(http.to_string());
            holder.local = Some(local.to_string());
            holder.clone()
        };
        match self.member() {
            Some(member) => member.announce(holder),
            None => Ok(self.write_holder(&holder)?),
        }
    }

    /// The live process that holds `path`, or one of those that share it, if there is one.
    pub fn holder(path: &Path) -> Option<Holder> {
        if matches!(read_format(path), Ok(Some(SHARED_FORMAT))) {
            return Membership::anyone(path, SERVER_DEAD_AFTER);
        }
        let file = File::open(path.join(LOCK_FILE)).ok()?;
        match file.try_lock_shared() {
            // Nobody has it: what the file says is about a process that is gone.
            Ok(()) => None,
            Err(_) => read_holder(&file),
        }
    }

    /// Not through [`Disk`]: what is said of a live process need not outlive a power cut.
    fn write_holder(&self, holder: &Holder) -> io::Result<()> {
        let text = serde_json::to_vec(holder)?;
        let mut file = self.inner.lock.lock().unwrap_or_else(PoisonError::into_inner);
        // Written over, then cut: a reader in between finds one whole object in front.
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&text)?;
        file.set_len(text.len() as u64)
    }

    fn empty(&self, disk: &dyn Disk, temporary: &Path) -> io::Result<()> {
        // Nobody else writes here while the lock is held, so all that is here is left over from a crash.
        for entry in std::fs::read_dir(temporary)? {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                // What queries spill is in directories.
                true => disk.remove_dir_all(&entry.path())?,
                false => disk.remove_file(&entry.path())?,
            }
        }
        Ok(())
    }
}

/// The format that a directory says it has.
fn read_format(path: &Path) -> Result<Option<u32>> {
    let file = path.join(FORMAT_FILE);
    match std::fs::read(&file) {
        Ok(text) => match serde_json::from_slice::<Format>(&text) {
            Ok(Format { format }) => Ok(Some(format)),
            Err(error) => Err(Error::internal(format!("`{}` is damaged: {error}", file.display()))),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::from(error).context(format!("`{}`", file.display()))),
    }
}

fn check_format(path: &Path, disk: &dyn Disk, temporary: &Path, shared: bool) -> Result<()> {
    let expected = if shared { SHARED_FORMAT } else { FORMAT };
    match read_format(path)? {
        Some(format) if format == expected => Ok(()),
        Some(format) if format > SHARED_FORMAT => Err(Error::unsupported(format!(
            "data directory `{}` has format {format}, expected at most {SHARED_FORMAT}",
            path.display()
        ))
        .with_hint("a newer Limn wrote it; use that one or a later one")),
        // Somebody made it for the other use since it was looked at.
        Some(format) if format > expected => Err(other_mode(path, shared)),
        // Said before anything is written in the new way, so that an older Limn never meets half of it.
        _ => {
            let text = serde_json::to_vec(&Format { format: expected }).map_err(io::Error::from)?;
            Ok(replace(disk, &path.join(FORMAT_FILE), temporary, &text)?)
        }
    }
}

fn other_mode(path: &Path, wanted: bool) -> Error {
    let shown = path.display();
    match wanted {
        true => Error::input(format!("data directory `{shown}` was made for one server, expected one to share"))
            .with_hint("name a new directory; its tables can be registered there by CREATE TABLE … LOCATION"),
        false => Error::input(format!("data directory `{shown}` is shared, expected one for one server"))
            .with_hint("leave out `shared = false`, or name another directory"),
    }
}

/// Replaces a small file by new content, so that after a crash it has either content, whole.
pub fn replace(disk: &dyn Disk, path: &Path, temporary: &Path, content: &[u8]) -> io::Result<()> {
    replace_by(disk, path, temporary, content, |path| disk.create_new(path))
}

/// [`replace`] for a file that only its owner may read.
pub fn replace_private(disk: &dyn Disk, path: &Path, temporary: &Path, content: &[u8]) -> io::Result<()> {
    replace_by(disk, path, temporary, content, |path| disk.create_private(path))
}

fn replace_by(
    disk: &dyn Disk,
    path: &Path,
    temporary: &Path,
    content: &[u8],
    create: impl FnOnce(&Path) -> io::Result<Box<dyn DiskFile>>,
) -> io::Result<()> {
    disk.create_dir_all(temporary)?;
    let unfinished = temporary.join(uuid::Uuid::new_v4().simple().to_string());
    let mut file = create(&unfinished)?;
    let written = file.write_all(content).and_then(|()| file.sync());
    drop(file);
    let renamed = written.and_then(|()| disk.rename(&unfinished, path));
    if let Err(error) = renamed {
        // The first error is the one to tell; a left-over goes at the next start.
        let _ = disk.remove_file(&unfinished);
        return Err(error);
    }
    match path.parent() {
        Some(parent) => disk.sync_dir(parent),
        None => Ok(()),
    }
}

/// Refuses to scribble on a directory that holds something else.
fn refuse_foreign(path: &Path) -> Result<()> {
    if path.join(FORMAT_FILE).exists() {
        return Ok(());
    }
    for entry in std::fs::read_dir(path)? {
        let name = entry?.file_name();
        // A crash before the format was written leaves no more than these.
        if name != LOCK_FILE && name != TEMPORARY {
            return Err(Error::input(format!(
                "`{}` is not a data directory of Limn: it has `{}` and no `{FORMAT_FILE}`",
                path.display(),
                name.to_string_lossy()
            ))
            .with_hint("name an empty directory, or one that does not exist yet"));
        }
    }
    Ok(())
}

/// Takes the lock: alone, or beside others that share.
fn lock(path: &Path, shared: bool) -> Result<File> {
    let name = path.join(LOCK_FILE);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&name)?;
    for attempt in 1..=LOCK_ATTEMPTS_MAX {
        let taken = if shared { file.try_lock_shared() } else { file.try_lock() };
        match taken {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => {
                return Err(Error::from(error).context(format!("`{}`", name.display())));
            }
            // Whoever only asks who holds the directory has the lock for a moment.
            Err(TryLockError::WouldBlock) if attempt < LOCK_ATTEMPTS_MAX => std::thread::sleep(LOCK_RETRY_INTERVAL),
            Err(TryLockError::WouldBlock) => {}
        }
    }
    Err(held(path, read_holder(&file)))
}

fn held(path: &Path, holder: Option<Holder>) -> Error {
    let by = match &holder {
        None => "another process".to_string(),
        Some(Holder { pid, flight: Some(flight), .. }) => format!("process {pid}, which serves {flight}"),
        Some(Holder { pid, .. }) => format!("process {pid}"),
    };
    let error = Error::unavailable(format!("data directory `{}` is held by {by}", path.display()));
    match holder.and_then(|holder| holder.flight) {
        Some(flight) => error.with_hint(format!("connect to it: `limn sql --url grpc://{flight}`")),
        None => error.with_hint("stop that process, or use another data directory"),
    }
}

fn read_holder(mut file: &File) -> Option<Holder> {
    let mut text = Vec::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.read_to_end(&mut text).ok()?;
    serde_json::Deserializer::from_slice(&text).into_iter().next()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;
    use crate::lake::disk::LocalDisk;

    fn disk() -> Arc<dyn Disk> {
        Arc::new(LocalDisk)
    }

    #[test]
    fn a_second_opener_is_told_who_holds_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        let first = DataDirectory::open(&path, &disk()).unwrap();
        first.announce("127.0.0.1:50051", "127.0.0.1:8080", "127.0.0.1:50052").unwrap();

        let error = DataDirectory::open(&path, &disk()).unwrap_err();

        assert_eq!(error.class(), Class::Unavailable);
        let expected = format!("is held by process {}, which serves 127.0.0.1:50051", std::process::id());
        assert!(error.message().ends_with(&expected), "{error}");
        let holder = DataDirectory::holder(&path).unwrap();
        assert_eq!(holder.http.as_deref(), Some("127.0.0.1:8080"));
    }

    #[test]
    fn a_released_directory_has_no_holder_and_opens_again() {
        let dir = tempfile::tempdir().unwrap();
        drop(DataDirectory::open(dir.path(), &disk()).unwrap());
        assert_eq!(DataDirectory::holder(dir.path()), None);
        DataDirectory::open(dir.path(), &disk()).unwrap();
    }

    #[test]
    fn an_older_format_becomes_the_newest() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FORMAT_FILE), r#"{"format": 1}"#).unwrap();
        drop(DataDirectory::open(dir.path(), &disk()).unwrap());
        let text = std::fs::read_to_string(dir.path().join(FORMAT_FILE)).unwrap();
        assert_eq!(text, r#"{"format":2}"#);
    }

    #[test]
    fn what_is_shared_opens_twice_and_nothing_else_does() {
        let dir = tempfile::tempdir().unwrap();
        let open = |path: &Path, wanted| DataDirectory::open_for(path, &disk(), wanted, SERVER_DEAD_AFTER);
        let (alone, shared) = (dir.path().join("alone"), dir.path().join("shared"));
        drop(open(&alone, None).unwrap());
        let error = open(&alone, Some(true)).unwrap_err();
        assert!(error.message().ends_with("was made for one server, expected one to share"), "{error}");

        let first = open(&shared, Some(true)).unwrap();
        let second = open(&shared, None).unwrap();
        assert_ne!(first.temporary(), second.temporary());
        assert_eq!(DataDirectory::holder(&shared), None, "nobody has said yet where it serves");
        second.announce("127.0.0.1:50051", "127.0.0.1:8080", "127.0.0.1:50052").unwrap();
        assert_eq!(DataDirectory::holder(&shared).unwrap().flight.as_deref(), Some("127.0.0.1:50051"));
        let error = open(&shared, Some(false)).unwrap_err();
        assert!(error.message().ends_with("is shared, expected one for one server"), "{error}");
    }

    #[test]
    fn a_newer_format_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FORMAT_FILE), r#"{"format": 7}"#).unwrap();
        let error = DataDirectory::open(dir.path(), &disk()).unwrap_err();
        assert_eq!(error.class(), Class::Unsupported);
        assert!(error.message().contains("has format 7, expected at most 3"), "{error}");
        assert!(error.hint().is_some());
    }

    #[test]
    fn a_directory_of_something_else_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("thesis.tex"), "").unwrap();
        let error = DataDirectory::open(dir.path(), &disk()).unwrap_err();
        assert_eq!(error.class(), Class::Input);
        let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["thesis.tex"]);
    }

    #[test]
    fn unfinished_files_are_gone_after_a_start() {
        let dir = tempfile::tempdir().unwrap();
        let directory = DataDirectory::open(dir.path(), &disk()).unwrap();
        let unfinished = directory.temporary().join("left");
        std::fs::write(&unfinished, "over").unwrap();
        let spilled = directory.temporary().join("spilled");
        std::fs::create_dir(&spilled).unwrap();
        std::fs::write(spilled.join("rows"), "some").unwrap();
        drop(directory);
        DataDirectory::open(dir.path(), &disk()).unwrap();
        assert!(!unfinished.exists() && !spilled.exists());
    }
}
