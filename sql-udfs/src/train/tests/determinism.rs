//! The same rows give the same bytes, however they are ordered and cut into batches.

use arrow::array::UInt32Array;
use arrow::compute::take_record_batch;

use super::*;
use crate::train::sha256_hex;

/// Every algorithm with every kind of target that it takes.
fn cases() -> Vec<(Request, RecordBatch)> {
    let mut cases = Vec::new();
    for (algorithm, target) in [
        ("linear_regression", "number"),
        ("linear_regression", "whole"),
        ("logistic_regression", "yes"),
        ("logistic_regression", "name"),
        ("decision_tree", "number"),
        ("decision_tree", "name"),
        ("random_forest", "number"),
        ("random_forest", "name"),
        ("extra_trees", "yes"),
        ("gradient_boosting", "number"),
        ("gradient_boosting", "yes"),
        ("gradient_boosting", "name"),
    ] {
        for split in [
            Split::None,
            Split::Random(0.3),
            Split::Time { column: "day".into(), held_out: 0.2 },
            Split::Column("flag".into()),
        ] {
            let mut request = Request { split, ..request(algorithm, target) };
            if ["random_forest", "extra_trees", "gradient_boosting"].contains(&algorithm) {
                request = with(request, "n_estimators", Value::Integer(3));
            }
            cases.push((request, mixed_for(target)));
        }
    }
    // Texts as features, and no target.
    let trees = |algorithm| with(request(algorithm, "number"), "n_estimators", Value::Integer(3));
    cases.push((trees("gradient_boosting"), mixed()));
    cases.push((trees("random_forest"), mixed()));
    cases.push((Request { target: None, ..trees("isolation_forest") }, mixed()));
    cases
}

fn sha(request: &Request, batches: Vec<RecordBatch>) -> String {
    let schema = batches[0].schema();
    let trained = train(request, &schema, batches, &Patient).unwrap();
    // Metrics and counts must not depend on the arrival either.
    let metrics: Vec<String> = trained.metrics.iter().map(|m| format!("{}={:?}", m.name, m.value)).collect();
    format!("{} {} {}", sha256_hex(&trained.artifact), metrics.join(","), trained.rows_held_out)
}

#[test]
fn order_and_batches_do_not_matter() {
    for (request, rows) in cases() {
        let n = rows.num_rows();
        let expected = sha(&request, vec![rows.clone()]);
        // 7 and 300 have no common divisor, so this visits every row once.
        let shuffled = UInt32Array::from_iter_values((0..n as u32).map(|i| i * 7 % 300));
        let shuffled = take_record_batch(&rows, &shuffled).unwrap();
        assert_eq!(sha(&request, vec![shuffled.clone()]), expected, "{request:?}");
        for size in [1, 7, 64] {
            let batches = (0..n).step_by(size).map(|start| shuffled.slice(start, size.min(n - start)));
            assert_eq!(sha(&request, batches.collect()), expected, "{size} rows a batch: {request:?}");
        }
    }
}

#[test]
fn the_seed_decides_a_random_split_and_nothing_else() {
    let rows = mixed_for("number");
    let seeded = |seed, split: Split| {
        let request = Request { seed, split, ..request("linear_regression", "number") };
        sha256_hex(&run(&request, &rows).unwrap().artifact)
    };
    assert_ne!(seeded(1, Split::Random(0.3)), seeded(2, Split::Random(0.3)));
    assert_eq!(seeded(1, Split::Random(0.0)), seeded(2, Split::None));
}

#[test]
fn negative_zero_is_zero() {
    let rows = |zeros: [f64; 2]| {
        batch(vec![("x", known(&[zeros[0], 1.0, zeros[1], 2.0])), ("y", known(&[zeros[1], 2.0, zeros[0], 3.0]))])
    };
    for algorithm in ["linear_regression", "decision_tree"] {
        let hashes = [[0.0, -0.0], [-0.0, 0.0], [0.0, 0.0]]
            .map(|zeros| sha256_hex(&run(&request(algorithm, "y"), &rows(zeros)).unwrap().artifact));
        assert_eq!(hashes[0], hashes[1]);
        assert_eq!(hashes[0], hashes[2]);
    }
}

#[test]
fn a_training_can_be_cancelled_and_refused_memory() {
    struct Impatient;
    impl crate::train::Watch for Impatient {
        fn cancelled(&self) -> bool {
            true
        }
        fn progress(&self, _done: f64) {}
        fn reserve(&self, _bytes: usize) -> Result<()> {
            Ok(())
        }
    }
    struct Poor;
    impl crate::train::Watch for Poor {
        fn cancelled(&self) -> bool {
            false
        }
        fn progress(&self, _done: f64) {}
        fn reserve(&self, bytes: usize) -> Result<()> {
            Err(crate::Error::exhausted(format!("no {bytes} bytes left")))
        }
    }
    let rows = mixed_for("number");
    let request = request("decision_tree", "number");
    let error = train(&request, rows.schema_ref(), vec![rows.clone()], &Impatient).unwrap_err();
    assert_eq!(error.class(), crate::ErrorClass::Cancelled);
    let error = train(&request, rows.schema_ref(), vec![rows.clone()], &Poor).unwrap_err();
    assert_eq!(error.class(), crate::ErrorClass::Exhausted);
}
