//! The lake's Delta tables as the target of folding: one under `<data_dir>/system/<name>` per system table.
//!
//! It only translates; commits, files and their durability are the lake's.

use std::collections::HashMap;

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;

use super::fold::FoldTarget;
use super::tables::SystemTable;
use super::version::number;
use crate::lake::{self, CommitNotes, Lake};
use crate::{Error, Result};

/// The application id of every fold's transaction.
const APP_ID: &str = "limn-registry";

/// The open Delta tables.
pub struct LakeTables(HashMap<SystemTable, lake::SystemTable>);

impl LakeTables {
    /// Opens all of them, creating those that do not exist.
    pub async fn open(lake: &Lake) -> Result<Self> {
        let mut tables = HashMap::new();
        for table in SystemTable::ALL {
            tables.insert(table, lake.system_table(table.name(), table.stored_schema()).await?);
        }
        Ok(LakeTables(tables))
    }

    fn table(&self, table: SystemTable) -> Result<&lake::SystemTable> {
        self.0.get(&table).ok_or_else(|| Error::internal(format!("`system.{}` is not open", table.name())))
    }
}

#[async_trait]
impl FoldTarget for LakeTables {
    async fn folded(&self, table: SystemTable) -> Result<u64> {
        let version = self.table(table)?.transaction_version(APP_ID).await?;
        Ok(version.and_then(|version| u64::try_from(version).ok()).unwrap_or(0))
    }

    async fn append(&self, table: SystemTable, batches: Vec<RecordBatch>, folded: u64, through: u64) -> Result<()> {
        let transactions = vec![(APP_ID.to_string(), number(through))];
        let notes = CommitNotes { transactions, ..CommitNotes::default() };
        self.table(table)?.append_after(batches, notes, number(folded)).await
    }

    async fn read(&self, table: SystemTable) -> Result<Vec<RecordBatch>> {
        self.table(table)?.read().await
    }
}
