//! A program that the tests need from the machine: found, installed where that is allowed, or asked for in one line.
//!
//! On Debian as root it installs packages; anywhere else it says what to install and which variable does without.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::{Context, Outcome, fail};

/// A program with what provides it.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    /// What the reader calls it.
    pub name: &'static str,
    /// A command that succeeds where it is there.
    pub probe: &'static [&'static str],
    /// The Debian packages that bring it.
    pub debian_packages: &'static [&'static str],
    /// The variable that makes the tests do without it.
    pub skip_variable: &'static str,
}

impl Tool {
    /// Makes sure that the tool is there; `false` where its variable says to do without.
    pub fn ensure(&self) -> Outcome<bool> {
        if std::env::var_os(self.skip_variable).is_some_and(|value| !value.is_empty() && value != "0") {
            println!("{} is set: what needs {} is left out", self.skip_variable, self.name);
            return Ok(false);
        }
        if self.is_there() || (self.install() && self.is_there()) {
            return Ok(true);
        }
        let Tool { name, skip_variable, .. } = self;
        let packages = self.debian_packages.join(" ");
        Err(fail(format!(
            "expected {name}: install it (on Debian `apt-get install {packages}`), or set {skip_variable}=1"
        )))
    }

    fn is_there(&self) -> bool {
        let Some((program, arguments)) = self.probe.split_first() else { return false };
        let probe = Command::new(program).args(arguments).stdin(Stdio::null()).output();
        probe.is_ok_and(|output| output.status.success())
    }

    fn install(&self) -> bool {
        if !Path::new("/etc/debian_version").exists() || !is_root() {
            return false;
        }
        println!("installing {} with apt-get", self.name);
        let apt = |arguments: &[&str]| {
            let mut command = Command::new("apt-get");
            command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        let install = [&["install", "-y", "--no-install-recommends"], self.debian_packages].concat();
        apt(&["update", "-q"]) && apt(&install)
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Does `work` while no other test process does work under the same lock; for making something once.
pub fn locked<T>(lock: &Path, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    if let Some(dir) = lock.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let file = File::create(lock)?;
    file.lock()?;
    let done = work();
    file.unlock()?;
    done
}

/// Runs a command to its end and gives what it printed; its stderr is part of the failure.
pub fn output(command: &mut Command) -> Outcome<String> {
    let shown = format!("{command:?}");
    let output = command.stdin(Stdio::null()).output().context(&shown)?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(fail(format!("{shown} gave {}\n{stdout}{stderr}", output.status)))
}

/// The name of a directory for something that is made from `recipe`; another recipe gives another name.
pub fn directory_name(stem: &str, recipe: &str) -> String {
    let hash: String = limn_sql_udfs::train::sha256_hex(recipe.as_bytes()).chars().take(12).collect();
    format!("{stem}-{hash}")
}
