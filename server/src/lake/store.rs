//! An object store over the data directory whose every change is durable when it returns.
//!
//! `object_store`'s own local store never syncs, so a power cut may take back a commit that was answered. This one
//! reads through it and writes through [`Disk`]: a temporary file, its bytes synced, then a hard link (create) or a
//! rename (replace) and a sync of the directory. It has a URL of its own per open lake, so that two lakes never share
//! an entry of a registry. It knows nothing of Delta.

use std::fmt;
use std::io;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, RenameTargetMode, Result,
};
use url::Url;
use uuid::Uuid;

use super::disk::Disk;
use super::upload::Upload;

/// The scheme of the URLs under which engines find a lake's files.
pub const SCHEME: &str = "lake";

/// The object store of one data directory.
#[derive(Debug, Clone)]
pub struct Store {
    files: Arc<Files>,
}

/// The writing half, shared with uploads that are under way.
#[derive(Debug)]
pub struct Files {
    disk: Arc<dyn Disk>,
    reader: LocalFileSystem,
    /// Unfinished files; emptied when the directory is opened.
    temporary: PathBuf,
    url: Url,
    /// Whether other processes give names here, too.
    is_shared: bool,
    /// Shared while a file gets its name, exclusive while names are listed.
    naming: tokio::sync::RwLock<()>,
}

impl Store {
    /// A store over `root`, which exists; unfinished files go to `temporary`, on the same file system. `is_shared` where
    /// other processes write there, too.
    pub fn new(root: &FilePath, temporary: PathBuf, disk: Arc<dyn Disk>, is_shared: bool) -> crate::Result<Self> {
        let reader = LocalFileSystem::new_with_prefix(root).map_err(|error| super::error::store(&error))?;
        let url = Url::parse(&format!("{SCHEME}://local-{}/", Uuid::new_v4().simple()))
            .map_err(|error| crate::Error::internal(format!("a lake has no URL: {error}")))?;
        Ok(Store { files: Arc::new(Files { disk, reader, temporary, url, is_shared, naming: Default::default() }) })
    }

    /// Gives a finished, synced file another name, durably.
    pub async fn hard_link(&self, from: &Path, to: &Path) -> Result<()> {
        let (source, target) = (self.files.path(from)?, self.files.path(to)?);
        let files = self.files.clone();
        blocking(to, move || files.name(&source, &target, true)).await
    }

    /// The URL of the store's root.
    pub fn url(&self) -> &Url {
        &self.files.url
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.files.url.as_str())
    }
}

impl Files {
    /// A name for an unfinished file that no other has.
    fn temporary(&self) -> PathBuf {
        self.temporary.join(Uuid::new_v4().simple().to_string())
    }

    /// Begins an unfinished file.
    pub fn begin(&self) -> io::Result<(PathBuf, Box<dyn super::disk::DiskFile>)> {
        let path = self.temporary();
        let file = match self.disk.create_new(&path) {
            // Outside of the data directory nobody has made the directory before.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.disk.create_dir_all(&self.temporary)?;
                self.disk.create_new(&path)?
            }
            other => other?,
        };
        Ok((path, file))
    }

    /// Gives a finished, synced file its name, durably. On an error the unfinished file is gone.
    pub fn finish(&self, temporary: &FilePath, target: &FilePath, create: bool) -> io::Result<()> {
        let named = self.name(temporary, target, create);
        // A left-over costs space until the next start and nothing else.
        if (create || named.is_err())
            && let Err(error) = self.disk.remove_file(temporary)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::debug!(%error, "an unfinished file stays until the next start");
        }
        named
    }

    fn name(&self, temporary: &FilePath, target: &FilePath, create: bool) -> io::Result<()> {
        let parent = target.parent().unwrap_or(FilePath::new("/"));
        self.disk.create_dir_all(parent)?;
        {
            let _naming = self.naming.blocking_read();
            if create {
                self.disk.hard_link(temporary, target)?;
            } else {
                self.disk.rename(temporary, target)?;
            }
        }
        self.disk.sync_dir(parent)
    }

    /// Removes an unfinished file.
    pub fn discard(&self, temporary: &FilePath) -> io::Result<()> {
        self.disk.remove_file(temporary)
    }

    fn put(&self, target: &FilePath, payload: &PutPayload, create: bool) -> io::Result<()> {
        let (temporary, mut file) = self.begin()?;
        let written = payload.iter().try_for_each(|bytes| file.write_all(bytes)).and_then(|()| file.sync());
        drop(file);
        match written {
            Ok(()) => self.finish(&temporary, target, create),
            Err(error) => {
                // The error that counts is the first one.
                let _ = self.discard(&temporary);
                Err(error)
            }
        }
    }

    fn copy(&self, from: &FilePath, to: &FilePath, create: bool) -> io::Result<()> {
        let (temporary, mut file) = self.begin()?;
        let copied = std::fs::read(from).and_then(|bytes| file.write_all(&bytes)).and_then(|()| file.sync());
        drop(file);
        match copied {
            Ok(()) => self.finish(&temporary, to, create),
            Err(error) => {
                let _ = self.discard(&temporary);
                Err(error)
            }
        }
    }

    fn rename(&self, from: &FilePath, to: &FilePath, create: bool) -> io::Result<()> {
        self.name(from, to, create)?;
        if create {
            self.disk.remove_file(from)?;
        }
        match from.parent() {
            Some(parent) => self.disk.sync_dir(parent),
            None => Ok(()),
        }
    }

    fn delete(&self, path: &FilePath) -> io::Result<()> {
        self.disk.remove_file(path)?;
        match path.parent() {
            Some(parent) => self.disk.sync_dir(parent),
            None => Ok(()),
        }
    }

    /// A listing in the order of names and of one moment.
    ///
    /// The Delta kernel takes for granted that every store but one of `file:` URLs lists in order. And a directory
    /// that is read while names come into it may show a later name and not an earlier one, which is a gap in a log.
    ///
    /// Other processes cannot be kept from giving names meanwhile. So what they share is listed twice: the second time
    /// shows every name that was there before the first ended, and with it all before the last of those.
    fn list(
        self: Arc<Self>,
        list: impl Fn(&LocalFileSystem) -> BoxStream<'static, Result<ObjectMeta>> + Send + 'static,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let listed = async move {
            let _still = self.naming.write().await;
            let mut objects: Vec<ObjectMeta> = list(&self.reader).try_collect().await?;
            if self.is_shared {
                let last = objects.iter().map(|object| object.location.clone()).max();
                objects = list(&self.reader).try_collect().await?;
                objects.retain(|object| last.as_ref().is_some_and(|last| object.location <= *last));
            }
            objects.sort_unstable_by(|a, b| a.location.cmp(&b.location));
            Ok::<_, Error>(futures::stream::iter(objects.into_iter().map(Ok)))
        };
        futures::stream::once(listed).try_flatten().boxed()
    }

    /// Where an object lies.
    pub fn path(&self, location: &Path) -> Result<PathBuf> {
        self.reader.path_to_filesystem(location)
    }
}

/// Runs file operations off the runtime's own threads. Once started they finish, whoever stops waiting.
pub async fn blocking<T: Send + 'static>(
    location: &Path,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let location = location.to_string();
    tokio::task::spawn_blocking(work).await?.map_err(|error| object_error(location, error))
}

fn object_error(path: String, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::NotFound { path, source: error.into() },
        io::ErrorKind::AlreadyExists => Error::AlreadyExists { path, source: error.into() },
        io::ErrorKind::PermissionDenied => Error::PermissionDenied { path, source: error.into() },
        _ => Error::Generic { store: "lake", source: error.into() },
    }
}

fn no_result() -> PutResult {
    PutResult { e_tag: None, version: None }
}

#[async_trait]
impl ObjectStore for Store {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let create = match options.mode {
            PutMode::Overwrite => false,
            PutMode::Create => true,
            PutMode::Update(_) => {
                return Err(Error::NotImplemented {
                    operation: "a put that depends on a version".into(),
                    implementer: self.to_string(),
                });
            }
        };
        let target = self.files.path(location)?;
        let files = self.files.clone();
        blocking(location, move || files.put(&target, &payload, create)).await?;
        Ok(no_result())
    }

    async fn put_multipart_opts(&self, location: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let target = self.files.path(location)?;
        let files = self.files.clone();
        let (temporary, file) = blocking(location, move || files.begin()).await?;
        Ok(Box::new(Upload::new(self.files.clone(), location.clone(), target, temporary, file)))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.files.reader.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let files = self.files.clone();
        locations
            .then(move |location| {
                let files = files.clone();
                async move {
                    let location = location?;
                    let path = files.path(&location)?;
                    blocking(&location, move || files.delete(&path)).await?;
                    Ok(location)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let prefix = prefix.cloned();
        self.files.clone().list(move |files| files.list(prefix.as_ref()))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        let (prefix, offset) = (prefix.cloned(), offset.clone());
        self.files.clone().list(move |files| files.list_with_offset(prefix.as_ref(), &offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.files.reader.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let (source, target) = (self.files.path(from)?, self.files.path(to)?);
        let files = self.files.clone();
        let create = matches!(options.mode, CopyMode::Create);
        blocking(to, move || files.copy(&source, &target, create)).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let (source, target) = (self.files.path(from)?, self.files.path(to)?);
        let files = self.files.clone();
        let create = matches!(options.target_mode, RenameTargetMode::Create);
        blocking(to, move || files.rename(&source, &target, create)).await
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;
    use object_store::ObjectStoreExt;
    use object_store::buffered::BufWriter;

    use super::*;
    use crate::lake::disk::LocalDisk;

    fn store(dir: &tempfile::TempDir) -> Store {
        let temporary = dir.path().join("tmp");
        std::fs::create_dir(&temporary).unwrap();
        Store::new(dir.path(), temporary, Arc::new(LocalDisk), false).unwrap()
    }

    async fn read(store: &Store, path: &str) -> Vec<u8> {
        store.get(&Path::from(path)).await.unwrap().bytes().await.unwrap().to_vec()
    }

    #[tokio::test]
    async fn a_name_is_given_once_and_taken_over_only_when_asked() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        let at = Path::from("a/b c/ä.json");
        let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        store.put_opts(&at, "one".into(), create.clone()).await.unwrap();
        let error = store.put_opts(&at, "two".into(), create).await.unwrap_err();
        assert!(matches!(error, Error::AlreadyExists { .. }), "{error}");
        assert_eq!(read(&store, "a/b c/ä.json").await, b"one");
        store.put(&at, "three".into()).await.unwrap();
        assert_eq!(read(&store, "a/b c/ä.json").await, b"three");
        store.delete(&at).await.unwrap();
        assert!(matches!(store.get(&at).await.unwrap_err(), Error::NotFound { .. }));
        assert_eq!(std::fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0, "no unfinished file is left");
    }

    #[tokio::test]
    async fn parts_make_a_file_in_their_order() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        let expected: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut writer =
            BufWriter::with_capacity(Arc::new(store.clone()), Path::from("f"), 64 * 1024).with_max_concurrency(8);
        for part in expected.chunks(10_007) {
            writer.put(part.to_vec().into()).await.unwrap();
        }
        assert!(!dir.path().join("f").exists(), "a file has its name when it is whole");
        tokio::io::AsyncWriteExt::shutdown(&mut writer).await.unwrap();
        assert_eq!(read(&store, "f").await, expected);
    }

    #[tokio::test]
    async fn an_upload_that_is_given_up_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        let mut upload = store.put_multipart(&Path::from("f")).await.unwrap();
        upload.put_part("half".into()).await.unwrap();
        upload.abort().await.unwrap();
        assert!(!dir.path().join("f").exists());
        assert_eq!(std::fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn objects_are_listed_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        let names: Vec<String> = (0..40).map(|n| format!("log/{:020}.json", n * 7 % 40)).collect();
        for name in &names {
            store.put(&Path::from(name.as_str()), "x".into()).await.unwrap();
        }
        let listed: Vec<ObjectMeta> = store.list(Some(&Path::from("log"))).try_collect().await.unwrap();
        let expected: Vec<String> = (0..40).map(|n| format!("log/{n:020}.json")).collect();
        assert_eq!(listed.iter().map(|object| object.location.to_string()).collect::<Vec<_>>(), expected);
    }
}
