//! Statements that change something run exactly once, by each path that a client may take, whatever it does with the
//! answer: never reads it, drops it half-way, reads it again.
//!
//! One test a path. What counts is what the tables and the registry have afterwards.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;
use arrow_flight::sql::CommandPreparedStatementUpdate;
use arrow_flight::{FlightData, FlightInfo};
use futures::{StreamExt, TryStreamExt};
use limn_tests::raw::{Raw, bound, count, descriptor, drained, encoded, ingest_mode, statement, until_running};
use limn_tests::{Context, Outcome, TestServer};
use tonic::{Code, Status};

/// A way from a statement's text to its effect.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// `GetFlightInfo` of the text.
    Info,
    /// `DoPut` of the text.
    Update,
    /// `GetFlightInfo` of a prepared statement.
    PreparedInfo,
    /// `DoPut` of a prepared statement.
    PreparedUpdate,
    /// `PollFlightInfo` of the text, until it is complete.
    Poll,
}

impl Way {
    /// Asks for the statement once; the info, where this way has one.
    async fn run(self, raw: &mut Raw, sql: &str) -> Result<Option<FlightInfo>, Status> {
        match self {
            Way::Info => raw.info(&statement(sql)).await.map(Some),
            Way::Update => raw.update(sql).await.map(|_| None),
            Way::PreparedInfo => {
                let handle = raw.prepare(sql).await?.prepared_statement_handle;
                raw.prepared_info(&handle).await.map(Some)
            }
            Way::PreparedUpdate => {
                let handle = raw.prepare(sql).await?.prepared_statement_handle;
                let command = CommandPreparedStatementUpdate { prepared_statement_handle: handle };
                let nothing = RecordBatch::new_empty(Arc::new(Schema::empty()));
                let messages = bound(&command, nothing).await.map_err(|e| Status::internal(e.text().to_string()))?;
                count(raw.put(messages).await?).map(|_| None)
            }
            Way::Poll => {
                let mut told = raw.poll(descriptor(&statement(sql))).await?;
                while let Some(next) = told.flight_descriptor.take() {
                    told = raw.poll(next).await?;
                }
                Ok(told.info)
            }
        }
    }
}

/// What a client does with the rows of an answer.
#[derive(Debug, Clone, Copy)]
enum Reading {
    Never,
    Dropped,
    Repeated,
}

const READINGS: [Reading; 3] = [Reading::Never, Reading::Dropped, Reading::Repeated];

impl Reading {
    async fn read(self, raw: &mut Raw, info: Option<FlightInfo>) -> Outcome {
        let Some(info) = info else { return Ok(()) };
        match self {
            Reading::Never => {}
            Reading::Dropped => {
                let ticket = info.endpoint[0].ticket.clone().context("no ticket")?;
                let mut stream = raw.service.do_get(ticket).await?.into_inner();
                stream.next().await.context("no schema")??;
            }
            Reading::Repeated => assert_eq!(raw.batch(&info).await?, raw.batch(&info).await?),
        }
        Ok(())
    }
}

const TRAIN: &str = "TRAIN MODEL line USING linear_regression TARGET y SPLIT NONE AS SELECT x, y FROM m";

async fn prepared(server: &TestServer) -> Outcome<Raw> {
    let mut raw = Raw::with_table(server).await?;
    raw.update("CREATE TABLE m AS SELECT value * 1.0 AS x, value * 2.0 + 1.0 AS y FROM generate_series(1, 50)").await?;
    Ok(raw)
}

/// Every kind of effect, with every kind of reading, by one way.
async fn once_by(way: Way) -> Outcome {
    let server = TestServer::start()?;
    let mut raw = prepared(&server).await?;
    for (round, reading) in (1_i64..).zip(READINGS) {
        let info = way.run(&mut raw, "INSERT INTO t VALUES (1)").await?;
        reading.read(&mut raw, info).await.context(format!("{way:?} {reading:?}"))?;
        assert_eq!(raw.number("SELECT count(*) FROM t").await?, round, "{way:?} {reading:?}");

        let create = format!("CREATE TABLE d{round} (a BIGINT)");
        let info = way.run(&mut raw, &create).await?;
        reading.read(&mut raw, info).await?;
        assert_eq!(raw.number(&format!("SELECT count(*) FROM d{round}")).await?, 0, "{way:?} {reading:?}");
        let again = way.run(&mut raw, &create).await.err().map(|status| status.code());
        assert_eq!(again, Some(Code::AlreadyExists), "it was asked for twice");

        let select = format!("CREATE TABLE c{round} AS SELECT a FROM t");
        let info = way.run(&mut raw, &select).await?;
        reading.read(&mut raw, info).await?;
        assert_eq!(raw.number(&format!("SELECT count(*) FROM c{round}")).await?, round, "{way:?} {reading:?}");

        let info = way.run(&mut raw, TRAIN).await?;
        reading.read(&mut raw, info).await?;
        assert_eq!(raw.number("SELECT count(*) FROM system.model_versions").await?, round, "{way:?} {reading:?}");
        assert_eq!(raw.number("SELECT count(*) FROM system.runs").await?, round, "{way:?} {reading:?}");
    }
    Ok(())
}

#[tokio::test]
async fn once_by_the_info_of_a_text() -> Outcome {
    once_by(Way::Info).await
}

#[tokio::test]
async fn once_by_the_update_of_a_text() -> Outcome {
    once_by(Way::Update).await
}

#[tokio::test]
async fn once_by_the_info_of_a_prepared_statement() -> Outcome {
    once_by(Way::PreparedInfo).await
}

#[tokio::test]
async fn once_by_the_update_of_a_prepared_statement() -> Outcome {
    once_by(Way::PreparedUpdate).await
}

#[tokio::test]
async fn once_by_polling() -> Outcome {
    once_by(Way::Poll).await
}

#[tokio::test]
async fn a_prepared_statement_runs_once_each_time_that_it_is_asked_for() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = prepared(&server).await?;
    let handle = raw.prepare("INSERT INTO t VALUES (1)").await?.prepared_statement_handle;
    for round in 1..=3 {
        raw.prepared_info(&handle).await?;
        assert_eq!(raw.number("SELECT count(*) FROM t").await?, round);
    }
    Ok(())
}

/// A client that hangs up before the answer gets all of the effect or nothing of it, and never twice.
#[tokio::test]
async fn a_client_that_never_waits_for_the_answer_gets_all_or_nothing() -> Outcome {
    let server = TestServer::start()?;
    let raw = prepared(&server).await?;
    let ways = [Way::Info, Way::Update, Way::PreparedInfo, Way::PreparedUpdate, Way::Poll];
    for round in 0..20 {
        for (index, way) in ways.into_iter().enumerate() {
            let mut client = Raw::connect(&server).await?;
            let sql = format!("INSERT INTO t SELECT {} FROM range(0, 7)", round * ways.len() + index);
            let call = tokio::spawn(async move { way.run(&mut client, &sql).await });
            // From not sent to answered, by luck: what it did is what counts.
            for _ in 0..round * 10 {
                tokio::task::yield_now().await;
            }
            call.abort();
            let _ = call.await;
        }
    }
    drop(raw);
    // What was still under way has ended with the server.
    let server = drained(server).await?;
    let mut raw = Raw::connect(&server).await?;
    let torn = "SELECT count(*) FROM (SELECT a FROM t GROUP BY a HAVING count(*) <> 7) AS torn";
    assert_eq!(raw.number(torn).await?, 0);
    Ok(())
}

#[tokio::test]
async fn once_by_ingestion() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::with_table(&server).await?;
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..9));
    let rows = RecordBatch::try_from_iter_with_nullable([("a", column, true)])?;
    let command = ingest_mode("t", "append");
    let messages: Vec<FlightData> = encoded(&command, rows.schema(), vec![rows]).try_collect().await?;
    // Read, and not read.
    assert_eq!(count(raw.put(messages.clone()).await?)?, 9);
    assert_eq!(raw.number("SELECT count(*) FROM t").await?, 9);
    let response = raw.service.do_put(raw.request(futures::stream::iter(messages))).await?;
    drop(response);
    until_running(&server, 0).await?;
    assert_eq!(raw.number("SELECT count(*) FROM t").await?, 18);
    Ok(())
}

#[tokio::test]
async fn asking_for_the_schema_or_preparing_runs_nothing() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = prepared(&server).await?;
    for sql in ["INSERT INTO t VALUES (1)", "CREATE TABLE d (a BIGINT)", "CREATE TABLE c AS SELECT 1 AS a", TRAIN] {
        raw.schema(&statement(sql)).await.context(sql)?;
        raw.prepare(sql).await.context(sql)?;
    }
    assert_eq!(raw.number("SELECT count(*) FROM t").await?, 0);
    assert_eq!(raw.number("SELECT count(*) FROM system.runs").await?, 0);
    for table in ["d", "c"] {
        assert_eq!(raw.query(&format!("SELECT * FROM {table}")).await.unwrap_err().code(), Code::NotFound);
    }
    Ok(())
}
