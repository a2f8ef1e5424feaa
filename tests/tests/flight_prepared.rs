//! Prepared statements over the wire: handles, and parameters in every form that clients send.
//!
//! Each test is a trap that some client falls into where a server does the obvious thing.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray, UnionArray};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema, UnionFields};
use arrow::record_batch::RecordBatch;
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, Any, CommandPreparedStatementQuery,
    CommandPreparedStatementUpdate, DoPutPreparedStatementResult, ProstMessageExt,
};
use arrow_flight::{FlightData, IpcMessage};
use futures::TryStreamExt;
use limn_tests::raw::{Raw, bound, count, encoded, integers};
use limn_tests::{Context, Outcome, TestServer};
use prost::Message;
use tonic::Code;

#[tokio::test]
async fn bound_rows_run_one_after_the_other_by_the_original_handle() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::with_table(&server).await?;
    let prepared = raw.prepare("SELECT CAST(? AS BIGINT) * 10 AS n").await?;
    let parameters = Schema::try_from(IpcMessage(prepared.parameter_schema))?;
    assert_eq!(parameters.fields().len(), 1);
    let handle = prepared.prepared_statement_handle;
    let command = CommandPreparedStatementQuery { prepared_statement_handle: handle.clone() };
    let answer = raw.put(bound(&command, integers(&[1, 2, 3])?).await?).await?;
    let echoed = DoPutPreparedStatementResult::decode(answer)?.prepared_statement_handle;
    assert_eq!(echoed, Some(handle.clone()), "an absent handle would make JDBC run an empty one");
    let info = raw.prepared_info(&handle).await?;
    assert_eq!(raw.batch(&info).await?.column(0).as_primitive::<Int64Type>().values(), &[10, 20, 30]);

    let insert = raw.prepare("INSERT INTO t VALUES (?)").await?;
    assert!(insert.dataset_schema.is_empty());
    let command = CommandPreparedStatementUpdate { prepared_statement_handle: insert.prepared_statement_handle };
    assert_eq!(count(raw.put(bound(&command, integers(&[4, 5])?).await?).await?)?, 2);
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
async fn parameters_are_told_in_the_order_of_their_numbers() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    // Twelve of alternating types, named backwards: sorted as texts, $10 would come before $2.
    let type_of =
        |number: usize| if number.is_multiple_of(2) { ("TEXT", DataType::Utf8) } else { ("INT", DataType::Int32) };
    let columns: Vec<String> = (1..=12).rev().map(|n| format!("CAST(${n} AS {}) AS c{n}", type_of(n).0)).collect();
    let prepared = raw.prepare(&format!("SELECT {}", columns.join(", "))).await?;
    let told = Schema::try_from(IpcMessage(prepared.parameter_schema))?;
    let found: Vec<&DataType> = told.fields().iter().map(|field| field.data_type()).collect();
    let expected: Vec<DataType> = (1..=12).map(|n| type_of(n).1).collect();
    assert_eq!(found, expected.iter().collect::<Vec<_>>());
    let values = (1..=12).map(|n| -> (String, ArrayRef) {
        let column: ArrayRef = match n % 2 {
            0 => Arc::new(StringArray::from(vec![n.to_string()])),
            _ => Arc::new(Int64Array::from(vec![n])),
        };
        (n.to_string(), column)
    });
    let handle = prepared.prepared_statement_handle;
    let command = CommandPreparedStatementQuery { prepared_statement_handle: handle.clone() };
    raw.put(bound(&command, RecordBatch::try_from_iter(values)?).await?).await?;
    let info = raw.prepared_info(&handle).await?;
    let row = raw.batch(&info).await?;
    assert_eq!(row.column(0).as_string::<i32>().value(0), "12");
    assert_eq!(row.column(11).as_primitive::<Int32Type>().value(0), 1);
    Ok(())
}

#[tokio::test]
async fn no_rows_of_parameters_are_no_executions() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::with_table(&server).await?;
    let insert = raw.prepare("INSERT INTO t VALUES (?)").await?.prepared_statement_handle;
    let select = raw.prepare("SELECT CAST(? AS BIGINT) AS n").await?.prepared_statement_handle;
    let rows = integers(&[])?;
    // With a batch that has no rows, and with the columns alone.
    for batches in [vec![rows.clone()], vec![]] {
        let command = CommandPreparedStatementUpdate { prepared_statement_handle: insert.clone() };
        let messages: Vec<FlightData> = encoded(&command, rows.schema(), batches.clone()).try_collect().await?;
        assert_eq!(count(raw.put(messages).await?)?, 0);
        let command = CommandPreparedStatementQuery { prepared_statement_handle: select.clone() };
        raw.put(encoded(&command, rows.schema(), batches).try_collect().await?).await?;
        let info = raw.prepared_info(&select).await?;
        let found = raw.batch(&info).await?;
        assert_eq!((found.num_rows(), found.schema().field(0).name().as_str()), (0, "n"));
    }
    assert_eq!(raw.number("SELECT count(*) FROM t").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_question_mark_in_a_string_of_any_kind_is_no_parameter() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    let sql = r"SELECT E'it\'s ?' AS a, '?''?' AS b, $$?$$ AS c, CAST(? AS BIGINT) AS d";
    let prepared = raw.prepare(sql).await?;
    assert_eq!(Schema::try_from(IpcMessage(prepared.parameter_schema))?.fields().len(), 1);
    let handle = prepared.prepared_statement_handle;
    let command = CommandPreparedStatementQuery { prepared_statement_handle: handle.clone() };
    raw.put(bound(&command, integers(&[7])?).await?).await?;
    let info = raw.prepared_info(&handle).await?;
    let row = raw.batch(&info).await?;
    let texts: Vec<&str> = (0..3).map(|column| row.column(column).as_string::<i32>().value(0)).collect();
    assert_eq!(texts, ["it's ?", "?'?", "?"]);
    assert_eq!(row.column(3).as_primitive::<Int64Type>().value(0), 7);
    Ok(())
}

/// The reply as FlightSql.proto has it; arrow-flight's own message ends before the last field.
#[derive(Clone, PartialEq, Message)]
struct Created {
    #[prost(bytes = "vec", tag = "2")]
    dataset_schema: Vec<u8>,
    #[prost(bool, optional, tag = "4")]
    is_update: Option<bool>,
}

#[tokio::test]
async fn a_prepared_statement_says_whether_it_is_an_update() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::with_table(&server).await?;
    for (sql, is_update) in [
        ("SELECT a FROM t", false),
        ("SHOW TABLES", false),
        ("EXPLAIN SELECT a FROM t", false),
        ("TRAIN MODEL m USING linear_regression TARGET y AS SELECT a AS x, a AS y FROM t", false),
        ("INSERT INTO t VALUES (1)", true),
        ("INSERT OVERWRITE t SELECT 1", true),
        ("CREATE TABLE u (a BIGINT)", true),
        ("CREATE TABLE u AS SELECT 1 AS a", true),
        ("CREATE VIEW v AS SELECT a FROM t", true),
        ("COPY INTO t FROM '/nowhere/x.csv' FILEFORMAT = CSV", true),
        ("DROP TABLE t", true),
        ("CREATE SCHEMA s", true),
        ("USE main", true),
        ("SET statement_timeout = '1s'", true),
        ("RESET statement_timeout", true),
    ] {
        let request = ActionCreatePreparedStatementRequest { query: sql.into(), transaction_id: None };
        let bodies = raw.action("CreatePreparedStatement", request.as_any().encode_to_vec()).await.context(sql)?;
        let created = Created::decode(Any::decode(bodies[0].clone())?.value)?;
        assert_eq!(created.is_update, Some(is_update), "{sql}");
        assert_eq!(created.dataset_schema.is_empty(), is_update, "older drivers tell by it: {sql}");
    }
    Ok(())
}

#[tokio::test]
async fn ten_mebibytes_of_parameters_arrive() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::with_table(&server).await?;
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
    let mut raw = Raw::with_table(&server).await?;
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

#[tokio::test]
async fn a_value_means_what_it_is_wherever_it_is_bound() -> Outcome {
    let Some(python) = limn_tests::python::python()? else { return Ok(()) };
    let server = TestServer::start()?;
    python.script("parameters.py", [server.flight_url()]).map(drop)
}
