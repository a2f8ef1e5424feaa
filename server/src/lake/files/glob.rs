//! Which files a path or a glob names.
//!
//! Local paths, relative to the server's working directory or absolute, and `file://` URLs. `*` and `?` stay within one
//! name, `[a-z]` is one character, `**` is any number of directories; names with a leading dot need a pattern that has
//! it too. The answer is sorted, so that the same files are always read in the same order. It knows nothing of formats.

use std::fs::{self, Metadata};
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::{Stop, blocking};
use crate::limits::{GLOB_DEPTH_MAX, GLOB_FILES_MAX};
use crate::{Error, Result};

/// A file that a pattern names, as it was when it was listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStat {
    /// The absolute path: the file's identity for `COPY INTO`.
    pub path: PathBuf,
    /// The path as the user wrote it (relative to the working directory where the pattern was), for errors.
    pub shown: String,
    /// The size in bytes.
    pub bytes: u64,
    /// When it was last changed, in milliseconds since 1970-01-01T00:00:00Z.
    pub modified_ms: i64,
}

/// The files that a path, a glob or a `file://` URL names, sorted by path.
///
/// `NotFound` where there is none, `Unsupported` for other URL schemes, `Exhausted` for too many files, `Input` for a
/// directory or a malformed pattern.
pub async fn list(pattern: &str) -> Result<Vec<FileStat>> {
    let pattern = local_path(pattern, "reading from")?;
    blocking(move |stop| expand(&pattern, stop)).await
}

/// The local path of a pattern, without its scheme; `doing` is what is refused elsewhere.
pub fn local_path(pattern: &str, doing: &str) -> Result<String> {
    if pattern.is_empty() {
        return Err(Error::input("expected a path, found an empty text"));
    }
    let Some((scheme, rest)) = pattern.split_once("://") else {
        return Ok(pattern.to_string());
    };
    if !scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')) {
        return Ok(pattern.to_string());
    }
    if !scheme.eq_ignore_ascii_case("file") {
        let error = Error::unsupported(format!("`{pattern}`: {doing} `{scheme}://` is not supported"));
        return Err(error.with_hint("name files on the server's disks"));
    }
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    if !path.starts_with('/') {
        return Err(Error::input(format!("expected a URL like `file:///data/x.csv`, found `{pattern}`")));
    }
    percent_decoded(path).ok_or_else(|| Error::input(format!("`{pattern}`: expected two hex digits after each `%`")))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let value = digit(bytes.next()?)? * 16 + digit(bytes.next()?)?;
                decoded.push(u8::try_from(value).ok()?);
            }
            other => decoded.push(other),
        }
    }
    String::from_utf8(decoded).ok()
}

/// Lists the files; blocking.
fn expand(pattern: &str, stop: &Stop) -> Result<Vec<FileStat>> {
    let working_directory = std::env::current_dir()?;
    let walk = |start: PathBuf, parts: &[Part]| -> Result<Vec<FileStat>> {
        let mut walk = Walk { working_directory: &working_directory, found: Vec::new(), stop };
        walk.visit(&start, parts, 0)?;
        walk.found.sort_by(|a, b| a.path.cmp(&b.path));
        // `**` reaches a file once for each way that leads to it.
        walk.found.dedup_by(|a, b| a.path == b.path);
        Ok(walk.found)
    };
    // A name that is there as it is written is meant as it is written, whatever characters it has.
    let literal = Path::new(pattern);
    match fs::metadata(literal) {
        Ok(metadata) if metadata.is_dir() => {
            let error = Error::input(format!("expected a file, found the directory `{pattern}`"));
            return Err(error.with_hint(format!("name its files: `{}/*`", pattern.trim_end_matches('/'))));
        }
        // A pipe or a device has no end and no second reading.
        Ok(metadata) if !metadata.is_file() => {
            return Err(Error::input(format!("expected a file, found something else at `{pattern}`")));
        }
        Ok(metadata) => return Ok(vec![stat(&working_directory, literal, &metadata)]),
        Err(error) if !is_pattern(pattern) && error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::from(error).context(format!("`{pattern}`")));
        }
        Err(_) => {}
    }
    if !is_pattern(pattern) {
        let error = Error::not_found(format!("file `{pattern}` does not exist"));
        return Err(error.with_hint("relative paths start at the server's working directory"));
    }
    let (start, parts) = parse(pattern)?;
    let found = walk(start, &parts)?;
    match found.is_empty() {
        true => Err(Error::not_found(format!("no file matches `{pattern}`"))
            .with_hint("relative paths start at the server's working directory")),
        false => Ok(found),
    }
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

fn stat(working_directory: &Path, path: &Path, metadata: &Metadata) -> FileStat {
    let modified_ms = metadata
        .modified()
        .ok()
        .and_then(|at| at.duration_since(UNIX_EPOCH).ok())
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or(0);
    FileStat {
        path: normal(&working_directory.join(path)),
        shown: path.to_string_lossy().into_owned(),
        bytes: metadata.len(),
        modified_ms,
    }
}

/// Without `.` parts. `..` stays: through a symbolic link it is not the directory that the text suggests.
fn normal(path: &Path) -> PathBuf {
    path.components().filter(|part| !matches!(part, Component::CurDir)).collect()
}

/// One part of a pattern between slashes.
#[derive(Debug, Clone)]
enum Part {
    /// A name as it is.
    Name(String),
    /// A name with wildcards.
    Wild(Vec<Token>),
    /// `**`
    AnyDirectories,
}

/// One step of a pattern for a name.
#[derive(Debug, Clone)]
enum Token {
    One(char),
    AnyOne,
    AnyMany,
    /// `[a-z]`, `[!a-z]`
    Set {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// Where a walk starts, and the parts below.
fn parse(pattern: &str) -> Result<(PathBuf, Vec<Part>)> {
    let start = match pattern.starts_with('/') {
        true => PathBuf::from("/"),
        false => PathBuf::new(),
    };
    let parts = pattern.split('/').filter(|part| !part.is_empty()).map(|part| match part {
        "**" => Ok(Part::AnyDirectories),
        wild if is_pattern(wild) => Ok(Part::Wild(tokens(wild, pattern)?)),
        name => Ok(Part::Name(name.to_string())),
    });
    Ok((start, parts.collect::<Result<Vec<Part>>>()?))
}

fn tokens(part: &str, pattern: &str) -> Result<Vec<Token>> {
    let mut chars = part.chars().peekable();
    let mut tokens = Vec::new();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            '*' => Token::AnyMany,
            '?' => Token::AnyOne,
            '[' => {
                let negated = chars.next_if(|c| matches!(c, '!' | '^')).is_some();
                let mut ranges = Vec::new();
                loop {
                    match chars.next() {
                        // A bracket in first place stands for itself.
                        Some(']') if !ranges.is_empty() => break,
                        Some(low) => match chars.next_if_eq(&'-') {
                            None => ranges.push((low, low)),
                            Some(_) => match chars.next() {
                                Some(']') => {
                                    ranges.extend([(low, low), ('-', '-')]);
                                    break;
                                }
                                Some(high) => ranges.push((low, high)),
                                None => return Err(unclosed(pattern)),
                            },
                        },
                        None => return Err(unclosed(pattern)),
                    }
                }
                Token::Set { negated, ranges }
            }
            other => Token::One(other),
        });
    }
    Ok(tokens)
}

fn unclosed(pattern: &str) -> Error {
    Error::input(format!("expected `]` for the `[` in the pattern `{pattern}`"))
}

/// Whether a name matches. Backtracks to the last `*` only, so the time is at most the product of the lengths.
fn matches(tokens: &[Token], name: &[char]) -> bool {
    let (mut token, mut at) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while at < name.len() {
        match tokens.get(token) {
            Some(Token::AnyMany) => {
                retry = Some((token, at));
                token += 1;
            }
            Some(single) if matches_one(single, name[at]) => {
                token += 1;
                at += 1;
            }
            _ => match retry {
                Some((star, from)) => {
                    retry = Some((star, from + 1));
                    token = star + 1;
                    at = from + 1;
                }
                None => return false,
            },
        }
    }
    tokens.iter().skip(token).all(|token| matches!(token, Token::AnyMany))
}

fn matches_one(token: &Token, c: char) -> bool {
    match token {
        Token::One(expected) => *expected == c,
        Token::AnyOne => true,
        Token::AnyMany => false,
        Token::Set { negated, ranges } => ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated,
    }
}

struct Walk<'a> {
    working_directory: &'a Path,
    found: Vec<FileStat>,
    stop: &'a Stop,
}

impl Walk<'_> {
    /// Collects what `parts` name below `directory`. What cannot be read is an error: a list with holes would be a
    /// wrong answer.
    fn visit(&mut self, directory: &Path, parts: &[Part], depth: usize) -> Result<()> {
        self.stop.check()?;
        if depth > GLOB_DEPTH_MAX {
            return Err(Error::exhausted(format!(
                "`{}`: expected at most {GLOB_DEPTH_MAX} directories below each other",
                directory.display()
            )));
        }
        let Some((part, rest)) = parts.split_first() else { return Ok(()) };
        match part {
            Part::Name(name) => self.enter(&directory.join(name), rest, depth),
            Part::Wild(tokens) => {
                for (name, path) in entries(directory)? {
                    let chars: Vec<char> = name.chars().collect();
                    let hidden = name.starts_with('.') && !matches!(tokens.first(), Some(Token::One('.')));
                    if !hidden && matches(tokens, &chars) {
                        self.enter(&path, rest, depth)?;
                    }
                }
                Ok(())
            }
            Part::AnyDirectories => {
                // A closing `**` means every file below.
                let every = [Part::Wild(vec![Token::AnyMany])];
                self.visit(directory, if rest.is_empty() { &every } else { rest }, depth + 1)?;
                for (name, path) in entries(directory)? {
                    // Links to directories are not followed here, so that a circle of links ends.
                    let is_directory = fs::symlink_metadata(&path).is_ok_and(|m| m.is_dir());
                    if is_directory && !name.starts_with('.') {
                        self.visit(&path, parts, depth + 1)?;
                    }
                }
                Ok(())
            }
        }
    }

    fn enter(&mut self, path: &Path, rest: &[Part], depth: usize) -> Result<()> {
        let Ok(metadata) = fs::metadata(path) else { return Ok(()) };
        if !rest.is_empty() {
            return match metadata.is_dir() {
                true => self.visit(path, rest, depth + 1),
                false => Ok(()),
            };
        }
        if metadata.is_file() {
            if self.found.len() >= GLOB_FILES_MAX {
                return Err(Error::exhausted(format!("expected a pattern of at most {GLOB_FILES_MAX} files")));
            }
            self.found.push(stat(self.working_directory, path, &metadata));
        }
        Ok(())
    }
}

/// The entries of a directory by name; none where it does not exist.
fn entries(directory: &Path) -> Result<Vec<(String, PathBuf)>> {
    let shown = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let wrong = |error: std::io::Error| Error::from(error).context(format!("`{}`", shown.display()));
    let read = match fs::read_dir(shown) {
        Ok(read) => read,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(wrong(error)),
    };
    let mut entries = Vec::new();
    for entry in read {
        // A name that is not Unicode cannot be written in SQL, so no pattern means it.
        if let Ok(name) = entry.map_err(wrong)?.file_name().into_string() {
            let path = directory.join(&name);
            entries.push((name, path));
        }
    }
    entries.sort();
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    fn is_match(pattern: &str, name: &str) -> bool {
        matches(&tokens(pattern, pattern).unwrap(), &name.chars().collect::<Vec<_>>())
    }

    #[test]
    fn patterns_match_names() {
        for (pattern, name) in [
            ("*", "a.csv"),
            ("*.csv", ".csv"),
            ("a*b*c", "axxbyybc"),
            ("??.csv", "äö.csv"),
            ("[a-c]x", "bx"),
            ("[!a-c]x", "dx"),
            ("[]]", "]"),
            ("[a-]", "-"),
            ("a**b", "ab"),
        ] {
            assert!(is_match(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("*.csv", "a.csv.gz"), ("?", ""), ("[a-c]x", "dx"), ("a*b", "abc"), ("a", "A")] {
            assert!(!is_match(pattern, name), "{pattern} {name}");
        }
    }

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for file in files {
            let path = directory.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        directory
    }

    async fn names(directory: &Path, pattern: &str) -> Vec<String> {
        let listed = list(&format!("{}/{pattern}", directory.display())).await.unwrap();
        listed.iter().map(|file| file.path.strip_prefix(directory).unwrap().to_string_lossy().into_owned()).collect()
    }

    #[tokio::test]
    async fn globs_are_sorted_and_walk_directories() {
        let tree = tree(&["b.csv", "a.csv", "x/c.csv", "x/y/d.csv", ".h/e.csv", ".f.csv", "x/n.txt"]);
        assert_eq!(names(tree.path(), "*.csv").await, ["a.csv", "b.csv"]);
        assert_eq!(names(tree.path(), "**/*.csv").await, ["a.csv", "b.csv", "x/c.csv", "x/y/d.csv"]);
        assert_eq!(names(tree.path(), "x/**").await, ["x/c.csv", "x/n.txt", "x/y/d.csv"]);
        assert_eq!(names(tree.path(), "*/**/*.csv").await, ["x/c.csv", "x/y/d.csv"]);
        assert_eq!(names(tree.path(), ".*.csv").await, [".f.csv"]);
        assert_eq!(names(tree.path(), "./x/../[ab].csv").await.len(), 2);
    }

    #[tokio::test]
    async fn a_literal_name_wins_over_the_pattern_that_it_looks_like() {
        let tree = tree(&["a[1].csv", "a1.csv"]);
        assert_eq!(names(tree.path(), "a[1].csv").await, ["a[1].csv"]);
    }

    #[tokio::test]
    async fn urls_are_decoded() {
        let tree = tree(&["a b.csv"]);
        let url = format!("file://{}/a%20b.csv", tree.path().display());
        let listed = list(&url).await.unwrap();
        assert_eq!((listed.len(), listed[0].bytes), (1, 7));
        assert!(listed[0].modified_ms > 1_600_000_000_000);
    }

    #[tokio::test]
    async fn what_is_not_there_is_named() {
        let tree = tree(&["a.csv"]);
        let at = tree.path().display();
        let cases = [
            (format!("{at}/b.csv"), Class::NotFound, format!("file `{at}/b.csv` does not exist")),
            (format!("{at}/*.tsv"), Class::NotFound, format!("no file matches `{at}/*.tsv`")),
            (format!("{at}/z/**/*.csv"), Class::NotFound, format!("no file matches `{at}/z/**/*.csv`")),
            (format!("{at}"), Class::Input, format!("expected a file, found the directory `{at}`")),
            (format!("{at}/[ab"), Class::Input, format!("expected `]` for the `[` in the pattern `{at}/[ab`")),
            ("s3://b/x".into(), Class::Unsupported, "`s3://b/x`: reading from `s3://` is not supported".into()),
            ("/dev/null".into(), Class::Input, "expected a file, found something else at `/dev/null`".into()),
            (String::new(), Class::Input, "expected a path, found an empty text".into()),
        ];
        for (pattern, class, text) in cases {
            let error = list(&pattern).await.unwrap_err();
            assert_eq!((error.class(), error.message()), (class, text.as_str()));
        }
    }
}
