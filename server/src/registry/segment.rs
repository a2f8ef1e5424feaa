//! The files of the registry's log: `log-<first sequence number>.bin`, one after the other without a gap.
//!
//! A segment appears whole (written beside, synced, renamed), so that only frames appended later can be torn. This
//! file knows names and bytes; who writes when is `log.rs`'s.

use std::path::{Path, PathBuf};

use super::frame::{self, Fault, Frames, HEADER_BYTES};
use crate::lake::disk::Disk;
use crate::{Error, Result};

const TEMPORARY: &str = "tmp";

/// A segment's path. The number is padded, so that names sort as numbers do.
pub fn path(dir: &Path, first_seq: u64) -> PathBuf {
    dir.join(format!("log-{first_seq:020}.bin"))
}

fn first_seq(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix("log-")?.strip_suffix(".bin")?.parse().ok()
}

/// The segments by their first sequence numbers, ascending.
pub fn list(dir: &Path) -> Result<Vec<u64>> {
    let mut segments: Vec<u64> = files(dir)?.iter().filter_map(|path| first_seq(path)).collect();
    segments.sort_unstable();
    Ok(segments)
}

/// Removes what interrupted [`write`]s left; only while nobody writes.
pub fn sweep(disk: &dyn Disk, dir: &Path) -> Result<()> {
    for path in files(dir)?.iter().filter(|path| path.extension().is_some_and(|e| e == TEMPORARY)) {
        disk.remove_file(path).map_err(|error| named(error, path))?;
    }
    Ok(())
}

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(dir).map_err(|error| named(error, dir))?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(|error| named(error, dir))).collect()
}

/// Puts a segment with a header and `frames` in place, durable when this returns, replacing one of the same name.
pub fn write(disk: &dyn Disk, dir: &Path, first_seq: u64, frames: &[u8]) -> Result<()> {
    let path = path(dir, first_seq);
    let temporary = path.with_extension(TEMPORARY);
    let put = || {
        if temporary.exists() {
            disk.remove_file(&temporary)?;
        }
        let mut file = disk.create_new(&temporary)?;
        file.write_all(&frame::header(first_seq))?;
        file.write_all(frames)?;
        file.sync()?;
        drop(file);
        disk.rename(&temporary, &path)?;
        disk.sync_dir(dir)
    };
    put().map_err(|error| named(error, &path))
}

/// Reads a segment. Only the last one may be torn; `Frames::fault` is gone where this returns.
pub fn read(dir: &Path, first_seq: u64, is_last: bool) -> Result<(Vec<u8>, Frames)> {
    let path = path(dir, first_seq);
    let bytes = std::fs::read(&path).map_err(|error| named(error, &path))?;
    frame::check_header(&bytes, first_seq).map_err(|error| error.context(format!("`{}`", path.display())))?;
    let mut frames = frame::read(&bytes);
    match frames.fault.take() {
        Some(Fault::Damaged(why)) => return Err(damaged(&path, frames.end, &why)),
        Some(Fault::Torn) if !is_last => {
            return Err(damaged(&path, frames.end, "a record is cut off, and a later segment exists"));
        }
        Some(Fault::Torn) => {
            let lost = bytes.len() - frames.end;
            tracing::warn!(path = %path.display(), bytes = lost, "cut off an unfinished write of the registry's log");
        }
        None => {}
    }
    let whole = bytes.get(HEADER_BYTES..frames.end).unwrap_or_default().to_vec();
    Ok((whole, frames))
}

/// The error for a segment that cannot be trusted at `offset`.
pub fn damaged(path: &Path, offset: usize, why: &str) -> Error {
    Error::internal(format!("the registry's log `{}` is damaged at byte {offset}: {why}", path.display()))
        .with_hint("restore the file from a backup; nothing of it was used")
}

/// An operating system's error with the path it is about.
pub fn named(error: std::io::Error, path: &Path) -> Error {
    Error::from(error).context(format!("`{}`", path.display()))
}
