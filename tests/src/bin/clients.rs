//! Fetches the stock clients that the tests use, so that a machine can be set up before it is cut off.
//!
//! The tests fetch them too, at their first use; this only does it now. It starts no server.

use limn_tests::{Outcome, maven, paths, python};

fn main() -> Outcome {
    match python::python()? {
        Some(_) => println!("the Python clients are there"),
        None => println!("the Python clients are skipped (LIMN_SKIP_PYTHON)"),
    }
    match maven::java(&paths::repository().join("examples/energy/java"))? {
        Some(_) => println!("the Java clients are there"),
        None => println!("the Java clients are skipped (LIMN_SKIP_JAVA)"),
    }
    Ok(())
}
