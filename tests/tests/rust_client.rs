//! `limn-client` over the wire: everything that its documentation promises, against a real server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{DataType, Date32Type, Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use futures::TryStreamExt;
use limn_client::{Class, Client, ConnectOptions, IngestMode, Parameter, TableFilter, params};
use limn_tests::{Context, Outcome, TestServer, cells, engine, ensure};

/// A query that nobody waits for.
const LONG: &str = "SELECT count(*) FROM generate_series(1, 100000) AS a, generate_series(1, 100000000) AS b";
/// A query with more rows than any buffer holds.
const MANY_ROWS: &str = "SELECT value FROM generate_series(1, 1000000000)";

fn with_client<F: Future<Output = Outcome> + Send>(test: impl FnOnce(Client) -> F + Send) -> Outcome {
    engine::block_on(async {
        let server = TestServer::start()?;
        test(Client::connect(&server.flight_url()).await?).await
    })
}

/// A result as SQL test files show it.
async fn shown(client: &Client, sql: &str) -> Outcome<Vec<Vec<String>>> {
    cells::rows(&client.query(sql).await?.into_batches().await?)
}

#[test]
fn queries_have_their_schema_first_and_effects_their_counts() -> Outcome {
    with_client(|client| async move {
        assert_eq!(client.execute("CREATE TABLE t (a BIGINT, s VARCHAR)").await?, 0);
        assert_eq!(client.execute("INSERT INTO t VALUES (1, 'x'), (2, NULL)").await?, 2);
        let rows = client.query("SELECT a, s FROM t ORDER BY a").await?;
        assert_eq!(rows.affected(), None);
        let names: Vec<String> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(names, ["a", "s"]);
        assert_eq!(rows.into_batches().await?.iter().map(|batch| batch.num_rows()).sum::<usize>(), 2);
        assert_eq!(client.query("INSERT INTO t VALUES (3, 'y')").await?.affected(), Some(1));
        assert_eq!(client.execute("SELECT 1").await?, -1, "a query changes no rows");
        Ok(())
    })
}

#[test]
fn parameters_of_every_type_come_back_as_they_went() -> Outcome {
    with_client(|client| async move {
        let create = "CREATE TABLE t (b BOOLEAN, i BIGINT, f DOUBLE, s VARCHAR, x BINARY, d DATE, \
            n TIMESTAMP, z TIMESTAMP WITH TIME ZONE)";
        client.execute(create).await?;
        let insert = client.prepare("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?, ?)").await?;
        assert_eq!(insert.parameters().fields().len(), 8);
        // 20780 days and 1,795,392,000 seconds after 1970 it is 2026-11-23.
        let micros = 1_795_392_000_000_001;
        let row = params![
            true,
            i64::MIN,
            -0.5,
            "é'\"",
            vec![0_u8, 255],
            Parameter::date(2026, 11, 23),
            Parameter::Timestamp(micros),
            Parameter::Instant(micros),
        ];
        assert_eq!(insert.execute(vec![row, [const { Parameter::Null }; 8]]).await?, 2);
        insert.close().await?;

        let select = client.prepare("SELECT * FROM t WHERE i = ? AND s = ? AND d = ?").await?;
        let rows = select.query(params![i64::MIN, "é'\"", Parameter::Date(20_780)]).await?;
        let batches = rows.into_batches().await?;
        let [row] = batches.as_slice() else { panic!("expected one batch, found {batches:?}") };
        assert_eq!(row.num_rows(), 1);
        assert!(row.column(0).as_boolean().value(0));
        assert_eq!(row.column(3).as_string::<i32>().value(0), "é'\"");
        assert_eq!(row.column(4).as_binary::<i32>().value(0), [0, 255]);
        assert_eq!(row.column(5).as_primitive::<Date32Type>().value(0), 20_780);
        for at in [6, 7] {
            assert_eq!(row.column(at).as_primitive::<TimestampMicrosecondType>().value(0), micros);
        }
        assert_eq!(row.column(7).data_type(), &cells_instant());
        let nulls = shown(&client, "SELECT count(*) FROM t WHERE coalesce(s, CAST(i AS VARCHAR)) IS NULL").await?;
        assert_eq!(nulls, [["1"]]);
        // A query with several rows of parameters answers them one after the other.
        let doubled = client.prepare("SELECT CAST(? AS BIGINT) * 2 AS twice").await?;
        let rows = doubled.query(vec![params![1], params![20]]).await?.into_batches().await?;
        let found: Vec<i64> =
            rows.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect();
        assert_eq!(found, [2, 40]);
        Ok(())
    })
}

fn cells_instant() -> DataType {
    DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some("UTC".into()))
}

#[test]
fn errors_say_what_kind_they_are_and_what_would_help() -> Outcome {
    with_client(|client| async move {
        client.execute("CREATE TABLE customers (a BIGINT)").await?;
        let error = client.query("SELECT * FROM customer").await.err().context("expected an error")?;
        assert_eq!(error.class(), Class::NotFound);
        ensure(error.message().contains("`main.customers`"), || error.to_string())?;
        ensure(error.query_id().is_some_and(|id| !id.is_empty()), || "expected the statement's id".into())?;
        for (sql, class) in [
            ("SELEC 1", Class::Input),
            ("CREATE TABLE customers (a BIGINT)", Class::AlreadyExists),
            ("BEGIN", Class::Unsupported),
            ("SELECT 1 / a FROM (VALUES (0)) AS t(a)", Class::Input),
        ] {
            let failed = async { client.query(sql).await?.into_batches().await }.await;
            let error = failed.err().context(format!("expected an error from {sql}"))?;
            assert_eq!(error.class(), class, "{sql}: {error}");
        }
        let error = client.prepare("SELECT ?").await?.query(params![1, 2]).await.err().context("expected an error")?;
        assert_eq!(error.class(), Class::Input, "{error}");
        Ok(())
    })
}

#[test]
fn a_statement_is_cancelled_by_its_handle_and_by_letting_go() -> Outcome {
    with_client(|client| async move {
        let mut rows = client.query(MANY_ROWS).await?;
        let handle = rows.cancel_handle();
        rows.try_next().await?.context("expected rows")?;
        assert!(handle.cancel().await?, "it runs");
        let error = loop {
            match rows.try_next().await {
                Ok(Some(_)) => {}
                Ok(None) => return Err(limn_tests::fail("a cancelled result ended as if it were complete")),
                Err(error) => break error,
            }
        };
        assert_eq!(error.class(), Class::Cancelled);
        drop(rows);
        assert!(!handle.cancel().await?, "it has ended");

        // Dropped, statements leave nothing that keeps the next ones waiting.
        for _ in 0..3 {
            let dropped = client.query(MANY_ROWS).await?;
            drop(dropped);
            let begun = tokio::time::timeout(Duration::from_millis(20), client.query(LONG)).await;
            drop(begun);
        }
        assert_eq!(shown(&client, "SELECT 1").await?, [["1"]]);
        Ok(())
    })
}

#[test]
fn a_deadline_ends_a_statement() -> Outcome {
    with_client(|client| async move {
        let hasty = client.with_timeout(Some(Duration::from_millis(300)));
        let begun = Instant::now();
        let failed = async { hasty.query(LONG).await?.into_batches().await }.await;
        let error = failed.err().context("expected an error")?;
        assert_eq!(error.class(), Class::DeadlineExceeded, "{error}");
        ensure(begun.elapsed() < Duration::from_secs(20), || format!("it took {:?}", begun.elapsed()))?;
        assert_eq!(shown(&client, "SELECT 1").await?, [["1"]], "clones have deadlines of their own");
        Ok(())
    })
}

#[test]
fn progress_changes_nothing_about_the_answer() -> Outcome {
    with_client(|client| async move {
        let mut said = Vec::new();
        let rows = client.query_with_progress("SELECT 7 AS n", |done| said.push(done)).await?;
        assert_eq!(cells::rows(&rows.into_batches().await?)?, [["7"]]);
        ensure(said.iter().flatten().all(|done| (0.0..=1.0).contains(done)), || format!("{said:?}"))?;
        client.query_with_progress("CREATE TABLE once AS SELECT 1 AS a", |_| {}).await?.into_batches().await?;
        let error = client.query_with_progress("CREATE TABLE once AS SELECT 1 AS a", |_| {}).await;
        assert_eq!(error.err().context("expected an error")?.class(), Class::AlreadyExists);
        assert_eq!(shown(&client, "SELECT count(*) FROM once").await?, [["1"]]);
        Ok(())
    })
}

#[test]
fn metadata_is_typed() -> Outcome {
    with_client(|client| async move {
        client.execute("CREATE SCHEMA sales").await?;
        client.execute("CREATE TABLE sales.a_b (x BIGINT, \"Yz\" VARCHAR)").await?;
        client.execute("CREATE TABLE sales.aab (other DOUBLE)").await?;
        client.execute("CREATE VIEW seen AS SELECT 1 AS one").await?;
        assert_eq!(client.catalogs().await?, ["lake"]);
        let schemas = client.schemas().await?;
        ensure(schemas.contains(&"main".into()) && schemas.contains(&"sales".into()), || format!("{schemas:?}"))?;
        ensure(client.table_types().await?.contains(&"VIEW".to_string()), || "no views".into())?;

        let filter = TableFilter { schema_pattern: Some("sales".into()), ..TableFilter::default() };
        let tables = client.tables(&filter).await?;
        let found: Vec<(&str, &str, bool)> = tables
            .iter()
            .map(|table| (table.name.as_str(), table.table_type.as_str(), table.columns.is_some()))
            .collect();
        assert_eq!(found, [("a_b", "TABLE", false), ("aab", "TABLE", false)]);
        let views = TableFilter {
            schema_pattern: Some("main".into()),
            table_types: vec!["VIEW".into()],
            columns: true,
            ..TableFilter::default()
        };
        let views = client.tables(&views).await?;
        assert_eq!(views.len(), 1);
        assert_eq!(views[0].columns.as_ref().context("no columns")?.field(0).name(), "one");

        // `_` is a placeholder in patterns, and must not be one here.
        let columns = client.table_schema("sales", "a_b").await?;
        let names: Vec<&str> = columns.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["x", "Yz"]);
        let error = client.table_schema("sales", "nothing").await.err().context("expected an error")?;
        assert_eq!(error.class(), Class::NotFound);
        let info = client.server_info().await?;
        assert_eq!((info.name.as_str(), info.version.as_str()), ("Limn", env!("CARGO_PKG_VERSION")));
        Ok(())
    })
}

#[test]
fn the_session_has_options_and_an_end() -> Outcome {
    with_client(|client| async move {
        client.execute("CREATE SCHEMA sales").await?;
        client.set_option("schema", Some("sales")).await?;
        client.execute("CREATE TABLE here AS SELECT 1 AS a").await?;
        assert_eq!(client.clone().options_of_session().await?.get("schema").map(String::as_str), Some("sales"));
        let other = Client::connect_with(client.options()).await?;
        let options = other.options_of_session().await?;
        assert_eq!(options.get("schema").map(String::as_str), Some("main"), "sessions are apart");
        for (name, value) in [("schema", "nowhere"), ("no_such_option", "1")] {
            let error = client.set_option(name, Some(value)).await.err().context("expected an error")?;
            assert!(matches!(error.class(), Class::Input | Class::NotFound), "{error}");
        }
        client.set_option("schema", None).await?;
        assert_eq!(client.options_of_session().await?.get("schema").map(String::as_str), Some("main"));
        client.close().await?;
        Ok(())
    })
}

/// Rows with the ids of a range.
#[expect(clippy::panic, reason = "two columns of one length make a batch")]
fn ids(range: std::ops::Range<i64>) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(range));
    RecordBatch::try_from_iter([("id", ids)]).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn batches_are_ingested_in_every_mode() -> Outcome {
    with_client(|client| async move {
        let schema = ids(0..0).schema();
        let ingest = async |mode, batches: Vec<limn_client::Result<RecordBatch>>| {
            client.ingest("t", mode, Arc::clone(&schema), futures::stream::iter(batches)).await
        };
        let error = ingest(IngestMode::Append, vec![Ok(ids(0..1))]).await.err().context("expected an error")?;
        assert_eq!(error.class(), Class::NotFound, "{error}");
        assert_eq!(ingest(IngestMode::Create, vec![Ok(ids(0..3)), Ok(ids(3..5))]).await?, 5);
        let error = ingest(IngestMode::Create, vec![Ok(ids(0..1))]).await.err().context("expected an error")?;
        assert_eq!(error.class(), Class::AlreadyExists, "{error}");
        assert_eq!(ingest(IngestMode::Append, vec![Ok(ids(5..6))]).await?, 1);
        assert_eq!(ingest(IngestMode::CreateAppend, vec![Ok(ids(6..7))]).await?, 1);
        assert_eq!(shown(&client, "SELECT count(*), sum(id) FROM t").await?, [["7", "21"]]);
        assert_eq!(ingest(IngestMode::Replace, vec![]).await?, 0);
        assert_eq!(shown(&client, "SELECT count(*) FROM t").await?, [["0"]], "no rows make an empty table");
        Ok(())
    })
}

#[test]
fn a_stream_that_fails_writes_nothing() -> Outcome {
    with_client(|client| async move {
        client.execute("CREATE TABLE t (id BIGINT)").await?;
        let gone = limn_client::Error::new(Class::NotFound, "the source is gone");
        let batches = futures::stream::iter([Ok(ids(0..100_000)), Err(gone.clone())]);
        let failed = client.ingest("t", IngestMode::Append, ids(0..0).schema(), batches).await;
        assert_eq!(failed.err().context("expected an error")?, gone);
        assert_eq!(
            client.ingest("t", IngestMode::Append, ids(0..0).schema(), futures::stream::iter([Ok(ids(0..1))])).await?,
            1
        );
        assert_eq!(shown(&client, "SELECT count(*) FROM t").await?, [["1"]]);
        Ok(())
    })
}

#[test]
fn a_server_that_goes_away_is_said_to() -> Outcome {
    engine::block_on(async {
        let mut server = TestServer::start()?;
        let client = Client::connect(&server.flight_url()).await?;
        let mut rows = client.query(MANY_ROWS).await?;
        rows.try_next().await?.context("expected rows")?;
        server.kill9()?;
        let error = loop {
            match rows.try_next().await {
                Ok(Some(_)) => {}
                Ok(None) => return Err(limn_tests::fail("half a result ended as if it were complete")),
                Err(error) => break error,
            }
        };
        assert_eq!(error.class(), Class::Unavailable, "{error}");
        let error = client.query("SELECT 1").await.err().context("expected an error")?;
        assert_eq!(error.class(), Class::Unavailable, "{error}");
        let options = ConnectOptions::parse(&server.flight_url())?;
        let error = Client::connect_with(&options).await.err().context("expected an error")?;
        assert_eq!(error.class(), Class::Unavailable, "{error}");
        Ok(())
    })
}
