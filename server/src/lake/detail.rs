//! What a table is: its size, its properties, and whether Limn can read and write it, and why not.
//!
//! What deltalake refuses in tables that others wrote is told here for each table, before a statement fails on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use deltalake_core::kernel::MetadataValue;
use deltalake_core::kernel::transaction::{PROTOCOL, TableReference, TransactionError};
use deltalake_core::table::state::DeltaTableState;
use serde_json::Value;

use super::open::Lake;
use super::protocol::GENERATION;
use super::table::Table;
use super::{Relation, definition};
use crate::limits::HISTORY_ROWS_MAX;
use crate::{Class, Result};

/// One table, as `DESCRIBE DETAIL` tells of it.
#[derive(Debug, Clone)]
pub struct Detail {
    /// Delta's own id of the table.
    pub delta_id: String,
    /// The table's comment.
    pub comment: Option<String>,
    /// Where its files are.
    pub location: String,
    /// When it was made, as its metadata say.
    pub created_at: Option<DateTime<Utc>>,
    /// When its latest version was made.
    pub changed_at: Option<DateTime<Utc>>,
    /// Its latest version.
    pub version: u64,
    /// Its partition columns.
    pub partition_by: Vec<String>,
    /// Data files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Its properties.
    pub properties: BTreeMap<String, String>,
    /// The protocol's version for readers.
    pub reader_version: i32,
    /// The protocol's version for writers.
    pub writer_version: i32,
    /// The protocol's features.
    pub features: Vec<String>,
    /// Why it cannot be read.
    pub not_readable: Option<String>,
    /// Why it cannot be written.
    pub not_writable: Option<String>,
    /// Its columns, in order.
    pub columns: Vec<Column>,
}

/// A column, as far as a table says more of it than its type.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its comment.
    pub comment: Option<String>,
    /// What its values are computed from.
    pub generated: Option<String>,
    /// Whether it may be NULL.
    pub nullable: bool,
}

impl Lake {
    /// What a table is at its latest version.
    pub async fn detail(&self, relation: &Arc<Relation>) -> Result<Detail> {
        let table = self.table(relation)?;
        match table.latest().await {
            Err(error) if error.class() == Class::Unsupported => {
                let refused = Refused::read(&table).await?;
                Ok(refused.detail(self.location(relation), error.message()))
            }
            state => self.detail_of(relation, &table, &state?).await,
        }
    }

    async fn detail_of(&self, relation: &Arc<Relation>, table: &Table, state: &DeltaTableState) -> Result<Detail> {
        let (metadata, protocol) = (state.metadata(), state.protocol());
        let files = state.snapshot().log_data();
        let (mut count, mut bytes) = (0, 0);
        for file in files.iter() {
            count += 1;
            bytes += u64::try_from(file.size()).unwrap_or_default();
        }
        let changed = table.commit_times(state.version()).await?;
        let reference: &dyn TableReference = state;
        let named = protocol.reader_features().into_iter().chain(protocol.writer_features()).flatten();
        let mut features: Vec<String> = named.map(|feature| feature.as_ref().to_string()).collect();
        features.sort();
        features.dedup();
        let text = |field: &deltalake_core::kernel::StructField, key: &str| match field.metadata.get(key) {
            Some(MetadataValue::String(text)) => Some(text.clone()),
            _ => None,
        };
        Ok(Detail {
            delta_id: metadata.id().to_string(),
            comment: metadata.description().map(str::to_string),
            location: self.location(relation),
            created_at: metadata.created_time().and_then(DateTime::from_timestamp_millis),
            changed_at: changed.last().map(|time| time.at),
            version: state.version(),
            partition_by: metadata.partition_columns().to_vec(),
            files: count,
            bytes,
            properties: metadata.configuration().clone().into_iter().collect(),
            reader_version: protocol.min_reader_version(),
            writer_version: protocol.min_writer_version(),
            features,
            not_readable: PROTOCOL.can_read_from(reference).err().map(|error| reason("read", error)),
            not_writable: PROTOCOL.can_write_to(reference).err().map(|error| reason("write", error)),
            columns: state
                .schema()
                .fields()
                .map(|field| Column {
                    name: field.name.clone(),
                    comment: text(field, definition::COMMENT),
                    generated: text(field, GENERATION),
                    nullable: field.nullable,
                })
                .collect(),
        })
    }
}

/// A table that deltalake does not open: what the commits in its log say of it, as far as they are there.
#[derive(Default)]
struct Refused {
    version: u64,
    protocol: Value,
    metadata: Value,
}

impl Refused {
    async fn read(table: &Table) -> Result<Self> {
        let (mut commits, _) = table.log_files().await?;
        commits.sort_unstable_by(|a, b| b.cmp(a));
        let mut found = Refused { version: commits.first().copied().unwrap_or_default(), ..Refused::default() };
        for version in commits.into_iter().take(HISTORY_ROWS_MAX) {
            let bytes = table.log_store().read_commit_entry(version).await.map_err(super::error::delta)?;
            for action in
                serde_json::Deserializer::from_slice(&bytes.unwrap_or_default()).into_iter::<Value>().flatten()
            {
                for (kind, kept) in [("protocol", &mut found.protocol), ("metaData", &mut found.metadata)] {
                    if let (true, Some(said)) = (kept.is_null(), action.get(kind)) {
                        *kept = said.clone();
                    }
                }
            }
            if !found.protocol.is_null() && !found.metadata.is_null() {
                break;
            }
        }
        Ok(found)
    }

    fn detail(&self, location: String, why: &str) -> Detail {
        let text = |value: &Value| value.as_str().map(str::to_string);
        let texts =
            |value: &Value| -> Vec<String> { value.as_array().into_iter().flatten().filter_map(text).collect() };
        let number = |value: &Value| value.as_i64().and_then(|number| i32::try_from(number).ok()).unwrap_or_default();
        let mut features = texts(&self.protocol["readerFeatures"]);
        features.extend(texts(&self.protocol["writerFeatures"]));
        features.sort();
        features.dedup();
        let properties = self.metadata["configuration"].as_object().into_iter().flatten();
        Detail {
            delta_id: text(&self.metadata["id"]).unwrap_or_default(),
            comment: text(&self.metadata["description"]),
            location,
            created_at: self.metadata["createdTime"].as_i64().and_then(DateTime::from_timestamp_millis),
            changed_at: None,
            version: self.version,
            partition_by: texts(&self.metadata["partitionColumns"]),
            files: 0,
            bytes: 0,
            properties: properties.filter_map(|(key, value)| Some((key.clone(), text(value)?))).collect(),
            reader_version: number(&self.protocol["minReaderVersion"]),
            writer_version: number(&self.protocol["minWriterVersion"]),
            features,
            not_readable: Some(why.to_string()),
            not_writable: Some(why.to_string()),
            columns: Vec::new(),
        }
    }
}

/// Why a table cannot be used, in words.
fn reason(what: &str, error: TransactionError) -> String {
    match error {
        TransactionError::UnsupportedTableFeatures(features) => {
            let mut names: Vec<String> = features.iter().map(|feature| feature.as_ref().to_string()).collect();
            names.sort();
            format!("it has features that Limn does not {what}: {}", names.join(", "))
        }
        other => super::error::transaction(other).message().to_string(),
    }
}
