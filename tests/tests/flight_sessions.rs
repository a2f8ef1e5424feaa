//! Who asks: handshakes in every form that clients send, and the session that a request belongs to.
//!
//! Each test is a trap that some client falls into where a server does the obvious thing. It knows nothing of SQL.

use std::collections::HashMap;

use arrow_flight::{Action, HandshakeRequest};
use futures::StreamExt;
use limn_tests::raw::{Raw, descriptor, statement, unfinished, until};
use limn_tests::server::ServerOptions;
use limn_tests::{Context, Outcome, TestServer, ensure};
use prost::Message;
use tonic::Code;
use tonic::metadata::MetadataMap;

/// A query that sends rows for longer than any test waits.
const ENDLESS: &str = "SELECT a.value AS x FROM generate_series(1, 10000000) AS a \
    CROSS JOIN generate_series(1, 10000000) AS b";

#[tokio::test]
async fn a_handshake_takes_every_form_that_clients_send() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    // base64 of `ada:x` and of `ada:a:b`, padded and not.
    let headers = ["Basic YWRhOng=", "Basic YWRhOng", "Basic YWRhOmE6Yg==", "Basic YWRhOmE6Yg", "Bearer company-token"];
    let mut tokens = Vec::new();
    for header in headers {
        for hellos in [0, 1] {
            raw.headers = vec![("authorization", header.into())];
            let request = raw.request(futures::stream::iter(vec![HandshakeRequest::default(); hellos]));
            let response = raw.service.handshake(request).await.context(header)?;
            let token = response.metadata().get("authorization").context("no token")?.to_str()?.to_string();
            ensure(token.starts_with("Bearer "), || format!("expected a bearer, found `{token}`"))?;
            tokens.push(token);
        }
    }
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), headers.len() * 2, "each handshake has a token of its own");
    raw.headers = vec![("authorization", "Basic !".into())];
    let request = raw.request(futures::stream::iter([HandshakeRequest::default()]));
    assert_eq!(raw.service.handshake(request).await.unwrap_err().code(), Code::Unauthenticated);
    Ok(())
}

async fn current_schema(raw: &mut Raw) -> Outcome<String> {
    let bodies = raw.action("GetSessionOptions", Vec::new()).await?;
    let text = String::from_utf8_lossy(&bodies[0]).into_owned();
    Ok(if text.contains("sales") { "sales".into() } else { "main".into() })
}

async fn use_sales(raw: &mut Raw) -> Outcome<MetadataMap> {
    let request = raw.request(descriptor(&statement("USE sales")));
    Ok(raw.service.get_flight_info(request).await?.metadata().clone())
}

#[tokio::test]
async fn a_session_is_kept_by_bearer_or_by_cookie_and_by_nothing_else() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    raw.update("CREATE SCHEMA sales").await?;
    let metadata = use_sales(&mut raw).await?;
    assert_eq!(current_schema(&mut raw).await?, "main", "a client that names no session has a new one each time");

    let cookie = metadata.get("set-cookie").context("no cookie")?.to_str()?.to_string();
    let pair = cookie.split(';').next().context("an empty cookie")?.to_string();
    let (name, value) = pair.split_once('=').context("no value in the cookie")?;
    // The form that Java's client gives back to cookies with attributes.
    for header in [pair.clone(), format!("$Version=\"1\"; {name}=\"{value}\";$Path=\"/\"")] {
        raw.headers = vec![("cookie", header)];
        assert_eq!(current_schema(&mut raw).await?, "sales");
    }
    let bearer = metadata.get("authorization").context("no bearer")?.to_str()?.to_string();
    raw.headers = vec![("authorization", bearer)];
    assert_eq!(current_schema(&mut raw).await?, "sales");
    raw.action("CloseSession", Vec::new()).await?;
    assert_eq!(current_schema(&mut raw).await?, "main");
    Ok(())
}

#[tokio::test]
async fn session_options_set_the_schema_and_name_what_is_unknown() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    raw.update("CREATE SCHEMA sales").await?;
    // { 1: { key(1): "schema", value(2): { string_value(1): NAME } } }
    let set = |name: &str| {
        let length = name.len() as u8;
        let mut body = vec![0x0A, 12 + length, 0x0A, 6];
        body.extend(b"schema");
        body.extend([0x12, 2 + length, 0x0A, length]);
        body.extend(name.as_bytes());
        body
    };
    let request = raw.request(Action::new("SetSessionOptions", set("sales")));
    let response = raw.service.do_action(request).await?;
    let bearer = response.metadata().get("authorization").context("no bearer")?.to_str()?.to_string();
    raw.headers = vec![("authorization", bearer)];
    assert_eq!(current_schema(&mut raw).await?, "sales");
    let error = raw.action("SetSessionOptions", set("sale")).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::NotFound, "unknown schema `sale`, the nearest is `sales`"));
    Ok(())
}

/// The session messages of Flight.proto, as far as these tests say them.
#[derive(Clone, PartialEq, Message)]
struct SetSessionOptions {
    #[prost(map = "string, message", tag = "1")]
    options: HashMap<String, OptionValue>,
}

#[derive(Clone, PartialEq, Message)]
struct OptionValue {
    #[prost(string, optional, tag = "1")]
    text: Option<String>,
    #[prost(bool, optional, tag = "2")]
    boolean: Option<bool>,
    #[prost(sfixed64, optional, tag = "3")]
    integer: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct SetSessionOptionsResult {
    /// 1 is a name that is not known, 2 a value that does not fit.
    #[prost(map = "string, message", tag = "1")]
    errors: HashMap<String, OptionFailure>,
}

#[derive(Clone, PartialEq, Message)]
struct OptionFailure {
    #[prost(int32, tag = "1")]
    value: i32,
}

fn text(value: &str) -> OptionValue {
    OptionValue { text: Some(value.into()), ..Default::default() }
}

/// Sets one option; what is wrong with it, by the protocol's number.
async fn set(raw: &mut Raw, name: &str, value: OptionValue) -> Outcome<Option<i32>> {
    let request = SetSessionOptions { options: [(name.to_string(), value)].into() };
    let bodies = raw.action("SetSessionOptions", request.encode_to_vec()).await?;
    let result = SetSessionOptionsResult::decode(bodies[0].clone())?;
    ensure(result.errors.keys().all(|failed| failed == name), || format!("{result:?}"))?;
    Ok(result.errors.get(name).map(|failure| failure.value))
}

/// The options of the session.
async fn options(raw: &mut Raw) -> Outcome<HashMap<String, String>> {
    let bodies = raw.action("GetSessionOptions", Vec::new()).await?;
    let told = SetSessionOptions::decode(bodies[0].clone())?.options;
    Ok(told.into_iter().map(|(name, value)| (name, value.text.unwrap_or_default())).collect())
}

/// A connection with a session of its own.
async fn in_session(server: &TestServer) -> Outcome<Raw> {
    let mut raw = Raw::connect(server).await?;
    let request = raw.request(futures::stream::iter([HandshakeRequest::default()]));
    let response = raw.service.handshake(request).await?;
    let token = response.metadata().get("authorization").context("no token")?.to_str()?.to_string();
    raw.headers = vec![("authorization", token)];
    Ok(raw)
}

#[tokio::test]
async fn options_of_every_type_are_set_unset_and_refused_by_name() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = in_session(&server).await?;
    let start: HashMap<String, String> =
        [("catalog", "lake"), ("schema", "main")].map(|(name, value)| (name.into(), value.into())).into();
    assert_eq!(options(&mut raw).await?, start);

    let integer = OptionValue { integer: Some(30_000), ..Default::default() };
    assert_eq!(set(&mut raw, "statement_timeout", integer).await?, None);
    assert_eq!(options(&mut raw).await?["statement_timeout"], "30000");
    assert_eq!(set(&mut raw, "statement_timeout", text("5min")).await?, None);
    assert_eq!(set(&mut raw, "wire_types", text("native")).await?, None);
    assert_eq!(set(&mut raw, "schema", text("system")).await?, None);
    let told = options(&mut raw).await?;
    assert_eq!((told["statement_timeout"].as_str(), told["schema"].as_str()), ("5min", "system"));
    assert_eq!(told["wire_types"], "native");

    let boolean = OptionValue { boolean: Some(true), ..Default::default() };
    assert_eq!(set(&mut raw, "statement_timeout", boolean).await?, Some(2), "no duration");
    assert_eq!(set(&mut raw, "statement_timeout", text("soon")).await?, Some(2));
    for unknown in ["nothing", "", "x' = 1; DROP TABLE t", "\"", "STATEMENT_TIMEOUT2"] {
        assert_eq!(set(&mut raw, unknown, text("1")).await?, Some(1), "{unknown}");
    }
    for (name, value) in [("catalog", "nowhere"), ("schema", "nowhere")] {
        let request = SetSessionOptions { options: [(name.to_string(), text(value))].into() };
        let error = raw.action("SetSessionOptions", request.encode_to_vec()).await.unwrap_err();
        assert_eq!(error.code(), Code::NotFound, "{name}");
    }
    assert_eq!(options(&mut raw).await?, told, "what is refused changes nothing");

    // Neither a value nor an empty one: as it was in the beginning.
    for unset in [OptionValue::default(), text("")] {
        for name in ["statement_timeout", "wire_types", "schema", "catalog"] {
            assert_eq!(set(&mut raw, name, unset.clone()).await?, None, "{name}");
        }
        assert_eq!(options(&mut raw).await?, start);
        assert_eq!(set(&mut raw, "schema", text("system")).await?, None);
    }
    let error = raw.action("SetSessionOptions", b"\xFF\xFF".to_vec()).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    Ok(())
}

#[tokio::test]
async fn asking_for_the_options_makes_no_session() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    for _ in 0..20 {
        let request = raw.request(Action::new("GetSessionOptions", Vec::new()));
        let response = raw.service.do_action(request).await?;
        for header in ["authorization", "set-cookie"] {
            assert!(response.metadata().get(header).is_none(), "a session was made to ask for it");
        }
    }
    raw.query("SELECT 1").await?;
    // The one that runs the question is shown while it does.
    assert_eq!(raw.number("SELECT count(*) FROM system.sessions").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_session_that_nobody_uses_goes_with_all_that_it_has() -> Outcome {
    let arguments = ["--limit", "session_idle=3s", "--limit", "prepared_statement_idle=3s"].map(String::from).to_vec();
    let server = TestServer::start_with(ServerOptions { arguments, ..ServerOptions::default() })?;
    let left = || unfinished(&server).map(|files| files.len());
    let mut busy = in_session(&server).await?;
    busy.update("CREATE TEMPORARY TABLE kept AS SELECT 1 AS a").await?;
    assert_eq!(left()?, 1, "a temporary table lies below `tmp/`");
    // A result that is read slowly keeps its session, however long it takes.
    let info = busy.info(&statement(ENDLESS)).await?;
    let ticket = busy.request(info.endpoint[0].ticket.clone().context("no ticket")?);
    let mut rows = busy.service.do_get(ticket).await?.into_inner();
    rows.next().await.context("no schema")??;

    // These clients never close anything, and never come back.
    for _ in 0..3 {
        let mut gone = in_session(&server).await?;
        gone.update("CREATE TEMPORARY TABLE left_behind AS SELECT 1 AS a").await?;
        gone.update("SET statement_timeout = '77s'").await?;
        gone.prepare("SELECT a FROM left_behind").await?;
        assert_eq!(gone.number("SELECT a FROM left_behind").await?, 1);
    }
    until(|| Ok((left()? == 1).then_some(()))).await.context("what idle sessions had is still there")?;
    let mut watcher = Raw::connect(&server).await?;
    let idle = "SELECT count(*) FROM system.sessions WHERE settings LIKE '%77s%'";
    assert_eq!(watcher.number(idle).await?, 0);
    assert_eq!(busy.number("SELECT a FROM kept").await?, 1, "the session in which something runs is there");
    drop(rows);
    until(|| Ok((left()? == 0).then_some(()))).await.context("it goes when it is idle too")
}
