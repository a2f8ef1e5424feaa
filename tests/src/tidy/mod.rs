//! The style gate: what a reader of this repository may rely on, checked as a test.
//!
//! Rules look at the order of tokens and at the paths that a file names; see each rule for what it demands. The gate
//! knows no exceptions: what does not fit a rule changes the rule, in sight of everyone.

pub mod layers;
pub mod lexer;
pub mod rules;

use std::path::{Path, PathBuf};

use crate::{Context, Outcome};

/// A place that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file, from the repository's root.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What was expected and what is there.
    pub text: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.text)
    }
}

/// A file with its path from the repository's root, with `/` between the parts.
#[derive(Debug, Clone)]
pub struct Source {
    /// The path.
    pub path: String,
    /// The content.
    pub text: String,
}

/// Directories of the repository that hold its own text; build outputs and caches are elsewhere.
const ROOTS: [&str; 10] =
    ["server", "sql-udfs", "clients", "kernel", "tests", "fuzz", "examples", "docs", "bench", ".ci"];
/// Directories below them that are not; `corpus` holds bytes.
const SKIPPED: [&str; 7] = ["target", "node_modules", "__pycache__", ".venv", "snapshots", "corpus", "artifacts"];
/// Files of text by their extension; those without one are scripts.
const TEXTS: [&str; 11] = ["rs", "toml", "md", "py", "java", "xml", "sh", "slt", "sql", "txt", ""];

/// All text files of the repository.
pub fn sources(repository: &Path) -> Outcome<Vec<Source>> {
    let mut open: Vec<PathBuf> = ROOTS.iter().map(|root| repository.join(root)).filter(|p| p.is_dir()).collect();
    let mut found = Vec::new();
    for entry in std::fs::read_dir(repository)? {
        found.push(entry?.path());
    }
    // A linked work tree has `.git` as a file.
    found.retain(|path| path.is_file() && !path.ends_with(".git"));
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).context(format!("listing `{}`", dir.display()))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !SKIPPED.contains(&name.as_str()) {
                open.push(path);
            } else if path.is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    let is_text = |path: &PathBuf| TEXTS.contains(&path.extension().unwrap_or_default().to_string_lossy().as_ref());
    let read = |path: PathBuf| -> Outcome<Source> {
        let text = std::fs::read_to_string(&path).context(format!("reading `{}`", path.display()))?;
        let path = path.strip_prefix(repository)?.to_string_lossy().replace('\\', "/");
        Ok(Source { path, text })
    };
    found.into_iter().filter(is_text).map(read).collect()
}

/// Everything that breaks a rule, by file and line.
pub fn check(sources: &[Source]) -> Vec<Finding> {
    let mut findings = rules::sizes(sources);
    for source in sources {
        findings.extend(rules::any_text(source));
        if source.path.ends_with(".rs") {
            let lexed = lexer::lex(&source.text);
            findings.extend(rules::rust(source, &lexed));
            findings.extend(layers::check(source, &lexed));
        }
    }
    findings.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    findings
}
