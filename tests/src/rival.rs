//! Another writer of a Delta table, who knows nothing of Limn's lanes: it reads the log and writes the next version.
//!
//! A [`RivalDisk`] lets it be first at the worst moment, when a statement that has read the table, and written its files, is
//! about to commit. It knows no more of Delta than `add` and `remove`.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use limn_server::lake::disk::{Disk, DiskFile, LocalDisk};
use serde_json::{Value, json};

use crate::{Context, Outcome, fail};

/// A disk on which a rival's commit takes the place of the next one in a table's log.
#[derive(Debug, Clone, Default)]
pub struct RivalDisk {
    waiting: Arc<Mutex<Option<Vec<u8>>>>,
}

impl RivalDisk {
    /// The next commit to a table that Limn asks for finds this one in its place.
    pub fn arm(&self, commit: Vec<u8>) {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(commit);
    }

    /// Whether the rival still waits for its moment.
    pub fn is_armed(&self) -> bool {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn go_first(&self, to: &Path) -> io::Result<()> {
        let text = to.to_string_lossy();
        if !(text.contains("tables") && text.contains("_delta_log") && text.ends_with(".json")) {
            return Ok(());
        }
        let Some(commit) = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take() else { return Ok(()) };
        OpenOptions::new().write(true).create_new(true).open(to)?.write_all(&commit)
    }
}

impl Disk for RivalDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        LocalDisk.create_dir_all(path)
    }

    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        LocalDisk.create_new(path)
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        LocalDisk.append(path)
    }

    fn truncate(&self, path: &Path, bytes: u64) -> io::Result<()> {
        LocalDisk.truncate(path, bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        LocalDisk.rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.go_first(to)?;
        LocalDisk.hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        LocalDisk.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        LocalDisk.remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        LocalDisk.sync_dir(path)
    }
}

/// A table's directory, as another writer sees it.
#[derive(Debug, Clone)]
pub struct Rival {
    directory: PathBuf,
}

impl Rival {
    /// The table in this directory.
    pub fn new(directory: PathBuf) -> Self {
        Rival { directory }
    }

    /// Where the table lies.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The commits, in order, as lines of JSON.
    pub fn commits(&self) -> Outcome<Vec<Vec<Value>>> {
        let mut commits = Vec::new();
        loop {
            let path = self.directory.join(format!("_delta_log/{:020}.json", commits.len()));
            let Ok(text) = std::fs::read_to_string(&path) else { break };
            let lines: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
            commits.push(lines?);
        }
        Ok(commits)
    }

    /// The `add` actions of the files that the table has now, by their paths, in the order of their coming.
    pub fn files(&self) -> Outcome<Vec<Value>> {
        let mut files: BTreeMap<String, (usize, Value)> = BTreeMap::new();
        let mut order = 0;
        for action in self.commits()?.into_iter().flatten() {
            if let Some(path) = action["remove"]["path"].as_str() {
                files.remove(path).context("the log removes a file that is not there")?;
            }
            if let Some(path) = action["add"]["path"].as_str() {
                order += 1;
                let twice = files.insert(path.to_string(), (order, action["add"].clone()));
                if twice.is_some() {
                    return Err(fail(format!("the log adds `{path}` twice")));
                }
            }
        }
        let mut files: Vec<_> = files.into_values().collect();
        files.sort_by_key(|(order, _)| *order);
        Ok(files.into_iter().map(|(_, add)| add).collect())
    }

    /// Where a file of the table lies.
    pub fn path_of(&self, add: &Value) -> Outcome<PathBuf> {
        Ok(self.directory.join(add["path"].as_str().context("an add has a path")?))
    }

    /// The same file of another table, or of this one, as a new file of this one.
    pub fn copied(&self, from: &Rival, add: &Value, name: &str) -> Outcome<Value> {
        std::fs::copy(from.path_of(add)?, self.directory.join(name))?;
        let mut copy = add.clone();
        copy["path"] = json!(name);
        Ok(copy)
    }
}

/// The bytes of a commit that removes and adds files; `data_change` is false of a mere rewrite.
pub fn commit(operation: &str, removed: &[Value], added: &[Value], data_change: bool) -> Vec<u8> {
    let mut lines = vec![json!({ "commitInfo": { "timestamp": 1, "operation": operation } })];
    for add in removed {
        lines.push(json!({ "remove": {
            "path": add["path"], "dataChange": data_change, "deletionTimestamp": 1, "extendedFileMetadata": true,
            "partitionValues": add["partitionValues"], "size": add["size"],
        } }));
    }
    for add in added {
        let mut add = add.clone();
        add["dataChange"] = json!(data_change);
        lines.push(json!({ "add": add }));
    }
    lines.iter().map(|line| format!("{line}\n")).collect::<String>().into_bytes()
}
