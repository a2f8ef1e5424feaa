//! A model: learn a line from a table, predict by it in SQL, and find it in the registry.
//!
//! What it does in each language is written in `clients/SAMPLES.md`; it needs nothing but a server.
//! `cargo run --example model -- --url grpc://127.0.0.1:50051`

use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, Int64Type};
use arrow::record_batch::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use limn_client::{Class, Client, Error, Result};

#[tokio::main]
async fn main() -> Result<()> {
    let client = Client::connect(&url()?).await?;
    client.execute("DROP TABLE IF EXISTS sample_line").await?;
    let create = "CREATE TABLE sample_line AS \
        SELECT CAST(value AS DOUBLE) AS x, 2.0 * value + 1.0 AS y FROM generate_series(0, 999)";
    client.execute(create).await?;
    client.execute("DROP MODEL IF EXISTS sample_model").await?;

    // TRAIN MODEL has an effect and a row: what was made.
    let train = "TRAIN MODEL sample_model USING linear_regression TARGET y SPLIT NONE SEED 1 \
        AS SELECT x, y FROM sample_line";
    let trained = row(&client, train).await?;
    let (version, rows) = (integer(&trained, "version")?, integer(&trained, "rows")?);
    let algorithm = text(&trained, "algorithm")?;
    println!("trained version {version} by {algorithm} on {rows} rows");

    let predict = "SELECT PREDICT('sample_model', 0.0) AS intercept, \
        PREDICT('sample_model', 1.0) - PREDICT('sample_model', 0.0) AS coefficient";
    let predicted = row(&client, predict).await?;
    let (coefficient, intercept) = (float(&predicted, "coefficient")?, float(&predicted, "intercept")?);
    println!("y = {coefficient:.3} x + {intercept:.3}");

    let registry = "SELECT name, version, algorithm, target, rows FROM system.model_versions \
        WHERE name = 'sample_model' ORDER BY version";
    println!("{}", pretty_format_batches(&client.query(registry).await?.into_batches().await?)?);
    let numbers = format!(r#""coefficient": {coefficient:?}, "intercept": {intercept:?}, "version": {version}"#);
    println!(r#"{{{numbers}, "algorithm": "{algorithm}", "rows": {rows}}}"#);
    client.close().await
}

/// The batch with the first row of a result.
async fn row(client: &Client, sql: &str) -> Result<RecordBatch> {
    let batches = client.query(sql).await?.into_batches().await?;
    let found = batches.into_iter().find(|batch| batch.num_rows() > 0);
    found.ok_or_else(|| Error::new(Class::Internal, "expected one row, found none"))
}

fn integer(row: &RecordBatch, name: &str) -> Result<i64> {
    let column = row.column_by_name(name).and_then(|column| column.as_primitive_opt::<Int64Type>());
    column.map(|column| column.value(0)).ok_or_else(|| missing(name))
}

fn float(row: &RecordBatch, name: &str) -> Result<f64> {
    let column = row.column_by_name(name).and_then(|column| column.as_primitive_opt::<Float64Type>());
    column.map(|column| column.value(0)).ok_or_else(|| missing(name))
}

fn text(row: &RecordBatch, name: &str) -> Result<String> {
    let column = row.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
    column.map(|column| column.value(0).to_string()).ok_or_else(|| missing(name))
}

fn missing(name: &str) -> Error {
    Error::new(Class::Internal, format!("expected a column `{name}`"))
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
