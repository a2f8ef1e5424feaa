//! The style gate over this repository, and over small specimens of what it must find.

use limn_tests::tidy::{self, Source, lexer, rules};
use limn_tests::{Outcome, ensure, paths};

#[test]
fn the_repository_is_tidy() -> Outcome {
    let sources = tidy::sources(&paths::repository())?;
    ensure(sources.len() > 50, || format!("expected to find the repository, found {} files", sources.len()))?;
    let findings = tidy::check(&sources);
    let texts: Vec<String> = findings.iter().map(ToString::to_string).collect();
    ensure(findings.is_empty(), || format!("{} findings:\n{}", texts.len(), texts.join("\n")))
}

/// The findings' lines and texts for a file with this path and content.
fn found(path: &str, text: &str) -> Vec<String> {
    let source = Source { path: path.into(), text: text.into() };
    tidy::check(&[source]).iter().map(|finding| format!("{}: {}", finding.line, finding.text)).collect()
}

#[track_caller]
fn finds(path: &str, text: &str, expected: &str) {
    let found = found(path, text);
    assert!(found.iter().any(|finding| finding.contains(expected)), "expected `{expected}`, found {found:#?}");
}

#[track_caller]
fn finds_nothing(path: &str, text: &str) {
    assert_eq!(found(path, text), Vec::<String>::new());
}

#[test]
fn a_file_has_a_head() {
    finds("server/src/lake/csv.rs", "fn a() {}\n", "1: expected `//!`");
    finds_nothing("server/src/lake/csv.rs", "//! Reads CSV.\nfn a() {}\n");
}

#[test]
fn files_and_functions_are_short() {
    let long = format!("//! Long.\n{}", "// a\n".repeat(800));
    finds("sql-udfs/src/a.rs", &long, "801: expected at most 800 lines, found 801");
    finds("sql-udfs/src/a.rs", &long, "expected a median of at most 200 lines a Rust file, found 801");
    let body = |lines: usize| format!("//! A.\nfn f(a: [u8; 4])\nwhere\n{{\n{}}}\n", "    g();\n".repeat(lines));
    finds("sql-udfs/src/a.rs", &body(67), "2: expected at most 70 lines, found 71 in `f`");
    finds_nothing("sql-udfs/src/a.rs", &body(66));
    finds(
        "sql-udfs/src/a.rs",
        &format!("//! A.\n// {}\n", "é".repeat(128)),
        "expected at most 130 characters, found 131",
    );
}

#[test]
fn functions_without_a_body_have_no_length() {
    let tokens = lexer::lex("trait T { fn a(&self) -> [u8; 2]; fn b(&self) { } } type F = fn(u8);").tokens;
    let names: Vec<String> = rules::functions(&tokens).into_iter().map(|function| function.name).collect();
    assert_eq!(names, ["b"]);
}

#[test]
fn names_say_what_is_inside() {
    finds("server/src/lake/utils.rs", "//! A.\n", "found `utils`");
    finds("clients/python/helpers.py", "pass\n", "found `helpers`");
}

#[test]
fn parts_name_only_what_is_below_them() {
    let lake = |text: &str| found("server/src/lake/csv.rs", &format!("//! A.\n{text}\n"));
    assert_eq!(lake("use crate::registry::Registry;").len(), 1);
    assert_eq!(lake("use crate::{Result, limits, error::unknown};"), Vec::<String>::new());
    assert_eq!(lake("use crate::{limits, registry::{A, B}, engine};").len(), 3);
    assert_eq!(lake("fn f() { let a = crate::sql::parse(); }").len(), 1);
    assert_eq!(lake("use super::super::engine::Engine;").len(), 1);
    assert_eq!(lake("use super::table::Table;"), Vec::<String>::new());
    assert_eq!(lake("mod tests { use super::super::table::Table; }"), Vec::<String>::new());
    assert_eq!(lake("mod tests { use super::super::super::engine::Engine; }").len(), 1);
    assert_eq!(lake("// crate::engine\nconst A: &str = \"crate::engine::A\";"), Vec::<String>::new());
    finds("server/src/training/run.rs", "//! A.\nuse crate::engine::context::StatementContext;\n", "crate::engine");
    finds_nothing("server/src/training/run.rs", "//! A.\nuse crate::registry::Registry;\nuse crate::lake::At;\n");
    finds("server/src/sql/parse.rs", "//! A.\nuse crate::lake::Lake;\n", "crate::lake::Lake");
    finds_nothing("server/src/sql/parse.rs", "//! A.\nuse crate::lake::types::sql_type;\n");
    finds("server/src/engine/plan.rs", "//! A.\nuse crate::flight::Ticket;\n", "crate::flight");
    finds("server/src/gadgets/a.rs", "//! A.\n", "1: expected a part that the gate's table of layers has");
}

#[test]
fn libraries_stay_where_they_belong() {
    finds(
        "server/src/engine/a.rs",
        "//! A.\nuse deltalake_core::DeltaTable;\n",
        "expected `deltalake_core` only under",
    );
    finds("server/src/http/a.rs", "//! A.\nfn f() -> tonic::Status { g() }\n", "expected `tonic` only under");
    finds("server/src/flight/a.rs", "//! A.\nuse axum::Router;\n", "expected `axum` only under");
    finds("sql-udfs/src/functions/a.rs", "//! A.\nuse tokio::fs;\n", "expected `tokio` only under");
    finds_nothing("server/src/flight/a.rs", "//! A.\nuse tonic::Status;\nlet a = b.axum;\n");
}

#[test]
fn tests_wait_for_events_and_all_run() {
    finds("tests/tests/a.rs", "//! A.\nfn f() { std::thread::sleep(d); }\n", "found `sleep`");
    let unit = "//! A.\n#[cfg(test)]\nmod tests {\n    fn f() { sleep(d) }\n}\n";
    finds("server/src/lake/a.rs", unit, "4: expected a test to wait");
    finds_nothing("server/src/lake/a.rs", "//! A.\nfn f() { sleep(d) }\n");
    finds("server/src/lake/a.rs", "//! A.\n#[ignore]\nfn f() {}\n", "found `#[ignore]`");
}

#[test]
fn nothing_is_left_over() {
    finds("server/src/lake/a.rs", "//! A.\n// TODO: more\n", "2: expected finished work");
    finds("docs/a.md", &format!("see /{}/x\n", "root"), "expected no path of somebody's machine");
    finds("docs/a.md", "no newline", "expected a newline at the end");
    finds("server/src/lake/a.rs", "//! A. \n", "expected no blank at the end");
}
