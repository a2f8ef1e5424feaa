//! Python's stock clients, unmodified, against the real server: one program of `clients/python/` a test.
//!
//! The programs hold the expectations; each fails with the first thing that is otherwise.

use limn_tests::{Outcome, TestServer, python};

/// Runs a program with the server's address; it prints nothing unless something is wrong.
fn passes(program: &str) -> Outcome {
    let Some(python) = python::python()? else { return Ok(()) };
    let server = TestServer::start()?;
    python.script(program, [server.flight_url()]).map(drop)
}

#[test]
fn the_adbc_driver_does_what_its_users_do() -> Outcome {
    passes("adbc.py")
}
