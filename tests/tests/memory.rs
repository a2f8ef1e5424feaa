//! What large statements take of memory: a change of a few rows in a large table, and queries larger than their limit.
//!
//! `LIMN_BIG=1` merges into 50 million rows, which is the size that counts; without it the table is a fiftieth of that.

use limn_tests::server::ServerOptions;
use limn_tests::{Outcome, TestServer, ensure};

const MIB: u64 = 1024 * 1024;
/// Bytes above those of the idle server that the merge may take.
const MERGE_BYTES_MAX: u64 = 1024 * MIB;
const MERGED: u64 = 10_000;

fn is_big() -> bool {
    std::env::var_os("LIMN_BIG").is_some_and(|value| !value.is_empty() && value != "0")
}

#[tokio::test]
async fn a_merge_of_few_rows_into_many_takes_little_memory() -> Outcome {
    let rows: u64 = if is_big() { 50_000_000 } else { 1_000_000 };
    let server = TestServer::start()?;
    let mut wire = server.connect().await?;
    let columns = "value AS id, value % 48 AS n, CAST(value AS DOUBLE) / 7 AS price, \
                   concat('customer ', CAST(value % 100000 AS TEXT)) AS note";
    wire.run(&format!("CREATE TABLE t AS SELECT {columns} FROM generate_series(1, {rows})")).await?;
    let step = rows / MERGED * 2;
    // Half of them meet a row, all over the table.
    let source = format!(
        "SELECT CASE WHEN value % 2 = 0 THEN value / 2 * {step} ELSE {rows} + value END AS id, 1000 AS n, \
         0.0 AS price, 'merged' AS note FROM generate_series(1, {MERGED})"
    );
    wire.run(&format!("CREATE TABLE s AS {source}")).await?;
    wire.value("SELECT count(*) FROM t").await?;
    let idle = server.resident_bytes()?;
    server.forget_peak()?;
    wire.run("MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *")
        .await?;
    let taken = server.peak_bytes()?.saturating_sub(idle);
    println!("{MERGED} rows merged into {rows}: {} MiB above {} MiB", taken / MIB, idle / MIB);
    let merged = wire.value("SELECT concat(count(*), ' ', sum(n) / 1000) FROM t WHERE n = 1000").await?;
    ensure(merged == format!("{MERGED} {MERGED}"), || format!("expected {MERGED} merged rows, found {merged}"))?;
    let all = wire.value("SELECT count(*) FROM t").await?;
    ensure(all == (rows + MERGED / 2).to_string(), || format!("expected {} rows, found {all}", rows + MERGED / 2))?;
    ensure(taken < MERGE_BYTES_MAX, || {
        format!("the merge took {} MiB, expected less than {}", taken / MIB, MERGE_BYTES_MAX / MIB)
    })
}

/// A server whose statements have 64 MiB each, and one thread: the merge of what several threads sorted cannot spill, so
/// that it may find no memory left.
fn small() -> Outcome<TestServer> {
    let arguments = ["--memory", "128MiB", "--limit", "memory_per_query=64MiB,threads=1"].map(str::to_string).to_vec();
    TestServer::start_with(ServerOptions { arguments, ..ServerOptions::default() })
}

#[tokio::test]
async fn a_query_larger_than_its_memory_spills_and_succeeds() -> Outcome {
    let server = small()?;
    let mut wire = server.connect().await?;
    let rows = 1_500_000_u64;
    // About 150 MB as Arrow.
    let wide = "concat('a text that takes some room in memory, number ', CAST(value * 7919 % 1500007 AS TEXT)) AS s";
    wire.run(&format!("CREATE TABLE t AS SELECT value AS k, {wide} FROM generate_series(1, {rows})")).await?;
    // The least and the greatest of a sort, the count of groups of one row each, and a join of the table with itself.
    let sorted = "SELECT concat(min(r), ' ', max(r), ' ', count(*)) FROM \
                  (SELECT row_number() OVER (ORDER BY s) AS r FROM t)";
    let found = wire.value(sorted).await?;
    ensure(found == format!("1 {rows} {rows}"), || format!("sorting: {found}"))?;
    let grouped =
        wire.value("SELECT concat(count(*), ' ', sum(n)) FROM (SELECT s, count(*) AS n FROM t GROUP BY s)").await?;
    ensure(grouped == format!("{rows} {rows}"), || format!("grouping: {grouped}"))?;
    let left = std::fs::read_dir(server.data_dir().join("tmp"))?
        .flatten()
        .filter(|e| e.path().is_dir())
        .map(|e| std::fs::read_dir(e.path()).map_or(0, |files| files.count()));
    let left: usize = left.sum();
    ensure(left == 0, || format!("{left} spilled files are left"))
}

#[tokio::test]
async fn what_cannot_spill_says_so_and_harms_nobody() -> Outcome {
    let server = small()?;
    let mut wire = server.connect().await?;
    let error = wire.value("SELECT array_length(array_agg(value * 2)) FROM generate_series(1, 20000000)").await;
    let Err(error) = error else { return ensure(false, || "an array larger than the memory was made".into()) };
    ensure(error.text().contains("memory"), || error.text().to_string())?;
    let one = wire.value("SELECT 1").await?;
    ensure(one == "1", || one)
}
