//! A Java with the Flight SQL JDBC driver from Maven, fetched at its first use.
//!
//! Programs run from their one source file, as the README runs them; Maven only brings the driver.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tool::{self, Tool};
use crate::{Context, Outcome, paths};

const JAVA: Tool = Tool {
    name: "a JDK of 17 or later",
    probe: &["javac", "-version"],
    debian_packages: &["default-jdk-headless"],
    skip_variable: "LIMN_SKIP_JAVA",
};
const MAVEN: Tool =
    Tool { name: "Maven", probe: &["mvn", "-v"], debian_packages: &["maven"], skip_variable: "LIMN_SKIP_JAVA" };

/// A Java whose class path has the dependencies of a Maven project.
#[derive(Debug, Clone)]
pub struct Java {
    jars: PathBuf,
}

/// Java with what the project's `pom.xml` names; `None` where `LIMN_SKIP_JAVA` says to do without.
pub fn java(project: &Path) -> Outcome<Option<Java>> {
    if !JAVA.ensure()? || !MAVEN.ensure()? {
        return Ok(None);
    }
    let pom = project.join("pom.xml");
    let recipe = std::fs::read_to_string(&pom).context(format!("reading `{}`", pom.display()))?;
    let clients = paths::clients()?;
    let jars = clients.join(tool::directory_name("jars", &recipe));
    let complete = jars.join("complete");
    tool::locked(&clients.join("jars.lock"), || {
        if complete.exists() {
            return Ok(());
        }
        println!("fetching the Java clients (once)");
        let mut mvn = Command::new("mvn");
        mvn.args(["--batch-mode", "--quiet", "--file"]).arg(&pom).arg("dependency:copy-dependencies");
        tool::output(mvn.arg(format!("-DoutputDirectory={}", jars.display())))?;
        std::fs::write(&complete, "").context("marking the jars complete")
    })?;
    Ok(Some(Java { jars }))
}

impl Java {
    /// Runs a program from its source file and gives what it printed.
    pub fn run<'a>(&self, source: &Path, arguments: impl IntoIterator<Item = &'a str>) -> Outcome<String> {
        let mut command = Command::new("java");
        // Arrow reads buffers directly, which the module system must be told of.
        command.arg("--add-opens=java.base/java.nio=ALL-UNNAMED");
        command.arg("-cp").arg(self.jars.join("*")).arg(source).args(arguments);
        tool::output(command.current_dir(paths::tests()))
    }
}
