//! Delta tables of Limn in the hands of Apache Spark, and Spark's in Limn's.
//!
//! The program `clients/python/delta_spark.py` holds the expectations, one function a subject. Spark is large, so this
//! runs where it is there already, and `LIMN_SPARK=1` fetches it.

use limn_tests::{Outcome, TestServer, maven, paths, python};

#[test]
fn spark_reads_and_changes_what_limn_writes_and_the_other_way_round() -> Outcome {
    let Some(python) = python::python_for_spark()? else { return Ok(()) };
    let Some(java) = maven::java(&paths::tests().join("clients/spark"))? else { return Ok(()) };
    let jars: Vec<String> = java.jars()?.iter().map(|jar| jar.display().to_string()).collect();
    let server = TestServer::start()?;
    let directory = tempfile::tempdir()?;
    let arguments = [server.flight_url(), directory.path().display().to_string(), jars.join(",")];
    print!("{}", python.script("delta_spark.py", arguments)?);
    Ok(())
}
