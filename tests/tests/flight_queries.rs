//! Queries over the wire: what is announced is what comes, in messages that every client takes.
//!
//! Each test is a trap that some client falls into where a server does the obvious thing.

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Int64Type, Schema};
use arrow_flight::IpcMessage;
use limn_tests::raw::{Raw, schema_of, statement};
use limn_tests::{Context, Outcome, TestServer};
use tonic::Code;

/// Types that some stock client cannot read.
fn is_forbidden(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8View | DataType::BinaryView | DataType::ListView(_) | DataType::LargeListView(_) => true,
        DataType::Dictionary(..) | DataType::RunEndEncoded(..) | DataType::Float16 => true,
        DataType::Decimal32(..) | DataType::Decimal64(..) => true,
        DataType::List(field) | DataType::LargeList(field) | DataType::Map(field, _) => is_forbidden(field.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| is_forbidden(field.data_type())),
        _ => false,
    }
}

#[tokio::test]
async fn the_announced_schema_is_the_one_that_comes() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::with_table(&server).await?;
    raw.update("INSERT INTO t VALUES (1), (2)").await?;
    let queries = [
        "SELECT 1, 'a', NULL, 1.5, true, DATE '2020-01-01', TIMESTAMP '2020-01-01 00:00:00'",
        "SELECT min(a), max(a), count(*), count(a), sum(a), avg(a) FROM t",
        "SELECT a FROM t UNION ALL SELECT 1.5",
        "SELECT a, NULL AS n FROM t UNION SELECT 3, 'x'",
        "SELECT CAST(a AS VARCHAR) AS s, CAST(a AS DECIMAL(12, 2)) AS d FROM t",
        "SELECT [1, 2] AS l, named_struct('x', 'y') AS s",
        "SELECT arrow_cast('a', 'Dictionary(Int32, Utf8)') AS d, arrow_cast('b', 'Utf8View') AS v",
        "SELECT * FROM t WHERE a > 100",
        "SELECT a, row_number() OVER (ORDER BY a) AS r FROM t",
        "SELECT * FROM information_schema.tables",
        "SHOW TABLES",
        "EXPLAIN SELECT a FROM t",
    ];
    for sql in queries {
        let prepared = raw.prepare(sql).await.context(sql)?;
        let promised = Schema::try_from(IpcMessage(prepared.dataset_schema))?;
        let info = raw.info(&statement(sql)).await.context(sql)?;
        let announced = schema_of(&info)?;
        let messages = raw.messages(&info).await.context(sql)?;
        let sent = Schema::try_from(&messages[0])?;
        assert_eq!(announced.fields(), sent.fields(), "{sql}");
        assert_eq!(promised.fields(), sent.fields(), "{sql}");
        for field in sent.fields() {
            assert!(!is_forbidden(field.data_type()), "{sql}: {field:?}");
            assert!(field.metadata().contains_key("ARROW:FLIGHT:SQL:TYPE_NAME"), "{sql}: {field:?}");
        }
        assert_eq!((info.endpoint.len(), info.endpoint[0].location.len()), (1, 0), "{sql}");
        assert!(info.endpoint[0].expiration_time.is_none(), "{sql}");
    }
    Ok(())
}

#[tokio::test]
async fn no_rows_still_send_the_schema() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::with_table(&server).await?;
    let info = raw.info(&statement("SELECT a FROM t")).await?;
    let messages = raw.messages(&info).await?;
    assert_eq!(Schema::try_from(&messages[0])?.field(0).name(), "a");
    assert_eq!(raw.batch(&info).await?.num_rows(), 0);
    Ok(())
}

#[tokio::test]
async fn a_ticket_sees_what_its_info_saw() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::with_table(&server).await?;
    raw.update("INSERT INTO t VALUES (1)").await?;
    let info = raw.info(&statement("SELECT count(*) FROM t")).await?;
    raw.update("INSERT INTO t VALUES (2)").await?;
    let mut other = Raw::connect(&server).await?;
    for _ in 0..2 {
        assert_eq!(other.batch(&info).await?.column(0).as_primitive::<Int64Type>().values(), &[1]);
    }
    Ok(())
}

#[tokio::test]
async fn a_ticket_runs_as_planned_once_and_is_planned_again_after_that() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    let micros = "SELECT CAST(date_part('epoch', now()) * 1000000 AS BIGINT)";
    let info = raw.info(&statement(micros)).await?;
    let between = raw.number(micros).await?;
    let mut instants = Vec::new();
    for _ in 0..3 {
        instants.push(raw.batch(&info).await?.column(0).as_primitive::<Int64Type>().value(0));
    }
    // The first is the instant of `GetFlightInfo`, each other one that of its own `DoGet`.
    assert!(instants[0] < between && between < instants[1], "{instants:?}, {between}");
    assert!(instants[1] < instants[2], "{instants:?}");
    Ok(())
}

#[tokio::test]
async fn a_ticket_of_a_table_that_has_gone_says_so() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::with_table(&server).await?;
    let info = raw.info(&statement("SELECT a FROM t")).await?;
    raw.update("DROP TABLE t").await?;
    assert_eq!(raw.batch(&info).await.unwrap_err().code(), Code::NotFound);
    Ok(())
}

#[tokio::test]
async fn large_results_come_in_messages_that_every_client_takes() -> Outcome {
    let server = TestServer::start()?;
    // The raw client refuses messages over 4 MiB, so an oversized one fails the query.
    let mut raw = Raw::connect(&server).await?;
    let info = raw.info(&statement("SELECT value, repeat('x', 2000) AS s FROM generate_series(1, 20000)")).await?;
    let messages = raw.messages(&info).await?;
    assert!(messages.len() > 10, "{} messages", messages.len());
    assert_eq!(raw.batch(&info).await?.num_rows(), 20_000);
    Ok(())
}
