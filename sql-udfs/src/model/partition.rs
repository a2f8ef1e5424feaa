//! Partitioned models: one model per group in one artifact, and what scores them.
//!
//! The artifact is a manifest, the ONNX model of each shape of graph, a Parquet file with a row for each group, and the
//! model over all groups. It knows nothing of files: whoever stores the parts hands them in.
//!
//! # Layout
//! - `keys`: which group a row is of
//! - `manifest`: what the parts are
//! - `slots`: a graph apart, into its shape and its constants; `groups`: the file with the constants
//! - `members`: groups' kernels, read when they are needed; `evaluator`: rows to groups to predictions
//! - `contents`: weights and nodes of all groups as rows

mod contents;
pub(crate) mod evaluator;
pub(crate) mod groups;
pub(crate) mod keys;
pub(crate) mod manifest;
pub(crate) mod members;
pub(crate) mod slots;

pub use evaluator::{PartitionedModel, Parts};
pub use keys::{GroupKey, KeySet, KeyValue};

use arrow::record_batch::RecordBatch;

use crate::Result;

/// Whether an artifact is a partitioned model's manifest, whose parts are stored beside it.
pub fn is_partitioned(artifact: &[u8]) -> bool {
    manifest::Manifest::is_one(artifact)
}

/// The SHA-256 of the part with a row for each group.
pub fn groups_part(manifest: &[u8]) -> Result<String> {
    Ok(manifest::Manifest::read(manifest)?.groups_sha256)
}

/// Each group of a partitioned model: its key as JSON, `trained` or `fallback`, why it has no model of its own, rows, rows
/// held out, and metrics as JSON.
pub fn details(manifest: &[u8], groups: Vec<u8>) -> Result<RecordBatch> {
    groups::GroupsFile::open(groups, &manifest::Manifest::read(manifest)?.partition_by)?.details()
}

/// The SHA-256 of each part of a partitioned model.
pub fn parts(manifest: &[u8]) -> Result<Vec<String>> {
    Ok(manifest::Manifest::read(manifest)?.parts().into_iter().map(str::to_owned).collect())
}
