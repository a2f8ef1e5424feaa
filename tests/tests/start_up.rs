//! Starting and ending a server: what must work on an existing directory, and what must be refused with a clear text.

use std::net::TcpListener;
use std::process::Output;
use std::time::Instant;

use limn_tests::server::{ServerOptions, limn_command};
use limn_tests::{Context, Outcome, TestServer, ensure, paths};

/// A start slower than this is a bug even in an unoptimised build on a busy machine; the usual time is printed.
const FIRST_ANSWER_MAX_S: f64 = 10.0;

/// Runs `limn serve` where it must fail, and gives what it wrote.
fn refused(arguments: &[&str]) -> Outcome<String> {
    let Output { status, stderr, .. } = limn_command()?.arg("serve").args(arguments).output()?;
    let text = String::from_utf8_lossy(&stderr).into_owned();
    ensure(!status.success(), || format!("expected the start to be refused, found {status}: {text}"))?;
    println!("{text}");
    Ok(text)
}

fn says(text: &str, parts: &[&str]) -> Outcome {
    let missing: Vec<&&str> = parts.iter().filter(|part| !text.contains(**part)).collect();
    ensure(missing.is_empty(), || format!("expected {missing:?} in:\n{text}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_on_an_existing_directory_answers_soon() -> Outcome {
    let mut server = TestServer::start()?;
    let mut wire = server.connect().await?;
    for i in 0..20 {
        wire.run(&format!("CREATE TABLE t{i} AS SELECT {i} AS n")).await?;
    }
    let status = server.terminate()?;
    ensure(status.success(), || format!("expected SIGTERM to end the server well, found {status}"))?;
    let started = Instant::now();
    server.restart()?;
    let answer = server.connect().await?.value("SELECT n FROM t7").await?;
    let first_answer = started.elapsed();
    println!(
        "start to first answer on an existing directory: {first_answer:?} (ready after {:?})",
        server.ready_after()
    );
    ensure(answer == "7", || format!("expected 7, found {answer}"))?;
    ensure(first_answer.as_secs_f64() < FIRST_ANSWER_MAX_S, || format!("the first answer took {first_answer:?}"))
}

#[test]
fn a_port_in_use_is_named() -> Outcome {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let scratch = tempfile::tempdir()?;
    let data_dir = scratch.path().join("data").to_string_lossy().into_owned();
    for flag in ["--flight-addr", "--http-addr"] {
        let other = if flag == "--flight-addr" { "--http-addr" } else { "--flight-addr" };
        let text = refused(&["--data-dir", &data_dir, flag, &address, other, "127.0.0.1:0"])?;
        says(&text, &[&address, "in use"])?;
    }
    Ok(())
}

#[test]
fn a_directory_that_a_live_server_holds_is_refused() -> Outcome {
    let mut server = TestServer::start()?;
    let data_dir = server.data_dir().to_string_lossy().into_owned();
    let free = ["--flight-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0"];
    let text = refused(&[&["--data-dir", &data_dir], free.as_slice()].concat())?;
    says(&text, &[&data_dir, "held"])?;
    // A server that died holds nothing.
    server.kill9()?;
    let options = ServerOptions { data_dir: Some(server.data_dir()), ..ServerOptions::default() };
    TestServer::start_with(options).map(drop)
}

#[test]
fn a_directory_of_a_newer_limn_is_refused() -> Outcome {
    let mut server = TestServer::start()?;
    server.terminate()?;
    let format = server.data_dir().join("FORMAT");
    let written = std::fs::read_to_string(&format).context(format!("reading `{}`", format.display()))?;
    let digits: String = written.chars().filter(char::is_ascii_digit).collect();
    std::fs::write(&format, written.replace(&digits, "999"))?;
    let data_dir = server.data_dir().to_string_lossy().into_owned();
    let text = refused(&["--data-dir", &data_dir, "--flight-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0"])?;
    says(&text, &["999", "newer"])?;
    // It was not touched: with its own version back it opens.
    std::fs::write(&format, written)?;
    server.restart()
}

#[test]
fn wrong_flags_name_the_right_ones() -> Outcome {
    let output = limn_command()?.args(["serve", "--dat-dir", "x"]).output()?;
    says(&String::from_utf8_lossy(&output.stderr), &["--data-dir"])?;
    ensure(!output.status.success(), || "expected a failure".into())?;
    let help = limn_command()?.arg("--help").output()?;
    says(&String::from_utf8_lossy(&help.stdout), &["serve", "demo", "sql"])?;
    ensure(paths::limn()?.is_file(), || "expected the binary".into())
}
