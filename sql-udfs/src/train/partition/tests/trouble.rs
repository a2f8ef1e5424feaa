//! Groups that cannot be trained, trainings that are stopped, and artifacts that are damaged.

use super::*;

/// Groups that cannot be trained, each for another reason, beside one that can.
fn troubled() -> RecordBatch {
    let mut site = Vec::new();
    let (mut x, mut y) = (Vec::new(), Vec::new());
    let mut add = |name: &'static str, rows: &mut dyn Iterator<Item = (Option<f64>, f64)>| {
        for (a, b) in rows {
            site.push(name);
            x.push(a);
            y.push(Some(b));
        }
    };
    add("good", &mut (0..20).map(|i| (Some(f64::from(i)), 2.0 * f64::from(i) + 1.0)));
    add("lone", &mut std::iter::once((Some(1.0), 5.0)));
    add("constant", &mut (0..20).map(|i| (Some(f64::from(i)), 3.0)));
    add("empty", &mut (0..20).map(|i| (None, f64::from(i))));
    add("infinite", &mut (0..20).map(|i| (Some(if i == 3 { f64::INFINITY } else { f64::from(i) }), f64::from(i))));
    add("odd", &mut (0..20).map(|i| (Some(f64::from(i)), if i == 3 { f64::INFINITY } else { f64::from(i) })));
    batch(vec![
        ("site", Arc::new(StringArray::from(site))),
        ("x", Arc::new(Float64Array::from(x))),
        ("y", Arc::new(Float64Array::from(y))),
    ])
}

fn predict(model: &PartitionedModel, site: &str, x: f64) -> Result<f64> {
    let columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(vec![site])), Arc::new(Float64Array::from(vec![x]))];
    Ok(model.predict(&columns, 1)?.as_primitive::<Float64Type>().value(0))
}

#[test]
fn groups_that_cannot_be_trained_are_answered_by_the_model_over_all() {
    let request = request("linear_regression", "y", &["site"]);
    let rows = troubled();
    let trained = run(&request, &rows).unwrap();
    assert_eq!(trained.partitions.map(|p| (p.groups, p.fallback)), Some((6, 5)));
    let metric = |name: &str| trained.metrics.iter().find(|metric| metric.name == name).map(|metric| metric.value);
    assert_eq!((metric("partitions"), metric("partitions_fallback")), (Some(6.0), Some(5.0)));
    let model = model(&trained);
    assert!((predict(&model, "good", 30.0).unwrap() - 61.0).abs() < 1e-9);
    // The model over all groups learned from every row without an infinite value.
    let usable: BooleanArray = ["x", "y"].iter().fold(BooleanArray::from(vec![true; rows.num_rows()]), |mask, name| {
        let values = rows.column_by_name(name).unwrap().as_primitive::<Float64Type>();
        mask.iter().zip(values).map(|(kept, v)| Some(kept == Some(true) && v.is_none_or(f64::is_finite))).collect()
    });
    let all = without(&filter_record_batch(&rows, &usable).unwrap(), &["site"]);
    let lone = load(&run(&alone(&request), &all).unwrap().artifact).unwrap();
    let x: ArrayRef = Arc::new(Float64Array::from(vec![30.0]));
    let expected = lone.predict(&[x], 1).unwrap().as_primitive::<Float64Type>().value(0);
    for site in ["lone", "constant", "empty", "infinite", "odd", "never seen"] {
        assert_eq!(predict(&model, site, 30.0).unwrap(), expected, "{site}");
    }
}

#[test]
fn without_a_fallback_they_are_errors_that_name_the_group() {
    let trained = run(&without_fallback(request("linear_regression", "y", &["site"])), &troubled()).unwrap();
    let model = model(&trained);
    assert!((predict(&model, "good", 30.0).unwrap() - 61.0).abs() < 1e-9);
    for (site, reason) in [
        ("lone", "it has 1 rows, expected at least 10"),
        ("constant", "target `y` is constant: it is 3 in all 20 training rows"),
        ("empty", "feature `x` is NULL in all 20 training rows"),
        ("infinite", "feature `x` has an infinite value: expected finite numbers or NULL"),
        ("odd", "target `y` has the value inf: expected finite numbers or NULL"),
        ("never seen", "the training query had no row of it"),
    ] {
        let error = predict(&model, site, 30.0).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Input);
        assert_eq!(error.message(), format!("the group site = '{site}' has no model: {reason}"));
    }
}

#[test]
fn a_training_fails_where_nothing_can_be_trained() {
    let rows = troubled();
    let names = rows.column_by_name("site").unwrap().as_string::<i32>();
    let bad: BooleanArray = names.iter().map(|site| Some(site == Some("constant"))).collect();
    let rows = filter_record_batch(&rows, &bad).unwrap();
    let error = run(&request("linear_regression", "y", &["site"]), &rows).unwrap_err();
    assert_eq!(
        error.message(),
        "none of the 1 groups can be trained; the first of them: target `y` is constant: it is 3 in all 20 training rows"
    );
    let none = rows.slice(0, 0);
    let error = run(&request("linear_regression", "y", &["site"]), &none).unwrap_err();
    assert_eq!(error.message(), "expected rows to train on, found none: the query gave 0 rows");
}

#[test]
fn group_columns_are_checked() {
    let rows = sites_for("number");
    let refused = |columns: &[&str]| run(&request("linear_regression", "number", columns), &rows).unwrap_err();
    assert!(refused(&["sit"]).message().starts_with("unknown group column `sit`, the nearest is `site`"));
    assert!(refused(&["number"]).message().contains("has a purpose already"));
    assert!(refused(&["site", "site"]).message().contains("has a purpose already"));
    assert!(refused(&["gaps"]).message().contains("expected TEXT, BIGINT, BOOLEAN or DATE, found DOUBLE"));
    // Whole numbers, flags and days go too.
    for columns in [&["whole"][..], &["flag"], &["day"], &["site", "flag", "whole", "day"]] {
        let mut request = request("linear_regression", "number", columns);
        request.partition.as_mut().unwrap().min_rows = 1;
        if columns.len() == 4 {
            // A feature is left.
            let trained = run(&request, &rows).unwrap();
            assert!(trained.partitions.unwrap().groups > 100);
        } else {
            assert!(run(&request, &rows).is_ok(), "{columns:?}");
        }
    }
}

#[test]
fn a_group_has_its_own_classes_among_all() {
    // Of the group `two` the class `c` has no row; `one` has a single class.
    let mut rows: Vec<(&str, f64, &str)> = Vec::new();
    for i in 0..30 {
        let x = f64::from(i);
        rows.push(("three", x, ["a", "b", "c"][i as usize / 10]));
        rows.push(("two", x, ["b", "a"][i as usize / 15]));
        rows.push(("one", x, "d"));
    }
    let column = |of: &dyn Fn(&(&str, f64, &str)) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(of)))
    };
    let rows = batch(vec![
        ("site", column(&|row| row.0.to_owned())),
        ("x", Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.1)))),
        ("y", column(&|row| row.2.to_owned())),
    ]);
    for algorithm in ["decision_tree", "logistic_regression"] {
        let trained = run(&request(algorithm, "y", &["site"]), &rows).unwrap();
        assert_eq!(trained.signature.classes.len(), 4);
        let model = model(&trained);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec!["three", "two", "one", "three"])),
            Arc::new(Float64Array::from(vec![25.0, 25.0, 25.0, 5.0])),
        ];
        let labels = model.predict(&columns, 4).unwrap();
        let labels: Vec<&str> = labels.as_string::<i32>().iter().flatten().collect();
        assert_eq!((labels[0], labels[1], labels[3]), ("c", "a", "a"), "{algorithm}");
        let proba = model.predict_proba(&columns, 4).unwrap();
        let two = proba.as_list::<i32>().value(1);
        let two = two.as_primitive::<Float64Type>().values().to_vec();
        assert_eq!((two.len(), two[2], two[3]), (4, 0.0, 0.0));
        assert!((two.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        // Weights may name classes that a group does not have, where the algorithm takes some.
        let mut weighed = request(algorithm, "y", &["site"]);
        weighed.parameters = vec![("class_weight".into(), Value::Text("{\"c\": 3, \"d\": 2}".into()))];
        let known = crate::train::algorithms().find(|known| known.name == algorithm).unwrap();
        if known.parameters.iter().any(|parameter| parameter.name == "class_weight") {
            assert_eq!(run(&weighed, &rows).unwrap().partitions.unwrap().fallback, 1);
        }
    }
}

#[test]
fn a_panic_in_one_group_is_that_groups_reason() {
    let x = (0..40).map(|i| f64::from(i % 20) + if i < 20 { 0.0 } else { 100.0 });
    let rows = batch(vec![
        ("n", Arc::new(Int64Array::from_iter_values((0..40).map(|i| i / 20)))),
        ("x", Arc::new(Float64Array::from_iter_values(x))),
        ("y", Arc::new(Float64Array::from_iter_values((0..40).map(f64::from)))),
    ]);
    let mut request = without_fallback(request("linear_regression", "y", &["n"]));
    let mut plan = Plan::new(&request, rows.schema_ref()).unwrap();
    plan.algorithm = &Fragile;
    plan.parameters =
        Parameters::resolve("linear_regression", crate::train::linear_regression::LinearRegression.parameters(), &[])
            .unwrap();
    let partition = request.partition.take().unwrap();
    let trained = crate::train::partition::train(&plan, &request, &partition, vec![rows], None, &Threads(2)).unwrap();
    assert_eq!(trained.partitions.map(|p| (p.groups, p.fallback)), Some((2, 1)));
    let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![1])), Arc::new(Float64Array::from(vec![0.0]))];
    let error = model(&trained).predict(&columns, 1).unwrap_err();
    assert_eq!(error.message(), "the group n = 1 has no model: its training failed: a library broke");
}

/// Stops, or refuses memory, after so many questions.
struct Short {
    questions: AtomicUsize,
    stop: bool,
}

impl Watch for Short {
    fn cancelled(&self) -> bool {
        self.stop && self.questions.fetch_sub(1, Ordering::Relaxed) == 0
    }
    fn progress(&self, _done: f64) {}
    fn reserve(&self, bytes: usize) -> Result<()> {
        match !self.stop && self.questions.fetch_sub(1, Ordering::Relaxed) == 0 {
            true => Err(crate::Error::exhausted(format!("no {bytes} bytes left"))),
            false => Ok(()),
        }
    }
}

#[test]
fn a_cancellation_and_a_refusal_of_memory_end_the_training_wherever_they_come() {
    let rows = sites_for("number");
    for (stop, class) in [(true, ErrorClass::Cancelled), (false, ErrorClass::Exhausted)] {
        let mut done = false;
        for questions in 0..400 {
            let watch = Short { questions: AtomicUsize::new(questions), stop };
            let request = request("linear_regression", "number", &["site"]);
            match train(&request, rows.schema_ref(), vec![rows.clone()], &watch) {
                Ok(_) => done = true,
                Err(error) => assert_eq!(error.class(), class, "{questions}: {error}"),
            }
        }
        assert!(done, "{stop}");
    }
}

/// So many groups of 12 rows.
fn many(groups: i64) -> RecordBatch {
    let rows = groups * 12;
    let x: Vec<f64> = (0..rows).map(|i| (i * i % 101) as f64).collect();
    let y = x.iter().zip(0..).map(|(x, i)| x * (i % groups) as f64 + (i / groups) as f64);
    batch(vec![
        ("n", Arc::new(Int64Array::from_iter_values((0..rows).map(|i| i % groups)))),
        ("x", Arc::new(Float64Array::from(x.clone()))),
        ("y", Arc::new(Float64Array::from_iter_values(y))),
    ])
}

#[test]
fn members_are_bounded_and_come_back() {
    let rows = many(9_000);
    let trained = run(&request("linear_regression", "y", &["n"]), &rows).unwrap();
    let columns = rows.project(&[0, 1]).unwrap().columns().to_vec();
    let whole = model(&trained);
    let expected = whole.predict(&columns, rows.num_rows()).unwrap();
    let mut small = model(&trained);
    assert_eq!(small.members().blocks(), 3);
    small.members_mut().keep_at_most(1);
    for start in [0, 50_000, 20_000] {
        let slices: Vec<ArrayRef> = columns.iter().map(|column| column.slice(start, 9_000)).collect();
        assert_eq!(small.predict(&slices, 9_000).unwrap().as_ref(), expected.slice(start, 9_000).as_ref());
        // One block is left, and never more than it.
        assert!(small.members().kept_bytes() < whole.members().kept_bytes() / 2);
    }
}

#[test]
fn parts_that_are_missing_damaged_or_hostile_are_errors() {
    let trained = run(&request("decision_tree", "name", &["site"]), &sites_for("name")).unwrap();
    let parts: Vec<(String, Vec<u8>)> =
        trained.parts.iter().map(|part| (part.sha256.clone(), part.bytes.clone())).collect();
    assert_eq!(crate::model::partition::parts(&trained.artifact).unwrap().len(), parts.len());
    for left_out in 0..parts.len() {
        let mut others = parts.clone();
        others.remove(left_out);
        assert!(PartitionedModel::load(&trained.artifact, &others).is_err());
        let mut damaged = parts.clone();
        damaged[left_out].1[10] ^= 1;
        assert!(PartitionedModel::load(&trained.artifact, &damaged).is_err());
    }
    // Hostile bytes under their right hash: whatever still loads must also score or fail, but never panic.
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize
    };
    let rows = sites_for("name");
    for round in 0..600 {
        let mut hostile = parts.clone();
        let manifest = String::from_utf8(trained.artifact.clone()).unwrap();
        let (sha256, bytes) = &mut hostile[round % parts.len()];
        for _ in 0..=next() % 3 {
            let at = next() % bytes.len();
            bytes[at] = next() as u8;
        }
        let honest = std::mem::replace(sha256, crate::train::sha256_hex(bytes));
        let manifest = manifest.replace(&honest, sha256);
        if let Ok(model) = PartitionedModel::load(manifest.as_bytes(), &hostile) {
            let _ = model.predict(&features(&model, &rows), rows.num_rows());
        }
    }
}
