//! `PollFlightInfo`: queries are complete at once, effects run in the background exactly once while a client asks.
//!
//! A long effect here is one that waits on nothing but its own work, and is cancelled when a test has seen enough.

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use arrow_flight::sql::CommandGetCatalogs;
use arrow_flight::sql::CommandPreparedStatementQuery;
use arrow_flight::{CancelFlightInfoRequest, FlightDescriptor, PollInfo};
use limn_tests::raw::{Raw, descriptor, drained, schema_of, statement, until_running};
use limn_tests::{Context, Outcome, TestServer, ensure};
use prost::Message;
use tonic::Code;

/// Far more rows than any test waits for.
const ENDLESS: &str = "INSERT INTO t SELECT a.value FROM generate_series(1, 10000000) AS a \
    CROSS JOIN generate_series(1, 10000000) AS b";

async fn polled(raw: &mut Raw, sql: &str) -> Outcome<PollInfo> {
    raw.poll(descriptor(&statement(sql))).await.context(sql)
}

/// Polls to the end.
async fn to_the_end(raw: &mut Raw, mut told: PollInfo) -> Outcome<PollInfo> {
    while let Some(next) = told.flight_descriptor.take() {
        told = raw.poll(next).await?;
    }
    Ok(told)
}

#[tokio::test]
async fn a_query_and_a_command_are_complete_at_once() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    let told = polled(&mut raw, "SELECT 42 AS n").await?;
    assert_eq!((&told.flight_descriptor, told.progress), (&None, Some(1.0)));
    let info = told.info.context("no info")?;
    assert_eq!(raw.batch(&info).await?.column(0).as_primitive::<Int64Type>().values(), &[42]);

    let handle = raw.prepare("SELECT 43 AS n").await?.prepared_statement_handle;
    let command = CommandPreparedStatementQuery { prepared_statement_handle: handle };
    let told = raw.poll(descriptor(&command)).await?;
    let info = told.info.context("no info")?;
    assert_eq!(raw.batch(&info).await?.column(0).as_primitive::<Int64Type>().values(), &[43]);

    let told = raw.poll(descriptor(&CommandGetCatalogs {})).await?;
    assert_eq!((&told.flight_descriptor, told.progress), (&None, Some(1.0)));
    assert_eq!(raw.batch(&told.info.context("no info")?).await?.num_rows(), 1);
    Ok(())
}

#[tokio::test]
async fn an_effect_gives_what_get_flight_info_gives_and_runs_once() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::with_table(&server).await?;
    let told = polled(&mut raw, "INSERT INTO t SELECT value FROM range(0, 2000)").await?;
    let told = to_the_end(&mut raw, told).await?;
    assert_eq!(told.progress, Some(1.0));
    let info = told.info.context("no info")?;
    assert_eq!(info.total_records, 2000);
    assert_eq!(raw.batch(&info).await?.column(0).as_primitive::<Int64Type>().values(), &[2000]);
    assert_eq!(raw.number("SELECT count(*) FROM t").await?, 2000);
    let other = raw.info(&statement("INSERT INTO t VALUES (1)")).await?;
    assert_eq!(schema_of(&info)?, schema_of(&other)?);
    Ok(())
}

#[tokio::test]
async fn a_running_effect_says_so_and_is_cancelled_by_its_info() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::with_table(&server).await?;
    let told = polled(&mut raw, ENDLESS).await?;
    let handle = told.flight_descriptor.clone().context("it runs for longer than a poll")?;
    assert!(told.expiration_time.is_some());
    let info = told.info.context("no info")?;
    assert!(info.endpoint.is_empty(), "there is no result yet");
    assert_eq!(schema_of(&info)?.field(0).name(), "count");
    until_running(&server, 1).await?;

    let again = Raw::connect(&server).await?.poll(handle.clone()).await?;
    assert_eq!(again.flight_descriptor, Some(handle.clone()), "another connection may ask too");
    until_running(&server, 1).await?;

    let cancel = CancelFlightInfoRequest { info: Some(info) }.encode_to_vec();
    // CancelFlightInfoResult { status(1): CANCELLED (1) }
    assert_eq!(raw.action("CancelFlightInfo", cancel).await?[0].as_ref(), [0x08, 1]);
    until_running(&server, 0).await?;
    for _ in 0..2 {
        assert_eq!(raw.poll(handle.clone()).await.unwrap_err().code(), Code::Cancelled);
    }
    assert_eq!(raw.number("SELECT count(*) FROM t").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_training_is_polled_to_its_row() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    raw.update(
        "CREATE TABLE m AS SELECT value * 1.0 AS x, sin(value) AS z, value * 2.0 + 1.0 AS y FROM range(0, 200000)",
    )
    .await?;
    let sql = "TRAIN MODEL tree USING decision_tree TARGET y SPLIT NONE AS SELECT x, z, y FROM m";
    let mut told = polled(&mut raw, sql).await?;
    while let Some(next) = told.flight_descriptor.take() {
        told = raw.poll(next).await?;
    }
    let info = told.info.context("no info")?;
    let row = raw.batch(&info).await?;
    assert_eq!((row.num_rows(), row.schema().field(0).name().as_str()), (1, "model"));
    assert_eq!(raw.number("SELECT count(*) FROM system.model_versions").await?, 1);
    Ok(())
}

/// Polls until the progress has grown twice; it never shrinks, and is never the end before the end.
async fn grows(raw: &mut Raw, sql: &str) -> Outcome {
    let mut told = polled(raw, sql).await?;
    let mut seen: Vec<f64> = Vec::new();
    while seen.len() < 3 {
        let next = told.flight_descriptor.take().context(format!("it ended before it had grown: {seen:?}"))?;
        let last = seen.last().copied().unwrap_or(0.0);
        if let Some(done) = told.progress {
            assert!((last..1.0).contains(&done), "{done} after {seen:?}");
            if done > last {
                seen.push(done);
            }
        }
        told = raw.poll(next).await?;
    }
    match raw.action("CancelFlightInfo", CancelFlightInfoRequest { info: told.info }.encode_to_vec()).await {
        Ok(_) => Ok(()),
        Err(status) => ensure(status.code() == Code::NotFound, || format!("{status}, where it may have ended")),
    }
}

#[tokio::test]
async fn the_progress_of_a_long_effect_moves() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::with_table(&server).await?;
    // Tables know how many rows they have, so that the plan knows how many there will be: 10 billion.
    raw.update("CREATE TABLE many AS SELECT value AS a FROM range(0, 100000)").await?;
    for sql in [
        "INSERT INTO t SELECT x.a FROM many AS x CROSS JOIN many AS y",
        "CREATE TABLE u AS SELECT x.a FROM many AS x CROSS JOIN many AS y",
    ] {
        grows(&mut raw, sql).await.context(sql)?;
        until_running(&server, 0).await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_progress_of_a_training_moves() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    let columns: Vec<String> = (1..=20).map(|n| format!("sin(value * {n}.1) AS x{n}")).collect();
    raw.update(&format!(
        "CREATE TABLE m AS SELECT {}, value % 7 + sin(value) AS y FROM range(0, 300000)",
        columns.join(", ")
    ))
    .await?;
    grows(
        &mut raw,
        "TRAIN MODEL trees USING gradient_boosting (n_estimators = 200) TARGET y SPLIT NONE AS SELECT * FROM m",
    )
    .await?;
    until_running(&server, 0).await
}

#[tokio::test]
async fn an_effect_whose_client_stops_asking_goes_on_to_its_end() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::with_table(&server).await?;
    let mut gone = Raw::connect(&server).await?;
    let sql =
        "INSERT INTO t SELECT a.value FROM generate_series(1, 2000) AS a CROSS JOIN generate_series(1, 1000) AS b";
    let call = tokio::spawn(async move { gone.poll(descriptor(&statement(sql))).await });
    until_running(&server, 1).await?;
    call.abort();
    let _ = call.await;
    until_running(&server, 0).await?;
    assert_eq!(raw.number("SELECT count(*) FROM t").await?, 2_000_000);
    Ok(())
}

#[tokio::test]
async fn the_time_of_a_poll_is_not_the_time_of_its_statement() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::with_table(&server).await?;
    let mut hurried = raw.clone();
    hurried.headers = vec![("grpc-timeout", "1500m".into())];
    let told = polled(&mut hurried, ENDLESS).await?;
    let handle = told.flight_descriptor.context("it runs for longer than a poll")?;
    // Seven polls take longer than the first one had.
    for _ in 0..7 {
        raw.poll(handle.clone()).await?;
    }
    until_running(&server, 1).await?;
    let info = raw.poll(handle).await?.info;
    raw.action("CancelFlightInfo", CancelFlightInfoRequest { info }.encode_to_vec()).await?;
    until_running(&server, 0).await
}

#[tokio::test]
async fn a_failed_effect_fails_its_poll_and_strangers_are_refused() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::with_table(&server).await?;
    for (sql, code) in [
        ("INSERT INTO nowhere VALUES (1)", Code::NotFound),
        ("INSERT INTO t VALUES ('x')", Code::InvalidArgument),
        ("CREATE TABLE t (a BIGINT)", Code::AlreadyExists),
        ("SELEC", Code::InvalidArgument),
    ] {
        let error = match raw.poll(descriptor(&statement(sql))).await {
            Ok(told) => raw.poll(told.flight_descriptor.context(sql)?).await.unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(error.code(), code, "{sql}: {}", error.message());
    }
    let told = polled(&mut raw, ENDLESS).await?;
    let handle = told.flight_descriptor.context("it runs for longer than a poll")?;
    let mut forged = handle.cmd.to_vec();
    let last = forged.last_mut().context("an empty handle")?;
    *last = if *last == b'0' { b'1' } else { b'0' };
    assert_eq!(raw.poll(FlightDescriptor::new_cmd(forged)).await.unwrap_err().code(), Code::NotFound);
    let malformed = FlightDescriptor::new_cmd(b"no command".to_vec());
    assert_eq!(raw.poll(malformed).await.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(raw.poll(FlightDescriptor::new_cmd(Vec::new())).await.unwrap_err().code(), Code::InvalidArgument);
    raw.action("CancelFlightInfo", CancelFlightInfoRequest { info: told.info }.encode_to_vec()).await?;
    until_running(&server, 0).await
}

#[tokio::test]
async fn a_draining_server_finishes_a_polled_effect() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::with_table(&server).await?;
    let sql =
        "INSERT INTO t SELECT a.value FROM generate_series(1, 2000) AS a CROSS JOIN generate_series(1, 1000) AS b";
    let told = polled(&mut raw, sql).await?;
    drop(raw);
    let server = drained(server).await?;
    let mut raw = Raw::connect(&server).await?;
    assert_eq!(raw.number("SELECT count(*) FROM t").await?, 2_000_000);
    if let Some(handle) = told.flight_descriptor {
        assert_eq!(raw.poll(handle).await.unwrap_err().code(), Code::NotFound, "handles end with their server");
    }
    Ok(())
}
