//! The data directory. The bodies follow.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::disk::Disk;
use crate::Result;

/// Who holds a data directory, as its lock file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// When it took the directory.
    pub started_at: chrono::DateTime<chrono::Utc>,
    /// Where it serves Flight SQL, once it does.
    pub flight: Option<String>,
    /// Where it serves HTTP, once it does.
    pub http: Option<String>,
}

/// A data directory that this process holds; dropping the last clone releases it.
#[derive(Debug, Clone)]
pub struct DataDirectory;

impl DataDirectory {
    /// Takes the directory, creating it where it does not exist.
    pub fn open(path: &Path, disk: &Arc<dyn Disk>) -> Result<Self> {
        let _ = (path, disk);
        unimplemented!()
    }
    /// The directory.
    pub fn path(&self) -> &Path {
        unimplemented!()
    }
    /// Writes into the lock file where this process serves, for `limn sql` and for error texts.
    pub fn announce(&self, flight: &str, http: &str) -> Result<()> {
        let _ = (flight, http);
        unimplemented!()
    }
    /// The live process that holds `path`, if there is one.
    pub fn holder(path: &Path) -> Option<Holder> {
        let _ = path;
        unimplemented!()
    }
}
