//! The shell as a person has it: typed at in a pseudo-terminal, key by key.
//!
//! Each test looks at the screen; what a statement answers is checked elsewhere.

use std::path::Path;
use std::time::{Duration, Instant};

use limn_tests::terminal::{ENTERED, READING, Seen, Size, Terminal};
use limn_tests::{Context, Outcome, TestServer, ensure, fail, paths, python};

const SIZE: Size = Size { columns: 80, lines: 24 };
/// A query that nobody waits for: a hundred thousand million rows.
const LONG: &str = "SELECT count(*) FROM generate_series(1, 100000) AS a, generate_series(1, 100000000) AS b;";
struct Shell {
    terminal: Terminal,
}

impl Shell {
    /// A shell on a server; `None` where there is no Python for the terminal.
    fn start(server: &TestServer, size: Size, environment: &[(&str, &str)]) -> Outcome<Option<Self>> {
        let history = server.scratch().join("history");
        Self::start_with(&["--url", &server.flight_url()], &history, size, environment)
    }

    fn start_with(
        arguments: &[&str],
        history: &Path,
        size: Size,
        environment: &[(&str, &str)],
    ) -> Outcome<Option<Self>> {
        let Some(python) = python::python()? else { return Ok(None) };
        let history = history.to_str().context("a path that is not text")?;
        let arguments = [&["sql", "--history", history], arguments].concat();
        let mut terminal = Terminal::start(&python, size, &paths::limn()?, &arguments, environment)?;
        terminal.see(READING)?;
        Ok(Some(Shell { terminal }))
    }

    /// Types a line and gives what is shown until the shell reads again.
    fn enter(&mut self, line: &str) -> Outcome<String> {
        self.terminal.press(&format!("{line}\r"))?;
        self.terminal.see(ENTERED)?;
        self.terminal.see(READING)
    }

    /// Starts something long, and stops it once it says that it runs.
    fn stop(&mut self, line: &str) -> Outcome<Duration> {
        self.terminal.press(&format!("{line}\r"))?;
        self.terminal.see("Ctrl-C stops it")?;
        let pressed = Instant::now();
        self.terminal.press("\x03")?;
        self.terminal.see("stopped")?;
        self.terminal.see(READING)?;
        Ok(pressed.elapsed())
    }

    /// Throws away what is typed.
    fn clear(&mut self) -> Outcome {
        self.terminal.press("\x03")?;
        self.terminal.see(READING).map(drop)
    }

    /// Presses Tab until what is known by then completes to a text.
    fn complete(&mut self, text: &str) -> Outcome {
        for _ in 0..600 {
            self.terminal.press("\t")?;
            if let Seen::Yes(_) = self.terminal.see_within(text, Duration::from_millis(100))? {
                return Ok(());
            }
        }
        Err(fail(format!("expected Tab to bring `{text}`")))
    }
}

#[test]
fn statements_take_lines_and_answers_are_tables() -> Outcome {
    let server = TestServer::start()?;
    let Some(mut shell) = Shell::start(&server, SIZE, &[])? else { return Ok(()) };
    let shown = shell.enter("SELECT 7 AS n,\r'é' AS t,\rNULL AS nothing;")?;
    for line in ["│ n │ t │ nothing │", "│ 7 │ é │ NULL    │", "1 row, "] {
        ensure(shown.contains(line), || format!("expected `{line}` in {shown}"))?;
    }
    let shown = shell.enter("SELECT 1 +;")?;
    ensure(shown.contains("error: "), || shown.clone())?;
    let shown = shell.enter("\\nonsense")?;
    ensure(shown.contains("unknown command `\\nonsense`") && shown.contains("hint: "), || shown.clone())?;
    shell.terminal.press("\\q\r")?;
    assert!(shell.terminal.ended()?.success());
    Ok(())
}

#[test]
fn the_place_of_a_mistake_is_pointed_at() -> Outcome {
    let server = TestServer::start()?;
    let Some(mut shell) = Shell::start(&server, SIZE, &[])? else { return Ok(()) };
    let shown = shell.enter("SHOW TABLES x;")?;
    let lines: Vec<&str> = shown.lines().collect();
    let caret = lines.iter().position(|line| line.trim() == "^");
    let caret = caret.context(format!("no place is pointed at in {shown}"))?;
    let column = lines[caret].find('^').context("no caret")?;
    let pointed: String = lines[caret - 1].chars().skip(column).collect();
    assert_eq!(pointed, "x", "{shown}");
    Ok(())
}

#[test]
fn ctrl_c_stops_the_statement_and_not_the_shell() -> Outcome {
    let server = TestServer::start()?;
    let Some(mut shell) = Shell::start(&server, SIZE, &[])? else { return Ok(()) };
    for round in 0..2 {
        let took = shell.stop(LONG)?;
        ensure(took < Duration::from_secs(10), || format!("round {round}: stopping took {took:?}"))?;
        let shown = shell.enter("SELECT 40 + 2 AS answer;")?;
        ensure(shown.contains("│     42 │"), || shown.clone())?;
    }
    // On the prompt it clears what is typed.
    shell.terminal.press("SELECT nothing_of_this")?;
    shell.clear()?;
    let shown = shell.enter("SELECT 5 AS five;")?;
    ensure(shown.contains("│    5 │"), || shown.clone())?;
    shell.terminal.press("\x04")?;
    assert!(shell.terminal.ended()?.success());
    Ok(())
}

#[test]
fn a_statement_is_watched_until_ctrl_c() -> Outcome {
    let server = TestServer::start()?;
    let Some(mut shell) = Shell::start(&server, SIZE, &[])? else { return Ok(()) };
    shell.enter("SELECT 11 AS ticks;")?;
    shell.terminal.press("\\watch 0.05\r")?;
    for _ in 0..3 {
        shell.terminal.see("│    11 │")?;
    }
    shell.terminal.press("\x03")?;
    shell.terminal.see("stopped")?;
    shell.terminal.see(READING)?;
    let shown = shell.enter("\\df predict")?;
    ensure(shown.contains("PREDICT('model'"), || shown.clone())?;
    Ok(())
}

#[test]
fn tab_completes_what_the_server_has() -> Outcome {
    let server = TestServer::start()?;
    let Some(mut shell) = Shell::start(&server, SIZE, &[])? else { return Ok(()) };
    shell.enter("CREATE TABLE readings_of_today AS SELECT 3 AS temperature_inside, 4 AS other;")?;
    shell.terminal.press("tr")?;
    shell.complete("train model ")?;
    shell.clear()?;

    shell.terminal.press("SELECT * FROM readings_o")?;
    shell.complete("readings_of_today")?;
    let shown = shell.enter(" WHERE other = 4;")?;
    ensure(shown.contains("temperature_inside"), || shown.clone())?;

    shell.terminal.press("SELECT r.tem FROM readings_of_today AS r;")?;
    shell.terminal.press(&"\x1b[D".repeat(" FROM readings_of_today AS r;".chars().count()))?;
    shell.complete("r.temperature_inside")?;
    let shown = shell.enter("")?;
    ensure(shown.contains("│                  3 │"), || shown.clone())?;
    Ok(())
}

#[test]
fn the_history_outlives_the_shell() -> Outcome {
    let server = TestServer::start()?;
    let Some(mut first) = Shell::start(&server, SIZE, &[])? else { return Ok(()) };
    first.enter("SELECT 'kept' AS\r word;")?;
    first.terminal.press("\x04")?;
    assert!(first.terminal.ended()?.success());

    let Some(mut second) = Shell::start(&server, SIZE, &[])? else { return Ok(()) };
    second.terminal.press("\x1b[A")?;
    second.terminal.see("word;")?;
    let shown = second.enter("")?;
    ensure(shown.contains("│ kept │"), || shown.clone())?;
    second.terminal.press("\x12'kept")?;
    second.terminal.see("word;")?;
    let shown = second.enter("")?;
    ensure(shown.contains("│ kept │"), || shown.clone())?;
    Ok(())
}

#[test]
fn long_results_go_through_the_pager_and_short_ones_do_not() -> Outcome {
    let server = TestServer::start()?;
    let pager = [("PAGER", "sed s/^/paged:/")];
    let Some(mut shell) = Shell::start(&server, SIZE, &pager)? else { return Ok(()) };
    let shown = shell.enter("SELECT value FROM generate_series(1, 100);")?;
    ensure(shown.contains("paged:│   100 │") && shown.contains("100 rows, "), || shown.clone())?;
    let shown = shell.enter("SELECT value FROM generate_series(1, 10);")?;
    ensure(shown.contains("│    10 │") && !shown.contains("paged:"), || shown.clone())?;
    shell.enter("\\pager off")?;
    let shown = shell.enter("SELECT value FROM generate_series(1, 100);")?;
    ensure(shown.contains("│   100 │") && !shown.contains("paged:"), || shown.clone())?;
    Ok(())
}

#[test]
fn results_fit_the_terminal_or_are_turned() -> Outcome {
    let server = TestServer::start()?;
    let size = Size { columns: 40, lines: 24 };
    let Some(mut shell) = Shell::start(&server, size, &[])? else { return Ok(()) };
    let shown = shell.enter("SELECT repeat('x', 90) AS a FROM generate_series(1, 9);")?;
    let widest = shown.lines().filter(|line| line.contains('│')).map(|line| line.chars().count()).max();
    assert_eq!(widest, Some(40), "{shown}");
    ensure(shown.contains('…'), || shown.clone())?;
    // One row is turned instead, so that nothing of it is lost.
    let shown = shell.enter("SELECT repeat('x', 90) AS a, 2 AS b;")?;
    ensure(shown.replace('\n', "").contains(&"x".repeat(90)) && shown.contains("b │ 2"), || shown.clone())?;
    let shown = shell.enter("\\x on")?;
    ensure(shown.contains("rows vertically: on"), || shown.clone())?;
    let shown = shell.enter("SELECT 1 AS a;")?;
    ensure(shown.contains("a │ 1"), || shown.clone())?;
    Ok(())
}

#[test]
fn files_come_in_and_results_go_out() -> Outcome {
    let server = TestServer::start()?;
    let (script, results) = (server.scratch().join("in.sql"), server.scratch().join("out.csv"));
    std::fs::write(&script, "SELECT 6 * 7 AS n;\n\\f table\n")?;
    let Some(mut shell) = Shell::start(&server, SIZE, &[])? else { return Ok(()) };
    shell.enter("\\f csv")?;
    shell.enter(&format!("\\o {}", results.display()))?;
    shell.enter(&format!("\\i {}", script.display()))?;
    shell.enter("\\o")?;
    assert_eq!(std::fs::read_to_string(&results)?, "n\n42\n");
    let shown = shell.enter("SELECT 1 AS here;")?;
    ensure(shown.contains("│ here │"), || shown.clone())?;
    let editor = server.scratch().join("editor.sh");
    std::fs::write(&editor, "sed -i 's/here/there/' \"$1\"\n")?;
    let editor = format!("sh {}", editor.display());
    drop(shell);
    let Some(mut shell) = Shell::start(&server, SIZE, &[("EDITOR", &editor), ("VISUAL", "")])? else { return Ok(()) };
    shell.enter("SELECT 1 AS here;")?;
    let shown = shell.enter("\\e")?;
    ensure(shown.contains("│ there │"), || shown.clone())?;
    Ok(())
}

#[test]
fn a_lost_server_is_noticed_and_found_again() -> Outcome {
    // The server comes back on the same port, as a restarted service does.
    let mut server = TestServer::start()?;
    let port = server.flight_addr().rsplit(':').next().context("no port")?.to_string();
    let address = format!("127.0.0.1:{port}");
    let Some(mut shell) = Shell::start(&server, SIZE, &[])? else { return Ok(()) };
    shell.enter("CREATE SCHEMA sales;")?;
    shell.enter("USE sales;")?;
    server.kill9()?;
    let shown = shell.enter("SELECT 1 AS one;")?;
    ensure(shown.contains("error: ") && shown.contains("not connected"), || shown.clone())?;

    server.restart_on(&address)?;
    let shown = shell.enter("CREATE TABLE here AS SELECT 1 AS a;")?;
    ensure(shown.contains("ok, 1 row"), || shown.clone())?;
    // It is where the session was, although the new server knows nothing of that.
    let shown = shell.enter("\\dt sales")?;
    ensure(shown.contains("│ sales       │ here       │"), || shown.clone())?;
    let shown = shell.enter("SELECT a FROM here;")?;
    ensure(shown.contains("│ 1 │"), || shown.clone())?;
    Ok(())
}

#[test]
fn a_password_is_asked_for_and_not_shown() -> Outcome {
    let server = TestServer::start()?;
    let Some(python) = python::python()? else { return Ok(()) };
    let history = server.scratch().join("history");
    let history = history.to_str().context("a path that is not text")?;
    let url = server.flight_url();
    let arguments = ["sql", "--history", history, "--url", &url, "--user", "ada"];
    let mut terminal = Terminal::start(&python, SIZE, &paths::limn()?, &arguments, &[])?;
    terminal.see("password of ada: ")?;
    terminal.press("hunter2\r")?;
    let shown = terminal.see("for help")? + &terminal.see(READING)?;
    ensure(!shown.contains("hunter2"), || shown.clone())?;
    terminal.press("\\conninfo\r")?;
    terminal.see("user     ada")?;
    // Keys that come while no line is read are the terminal's own to interpret.
    terminal.see(READING)?;
    terminal.press("\x04")?;
    assert!(terminal.ended()?.success());
    let kept = std::fs::read_to_string(history)?;
    ensure(kept.contains("conninfo") && !kept.contains("hunter2"), || kept.clone())?;
    Ok(())
}

#[test]
fn without_a_server_the_shell_brings_one() -> Outcome {
    let scratch = tempfile::tempdir()?;
    let data_dir = scratch.path().join("lake");
    let data_dir = data_dir.to_str().context("a path that is not text")?;
    let history = scratch.path().join("history");
    let Some(mut shell) = Shell::start_with(&["--data-dir", data_dir], &history, SIZE, &[])? else { return Ok(()) };
    shell.enter("CREATE TABLE t AS SELECT 9 AS nine;")?;
    shell.stop(LONG)?;
    let shown = shell.enter("SELECT nine FROM t;")?;
    ensure(shown.contains("│    9 │"), || shown.clone())?;
    shell.terminal.press("\x04")?;
    assert!(shell.terminal.ended()?.success());
    Ok(())
}
