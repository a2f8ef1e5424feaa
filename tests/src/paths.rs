//! Where things lie: the repository, the built binary, fixtures, real data, the cache of clients.
//!
//! It only computes and looks; it makes nothing.

use std::path::{Path, PathBuf};

use crate::{Context, Outcome, fail};

/// The directory that holds the real data; see [`real_data`].
pub const REAL_DATA_VARIABLE: &str = "LIMN_REAL_DATA";

/// The repository's root.
pub fn repository() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_path_buf()
}

/// The directory of this crate: fixtures are at `data/…` from here, and SQL test files name them so.
pub fn tests() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The directory into which cargo builds binaries of the running profile, such as `target/debug`.
pub fn build() -> Outcome<PathBuf> {
    let exe = std::env::current_exe()?;
    // A test runs from `deps/`, a binary of this crate from the directory itself.
    let dir = exe.parent().context("the test executable has no directory")?;
    let dir = if dir.ends_with("deps") { dir.parent().context("`deps` has no parent")? } else { dir };
    Ok(dir.to_path_buf())
}

/// The `limn` that was built beside the running test, and not before its sources.
pub fn limn() -> Outcome<PathBuf> {
    let binary = build()?.join(format!("limn{}", std::env::consts::EXE_SUFFIX));
    let hint = "build it with `cargo build --workspace`";
    let Ok(built) = std::fs::metadata(&binary).and_then(|metadata| metadata.modified()) else {
        return Err(fail(format!("expected the server at `{}`: {hint}", binary.display())));
    };
    // `cargo test` of one package does not build another one's binary; testing an old one would mislead.
    for part in ["server/src", "sql-udfs/src", "clients/rust/src"] {
        let part = repository().join(part);
        for source in files(&part, "rs")? {
            // Modules named `tests` are not in the binary, which is as good as new without them.
            let within = source.strip_prefix(&part).unwrap_or(&source);
            if within.components().any(|name| name.as_os_str() == "tests") {
                continue;
            }
            if std::fs::metadata(&source)?.modified()? > built {
                let (binary, source) = (binary.display(), source.display());
                return Err(fail(format!("the server at `{binary}` is older than `{source}`: {hint}")));
            }
        }
    }
    Ok(binary)
}

/// Where fetched clients are kept: beside the build outputs, so that checkouts with one target directory share them.
pub fn clients() -> Outcome<PathBuf> {
    let build = build()?;
    let target = build.parent().unwrap_or(&build);
    Ok(target.join("limn-clients"))
}

/// The real demand file, from the directory that `LIMN_REAL_DATA` names or from `../shared/data`; `None` where it is
/// not there, after saying so.
pub fn real_data() -> Option<PathBuf> {
    let dir = match std::env::var_os(REAL_DATA_VARIABLE) {
        Some(dir) => PathBuf::from(dir),
        None => repository().join("../shared/data"),
    };
    let file = dir.join("vic_elec.csv");
    if file.is_file() {
        return Some(file);
    }
    println!("`{}` is absent: set {REAL_DATA_VARIABLE} to its directory; generated data stands in", file.display());
    None
}

/// All files below `dir` with this extension, by path.
pub fn files(dir: &Path, extension: &str) -> Outcome<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).context(format!("listing `{}`", dir.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
