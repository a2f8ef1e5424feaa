//! Parameters: prepared statements with values of several types, NULL among them, and several rows bound at once.
//!
//! What it does in each language is written in `clients/SAMPLES.md`; it needs nothing but a server.
//! `cargo run --example parameters -- --url grpc://127.0.0.1:50051`

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use limn_client::{Class, Client, Error, Parameter, Result, params};

#[tokio::main]
async fn main() -> Result<()> {
    let client = Client::connect(&url()?).await?;
    client.execute("DROP TABLE IF EXISTS sample_parameters").await?;
    let create = "CREATE TABLE sample_parameters (id BIGINT, name VARCHAR, price DOUBLE, active BOOLEAN, day DATE)";
    client.execute(create).await?;

    let insert = client.prepare("INSERT INTO sample_parameters VALUES (?, ?, ?, ?, ?)").await?;
    let day = |day| Parameter::date(2026, 1, day);
    let rows = vec![
        params![1, "Ada", 1.5, true, day(1)],
        params![2, "Grace", 2.5, true, day(2)],
        params![3, None::<&str>, 3.5, false, day(3)],
        params![4, "Zoë", 4.5, true, day(4)],
    ];
    let inserted = insert.execute(rows).await?;
    insert.close().await?;
    println!("inserted {inserted} rows with one call");

    let sql = "SELECT count(*) AS matched FROM sample_parameters WHERE price >= ? AND active = ? AND day >= ?";
    let select = client.prepare(sql).await?;
    let batches = select.query(params![2.0, true, day(2)]).await?.into_batches().await?;
    select.close().await?;
    let first = batches.iter().find(|batch| batch.num_rows() > 0);
    let first = first.ok_or_else(|| Error::new(Class::Internal, "expected one row, found none"))?;
    let matched = first.column(0).as_primitive::<Int64Type>().value(0);
    println!("{matched} of them match");
    println!(r#"{{"matched": {matched}, "inserted": {inserted}}}"#);
    client.close().await
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
