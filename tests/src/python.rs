//! A Python with the pinned clients of `clients/requirements.txt`, made at its first use.
//!
//! The venv lies beside the build outputs under a name that depends on the requirements, so that checkouts share it
//! and a changed pin gets a new one.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tool::{self, Tool};
use crate::{Context, Outcome, paths};

const PYTHON: Tool = Tool {
    name: "python3 with venv",
    probe: &["python3", "-c", "import venv, ensurepip"],
    debian_packages: &["python3", "python3-venv"],
    skip_variable: "LIMN_SKIP_PYTHON",
};

/// An interpreter that has the clients.
#[derive(Debug, Clone)]
pub struct Python {
    interpreter: PathBuf,
}

/// The Python of the tests; `None` where `LIMN_SKIP_PYTHON` says to do without.
pub fn python() -> Outcome<Option<Python>> {
    let requirements = requirements();
    let recipe = std::fs::read_to_string(&requirements)?;
    python_with(&requirements, &recipe)
}

/// The Python of the benchmarks, which has what Limn is compared with too.
pub fn python_for_benchmarks() -> Outcome<Option<Python>> {
    let more = paths::repository().join("bench/requirements.txt");
    let recipe = std::fs::read_to_string(requirements())? + &std::fs::read_to_string(&more)?;
    python_with(&more, &recipe)
}

/// The Python with readers of Delta tables that are not Limn.
pub fn python_for_readers() -> Outcome<Option<Python>> {
    let requirements = paths::tests().join("clients/readers-requirements.txt");
    let recipe = std::fs::read_to_string(&requirements)?;
    python_with(&requirements, &recipe)
}

fn requirements() -> PathBuf {
    paths::tests().join("clients/requirements.txt")
}

fn python_with(requirements: &Path, recipe: &str) -> Outcome<Option<Python>> {
    if !PYTHON.ensure()? {
        return Ok(None);
    }
    let clients = paths::clients()?;
    let venv = clients.join(tool::directory_name("venv", recipe));
    let interpreter = venv.join("bin/python");
    let complete = venv.join("complete");
    tool::locked(&clients.join("venv.lock"), || {
        if complete.exists() {
            return Ok(());
        }
        // What an interrupted attempt left is of no use.
        if venv.exists() {
            std::fs::remove_dir_all(&venv)?;
        }
        println!("fetching the Python clients (once)");
        tool::output(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
        tool::output(Command::new(&interpreter).args(pip).arg(requirements))?;
        std::fs::write(&complete, "").context("marking the venv complete")
    })?;
    Ok(Some(Python { interpreter }))
}

impl Python {
    /// A command that runs a Python file by its path.
    pub fn command(&self, file: &std::path::Path) -> Command {
        let mut command = Command::new(&self.interpreter);
        command.arg(file).current_dir(paths::tests()).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// A command that runs a module, as `python -m` does.
    pub fn module(&self, name: &str) -> Command {
        let mut command = Command::new(&self.interpreter);
        command.args(["-m", name]).current_dir(paths::tests()).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// Runs a script of `clients/python/` to its end and gives what it printed.
    pub fn script<A: AsRef<OsStr>>(&self, name: &str, arguments: impl IntoIterator<Item = A>) -> Outcome<String> {
        let file = paths::tests().join("clients/python").join(name);
        tool::output(self.command(&file).args(arguments))
    }

    /// Runs a Python file to its end and gives what it printed.
    pub fn run(&self, command: &mut Command) -> Outcome<String> {
        tool::output(command)
    }
}
