//! What the Flight SQL edge refuses, and how: the right code, and a text that arrives however long it is.
//!
//! Each test is a trap that some client falls into where a server does the obvious thing.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::record_batch::RecordBatch;
use arrow_flight::FlightData;
use arrow_flight::sql::{
    ActionBeginTransactionRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedSubstraitPlanRequest,
    CommandStatementIngest, CommandStatementQuery, CommandStatementUpdate, ProstMessageExt,
};
use futures::TryStreamExt;
use limn_tests::raw::{Raw, descriptor, ingest_mode};
use limn_tests::{Outcome, TestServer};
use prost::Message;
use prost::bytes::Bytes;
use tonic::{Code, Status};

#[tokio::test]
async fn what_is_not_there_is_unimplemented_with_a_text() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    for (name, body) in [
        ("BeginTransaction", ActionBeginTransactionRequest {}.as_any().encode_to_vec()),
        ("CreatePreparedSubstraitPlan", ActionCreatePreparedSubstraitPlanRequest::default().as_any().encode_to_vec()),
        ("CreatePreparedSubstraitPlan", Vec::new()),
        ("RenewFlightEndpoint", Vec::new()),
        ("NoSuchAction", Vec::new()),
    ] {
        let error = raw.action(name, body).await.unwrap_err();
        assert_eq!(error.code(), Code::Unimplemented, "{name}");
        assert!(!error.message().is_empty(), "{name}");
    }
    let listed = raw.service.list_actions(arrow_flight::Empty {}).await?.into_inner();
    let names: Vec<String> = listed.map_ok(|action| action.r#type).try_collect().await?;
    assert!(!names.iter().any(|name| name.contains("Transaction") || name.contains("Savepoint")), "{names:?}");
    Ok(())
}

#[tokio::test]
async fn errors_have_their_codes_and_arrive_however_long() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::with_table(&server).await?;
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

async fn polled(raw: &mut Raw, query: &CommandStatementQuery) -> Result<(), Status> {
    let mut told = raw.poll(descriptor(query)).await?;
    while let Some(next) = told.flight_descriptor.take() {
        told = raw.poll(next).await?;
    }
    Ok(())
}

/// A statement of a transaction that nobody can have begun would do something else than its client means.
#[tokio::test]
async fn no_call_passes_over_a_transaction() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::with_table(&server).await?;
    let insert = || "INSERT INTO t VALUES (1)".to_string();
    let column: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let rows = RecordBatch::try_from_iter_with_nullable([("a", column, true)])?;
    for id in ["", "forged"] {
        let transaction_id = Some(Bytes::copy_from_slice(id.as_bytes()));
        let query = CommandStatementQuery { query: insert(), transaction_id: transaction_id.clone() };
        let update = CommandStatementUpdate { query: insert(), transaction_id: transaction_id.clone() };
        let update = FlightData::new().with_descriptor(descriptor(&update));
        let prepare = ActionCreatePreparedStatementRequest { query: insert(), transaction_id: transaction_id.clone() };
        let ingest = CommandStatementIngest { transaction_id, ..ingest_mode("t", "append") };
        let answers = [
            ("GetSchema", raw.service.get_schema(descriptor(&query)).await.map(drop)),
            ("GetFlightInfo", raw.info(&query).await.map(drop)),
            ("PollFlightInfo", polled(&mut raw, &query).await),
            ("DoPut of an update", raw.put(vec![update]).await.map(drop)),
            ("DoPut of rows", raw.ingest(&ingest, vec![rows.clone()]).await.map(drop)),
            ("CreatePreparedStatement", {
                raw.action("CreatePreparedStatement", prepare.as_any().encode_to_vec()).await.map(drop)
            }),
        ];
        for (call, answer) in answers {
            let code = answer.err().map(|status| status.code());
            assert_eq!(code, if id.is_empty() { None } else { Some(Code::Unimplemented) }, "{call} with `{id}`");
        }
    }
    // What has no transaction ran: by info, poll, update and as rows.
    assert_eq!(raw.number("SELECT count(*) FROM t").await?, 4);
    Ok(())
}
