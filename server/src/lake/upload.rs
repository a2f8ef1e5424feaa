//! A file that arrives in parts: written in order as they come, synced and named when it is complete.
//!
//! Callers may run several parts at once, but the parts of a file are a sequence; a queue keeps their order. It knows
//! only the store that it belongs to.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use object_store::path::Path;
use object_store::{MultipartUpload, PutPayload, PutResult, Result, UploadPart};

use super::disk::DiskFile;
use super::store::{Files, blocking};

/// One file under way. Dropped before it is complete, it leaves nothing.
#[derive(Debug)]
pub struct Upload {
    files: Arc<Files>,
    location: Path,
    target: PathBuf,
    temporary: PathBuf,
    parts: Arc<Parts>,
    /// Whether the file has its name or is gone.
    finished: bool,
}

#[derive(Debug)]
struct Parts {
    /// Parts that were handed in and are not written; the caller bounds how many.
    waiting: Mutex<VecDeque<PutPayload>>,
    /// `None` once the file is closed.
    file: Mutex<Option<Box<dyn DiskFile>>>,
}

impl Upload {
    /// An upload to `target` by way of the open file `temporary`.
    pub fn new(
        files: Arc<Files>,
        location: Path,
        target: PathBuf,
        temporary: PathBuf,
        file: Box<dyn DiskFile>,
    ) -> Self {
        let parts = Parts { waiting: Mutex::default(), file: Mutex::new(Some(file)) };
        Upload { files, location, target, temporary, parts: Arc::new(parts), finished: false }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // Given up by somebody who could not say so; the parts that are being written go with the file.
        if !self.finished
            && let Err(error) = self.files.discard(&self.temporary)
        {
            tracing::debug!(%error, "an unfinished file stays until the next start");
        }
    }
}

impl Parts {
    /// Writes every waiting part. Whoever gets the file first writes for all, in the order of the parts.
    fn write(&self) -> io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let file = file.as_mut().ok_or_else(|| io::Error::other("a part came after the end of its file"))?;
        loop {
            let next = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            match next {
                Some(payload) => payload.iter().try_for_each(|bytes| file.write_all(bytes))?,
                None => return Ok(()),
            }
        }
    }

    fn close(&self) -> Option<Box<dyn DiskFile>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.parts.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(data);
        let (parts, location) = (self.parts.clone(), self.location.clone());
        Box::pin(async move { blocking(&location, move || parts.write()).await })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        // Once begun, this finishes by itself, or gives the file up.
        self.finished = true;
        let (parts, files) = (self.parts.clone(), self.files.clone());
        let (temporary, target) = (self.temporary.clone(), self.target.clone());
        blocking(&self.location, move || {
            parts.write()?;
            let Some(mut file) = parts.close() else {
                return Err(io::Error::other("the file was completed before"));
            };
            file.sync()?;
            drop(file);
            files.finish(&temporary, &target, false)
        })
        .await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn abort(&mut self) -> Result<()> {
        self.finished = true;
        let (parts, files, temporary) = (self.parts.clone(), self.files.clone(), self.temporary.clone());
        blocking(&self.location, move || {
            drop(parts.close());
            files.discard(&temporary)
        })
        .await
    }
}
