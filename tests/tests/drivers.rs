//! What stock drivers ask besides queries: browsing, parameters, batches, error codes, effects that run once.
//!
//! The program under `clients/` holds the expectations; it fails with the first thing that is otherwise. Python's
//! clients have tests of their own.

use limn_tests::{Outcome, TestServer, maven, paths};

#[test]
fn the_jdbc_driver_finds_what_it_asks_for() -> Outcome {
    let Some(java) = maven::java(&paths::repository().join("examples/energy/java"))? else { return Ok(()) };
    let server = TestServer::start()?;
    let url = format!("jdbc:arrow-flight-sql://{}?useEncryption=false", server.flight_addr());
    java.run(&paths::tests().join("clients/java/Surface.java"), [url.as_str()]).map(drop)
}
