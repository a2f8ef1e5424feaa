//! `EXPORT MODEL`: a version's artifact as an ONNX file on a disk of the server.
//!
//! The file is whole and durable, or it is not there. It goes to a path that says it is a model, never into the data
//! directory, and over another file only where the statement says so. It knows nothing of what is in an artifact.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use limn_sql_udfs::model::partition::{self, PartitionedModel};
use limn_sql_udfs::train::sha256_hex;

use super::open::Inner;
use super::{Answer, models, output};
use crate::lake::disk::Disk;
use crate::lake::files::local_path;
use crate::lake::types::wire_schema;
use crate::registry::ModelVersion;
use crate::sql::model::ExportModel;
use crate::{Error, Result};

/// What a file must be called. A statement that can be talked into writing somewhere can write no configuration.
const EXTENSION: &str = "onnx";

/// The columns of the one row that `EXPORT MODEL` answers.
pub(super) fn result_schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let number = |name: &str| Field::new(name, DataType::Int64, true);
    wire_schema(&Schema::new(vec![
        text("model"),
        number("version"),
        text("path"),
        number("bytes"),
        text("artifact_sha256"),
    ]))
}

/// Runs `EXPORT MODEL`; the answer is its one row.
pub(super) async fn run(inner: &Arc<Inner>, statement: ExportModel) -> Result<Answer> {
    let ExportModel { model, group, to, replace } = statement;
    let version = inner.registry.index().resolve(&model)?.clone();
    let (bytes, sha256) = file(inner, &version, group).await?;
    let length = bytes.len() as u64;
    let (disk, data_dir) = (Arc::clone(&inner.disk), inner.directory.path().to_path_buf());
    let written = tokio::task::spawn_blocking(move || write(disk.as_ref(), &data_dir, &to, &bytes, replace)).await;
    let path = written.map_err(|error| Error::internal(format!("an export stopped: {error}")))??;
    let row: RecordBatch = output::table(vec![
        ("model", output::texts([Some(&version.name)])),
        ("version", output::integers([version.version])),
        ("path", output::texts([Some(path.to_string_lossy())])),
        ("bytes", output::integers([length])),
        ("artifact_sha256", output::texts([Some(&sha256)])),
    ])?;
    Ok(output::finished(row.with_schema(result_schema())?, Some(1)))
}

/// The ONNX file of a version, or of one group of it, and its hash.
async fn file(
    inner: &Inner,
    version: &ModelVersion,
    group: Option<Vec<(String, Option<String>)>>,
) -> Result<(Vec<u8>, String)> {
    let artifact = inner.registry.artifact(&version.artifact_sha256).await?;
    let shown = format!("model `{}/{}`", version.name, version.version);
    match (partition::is_partitioned(&artifact), group) {
        (false, None) => Ok((artifact, version.artifact_sha256.clone())),
        (false, Some(_)) => Err(Error::input(format!("{shown} has no groups, found `PARTITION`"))),
        (true, None) => Err(Error::input(format!("{shown} has a model for each group, and a file holds one"))
            .with_hint("name the group: EXPORT MODEL name PARTITION (column = literal) TO 'path'")),
        (true, Some(group)) => {
            let parts = models::parts(inner, &artifact).await?;
            let read = move || PartitionedModel::load(&artifact, &parts)?.onnx_of(&group, &parts);
            let bytes = tokio::task::spawn_blocking(read).await;
            let bytes = bytes.map_err(|error| Error::internal(format!("an export stopped: {error}")))?;
            let bytes = bytes.map_err(|error| Error::from(error).context(shown))?;
            let sha256 = sha256_hex(&bytes);
            Ok((bytes, sha256))
        }
    }
}

/// Writes a file; blocking. The absolute path that it has.
fn write(disk: &dyn Disk, data_dir: &Path, to: &str, bytes: &[u8], replace: bool) -> Result<PathBuf> {
    let (directory, path) = place(data_dir, to)?;
    let named = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => exists(to),
        _ => Error::from(error).context(format!("`{to}`")),
    };
    if !replace && path.exists() {
        return Err(exists(to));
    }
    let unfinished = directory.join(format!(".{}.tmp", uuid::Uuid::new_v4().simple()));
    let mut file = disk.create_new(&unfinished).map_err(named)?;
    let written = file.write_all(bytes).and_then(|()| file.sync());
    drop(file);
    // A link fails where somebody has taken the name since; a rename replaces whatever has it.
    let placed = written.and_then(|()| match replace {
        true => disk.rename(&unfinished, &path),
        false => disk.hard_link(&unfinished, &path),
    });
    if !replace || placed.is_err() {
        // The first error is the one to tell, and what is left over is no model.
        let _ = disk.remove_file(&unfinished);
    }
    placed.and_then(|()| disk.sync_dir(&directory)).map_err(named)?;
    Ok(path)
}

fn exists(to: &str) -> Error {
    Error::already_exists(format!("`{to}` exists already")).with_hint("EXPORT OR REPLACE MODEL … writes over it")
}

/// The directory, without links in its path, and the file in it.
fn place(data_dir: &Path, to: &str) -> Result<(PathBuf, PathBuf)> {
    let local = local_path(to, "writing to")?;
    let path = Path::new(&local);
    let is_model = !local.ends_with('/') && path.extension().is_some_and(|extension| extension == EXTENSION);
    let Some(name) = path.file_name().filter(|_| is_model) else {
        return Err(Error::input(format!("expected a path that ends in `.{EXTENSION}`, found `{to}`")));
    };
    if path.is_dir() {
        return Err(Error::input(format!("expected a file, found the directory `{to}`")));
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = parent.canonicalize().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::not_found(format!("`{to}`: there is no directory `{}`", parent.display())),
        _ => Error::from(error).context(format!("`{to}`")),
    })?;
    if directory.starts_with(data_dir) {
        return Err(Error::denied(format!("`{to}` is in the data directory, where only Limn writes")));
    }
    let path = directory.join(name);
    Ok((directory, path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;
    use crate::lake::disk::LocalDisk;

    #[test]
    fn a_file_is_written_whole_and_not_written_over_by_accident() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let data = root.join("data");
        let to = root.join("m.onnx");
        let text = to.to_str().unwrap();
        assert_eq!(write(&LocalDisk, &data, text, b"one", false).unwrap(), to);
        let error = write(&LocalDisk, &data, text, b"two", false).unwrap_err();
        assert_eq!(error.class(), Class::AlreadyExists);
        assert_eq!(std::fs::read(&to).unwrap(), b"one");
        write(&LocalDisk, &data, &format!("file://{text}"), b"two", true).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), b"two");
        let left: Vec<_> = std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["m.onnx"]);
    }

    #[test]
    fn only_models_are_written_and_only_outside() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let data = root.join("data");
        std::fs::create_dir_all(data.join("artifacts")).unwrap();
        std::fs::create_dir(root.join("d.onnx")).unwrap();
        let refused = |to: &str| write(&LocalDisk, &data, to, b"x", true).unwrap_err();
        for to in [".bashrc", "m", "m.onnx/", "x.onnx.sh", "d.onnx"].map(|name| root.join(name)) {
            assert_eq!(refused(to.to_str().unwrap()).class(), Class::Input, "{}", to.display());
        }
        for to in [data.join("m.onnx"), data.join("artifacts/m.onnx"), root.join("data/../data/m.onnx")] {
            assert_eq!(refused(to.to_str().unwrap()).class(), Class::Denied, "{}", to.display());
        }
        assert_eq!(refused(root.join("none/m.onnx").to_str().unwrap()).class(), Class::NotFound);
        let error = refused("s3://bucket/m.onnx");
        assert_eq!(error.class(), Class::Unsupported);
        assert_eq!(error.message(), "`s3://bucket/m.onnx`: writing to `s3://` is not supported");
    }
}
