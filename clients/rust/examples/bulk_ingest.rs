//! Bulk ingestion: a million generated rows into a new table as a stream of batches, in one commit.
//!
//! What it does in each language is written in `clients/SAMPLES.md`; it needs nothing but a server.
//! `cargo run --example bulk_ingest -- --url grpc://127.0.0.1:50051`

use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use limn_client::{Class, Client, Error, IngestMode, Result};

/// Rows in all.
const ROWS: i64 = 1_000_000;
/// Rows of a batch.
const BATCH_ROWS: i64 = 65_536;

#[tokio::main]
async fn main() -> Result<()> {
    let client = Client::connect(&url()?).await?;
    let schema: SchemaRef = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("amount", DataType::Float64, false),
        Field::new("label", DataType::Utf8, false),
    ]));
    let own = Arc::clone(&schema);
    let starts = (0..ROWS).step_by(usize::try_from(BATCH_ROWS).unwrap_or(usize::MAX));
    // Each batch is made when the connection has room for it.
    let batches = futures::stream::iter(starts.map(move |start| batch(&own, start..(start + BATCH_ROWS).min(ROWS))));

    let begun = Instant::now();
    let written = client.ingest("sample_bulk_ingest", IngestMode::Replace, schema, batches).await?;
    println!("wrote {written} rows in {:.2} s", begun.elapsed().as_secs_f64());

    let sql = "SELECT count(*) AS row_count, sum(id) AS sum_id FROM sample_bulk_ingest";
    let found = client.query(sql).await?.into_batches().await?;
    let found = found.iter().find(|batch| batch.num_rows() > 0);
    let found = found.ok_or_else(|| Error::new(Class::Internal, "expected one row, found none"))?;
    let number = |at: usize| found.column(at).as_primitive::<Int64Type>().value(0);
    println!(r#"{{"rows": {}, "sum_id": {}}}"#, number(0), number(1));
    client.close().await
}

/// The rows of a range of ids.
fn batch(schema: &SchemaRef, ids: std::ops::Range<i64>) -> Result<RecordBatch> {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(ids.clone())),
        Arc::new(Float64Array::from_iter_values(ids.clone().map(|id| id as f64 * 0.5))),
        Arc::new(StringArray::from_iter_values(ids.map(|id| format!("label-{}", id % 1000)))),
    ];
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// The value of `--url`, or the local server.
fn url() -> Result<String> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => Ok("grpc://127.0.0.1:50051".into()),
        (Some("--url"), Some(url)) => Ok(url),
        _ => Err(Error::new(Class::Input, "expected nothing, or `--url URL`")),
    }
}
