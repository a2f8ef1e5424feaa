//! A directory of numbered files, each of which somebody makes first and nobody makes twice: what servers that share a
//! lake agree on.
//!
//! Whoever wants to change what the files say reads to their end, and makes the next one; where another was first, they
//! read that and decide anew. Old files go after a long while only, so that a number which is free is a number that
//! nobody had: who has not looked for that long is refused. It knows nothing of what is in the files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::disk::Disk;
use crate::limits::{SEQUENCE_BEHIND_MAX, SEQUENCE_KEPT};
use crate::{Error, Result};

/// Bytes before the content: 32 hexadecimal digits that say who made the file, and a line feed.
const HEAD_BYTES: usize = 33;

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sequence {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    temporary: PathBuf,
    is_private: bool,
    /// When the end was seen the last time, by two clocks: one stands still while the machine sleeps, one may be set.
    looked: Mutex<(Instant, SystemTime)>,
}

impl Sequence {
    /// The files in `dir`, which is made where it does not exist; `temporary` is on the same file system.
    pub fn open(disk: Arc<dyn Disk>, dir: PathBuf, temporary: PathBuf, is_private: bool) -> Result<Self> {
        disk.create_dir_all(&dir).map_err(|error| named(error, &dir))?;
        let looked = Mutex::new((Instant::now(), SystemTime::now()));
        Ok(Sequence { inner: Arc::new(Inner { disk, dir, temporary, is_private, looked }) })
    }

    /// The numbers that are there, ascending.
    pub async fn numbers(&self) -> Result<Vec<u64>> {
        self.run(|inner| inner.numbers()).await
    }

    /// The greatest number and what it says.
    pub async fn newest(&self) -> Result<Option<(u64, Vec<u8>)>> {
        self.run(Inner::newest).await
    }

    /// What a number says; `None` where nobody has made it.
    ///
    /// `Unavailable` where this process has not looked for so long that it may have been made and removed.
    pub async fn read(&self, number: u64) -> Result<Option<Vec<u8>>> {
        self.run(move |inner| match inner.read(number)? {
            None => inner.refuse_behind(number).map(|()| None),
            found => {
                inner.has_looked();
                Ok(found)
            }
        })
        .await
    }

    /// Makes a number, durable when this returns; `false` where another was first.
    pub async fn make(&self, number: u64, content: Vec<u8>) -> Result<bool> {
        self.run(move |inner| {
            inner.refuse_behind(number)?;
            inner.make(number, &content)
        })
        .await
    }

    /// Removes numbers below `from` that have been there for long.
    pub async fn remove_below(&self, from: u64) -> Result<()> {
        self.run(move |inner| inner.remove_below(from)).await
    }

    /// [`Sequence::newest`] for a thread that may wait.
    pub fn newest_now(&self) -> Result<Option<(u64, Vec<u8>)>> {
        self.inner.newest()
    }

    /// [`Sequence::make`] for a thread that may wait.
    pub fn make_now(&self, number: u64, content: &[u8]) -> Result<bool> {
        self.inner.make(number, content)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Inner) -> Result<T> + Send + 'static) -> Result<T> {
        let inner = self.inner.clone();
        let done = tokio::task::spawn_blocking(move || work(&inner)).await;
        done.map_err(|error| Error::internal(format!("file work of shared state stopped: {error}")))?
    }
}

impl Inner {
    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{number:020}"))
    }

    fn numbers(&self) -> Result<Vec<u64>> {
        let entries = std::fs::read_dir(&self.dir).map_err(|error| named(error, &self.dir))?;
        let mut numbers = Vec::new();
        for entry in entries {
            let name = entry.map_err(|error| named(error, &self.dir))?.file_name();
            numbers.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn newest(&self) -> Result<Option<(u64, Vec<u8>)>> {
        let Some(number) = self.numbers()?.pop() else { return Ok(None) };
        let content = self.read(number)?;
        self.has_looked();
        // The newest is never removed.
        Ok(content.map(|content| (number, content)))
    }

    fn read(&self, number: u64) -> Result<Option<Vec<u8>>> {
        match self.whole(number)? {
            None => Ok(None),
            Some(mut bytes) if bytes.len() >= HEAD_BYTES => Ok(Some(bytes.split_off(HEAD_BYTES))),
            Some(_) => Err(Error::internal(format!("`{}` is damaged", self.path(number).display()))),
        }
    }

    fn whole(&self, number: u64) -> Result<Option<Vec<u8>>> {
        let path = self.path(number);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(named(error, &path)),
        }
    }

    fn make(&self, number: u64, content: &[u8]) -> Result<bool> {
        let (path, by) = (self.path(number), format!("{}\n", uuid::Uuid::new_v4().simple()));
        let unfinished = self.temporary.join(by.trim_end());
        let put = || {
            let mut file = match self.is_private {
                true => self.disk.create_private(&unfinished)?,
                false => self.disk.create_new(&unfinished)?,
            };
            file.write_all(by.as_bytes())?;
            file.write_all(content)?;
            file.sync()?;
            drop(file);
            self.disk.hard_link(&unfinished, &path)?;
            self.disk.sync_dir(&self.dir)
        };
        let made = put();
        // A left-over is removed with the others of this server.
        let _ = self.disk.remove_file(&unfinished);
        match made {
            Ok(()) => {
                self.has_looked();
                Ok(true)
            }
            // A file system over a network may say so of what it has just done itself.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Ok(self.whole(number)?.is_some_and(|bytes| bytes.starts_with(by.as_bytes())))
            }
            Err(error) => Err(named(error, &path)),
        }
    }

    /// Fails where `number` may have been made and removed since this process looked the last time.
    fn refuse_behind(&self, number: u64) -> Result<()> {
        let (by_machine, by_calendar) = *self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let calendar = by_calendar.elapsed().unwrap_or(Duration::MAX);
        if by_machine.elapsed().max(calendar) > SEQUENCE_BEHIND_MAX
            && self.numbers()?.last().is_some_and(|newest| *newest > number)
        {
            return Err(Error::unavailable("this server has not seen for long what the others did".to_string())
                .with_hint("start it again"));
        }
        self.has_looked();
        Ok(())
    }

    fn has_looked(&self) {
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = (Instant::now(), SystemTime::now());
    }

    fn remove_below(&self, from: u64) -> Result<()> {
        let numbers = self.numbers()?;
        let Some(newest) = numbers.last() else { return Ok(()) };
        // By the clock of the file system alone: servers' clocks differ.
        let made_at = |number: u64| std::fs::metadata(self.path(number)).and_then(|file| file.modified());
        let newest_at = made_at(*newest).map_err(|error| named(error, &self.dir))?;
        for number in numbers.iter().filter(|number| *number < newest && **number < from) {
            let age = made_at(*number).ok().and_then(|at| newest_at.duration_since(at).ok());
            if age.is_some_and(|age| age > SEQUENCE_KEPT) {
                let path = self.path(*number);
                self.disk.remove_file(&path).map_err(|error| named(error, &path))?;
            }
        }
        Ok(())
    }
}

fn named(error: io::Error, path: &Path) -> Error {
    Error::from(error).context(format!("`{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;
    use crate::lake::disk::LocalDisk;

    fn sequence(dir: &tempfile::TempDir) -> Sequence {
        Sequence::open(Arc::new(LocalDisk), dir.path().join("s"), dir.path().to_path_buf(), false).unwrap()
    }

    #[tokio::test]
    async fn a_number_is_made_once_and_says_what_the_first_said() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (sequence(&dir), sequence(&dir));
        assert_eq!(one.newest().await.unwrap(), None);
        assert_eq!(one.read(1).await.unwrap(), None);
        assert!(one.make(1, b"one".to_vec()).await.unwrap());
        assert!(!other.make(1, b"other".to_vec()).await.unwrap());
        assert_eq!(other.read(1).await.unwrap().unwrap(), b"one");
        assert!(other.make(2, Vec::new()).await.unwrap());
        assert_eq!(one.newest().await.unwrap(), Some((2, Vec::new())));
        // Nothing unfinished stays beside the directory.
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn of_many_who_want_a_number_one_gets_it() {
        let dir = tempfile::tempdir().unwrap();
        let tasks: Vec<_> = (0..16_u8)
            .map(|n| {
                let sequence = sequence(&dir);
                tokio::spawn(async move { sequence.make(1, vec![n]).await.unwrap().then_some(n) })
            })
            .collect();
        let mut made = Vec::new();
        for task in tasks {
            made.extend(task.await.unwrap());
        }
        assert_eq!(made.len(), 1);
        assert_eq!(sequence(&dir).read(1).await.unwrap().unwrap(), made);
    }

    #[tokio::test]
    async fn only_what_is_old_and_not_the_newest_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let sequence = sequence(&dir);
        for number in 1..=4 {
            sequence.make(number, Vec::new()).await.unwrap();
        }
        let old = SystemTime::now() - SEQUENCE_KEPT - Duration::from_secs(60);
        for number in [1, 2] {
            std::fs::File::open(sequence.inner.path(number)).unwrap().set_modified(old).unwrap();
        }
        sequence.remove_below(2).await.unwrap();
        assert_eq!(sequence.numbers().await.unwrap(), [2, 3, 4]);
        sequence.remove_below(9).await.unwrap();
        assert_eq!(sequence.numbers().await.unwrap(), [3, 4]);
    }

    #[tokio::test]
    async fn who_has_not_looked_for_long_gets_no_number_that_others_had() {
        let dir = tempfile::tempdir().unwrap();
        let (away, there) = (sequence(&dir), sequence(&dir));
        for number in 1..=3 {
            there.make(number, Vec::new()).await.unwrap();
        }
        std::fs::remove_file(there.inner.path(1)).unwrap();
        let long_ago = SystemTime::now() - SEQUENCE_BEHIND_MAX - Duration::from_secs(1);
        away.inner.looked.lock().unwrap().1 = long_ago;
        let error = away.make(1, Vec::new()).await.unwrap_err();
        assert_eq!(error.class(), Class::Unavailable);
        assert_eq!(away.read(1).await.unwrap_err().class(), Class::Unavailable);
        assert_eq!(there.read(4).await.unwrap(), None);
    }
}
