//! The Flight SQL JDBC driver, unmodified, as DBeaver, Tableau and Java programs use it.
//!
//! The programs under `clients/java/jdbc` hold the expectations. Each runs against a server of its own, with the driver
//! as published in 18.3, and with driver 19 once it is published. Those that move values run with 18.3 on the libraries
//! of Arrow 19 too.

use std::path::PathBuf;

use limn_tests::maven::{self, Java};
use limn_tests::{Outcome, TestServer, paths};

/// A heap that a result of several million rows does not fit into.
const SMALL_HEAP: &str = "-Xmx256m";

/// A program against a server of its own, with one version of the driver.
fn passes(program: &str, java: Option<Java>) -> Outcome {
    let Some(java) = java else { return Ok(()) };
    let server = TestServer::start()?;
    let url = format!("jdbc:arrow-flight-sql://{}?useEncryption=false", server.flight_addr());
    let types = clients().join("types.json");
    let programs = java.compile(&clients().join("java/jdbc"))?;
    programs.run(program, &[SMALL_HEAP], [url.as_str(), &types.to_string_lossy()]).map(drop)
}

fn clients() -> PathBuf {
    paths::tests().join("clients")
}

fn driver_18_3() -> Outcome<Option<Java>> {
    maven::java(&clients().join("java/driver-18.3"))
}

fn on_arrow_19() -> Outcome<Option<Java>> {
    maven::java(&clients().join("java/arrow-19"))
}

fn driver_19() -> Outcome<Option<Java>> {
    maven::published(&clients().join("java/driver-19"))
}

#[test]
fn metadata_with_driver_18_3() -> Outcome {
    passes("Metadata", driver_18_3()?)
}

#[test]
fn metadata_with_driver_19() -> Outcome {
    passes("Metadata", driver_19()?)
}

#[test]
fn prepared_with_driver_18_3() -> Outcome {
    passes("Prepared", driver_18_3()?)
}

#[test]
fn prepared_with_driver_18_3_on_arrow_19() -> Outcome {
    passes("Prepared", on_arrow_19()?)
}

#[test]
fn prepared_with_driver_19() -> Outcome {
    passes("Prepared", driver_19()?)
}

#[test]
fn results_with_driver_18_3() -> Outcome {
    passes("Results", driver_18_3()?)
}

#[test]
fn results_with_driver_18_3_on_arrow_19() -> Outcome {
    passes("Results", on_arrow_19()?)
}

#[test]
fn results_with_driver_19() -> Outcome {
    passes("Results", driver_19()?)
}

#[test]
fn types_with_driver_18_3() -> Outcome {
    passes("Types", driver_18_3()?)
}

#[test]
fn types_with_driver_18_3_on_arrow_19() -> Outcome {
    passes("Types", on_arrow_19()?)
}

#[test]
fn types_with_driver_19() -> Outcome {
    passes("Types", driver_19()?)
}

#[test]
fn connections_with_driver_18_3() -> Outcome {
    passes("Connections", driver_18_3()?)
}

#[test]
fn connections_with_driver_19() -> Outcome {
    passes("Connections", driver_19()?)
}
