//! Prepared statements over the wire: handles, and parameters in every form that clients send.
//!
//! Each test is a trap that some client falls into where a server does the obvious thing.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray, UnionArray};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, UnionFields};
use arrow::record_batch::RecordBatch;
use arrow_flight::IpcMessage;
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, CommandPreparedStatementQuery, CommandPreparedStatementUpdate,
    DoPutPreparedStatementResult, ProstMessageExt,
};
use limn_tests::raw::{Raw, bound, count, integers};
use limn_tests::{Outcome, TestServer};
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
