//! The names that completion offers: schemas, relations, columns, functions, models, as the server has them.
//!
//! They are fetched behind the typing and after statements that may have changed them; the columns of a table when they
//! are first wanted. What cannot be fetched is not offered, and nobody is told: it is only typing help.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::AsArray;
use limn_client::{Client, Result, TableFilter};

use crate::limits::{SHELL_COMPLETION_TABLES_MAX, SHELL_COMPLETION_TIMEOUT};

/// The names of one server at one time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Schemas.
    pub schemas: Vec<String>,
    /// The current schema.
    pub current: String,
    /// Tables and views, by schema and name.
    pub relations: Vec<(String, String)>,
    /// Functions.
    pub functions: Vec<String>,
    /// Models.
    pub models: Vec<String>,
}

/// The names as far as they are known, and the way to know more.
#[derive(Debug, Default)]
pub struct KnownNames {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    client: Option<Client>,
    names: Arc<Names>,
    columns: HashMap<(String, String), Vec<String>>,
    /// Counts refreshes, so that a slow one does not write over a newer.
    refresh: u64,
}

impl KnownNames {
    /// What is known now.
    pub fn names(&self) -> Arc<Names> {
        Arc::clone(&self.known().names)
    }

    /// Forgets the columns and fetches everything else again, in the background.
    pub fn refresh(self: &Arc<Self>, client: &Client) {
        let ticket = {
            let mut known = self.known();
            known.client = Some(client.clone());
            known.columns.clear();
            known.refresh += 1;
            known.refresh
        };
        let (own, client) = (Arc::clone(self), client.clone());
        tokio::spawn(async move {
            let functions = own.names().functions.clone();
            let names = fetch(&client, functions).await;
            let mut known = own.known();
            if known.refresh == ticket {
                known.names = Arc::new(names);
            }
        });
    }

    /// The columns of a table, waited for a moment where they are not known. Blocks: not for asynchronous callers.
    pub fn columns(&self, schema: &str, table: &str) -> Vec<String> {
        let key = (schema.to_string(), table.to_string());
        let client = {
            let known = self.known();
            if let Some(columns) = known.columns.get(&key) {
                return columns.clone();
            }
            known.client.clone()
        };
        let (Some(client), Ok(runtime)) = (client, tokio::runtime::Handle::try_current()) else { return vec![] };
        let wanted = tokio::time::timeout(SHELL_COMPLETION_TIMEOUT, async {
            let schema = client.table_schema(schema, table).await?;
            Ok::<_, limn_client::Error>(schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>())
        });
        let Ok(Ok(columns)) = runtime.block_on(wanted) else { return vec![] };
        let mut known = self.known();
        if known.columns.len() >= SHELL_COMPLETION_TABLES_MAX {
            known.columns.clear();
        }
        known.columns.insert(key, columns.clone());
        columns
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything but columns. Functions do not change while a server runs.
async fn fetch(client: &Client, functions: Vec<String>) -> Names {
    let schemas = client.schemas().await.unwrap_or_default();
    let tables = client.tables(&TableFilter::default()).await.unwrap_or_default();
    let current = client.options_of_session().await.unwrap_or_default().remove("schema").unwrap_or_default();
    let functions = match functions.is_empty() {
        true => first_column(client, FUNCTIONS).await.unwrap_or_default(),
        false => functions,
    };
    Names {
        schemas,
        current,
        relations: tables.into_iter().map(|table| (table.schema.unwrap_or_default(), table.name)).collect(),
        functions,
        models: first_column(client, "SHOW MODELS").await.unwrap_or_default(),
    }
}

/// The names of all functions.
const FUNCTIONS: &str = "SELECT DISTINCT routine_name FROM information_schema.routines ORDER BY routine_name";

async fn first_column(client: &Client, sql: &str) -> Result<Vec<String>> {
    let batches = client.query(sql).await?.into_batches().await?;
    let columns = batches.iter().filter_map(|batch| batch.columns().first()?.as_string_opt::<i32>().cloned());
    Ok(columns.flat_map(|column| column.iter().flatten().map(str::to_string).collect::<Vec<_>>()).collect())
}
