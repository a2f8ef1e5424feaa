//! The documents' own examples, run: a reader can type everything that README.md and docs/*.md show.
//!
//! For each document, in order, against a server and in a directory of its own:
//! - ```` ```sql ````: every statement, over the wire; the next ```` ```text ```` block, where one follows, is what
//!   `limn sql` prints for the last of them
//! - ```` ```console ````: lines that begin with `$ ` are run by bash with `limn` on the path and `LIMN_URL` set; what
//!   follows is what they print, `…` standing for anything up to the end of the line, or for any lines
//! - ```` ```python ````: run with the pinned clients; ```` ```java ````: run as the body of a program that imports
//!   `java.sql.*`
//!
//! The documents' address of a server is the default one; here it is replaced by the test's.

use std::path::{Path, PathBuf};
use std::process::Command;

use limn_server::limits::Limits;
use limn_tests::server::ServerOptions;
use limn_tests::{Context, Outcome, TestServer, engine, ensure, fail, maven, paths, python};

/// Where documents say that the server is.
const DOCUMENTED_ADDRESS: &str = "127.0.0.1:50051";

#[test]
fn the_readme_does_what_it_shows() -> Outcome {
    engine::block_on(run_document(paths::repository().join("README.md")))
}

#[test]
fn the_other_documents_do_what_they_show() -> Outcome {
    for document in paths::files(&paths::repository().join("docs"), "md")? {
        engine::block_on(run_document(document))?;
    }
    Ok(())
}

/// The table of limits in `docs/operating.md`: every one that can be set, with its default.
#[test]
fn the_limits_are_documented_with_their_defaults() -> Outcome {
    let text = std::fs::read_to_string(paths::repository().join("docs/operating.md"))?;
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let mut documented = Vec::new();
    for (name, rest) in rows.filter(|(name, _)| !name.contains(' ')) {
        let default = rest.split(" | ").next().unwrap_or_default();
        documented.push(name);
        // The only one whose default depends on another setting.
        if name == "memory_per_query" {
            ensure(Limits::default().memory_per_query.is_none(), || "expected a part of the pool".into())?;
            continue;
        }
        let mut limits = Limits::default();
        limits.set(name, default).context(format!("`{name}` with `{default}`"))?;
        ensure(limits == Limits::default(), || format!("`{default}` is not the default of `{name}`"))?;
    }
    ensure(documented == Limits::NAMES, || format!("expected {:?}, found {documented:?}", Limits::NAMES))
}

/// `docs/algorithms.md` is what the algorithms say of themselves. `INSTA_UPDATE=always` writes it.
#[test]
fn the_algorithms_are_documented_as_they_are() -> Outcome {
    let path = paths::repository().join("docs/algorithms.md");
    let mut text = String::from(ALGORITHMS_HEAD);
    for algorithm in limn_sql_udfs::train::algorithms() {
        text.push_str(&format!("\n## `{}`\n\n{}.\n\n", algorithm.name, sentence(algorithm.doc)));
        text.push_str("| parameter | accepts | default | what it does |\n|---|---|---|---|\n");
        for parameter in algorithm.parameters {
            let cells = [parameter.expected(), parameter.default_value().to_string(), sentence(parameter.doc)];
            let cells = cells.map(|cell| cell.replace('|', "\\|"));
            text.push_str(&format!("| `{}` | {} |\n", parameter.name, cells.join(" | ")));
        }
    }
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(&path, &text)?;
    }
    let written = std::fs::read_to_string(&path)?;
    ensure(written == text, || format!("expected docs/algorithms.md to be\n{text}"))
}

const ALGORITHMS_HEAD: &str = "\
# Algorithms

What `TRAIN MODEL … USING` takes; how it is used is in [models.md](models.md).
This page is made from what the algorithms say of themselves, which `SHOW ALGORITHMS` lists too.
Parameters have scikit-learn's names. `null` as a default stands for what the text says of NULL.
";

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A fenced block.
#[derive(Debug, PartialEq)]
struct Block {
    language: String,
    text: String,
    line: usize,
}

fn blocks(document: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut open = false;
    for (number, line) in document.lines().enumerate() {
        match (open, line.trim_start().strip_prefix("```")) {
            (false, Some(language)) => {
                open = true;
                found.push(Block { language: language.trim().into(), text: String::new(), line: number + 1 });
            }
            (true, Some(_)) => open = false,
            (true, None) => {
                if let Some(block) = found.last_mut() {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
            }
            (false, None) => {}
        }
    }
    found
}

struct Guide {
    server: TestServer,
    directory: PathBuf,
}

async fn run_document(document: PathBuf) -> Outcome {
    let text = std::fs::read_to_string(&document).context(format!("reading `{}`", document.display()))?;
    let blocks = blocks(&text);
    if !blocks.iter().any(|block| matches!(block.language.as_str(), "sql" | "console" | "python" | "java")) {
        return Ok(());
    }
    let scratch = tempfile::tempdir()?;
    let directory = scratch.path().to_path_buf();
    let options = ServerOptions { working_dir: Some(directory.clone()), ..ServerOptions::default() };
    let guide = Guide { server: TestServer::start_with(options)?, directory };
    let mut wire = guide.server.connect().await?;
    for (at, block) in blocks.iter().enumerate() {
        let place = format!("{}:{}", document.display(), block.line);
        match block.language.as_str() {
            "sql" => {
                let expected = blocks.get(at + 1).filter(|next| next.language == "text");
                let statements = statements(&block.text);
                for (n, sql) in statements.iter().enumerate() {
                    match expected.filter(|_| n + 1 == statements.len()) {
                        Some(expected) => {
                            let printed = guide.limn_sql(sql).context(&place)?;
                            matches(&expected.text, &printed).context(&place)?;
                        }
                        None => drop(wire.run(sql).await.context(format!("{place}: {sql}"))?),
                    }
                }
            }
            "console" => guide.console(&block.text).context(&place)?,
            "python" => guide.python(&block.text).context(&place)?,
            "java" => guide.java(&block.text).context(&place)?,
            _ => {}
        }
    }
    Ok(())
}

/// Statements end with `;` at the end of a line; comments before them go with them.
fn statements(block: &str) -> Vec<String> {
    let parts = block.split(";\n").map(str::trim);
    parts
        .filter(|part| part.lines().any(|line| !line.trim().is_empty() && !line.starts_with("--")))
        .map(Into::into)
        .collect()
}

impl Guide {
    fn here(&self, text: &str) -> String {
        text.replace(DOCUMENTED_ADDRESS, self.server.flight_addr())
    }

    fn shell(&self, command: &str) -> Outcome<String> {
        let binaries = paths::build()?;
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("bash");
        shell.args(["-c", &self.here(command)]).current_dir(&self.directory);
        shell.env("PATH", format!("{}:{path}", binaries.display())).env("LIMN_URL", self.server.flight_url());
        let output = shell.output()?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        ensure(output.status.success(), || format!("`{command}` gave {}:\n{printed}", output.status))?;
        Ok(printed)
    }

    fn limn_sql(&self, sql: &str) -> Outcome<String> {
        let mut command = Command::new(paths::limn()?);
        command.args(["sql", "--url", &self.server.flight_url(), "-c", sql]).current_dir(&self.directory);
        let output = command.output()?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure(output.status.success(), || format!("`limn sql` gave {}:\n{printed}{stderr}", output.status))?;
        Ok(printed)
    }

    fn console(&self, text: &str) -> Outcome {
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let Some(command) = line.strip_prefix("$ ") else {
                return Err(fail(format!("expected a line that begins with `$ `, found `{line}`")));
            };
            let mut command = command.to_string();
            while command.ends_with('\\') {
                command.push('\n');
                command.push_str(lines.next().unwrap_or_default());
            }
            let mut expected = String::new();
            while let Some(line) = lines.next_if(|line| !line.starts_with("$ ")) {
                expected.push_str(line);
                expected.push('\n');
            }
            let printed = self.shell(&command)?;
            if !expected.trim().is_empty() {
                matches(&expected, &printed)?;
            }
        }
        Ok(())
    }

    fn python(&self, text: &str) -> Outcome {
        let Some(python) = python::python()? else { return Ok(()) };
        let file = self.directory.join("example.py");
        std::fs::write(&file, self.here(text))?;
        python.run(&mut python.command(&file)).map(drop)
    }

    fn java(&self, text: &str) -> Outcome {
        let Some(java) = maven::java(&paths::repository().join("examples/energy/java"))? else { return Ok(()) };
        let (imports, body): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with("import "));
        let file = self.directory.join("Example.java");
        let program = format!(
            "import java.sql.*;\n{}\n\
             public final class Example {{\npublic static void main(String[] a) throws Exception {{\n{}\n}}\n}}\n",
            imports.join("\n"),
            self.here(&body.join("\n"))
        );
        std::fs::write(&file, program)?;
        java.run(Path::new(&file), []).map(drop)
    }
}

/// Whether `printed` is what was expected, `…` alone on a line for any lines, at a line's end for any rest of it.
fn matches(expected: &str, printed: &str) -> Outcome {
    let expected: Vec<&str> = expected.trim().lines().map(str::trim_end).collect();
    let found: Vec<&str> = printed.trim().lines().map(str::trim_end).collect();
    let mut rest = found.as_slice();
    let mut skipping = false;
    for line in &expected {
        if *line == "…" {
            skipping = true;
            continue;
        }
        let same = |found: &&str| match line.strip_suffix('…') {
            Some(begin) => found.starts_with(begin),
            None => found == line,
        };
        let at = if skipping { rest.iter().position(same) } else { rest.first().filter(|f| same(f)).map(|_| 0) };
        let at = at.context(format!("expected the line `{line}` in:\n{printed}"))?;
        rest = rest.get(at + 1..).unwrap_or_default();
        skipping = false;
    }
    ensure(skipping || rest.is_empty(), || format!("expected no more lines, found {rest:?}"))
}

#[test]
fn blocks_and_statements_are_found() {
    let document = "a\n```sql\nSELECT 1;\n-- note\nSELECT\n 2;\n```\n```text\n2\n```\n";
    let found = blocks(document);
    assert_eq!(found.iter().map(|b| (b.language.as_str(), b.line)).collect::<Vec<_>>(), [("sql", 2), ("text", 8)]);
    assert_eq!(statements(&found[0].text), ["SELECT 1", "-- note\nSELECT\n 2"]);
}

#[test]
fn a_different_output_is_a_failure() {
    assert!(matches("a\nb…\n…\nz", "a\nbc\nd\ne\nz\n").is_ok());
    assert!(matches("a", "b").is_err());
    assert!(matches("a", "a\nb").is_err());
    assert!(matches("a\nb", "a").is_err());
}
