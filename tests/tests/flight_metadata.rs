//! Metadata commands over the wire: tables by pattern and type, the server's infos, schemas, types.
//!
//! Each test is a trap that some client falls into where a server does the obvious thing.

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, Schema, UInt32Type, UnionMode};
use arrow_flight::IpcMessage;
use arrow_flight::sql::{
    CommandGetCatalogs, CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables, CommandGetXdbcTypeInfo,
    ProstMessageExt,
};
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

/// A schema as FlightSql.proto writes it: `name type`, with `!` where it is never NULL.
fn written(schema: &Schema) -> Vec<String> {
    let written = |field: &Field| {
        let kind = match field.data_type() {
            DataType::Utf8 => "utf8".to_string(),
            DataType::Int32 => "int32".to_string(),
            DataType::UInt8 => "uint8".to_string(),
            DataType::UInt32 => "uint32".to_string(),
            DataType::Binary => "bytes".to_string(),
            DataType::Union(_, UnionMode::Dense) => "dense_union".to_string(),
            other => format!("{other:?}"),
        };
        format!("{} {kind}{}", field.name(), if field.is_nullable() { "" } else { "!" })
    };
    schema.fields().iter().map(|field| written(field)).collect()
}

const FOREIGN_KEYS: &str = "pk_catalog_name utf8, pk_db_schema_name utf8, pk_table_name utf8!, pk_column_name utf8!, \
    fk_catalog_name utf8, fk_db_schema_name utf8, fk_table_name utf8!, fk_column_name utf8!, key_sequence int32!, \
    fk_key_name utf8, pk_key_name utf8, update_rule uint8!, delete_rule uint8!";

async fn answers(raw: &mut Raw, command: &impl ProstMessageExt, expected: &str) -> Outcome {
    let expected: Vec<&str> = expected.split(", ").collect();
    let info = raw.info(command).await?;
    let (sent, batches) = raw.batches(&info).await?;
    assert_eq!(written(&schema_of(&info)?), expected, "GetFlightInfo");
    assert_eq!(written(&sent), expected, "DoGet");
    assert_eq!(written(&raw.schema(command).await?), expected, "GetSchema");
    assert_eq!((info.endpoint.len(), info.endpoint[0].location.len()), (1, 0));
    assert!(batches.len() <= 1, "clients that read one batch would miss the rest");
    Ok(())
}

#[tokio::test]
async fn each_command_answers_with_the_columns_of_the_protocol() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::with_table(&server).await?;
    let tables = "catalog_name utf8, db_schema_name utf8, table_name utf8!, table_type utf8!";
    let with_schema = CommandGetTables { include_schema: true, ..Default::default() };
    answers(&mut raw, &CommandGetCatalogs {}, "catalog_name utf8!").await?;
    answers(&mut raw, &CommandGetDbSchemas::default(), "catalog_name utf8, db_schema_name utf8!").await?;
    answers(&mut raw, &CommandGetTables::default(), tables).await?;
    answers(&mut raw, &with_schema, &format!("{tables}, table_schema bytes!")).await?;
    answers(&mut raw, &CommandGetTableTypes {}, "table_type utf8!").await?;
    answers(&mut raw, &CommandGetSqlInfo::default(), "info_name uint32!, value dense_union!").await?;
    let table = || "t".to_string();
    let keys = CommandGetPrimaryKeys { table: table(), ..Default::default() };
    let primary = "catalog_name utf8, db_schema_name utf8, table_name utf8!, column_name utf8!, key_name utf8, \
        key_sequence int32!";
    answers(&mut raw, &keys, primary).await?;
    answers(&mut raw, &CommandGetExportedKeys { table: table(), ..Default::default() }, FOREIGN_KEYS).await?;
    answers(&mut raw, &CommandGetImportedKeys { table: table(), ..Default::default() }, FOREIGN_KEYS).await?;
    let both = CommandGetCrossReference { pk_table: table(), fk_table: table(), ..Default::default() };
    answers(&mut raw, &both, FOREIGN_KEYS).await
}

#[tokio::test]
async fn what_is_broken_hides_nothing_else() -> Outcome {
    let mut server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    for sql in [
        "CREATE TABLE broken AS SELECT 1 AS a",
        "CREATE TABLE gone (a BIGINT)",
        "CREATE VIEW broken_view AS SELECT a FROM gone",
        "DROP TABLE gone",
    ] {
        raw.update(sql).await.context(sql)?;
    }
    drop(raw);
    server = tokio::task::spawn_blocking(move || -> Outcome<TestServer> {
        server.terminate()?;
        // The only table loses its log.
        for table in std::fs::read_dir(server.data_dir().join("tables"))? {
            std::fs::remove_dir_all(table?.path().join("_delta_log"))?;
        }
        server.restart()?;
        Ok(server)
    })
    .await??;
    let mut raw = Raw::connect(&server).await?;
    raw.update("CREATE TABLE whole AS SELECT 1 AS a").await?;
    assert!(raw.query("SELECT * FROM broken").await.is_err() && raw.query("SELECT * FROM broken_view").await.is_err());
    let command =
        CommandGetTables { db_schema_filter_pattern: Some("main".into()), include_schema: true, ..Default::default() };
    let info = raw.info(&command).await?;
    let batch = raw.batch(&info).await?;
    let mut found = Vec::new();
    for (name, bytes) in batch.column(2).as_string::<i32>().iter().zip(batch.column(4).as_binary::<i32>().iter()) {
        let schema = Schema::try_from(IpcMessage(Bytes::copy_from_slice(bytes.context("no schema")?)))?;
        found.push((name.unwrap_or_default().to_string(), schema.fields().len()));
    }
    let expected = [("broken", 0), ("broken_view", 0), ("whole", 1)];
    assert_eq!(found, expected.map(|(name, columns)| (name.to_string(), columns)));
    Ok(())
}
