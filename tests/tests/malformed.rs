//! Ten thousand calls that no client makes: each is answered with an error of the right class, in time, and afterwards
//! the server is as it was: the same tasks, sessions, statements, connections and memory, and the same rows.
//!
//! What is called and what is a right answer stands in `limn_tests::malformed`; this file makes the calls and looks.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use limn_tests::malformed::{MESSAGE_BYTES, Report, Target, call};
use limn_tests::raw::{Raw, until};
use limn_tests::server::ServerOptions;
use limn_tests::{Context, Outcome, TestServer, engine, ensure};
use tonic::Code;

const SEED: u64 = 20_261_123;
const CALLERS: u64 = 8;
const CALLS: u64 = 10_000;
/// Calls before the first look: the threads, caches and code that a server has once it has seen everything.
const WARM_UP: u64 = 1_600;
/// What may be more after the calls than before, since background work and the allocator go their own ways.
const TASKS_MORE_MAX: i64 = 8;
const FILES_MORE_MAX: usize = 8;
const MEMORY_MORE_MAX: u64 = 32 * 1024 * 1024;
/// How long a token lives that is to have expired when it is shown.
const TOKEN_TTL: Duration = Duration::from_millis(1);

/// What a server keeps for its clients; nothing of it may be left behind.
const KEPT: [&str; 5] = [
    "limn_sessions",
    "limn_session_tokens",
    "limn_prepared_statements",
    "limn_polled_statements",
    "limn_statements_running",
];

/// A server with a user and a table, and what its callers know.
async fn server(directory: &Path) -> Outcome<(TestServer, Arc<Target>)> {
    let data_dir = directory.join("data");
    let mut refused = vec![
        "Bearer ".to_string(),
        "Bearer limn-0123456789abcdef0123456789abcdef".to_string(),
        format!("Bearer limn_local_{}", "0".repeat(64)),
        format!("Bearer {}", "x".repeat(10_000)),
    ];
    let accepted = {
        let engine = engine::open(&data_dir).await?;
        engine.users().create("ada", None, false).await?;
        let accepted = engine.users().create_token("ada", None, None).await?;
        let expired = engine.users().create_token("ada", None, Some(TOKEN_TTL)).await?;
        let revoked = engine.users().create_token("ada", None, None).await?;
        engine.users().revoke_token(&revoked.id).await?;
        refused.extend([expired.secret, revoked.secret].map(|secret| format!("Bearer {secret}")));
        // One that was never given out: the accepted one with another end.
        let end = if accepted.secret.ends_with('0') { "1" } else { "0" };
        let begin: String = accepted.secret.chars().take(accepted.secret.chars().count() - 1).collect();
        refused.push(format!("Bearer {begin}{end}"));
        engine.close().await;
        format!("Bearer {}", accepted.secret)
    };
    let arguments = vec!["--limit".into(), format!("max_message_bytes={MESSAGE_BYTES}")];
    let server =
        TestServer::start_with(ServerOptions { data_dir: Some(data_dir), arguments, ..ServerOptions::default() })?;
    let mut raw = Raw::connect(&server).await?;
    raw.headers = vec![("authorization", accepted.clone())];
    raw.update("CREATE TABLE t AS SELECT value AS a FROM generate_series(1, 100)").await?;
    let target = Target::new(&server, accepted, refused).await?;
    Ok((server, target))
}

async fn calls(server: &Arc<TestServer>, target: &Arc<Target>, all: u64) -> Outcome<Report> {
    let callers = (0..CALLERS).map(|caller| {
        let (server, target) = (Arc::clone(server), Arc::clone(target));
        tokio::spawn(async move { call(&server, target, SEED + all + caller, all / CALLERS).await })
    });
    let mut report = Report::default();
    for caller in callers.collect::<Vec<_>>() {
        report.add(caller.await.context("a caller's task")??);
    }
    Ok(report)
}

/// The server's memory at rest: the least that is seen while it gives back what it does not use.
fn memory(server: &TestServer, wanted: u64) -> Outcome<u64> {
    let deadline = Instant::now() + Duration::from_secs(45);
    let mut least = server.allocated_bytes()?;
    while least > wanted && Instant::now() < deadline {
        std::thread::park_timeout(Duration::from_millis(100));
        least = least.min(server.allocated_bytes()?);
    }
    Ok(least)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_malformed_calls_are_refused_and_leave_nothing_behind() -> Outcome {
    let directory = tempfile::tempdir()?;
    let (server, target) = server(directory.path()).await?;
    let server = Arc::new(server);
    let mut own = Raw::connect(&server).await?;
    own.headers = vec![("authorization", target.accepted.clone())];
    let warm_up = calls(&server, &target, WARM_UP).await?;
    ensure(warm_up.wrong.is_empty(), || format!("{warm_up}\n{}", warm_up.wrong.join("\n")))?;
    server.until_metric("limn_statements_running", 0)?;
    let kept = |server: &TestServer| KEPT.map(|name| server.metric(name).map_err(|f| f.text().to_string()));
    let (kept_before, tasks, files) = (kept(&server), server.metric("limn_tasks")?, server.open_files()?);
    let before = server.allocated_bytes()?;

    let report = calls(&server, &target, CALLS).await?;
    println!("{report}");
    ensure(report.wrong.is_empty(), || report.wrong.join("\n"))?;
    ensure(report.calls() == CALLS, || format!("{} calls", report.calls()))?;
    // A call that is never chosen would be a call that is never wrong.
    ensure(report.answers.len() >= 20, || format!("{report}"))?;

    server.until_metric("limn_statements_running", 0)?;
    server.until_at_most("limn_tasks", tasks + TASKS_MORE_MAX)?;
    let few = || Ok((server.open_files()? <= files + FILES_MORE_MAX).then_some(()));
    until(few).await.context(format!("{files} files and connections were open before, and now more"))?;
    let kept_after = kept(&server);
    ensure(kept_after == kept_before, || format!("{KEPT:?} were {kept_before:?}, are {kept_after:?}"))?;
    let after = memory(&server, before + MEMORY_MORE_MAX)?;
    let mib = |bytes: u64| bytes / (1024 * 1024);
    println!("{} MiB before, {} MiB after; {tasks} tasks before, {} after", mib(before), mib(after), {
        server.metric("limn_tasks")?
    });
    ensure(after <= before + MEMORY_MORE_MAX, || format!("{} MiB before, {} after", mib(before), mib(after)))?;

    ensure(own.number("SELECT count(*) FROM t").await? == 100, || "rows were changed".into())?;
    for gone in ["SELECT * FROM lies", "SELECT * FROM stolen"] {
        let code = own.query(gone).await.err().map(|status| status.code());
        ensure(code == Some(Code::NotFound), || format!("{gone}: {code:?}"))?;
    }
    let stderr = server.stderr();
    let panics: Vec<&str> =
        stderr.lines().filter(|l| l.contains("panicked at server") || l.contains("ERROR")).collect();
    ensure(panics.is_empty(), || panics.join("\n"))
}
