//! Says which build of Limn this is: a number from its sources and from what compiles them.
//!
//! Every training records it, so that a later one knows whether it was the same engine. The same sources, compiler,
//! target and profile have the same number wherever and whenever they are built, and nothing of it is in a model. It
//! knows nothing of what the sources say.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What decides what a training computes, relative to this package.
const SOURCES: &[&str] =
    &["Cargo.toml", "src", "../Cargo.toml", "../Cargo.lock", "../sql-udfs/Cargo.toml", "../sql-udfs/src"];

fn main() -> Result<(), Box<dyn Error>> {
    let package = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let mut build = Fnv::new();
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
        take(&mut build, &package, Path::new(source))?;
    }
    for setting in ["TARGET", "PROFILE", "OPT_LEVEL", "CARGO_CFG_TARGET_FEATURE", "CARGO_ENCODED_RUSTFLAGS"] {
        build.take(std::env::var(setting).unwrap_or_default().as_bytes());
    }
    build.take(&Command::new(std::env::var("RUSTC")?).arg("--version").output()?.stdout);
    println!("cargo::rustc-env=LIMN_BUILD={:016x}", build.0 as u64 ^ (build.0 >> 64) as u64);
    Ok(())
}

/// Takes a file, or all that is in a directory in the order of its names.
fn take(build: &mut Fnv, package: &Path, path: &Path) -> Result<(), Box<dyn Error>> {
    let full = package.join(path);
    if full.is_dir() {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&full)? {
            names.push(entry?.file_name());
        }
        names.sort();
        return names.iter().try_for_each(|name| take(build, package, &path.join(name)));
    }
    build.take(path.to_string_lossy().as_bytes());
    build.take(&std::fs::read(full)?);
    Ok(())
}

/// The hash of Fowler, Noll and Vo in 128 bits: it tells builds apart, and keeps no secret.
struct Fnv(u128);

impl Fnv {
    fn new() -> Self {
        Fnv(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }

    /// Takes some bytes, and how many they are.
    fn take(&mut self, bytes: &[u8]) {
        for byte in (bytes.len() as u64).to_le_bytes().iter().chain(bytes) {
            self.0 = (self.0 ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
    }
}
