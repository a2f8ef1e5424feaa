//! One Flight SQL connection, through Arrow's own client: what a test sends and gets over the wire.
//!
//! It decides between query and update as JDBC does, by the prepared statement's result schema, and gives errors as
//! the server sent them. It knows nothing of Limn's crates.

use std::fmt;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::{Action, FlightInfo};
use futures::TryStreamExt;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::{Context, Outcome};

/// Bytes of a message that the connection accepts.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// An error as the wire carried it.
#[derive(Debug, Clone)]
pub struct WireError {
    /// The gRPC code's name, such as `InvalidArgument`; `Client` for what went wrong on this side.
    pub code: String,
    /// The status's text.
    pub text: String,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for WireError {}

impl From<FlightError> for WireError {
    fn from(error: FlightError) -> Self {
        match error {
            FlightError::Tonic(status) => {
                WireError { code: format!("{:?}", status.code()), text: status.message().to_string() }
            }
            other => WireError { code: "Client".into(), text: other.to_string() },
        }
    }
}

/// What a statement answered.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Rows.
    Rows(SchemaRef, Vec<RecordBatch>),
    /// A count of rows changed.
    Count(u64),
}

/// A connection with a session of its own.
#[derive(Debug, Clone)]
pub struct Wire {
    client: FlightSqlServiceClient<Channel>,
}

impl Wire {
    /// Connects to `host:port`. The handshake gives the connection its session.
    pub async fn connect(address: &str) -> Outcome<Self> {
        let channel = Endpoint::from_shared(format!("http://{address}"))?.connect().await.context("connecting")?;
        let inner = arrow_flight::flight_service_client::FlightServiceClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
        let mut client = FlightSqlServiceClient::new_from_inner(inner);
        client.handshake("tester", "").await.context("the handshake")?;
        Ok(Wire { client })
    }

    /// Runs a statement as JDBC does: prepare, then update or query by what the prepared statement says.
    pub async fn run(&mut self, sql: &str) -> Result<Reply, WireError> {
        let mut prepared = self.client.prepare(sql.to_string(), None).await?;
        let is_update = prepared.dataset_schema()?.fields().is_empty();
        let reply = if is_update {
            let count = prepared.execute_update().await?;
            Ok(Reply::Count(u64::try_from(count).unwrap_or(0)))
        } else {
            let planned = prepared.dataset_schema()?.clone();
            let info = prepared.execute().await?;
            self.fetch(info, Some(&planned)).await
        };
        // The server forgets idle statements by itself; the reply is what this is about.
        let _ = prepared.close().await;
        reply
    }

    /// Runs a statement as the DB-API of ADBC does: whatever it is, its rows are asked for.
    pub async fn query(&mut self, sql: &str) -> Result<Vec<RecordBatch>, WireError> {
        let info = self.client.execute(sql.to_string(), None).await?;
        match self.fetch(info, None).await? {
            Reply::Rows(_, batches) => Ok(batches),
            Reply::Count(_) => Ok(Vec::new()),
        }
    }

    /// A query whose rows the test reads itself, or does not.
    pub async fn open(&mut self, sql: &str) -> Result<(FlightInfo, FlightRecordBatchStream), WireError> {
        let info = self.client.execute(sql.to_string(), None).await?;
        let ticket = info.endpoint.first().and_then(|endpoint| endpoint.ticket.clone());
        let no_ticket = || WireError { code: "Client".into(), text: "the info has no ticket".into() };
        let stream = self.client.do_get(ticket.ok_or_else(no_ticket)?).await?;
        Ok((info, stream))
    }

    /// An action with its body; its results are read and dropped.
    pub async fn action(&mut self, name: &str, body: Vec<u8>) -> Result<(), WireError> {
        let mut request = Request::new(Action::new(name, body));
        if let Some(token) = self.client.token() {
            let header = format!("Bearer {token}").parse();
            let value =
                header.map_err(|_| WireError { code: "Client".into(), text: "the token is no header".into() })?;
            request.metadata_mut().insert("authorization", value);
        }
        let mut results = self.client.inner_mut().do_action(request).await?.into_inner();
        while results.message().await?.is_some() {}
        Ok(())
    }

    /// The one value of a query with one row and one column, as SQL test files show it.
    pub async fn value(&mut self, sql: &str) -> Outcome<String> {
        let batches = self.query(sql).await.context(sql)?;
        let rows = crate::cells::rows(&batches)?;
        match rows.as_slice() {
            [row] if row.len() == 1 => Ok(row.concat()),
            other => Err(crate::fail(format!("expected one value, found {other:?}: {sql}"))),
        }
    }

    /// The client itself, for what is not above.
    pub fn client(&mut self) -> &mut FlightSqlServiceClient<Channel> {
        &mut self.client
    }

    async fn fetch(&mut self, info: FlightInfo, planned: Option<&Schema>) -> Result<Reply, WireError> {
        let client_error = |text: String| WireError { code: "Client".into(), text };
        let announced: Schema = info.clone().try_decode_schema().map_err(|e| client_error(e.to_string()))?;
        if let Some(planned) = planned.filter(|planned| planned.fields() != announced.fields()) {
            return Err(client_error(format!("the prepared schema is {planned:?}, the announced one {announced:?}")));
        }
        let ticket = match info.endpoint.as_slice() {
            [endpoint] => endpoint.ticket.clone(),
            other => return Err(client_error(format!("expected one endpoint, found {}", other.len()))),
        };
        let ticket = ticket.ok_or_else(|| client_error("the endpoint has no ticket".into()))?;
        let mut stream = self.client.do_get(ticket).await?;
        let mut batches = Vec::new();
        while let Some(batch) = stream.try_next().await? {
            batches.push(batch);
        }
        // The schema message comes even where no row does, and it is the announced one: stock clients insist on both.
        let schema = stream.schema().cloned().ok_or_else(|| client_error("the stream had no schema".into()))?;
        if schema.fields() != announced.fields() {
            return Err(client_error(format!("the announced schema is {announced:?}, the stream's {schema:?}")));
        }
        Ok(Reply::Rows(schema, batches))
    }
}

impl From<Status> for WireError {
    fn from(status: Status) -> Self {
        WireError::from(FlightError::from(status))
    }
}

impl From<arrow::error::ArrowError> for WireError {
    fn from(error: arrow::error::ArrowError) -> Self {
        WireError { code: "Client".into(), text: error.to_string() }
    }
}
