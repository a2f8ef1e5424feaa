//! The data directory: one live process at a time, one format version, and what lies where.
//!
//! ```text
//! LOCK            held by the live process; says which one and where it serves
//! FORMAT          the version of this layout
//! catalog.json    schemas, tables, views
//! tables/<id>/    one Delta table each, as any Delta reader expects it
//! system/<name>/  Delta tables of Limn's own
//! tmp/            unfinished files; emptied at every start
//! ```
//! What else is in it belongs to the parts that put it there. This file knows nothing of Delta.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::disk::{Disk, DiskFile};
use crate::limits::{LOCK_ATTEMPTS_MAX, LOCK_RETRY_INTERVAL};
use crate::{Error, Result};

/// The format that this Limn writes; it reads all up to this one.
///
/// - 2: `system.runs` says more of how a run came about, and there is `system.lineage`.
pub const FORMAT: u32 = 2;

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
}

#[derive(Serialize, Deserialize)]
struct Format {
    format: u32,
}

impl DataDirectory {
    /// Takes the directory, creating it where it does not exist.
    ///
    /// Fails with `Unavailable` where another live process holds it, with `Unsupported` where a newer Limn wrote it,
    /// and with `Input` where it has content that is not Limn's.
    pub fn open(path: &Path, disk: &Arc<dyn Disk>) -> Result<Self> {
        let shown = path.display();
        let failed = |error: io::Error| Error::from(error).context(format!("data directory `{shown}`"));
        disk.create_dir_all(path).map_err(failed)?;
        let path = path.canonicalize().map_err(failed)?;
        refuse_foreign(&path)?;
        let lock = lock(&path)?;
        let holder = Holder { pid: std::process::id(), started_at: Utc::now(), flight: None, http: None, local: None };
        let directory = DataDirectory {
            inner: Arc::new(Inner { path, lock: Mutex::new(lock), holder: Mutex::new(holder.clone()) }),
        };
        directory.write_holder(&holder).map_err(failed)?;
        directory.check_format(disk)?;
        directory.lay_out(disk).map_err(failed)?;
        Ok(directory)
    }

    /// The directory, absolute.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Where unfinished files are written.
    pub fn temporary(&self) -> PathBuf {
        self.path().join(TEMPORARY)
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
        Ok(self.write_holder(&holder)?)
    }

    /// The live process that holds `path`, if there is one.
    pub fn holder(path: &Path) -> Option<Holder> {
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

    fn check_format(&self, disk: &Arc<dyn Disk>) -> Result<()> {
        let file = self.path().join(FORMAT_FILE);
        let shown = self.path().display();
        let text = match std::fs::read(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.write_format(disk),
            Err(error) => return Err(Error::from(error).context(format!("`{}`", file.display()))),
        };
        match serde_json::from_slice::<Format>(&text) {
            Ok(Format { format: FORMAT }) => Ok(()),
            // Said before anything is written in the new way, so that an older Limn never meets half of it.
            Ok(Format { format }) if format < FORMAT => self.write_format(disk),
            Ok(Format { format }) => Err(Error::unsupported(format!(
                "data directory `{shown}` has format {format}, expected at most {FORMAT}"
            ))
            .with_hint("a newer Limn wrote it; use that one or a later one")),
            Err(error) => Err(Error::internal(format!("`{}` is damaged: {error}", file.display()))),
        }
    }

    fn write_format(&self, disk: &Arc<dyn Disk>) -> Result<()> {
        let text = serde_json::to_vec(&Format { format: FORMAT }).map_err(io::Error::from)?;
        Ok(replace(disk.as_ref(), &self.path().join(FORMAT_FILE), &self.temporary(), &text)?)
    }

    fn lay_out(&self, disk: &Arc<dyn Disk>) -> io::Result<()> {
        for name in ["tables", "system", TEMPORARY] {
            disk.create_dir_all(&self.path().join(name))?;
        }
        // Nobody else writes here while the lock is held, so all that is here is left over from a crash.
        for entry in std::fs::read_dir(self.temporary())? {
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

fn lock(path: &Path) -> Result<File> {
    let name = path.join(LOCK_FILE);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&name)?;
    for attempt in 1..=LOCK_ATTEMPTS_MAX {
        match file.try_lock() {
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
    fn a_newer_format_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FORMAT_FILE), r#"{"format": 7}"#).unwrap();
        let error = DataDirectory::open(dir.path(), &disk()).unwrap_err();
        assert_eq!(error.class(), Class::Unsupported);
        assert!(error.message().contains("has format 7, expected at most 2"), "{error}");
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
