//! The directions in which the parts may name each other, and who may name which library.
//!
//! Edges → engine → sql; engine → training → registry → lake; all may use `limn_sql_udfs`; nothing points back up. What
//! a lower part needs from a higher one is a trait that it owns.

use super::lexer::{Lexed, Token};
use super::{Finding, Source};

/// What every part of the server may name.
const GROUND: [&str; 6] = ["error", "limits", "telemetry", "Error", "Result", "Class"];

/// The parts of the server and what else each may name; a longer path allows only what is below it.
const SERVER: [(&str, &[&str]); 15] = [
    ("lake", &[]),
    ("registry", &["lake"]),
    ("training", &["registry", "lake"]),
    ("sql", &["lake::types"]),
    ("engine", &["sql", "training", "registry", "lake"]),
    ("flight", &["engine", "config", "tls"]),
    ("http", &["engine", "config", "tls"]),
    ("command", &["engine", "flight", "http", "config", "tls", "lake::disk", "allocator"]),
    ("tls", &["config"]),
    ("allocator", &[]),
    ("config", &[]),
    ("error", &[]),
    ("limits", &[]),
    ("telemetry", &["config"]),
    ("main", &["command", "config"]),
];

/// A library and the directories that may name it.
const LIBRARIES: [(&str, &[&str]); 15] = [
    ("deltalake_core", &["server/src/lake/"]),
    ("buoyant_kernel", &["server/src/lake/"]),
    ("deltalake", &["server/src/lake/"]),
    ("delta_kernel", &["server/src/lake/"]),
    ("tonic", &["server/src/flight/", "clients/", "kernel/", "tests/"]),
    ("arrow_flight", &["server/src/flight/", "clients/", "kernel/", "tests/"]),
    ("prost", &["server/src/flight/", "sql-udfs/src/model/", "clients/", "kernel/", "tests/"]),
    ("axum", &["server/src/http/"]),
    // The type table reads type names wherever a user writes them.
    ("sqlparser", &["server/src/sql/", "server/src/engine/", "server/src/lake/types/"]),
    ("limn_client", &["server/src/command/", "clients/", "kernel/", "tests/"]),
    ("limn_server", &["server/src/main.rs", "tests/", "bench/"]),
    ("clap", &["server/src/config", "server/src/main.rs", "kernel/", "tests/src/bin/"]),
    ("tokio", &["server/", "clients/", "kernel/", "tests/", "examples/"]),
    ("object_store", &["server/src/lake/", "tests/"]),
    ("linfa", &["sql-udfs/src/train/"]),
];

/// Everything that a file names and should not.
pub fn check(source: &Source, lexed: &Lexed) -> Vec<Finding> {
    let mut findings = libraries(source, &lexed.tokens);
    findings.extend(parts(source, &lexed.tokens));
    findings
}

/// Libraries are recognised where a path begins with them: `tonic::`, or `use tonic;`.
fn libraries(source: &Source, tokens: &[Token]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        let Some((library, homes)) = LIBRARIES.iter().find(|(name, _)| token.ident() == Some(name)) else { continue };
        let begins = !(i > 0 && (tokens[i - 1].is(':') || tokens[i - 1].is('.')));
        let path = tokens.get(i + 1).is_some_and(|t| t.is(':')) && tokens.get(i + 2).is_some_and(|t| t.is(':'));
        let used = i > 0 && tokens[i - 1].ident() == Some("use");
        let at_home = homes.iter().any(|home| source.path.starts_with(home));
        if begins && (path || used) && !at_home {
            let text = format!("expected `{library}` only under {}", homes.join(", "));
            findings.push(Finding { file: source.path.clone(), line: token.line, text });
        }
    }
    findings
}

fn parts(source: &Source, tokens: &[Token]) -> Vec<Finding> {
    let Some(below) = source.path.strip_prefix("server/src/") else { return Vec::new() };
    let module = module_path(below);
    let Some((part, allowed)) = SERVER.iter().find(|(part, _)| module.first().map(String::as_str) == Some(part)) else {
        // The crate's root declares the parts; a part that is not in the table has no place yet.
        if module.is_empty() {
            return Vec::new();
        }
        let text = format!("expected a part that the gate's table of layers has, found `{}`", module.join("::"));
        return vec![Finding { file: source.path.clone(), line: 1, text }];
    };
    let may = |path: &[String]| {
        let first = path.first().map(String::as_str).unwrap_or_default();
        first == *part
            || GROUND.contains(&first)
            || allowed.iter().any(|allowed| allowed.split("::").eq(path.iter().take(allowed.split("::").count())))
    };
    crate_paths(tokens, &module)
        .into_iter()
        .filter(|(_, path)| !may(path))
        .map(|(line, path)| Finding {
            file: source.path.clone(),
            line,
            text: format!("expected `{part}` to name only itself and {allowed:?}, found `crate::{}`", path.join("::")),
        })
        .collect()
}

/// `lake/table/mod.rs` → `lake`, `table`.
fn module_path(below: &str) -> Vec<String> {
    let mut path: Vec<String> = below.trim_end_matches(".rs").split('/').map(str::to_string).collect();
    if path.last().is_some_and(|last| last == "mod" || last == "lib") {
        path.pop();
    }
    path
}

/// The paths from the crate's root that a file names, through `crate::…` or enough of `super::…`.
pub fn crate_paths(tokens: &[Token], module: &[String]) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let mut inline: Vec<usize> = Vec::new();
    let mut braces = 0usize;
    let mut i = 0;
    while let Some(token) = tokens.get(i) {
        if token.is('{') {
            braces += 1;
            if i >= 2 && tokens[i - 2].ident() == Some("mod") {
                inline.push(braces);
            }
        } else if token.is('}') {
            inline.pop_if(|depth| *depth == braces);
            braces = braces.saturating_sub(1);
        }
        let continues = i > 0 && tokens[i - 1].is(':');
        match token.ident() {
            Some("crate") if !continues => leaves(tokens, i + 1, &mut Vec::new(), &mut found),
            Some("super") if !continues => {
                let mut ups = 1usize;
                while separated(tokens, i + 1) && tokens.get(i + 3).and_then(Token::ident) == Some("super") {
                    ups += 1;
                    i += 3;
                }
                // Each `super` leaves an inline module first, then the file's own.
                let outer = ups.saturating_sub(inline.len()).min(module.len());
                let mut prefix = module.iter().take(module.len() - outer).cloned().collect();
                leaves(tokens, i + 1, &mut prefix, &mut found);
            }
            _ => {}
        }
        i += 1;
    }
    found.retain(|(_, path)| !path.is_empty());
    found
}

fn separated(tokens: &[Token], at: usize) -> bool {
    tokens.get(at).is_some_and(|t| t.is(':')) && tokens.get(at + 1).is_some_and(|t| t.is(':'))
}

/// Follows `::a::{b, c::d}` and adds each leaf's path; gives nothing where no `::` follows.
fn leaves(tokens: &[Token], at: usize, prefix: &mut Vec<String>, found: &mut Vec<(usize, Vec<String>)>) {
    let line = tokens.get(at.saturating_sub(1)).map_or(0, |t| t.line);
    let depth = prefix.len();
    let mut at = at;
    while separated(tokens, at) {
        match tokens.get(at + 2) {
            Some(token) if token.ident().is_some() => {
                prefix.extend(token.ident().map(str::to_string));
                at += 3;
            }
            Some(token) if token.is('{') => {
                group(tokens, at + 3, prefix, found);
                prefix.truncate(depth);
                return;
            }
            _ => break,
        }
    }
    found.push((line, prefix.clone()));
    prefix.truncate(depth);
}

/// The elements of `{…}` from after its opening brace.
fn group(tokens: &[Token], from: usize, prefix: &mut Vec<String>, found: &mut Vec<(usize, Vec<String>)>) {
    let (mut at, mut nested, mut begins) = (from, 0usize, true);
    while let Some(token) = tokens.get(at) {
        match token {
            token if token.is('{') => nested += 1,
            token if token.is('}') && nested == 0 => return,
            token if token.is('}') => nested -= 1,
            token if token.is(',') && nested == 0 => {
                begins = true;
                at += 1;
                continue;
            }
            token if begins && nested == 0 => {
                let own: Vec<String> =
                    token.ident().filter(|name| *name != "self").map(str::to_string).into_iter().collect();
                let mut path = [prefix.as_slice(), own.as_slice()].concat();
                leaves(tokens, at + 1, &mut path, found);
            }
            _ => {}
        }
        begins = false;
        at += 1;
    }
}
