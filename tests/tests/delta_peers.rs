//! Delta tables of Limn in the hands of `deltalake` and polars, and theirs in Limn's.
//!
//! The program `clients/python/delta_peers.py` holds the expectations, one function a subject.

use limn_tests::{Outcome, TestServer, python};

#[test]
fn deltalake_and_polars_read_what_limn_writes_and_the_other_way_round() -> Outcome {
    let Some(python) = python::python_for_readers()? else { return Ok(()) };
    let server = TestServer::start()?;
    let directory = tempfile::tempdir()?;
    python.script("delta_peers.py", [server.flight_url(), directory.path().display().to_string()]).map(drop)
}
