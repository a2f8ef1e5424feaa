//! Rules about one file: heads, sizes, names, leftovers, what tests may not do.

use super::lexer::{Kind, Lexed, Token};
use super::{Finding, Source};

/// Lines of a Rust file.
pub const FILE_LINES_MAX: usize = 800;
/// Lines of the median Rust file.
pub const FILE_LINES_MEDIAN_MAX: usize = 200;
/// Lines of a function, from `fn` to its closing brace.
pub const FUNCTION_LINES_MAX: usize = 70;
/// Characters of a line of Rust. rustfmt keeps code to 120; this is for the comments and texts that it leaves alone.
pub const LINE_CHARS_MAX: usize = 130;
/// File stems that say nothing of what is inside.
pub const BANNED_STEMS: [&str; 8] = ["utils", "util", "common", "helpers", "helper", "manager", "misc", "shared"];
/// Words that a finished comment does not have.
const LEFTOVERS: [&str; 4] = ["TODO", "FIXME", "XXX", "HACK"];

/// Rules about all Rust files together.
pub fn sizes(sources: &[Source]) -> Vec<Finding> {
    let rust = sources.iter().filter(|source| source.path.ends_with(".rs"));
    let mut lines: Vec<usize> = rust.map(|source| source.text.lines().count()).collect();
    lines.sort_unstable();
    let median = lines.get(lines.len() / 2).copied().unwrap_or(0);
    if median <= FILE_LINES_MEDIAN_MAX {
        return Vec::new();
    }
    let text = format!("expected a median of at most {FILE_LINES_MEDIAN_MAX} lines a Rust file, found {median}");
    vec![Finding { file: "the repository".into(), line: 0, text }]
}

/// Rules about every text file.
pub fn any_text(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut at = |line: usize, text: String| findings.push(Finding { file: source.path.clone(), line, text });
    let stem = source.path.rsplit('/').next().unwrap_or_default().split('.').next().unwrap_or_default();
    if BANNED_STEMS.contains(&stem) {
        at(1, format!("expected a file named after what it holds, found `{stem}`"));
    }
    // Put together here, so that this file does not trip over itself.
    let private = ["root", "work", "home"].map(|dir| format!("/{dir}/"));
    for (number, line) in source.text.lines().enumerate() {
        let outside_url = |path: &&String| line.contains(path.as_str()) && !line.contains("://");
        if let Some(path) = private.iter().find(outside_url) {
            at(number + 1, format!("expected no path of somebody's machine, found `{path}`"));
        }
        if line.ends_with(' ') && source.path.ends_with(".rs") {
            at(number + 1, "expected no blank at the end of the line".into());
        }
    }
    if !source.text.is_empty() && !source.text.ends_with('\n') {
        at(source.text.lines().count(), "expected a newline at the end of the file".into());
    }
    findings
}

/// Rules about a Rust file by itself.
pub fn rust(source: &Source, lexed: &Lexed) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut at = |line: usize, text: String| findings.push(Finding { file: source.path.clone(), line, text });
    if !source.text.starts_with("//!") {
        at(1, "expected `//!`: what this file is, why it is here, what it refuses to know".into());
    }
    let lines = source.text.lines().count();
    if lines > FILE_LINES_MAX {
        at(lines, format!("expected at most {FILE_LINES_MAX} lines, found {lines}"));
    }
    for (number, line) in source.text.lines().enumerate() {
        let chars = line.chars().count();
        if chars > LINE_CHARS_MAX && !line.contains("://") {
            at(number + 1, format!("expected at most {LINE_CHARS_MAX} characters, found {chars}"));
        }
    }
    for (line, comment) in &lexed.comments {
        let words = comment.split(|c: char| !c.is_alphanumeric());
        if let Some(word) = words.into_iter().find(|word| LEFTOVERS.contains(word)) {
            at(*line, format!("expected finished work, found `{word}`: open an issue for what is left"));
        }
    }
    for function in functions(&lexed.tokens) {
        if function.lines > FUNCTION_LINES_MAX {
            let Function { name, lines, .. } = &function;
            at(function.line, format!("expected at most {FUNCTION_LINES_MAX} lines, found {lines} in `{name}`"));
        }
    }
    for (line, text) in test_habits(source, &lexed.tokens) {
        at(line, text);
    }
    findings
}

/// A function of a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The line of its `fn`.
    pub line: usize,
    /// Lines from there to its closing brace.
    pub lines: usize,
}

/// The functions that have a body, nested ones included.
pub fn functions(tokens: &[Token]) -> Vec<Function> {
    let mut found = Vec::new();
    for (i, pair) in tokens.windows(2).enumerate() {
        let (Some("fn"), Some(name)) = (pair[0].ident(), pair[1].ident()) else { continue };
        if let Some(end) = body_end(tokens, i + 2) {
            let line = pair[0].line;
            found.push(Function { name: name.to_string(), line, lines: tokens[end].line - line + 1 });
        }
    }
    found
}

/// The index of the brace that closes the first block after `from`; `None` where a `;` comes first.
pub fn body_end(tokens: &[Token], from: usize) -> Option<usize> {
    let (mut brackets, mut braces) = (0usize, 0usize);
    for (i, token) in tokens.iter().enumerate().skip(from) {
        match token.kind {
            Kind::Punct('(' | '[') => brackets += 1,
            Kind::Punct(')' | ']') => brackets = brackets.saturating_sub(1),
            Kind::Punct(';') if brackets == 0 && braces == 0 => return None,
            Kind::Punct('{') => braces += 1,
            Kind::Punct('}') => {
                braces = braces.saturating_sub(1);
                if braces == 0 {
                    return Some(i);
                }
            }
            _ => {}
        }
    }
    None
}

/// A test waits for an event, never for a time, and is never left out.
fn test_habits(source: &Source, tokens: &[Token]) -> Vec<(usize, String)> {
    let all = source.path.starts_with("tests/");
    let spans = test_modules(tokens);
    let mut found = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        let in_test = all || spans.iter().any(|(from, to)| (*from..*to).contains(&i));
        match token.ident() {
            Some("sleep" | "sleep_ms" | "sleep_until") if in_test => {
                found.push((token.line, "expected a test to wait for an event, found `sleep`".to_string()));
            }
            Some("ignore") if i >= 2 && tokens[i - 1].is('[') && tokens[i - 2].is('#') => {
                found.push((token.line, "expected every test to run, found `#[ignore]`".to_string()));
            }
            _ => {}
        }
    }
    found
}

/// The token ranges of `#[cfg(test)] mod … { … }`.
fn test_modules(tokens: &[Token]) -> Vec<(usize, usize)> {
    let is_cfg_test = |i: usize| {
        tokens.get(i).and_then(Token::ident) == Some("cfg")
            && tokens.get(i + 1).is_some_and(|t| t.is('('))
            && tokens.get(i + 2).and_then(Token::ident) == Some("test")
    };
    let starts = (0..tokens.len()).filter(|i| is_cfg_test(*i));
    starts.filter_map(|i| body_end(tokens, i + 5).map(|end| (i, end))).collect()
}
