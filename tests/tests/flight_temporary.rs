//! Temporary tables over the wire: seen by their session alone, as large as others, gone with it.
//!
//! A session here is a bearer token, as a handshake or a first answer gives it. What is on the disk is looked at too.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::record_batch::RecordBatch;
use arrow_flight::HandshakeRequest;
use arrow_flight::sql::{CommandGetTables, CommandStatementIngest};
use futures::TryStreamExt;
use limn_tests::raw::{Raw, encoded, ingest_mode, unfinished, until};
use limn_tests::{Context, Outcome, TestServer};
use tonic::Code;

fn rows(values: impl IntoIterator<Item = i64>) -> Outcome<RecordBatch> {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(values));
    Ok(RecordBatch::try_from_iter_with_nullable([("a", column, true)])?)
}

fn temporary(table: &str, mode: &str) -> CommandStatementIngest {
    CommandStatementIngest { temporary: true, ..ingest_mode(table, mode) }
}

/// A connection with a session of its own.
async fn session(server: &TestServer) -> Outcome<Raw> {
    let mut raw = Raw::connect(server).await?;
    let hello = raw.request(futures::stream::iter([HandshakeRequest::default()]));
    let response = raw.service.handshake(hello).await?;
    let token = response.metadata().get("authorization").context("no token")?.to_str()?.to_string();
    raw.headers = vec![("authorization", token)];
    Ok(raw)
}

async fn listed(raw: &mut Raw, include_schema: bool) -> Outcome<Vec<(String, String)>> {
    let command = CommandGetTables {
        db_schema_filter_pattern: Some("main".into()),
        include_schema,
        ..CommandGetTables::default()
    };
    let info = raw.info(&command).await?;
    let batch = raw.batch(&info).await?;
    let text = |column: usize| batch.column(column).as_string::<i32>().iter().flatten().map(str::to_string);
    Ok(text(2).zip(text(3)).collect())
}

/// Waits until this many tables are left below `tmp/`.
async fn until_left(server: &TestServer, tables: usize) -> Outcome {
    until(|| Ok((unfinished(server)?.len() == tables).then_some(()))).await
}

#[tokio::test]
async fn only_its_session_sees_a_temporary_table() -> Outcome {
    let server = TestServer::start()?;
    let mut own = session(&server).await?;
    let mut other = session(&server).await?;
    other.update("CREATE TABLE t AS SELECT 100 AS a").await?;
    assert_eq!(own.ingest(&temporary("t", "create"), vec![rows(0..3)?]).await?, 3);
    own.update("CREATE TEMPORARY TABLE u AS SELECT a + 1 AS a FROM t").await?;

    assert_eq!(own.number("SELECT sum(a) FROM t").await?, 3, "its own stands before the others'");
    assert_eq!(own.number("SELECT sum(a) FROM u").await?, 6);
    assert_eq!(other.number("SELECT sum(a) FROM t").await?, 100);
    assert_eq!(other.query("SELECT * FROM u").await.unwrap_err().code(), Code::NotFound);
    let pair = |name: &str, kind: &str| (name.to_string(), kind.to_string());
    for include_schema in [false, true] {
        let expected = [pair("t", "LOCAL TEMPORARY"), pair("u", "LOCAL TEMPORARY")];
        assert_eq!(listed(&mut own, include_schema).await?, expected);
        assert_eq!(listed(&mut other, include_schema).await?, [pair("t", "TABLE")]);
    }
    own.update("DROP TABLE t").await?;
    assert_eq!(own.number("SELECT sum(a) FROM t").await?, 100, "dropping it shows what it hid");
    Ok(())
}

#[tokio::test]
async fn a_temporary_table_is_written_as_others_are() -> Outcome {
    let server = TestServer::start()?;
    let mut own = session(&server).await?;
    own.update("CREATE TEMP TABLE t (a BIGINT NOT NULL, b TEXT)").await?;
    own.update("INSERT INTO t VALUES (1, 'x'), (2, NULL)").await?;
    assert_eq!(own.ingest(&temporary("t", "append"), vec![rows(3..5)?]).await?, 2);
    assert_eq!(own.number("SELECT sum(a) FROM t").await?, 10);
    own.update("INSERT OVERWRITE t SELECT a, b FROM t WHERE a > 2").await?;
    assert_eq!(own.number("SELECT sum(a) FROM t").await?, 7);
    assert_eq!(own.number("SELECT count(*) FROM t VERSION AS OF 1").await?, 2, "it has a history");
    assert_eq!(own.ingest(&temporary("t", "create"), vec![rows(0..1)?]).await.unwrap_err().code(), Code::AlreadyExists);
    assert_eq!(own.ingest(&temporary("t", "replace"), vec![rows(0..2)?]).await?, 2);
    assert_eq!(own.ingest(&temporary("t", "create_append"), vec![rows(0..2)?]).await?, 2);
    assert_eq!(own.number("SELECT count(*) FROM t").await?, 4);
    assert_eq!(own.ingest(&temporary("n", "append"), vec![rows(0..1)?]).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(own.ingest(&temporary("n", "create_append"), vec![rows(0..1)?]).await?, 1);
    let placed = CommandStatementIngest { schema: Some("sales".into()), ..temporary("p", "create") };
    own.update("CREATE SCHEMA sales").await?;
    assert_eq!(own.ingest(&placed, vec![rows(0..1)?]).await.unwrap_err().code(), Code::InvalidArgument);
    Ok(())
}

#[tokio::test]
async fn what_must_last_does_not_read_one() -> Outcome {
    let server = TestServer::start()?;
    let mut own = session(&server).await?;
    own.update("CREATE TEMPORARY TABLE t AS SELECT value * 1.0 AS x, value * 2.0 AS y FROM range(0, 50)").await?;
    assert_eq!(own.update("CREATE VIEW v AS SELECT x FROM t").await.unwrap_err().code(), Code::NotFound);
    let train = "TRAIN MODEL m USING linear_regression TARGET y AS SELECT x, y FROM t";
    assert_eq!(own.update(train).await.unwrap_err().code(), Code::Unimplemented);
    own.update("CREATE TABLE kept AS SELECT x, y FROM t").await?;
    assert_eq!(own.number("SELECT count(*) FROM kept").await?, 50);
    Ok(())
}

#[tokio::test]
async fn a_temporary_table_goes_with_its_session() -> Outcome {
    let mut server = TestServer::start()?;
    let mut own = session(&server).await?;
    own.ingest(&temporary("t", "create"), vec![rows(0..1000)?]).await?;
    own.ingest(&temporary("t", "replace"), vec![rows(0..10)?]).await?;
    until_left(&server, 1).await.context("the replaced one goes at once")?;
    own.action("CloseSession", Vec::new()).await?;
    assert_eq!(own.query("SELECT * FROM t").await.unwrap_err().code(), Code::NotFound);
    until_left(&server, 0).await?;

    own.ingest(&temporary("t", "create"), vec![rows(0..1000)?]).await?;
    server.kill9()?;
    server.restart()?;
    until_left(&server, 0).await?;
    let mut again = session(&server).await?;
    assert_eq!(again.query("SELECT * FROM t").await.unwrap_err().code(), Code::NotFound);
    Ok(())
}

#[tokio::test]
async fn a_client_without_a_session_is_given_one() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    let messages: Vec<_> =
        encoded(&temporary("t", "create"), rows([])?.schema(), vec![rows(0..3)?]).try_collect().await?;
    let response = raw.service.do_put(raw.request(futures::stream::iter(messages))).await?;
    let token = response.metadata().get("authorization").context("no token")?.to_str()?.to_string();
    assert_eq!(raw.query("SELECT * FROM t").await.unwrap_err().code(), Code::NotFound);
    raw.headers = vec![("authorization", token)];
    assert_eq!(raw.number("SELECT sum(a) FROM t").await?, 3);
    Ok(())
}
