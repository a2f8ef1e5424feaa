//! Background care, as a user sees it: many small commits leave few files, the same rows, and a row in
//! `system.maintenance`.

use limn_tests::raw::Raw;
use limn_tests::{Outcome, TestServer, ensure};

#[tokio::test]
async fn many_small_commits_leave_few_files() -> Outcome {
    const ROWS: i64 = 70;
    let server = TestServer::start()?;
    let mut raw = Raw::with_table(&server).await?;
    for id in 1..=ROWS {
        raw.update(&format!("INSERT INTO t VALUES ({id})")).await?;
    }
    let done = "SELECT count(*) FROM system.maintenance
                WHERE table_name = 't' AND operation = 'compaction' AND state = 'finished' AND files_added = 1";
    // Care waits for no statement, so statements wait for it here.
    let mut asked = 0;
    while raw.number(done).await? == 0 {
        asked += 1;
        ensure(asked < 10_000, || "no compaction in 10,000 looks".into())?;
    }
    assert_eq!(raw.number("SELECT count(*) FROM t").await?, ROWS);
    assert_eq!(raw.number("SELECT sum(a) FROM t").await?, ROWS * (ROWS + 1) / 2);
    // Before there were files enough for a compaction each version is one row.
    assert_eq!(raw.number("SELECT count(*) FROM t VERSION AS OF 40").await?, 40);
    let wrong = "SELECT count(*) FROM system.maintenance WHERE state = 'failed'";
    assert_eq!(raw.number(wrong).await?, 0);
    Ok(())
}
