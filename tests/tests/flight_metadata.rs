//! Metadata commands over the wire: tables by pattern and type, the server's infos, schemas, types.
//!
//! Each test is a trap that some client falls into where a server does the obvious thing.

use arrow::array::AsArray;
use arrow::datatypes::{Schema, UInt32Type};
use arrow_flight::IpcMessage;
use arrow_flight::sql::{CommandGetDbSchemas, CommandGetSqlInfo, CommandGetTables, CommandGetXdbcTypeInfo};
use limn_tests::raw::{Raw, schema_of};
use limn_tests::{Context, Outcome, TestServer};
use prost::bytes::Bytes;

async fn listed(raw: &mut Raw, command: CommandGetTables) -> Outcome<Vec<String>> {
    let columns = if command.include_schema { 5 } else { 4 };
    let info = raw.info(&command).await?;
    let batch = raw.batch(&info).await?;
    assert_eq!((schema_of(&info)?.fields().len(), batch.num_columns()), (columns, columns));
    Ok(batch.column(2).as_string::<i32>().iter().flatten().map(str::to_string).collect())
}

#[tokio::test]
async fn tables_are_found_by_pattern_and_type() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    for sql in ["CREATE TABLE a_b (x BIGINT)", "CREATE TABLE axb (x BIGINT)", "CREATE VIEW v AS SELECT 1 AS one"] {
        raw.update(sql).await.context(sql)?;
    }
    let main = || CommandGetTables { db_schema_filter_pattern: Some("main".into()), ..Default::default() };
    let named = |name: &str| CommandGetTables { table_name_filter_pattern: Some(name.into()), ..main() };
    assert_eq!(listed(&mut raw, main()).await?, ["a_b", "axb", "v"]);
    assert_eq!(listed(&mut raw, named("a\\_b")).await?, ["a_b"]);
    assert_eq!(listed(&mut raw, named("a_b")).await?, ["a_b", "axb"]);
    let typed = CommandGetTables { table_types: vec!["base table".into()], include_schema: true, ..main() };
    assert_eq!(listed(&mut raw, typed).await?, ["a_b", "axb"]);
    assert!(listed(&mut raw, CommandGetTables { catalog: Some(String::new()), ..main() }).await?.is_empty());
    let all = listed(&mut raw, CommandGetTables { include_schema: true, ..Default::default() }).await?;
    assert!(all.iter().any(|name| name == "runs"), "system tables are listed: {all:?}");
    Ok(())
}

#[tokio::test]
async fn a_listed_schema_is_ipc_and_names_its_types() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    raw.update("CREATE TABLE priced (id BIGINT, price DECIMAL(12, 3), name VARCHAR)").await?;
    let command = CommandGetTables {
        table_name_filter_pattern: Some("priced".into()),
        include_schema: true,
        ..Default::default()
    };
    let info = raw.info(&command).await?;
    let batch = raw.batch(&info).await?;
    let bytes = Bytes::copy_from_slice(batch.column(4).as_binary::<i32>().value(0));
    let schema = Schema::try_from(IpcMessage(bytes))?;
    let said = |column: usize, key: &str| schema.field(column).metadata().get(key).cloned().unwrap_or_default();
    assert_eq!(said(0, "ARROW:FLIGHT:SQL:TYPE_NAME"), "BIGINT");
    assert_eq!(said(1, "ARROW:FLIGHT:SQL:PRECISION"), "12");
    assert_eq!(said(1, "ARROW:FLIGHT:SQL:SCALE"), "3");
    Ok(())
}

#[tokio::test]
async fn sql_infos_are_complete_and_have_no_foreign_ids() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    let info = raw.info(&CommandGetSqlInfo { info: vec![] }).await?;
    let batch = raw.batch(&info).await?;
    let ids: Vec<u32> = batch.column(0).as_primitive::<UInt32Type>().values().to_vec();
    let expected: Vec<u32> = (0..=9).chain([100, 101]).chain(500..=576).collect();
    assert_eq!(ids, expected);
    // What flightsql-dbapi and ADBC ask for when they connect.
    for asked in [vec![0, 2, 3, 504], vec![8], vec![0, 1, 2, 4, 5, 6, 7]] {
        let info = raw.info(&CommandGetSqlInfo { info: asked.clone() }).await?;
        let found = raw.batch(&info).await?;
        assert_eq!(found.column(0).as_primitive::<UInt32Type>().values().to_vec(), asked);
    }
    Ok(())
}

#[tokio::test]
async fn schemas_and_types_are_listed() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    raw.update("CREATE SCHEMA empty_one").await?;
    let info = raw.info(&CommandGetDbSchemas::default()).await?;
    let batch = raw.batch(&info).await?;
    let names: Vec<&str> = batch.column(1).as_string::<i32>().iter().flatten().collect();
    for name in ["main", "system", "information_schema", "empty_one"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let info = raw.info(&CommandGetXdbcTypeInfo::default()).await?;
    assert_eq!(raw.batch(&info).await?.num_columns(), 19);
    Ok(())
}
