//! How statements end over the wire: dropped, cancelled, late, drained; and how they are counted.
//!
//! Each test is a trap that some client falls into where a server does the obvious thing.

use std::collections::HashMap;

use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::sql::{ActionCancelQueryRequest, ActionCancelQueryResult, Any, ProstMessageExt};
use arrow_flight::{CancelFlightInfoRequest, FlightData};
use futures::{StreamExt, TryStreamExt};
use limn_tests::raw::{Raw, http_get, schema_of, statement, unfinished, until, until_running};
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
async fn a_statement_is_cancelled_by_cancel_query() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    let info = raw.info(&statement(ENDLESS)).await?;
    let cancel = ActionCancelQueryRequest { info: info.encode_to_vec().into() }.as_any().encode_to_vec();
    assert_eq!(raw.action("CancelQuery", cancel.clone()).await.unwrap_err().code(), Code::NotFound);
    let ticket = info.endpoint[0].ticket.clone().context("no ticket")?;
    let mut stream = raw.service.do_get(ticket).await?.into_inner();
    stream.next().await.context("no schema")??;
    let bodies = raw.action("CancelQuery", cancel).await?;
    let result: ActionCancelQueryResult = Any::decode(bodies[0].clone())?.unpack()?.context("another message")?;
    assert_eq!(result.result, 1, "CANCEL_RESULT_CANCELLED");
    let end = stream.try_for_each(|_| std::future::ready(Ok(()))).await.unwrap_err();
    assert_eq!(end.code(), Code::Cancelled);
    let malformed = ActionCancelQueryRequest { info: vec![0xFF].into() }.as_any().encode_to_vec();
    assert_eq!(raw.action("CancelQuery", malformed).await.unwrap_err().code(), Code::InvalidArgument);
    Ok(())
}

/// A query that computes for longer than any test waits, before its first row.
const SILENT: &str = "SELECT count(*) FROM generate_series(1, 1000000000000) AS g(value) WHERE value % 3 = 5";

#[tokio::test]
async fn the_schema_comes_before_the_first_row_is_known() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    let info = raw.info(&statement(SILENT)).await?;
    let ticket = info.endpoint[0].ticket.clone().context("no ticket")?;
    let mut stream = raw.service.do_get(ticket).await?.into_inner();
    let first = stream.next().await.context("no message")??;
    assert_eq!(Schema::try_from(&first)?.fields(), schema_of(&info)?.fields());
    until_running(&server, 1).await?;
    let cancel = CancelFlightInfoRequest { info: Some(info) }.encode_to_vec();
    raw.action("CancelFlightInfo", cancel).await?;
    assert_eq!(stream.next().await.context("no end")?.unwrap_err().code(), Code::Cancelled);
    until_running(&server, 0).await
}

/// An effect that would take hours.
const ENDLESS_EFFECT: &str = "INSERT INTO t SELECT a.value FROM generate_series(1, 10000000) AS a \
    CROSS JOIN generate_series(1, 10000000) AS b";

#[tokio::test]
async fn an_effect_ends_with_its_call_and_leaves_nothing() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::with_table(&server).await?;
    // The client hangs up, by each of the calls that run effects.
    for way in 0..3 {
        let mut gone = raw.clone();
        let call = tokio::spawn(async move {
            match way {
                0 => gone.info(&statement(ENDLESS_EFFECT)).await.map(drop),
                1 => gone.update(ENDLESS_EFFECT).await.map(drop),
                _ => {
                    let handle = gone.prepare(ENDLESS_EFFECT).await?.prepared_statement_handle;
                    gone.prepared_info(&handle).await.map(drop)
                }
            }
        });
        until_running(&server, 1).await?;
        call.abort();
        let _ = call.await;
        until_running(&server, 0).await.context(format!("way {way}"))?;
    }
    // The client's time is up.
    let mut hurried = raw.clone();
    hurried.headers = vec![("grpc-timeout", "1500m".into())];
    for error in [
        hurried.info(&statement(ENDLESS_EFFECT)).await.map(drop).unwrap_err(),
        hurried.update(ENDLESS_EFFECT).await.map(drop).unwrap_err(),
    ] {
        assert_eq!(error.code(), Code::DeadlineExceeded, "{}", error.message());
    }
    until_running(&server, 0).await?;
    assert_eq!(raw.number("SELECT count(*) FROM t").await?, 0);
    until(|| Ok(unfinished(&server)?.is_empty().then_some(()))).await.context("unfinished files are left")
}

#[tokio::test]
async fn a_deadline_ends_a_statement() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    let info = raw.info(&statement(ENDLESS)).await?;
    raw.headers = vec![("grpc-timeout", "1500m".into())];
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
