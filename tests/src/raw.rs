//! A Flight SQL connection that sends exactly what a test says, and shows exactly what comes back.
//!
//! Stock clients hide what this edge gets wrong: it has no session unless a test gives it headers, executes nothing by
//! itself, and refuses messages that the smallest client would refuse. It knows nothing of Limn's crates.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{Int64Type, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::encode::{FlightDataEncoder, FlightDataEncoderBuilder};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any, CommandPreparedStatementQuery,
    CommandStatementIngest, CommandStatementQuery, CommandStatementUpdate, DoPutUpdateResult, ProstMessageExt,
    TableDefinitionOptions, TableExistsOption, TableNotExistOption,
};
use arrow_flight::{Action, FlightData, FlightDescriptor, FlightInfo, IpcMessage, PollInfo};
use futures::{Stream, TryStreamExt};
use prost::Message;
use prost::bytes::Bytes;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::{Context, Outcome, TestServer, ensure};

/// Bytes that every client accepts in one message.
const SMALLEST_CLIENT_BYTES: usize = 4 * 1024 * 1024;
/// How long a server may take to come to rest.
const REST_DEADLINE: Duration = Duration::from_secs(60);

/// A connection that sends exactly what a test says.
#[derive(Debug, Clone)]
pub struct Raw {
    /// The service itself.
    pub service: FlightServiceClient<Channel>,
    /// What every request carries.
    pub headers: Vec<(&'static str, String)>,
}

impl Raw {
    /// A connection of its own, without a session.
    pub async fn connect(server: &TestServer) -> Outcome<Self> {
        let channel = Endpoint::from_shared(format!("http://{}", server.flight_addr()))?.connect().await?;
        let service = FlightServiceClient::new(channel)
            .max_decoding_message_size(SMALLEST_CLIENT_BYTES)
            .max_encoding_message_size(usize::MAX);
        Ok(Raw { service, headers: Vec::new() })
    }

    /// A connection to a server on which `t (a BIGINT)` is created.
    pub async fn with_table(server: &TestServer) -> Outcome<Self> {
        let mut raw = Raw::connect(server).await?;
        raw.update("CREATE TABLE t (a BIGINT)").await?;
        Ok(raw)
    }

    /// A message with this connection's headers.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        for (name, value) in &self.headers {
            if let Ok(value) = value.parse() {
                request.metadata_mut().insert(*name, value);
            }
        }
        request
    }

    /// `GetFlightInfo`.
    pub async fn info(&mut self, command: &impl ProstMessageExt) -> Result<FlightInfo, Status> {
        let request = self.request(descriptor(command));
        Ok(self.service.get_flight_info(request).await?.into_inner())
    }

    /// `PollFlightInfo`.
    pub async fn poll(&mut self, descriptor: FlightDescriptor) -> Result<PollInfo, Status> {
        let request = self.request(descriptor);
        Ok(self.service.poll_flight_info(request).await?.into_inner())
    }

    /// `GetSchema`.
    pub async fn schema(&mut self, command: &impl ProstMessageExt) -> Outcome<Schema> {
        let request = self.request(descriptor(command));
        let result = self.service.get_schema(request).await?.into_inner();
        Ok(Schema::try_from(IpcMessage(result.schema))?)
    }

    /// The messages behind the one endpoint of an info.
    pub async fn messages(&mut self, info: &FlightInfo) -> Result<Vec<FlightData>, Status> {
        let ticket = info.endpoint.first().and_then(|endpoint| endpoint.ticket.clone());
        let request = self.request(ticket.ok_or_else(|| Status::internal("the info has no ticket"))?);
        self.service.do_get(request).await?.into_inner().try_collect().await
    }

    /// All rows behind an info, as one batch.
    pub async fn batch(&mut self, info: &FlightInfo) -> Result<RecordBatch, Status> {
        let (schema, batches) = self.batches(info).await?;
        arrow::compute::concat_batches(&schema, &batches).map_err(|error| Status::internal(error.to_string()))
    }

    /// The schema and the batches behind an info.
    pub async fn batches(&mut self, info: &FlightInfo) -> Result<(SchemaRef, Vec<RecordBatch>), Status> {
        let messages = self.messages(info).await?;
        let first = messages.first().ok_or_else(|| Status::internal("the stream had no message"))?;
        let schema = Schema::try_from(first).map_err(|error| Status::internal(error.to_string()))?;
        let stream = futures::stream::iter(messages.into_iter().map(Ok));
        let batches = FlightRecordBatchStream::new_from_flight_data(stream).try_collect().await?;
        Ok((Arc::new(schema), batches))
    }

    /// The rows of a query.
    pub async fn query(&mut self, sql: &str) -> Result<RecordBatch, Status> {
        let info = self.info(&statement(sql)).await?;
        self.batch(&info).await
    }

    /// The one integer that a query answers.
    pub async fn number(&mut self, sql: &str) -> Outcome<i64> {
        let batch = self.query(sql).await.context(sql)?;
        ensure(batch.num_rows() == 1, || format!("expected one row of {sql}"))?;
        Ok(batch.column(0).as_primitive::<Int64Type>().value(0))
    }

    /// `DoPut` of these messages; the metadata of the answer.
    pub async fn put(&mut self, messages: Vec<FlightData>) -> Result<Bytes, Status> {
        self.put_stream(futures::stream::iter(messages)).await
    }

    /// `DoPut` of messages as they come; the metadata of the answer.
    pub async fn put_stream(
        &mut self,
        messages: impl Stream<Item = FlightData> + Send + 'static,
    ) -> Result<Bytes, Status> {
        let request = self.request(messages);
        let answer = self.service.do_put(request).await?.into_inner().message().await?;
        answer.map(|answer| answer.app_metadata).ok_or_else(|| Status::internal("a DoPut without an answer"))
    }

    /// `DoPut` of a statement's text; the count of rows.
    pub async fn update(&mut self, sql: &str) -> Result<i64, Status> {
        let command = CommandStatementUpdate { query: sql.into(), transaction_id: None };
        count(self.put(vec![FlightData::new().with_descriptor(descriptor(&command))]).await?)
    }

    /// `DoPut` of rows into a table; the count of rows.
    pub async fn ingest(&mut self, command: &CommandStatementIngest, batches: Vec<RecordBatch>) -> Result<i64, Status> {
        let schema = batches.first().map_or_else(|| Arc::new(Schema::empty()), RecordBatch::schema);
        let messages: Vec<FlightData> = encoded(command, schema, batches).try_collect().await.map_err(Status::from)?;
        count(self.put(messages).await?)
    }

    /// `DoAction`; the bodies of the answers.
    pub async fn action(&mut self, name: &str, body: Vec<u8>) -> Result<Vec<Bytes>, Status> {
        let request = self.request(Action::new(name, body));
        let results = self.service.do_action(request).await?.into_inner();
        results.map_ok(|result| result.body).try_collect().await
    }

    /// `CreatePreparedStatement`.
    pub async fn prepare(&mut self, sql: &str) -> Result<ActionCreatePreparedStatementResult, Status> {
        let request = ActionCreatePreparedStatementRequest { query: sql.into(), transaction_id: None };
        let bodies = self.action("CreatePreparedStatement", request.as_any().encode_to_vec()).await?;
        let body = bodies.into_iter().next().ok_or_else(|| Status::internal("a preparation without an answer"))?;
        let any = Any::decode(body).map_err(|error| Status::internal(error.to_string()))?;
        let created = any.unpack().map_err(|error| Status::internal(error.to_string()))?;
        created.ok_or_else(|| Status::internal("the answer is not of its type"))
    }

    /// `GetFlightInfo` of a prepared statement.
    pub async fn prepared_info(&mut self, handle: &Bytes) -> Result<FlightInfo, Status> {
        self.info(&CommandPreparedStatementQuery { prepared_statement_handle: handle.clone() }).await
    }
}

/// A statement as `GetFlightInfo` takes it.
pub fn statement(sql: &str) -> CommandStatementQuery {
    CommandStatementQuery { query: sql.into(), transaction_id: None }
}

/// The descriptor of a command.
pub fn descriptor(command: &impl ProstMessageExt) -> FlightDescriptor {
    FlightDescriptor::new_cmd(command.as_any().encode_to_vec())
}

/// The modes of ADBC, by its names: `create`, `append`, `replace`, `create_append`.
pub fn ingest_mode(table: &str, mode: &str) -> CommandStatementIngest {
    let (missing, exists) = match mode {
        "append" => (TableNotExistOption::Fail, TableExistsOption::Append),
        "replace" => (TableNotExistOption::Create, TableExistsOption::Replace),
        "create_append" => (TableNotExistOption::Create, TableExistsOption::Append),
        _ => (TableNotExistOption::Create, TableExistsOption::Fail),
    };
    let options = TableDefinitionOptions { if_not_exist: missing as i32, if_exists: exists as i32 };
    CommandStatementIngest {
        table_definition_options: Some(options),
        table: table.into(),
        schema: None,
        catalog: None,
        temporary: false,
        transaction_id: None,
        options: Default::default(),
    }
}

/// The count of rows that an update answered.
pub fn count(answer: Bytes) -> Result<i64, Status> {
    DoPutUpdateResult::decode(answer).map(|result| result.record_count).map_err(|e| Status::internal(e.to_string()))
}

/// The schema that an info announces.
pub fn schema_of(info: &FlightInfo) -> Outcome<Schema> {
    Ok(Schema::try_from(IpcMessage(info.schema.clone()))?)
}

/// Batches as the messages of a `DoPut`, one message each.
pub fn encoded(command: &impl ProstMessageExt, schema: SchemaRef, batches: Vec<RecordBatch>) -> FlightDataEncoder {
    FlightDataEncoderBuilder::new()
        .with_schema(schema)
        .with_flight_descriptor(Some(descriptor(command)))
        .with_max_flight_data_size(usize::MAX)
        .build(futures::stream::iter(batches.into_iter().map(Ok)))
}

/// Bound parameters as the messages of a `DoPut`.
pub async fn bound(command: &impl ProstMessageExt, rows: RecordBatch) -> Outcome<Vec<FlightData>> {
    Ok(encoded(command, rows.schema(), vec![rows]).try_collect().await?)
}

/// A batch of one `BIGINT` column `$1`.
pub fn integers(values: &[i64]) -> Outcome<RecordBatch> {
    let column: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
    Ok(RecordBatch::try_from_iter([("$1", column)])?)
}

/// The body of a page of the HTTP listener.
pub fn http_get(address: &str, path: &str) -> Outcome<String> {
    let mut connection = TcpStream::connect(address)?;
    write!(connection, "GET {path} HTTP/1.1\r\nHost: limn\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    connection.read_to_string(&mut text)?;
    let (_, body) = text.split_once("\r\n\r\n").context("an answer without a body")?;
    Ok(body.to_string())
}

/// Waits until the server says that this many statements run.
pub async fn until_running(server: &TestServer, wanted: u64) -> Outcome {
    until(|| {
        let text = http_get(server.http_addr(), "/metrics")?;
        let line = text.lines().find_map(|line| line.strip_prefix("limn_statements_running "));
        Ok((line == Some(wanted.to_string().as_str())).then_some(()))
    })
    .await
}

/// The server after it has drained and was started again. The runtime goes on meanwhile, so that connections close.
pub async fn drained(mut server: TestServer) -> Outcome<TestServer> {
    tokio::task::spawn_blocking(move || {
        let status = server.terminate()?;
        ensure(status.success(), || format!("the server ended with {status}:\n{}", server.stderr()))?;
        server.restart()?;
        Ok(server)
    })
    .await?
}

/// What is left of unfinished work below the data directory's `tmp/`, the engine's own spill directory aside.
pub fn unfinished(server: &TestServer) -> Outcome<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(server.data_dir().join("tmp"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !name.starts_with("datafusion-") {
            found.push(name);
        }
    }
    Ok(found)
}

/// Waits until `seen` gives something.
pub async fn until<T>(mut seen: impl FnMut() -> Outcome<Option<T>>) -> Outcome<T> {
    let deadline = Instant::now() + REST_DEADLINE;
    loop {
        if let Some(found) = seen()? {
            return Ok(found);
        }
        ensure(Instant::now() < deadline, || format!("what was waited for did not come in {REST_DEADLINE:?}"))?;
        tokio::task::yield_now().await;
    }
}
