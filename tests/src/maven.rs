//! A Java with the Flight SQL JDBC driver from Maven, fetched at its first use.
//!
//! A program of one source file runs from it, as the README runs it; programs that share code are compiled first. Maven
//! only brings the jars.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tool::{self, Tool};
use crate::{Context, Outcome, fail, paths};

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
    match fetch(project)? {
        None => Ok(None),
        Some(Fetched::Complete(java)) => Ok(Some(java)),
        Some(Fetched::Absent(text)) => Err(fail(text)),
    }
}

/// Java with what the project's `pom.xml` names, where it is published; `None`, said aloud, where it is not.
pub fn published(project: &Path) -> Outcome<Option<Java>> {
    match fetch(project)? {
        None => Ok(None),
        Some(Fetched::Complete(java)) => Ok(Some(java)),
        Some(Fetched::Absent(text)) => {
            let first = text.lines().find(|line| is_absence(line)).unwrap_or(&text);
            println!("left out, because it is not published: {}: {first}", project.display());
            Ok(None)
        }
    }
}

/// What came of asking Maven.
enum Fetched {
    Complete(Java),
    /// The repository answers that it does not have it.
    Absent(String),
}

/// `None` where `LIMN_SKIP_JAVA` says to do without.
fn fetch(project: &Path) -> Outcome<Option<Fetched>> {
    if !JAVA.ensure()? || !MAVEN.ensure()? {
        return Ok(None);
    }
    let pom = project.join("pom.xml");
    let recipe = std::fs::read_to_string(&pom).context(format!("reading `{}`", pom.display()))?;
    let clients = paths::clients()?;
    let jars = clients.join(tool::directory_name("jars", &recipe));
    let complete = jars.join("complete");
    let fetched = tool::locked(&clients.join("jars.lock"), || {
        if complete.exists() {
            return Ok(None);
        }
        println!("fetching the Java clients (once)");
        let mut mvn = Command::new("mvn");
        mvn.args(["--batch-mode", "--quiet", "--file"]).arg(&pom).arg("dependency:copy-dependencies");
        match tool::output(mvn.arg(format!("-DoutputDirectory={}", jars.display()))) {
            Err(failure) if is_absence(failure.text()) => return Ok(Some(failure.text().to_string())),
            done => done?,
        };
        std::fs::write(&complete, "").context("marking the jars complete")?;
        Ok(None)
    })?;
    Ok(Some(match fetched {
        Some(text) => Fetched::Absent(text),
        None => Fetched::Complete(Java { jars }),
    }))
}

/// Whether Maven reached the repository and did not find what was asked for.
fn is_absence(text: &str) -> bool {
    text.contains("Could not find artifact") || text.contains("was not found in")
}

impl Java {
    /// The jars, each by its path.
    pub fn jars(&self) -> Outcome<Vec<PathBuf>> {
        paths::files(&self.jars, "jar")
    }

    /// Runs a program from its source file and gives what it printed.
    pub fn run<'a>(&self, source: &Path, arguments: impl IntoIterator<Item = &'a str>) -> Outcome<String> {
        let mut command = java_command();
        command.arg("-cp").arg(self.jars.join("*")).arg(source).args(arguments);
        tool::output(&mut command)
    }

    /// Compiles the programs below a directory, once for each version of their sources.
    pub fn compile(&self, directory: &Path) -> Outcome<Programs> {
        let sources = paths::files(directory, "java")?;
        let mut recipe = self.jars.display().to_string();
        for source in &sources {
            recipe.push_str(&std::fs::read_to_string(source)?);
        }
        let clients = paths::clients()?;
        let classes = clients.join(tool::directory_name("classes", &recipe));
        let complete = classes.join("complete");
        tool::locked(&clients.join("jars.lock"), || {
            if complete.exists() {
                return Ok(());
            }
            let mut javac = Command::new("javac");
            javac.args(["-Xlint:all,-processing,-path,-try", "-Werror", "-encoding", "UTF-8", "-d"]).arg(&classes);
            tool::output(javac.arg("-cp").arg(self.jars.join("*")).args(&sources))?;
            std::fs::write(&complete, "").context("marking the classes complete")
        })?;
        Ok(Programs { java: self.clone(), classes })
    }
}

/// Compiled programs with the class path that they were compiled for.
#[derive(Debug, Clone)]
pub struct Programs {
    java: Java,
    classes: PathBuf,
}

impl Programs {
    /// Runs the program of this class and gives what it printed; `options` are those of the virtual machine.
    pub fn run<'a>(
        &self,
        class: &str,
        options: &[&str],
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> Outcome<String> {
        let mut class_path = self.classes.as_os_str().to_os_string();
        class_path.push(":");
        class_path.push(self.java.jars.join("*"));
        let mut command = java_command();
        command.args(options).arg("-cp").arg(class_path).arg(class).args(arguments);
        tool::output(&mut command)
    }
}

fn java_command() -> Command {
    let mut command = Command::new("java");
    // Arrow reads buffers directly, which the module system must be told of.
    command.arg("--add-opens=java.base/java.nio=ALL-UNNAMED").current_dir(paths::tests());
    command
}
