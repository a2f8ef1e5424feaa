//! Who is let in, and who is not: every way to say who one is, over the wire, against the real binary.
//!
//! Credentials are written as the bytes that clients send; how each was made stands beside it.

use limn_tests::bare::Bare;
use limn_tests::{Context, Outcome, TestServer, ensure, fail};
use tonic::{Code, Status};

/// printf 'ada:correct:horse' | base64
const ADA: &str = "Basic YWRhOmNvcnJlY3Q6aG9yc2U=";
/// printf 'ada:wrong:horse' | base64
const ADA_WRONG: &str = "Basic YWRhOndyb25nOmhvcnNl";
/// printf 'ada:new password' | base64
const ADA_NEW: &str = "Basic YWRhOm5ldyBwYXNzd29yZA==";
/// printf 'bob:correct:horse' | base64
const BOB: &str = "Basic Ym9iOmNvcnJlY3Q6aG9yc2U=";
/// printf 'root:battery staple' | base64
const ROOT: &str = "Basic cm9vdDpiYXR0ZXJ5IHN0YXBsZQ==";

/// A server with the users `root` and `ada`, and a connection without credentials.
async fn with_users() -> Outcome<(TestServer, Bare)> {
    let server = TestServer::start()?;
    let bare = Bare::connect(server.flight_addr()).await?;
    // The first user is created by whoever comes; from then on nobody comes without credentials, not even for an answer.
    bare.clone().update("CREATE USER root PASSWORD 'battery staple'").await?;
    bare.authorized(ROOT).sql("CREATE USER ada PASSWORD 'correct:horse'").await?;
    Ok((server, bare))
}

/// A token of a user: id and secret.
async fn token(bare: &Bare, user: &str) -> Outcome<(String, String)> {
    let rows = bare.authorized(ROOT).sql(&format!("CREATE TOKEN FOR {user}")).await?;
    match rows.as_slice() {
        [row] => Ok((row[0].clone(), row[2].clone())),
        other => Err(fail(format!("expected one row, found {other:?}"))),
    }
}

/// The code and text of what must fail.
#[track_caller]
#[expect(clippy::panic, reason = "an assertion, made where the caller is named")]
fn refusal<T: std::fmt::Debug>(result: Result<T, Status>) -> (Code, String) {
    match result {
        Ok(value) => panic!("expected a refusal, found {value:?}"),
        Err(status) => (status.code(), status.message().to_string()),
    }
}

const REFUSED: &str = "the credentials are not accepted\n\
    hint: check user and password; a token may have expired or been revoked";
const MISSING: &str = "expected credentials, found none\nhint: give a user and a password, or a token";

#[tokio::test]
async fn every_form_of_handshake_is_understood() -> Outcome {
    let (_server, bare) = with_users().await?;
    let (_, api_token) = token(&bare, "ada").await?;
    for header in [ADA, ADA.trim_end_matches('='), &ADA.replace("Basic", "basic"), &format!("Bearer {api_token}")] {
        for messages in [0, 1] {
            let greeting = bare.authorized(header).handshake(messages).await.context(header)?;
            let session = greeting.authorization.strip_prefix("Bearer ").context("no bearer token")?;
            ensure(greeting.payload == session.as_bytes(), || format!("{greeting:?}"))?;
            ensure(session != api_token, || "the API token came back as the session's".into())?;
            let rows = bare.authorized(&greeting.authorization).sql("SELECT 1 + 1").await?;
            ensure(rows == [["2"]], || format!("{rows:?}"))?;
            // A session's token is good for a handshake, too.
            bare.authorized(&greeting.authorization).handshake(messages).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn credentials_may_come_with_each_call() -> Outcome {
    let (_server, bare) = with_users().await?;
    let (_, api_token) = token(&bare, "ada").await?;
    for header in [ADA.to_string(), format!("Bearer {api_token}"), format!("bearer  {api_token}")] {
        for (call, code) in bare.authorized(&header).each_call().await? {
            // What is not offered, and the ticket that is none, are told to who may ask.
            ensure(code != Code::Unauthenticated, || format!("{call} with `{header}` gave {code:?}"))?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn whatever_is_wrong_is_refused_with_one_text_by_every_call() -> Outcome {
    let (_server, bare) = with_users().await?;
    let (_, api_token) = token(&bare, "ada").await?;
    let forged_api = format!("{}0", api_token.chars().take(api_token.len() - 1).collect::<String>());
    let forged_api = if forged_api == api_token { forged_api.replace('0', "1") } else { forged_api };
    for header in [
        ADA_WRONG.to_string(),
        BOB.to_string(),
        "Bearer ".to_string(),
        "Bearer None".to_string(),
        "Bearer limn-0123456789abcdef0123456789abcdef".to_string(),
        format!("Bearer {forged_api}"),
        format!("Bearer limn_local_{}", "0".repeat(64)),
    ] {
        let (code, text) = refusal(bare.authorized(&header).handshake(1).await);
        ensure((code, text.as_str()) == (Code::Unauthenticated, REFUSED), || format!("{header}: {code:?} {text}"))?;
        if header.starts_with("Bearer") {
            for (call, code) in bare.authorized(&header).each_call().await? {
                ensure(code == Code::Unauthenticated, || format!("{call} with `{header}` gave {code:?}"))?;
            }
        }
    }
    let (code, text) = refusal(bare.clone().handshake(0).await);
    ensure((code, text.as_str()) == (Code::Unauthenticated, MISSING), || format!("{code:?} {text}"))?;
    for (call, code) in bare.clone().each_call().await? {
        ensure(code == Code::Unauthenticated, || format!("{call} without credentials gave {code:?}"))?;
    }
    for malformed in ["Basic !", "Basic YWRh", "Digest x", "YWRhOmNvcnJlY3Q6aG9yc2U="] {
        let (code, text) = refusal(bare.authorized(malformed).handshake(1).await);
        ensure(code == Code::Unauthenticated && !text.contains("YWRh"), || format!("{malformed}: {code:?} {text}"))?;
    }
    Ok(())
}

#[tokio::test]
async fn the_first_user_closes_the_server_to_sessions_without_one() -> Outcome {
    let server = TestServer::start()?;
    let bare = Bare::connect(server.flight_addr()).await?;
    let anonymous = bare.clone().handshake(1).await?.authorization;
    let any = bare.authorized("Bearer whatever").sql("SELECT 1").await?;
    ensure(any == [["1"]], || format!("{any:?}"))?;
    bare.authorized(&anonymous).update("CREATE USER root PASSWORD 'battery staple'").await?;
    let (code, _) = refusal(bare.authorized(&anonymous).sql("SELECT 1").await);
    ensure(code == Code::Unauthenticated, || format!("{code:?}"))?;
    // Without the last user it is as it was.
    bare.authorized(ROOT).sql("DROP USER root").await?;
    bare.authorized(&anonymous).sql("SELECT 1").await?;
    Ok(())
}

#[tokio::test]
async fn sessions_end_with_the_password_the_token_and_the_user() -> Outcome {
    let (_server, bare) = with_users().await?;
    let (id, api_token) = token(&bare, "ada").await?;
    let api = format!("Bearer {api_token}");
    let by_password = bare.authorized(ADA).handshake(1).await?.authorization;
    let by_token = bare.authorized(&api).handshake(1).await?.authorization;
    let mut root = bare.authorized(ROOT);

    root.sql("ALTER USER ada PASSWORD 'new password'").await?;
    for gone in [by_password.as_str(), ADA] {
        ensure(refusal(bare.authorized(gone).sql("SELECT 1").await).0 == Code::Unauthenticated, || gone.into())?;
    }
    bare.authorized(ADA_NEW).sql("SELECT 1").await?;
    // A token is not the password's.
    bare.authorized(&by_token).sql("SELECT 1").await?;

    root.sql(&format!("DROP TOKEN {id}")).await?;
    for gone in [by_token.as_str(), api.as_str()] {
        ensure(refusal(bare.authorized(gone).sql("SELECT 1").await).0 == Code::Unauthenticated, || gone.into())?;
    }

    let (_, second) = token(&bare, "ada").await?;
    let session = bare.authorized(ADA_NEW).handshake(1).await?.authorization;
    root.sql("DROP USER ada").await?;
    root.sql("CREATE USER ada PASSWORD 'new password'").await?;
    for gone in [session, format!("Bearer {second}")] {
        ensure(refusal(bare.authorized(&gone).sql("SELECT 1").await).0 == Code::Unauthenticated, || gone.clone())?;
    }
    bare.authorized(ADA_NEW).sql("SELECT 1").await?;
    Ok(())
}

#[tokio::test]
async fn too_many_wrong_passwords_have_to_wait() -> Outcome {
    let (_server, bare) = with_users().await?;
    let (_, api_token) = token(&bare, "ada").await?;
    // Some are wrong, one is right: that is forgiven.
    for _ in 0..9 {
        ensure(refusal(bare.authorized(ADA_WRONG).handshake(1).await).0 == Code::Unauthenticated, || "early".into())?;
    }
    let session = bare.authorized(ADA).handshake(1).await?.authorization;
    bare.authorized(ROOT).sql("ALTER USER ada PASSWORD 'new password'").await?;
    for _ in 0..10 {
        ensure(refusal(bare.authorized(ADA_WRONG).handshake(1).await).0 == Code::Unauthenticated, || "late".into())?;
    }
    // Now the right one waits as well; nothing is checked any more.
    for header in [ADA_WRONG, ADA_NEW] {
        let (code, text) = refusal(bare.authorized(header).handshake(1).await);
        ensure(code == Code::ResourceExhausted, || format!("{code:?} {text}"))?;
        ensure(text.contains("too many wrong passwords") && text.contains("hint: wait "), || text.clone())?;
    }
    // Others, and tokens, are not concerned; what ended with the password stays ended.
    bare.authorized(ROOT).sql("SELECT 1").await?;
    bare.authorized(format!("Bearer {api_token}")).sql("SELECT 1").await?;
    ensure(refusal(bare.authorized(session).sql("SELECT 1").await).0 == Code::Unauthenticated, || "session".into())?;
    // Users who do not exist are counted the same way.
    let codes: Vec<Code> = {
        let mut codes = Vec::new();
        for _ in 0..11 {
            codes.push(refusal(bare.authorized(BOB).handshake(1).await).0);
        }
        codes
    };
    ensure(codes[..10].iter().all(|code| *code == Code::Unauthenticated), || format!("{codes:?}"))?;
    ensure(codes[10] == Code::ResourceExhausted, || format!("{codes:?}"))
}

#[tokio::test]
async fn sessions_are_separate() -> Outcome {
    let (_server, bare) = with_users().await?;
    let mut root = bare.authorized(ROOT);
    root.sql("CREATE SCHEMA sales").await?;
    let first = bare.authorized(ADA).handshake(1).await?.authorization;
    let second = bare.authorized(ADA).handshake(1).await?.authorization;
    bare.authorized(&first).sql("USE sales").await?;
    let schema = async |header: &str| bare.authorized(header).sql("SHOW schema").await;
    ensure(schema(&first).await? == [["schema", "sales"]], || "the session forgot its schema".into())?;
    ensure(schema(&second).await? == [["schema", "main"]], || "the session has another's schema".into())?;
    // A closed session's token is accepted no more; the other one lives.
    bare.authorized(&first).action("CloseSession", Vec::new()).await?;
    ensure(refusal(schema(&first).await).0 == Code::Unauthenticated, || "a closed session lives".into())?;
    schema(&second).await?;
    Ok(())
}

#[tokio::test]
async fn clients_that_share_a_token_share_no_session() -> Outcome {
    let (_server, bare) = with_users().await?;
    bare.authorized(ROOT).sql("CREATE SCHEMA sales").await?;
    let (_, api_token) = token(&bare, "ada").await?;
    let plain = bare.authorized(format!("Bearer {api_token}"));
    let (_, first) = plain.clone().sql_with_cookie("USE sales").await?;
    let (_, second) = plain.clone().sql_with_cookie("USE sales").await?;
    let (first, second) = (first.context("no cookie")?, second.context("no cookie")?);
    ensure(first != second, || first.clone())?;
    let schema = async |cookie: &str| plain.with("cookie", cookie).sql("SHOW schema").await;
    ensure(schema(&first).await? == [["schema", "sales"]], || "the cookie names no session".into())?;
    ensure(plain.clone().sql("SHOW schema").await? == [["schema", "main"]], || "a session without a cookie".into())?;
    // Somebody else with the same cookie has another session.
    let other = bare.authorized(ROOT).with("cookie", first.as_str()).sql("SHOW schema").await?;
    ensure(other == [["schema", "main"]], || format!("{other:?}"))?;

    plain.with("cookie", first.as_str()).action("CloseSession", Vec::new()).await?;
    ensure(schema(&first).await? == [["schema", "main"]], || "a closed session lives".into())?;
    ensure(schema(&second).await? == [["schema", "sales"]], || "closing one session closed another".into())
}

#[tokio::test]
async fn commits_say_who_made_them() -> Outcome {
    let (_server, bare) = with_users().await?;
    let (_, api_token) = token(&bare, "ada").await?;
    let session = bare.authorized(ADA).handshake(1).await?.authorization;
    bare.authorized(ROOT).sql("CREATE TABLE t (a BIGINT)").await?;
    bare.authorized(&session).sql("INSERT INTO t VALUES (1)").await?;
    bare.authorized(format!("Bearer {api_token}")).sql("INSERT INTO t VALUES (2)").await?;
    let history = bare.authorized(ADA).sql("DESCRIBE HISTORY t").await?;
    let names: Vec<&str> = history.iter().map(|row| row[2].as_str()).collect();
    ensure(names == ["ada", "ada", "root"], || format!("{names:?}"))
}

#[tokio::test]
async fn tokens_expire_and_are_listed_without_their_secrets() -> Outcome {
    let (_server, bare) = with_users().await?;
    let mut root = bare.authorized(ROOT);
    let rows = root.sql("CREATE TOKEN 'night job' FOR ada EXPIRES IN 2 HOURS").await?;
    ensure(rows.len() == 1 && rows[0].len() == 4 && rows[0][1] == "ada", || format!("{rows:?}"))?;
    let secret = rows[0][2].clone();
    let listed = root.sql("SHOW TOKENS").await?;
    ensure(listed.len() == 1 && listed[0][..4] == [&rows[0][0], "ada", "night job", "live"], || format!("{listed:?}"))?;
    ensure(!format!("{listed:?}").contains(&secret), || "the secret is listed".into())?;
    let users = root.sql("SHOW USERS").await?;
    let names: Vec<(&str, &str)> = users.iter().map(|row| (row[0].as_str(), row[1].as_str())).collect();
    ensure(names == [("ada", "true"), ("root", "true")], || format!("{users:?}"))?;
    root.sql("CREATE TOKEN FOR ada EXPIRES IN 0 HOURS").await.err().context("a token that never lives")?;
    Ok(())
}

#[tokio::test]
async fn python_clients_say_who_they_are() -> Outcome {
    let Some(python) = limn_tests::python::python()? else { return Ok(()) };
    let server = TestServer::start()?;
    let bare = Bare::connect(server.flight_addr()).await?;
    bare.clone().update("CREATE USER ada PASSWORD 'correct:horse'").await?;
    let rows = bare.authorized(ADA).sql("CREATE TOKEN FOR ada").await?;
    python.script("users.py", [server.flight_url(), rows[0][2].clone()]).map(drop)
}

#[tokio::test]
async fn the_jdbc_driver_says_who_it_is() -> Outcome {
    let java = limn_tests::paths::tests().join("clients/java");
    let Some(driver) = limn_tests::maven::java(&java.join("driver-18.3"))? else { return Ok(()) };
    let server = TestServer::start()?;
    let bare = Bare::connect(server.flight_addr()).await?;
    bare.clone().update("CREATE USER ada PASSWORD 'correct:horse'").await?;
    let rows = bare.authorized(ADA).sql("CREATE TOKEN FOR ada").await?;
    let url = format!("jdbc:arrow-flight-sql://{}?useEncryption=false", server.flight_addr());
    driver.compile(&java.join("jdbc"))?.run("Users", &[], [url.as_str(), rows[0][2].as_str()]).map(drop)
}

#[tokio::test]
async fn no_secret_is_logged_or_stored() -> Outcome {
    let options = limn_tests::server::ServerOptions {
        environment: vec![("LIMN_LOG".into(), "trace".into())],
        ..Default::default()
    };
    let server = TestServer::start_with(options)?;
    let bare = Bare::connect(server.flight_addr()).await?;
    bare.clone().update("CREATE USER root PASSWORD 'battery staple'").await?;
    let mut root = bare.authorized(ROOT);
    root.sql("CREATE USER root PASSWORD 'battery staple' oops").await.err().context("a wrong statement")?;
    root.sql("ALTER USER root PASSWORD 'battery staple'").await?;
    let (_, secret) = token(&bare, "root").await?;
    bare.authorized(format!("Bearer {secret}")).sql("SELECT 1").await?;
    let session = root.handshake(1).await?.authorization;
    bare.authorized(&session).sql("USE system").await?;

    let mut places = vec![("the log".to_string(), server.stderr())];
    for entry in std::fs::read_dir(server.data_dir().join("registry"))? {
        let path = entry?.path();
        places.push((path.display().to_string(), String::from_utf8_lossy(&std::fs::read(&path)?).into_owned()));
    }
    ensure(places[0].1.contains("INFO"), || "the log says nothing".into())?;
    let session = session.trim_start_matches("Bearer ");
    for hidden in ["battery staple", &secret, session, ROOT.trim_start_matches("Basic ")] {
        for (place, text) in &places {
            ensure(!text.contains(hidden), || format!("{place} has `{hidden}`"))?;
        }
    }
    Ok(())
}
