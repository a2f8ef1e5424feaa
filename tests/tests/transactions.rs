//! Batches that are sent again are taken once: by statements, by parameters in bulk, by bulk ingestion, from many
//! clients at once, and after a server that died.
//!
//! What the clause means in each form of `INSERT` is in `slt/insert/transaction.slt`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::record_batch::RecordBatch;
use arrow_flight::sql::{CommandPreparedStatementUpdate, CommandStatementIngest};
use limn_tests::raw::{Raw, bound, count, ingest_mode};
use limn_tests::{Outcome, TestServer};
use tonic::{Code, Status};

fn rows(values: impl IntoIterator<Item = i64>) -> Outcome<RecordBatch> {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(values));
    Ok(RecordBatch::try_from_iter_with_nullable([("a", column, true)])?)
}

/// An ingestion in a transaction.
fn once(mode: &str, application: &str, version: &str) -> CommandStatementIngest {
    let options = [("txnAppId", application), ("txnVersion", version)];
    CommandStatementIngest {
        options: options.into_iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
        ..ingest_mode("t", mode)
    }
}

#[tokio::test]
async fn an_ingested_batch_is_taken_once() -> Outcome {
    let mut server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    for (version, sent, taken) in [("1", 3, 3), ("1", 3, 0), ("0", 3, 0), ("2", 2, 2), ("3", 0, 0), ("3", 5, 0)] {
        let answered = raw.ingest(&once("create_append", "meters", version), vec![rows(0..sent)?]).await?;
        assert_eq!(answered, taken, "version {version}");
    }
    // Statements and ingestions count the same.
    assert_eq!(raw.update("INSERT INTO t TRANSACTION ('meters', 3) VALUES (9)").await?, 0);
    assert_eq!(raw.update("INSERT INTO t TRANSACTION ('meters', 4) VALUES (9)").await?, 1);
    assert_eq!(raw.ingest(&once("append", "meters", "4"), vec![rows(0..1)?]).await?, 0);
    server.kill9()?;
    server.restart()?;
    let mut raw = Raw::connect(&server).await?;
    assert_eq!(raw.ingest(&once("append", "meters", "4"), vec![rows(0..1)?]).await?, 0);
    assert_eq!(raw.number("SELECT count(*) FROM t").await?, 6);
    for mode in ["create", "replace"] {
        let refused = raw.ingest(&once(mode, "meters", "5"), vec![rows(0..1)?]).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{mode}: {refused:?}");
    }
    assert_eq!(raw.number("SELECT count(*) FROM t").await?, 6);
    Ok(())
}

#[tokio::test]
async fn a_batch_that_many_send_at_once_is_taken_once() -> Outcome {
    const CLIENTS: i64 = 8;
    const BATCHES: i64 = 6;
    let server = TestServer::start()?;
    let mut raw = Raw::with_table(&server).await?;
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let mut own = Raw::connect(&server).await?;
        clients.push(tokio::spawn(async move {
            let mut taken = 0;
            for batch in 0..BATCHES {
                taken += match client % 2 {
                    0 => {
                        let sql = format!("INSERT INTO t TRANSACTION ('meters', {batch}) VALUES ({batch}), ({batch})");
                        own.update(&sql).await?
                    }
                    _ => own.ingest(&once("append", "meters", &batch.to_string()), vec![rows([batch, batch])?]).await?,
                };
            }
            Ok::<i64, limn_tests::Failure>(taken)
        }));
    }
    let mut taken = 0;
    for client in clients {
        taken += client.await??;
    }
    // Each batch has two rows, and whoever sends a later one has sent it before.
    assert_eq!(taken, 2 * BATCHES);
    assert_eq!(raw.number("SELECT count(*) FROM t").await?, 2 * BATCHES);
    assert_eq!(raw.number("SELECT count(*) FROM (SELECT a FROM t GROUP BY a HAVING count(*) = 2)").await?, BATCHES);
    Ok(())
}

#[tokio::test]
async fn rows_of_parameters_are_one_batch_or_refused() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::with_table(&server).await?;
    let mut sent = async |sql: &str, batch: RecordBatch| -> Result<i64, Status> {
        let handle = raw.prepare(sql).await?.prepared_statement_handle;
        let command = CommandPreparedStatementUpdate { prepared_statement_handle: handle };
        let messages = bound(&command, batch).await.map_err(|error| Status::internal(error.text().to_string()))?;
        count(raw.put(messages).await?)
    };
    for taken in [4, 0] {
        assert_eq!(sent("INSERT INTO t TRANSACTION ('meters', 1) VALUES (?)", rows(1..5)?).await?, taken);
    }
    let each = "INSERT INTO t TRANSACTION ('meters', 2) SELECT a + ? FROM t";
    assert_eq!(sent(each, rows(1..5)?).await.unwrap_err().code(), Code::Unimplemented);
    let replacing = "INSERT INTO t TRANSACTION ('meters', 2) REPLACE WHERE a > 2 SELECT ?";
    assert_eq!(sent(replacing, rows(3..5)?).await.unwrap_err().code(), Code::Unimplemented);
    assert_eq!(sent(replacing, rows(7..8)?).await?, 1);
    assert_eq!(raw.number("SELECT sum(a) FROM t").await?, 1 + 2 + 7);
    Ok(())
}
