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
fn commands_work_in_scripts_too() -> Outcome {
    let server = TestServer::start()?;
    let script =
        "CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1);\n\\f csv\n\\d t\nSELECT a FROM t;\n\\q\nSELECT no;";
    let expected = "ok\nok, 1 row\ncolumn_name,data_type,is_nullable\na,BIGINT,YES\na\n1\n";
    assert_eq!(sql(&server, &["-c", script], "")?, expected);
    let file = server.scratch().join("out.json");
    let file = file.to_str().context("a path that is not text")?;
    let script = format!("\\o {file}\nSELECT 2 AS b;\n\\o\nSELECT 3 AS c;");
    assert_eq!(sql(&server, &["--format", "json"], &script)?, "{\"c\":3}\n");
    assert_eq!(std::fs::read_to_string(file)?, "{\"b\":2}\n");
    let vertical = sql(&server, &["--format", "vertical", "-c", "SELECT 1 AS a, NULL AS b"], "")?;
    assert_eq!(vertical.lines().skip(1).collect::<Vec<_>>(), ["a | 1", "b | NULL"]);
    let output = limn(&["sql", "--url", &server.flight_url(), "-c", "\\nope"], "")?;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output), "error: unknown command `\\nope`\nhint: type \\? for help\n");
    Ok(())
}

#[test]
fn several_commands_share_a_session_and_stop_at_a_failure() -> Outcome {
    let server = TestServer::start()?;
    let create = ["-c", "CREATE SCHEMA s; USE s", "-c", "CREATE TABLE t AS SELECT 4 AS a", "-c", "SELECT a FROM s.t"];
    assert_eq!(sql(&server, &[&["--format", "csv"], create.as_slice()].concat(), "")?, "a\n4\n");
    let url = server.flight_url();
    let output = limn(&["sql", "--url", &url, "-c", "SELECT no", "-c", "CREATE TABLE later AS SELECT 1 AS a"], "")?;
    assert_eq!(output.status.code(), Some(1));
    let output = limn(&["sql", "--url", &url, "-c", "SELECT * FROM later"], "")?;
    assert_eq!(output.status.code(), Some(1));
    Ok(())
}

#[test]
fn connections_that_cannot_be_say_why() -> Outcome {
    let server = TestServer::start()?;
    let url = server.flight_url();
    let refused = |arguments: &[&str]| -> Outcome<(Option<i32>, String)> {
        let output = limn(&[&["sql", "-c", "SELECT 1"], arguments].concat(), "")?;
        Ok((output.status.code(), stderr(&output)))
    };
    for (arguments, status, expected) in [
        (
            vec!["--url", "ftp://ada:hunter2@x"],
            Some(2),
            "expected a URL like `grpc://localhost:50051`, found `ftp://***`",
        ),
        (vec!["--url", &url, "--user", "ada"], Some(2), "expected a password for the user"),
        (vec!["--url", &url, "--ca-file", "/nonexistent/ca.pem"], Some(66), "cannot read `/nonexistent/ca.pem`"),
        (vec!["--url", &url, "--token", "a", "--user", "b"], Some(2), "expected a user with a password or a token"),
    ] {
        let (found, said) = refused(&arguments)?;
        assert!(said.starts_with(&format!("error: {expected}")), "{arguments:?}: {said}");
        assert_eq!(found, status, "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    // A server without TLS hangs up on a client that begins with it.
    let (status, said) = refused(&["--url", &url.replace("grpc://", "grpc+tls://")])?;
    assert_eq!(status, Some(69), "{said}");
    Ok(())
}

#[test]
fn who_closes_the_pipe_gets_no_complaint() -> Outcome {
    let server = TestServer::start()?;
    let mut child = limn_command()?
        .args(["sql", "--url", &server.flight_url(), "--format", "csv"])
        .args(["-c", "SELECT value FROM generate_series(1, 100000000)"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut first = [0; 6];
    std::io::Read::read_exact(&mut child.stdout.take().context("no output")?, &mut first)?;
    assert_eq!(&first, b"value\n");
    let output = child.wait_with_output()?;
    assert!(!output.status.success());
    assert_eq!(stderr(&output), "");
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
