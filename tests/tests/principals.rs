//! What a principal may do to others' statements, and what is owed to whoever closed the server to themselves.
//!
//! Credentials are written as the bytes that clients send; how each was made stands beside it.

use std::time::{Duration, Instant};

use arrow_flight::{CancelFlightInfoRequest, FlightInfo, Ticket};
use limn_tests::bare::Bare;
use limn_tests::raw::{Raw, statement};
use limn_tests::server::limn_command;
use limn_tests::{Context, Outcome, TestServer, ensure, python};
use prost::Message;
use tonic::Code;

/// printf 'ada:correct:horse' | base64
const ADA: &str = "Basic YWRhOmNvcnJlY3Q6aG9yc2U=";
/// printf 'root:battery staple' | base64
const ROOT: &str = "Basic cm9vdDpiYXR0ZXJ5IHN0YXBsZQ==";
/// A query that runs until it is stopped.
const ENDLESS: &str = "SELECT count(value) AS endless FROM generate_series(1, 1000000000000)";
/// How long an event may take before a test gives up on it.
const EVENT_DEADLINE: Duration = Duration::from_secs(60);

/// The id of the endless query, once it runs.
async fn endless(bare: &mut Bare) -> Outcome<String> {
    let sql = "SELECT query_id FROM system.queries WHERE state = 'running' AND statement LIKE '%AS endless%'
               AND statement NOT LIKE '%system.queries%'";
    let deadline = Instant::now() + EVENT_DEADLINE;
    loop {
        if let Some(row) = bare.sql(sql).await?.into_iter().next() {
            return Ok(row.concat());
        }
        ensure(Instant::now() < deadline, || "the query does not run".into())?;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_stops_what_another_runs_but_the_operator() -> Outcome {
    let server = TestServer::start()?;
    let bare = Bare::connect(server.flight_addr()).await?;
    bare.clone().update("CREATE USER root PASSWORD 'battery staple'").await?;
    let (mut root, mut ada) = (bare.authorized(ROOT), bare.authorized(ADA));
    root.sql("CREATE USER ada PASSWORD 'correct:horse'").await?;

    let mut runner = ada.clone();
    let running = tokio::spawn(async move { runner.sql(ENDLESS).await });
    let id = endless(&mut root).await?;
    let refused = root.sql(&format!("KILL QUERY '{id}'")).await.err().context("it was killed by another")?;
    ensure(refused.code() == Code::PermissionDenied, || format!("{refused:?}"))?;
    ensure(refused.message().starts_with(&format!("the query `{id}` is `ada`'s")), || format!("{refused:?}"))?;

    // Nor with a ticket that has its id in it: a ticket is no secret and grants nothing.
    let mut raw = Raw::connect(&server).await?;
    raw.headers = vec![("authorization", ROOT.to_string())];
    let info = with_id(raw.info(&statement("SELECT 1")).await?, &id)?;
    let body = CancelFlightInfoRequest { info: Some(info.clone()) }.encode_to_vec();
    let refused = raw.action("CancelFlightInfo", body.clone()).await.err().context("it was cancelled by another")?;
    ensure(refused.code() == Code::PermissionDenied, || format!("{refused:?}"))?;
    ensure(!running.is_finished(), || "it was stopped all the same".into())?;
    raw.headers = vec![("authorization", ADA.to_string())];
    raw.action("CancelFlightInfo", body).await?;
    let stopped = running.await?.err().context("a cancelled query has no result")?;
    ensure(stopped.code() == Code::Cancelled, || format!("{stopped:?}"))?;

    let mut runner = ada.clone();
    let running = tokio::spawn(async move { runner.sql(ENDLESS).await });
    let id = endless(&mut ada).await?;
    ada.sql(&format!("KILL QUERY '{id}'")).await?;
    ensure(running.await?.is_err(), || "one's own query was not killed".into())?;

    let mut runner = ada.clone();
    let running = tokio::spawn(async move { runner.sql(ENDLESS).await });
    let id = endless(&mut ada).await?;
    let data = server.data_dir();
    let status = tokio::task::spawn_blocking(move || -> Outcome<_> {
        let mut limn = limn_command()?;
        Ok(limn.args(["sql", "-c", format!("KILL QUERY '{id}'").as_str(), "--data-dir"]).arg(data).status()?)
    });
    ensure(status.await??.success(), || "the operator was refused".into())?;
    ensure(running.await?.is_err(), || "the operator did not stop it".into())
}

/// The info with another query's id in its ticket, which has its length.
fn with_id(mut info: FlightInfo, id: &str) -> Outcome<FlightInfo> {
    let ticket = info.endpoint.first_mut().and_then(|endpoint| endpoint.ticket.as_mut()).context("no ticket")?;
    let mut bytes = ticket.ticket.to_vec();
    let is_id = |window: &[u8]| window.iter().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b));
    let at = bytes.windows(id.len()).position(is_id).context("no id in the ticket")?;
    bytes[at..at + id.len()].copy_from_slice(id.as_bytes());
    ticket.ticket = bytes.into();
    Ok(info)
}

#[tokio::test]
async fn whoever_creates_the_first_user_gets_the_answer_and_nothing_else() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    let planned = raw.info(&statement("SELECT 1")).await?;
    let earlier = raw.info(&statement("CREATE TABLE t AS SELECT 1 AS a")).await?;
    let created = raw.info(&statement("CREATE USER root PASSWORD 'battery staple'")).await?;
    for _ in 0..2 {
        // As often as a client asks, from wherever it does.
        raw.messages(&created).await.context("the answer")?;
        Raw::connect(&server).await?.messages(&created).await.context("the answer elsewhere")?;
    }
    // What was planned or done before needs credentials, and so does everything else.
    for info in [&planned, &earlier] {
        let refused = raw.messages(info).await.err().context("a result without credentials")?;
        ensure(refused.code() == Code::Unauthenticated, || format!("{refused:?}"))?;
    }
    let mut longer = created.clone();
    let ticket = longer.endpoint[0].ticket.get_or_insert_with(Ticket::default);
    ticket.ticket = [ticket.ticket.as_ref(), b"\x00".as_slice()].concat().into();
    for refused in [
        raw.messages(&longer).await.err().context("another ticket")?,
        raw.info(&statement("SELECT 1")).await.err().context("a statement without credentials")?,
        raw.update("DROP USER root").await.err().context("an update without credentials")?,
    ] {
        ensure(refused.code() == Code::Unauthenticated, || format!("{refused:?}"))?;
    }
    raw.headers = vec![("authorization", ROOT.to_string())];
    raw.messages(&created).await.context("the answer with credentials")?;
    raw.messages(&planned).await.context("a query with credentials")?;
    // An effect that ends once the server is closed to all but users is no such case.
    let second = raw.info(&statement("CREATE USER ada PASSWORD 'correct:horse'")).await?;
    raw.headers.clear();
    let refused = raw.messages(&second).await.err().context("another's answer")?;
    ensure(refused.code() == Code::Unauthenticated, || format!("{refused:?}"))
}

#[tokio::test]
async fn adbc_creates_the_first_user() -> Outcome {
    let Some(python) = python::python()? else { return Ok(()) };
    let server = TestServer::start()?;
    python.script("first_user.py", [server.flight_url()]).map(drop)
}
