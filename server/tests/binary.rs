//! The binary itself: that it is built and says what it is.
//!
//! It is also why `cargo test --workspace` builds a fresh `limn` for the tests of the other crates: cargo builds a
//! package's binaries for that package's own integration tests only.

use std::process::Command;

#[test]
fn the_binary_says_its_version() {
    let output = Command::new(env!("CARGO_BIN_EXE_limn")).arg("--version").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let version = format!("limn {}", env!("CARGO_PKG_VERSION"));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with(&version), "{output:?}");
}
