//! The binary as people and supervisors use it: `limn sql` in its formats, `limn serve` and what it refuses.
//!
//! Exit status, standard output and standard error are all part of the promise.

use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Output, Stdio};

use limn_tests::server::limn_command;
use limn_tests::{Context, Outcome, TestServer};

/// Runs `limn` with these arguments and this standard input.
fn limn(arguments: &[&str], input: &str) -> Outcome<Output> {
    let mut child = limn_command()?
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting `limn`")?;
    child.stdin.take().context("no standard input")?.write_all(input.as_bytes())?;
    Ok(child.wait_with_output()?)
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs SQL against a server; the standard output of a success.
fn sql(server: &TestServer, arguments: &[&str], input: &str) -> Outcome<String> {
    let url = server.flight_url();
    let output = limn(&[&["sql", "--url", &url], arguments].concat(), input)?;
    assert!(output.status.success(), "{}", stderr(&output));
    Ok(stdout(&output))
}

#[test]
fn results_come_in_four_formats() -> Outcome {
    let server = TestServer::start()?;
    let query = "SELECT 1 AS n, 'a,b' AS s UNION ALL SELECT NULL, 'é' ORDER BY s";
    let table = sql(&server, &["-c", query], "")?;
    assert_eq!(
        table,
        "+------+-----+\n|    n | s   |\n+------+-----+\n|    1 | a,b |\n| NULL | é   |\n+------+-----+\n"
    );
    assert_eq!(sql(&server, &["-c", query, "--format", "csv"], "")?, "n,s\n1,\"a,b\"\n,é\n");
    let json = sql(&server, &["-c", query, "--format", "json"], "")?;
    assert_eq!(json, "{\"n\":1,\"s\":\"a,b\"}\n{\"n\":null,\"s\":\"é\"}\n");
    let output = limn(&["sql", "--url", &server.flight_url(), "-c", query, "--format", "arrow"], "")?;
    let batches: Vec<_> = arrow::ipc::reader::StreamReader::try_new(output.stdout.as_slice(), None)?
        .collect::<Result<_, _>>()
        .context("reading the Arrow stream")?;
    assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 2);
    Ok(())
}

#[test]
fn scripts_come_from_the_command_line_a_file_or_standard_input() -> Outcome {
    let server = TestServer::start()?;
    let script = "CREATE TABLE t (a BIGINT, s TEXT); -- ; not here\nINSERT INTO t VALUES (1, ';'), (2, 'x');\n\
        SELECT count(*) AS n FROM t";
    let file = server.scratch().join("script.sql");
    std::fs::write(&file, script)?;
    let file = file.to_str().context("a path that is not text")?;
    assert_eq!(sql(&server, &["--format", "csv", "-f", file], "")?, "n\n2\n");
    assert_eq!(
        sql(&server, &["--format", "csv"], "INSERT INTO t VALUES (3, 'y'); SELECT sum(a) AS n FROM t;")?,
        "n\n6\n"
    );
    assert_eq!(sql(&server, &["-c", "INSERT INTO t VALUES (4, 'z')"], "")?, "ok, 1 row\n");
    Ok(())
}

#[test]
fn the_session_lasts_from_statement_to_statement() -> Outcome {
    let server = TestServer::start()?;
    let script =
        "CREATE SCHEMA sales; USE sales; CREATE TABLE t AS SELECT 7 AS a; SELECT a FROM sales.t; SELECT a FROM t";
    assert_eq!(sql(&server, &["--format", "csv", "-c", script], "")?, "a\n7\na\n7\n");
    Ok(())
}

#[test]
fn a_failing_statement_stops_the_script() -> Outcome {
    let server = TestServer::start()?;
    let url = server.flight_url();
    let script = "CREATE TABLE customers (a BIGINT); SELECT * FROM customer; CREATE TABLE later (a BIGINT)";
    let output = limn(&["sql", "--url", &url, "-c", script], "")?;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout(&output), "ok\n");
    let said = stderr(&output);
    assert!(said.starts_with("error: unknown table `main.customer`, the nearest is `main.customers`"), "{said}");
    let output = limn(&["sql", "--url", &url, "-c", "SELECT * FROM later"], "")?;
    assert_eq!(output.status.code(), Some(1), "what comes after the failure does not run");
    Ok(())
}

#[test]
fn without_a_url_it_joins_the_live_server_of_the_directory() -> Outcome {
    let server = TestServer::start()?;
    let data_dir = server.data_dir();
    let data_dir = data_dir.to_str().context("a path that is not text")?;
    let output = limn(&["sql", "--data-dir", data_dir, "-c", "CREATE TABLE joined AS SELECT 1 AS a"], "")?;
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(sql(&server, &["--format", "csv", "-c", "SELECT a FROM joined"], "")?, "a\n1\n");
    Ok(())
}

#[test]
fn without_a_server_it_starts_one_and_leaves_the_directory_free() -> Outcome {
    let scratch = tempfile::tempdir()?;
    let data_dir = scratch.path().join("lake");
    let data_dir = data_dir.to_str().context("a path that is not text")?;
    for (script, expected) in [("CREATE TABLE t AS SELECT 5 AS a", ""), ("SELECT a FROM t", "a\n5\n")] {
        let output = limn(&["sql", "--data-dir", data_dir, "--format", "csv", "-c", script], "")?;
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(stdout(&output), expected);
    }
    Ok(())
}

/// Runs `limn serve` that must fail; its exit status and standard error.
fn refused(data_dir: &Path, arguments: &[&str]) -> Outcome<(Option<i32>, String)> {
    let data_dir = data_dir.to_str().context("a path that is not text")?;
    let free = ["serve", "--flight-addr", "127.0.0.1:0", "--data-dir", data_dir];
    let output = limn(&[&free, arguments].concat(), "")?;
    Ok((output.status.code(), stderr(&output)))
}

#[test]
fn a_port_in_use_is_named_and_nothing_is_touched() -> Outcome {
    let scratch = tempfile::tempdir()?;
    let data_dir = scratch.path().join("lake");
    let holder = TcpListener::bind("127.0.0.1:0")?;
    let taken = holder.local_addr()?.to_string();
    let (status, said) = refused(&data_dir, &["--http-addr", &taken])?;
    assert_eq!(status, Some(69));
    assert!(said.starts_with(&format!("error: cannot serve HTTP on `{taken}`: the port is in use\nhint: ")), "{said}");
    assert!(!data_dir.exists());
    Ok(())
}

#[test]
fn a_held_directory_is_refused_and_its_holder_named() -> Outcome {
    let server = TestServer::start()?;
    let (status, said) = refused(&server.data_dir(), &["--http-addr", "127.0.0.1:0"])?;
    assert_eq!(status, Some(69), "{said}");
    assert!(said.contains(server.flight_addr()), "the holder's address helps to find it: {said}");
    Ok(())
}

#[test]
fn other_machines_and_bad_settings_are_refused() -> Outcome {
    let scratch = tempfile::tempdir()?;
    let data_dir = scratch.path().join("lake");
    let (status, said) = refused(&data_dir, &["--http-addr", "0.0.0.0:0"])?;
    assert_eq!(status, Some(2));
    assert!(said.contains("reachable from other machines") && said.contains("--insecure"), "{said}");

    let file = scratch.path().join("limn.toml");
    std::fs::write(&file, "flight_adr = '127.0.0.1:0'\n")?;
    let file = file.to_str().context("a path that is not text")?;
    let (status, said) = refused(&data_dir, &["--config", file])?;
    assert_eq!(status, Some(2));
    assert!(said.contains("unknown key `flight_adr`, the nearest is `flight_addr`"), "{said}");
    assert!(!data_dir.exists());
    Ok(())
}

#[test]
fn sigterm_drains_and_frees_the_directory() -> Outcome {
    let mut server = TestServer::start()?;
    sql(&server, &["-c", "CREATE TABLE t AS SELECT 1 AS a"], "")?;
    assert!(server.terminate()?.success());
    server.restart()?;
    assert_eq!(sql(&server, &["--format", "csv", "-c", "SELECT a FROM t"], "")?, "a\n1\n");
    Ok(())
}

#[test]
fn a_server_that_is_not_there_is_named() -> Outcome {
    let output = limn(&["sql", "--url", "grpc://127.0.0.1:1", "-c", "SELECT 1"], "")?;
    assert_eq!(output.status.code(), Some(69));
    assert!(stderr(&output).starts_with("error: cannot reach the server at `grpc://127.0.0.1:1`: "));
    Ok(())
}
