//! A prepared statement of one client.
//!
//! The server keeps it until it is closed or forgotten; dropping it here closes nothing, because that needs a call.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
    Any, CommandPreparedStatementQuery, CommandPreparedStatementUpdate, DoPutPreparedStatementResult, ProstMessageExt,
};
use arrow_flight::{FlightData, IpcMessage};
use futures::TryStreamExt;
use prost::Message;
use prost::bytes::Bytes;

use crate::client::descriptor;
use crate::{Class, Client, Error, Parameters, Result, Rows};

/// A statement that the server has parsed and described.
///
/// ```no_run
/// # async fn example(client: limn_client::Client) -> limn_client::Result<()> {
/// use limn_client::params;
/// let insert = client.prepare("INSERT INTO items VALUES (?, ?)").await?;
/// insert.execute(params![1, "apple"]).await?;
/// insert.execute(vec![params![2, "pear"], params![3, None::<&str>]]).await?;
/// insert.close().await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Prepared {
    client: Client,
    handle: Bytes,
    schema: SchemaRef,
    parameters: SchemaRef,
}

impl Prepared {
    pub(crate) async fn create(client: Client, sql: &str) -> Result<Self> {
        let request = ActionCreatePreparedStatementRequest { query: sql.to_string(), transaction_id: None };
        let body = client.action_once("CreatePreparedStatement", request.as_any().encode_to_vec()).await?;
        let result: Option<ActionCreatePreparedStatementResult> = Any::decode(body)?.unpack()?;
        let result = result.ok_or_else(|| Error::new(Class::Internal, "the server prepared nothing"))?;
        Ok(Prepared {
            client,
            handle: result.prepared_statement_handle,
            schema: schema(result.dataset_schema)?,
            parameters: schema(result.parameter_schema)?,
        })
    }

    /// The result's schema; no column where the statement is run for its effect.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The parameters' names and types, as far as the server can tell.
    pub fn parameters(&self) -> &SchemaRef {
        &self.parameters
    }

    /// Runs it with these rows of parameters, one after the other; `()` where it has none.
    pub async fn query(&self, rows: impl Into<Parameters>) -> Result<Rows> {
        let mut command = CommandPreparedStatementQuery { prepared_statement_handle: self.handle.clone() };
        if let Some(rows) = rows.into().into_batch(&self.parameters)? {
            let answer = self.client.put(futures::stream::iter(messages(&command, rows).await?)).await?;
            // A server without memory of its own gives a handle that has the parameters in it.
            let answer = answer.map(DoPutPreparedStatementResult::decode).transpose()?;
            if let Some(handle) = answer.and_then(|answer| answer.prepared_statement_handle) {
                command.prepared_statement_handle = handle;
            }
        }
        self.client.rows(&command).await
    }

    /// Runs it for its effect, once for each row of parameters; the number of rows changed.
    pub async fn execute(&self, rows: impl Into<Parameters>) -> Result<i64> {
        let command = CommandPreparedStatementUpdate { prepared_statement_handle: self.handle.clone() };
        let rows = rows.into().into_batch(&self.parameters)?;
        let rows = rows.unwrap_or_else(|| RecordBatch::new_empty(Arc::new(Schema::empty())));
        self.client.update(futures::stream::iter(messages(&command, rows).await?)).await
    }

    /// Forgets it on the server.
    pub async fn close(self) -> Result<()> {
        let request = ActionClosePreparedStatementRequest { prepared_statement_handle: self.handle.clone() };
        self.client.action("ClosePreparedStatement", request.as_any().encode_to_vec()).await.map(|_| ())
    }
}

fn schema(bytes: Bytes) -> Result<SchemaRef> {
    match bytes.is_empty() {
        true => Ok(Arc::new(Schema::empty())),
        false => Ok(Arc::new(Schema::try_from(IpcMessage(bytes))?)),
    }
}

async fn messages(command: &impl ProstMessageExt, rows: RecordBatch) -> Result<Vec<FlightData>> {
    let encoded = FlightDataEncoderBuilder::new()
        .with_schema(rows.schema())
        .with_flight_descriptor(Some(descriptor(command)))
        .build(futures::stream::iter([Ok::<_, FlightError>(rows)]));
    Ok(encoded.try_collect().await?)
}
