//! Bulk ingestion over the wire: every mode on a table that is there and on one that is not, every encoding that a
//! client may send, in constant memory, all or nothing.
//!
//! A reader of the tests' rows is the server's own SQL; what is on the disk is looked at with the file system.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Decimal64Array, DictionaryArray, Float16Array, Int16Array, Int64Array, LargeStringArray,
    NullArray, RunArray, StringArray, StringViewArray, TimestampNanosecondArray, UInt64Array,
};
use arrow::datatypes::{ArrowPrimitiveType, Float16Type, Int8Type, Int32Type, Int64Type};
use arrow::record_batch::RecordBatch;
use arrow_flight::FlightData;
use arrow_flight::encode::{DictionaryHandling, FlightDataEncoderBuilder};
use arrow_flight::sql::CommandStatementIngest;
use futures::{StreamExt, TryStreamExt};
use limn_tests::raw::{Raw, count, descriptor, encoded, ingest_mode, unfinished, until, until_running};
use limn_tests::{Context, Outcome, TestServer, ensure};
use tokio::sync::mpsc;
use tonic::Code;

/// A queue as a stream.
fn stream_of(queue: mpsc::Receiver<FlightData>) -> impl futures::Stream<Item = FlightData> + Send + 'static {
    futures::stream::unfold(queue, |mut queue| async move { queue.recv().await.map(|data| (data, queue)) })
}

const MODES: [&str; 4] = ["create", "append", "replace", "create_append"];

fn rows(values: impl IntoIterator<Item = i64>) -> Outcome<RecordBatch> {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(values));
    Ok(RecordBatch::try_from_iter_with_nullable([("a", column, true)])?)
}

/// The sorted values of `a`.
async fn values(raw: &mut Raw, table: &str) -> Outcome<Vec<i64>> {
    let batch = raw.query(&format!("SELECT a FROM {table} ORDER BY a")).await?;
    Ok(batch.column(0).as_primitive::<Int64Type>().values().to_vec())
}

/// Commits in the log of the one table that the server has.
fn commits(server: &TestServer) -> Outcome<usize> {
    let files = files_below(&server.data_dir().join("tables"))?;
    Ok(files.iter().filter(|file| file.contains("_delta_log") && file.ends_with(".json")).count())
}

/// All files below a directory, as paths from there.
fn files_below(root: &Path) -> Outcome<Vec<String>> {
    let mut found = Vec::new();
    let mut directories = vec![root.to_path_buf()];
    while let Some(directory) = directories.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        for entry in entries {
            let path = entry?.path();
            match path.is_dir() {
                true => directories.push(path),
                false => found.push(path.strip_prefix(root)?.to_string_lossy().into_owned()),
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Waits until nothing is left of unfinished work.
async fn until_clean(server: &TestServer, tables: &[String]) -> Outcome {
    until_running(server, 0).await?;
    until(|| {
        Ok((unfinished(server)?.is_empty() && files_below(&server.data_dir().join("tables"))? == tables).then_some(()))
    })
    .await
    .context("unfinished files are left")
}

#[tokio::test]
async fn every_mode_on_a_table_that_is_missing() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    for mode in MODES {
        let table = format!("t_{mode}");
        let sent = raw.ingest(&ingest_mode(&table, mode), vec![rows(0..3)?, rows(3..5)?]).await;
        if mode == "append" {
            assert_eq!(sent.unwrap_err().code(), Code::NotFound, "{mode}");
            assert_eq!(raw.query(&format!("SELECT * FROM {table}")).await.unwrap_err().code(), Code::NotFound);
            continue;
        }
        assert_eq!(sent.context(mode)?, 5);
        assert_eq!(values(&mut raw, &table).await?, [0, 1, 2, 3, 4], "{mode}");
    }
    assert_eq!(commits(&server)?, 3, "one commit for each table, whatever the number of batches");
    Ok(())
}

#[tokio::test]
async fn every_mode_on_a_table_that_is_there() -> Outcome {
    for mode in MODES {
        let server = TestServer::start()?;
        let mut raw = Raw::with_table(&server).await?;
        raw.update("INSERT INTO t VALUES (100)").await?;
        let before = commits(&server)?;
        let sent = raw.ingest(&ingest_mode("t", mode), vec![rows(0..2)?, rows(2..3)?]).await;
        let expected: &[i64] = match mode {
            "create" => {
                assert_eq!(sent.unwrap_err().code(), Code::AlreadyExists);
                assert_eq!(commits(&server)?, before);
                &[100]
            }
            "replace" => {
                assert_eq!(sent.context(mode)?, 3);
                assert_eq!(raw.number("SELECT sum(a) FROM t VERSION AS OF 1").await?, 100, "the history goes on");
                &[0, 1, 2]
            }
            _ => {
                assert_eq!(sent.context(mode)?, 3);
                &[0, 1, 2, 100]
            }
        };
        assert_eq!(values(&mut raw, "t").await?, expected, "{mode}");
        assert_eq!(commits(&server)?, before + usize::from(mode != "create"), "{mode}");
        let tables = files_below(&server.data_dir().join("tables"))?;
        until_clean(&server, &tables).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_schema_without_rows_makes_an_empty_table() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    for (mode, table) in [("create", "c"), ("replace", "r"), ("replace", "r"), ("append", "r"), ("create_append", "r")]
    {
        let messages: Vec<FlightData> =
            encoded(&ingest_mode(table, mode), rows([])?.schema(), vec![]).try_collect().await?;
        assert_eq!(messages.len(), 1, "only the schema is sent");
        assert_eq!(count(raw.put(messages).await.context(mode)?)?, 0);
        assert_eq!(values(&mut raw, table).await?, [] as [i64; 0]);
    }
    let nothing = FlightData::new().with_descriptor(descriptor(&ingest_mode("n", "create")));
    assert_eq!(raw.put(vec![nothing]).await.unwrap_err().code(), Code::InvalidArgument);
    Ok(())
}

#[tokio::test]
async fn names_are_honoured_and_what_is_not_offered_says_so() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    raw.update("CREATE SCHEMA sales").await?;
    raw.update("CREATE VIEW v AS SELECT 1 AS a").await?;
    let base = || ingest_mode("Mixed Case", "create");
    let named = |catalog: &str, schema: &str| CommandStatementIngest {
        catalog: Some(catalog.into()),
        schema: Some(schema.into()),
        ..base()
    };
    raw.ingest(&named("lake", "sales"), vec![rows([1])?]).await?;
    assert_eq!(values(&mut raw, "sales.\"Mixed Case\"").await?, [1]);
    for (command, code) in [
        (named("lak", "sales"), Code::NotFound),
        (named("lake", "sale"), Code::NotFound),
        (named("lake", "system"), Code::PermissionDenied),
        (CommandStatementIngest { transaction_id: Some("x".into()), ..base() }, Code::Unimplemented),
        (CommandStatementIngest { options: [("x".into(), "y".into())].into(), ..base() }, Code::InvalidArgument),
        (CommandStatementIngest { table_definition_options: None, ..base() }, Code::InvalidArgument),
        (ingest_mode("v", "append"), Code::InvalidArgument),
        (ingest_mode("v", "replace"), Code::InvalidArgument),
        (ingest_mode("v", "create"), Code::AlreadyExists),
        (ingest_mode("", "create"), Code::InvalidArgument),
    ] {
        let error = raw.ingest(&command, vec![rows([1])?]).await.unwrap_err();
        assert_eq!(error.code(), code, "{command:?}: {}", error.message());
    }
    // The session's schema is where a name without one is.
    raw.headers = vec![("authorization", session(&mut raw).await?)];
    raw.update("USE sales").await?;
    raw.ingest(&ingest_mode("plain", "create"), vec![rows([2])?]).await?;
    assert_eq!(values(&mut raw, "lake.sales.plain").await?, [2]);
    Ok(())
}

/// A bearer token with a session of its own.
async fn session(raw: &mut Raw) -> Outcome<String> {
    let hello = raw.request(futures::stream::iter([arrow_flight::HandshakeRequest::default()]));
    let response = raw.service.handshake(hello).await?;
    Ok(response.metadata().get("authorization").context("no token")?.to_str()?.to_string())
}

#[tokio::test]
async fn columns_are_matched_by_name_or_refused_by_name() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    raw.update("CREATE TABLE p (id INT NOT NULL, name TEXT, price DECIMAL(10,2))").await?;
    let ids = || Arc::new(Int64Array::from(vec![7])) as ArrayRef;
    let words = || Arc::new(StringArray::from(vec!["x"])) as ArrayRef;
    let batch = |columns: Vec<(&str, ArrayRef)>| -> Outcome<RecordBatch> {
        Ok(RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))?)
    };
    raw.ingest(&ingest_mode("p", "append"), vec![batch(vec![("name", words()), ("id", ids())])?]).await?;
    assert_eq!(raw.number("SELECT count(*) FROM p WHERE id = 7 AND name = 'x' AND price IS NULL").await?, 1);
    let null_ids: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
    let large_ids: ArrayRef = Arc::new(Int64Array::from(vec![i64::MAX]));
    for (sent, named) in [
        (batch(vec![("name", words())])?, "column `id` of `main.p` is NOT NULL"),
        (batch(vec![("id", ids()), ("prize", ids())])?, "no column `prize`, the nearest is `price`"),
        (batch(vec![("id", words())])?, "column `id` of `main.p` is INT, found TEXT"),
        (batch(vec![("id", null_ids)])?, "column `id` of `main.p` is NOT NULL, found NULL in 1 of 2 rows"),
        (batch(vec![("id", large_ids)])?, "column `id` of `main.p`"),
    ] {
        let error = raw.ingest(&ingest_mode("p", "append"), vec![sent.clone()]).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{}", error.message());
        assert!(error.message().contains(named), "{}", error.message());
    }
    let other = batch(vec![("id", words())])?;
    let error = raw.ingest(&ingest_mode("p", "create_append"), vec![other]).await.unwrap_err();
    assert_eq!(error.code(), Code::AlreadyExists, "{}", error.message());
    assert_eq!(raw.number("SELECT count(*) FROM p").await?, 1);
    let tables = files_below(&server.data_dir().join("tables"))?;
    until_clean(&server, &tables).await
}

type Half = <Float16Type as ArrowPrimitiveType>::Native;

#[tokio::test]
async fn every_encoding_arrives_as_its_values() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    let words = [Some("one"), None, Some("one")];
    let dictionary: DictionaryArray<Int8Type> = words.into_iter().collect();
    let runs: RunArray<Int32Type> = words.into_iter().collect();
    let nanos = TimestampNanosecondArray::from(vec![1_500, 0, 2_000]).with_timezone("Europe/Vienna");
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("dictionary", Arc::new(dictionary)),
        ("runs", Arc::new(runs)),
        ("view", Arc::new(StringViewArray::from(words.to_vec()))),
        ("large", Arc::new(LargeStringArray::from(words.to_vec()))),
        ("nothing", Arc::new(NullArray::new(3))),
        ("half", Arc::new(Float16Array::from(vec![Half::from_f32(0.5); 3]))),
        ("wide", Arc::new(UInt64Array::from(vec![u64::MAX; 3]))),
        ("narrow", Arc::new(Decimal64Array::from(vec![1234; 3]).with_precision_and_scale(9, 2)?)),
        ("small", Arc::new(Int16Array::from(vec![1, 2, 3]))),
        ("instant", Arc::new(nanos)),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))?;
    let command = ingest_mode("e", "create");
    assert_eq!(count(raw.put(with_dictionaries(&command, &batch).await?).await?)?, 3);
    let types: Vec<(&str, &str)> = vec![
        ("dictionary", "TEXT"),
        ("runs", "TEXT"),
        ("view", "TEXT"),
        ("large", "TEXT"),
        ("nothing", "TEXT"),
        ("half", "REAL"),
        ("wide", "DECIMAL(20,0)"),
        ("narrow", "DECIMAL(9,2)"),
        ("small", "SMALLINT"),
        ("instant", "TIMESTAMP WITH TIME ZONE"),
    ];
    let described = raw.query("DESCRIBE e").await?;
    let text = |column: usize| described.column(column).as_string::<i32>().iter().flatten().collect::<Vec<_>>();
    let found: Vec<(&str, &str)> = text(0).into_iter().zip(text(1)).collect();
    assert_eq!(found, types);
    for condition in ["dictionary", "runs", "view", "large"] {
        let sql = format!("SELECT count(*) FROM e WHERE {condition} = 'one'");
        assert_eq!(raw.number(&sql).await?, 2, "{condition}");
    }
    let sql = "SELECT count(*) FROM e WHERE nothing IS NULL AND half = 0.5 AND wide = 18446744073709551615 \
        AND narrow = 12.34";
    assert_eq!(raw.number(sql).await?, 3);
    let sql = "SELECT count(*) FROM e WHERE instant = TIMESTAMP '1970-01-01T00:00:00.000001Z'";
    assert_eq!(raw.number(sql).await?, 1, "nanoseconds are cut to microseconds");
    raw.ingest(&ingest_mode("e", "create_append"), vec![batch.slice(0, 1)]).await?;
    assert_eq!(raw.number("SELECT count(*) FROM e").await?, 4);
    let time: ArrayRef = Arc::new(arrow::array::Time64MicrosecondArray::from(vec![1]));
    let error = raw.ingest(&ingest_mode("x", "create"), vec![RecordBatch::try_from_iter([("at", time)])?]).await;
    let error = error.unwrap_err();
    assert_eq!(error.code(), Code::Unimplemented);
    assert!(error.message().starts_with("column `at`"), "{}", error.message());
    Ok(())
}

/// A batch as messages in which dictionaries stay dictionaries.
async fn with_dictionaries(command: &CommandStatementIngest, batch: &RecordBatch) -> Outcome<Vec<FlightData>> {
    let encoder = FlightDataEncoderBuilder::new()
        .with_dictionary_handling(DictionaryHandling::Resend)
        .with_flight_descriptor(Some(descriptor(command)))
        .build(futures::stream::iter([Ok(batch.clone())]));
    let messages: Vec<FlightData> = encoder.try_collect().await?;
    ensure(messages.len() > 2, || "the dictionary has a message of its own".into())?;
    Ok(messages)
}

#[tokio::test]
async fn a_message_of_ten_mebibytes_arrives() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    let text = "x".repeat(10 * 1024 * 1024);
    let column: ArrayRef = Arc::new(StringArray::from(vec![text.as_str(), "y"]));
    let batch = RecordBatch::try_from_iter([("s", column)])?;
    assert_eq!(raw.ingest(&ingest_mode("large", "create"), vec![batch]).await?, 2);
    assert_eq!(raw.number("SELECT CAST(max(length(s)) AS BIGINT) FROM large").await?, 10 * 1024 * 1024);
    Ok(())
}

/// Messages of an endless ingestion into `table`.
fn endless(table: &str, mode: &str, batch: RecordBatch) -> impl futures::Stream<Item = FlightData> + Send + 'static {
    let schema = batch.schema();
    let batches = futures::stream::repeat_with(move || Ok(batch.clone()));
    FlightDataEncoderBuilder::new()
        .with_schema(schema)
        .with_flight_descriptor(Some(descriptor(&ingest_mode(table, mode))))
        .build(batches)
        .map(|data| data.unwrap_or_default())
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::with_table(&server).await?;
    raw.update("INSERT INTO t VALUES (1)").await?;
    let before = files_below(&server.data_dir().join("tables"))?;
    for (table, mode) in [("t", "append"), ("t", "replace"), ("n", "create"), ("n", "create_append")] {
        let mut gone = Raw::connect(&server).await?;
        let stream = endless(table, mode, rows(0..100_000)?);
        let sending = tokio::spawn(async move { gone.put_stream(stream).await });
        until_running(&server, 1).await?;
        // Rows are on the disk when the client goes.
        until(|| Ok((!unfinished(&server)?.is_empty()).then_some(()))).await?;
        sending.abort();
        until_clean(&server, &before).await.context(mode)?;
        assert_eq!(values(&mut raw, "t").await?, [1], "{mode}");
        assert_eq!(raw.query("SELECT * FROM n").await.unwrap_err().code(), Code::NotFound, "{mode}");
    }
    Ok(())
}

/// A reset call looks to the server like one whose rows have ended. Many times, because what it must not do is a race.
#[tokio::test]
async fn a_call_that_is_cancelled_after_whole_messages_is_no_ingestion() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::with_table(&server).await?;
    for round in 0..100 {
        let (sender, receiver) = mpsc::channel(16);
        let mut client = raw.clone();
        let call = tokio::spawn(async move { client.put_stream(stream_of(receiver)).await });
        let messages = encoded(&ingest_mode("t", "append"), rows([])?.schema(), vec![rows(0..10)?]);
        for message in messages.try_collect::<Vec<_>>().await? {
            sender.send(message).await?;
        }
        if round % 2 == 0 {
            until_running(&server, 1).await?;
        }
        call.abort();
        // The call goes first, so that its stream has no end.
        assert!(call.await.is_err());
        drop(sender);
    }
    until_running(&server, 0).await?;
    assert_eq!(raw.number("SELECT count(*) FROM t").await?, 0);
    Ok(())
}

#[tokio::test]
async fn an_ingestion_that_is_cancelled_or_late_leaves_nothing() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::with_table(&server).await?;
    let before = files_below(&server.data_dir().join("tables"))?;
    let mut late = raw.clone();
    late.headers = vec![("grpc-timeout", "1500m".into())];
    let error = late.put_stream(endless("t", "append", rows(0..1000)?)).await.unwrap_err();
    assert!([Code::DeadlineExceeded, Code::Cancelled].contains(&error.code()), "{error:?}");
    until_clean(&server, &before).await?;
    assert_eq!(raw.number("SELECT count(*) FROM t").await?, 0);
    Ok(())
}

#[tokio::test]
async fn broken_messages_are_refused_and_leave_nothing() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::with_table(&server).await?;
    let before = files_below(&server.data_dir().join("tables"))?;
    let command = ingest_mode("t", "append");
    let good: Vec<FlightData> =
        encoded(&command, rows([])?.schema(), vec![rows(0..1000)?, rows(0..1000)?]).try_collect().await?;
    let mut cut = good.clone();
    cut[2].data_body = cut[2].data_body.slice(0..100);
    let mut junk = good.clone();
    junk[2].data_header = "no message at all".into();
    let again: Vec<FlightData> = good.iter().cloned().chain([good[0].clone()]).collect();
    for messages in [cut, junk, again] {
        let error = raw.put(messages).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{}", error.message());
    }
    until_clean(&server, &before).await?;
    assert_eq!(raw.number("SELECT count(*) FROM t").await?, 0);
    Ok(())
}

/// The resident memory of the server, in KiB.
fn resident(server: &TestServer) -> Outcome<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// 3 million rows of 232 bytes, 700 MB, which is far more than what the server may grow by.
#[tokio::test]
async fn three_million_rows_take_constant_memory() -> Outcome {
    const BATCHES: usize = 300;
    const ROWS: usize = 10_000;
    const GROWTH_KIB_MAX: u64 = 512 * 1024;
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    raw.ingest(&ingest_mode("warm", "create"), vec![rows(0..1000)?]).await?;
    let before = resident(&server)?;
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..ROWS as i64));
    // Not compressible: hexadecimal digits of a multiplicative generator.
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let texts = (0..ROWS).map(|_| {
        let mut text = String::with_capacity(224);
        for _ in 0..14 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(&format!("{state:016x}"));
        }
        text
    });
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
    let batch = RecordBatch::try_from_iter([("a", numbers), ("s", texts)])?;
    let peak = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let command = ingest_mode("many", "create");
    let messages = encoded(&command, batch.schema(), vec![batch; BATCHES]);
    let (seen, pid_of) = (peak.clone(), server.pid());
    let watched = messages.enumerate().map(move |(index, data)| {
        if index % 10 == 0 {
            let status = std::fs::read_to_string(format!("/proc/{pid_of}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
            let now = line.trim().trim_end_matches(" kB").parse().unwrap_or(u64::MAX);
            seen.fetch_max(now, std::sync::atomic::Ordering::Relaxed);
        }
        data.unwrap_or_default()
    });
    assert_eq!(count(raw.put_stream(watched).await?)?, (BATCHES * ROWS) as i64);
    let peak = peak.load(std::sync::atomic::Ordering::Relaxed);
    println!("resident before {before} KiB, peak {peak} KiB");
    ensure(peak < before + GROWTH_KIB_MAX, || format!("the server grew from {before} KiB to {peak} KiB"))?;
    assert_eq!(raw.number("SELECT count(*) FROM many").await?, (BATCHES * ROWS) as i64);
    assert_eq!(raw.number("SELECT sum(a) FROM many").await?, 300 * (10_000 * 9_999 / 2));
    Ok(())
}

#[tokio::test]
async fn concurrent_ingestions_into_one_table_lose_nothing() -> Outcome {
    const CLIENTS: i64 = 8;
    const EACH: i64 = 5;
    let server = TestServer::start()?;
    let mut raw = Raw::with_table(&server).await?;
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let mut own = Raw::connect(&server).await?;
        clients.push(tokio::spawn(async move {
            for round in 0..EACH {
                let first = (client * EACH + round) * 100;
                own.ingest(&ingest_mode("t", "append"), vec![rows(first..first + 50)?, rows(first + 50..first + 100)?])
                    .await?;
            }
            Ok::<(), limn_tests::Failure>(())
        }));
    }
    for client in clients {
        client.await??;
    }
    let expected: Vec<i64> = (0..CLIENTS * EACH * 100).collect();
    assert_eq!(values(&mut raw, "t").await?, expected);
    Ok(())
}

#[tokio::test]
async fn creating_one_table_from_many_clients_makes_one() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    let mut clients = Vec::new();
    for client in 0..6_i64 {
        let mut own = Raw::connect(&server).await?;
        clients.push(tokio::spawn(async move {
            let batch = rows([client]).map_err(|_| tonic::Status::internal("no rows"))?;
            own.ingest(&ingest_mode("race", "create"), vec![batch]).await
        }));
    }
    let mut won = 0;
    for client in clients {
        match client.await? {
            Ok(rows) => won += rows,
            Err(status) => assert_eq!(status.code(), Code::AlreadyExists, "{status:?}"),
        }
    }
    assert_eq!((won, raw.number("SELECT count(*) FROM race").await?), (1, 1));
    Ok(())
}

#[tokio::test]
async fn partitioned_tables_and_restarts_keep_what_came() -> Outcome {
    let mut server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    raw.update("CREATE TABLE p (site TEXT, a BIGINT) PARTITIONED BY (site)").await?;
    let sites: ArrayRef = Arc::new(StringArray::from(vec![Some("a b/c"), Some("ü"), None, Some("a b/c")]));
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4]));
    let batch = RecordBatch::try_from_iter_with_nullable([("site", sites, true), ("a", numbers, true)])?;
    assert_eq!(raw.ingest(&ingest_mode("p", "append"), vec![batch]).await?, 4);
    server.kill9()?;
    server.restart()?;
    let mut raw = Raw::connect(&server).await?;
    assert_eq!(raw.number("SELECT sum(a) FROM p WHERE site = 'a b/c'").await?, 5);
    assert_eq!(raw.number("SELECT sum(a) FROM p WHERE site IS NULL OR site = 'ü'").await?, 5);
    Ok(())
}

#[tokio::test]
async fn bulk_ingestion_is_announced_when_asked_for() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    let info = raw.info(&arrow_flight::sql::CommandGetSqlInfo { info: vec![10, 11] }).await?;
    let batch = raw.batch(&info).await?;
    let union = batch.column(1).as_union();
    let told: Vec<bool> = (0..2).map(|row| union.value(row).as_boolean().value(0)).collect();
    assert_eq!(told, [true, false]);
    let error = raw.info(&ingest_mode("t", "create")).await.unwrap_err();
    assert_eq!(error.code(), Code::Unimplemented, "an ingestion is no query");
    assert_eq!(raw.query("SELECT 1").await?.num_rows(), 1);
    Ok(())
}
