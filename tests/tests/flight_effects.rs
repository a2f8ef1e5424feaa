//! Statements that change something, over the wire: they run when they are asked for, once, and look like updates.
//!
//! Each test is a trap that some client falls into where a server does the obvious thing.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{Int64Type, Schema};
use arrow::record_batch::RecordBatch;
use arrow_flight::IpcMessage;
use arrow_flight::sql::{CommandPreparedStatementQuery, CommandPreparedStatementUpdate};
use limn_tests::raw::{Raw, bound, count, descriptor, integers, schema_of, statement};
use limn_tests::{Context, Outcome, TestServer};
use tonic::Code;

#[tokio::test]
async fn an_effect_runs_once_by_each_of_four_ways() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::with_table(&server).await?;
    let insert = "INSERT INTO t VALUES (1)";

    let info = raw.info(&statement(insert)).await?;
    assert_eq!(info.total_records, 1);
    assert_eq!(raw.number("SELECT count(*) FROM t").await?, 1, "it ran before any DoGet");
    let first = raw.batch(&info).await?;
    let second = Raw::connect(&server).await?.batch(&info).await?;
    assert_eq!(first, second, "another connection sees the same result");
    assert_eq!(first.column(0).as_primitive::<Int64Type>().values(), &[1]);
    assert_eq!(raw.number("SELECT count(*) FROM t").await?, 1, "redeeming a ticket runs nothing");

    let prepared = raw.prepare(insert).await?;
    assert!(prepared.dataset_schema.is_empty(), "an effect has no result schema");
    assert_eq!(raw.number("SELECT count(*) FROM t").await?, 1, "preparing runs nothing");
    let handle = prepared.prepared_statement_handle;
    let info = raw.prepared_info(&handle).await?;
    raw.batch(&info).await?;
    assert_eq!(raw.number("SELECT count(*) FROM t").await?, 2);

    let command = CommandPreparedStatementUpdate { prepared_statement_handle: handle };
    // What Java's client sends where there is nothing to bind: no column and no row.
    let messages = bound(&command, RecordBatch::new_empty(Arc::new(Schema::empty()))).await?;
    assert_eq!(count(raw.put(messages).await?)?, 1);
    assert_eq!(raw.number("SELECT count(*) FROM t").await?, 3);

    assert_eq!(raw.update(insert).await?, 1);
    assert_eq!(raw.number("SELECT count(*) FROM t").await?, 4);
    Ok(())
}

#[tokio::test]
async fn ddl_and_settings_are_updates_with_no_columns() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    for sql in ["CREATE TABLE d (a BIGINT)", "CREATE SCHEMA s", "USE s", "DROP TABLE lake.main.d"] {
        let prepared = raw.prepare(sql).await.context(sql)?;
        assert!(prepared.dataset_schema.is_empty(), "{sql}");
        let info = raw.prepared_info(&prepared.prepared_statement_handle).await.context(sql)?;
        assert!(schema_of(&info)?.fields().is_empty(), "{sql}");
        assert_eq!(raw.batch(&info).await?.num_rows(), 0, "{sql}");
    }
    Ok(())
}

#[tokio::test]
async fn get_schema_and_prepare_execute_nothing() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::with_table(&server).await?;
    for sql in ["INSERT INTO t VALUES (1)", "CREATE TABLE u AS SELECT 1 AS a"] {
        let request = raw.request(descriptor(&statement(sql)));
        raw.service.get_schema(request).await.context(sql)?;
        raw.prepare(sql).await.context(sql)?;
    }
    assert_eq!(raw.number("SELECT count(*) FROM t").await?, 0);
    assert_eq!(raw.query("SELECT * FROM u").await.unwrap_err().code(), Code::NotFound);
    Ok(())
}

#[tokio::test]
async fn a_training_looks_like_a_query_and_runs_once() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    raw.update("CREATE TABLE m AS SELECT value * 1.0 AS x, value * 2.0 + 1.0 AS y FROM generate_series(1, 50)").await?;
    let sql = "TRAIN MODEL line USING linear_regression TARGET y SPLIT NONE AS SELECT x, y FROM m";
    let versions = "SELECT count(*) FROM system.model_versions";

    let prepared = raw.prepare(sql).await?;
    let promised = Schema::try_from(IpcMessage(prepared.dataset_schema))?;
    assert_eq!(promised.field(0).name(), "model", "it has rows to show");
    assert_eq!(raw.number(versions).await?, 0, "preparing trains nothing");
    let info = raw.prepared_info(&prepared.prepared_statement_handle).await?;
    assert_eq!(raw.number(versions).await?, 1, "it is trained before any DoGet");
    assert_eq!(raw.batch(&info).await?, raw.batch(&info).await?);
    assert_eq!(raw.number(versions).await?, 1, "redeeming a ticket trains nothing");

    let info = raw.info(&statement(sql)).await?;
    raw.batch(&info).await?;
    assert_eq!(raw.number(versions).await?, 2);
    raw.update(sql).await?;
    assert_eq!(raw.number(versions).await?, 3);

    let several = raw.prepare(&format!("{sql} WHERE x > ?")).await?.prepared_statement_handle;
    let command = CommandPreparedStatementQuery { prepared_statement_handle: several.clone() };
    raw.put(bound(&command, integers(&[1, 2])?).await?).await?;
    let error = raw.prepared_info(&several).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{}", error.message());
    assert_eq!(raw.number(versions).await?, 3);
    Ok(())
}
