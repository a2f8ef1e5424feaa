//! Who asks: handshakes in every form that clients send, and the session that a request belongs to.
//!
//! Each test is a trap that some client falls into where a server does the obvious thing. It knows nothing of SQL.

use arrow_flight::{Action, HandshakeRequest};
use limn_tests::raw::{Raw, descriptor, statement};
use limn_tests::{Context, Outcome, TestServer, ensure};
use tonic::Code;
use tonic::metadata::MetadataMap;

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
