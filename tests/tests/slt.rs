//! Every SQL test file, in process, over the wire, and where it is standard SQL in DuckDB too.
//!
//! One test per file and way, so that `cargo test --test slt csv` runs what it says; see `limn_tests::slt` for the
//! variables. It has no expectation of its own beyond the files' heads.

use limn_tests::slt::{self, SqlFile};
use limn_tests::{Outcome, engine, python};
use sqllogictest::harness::{Arguments, Failed, Trial, run};

fn main() {
    let files = match slt::sql_files() {
        Ok(files) => files,
        Err(failure) => {
            eprintln!("{failure:?}");
            std::process::exit(1);
        }
    };
    let mut trials = vec![Trial::test("there_are_files", {
        let count = files.len();
        move || if count > 0 { Ok(()) } else { Err(Failed::from("no SQL test file was found")) }
    })];
    trials.push(Trial::test("engine_finds_a_wrong_value", || {
        finds_a_wrong_value(|file| engine::block_on(slt::check_in_process(file)))
    }));
    trials.push(Trial::test("duckdb_finds_a_wrong_value", || match python::python() {
        Ok(None) => Ok(()),
        _ => finds_a_wrong_value(check_in_duckdb),
    }));
    for file in files {
        trials.push(trial("engine", &file, |file| engine::block_on(slt::check_in_process(file))));
        trials.push(trial("wire", &file, |file| engine::block_on(slt::check_over_wire(file))));
        if file.standard {
            trials.push(trial("duckdb", &file, check_in_duckdb));
        }
    }
    run(&Arguments::from_args(), trials).exit();
}

fn trial(way: &str, file: &SqlFile, check: impl Fn(&SqlFile) -> Outcome + Send + 'static) -> Trial {
    let owned = file.clone();
    Trial::test(format!("{way}::{}", file.name), move || {
        check(&owned).map_err(|failure| Failed::from(format!("{failure:?}")))
    })
}

/// The runners themselves: a file with a wrong expectation fails, the same file with the right one does not.
fn finds_a_wrong_value(check: impl Fn(&SqlFile) -> Outcome) -> Result<(), Failed> {
    let scratch = tempfile::tempdir()?;
    let path = scratch.path().join("specimen.slt");
    let file = SqlFile { path: path.clone(), name: "specimen".into(), standard: true };
    let checked = |value: &str| -> Result<Outcome, Failed> {
        std::fs::write(&path, format!("query I\nSELECT 1 + 1\n----\n{value}\n"))?;
        Ok(check(&file))
    };
    checked("2")?.map_err(|failure| Failed::from(format!("{failure:?}")))?;
    match checked("3")? {
        Err(failure) if failure.text().contains('3') => Ok(()),
        other => Err(Failed::from(format!("expected the wrong value to be found, found {other:?}"))),
    }
}

fn check_in_duckdb(file: &SqlFile) -> Outcome {
    match python::python()? {
        Some(python) => python.script("duckdb_slt.py", [file.path.as_os_str()]).map(drop),
        None => Ok(()),
    }
}
