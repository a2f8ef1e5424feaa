//! How statements end over the wire: dropped, cancelled, late, drained; and how they are counted.
//!
//! Each test is a trap that some client falls into where a server does the obvious thing.

use std::collections::HashMap;

use arrow::record_batch::RecordBatch;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::{CancelFlightInfoRequest, FlightData};
use futures::{StreamExt, TryStreamExt};
use limn_tests::raw::{Raw, http_get, statement, until_running};
use limn_tests::{Context, Outcome, TestServer};
use prost::Message;
use tonic::Code;

/// A query that sends rows for longer than any test waits.
const ENDLESS: &str = "SELECT a.value AS x, b.value AS y \
    FROM generate_series(1, 10000000) AS a CROSS JOIN generate_series(1, 10000000) AS b";

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
    let mut raw = Raw::with_table(&server).await?;
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
