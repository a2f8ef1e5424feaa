//! Model artifacts as files under `<data_dir>/artifacts`, named by the hash of their bytes.
//!
//! A name says what the content must be, so writing twice is harmless and damage is always noticed. What is in an
//! artifact is not known here.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::segment::named;
use crate::lake::disk::Disk;
use crate::limits::MODEL_ARTIFACT_BYTES_MAX;
use crate::{Error, Result};

const TEMPORARY: &str = "tmp";

/// The artifacts of one data directory.
#[derive(Debug, Clone)]
pub struct Artifacts {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
}

impl Artifacts {
    /// Opens the directory, creating it where it does not exist, and removes what interrupted writes left.
    pub fn open(disk: Arc<dyn Disk>, data_dir: &Path) -> Result<Self> {
        let Artifacts { disk, dir } = Artifacts::open_beside(disk, data_dir)?;
        for entry in std::fs::read_dir(&dir).map_err(|error| named(error, &dir))? {
            let path = entry.map_err(|error| named(error, &dir))?.path();
            if path.extension().is_some_and(|extension| extension == TEMPORARY) {
                disk.remove_file(&path).map_err(|error| named(error, &path))?;
            }
        }
        Ok(Artifacts { disk, dir })
    }

    /// The same beside other servers, whose unfinished files stay.
    pub fn open_beside(disk: Arc<dyn Disk>, data_dir: &Path) -> Result<Self> {
        let dir = data_dir.join("artifacts");
        disk.create_dir_all(&dir).map_err(|error| named(error, &dir))?;
        Ok(Artifacts { disk, dir })
    }

    fn path(&self, sha256: &str) -> Result<PathBuf> {
        let is_hash = sha256.len() == 64 && sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        match is_hash {
            true => Ok(self.dir.join(format!("{sha256}.onnx"))),
            false => Err(Error::internal(format!("expected a SHA-256 as 64 lower-case hex digits, found `{sha256}`"))),
        }
    }

    /// Whether there is a file of that name.
    pub fn has(&self, sha256: &str) -> bool {
        self.path(sha256).is_ok_and(|path| path.exists())
    }

    /// Stores an artifact, durable when this returns. Replaces a file of the same name, which may be damaged or not
    /// yet durable.
    pub fn put(&self, sha256: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path(sha256)?;
        if bytes.len() > MODEL_ARTIFACT_BYTES_MAX {
            return Err(Error::exhausted(format!(
                "the model's artifact has {} bytes, the limit is {MODEL_ARTIFACT_BYTES_MAX}",
                bytes.len()
            )));
        }
        let found = hash(bytes);
        if found != sha256 {
            return Err(Error::internal(format!("expected an artifact with the hash `{sha256}`, found `{found}`")));
        }
        // A name of its own: two trainings may store the same bytes at once.
        let temporary = self.dir.join(format!("{}.{TEMPORARY}", uuid::Uuid::new_v4().simple()));
        let put = || {
            let mut file = self.disk.create_new(&temporary)?;
            file.write_all(bytes)?;
            file.sync()?;
            drop(file);
            self.disk.rename(&temporary, &path)?;
            self.disk.sync_dir(&self.dir)
        };
        put().map_err(|error| named(error, &path))
    }

    /// Reads an artifact and verifies it.
    pub fn read(&self, sha256: &str) -> Result<Vec<u8>> {
        let path = self.path(sha256)?;
        let bytes = std::fs::read(&path)
            .map_err(|error| Error::internal(format!("the artifact `{sha256}` cannot be read: {error}")))?;
        match hash(&bytes) == sha256 {
            true => Ok(bytes),
            false => Err(Error::internal(format!("the artifact `{sha256}` is damaged: its bytes have another hash"))
                .with_hint("restore the file from a backup, or train the model again")),
        }
    }
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::disk::LocalDisk;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn artifacts_are_checked_both_ways() {
        let dir = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::open(Arc::new(LocalDisk), dir.path()).unwrap();
        artifacts.put(ABC, b"abc").unwrap();
        artifacts.put(ABC, b"abc").unwrap();
        assert_eq!(artifacts.read(ABC).unwrap(), b"abc");
        assert!(artifacts.put(EMPTY, b"abc").is_err());
        assert!(!artifacts.has(EMPTY));
        assert!(artifacts.read(EMPTY).unwrap_err().message().contains(EMPTY));
        assert!(artifacts.read("../../etc/passwd").is_err());

        std::fs::write(dir.path().join("artifacts").join(format!("{ABC}.onnx")), b"abd").unwrap();
        let damaged = artifacts.read(ABC).unwrap_err();
        assert_eq!(damaged.class(), crate::Class::Internal);
        assert!(damaged.message().contains(ABC));
        artifacts.put(ABC, b"abc").unwrap();
        assert_eq!(artifacts.read(ABC).unwrap(), b"abc");
    }

    #[test]
    fn leftovers_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::open(Arc::new(LocalDisk), dir.path()).unwrap();
        artifacts.put(ABC, b"abc").unwrap();
        std::fs::write(dir.path().join("artifacts/x.tmp"), b"half").unwrap();
        let artifacts = Artifacts::open(Arc::new(LocalDisk), dir.path()).unwrap();
        assert!(!dir.path().join("artifacts/x.tmp").exists());
        assert!(artifacts.has(ABC));
    }
}
