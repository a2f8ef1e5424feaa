//! Quickstart: a table, rows in two commits, a query, and the table as it was before the second.
//!
//! What it does in each language is written in `clients/SAMPLES.md`; it needs nothing but a server.
//! `cargo run --example quickstart -- --url grpc://127.0.0.1:50051`

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use arrow::util::pretty::pretty_format_batches;
use limn_client::{Class, Client, Error, Result};

#[tokio::main]
async fn main() -> Result<()> {
    let client = Client::connect(&url()?).await?;
    client.execute("DROP TABLE IF EXISTS sample_quickstart").await?;
    client.execute("CREATE TABLE sample_quickstart (id BIGINT, item VARCHAR, amount BIGINT)").await?;
    let first = client.execute("INSERT INTO sample_quickstart VALUES (1, 'apple', 10), (2, 'pear', 20)").await?;
    let second = client.execute("INSERT INTO sample_quickstart VALUES (3, 'plum', 30)").await?;
    println!("inserted {first} rows, then {second}");

    let rows = client.query("SELECT id, item, amount FROM sample_quickstart ORDER BY id").await?;
    println!("{}", pretty_format_batches(&rows.into_batches().await?)?);

    let now = numbers(&client, "SELECT count(*) AS row_count, sum(amount) AS total FROM sample_quickstart").await?;
    let before = numbers(&client, "SELECT count(*) AS row_count FROM sample_quickstart VERSION AS OF 1").await?;
    let ([rows, sum], [rows_before]) = (now.as_slice(), before.as_slice()) else {
        return Err(Error::new(Class::Internal, format!("expected two numbers and one, found {now:?} and {before:?}")));
    };
    println!("version 1 had {rows_before} rows");
    println!(r#"{{"rows": {rows}, "sum": {sum}, "rows_at_version_1": {rows_before}}}"#);
    client.close().await
}

/// The integers of a result's first row.
async fn numbers(client: &Client, sql: &str) -> Result<Vec<i64>> {
    let batches = client.query(sql).await?.into_batches().await?;
    let Some(batch) = batches.iter().find(|batch| batch.num_rows() > 0) else { return Ok(vec![]) };
    Ok(batch.columns().iter().map(|column| column.as_primitive::<Int64Type>().value(0)).collect())
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
