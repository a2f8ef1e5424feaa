//! The types of a result, for the clients that ask for the engine's own: by a setting, and by a header.
//!
//! Everyone else is sent what every driver reads; `wire_schema` checks that. The same rows are read both ways here.

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Int32Type, Schema, TimeUnit};
use arrow::util::display::array_value_to_string;
use arrow_flight::IpcMessage;
use limn_tests::raw::{Raw, schema_of, statement};
use limn_tests::{Context, Outcome, TestServer};
use tonic::Code;

/// Columns that every driver reads in another type, with the type that the engine has.
fn columns() -> Vec<(&'static str, DataType)> {
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let nanos = |zone: Option<&str>| DataType::Timestamp(TimeUnit::Nanosecond, zone.map(Into::into));
    vec![
        ("arrow_cast(s, 'Utf8View')", DataType::Utf8View),
        ("arrow_cast(s, 'LargeUtf8')", DataType::LargeUtf8),
        ("arrow_cast(s, 'Dictionary(Int32, Utf8)')", dictionary),
        ("arrow_cast(arrow_cast(s, 'Binary'), 'BinaryView')", DataType::BinaryView),
        ("arrow_cast(n, 'Float16')", DataType::Float16),
        ("arrow_cast(n, 'Decimal64(9, 2)')", DataType::Decimal64(9, 2)),
        ("arrow_cast(t, 'Timestamp(Nanosecond, None)')", nanos(None)),
        ("arrow_cast(t, 'Timestamp(Nanosecond, Some(\"UTC\"))')", nanos(Some("UTC"))),
        ("arrow_cast([s], 'List(Utf8View)')", DataType::new_list(DataType::Utf8View, true)),
    ]
}

fn query() -> String {
    let rows = "VALUES ('short', 1.5, TIMESTAMP '2024-02-29 12:00:00.123456'), \
        ('a text that does not lie within a view', -2.5, TIMESTAMP '1969-12-31 23:59:59'), (NULL, NULL, NULL)";
    let columns: Vec<String> = columns().iter().map(|(expression, _)| expression.to_string()).collect();
    format!("SELECT {} FROM ({rows}) AS v(s, n, t)", columns.join(", "))
}

fn types(schema: &Schema) -> Vec<DataType> {
    schema.fields().iter().map(|field| field.data_type().clone()).collect()
}

#[tokio::test]
async fn a_client_that_asks_is_sent_the_engines_own_types_and_the_same_values() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    let native: Vec<DataType> = columns().into_iter().map(|(_, data_type)| data_type).collect();
    let plain = raw.query(&query()).await?;
    for (found, native) in types(&plain.schema()).iter().zip(&native) {
        assert_ne!(found, native, "nobody has asked for it");
    }

    let request = raw.request(limn_tests::raw::descriptor(&statement("SET wire_types = 'native'")));
    let token = raw.service.get_flight_info(request).await?.metadata().get("authorization").cloned();
    let bearer = ("authorization", token.context("no token")?.to_str()?.to_string());
    for headers in [vec![bearer.clone()], vec![("limn-wire-types", "native".into())]] {
        raw.headers = headers;
        let prepared = raw.prepare(&query()).await?;
        let info = raw.info(&statement(&query())).await?;
        let by_handle = raw.prepared_info(&prepared.prepared_statement_handle).await?;
        for schema in [
            Schema::try_from(IpcMessage(prepared.dataset_schema))?,
            raw.schema(&statement(&query())).await?,
            schema_of(&info)?,
            schema_of(&by_handle)?,
        ] {
            assert_eq!(types(&schema), native, "{:?}", raw.headers);
        }
        // Whoever redeems the ticket is sent what was announced.
        for reader in [raw.clone(), Raw::connect(&server).await?] {
            let mut reader = reader;
            let batch = reader.batch(&info).await?;
            assert_eq!(types(&batch.schema()), native);
            assert_eq!(batch.column(2).as_dictionary::<Int32Type>().values().len(), 2);
            for column in 0..batch.num_columns() {
                for row in 0..batch.num_rows() {
                    let shown = |batch: &arrow::record_batch::RecordBatch| {
                        array_value_to_string(batch.column(column), row).context(format!("row {row} of {column}"))
                    };
                    assert_eq!(shown(&batch)?, shown(&plain)?, "row {row} of column {column}");
                }
            }
        }
    }
    // The request's own word counts more than the session's.
    raw.headers = vec![bearer, ("limn-wire-types", "plain".into())];
    assert_eq!(types(&raw.query(&query()).await?.schema()), types(&plain.schema()));
    Ok(())
}

#[tokio::test]
async fn types_that_nobody_knows_are_refused() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    let error = raw.update("SET wire_types = 'best'").await.unwrap_err();
    let expected = "expected `plain` or `native` for `wire_types`, found `best`";
    assert_eq!((error.code(), error.message().lines().next()), (Code::InvalidArgument, Some(expected)));
    raw.headers = vec![("limn-wire-types", "best".into())];
    assert_eq!(raw.query("SELECT 1").await.unwrap_err().code(), Code::InvalidArgument);
    Ok(())
}
