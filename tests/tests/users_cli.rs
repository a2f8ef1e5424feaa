//! `limn user` and `limn token`: with a server that runs, with one that has to be started, and from afar.
//!
//! Exit status, standard output and standard error are all part of the promise.

use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

use limn_tests::bare::Bare;
use limn_tests::server::{ServerOptions, limn_command};
use limn_tests::{Context, Outcome, TestServer, ensure};
use tonic::Code;

/// Runs `limn` with these arguments and this standard input.
fn limn(arguments: &[&str], input: &str) -> Outcome<Output> {
    let mut child = limn_command()?
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting `limn`")?;
    // Whoever wants no input may have ended before it comes.
    let _ = child.stdin.take().context("no standard input")?.write_all(input.as_bytes());
    Ok(child.wait_with_output()?)
}

/// Standard output of a success.
fn done(arguments: &[&str], input: &str) -> Outcome<String> {
    let output = limn(arguments, input)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure(output.status.success(), || format!("{arguments:?}: {} {said}", output.status))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Exit status and standard error of a failure.
fn failed(arguments: &[&str], input: &str) -> Outcome<(Option<i32>, String)> {
    let output = limn(arguments, input)?;
    ensure(!output.status.success(), || format!("{arguments:?} succeeded"))?;
    Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

fn text(path: &Path) -> Outcome<&str> {
    path.to_str().context("a path that is not text")
}

#[tokio::test]
async fn the_first_user_is_added_before_a_server_ever_ran() -> Outcome {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    let at = ["--data-dir", text(&data)?];
    done(&[&["user", "add", "Ada", "--password-stdin"], &at[..]].concat(), "correct:horse\n")?;
    let secret =
        done(&[&["token", "create", "--user", "Ada", "--name", "it's", "--expires", "2d"], &at[..]].concat(), "")?;
    let secret = secret.trim_end();
    ensure(secret.starts_with("limn_") && !secret.contains(char::is_whitespace), || secret.into())?;
    let users = done(&[&["user", "list"], &at[..]].concat(), "")?;
    ensure(users.contains("Ada") && users.contains("true"), || users.clone())?;

    let server = TestServer::start_with(ServerOptions { data_dir: Some(data.clone()), ..Default::default() })?;
    let bare = Bare::connect(server.flight_addr()).await?;
    bare.authorized(format!("Bearer {secret}")).sql("SELECT 1").await?;
    // printf 'Ada:correct:horse' | base64
    bare.authorized("Basic QWRhOmNvcnJlY3Q6aG9yc2U=").sql("SELECT 1").await?;
    let status = bare.clone().sql("SELECT 1").await.err().context("nobody was let in")?;
    ensure(status.code() == Code::Unauthenticated, || format!("{status:?}"))
}

#[tokio::test]
async fn a_running_server_is_asked_without_a_password() -> Outcome {
    let server = TestServer::start()?;
    let data = server.data_dir();
    let at = ["--data-dir", text(&data)?];
    done(&[&["user", "add", "ada", "--password-stdin"], &at[..]].concat(), "correct:horse\n")?;
    done(&[&["user", "add", "robot", "--no-password"], &at[..]].concat(), "")?;
    let secret = done(&[&["token", "create", "--for", "robot"], &at[..]].concat(), "")?;
    let bare = Bare::connect(server.flight_addr()).await?;
    let robot = bare.authorized(format!("Bearer {}", secret.trim_end()));
    robot.clone().sql("SELECT 1").await?;
    // `limn sql` of the directory's owner gets in as well, and as whom is recorded.
    done(&[&["sql", "-c", "CREATE TABLE t AS SELECT 1 AS a"], &at[..]].concat(), "")?;
    let history = robot.clone().sql("DESCRIBE HISTORY t").await?;
    ensure(history.iter().all(|row| row[2] == "local"), || format!("{history:?}"))?;

    let tokens = done(&[&["token", "list"], &at[..]].concat(), "")?;
    let id = tokens.split_whitespace().find(|word| word.starts_with("tk")).context("no token is listed")?;
    ensure(!tokens.contains(secret.trim_end()), || "the secret is listed".into())?;
    done(&[&["token", "revoke", id], &at[..]].concat(), "")?;
    ensure(robot.clone().sql("SELECT 1").await.is_err(), || "a revoked token is accepted".into())?;
    ensure(done(&[&["token", "list"], &at[..]].concat(), "")?.contains("revoked"), || "not listed as revoked".into())?;

    done(&[&["user", "password", "ada", "--password-stdin"], &at[..]].concat(), "new password\n")?;
    // printf 'ada:new password' | base64
    bare.authorized("Basic YWRhOm5ldyBwYXNzd29yZA==").sql("SELECT 1").await?;
    done(&[&["user", "remove", "ada"], &at[..]].concat(), "")?;
    let (code, said) = failed(&[&["user", "remove", "ada"], &at[..]].concat(), "")?;
    ensure(code == Some(66) && said.starts_with("error: unknown user `ada`"), || format!("{code:?} {said}"))
}

#[test]
fn from_afar_a_url_says_who_asks() -> Outcome {
    let server = TestServer::start()?;
    let data = server.data_dir();
    done(&["user", "add", "ada", "--password-stdin", "--data-dir", text(&data)?], "correct:horse\n")?;
    let url = format!("grpc://ada:correct%3Ahorse@{}", server.flight_addr());
    let listed = done(&["user", "list", "--url", &url], "")?;
    ensure(listed.contains("ada"), || listed.clone())?;
    let wrong = format!("grpc://ada:wrong-horse@{}", server.flight_addr());
    let (code, said) = failed(&["user", "list", "--url", &wrong], "")?;
    ensure(code == Some(77) && said.contains("the credentials are not accepted"), || format!("{code:?} {said}"))?;
    ensure(!said.contains("wrong-horse"), || said.clone())?;
    let (code, said) = failed(&["sql", "--url", &server.flight_url(), "-c", "SELECT 1"], "")?;
    ensure(code == Some(77) && said.contains("expected credentials"), || format!("{code:?} {said}"))
}

#[test]
fn bad_passwords_are_refused_and_not_repeated() -> Outcome {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    let at = ["--data-dir", text(&data)?];
    for input in ["", "\n", "short\n"] {
        let (code, said) = failed(&[&["user", "add", "ada", "--password-stdin"], &at[..]].concat(), input)?;
        ensure(code == Some(2) && said.contains("expected a password"), || format!("{code:?} {said}"))?;
        ensure(input.trim().is_empty() || !said.contains(input.trim()), || said.clone())?;
    }
    // There is no terminal to ask on.
    let (code, said) = failed(&[&["user", "add", "ada"], &at[..]].concat(), "correct:horse\n")?;
    ensure(code == Some(2) && said.contains("--password-stdin"), || format!("{code:?} {said}"))?;
    let (code, said) = failed(&[&["token", "create", "--for", "ada", "--expires", "soon"], &at[..]].concat(), "")?;
    ensure(code == Some(2) && said.contains("`12h` or `90d`"), || format!("{code:?} {said}"))
}
