//! What the Flight SQL edge refuses, and how: the right code, and a text that arrives however long it is.
//!
//! Each test is a trap that some client falls into where a server does the obvious thing.

use arrow_flight::sql::{ActionBeginTransactionRequest, ActionCreatePreparedSubstraitPlanRequest, ProstMessageExt};
use futures::TryStreamExt;
use limn_tests::raw::Raw;
use limn_tests::{Outcome, TestServer};
use prost::Message;
use tonic::Code;

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
