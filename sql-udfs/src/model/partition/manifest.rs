//! The manifest of a partitioned model: what its parts are, and what they have in common.
//!
//! JSON with its fields in a fixed order and nothing that depends on time, so that its SHA-256 is the model's. The parts
//! are named by theirs, so whoever has the right manifest has the right parts.

use serde::{Deserialize, Serialize};

use crate::limits::{ARTIFACT_BYTES_MAX, PARTITION_COLUMNS_MAX};
use crate::model::onnx::view::malformed;
use crate::model::partition::keys::is_key_type;
use crate::model::signature::{Feature, Signature};
use crate::{Error, Result};

/// What the first field says.
const KIND: &str = "limn.partitioned";
/// The version of the format.
const FORMAT: u32 = 1;

/// What becomes of rows whose group has no model of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fallback {
    /// `NO FALLBACK`: an error.
    None,
    /// The model over all groups answers.
    Model {
        /// The SHA-256 of its ONNX file.
        sha256: String,
        /// The rows that it was fitted on.
        rows: u64,
    },
    /// There could be none: an error.
    Failed(String),
}

/// The manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    kind: String,
    format: u32,
    /// The algorithm.
    pub algorithm: String,
    /// Its parameters, as the groups' graphs have them.
    pub parameters: String,
    /// What a group's model takes and gives, with the classes of all groups.
    pub signature: Signature,
    /// The group columns.
    pub partition_by: Vec<Feature>,
    /// The rows that a group needs for a model of its own.
    pub min_rows: u64,
    /// What answers for the other groups.
    pub fallback: Fallback,
    /// The number of groups.
    pub groups: u64,
    /// The number of groups with a model of their own.
    pub trained: u64,
    /// The SHA-256 of the Parquet file with a row for each group.
    pub groups_sha256: String,
    /// The SHA-256 of the ONNX model of each shape of graph.
    pub graphs_sha256: Vec<String>,
}

impl Manifest {
    /// The fields that say which format it is, for a manifest that is being made.
    pub fn format() -> (String, u32) {
        (KIND.to_owned(), FORMAT)
    }

    /// A manifest with everything known.
    #[expect(clippy::too_many_arguments, reason = "one for each field; there is one caller")]
    pub fn new(
        algorithm: &str,
        parameters: String,
        signature: Signature,
        partition_by: Vec<Feature>,
        min_rows: u64,
        fallback: Fallback,
        [groups, trained]: [u64; 2],
        groups_sha256: String,
        graphs_sha256: Vec<String>,
    ) -> Self {
        let (kind, format) = Self::format();
        let algorithm = algorithm.to_owned();
        Manifest {
            kind,
            format,
            algorithm,
            parameters,
            signature,
            partition_by,
            min_rows,
            fallback,
            groups,
            trained,
            groups_sha256,
            graphs_sha256,
        }
    }

    /// Whether these are a manifest's bytes, and not an ONNX model's.
    pub fn is_one(artifact: &[u8]) -> bool {
        artifact.first() == Some(&b'{')
    }

    /// The bytes.
    pub fn write(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|error| Error::internal(error.to_string()))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads and checks what can be checked without the parts.
    pub fn read(artifact: &[u8]) -> Result<Self> {
        if artifact.len() > ARTIFACT_BYTES_MAX {
            return Err(Error::exhausted(format!(
                "expected a manifest of at most {ARTIFACT_BYTES_MAX} bytes, found {}",
                artifact.len()
            )));
        }
        let manifest: Manifest = serde_json::from_slice(artifact)
            .map_err(|error| malformed(format!("expected the manifest of a partitioned model: {error}")))?;
        if manifest.kind != KIND || manifest.format != FORMAT {
            return Err(Error::unsupported(format!(
                "a manifest `{}` of format {} is not supported: expected `{KIND}` of format {FORMAT}",
                manifest.kind, manifest.format
            )));
        }
        let columns = &manifest.partition_by;
        let fits = columns.iter().all(|column| is_key_type(column.value_type) && column.categories.is_none());
        if columns.is_empty() || columns.len() > PARTITION_COLUMNS_MAX || !fits {
            return Err(malformed("expected group columns of TEXT, BIGINT, BOOLEAN or DATE".to_owned()));
        }
        Ok(manifest)
    }

    /// The SHA-256 of every part.
    pub fn parts(&self) -> Vec<&str> {
        let mut parts = vec![self.groups_sha256.as_str()];
        parts.extend(self.graphs_sha256.iter().map(String::as_str));
        if let Fallback::Model { sha256, .. } = &self.fallback {
            parts.push(sha256);
        }
        parts.sort_unstable();
        parts.dedup();
        parts
    }

    /// The signature as `PREDICT` sees it: the group columns come first.
    pub fn whole_signature(&self) -> Signature {
        let features = self.partition_by.iter().chain(&self.signature.features).cloned().collect();
        Signature { features, ..self.signature.clone() }
    }
}
