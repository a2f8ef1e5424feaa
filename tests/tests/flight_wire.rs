//! The promises of the Flight SQL edge that stock clients rely on, checked byte by byte with a raw client.
//!
//! Each test is a trap that some client falls into where a server does the obvious thing. What SQL means is tested
//! elsewhere; here it only has to arrive.

#![expect(clippy::expect_used, reason = "a panic is how a test's own functions fail; clippy exempts only `#[test]`s")]

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray, UnionArray};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, UInt32Type, UnionFields};
use arrow::record_batch::RecordBatch;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{
    ActionBeginTransactionRequest, ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
    ActionCreatePreparedStatementResult, Any, CommandGetDbSchemas, CommandGetSqlInfo, CommandGetTables,
    CommandGetXdbcTypeInfo, CommandPreparedStatementQuery, CommandPreparedStatementUpdate, CommandStatementQuery,
    CommandStatementUpdate, DoPutPreparedStatementResult, DoPutUpdateResult, ProstMessageExt,
};
use arrow_flight::{
    Action, CancelFlightInfoRequest, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, IpcMessage,
};
use futures::{StreamExt, TryStreamExt};
use limn_tests::{Context, Outcome, TestServer, ensure};
use prost::Message;
use prost::bytes::Bytes;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

/// Bytes that every client accepts in one message.
const SMALLEST_CLIENT_BYTES: usize = 4 * 1024 * 1024;

/// A connection that sends exactly what a test says.
struct Raw {
    service: FlightServiceClient<Channel>,
    headers: Vec<(&'static str, String)>,
}

impl Raw {
    async fn connect(server: &TestServer) -> Outcome<Self> {
        let channel = Endpoint::from_shared(format!("http://{}", server.flight_addr()))?.connect().await?;
        let service = FlightServiceClient::new(channel).max_decoding_message_size(SMALLEST_CLIENT_BYTES);
        Ok(Raw { service, headers: Vec::new() })
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        for (name, value) in &self.headers {
            request.metadata_mut().insert(*name, value.parse().expect("a header of a test is a header"));
        }
        request
    }

    async fn info(&mut self, command: &impl ProstMessageExt) -> Result<FlightInfo, Status> {
        let request = self.request(descriptor(command));
        Ok(self.service.get_flight_info(request).await?.into_inner())
    }

    async fn messages(&mut self, info: &FlightInfo) -> Result<Vec<FlightData>, Status> {
        let ticket = info.endpoint[0].ticket.clone().expect("an endpoint has a ticket");
        let request = self.request(ticket);
        self.service.do_get(request).await?.into_inner().try_collect().await
    }

    async fn batch(&mut self, info: &FlightInfo) -> Result<RecordBatch, Status> {
        let messages = self.messages(info).await?;
        let schema = Arc::new(Schema::try_from(&messages[0]).expect("the first message is the schema"));
        let stream = futures::stream::iter(messages.into_iter().map(Ok));
        let batches: Vec<_> = FlightRecordBatchStream::new_from_flight_data(stream).try_collect().await?;
        Ok(arrow::compute::concat_batches(&schema, &batches).expect("batches of one schema"))
    }

    async fn query(&mut self, sql: &str) -> Result<RecordBatch, Status> {
        let info = self.info(&statement(sql)).await?;
        self.batch(&info).await
    }

    /// The one integer that a query answers.
    async fn number(&mut self, sql: &str) -> Outcome<i64> {
        let batch = self.query(sql).await.context(sql)?;
        ensure(batch.num_rows() == 1, || format!("expected one row of {sql}"))?;
        Ok(batch.column(0).as_primitive::<Int64Type>().value(0))
    }

    async fn put(&mut self, messages: Vec<FlightData>) -> Result<Bytes, Status> {
        let request = self.request(futures::stream::iter(messages));
        let answer = self.service.do_put(request).await?.into_inner().message().await?;
        Ok(answer.expect("a DoPut is answered").app_metadata)
    }

    async fn update(&mut self, sql: &str) -> Result<i64, Status> {
        let command = CommandStatementUpdate { query: sql.into(), transaction_id: None };
        count(self.put(vec![FlightData::new().with_descriptor(descriptor(&command))]).await?)
    }

    async fn action(&mut self, name: &str, body: Vec<u8>) -> Result<Vec<Bytes>, Status> {
        let request = self.request(Action::new(name, body));
        let results = self.service.do_action(request).await?.into_inner();
        results.map_ok(|result| result.body).try_collect().await
    }

    async fn prepare(&mut self, sql: &str) -> Result<ActionCreatePreparedStatementResult, Status> {
        let request = ActionCreatePreparedStatementRequest { query: sql.into(), transaction_id: None };
        let bodies = self.action("CreatePreparedStatement", request.as_any().encode_to_vec()).await?;
        let any = Any::decode(bodies[0].clone()).expect("the answer is wrapped");
        Ok(any.unpack().expect("the answer decodes").expect("the answer is of its type"))
    }

    async fn prepared_info(&mut self, handle: &Bytes) -> Result<FlightInfo, Status> {
        self.info(&CommandPreparedStatementQuery { prepared_statement_handle: handle.clone() }).await
    }
}

fn statement(sql: &str) -> CommandStatementQuery {
    CommandStatementQuery { query: sql.into(), transaction_id: None }
}

fn descriptor(command: &impl ProstMessageExt) -> FlightDescriptor {
    FlightDescriptor::new_cmd(command.as_any().encode_to_vec())
}

fn count(answer: Bytes) -> Result<i64, Status> {
    DoPutUpdateResult::decode(answer).map(|result| result.record_count).map_err(|e| Status::internal(e.to_string()))
}

fn schema_of(info: &FlightInfo) -> Outcome<Schema> {
    Ok(Schema::try_from(IpcMessage(info.schema.clone()))?)
}

async fn bound(command: &impl ProstMessageExt, rows: RecordBatch) -> Outcome<Vec<FlightData>> {
    let encoder = FlightDataEncoderBuilder::new()
        .with_schema(rows.schema())
        .with_flight_descriptor(Some(descriptor(command)))
        .with_max_flight_data_size(usize::MAX)
        .build(futures::stream::iter([Ok::<_, FlightError>(rows)]));
    Ok(encoder.try_collect().await?)
}

fn integers(values: &[i64]) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
    RecordBatch::try_from_iter([("$1", column)]).expect("a batch of one column")
}

async fn with_table(server: &TestServer) -> Outcome<Raw> {
    let mut raw = Raw::connect(server).await?;
    raw.update("CREATE TABLE t (a BIGINT)").await?;
    Ok(raw)
}

// --- who asks -------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_handshake_takes_every_form_that_clients_send() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    // base64 of `ada:x` and of `ada:a:b`, padded and not.
    let headers = ["Basic YWRhOng=", "Basic YWRhOng", "Basic YWRhOmE6Yg==", "Basic YWRhOmE6Yg", "Bearer company-token"];
    let mut tokens = Vec::new();
    for header in headers {
        for hellos in [0, 1] {
            raw.headers = vec![("authorization", header.into())];
            let request = raw.request(futures::stream::iter(vec![HandshakeRequest::default(); hellos]));
            let response = raw.service.handshake(request).await.context(header)?;
            let token = response.metadata().get("authorization").context("no token")?.to_str()?.to_string();
            ensure(token.starts_with("Bearer "), || format!("expected a bearer, found `{token}`"))?;
            tokens.push(token);
        }
    }
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), headers.len() * 2, "each handshake has a token of its own");
    raw.headers = vec![("authorization", "Basic !".into())];
    let request = raw.request(futures::stream::iter([HandshakeRequest::default()]));
    assert_eq!(raw.service.handshake(request).await.unwrap_err().code(), Code::Unauthenticated);
    Ok(())
}

async fn current_schema(raw: &mut Raw) -> Outcome<String> {
    let bodies = raw.action("GetSessionOptions", Vec::new()).await?;
    let text = String::from_utf8_lossy(&bodies[0]).into_owned();
    Ok(if text.contains("sales") { "sales".into() } else { "main".into() })
}

async fn use_sales(raw: &mut Raw) -> Outcome<MetadataMap> {
    let request = raw.request(descriptor(&statement("USE sales")));
    Ok(raw.service.get_flight_info(request).await?.metadata().clone())
}

#[tokio::test]
async fn a_session_is_kept_by_bearer_or_by_cookie_and_by_nothing_else() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    raw.update("CREATE SCHEMA sales").await?;
    let metadata = use_sales(&mut raw).await?;
    assert_eq!(current_schema(&mut raw).await?, "main", "a client that names no session has a new one each time");

    let cookie = metadata.get("set-cookie").context("no cookie")?.to_str()?.to_string();
    let pair = cookie.split(';').next().context("an empty cookie")?.to_string();
    let (name, value) = pair.split_once('=').context("no value in the cookie")?;
    // The form that Java's client gives back to cookies with attributes.
    for header in [pair.clone(), format!("$Version=\"1\"; {name}=\"{value}\";$Path=\"/\"")] {
        raw.headers = vec![("cookie", header)];
        assert_eq!(current_schema(&mut raw).await?, "sales");
    }
    let bearer = metadata.get("authorization").context("no bearer")?.to_str()?.to_string();
    raw.headers = vec![("authorization", bearer)];
    assert_eq!(current_schema(&mut raw).await?, "sales");
    raw.action("CloseSession", Vec::new()).await?;
    assert_eq!(current_schema(&mut raw).await?, "main");
    Ok(())
}

#[tokio::test]
async fn session_options_set_the_schema_and_name_what_is_unknown() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    raw.update("CREATE SCHEMA sales").await?;
    // { 1: { key(1): "schema", value(2): { string_value(1): NAME } } }
    let set = |name: &str| {
        let length = name.len() as u8;
        let mut body = vec![0x0A, 12 + length, 0x0A, 6];
        body.extend(b"schema");
        body.extend([0x12, 2 + length, 0x0A, length]);
        body.extend(name.as_bytes());
        body
    };
    let request = raw.request(Action::new("SetSessionOptions", set("sales")));
    let response = raw.service.do_action(request).await?;
    let bearer = response.metadata().get("authorization").context("no bearer")?.to_str()?.to_string();
    raw.headers = vec![("authorization", bearer)];
    assert_eq!(current_schema(&mut raw).await?, "sales");
    let error = raw.action("SetSessionOptions", set("sale")).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::NotFound, "unknown schema `sale`, the nearest is `sales`"));
    Ok(())
}

// --- effects --------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn an_effect_runs_once_by_each_of_four_ways() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = with_table(&server).await?;
    let insert = "INSERT INTO t VALUES (1)";

    let info = raw.info(&statement(insert)).await?;
    assert_eq!(info.total_records, 1);
    assert_eq!(raw.number("SELECT count(*) FROM t").await?, 1, "it ran before any DoGet");
    let first = raw.batch(&info).await?;
    let second = Raw::connect(&server).await?.batch(&info).await?;
    assert_eq!(first, second, "another connection sees the same result");
    assert_eq!(first.column(0).as_primitive::<Int64Type>().values(), &[1]);
    assert_eq!(raw.number("SELECT count(*) FROM t").await?, 1, "redeeming a ticket runs nothing");

    let prepared = raw.prepare(insert).await?;
    assert!(prepared.dataset_schema.is_empty(), "an effect has no result schema");
    assert_eq!(raw.number("SELECT count(*) FROM t").await?, 1, "preparing runs nothing");
    let handle = prepared.prepared_statement_handle;
    let info = raw.prepared_info(&handle).await?;
    raw.batch(&info).await?;
    assert_eq!(raw.number("SELECT count(*) FROM t").await?, 2);

    let command = CommandPreparedStatementUpdate { prepared_statement_handle: handle };
    // What Java's client sends where there is nothing to bind: no column and no row.
    let messages = bound(&command, RecordBatch::new_empty(Arc::new(Schema::empty()))).await?;
    assert_eq!(count(raw.put(messages).await?)?, 1);
    assert_eq!(raw.number("SELECT count(*) FROM t").await?, 3);

    assert_eq!(raw.update(insert).await?, 1);
    assert_eq!(raw.number("SELECT count(*) FROM t").await?, 4);
    Ok(())
}

#[tokio::test]
async fn ddl_and_settings_are_updates_with_no_columns() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    for sql in ["CREATE TABLE d (a BIGINT)", "CREATE SCHEMA s", "USE s", "DROP TABLE lake.main.d"] {
        let prepared = raw.prepare(sql).await.context(sql)?;
        assert!(prepared.dataset_schema.is_empty(), "{sql}");
        let info = raw.prepared_info(&prepared.prepared_statement_handle).await.context(sql)?;
        assert!(schema_of(&info)?.fields().is_empty(), "{sql}");
        assert_eq!(raw.batch(&info).await?.num_rows(), 0, "{sql}");
    }
    Ok(())
}

#[tokio::test]
async fn get_schema_and_prepare_execute_nothing() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = with_table(&server).await?;
    for sql in ["INSERT INTO t VALUES (1)", "CREATE TABLE u AS SELECT 1 AS a"] {
        let request = raw.request(descriptor(&statement(sql)));
        raw.service.get_schema(request).await.context(sql)?;
        raw.prepare(sql).await.context(sql)?;
    }
    assert_eq!(raw.number("SELECT count(*) FROM t").await?, 0);
    assert_eq!(raw.query("SELECT * FROM u").await.unwrap_err().code(), Code::NotFound);
    Ok(())
}

#[tokio::test]
async fn a_training_looks_like_a_query_and_runs_once() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    raw.update("CREATE TABLE m AS SELECT value * 1.0 AS x, value * 2.0 + 1.0 AS y FROM generate_series(1, 50)").await?;
    let sql = "TRAIN MODEL line USING linear_regression TARGET y SPLIT NONE AS SELECT x, y FROM m";
    let versions = "SELECT count(*) FROM system.model_versions";

    let prepared = raw.prepare(sql).await?;
    let promised = Schema::try_from(IpcMessage(prepared.dataset_schema))?;
    assert_eq!(promised.field(0).name(), "model", "it has rows to show");
    assert_eq!(raw.number(versions).await?, 0, "preparing trains nothing");
    let info = raw.prepared_info(&prepared.prepared_statement_handle).await?;
    assert_eq!(raw.number(versions).await?, 1, "it is trained before any DoGet");
    assert_eq!(raw.batch(&info).await?, raw.batch(&info).await?);
    assert_eq!(raw.number(versions).await?, 1, "redeeming a ticket trains nothing");

    let info = raw.info(&statement(sql)).await?;
    raw.batch(&info).await?;
    assert_eq!(raw.number(versions).await?, 2);
    raw.update(sql).await?;
    assert_eq!(raw.number(versions).await?, 3);

    let several = raw.prepare(&format!("{sql} WHERE x > ?")).await?.prepared_statement_handle;
    let command = CommandPreparedStatementQuery { prepared_statement_handle: several.clone() };
    raw.put(bound(&command, integers(&[1, 2])).await?).await?;
    let error = raw.prepared_info(&several).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{}", error.message());
    assert_eq!(raw.number(versions).await?, 3);
    Ok(())
}

// --- queries --------------------------------------------------------------------------------------------------------

/// Types that some stock client cannot read.
fn is_forbidden(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8View | DataType::BinaryView | DataType::ListView(_) | DataType::LargeListView(_) => true,
        DataType::Dictionary(..) | DataType::RunEndEncoded(..) | DataType::Float16 => true,
        DataType::Decimal32(..) | DataType::Decimal64(..) => true,
        DataType::List(field) | DataType::LargeList(field) | DataType::Map(field, _) => is_forbidden(field.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| is_forbidden(field.data_type())),
        _ => false,
    }
}

#[tokio::test]
async fn the_announced_schema_is_the_one_that_comes() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = with_table(&server).await?;
    raw.update("INSERT INTO t VALUES (1), (2)").await?;
    let queries = [
        "SELECT 1, 'a', NULL, 1.5, true, DATE '2020-01-01', TIMESTAMP '2020-01-01 00:00:00'",
        "SELECT min(a), max(a), count(*), count(a), sum(a), avg(a) FROM t",
        "SELECT a FROM t UNION ALL SELECT 1.5",
        "SELECT a, NULL AS n FROM t UNION SELECT 3, 'x'",
        "SELECT CAST(a AS VARCHAR) AS s, CAST(a AS DECIMAL(12, 2)) AS d FROM t",
        "SELECT [1, 2] AS l, named_struct('x', 'y') AS s",
        "SELECT arrow_cast('a', 'Dictionary(Int32, Utf8)') AS d, arrow_cast('b', 'Utf8View') AS v",
        "SELECT * FROM t WHERE a > 100",
        "SELECT a, row_number() OVER (ORDER BY a) AS r FROM t",
        "SELECT * FROM information_schema.tables",
        "SHOW TABLES",
        "EXPLAIN SELECT a FROM t",
    ];
    for sql in queries {
        let prepared = raw.prepare(sql).await.context(sql)?;
        let promised = Schema::try_from(IpcMessage(prepared.dataset_schema))?;
        let info = raw.info(&statement(sql)).await.context(sql)?;
        let announced = schema_of(&info)?;
        let messages = raw.messages(&info).await.context(sql)?;
        let sent = Schema::try_from(&messages[0])?;
        assert_eq!(announced.fields(), sent.fields(), "{sql}");
        assert_eq!(promised.fields(), sent.fields(), "{sql}");
        for field in sent.fields() {
            assert!(!is_forbidden(field.data_type()), "{sql}: {field:?}");
            assert!(field.metadata().contains_key("ARROW:FLIGHT:SQL:TYPE_NAME"), "{sql}: {field:?}");
        }
        assert_eq!((info.endpoint.len(), info.endpoint[0].location.len()), (1, 0), "{sql}");
        assert!(info.endpoint[0].expiration_time.is_none(), "{sql}");
    }
    Ok(())
}

#[tokio::test]
async fn no_rows_still_send_the_schema() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = with_table(&server).await?;
    let info = raw.info(&statement("SELECT a FROM t")).await?;
    let messages = raw.messages(&info).await?;
    assert_eq!(Schema::try_from(&messages[0])?.field(0).name(), "a");
    assert_eq!(raw.batch(&info).await?.num_rows(), 0);
    Ok(())
}

#[tokio::test]
async fn a_ticket_sees_what_its_info_saw() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = with_table(&server).await?;
    raw.update("INSERT INTO t VALUES (1)").await?;
    let info = raw.info(&statement("SELECT count(*) FROM t")).await?;
    raw.update("INSERT INTO t VALUES (2)").await?;
    let mut other = Raw::connect(&server).await?;
    for _ in 0..2 {
        assert_eq!(other.batch(&info).await?.column(0).as_primitive::<Int64Type>().values(), &[1]);
    }
    Ok(())
}

#[tokio::test]
async fn large_results_come_in_messages_that_every_client_takes() -> Outcome {
    let server = TestServer::start()?;
    // The raw client refuses messages over 4 MiB, so an oversized one fails the query.
    let mut raw = Raw::connect(&server).await?;
    let info = raw.info(&statement("SELECT value, repeat('x', 2000) AS s FROM generate_series(1, 20000)")).await?;
    let messages = raw.messages(&info).await?;
    assert!(messages.len() > 10, "{} messages", messages.len());
    assert_eq!(raw.batch(&info).await?.num_rows(), 20_000);
    Ok(())
}

// --- prepared statements --------------------------------------------------------------------------------------------

#[tokio::test]
async fn bound_rows_run_one_after_the_other_by_the_original_handle() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = with_table(&server).await?;
    let prepared = raw.prepare("SELECT CAST(? AS BIGINT) * 10 AS n").await?;
    let parameters = Schema::try_from(IpcMessage(prepared.parameter_schema))?;
    assert_eq!(parameters.fields().len(), 1);
    let handle = prepared.prepared_statement_handle;
    let command = CommandPreparedStatementQuery { prepared_statement_handle: handle.clone() };
    let answer = raw.put(bound(&command, integers(&[1, 2, 3])).await?).await?;
    let echoed = DoPutPreparedStatementResult::decode(answer)?.prepared_statement_handle;
    assert_eq!(echoed, Some(handle.clone()), "an absent handle would make JDBC run an empty one");
    let info = raw.prepared_info(&handle).await?;
    assert_eq!(raw.batch(&info).await?.column(0).as_primitive::<Int64Type>().values(), &[10, 20, 30]);

    let insert = raw.prepare("INSERT INTO t VALUES (?)").await?;
    assert!(insert.dataset_schema.is_empty());
    let command = CommandPreparedStatementUpdate { prepared_statement_handle: insert.prepared_statement_handle };
    assert_eq!(count(raw.put(bound(&command, integers(&[4, 5])).await?).await?)?, 2);
    assert_eq!(raw.number("SELECT sum(a) FROM t").await?, 9);
    Ok(())
}

#[tokio::test]
async fn parameters_may_come_in_dense_unions() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    let prepared = raw.prepare("SELECT CAST($1 AS BIGINT) + 1 AS n").await?;
    let fields =
        UnionFields::from_fields(vec![Field::new("i", DataType::Int64, true), Field::new("s", DataType::Utf8, true)]);
    let children: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![41])), Arc::new(StringArray::from(vec!["6"]))];
    let offsets = ScalarBuffer::from(vec![0, 0]);
    let union = UnionArray::try_new(fields, ScalarBuffer::from(vec![0, 1]), Some(offsets), children)?;
    let rows = RecordBatch::try_from_iter([("parameter_1", Arc::new(union) as ArrayRef)])?;
    let handle = prepared.prepared_statement_handle;
    let command = CommandPreparedStatementQuery { prepared_statement_handle: handle.clone() };
    raw.put(bound(&command, rows).await?).await?;
    let info = raw.prepared_info(&handle).await?;
    assert_eq!(raw.batch(&info).await?.column(0).as_primitive::<Int64Type>().values(), &[42, 7]);
    Ok(())
}

#[tokio::test]
async fn ten_mebibytes_of_parameters_arrive() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = with_table(&server).await?;
    raw.service = raw.service.clone().max_encoding_message_size(usize::MAX);
    let prepared = raw.prepare("INSERT INTO t SELECT length(CAST($1 AS VARCHAR))").await?;
    let command = CommandPreparedStatementUpdate { prepared_statement_handle: prepared.prepared_statement_handle };
    let text = "x".repeat(10 * 1024 * 1024);
    let column: ArrayRef = Arc::new(StringArray::from(vec![text.as_str()]));
    let rows = RecordBatch::try_from_iter([("$1", column)])?;
    assert_eq!(count(raw.put(bound(&command, rows).await?).await?)?, 1);
    assert_eq!(raw.number("SELECT a FROM t").await?, 10 * 1024 * 1024);
    Ok(())
}

#[tokio::test]
async fn unbound_parameters_and_unknown_handles_say_so() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = with_table(&server).await?;
    let prepared = raw.prepare("SELECT a FROM t WHERE a > ? AND a < ?").await?;
    let handle = prepared.prepared_statement_handle;
    let error = raw.prepared_info(&handle).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::InvalidArgument, "expected 2 bound parameters, found 0"));

    let close = ActionClosePreparedStatementRequest { prepared_statement_handle: handle.clone() };
    for _ in 0..2 {
        raw.action("ClosePreparedStatement", close.as_any().encode_to_vec()).await?;
    }
    let error = raw.prepared_info(&handle).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    assert!(error.message().ends_with("\nhint: prepare the statement again"), "{}", error.message());
    Ok(())
}

// --- metadata -------------------------------------------------------------------------------------------------------

async fn listed(raw: &mut Raw, command: CommandGetTables) -> Outcome<Vec<String>> {
    let columns = if command.include_schema { 5 } else { 4 };
    let info = raw.info(&command).await?;
    let batch = raw.batch(&info).await?;
    assert_eq!((schema_of(&info)?.fields().len(), batch.num_columns()), (columns, columns));
    Ok(batch.column(2).as_string::<i32>().iter().flatten().map(str::to_string).collect())
}

#[tokio::test]
async fn tables_are_found_by_pattern_and_type() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    for sql in ["CREATE TABLE a_b (x BIGINT)", "CREATE TABLE axb (x BIGINT)", "CREATE VIEW v AS SELECT 1 AS one"] {
        raw.update(sql).await.context(sql)?;
    }
    let main = || CommandGetTables { db_schema_filter_pattern: Some("main".into()), ..Default::default() };
    let named = |name: &str| CommandGetTables { table_name_filter_pattern: Some(name.into()), ..main() };
    assert_eq!(listed(&mut raw, main()).await?, ["a_b", "axb", "v"]);
    assert_eq!(listed(&mut raw, named("a\\_b")).await?, ["a_b"]);
    assert_eq!(listed(&mut raw, named("a_b")).await?, ["a_b", "axb"]);
    let typed = CommandGetTables { table_types: vec!["base table".into()], include_schema: true, ..main() };
    assert_eq!(listed(&mut raw, typed).await?, ["a_b", "axb"]);
    assert!(listed(&mut raw, CommandGetTables { catalog: Some(String::new()), ..main() }).await?.is_empty());
    let all = listed(&mut raw, CommandGetTables { include_schema: true, ..Default::default() }).await?;
    assert!(all.iter().any(|name| name == "runs"), "system tables are listed: {all:?}");
    Ok(())
}

#[tokio::test]
async fn a_listed_schema_is_ipc_and_names_its_types() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    raw.update("CREATE TABLE priced (id BIGINT, price DECIMAL(12, 3), name VARCHAR)").await?;
    let command = CommandGetTables {
        table_name_filter_pattern: Some("priced".into()),
        include_schema: true,
        ..Default::default()
    };
    let info = raw.info(&command).await?;
    let batch = raw.batch(&info).await?;
    let bytes = Bytes::copy_from_slice(batch.column(4).as_binary::<i32>().value(0));
    let schema = Schema::try_from(IpcMessage(bytes))?;
    let said = |column: usize, key: &str| schema.field(column).metadata().get(key).cloned().unwrap_or_default();
    assert_eq!(said(0, "ARROW:FLIGHT:SQL:TYPE_NAME"), "BIGINT");
    assert_eq!(said(1, "ARROW:FLIGHT:SQL:PRECISION"), "12");
    assert_eq!(said(1, "ARROW:FLIGHT:SQL:SCALE"), "3");
    Ok(())
}

#[tokio::test]
async fn sql_infos_are_complete_and_have_no_foreign_ids() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    let info = raw.info(&CommandGetSqlInfo { info: vec![] }).await?;
    let batch = raw.batch(&info).await?;
    let ids: Vec<u32> = batch.column(0).as_primitive::<UInt32Type>().values().to_vec();
    let expected: Vec<u32> = (0..=9).chain([100, 101]).chain(500..=576).collect();
    assert_eq!(ids, expected);
    // What flightsql-dbapi and ADBC ask for when they connect.
    for asked in [vec![0, 2, 3, 504], vec![8], vec![0, 1, 2, 4, 5, 6, 7]] {
        let info = raw.info(&CommandGetSqlInfo { info: asked.clone() }).await?;
        let found = raw.batch(&info).await?;
        assert_eq!(found.column(0).as_primitive::<UInt32Type>().values().to_vec(), asked);
    }
    Ok(())
}

#[tokio::test]
async fn schemas_and_types_are_listed() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    raw.update("CREATE SCHEMA empty_one").await?;
    let info = raw.info(&CommandGetDbSchemas::default()).await?;
    let batch = raw.batch(&info).await?;
    let names: Vec<&str> = batch.column(1).as_string::<i32>().iter().flatten().collect();
    for name in ["main", "system", "information_schema", "empty_one"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let info = raw.info(&CommandGetXdbcTypeInfo::default()).await?;
    assert_eq!(raw.batch(&info).await?.num_columns(), 19);
    Ok(())
}

// --- refusals -------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn what_is_not_there_is_unimplemented_with_a_text() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    for (name, body) in [
        ("BeginTransaction", ActionBeginTransactionRequest {}.as_any().encode_to_vec()),
        ("RenewFlightEndpoint", Vec::new()),
        ("NoSuchAction", Vec::new()),
    ] {
        let error = raw.action(name, body).await.unwrap_err();
        assert_eq!(error.code(), Code::Unimplemented, "{name}");
        assert!(!error.message().is_empty(), "{name}");
    }
    let request = raw.request(descriptor(&statement("SELECT 1")));
    assert_eq!(raw.service.poll_flight_info(request).await.unwrap_err().code(), Code::Unimplemented);
    let listed = raw.service.list_actions(arrow_flight::Empty {}).await?.into_inner();
    let names: Vec<String> = listed.map_ok(|action| action.r#type).try_collect().await?;
    assert!(!names.iter().any(|name| name.contains("Transaction") || name.contains("Savepoint")), "{names:?}");
    Ok(())
}

#[tokio::test]
async fn errors_have_their_codes_and_arrive_however_long() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = with_table(&server).await?;
    let long = format!("SELECT * FROM \"{}\"", "é".repeat(50_000));
    for (sql, code) in [
        ("SELEC 1", Code::InvalidArgument),
        ("SELECT nothing FROM t", Code::NotFound),
        ("SELECT * FROM no_such_table", Code::NotFound),
        ("CREATE TABLE t (a BIGINT)", Code::AlreadyExists),
        (long.as_str(), Code::NotFound),
    ] {
        let error = raw.query(sql).await.unwrap_err();
        assert_eq!(error.code(), code, "{}", error.message());
        assert!(!error.message().is_empty() && error.message().len() <= 4096, "{} bytes", error.message().len());
    }
    Ok(())
}

// --- the end of a statement -----------------------------------------------------------------------------------------

/// A query that sends rows for longer than any test waits.
const ENDLESS: &str = "SELECT a.value AS x, b.value AS y \
    FROM generate_series(1, 10000000) AS a CROSS JOIN generate_series(1, 10000000) AS b";

/// The body of a page of the HTTP listener.
fn http_get(address: &str, path: &str) -> Outcome<String> {
    let mut connection = TcpStream::connect(address)?;
    write!(connection, "GET {path} HTTP/1.1\r\nHost: limn\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    connection.read_to_string(&mut text)?;
    let (_, body) = text.split_once("\r\n\r\n").context("an answer without a body")?;
    Ok(body.to_string())
}

/// Waits until the server says that this many statements run.
async fn until_running(server: &TestServer, wanted: u64) -> Outcome {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let text = http_get(server.http_addr(), "/metrics")?;
        let line = text.lines().find_map(|line| line.strip_prefix("limn_statements_running "));
        if line == Some(wanted.to_string().as_str()) {
            return Ok(());
        }
        ensure(Instant::now() < deadline, || format!("expected {wanted} running statements, found {line:?}"))?;
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn dropping_a_stream_stops_its_statement() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    let info = raw.info(&statement(ENDLESS)).await?;
    let ticket = info.endpoint[0].ticket.clone().context("no ticket")?;
    let mut stream = raw.service.do_get(ticket).await?.into_inner();
    stream.next().await.context("no schema")??;
    until_running(&server, 1).await?;
    drop(stream);
    until_running(&server, 0).await
}

#[tokio::test]
async fn a_statement_is_cancelled_by_its_info() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    let info = raw.info(&statement(ENDLESS)).await?;
    let cancel = CancelFlightInfoRequest { info: Some(info.clone()) }.encode_to_vec();
    let error = raw.action("CancelFlightInfo", cancel.clone()).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound, "nothing runs yet");
    let ticket = info.endpoint[0].ticket.clone().context("no ticket")?;
    let mut stream = raw.service.do_get(ticket).await?.into_inner();
    stream.next().await.context("no schema")??;
    let bodies = raw.action("CancelFlightInfo", cancel).await?;
    // CancelFlightInfoResult { status(1): CANCELLED (1) }
    assert_eq!(bodies[0].as_ref(), [0x08, 1]);
    let end = stream.try_for_each(|_| std::future::ready(Ok(()))).await.unwrap_err();
    assert_eq!(end.code(), Code::Cancelled);
    Ok(())
}

#[tokio::test]
async fn a_deadline_ends_a_statement() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    let info = raw.info(&statement(ENDLESS)).await?;
    raw.headers = vec![("grpc-timeout", "300m".into())];
    let error = raw.messages(&info).await.unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded, "{}", error.message());
    until_running(&server, 0).await
}

#[tokio::test]
async fn statements_are_counted_by_kind_and_class() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = with_table(&server).await?;
    raw.query("SELECT 1").await?;
    raw.query("SELECT * FROM nowhere").await.unwrap_err();
    until_running(&server, 0).await?;
    let text = http_get(server.http_addr(), "/metrics")?;
    let counts: HashMap<&str, &str> = text.lines().filter_map(|line| line.rsplit_once(' ')).collect();
    assert_eq!(counts["limn_statements_total{kind=\"query\",class=\"ok\"}"], "1");
    assert_eq!(counts["limn_statements_total{kind=\"effect\",class=\"ok\"}"], "1");
    assert_eq!(counts["limn_statements_total{kind=\"unknown\",class=\"not_found\"}"], "1");
    assert!(http_get(server.http_addr(), "/ready")?.contains("ready"));
    Ok(())
}

#[tokio::test]
async fn a_draining_server_finishes_what_it_began() -> Outcome {
    let mut server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    // Far more than all buffers between the server and a reader that does not read.
    let sql = "SELECT value, repeat('x', 2000) AS s FROM generate_series(1, 20000)";
    let info = raw.info(&statement(sql)).await?;
    let ticket = info.endpoint[0].ticket.clone().context("no ticket")?;
    let mut stream = raw.service.do_get(ticket).await?.into_inner();
    let schema = stream.next().await.context("no schema")??;

    let http = server.http_addr().to_string();
    let ended = tokio::task::spawn_blocking(move || server.terminate());
    // A draining server says so, or takes no connection any more.
    while http_get(&http, "/ready").is_ok_and(|body| body.contains("ready")) {
        tokio::task::yield_now().await;
    }
    let rest: Vec<FlightData> = stream.try_collect().await?;
    let messages = futures::stream::iter([schema].into_iter().chain(rest).map(Ok));
    let batches: Vec<RecordBatch> = FlightRecordBatchStream::new_from_flight_data(messages).try_collect().await?;
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 20_000);
    assert!(ended.await??.success());
    Ok(())
}
