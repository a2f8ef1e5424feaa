//! Partitioned trainings: each group as if it were alone, whatever becomes of the others, and the same bytes always.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{ArrayRef, AsArray, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray, UInt32Array};
use arrow::compute::{filter_record_batch, take_record_batch};
use arrow::datatypes::Float64Type;
use arrow::record_batch::RecordBatch;

use crate::model::evaluator::{Evaluator, load};
use crate::model::partition::{KeySet, PartitionedModel};
use crate::model::signature::{Task, ValueType};
use crate::train::algorithm::{Algorithm, Context, Fitted};
use crate::train::parameter::{Parameters, Specification};
use crate::train::plan::Plan;
use crate::train::rows::Rows;
use crate::train::testing::Patient;
use crate::train::{Partition, Refresh, Request, Split, Trained, Value, Watch, refresh, train};
use crate::{ErrorClass, Result};

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn request(algorithm: &str, target: &str, columns: &[&str]) -> Request {
    Request {
        algorithm: Some(algorithm.to_owned()),
        parameters: Vec::new(),
        target: Some(target.to_owned()),
        split: Split::None,
        seed: 7,
        partition: Some(Partition {
            columns: columns.iter().map(|column| (*column).to_owned()).collect(),
            min_rows: 10,
            fallback: true,
        }),
    }
}

fn alone(request: &Request) -> Request {
    Request { partition: None, ..request.clone() }
}

fn without_fallback(mut request: Request) -> Request {
    request.partition.as_mut().unwrap().fallback = false;
    request
}

fn run(request: &Request, rows: &RecordBatch) -> Result<Trained> {
    train(request, rows.schema_ref(), vec![rows.clone()], &Patient)
}

fn model(trained: &Trained) -> PartitionedModel {
    let parts: Vec<(String, Vec<u8>)> =
        trained.parts.iter().map(|part| (part.sha256.clone(), part.bytes.clone())).collect();
    PartitionedModel::load(&trained.artifact, &parts).unwrap()
}

/// The artifact of a group's model.
fn onnx(trained: &Trained, key: &[ArrayRef]) -> Vec<u8> {
    let parts: Vec<(String, Vec<u8>)> =
        trained.parts.iter().map(|part| (part.sha256.clone(), part.bytes.clone())).collect();
    model(trained).onnx(key, &parts).unwrap()
}

const SITES: [Option<&str>; 5] = [Some("a"), Some("größe"), None, Some("b"), Some("c")];

/// 5 groups of 60 rows: by name, NULL among them; every target, and features with gaps.
fn sites() -> RecordBatch {
    let n = 300_i64;
    let site: Vec<Option<&str>> = (0..n).map(|i| SITES[(i % 5) as usize]).collect();
    let noise = |i: i64, k: i64| (i * i * 31 + i * k) % 97;
    let gaps: Vec<Option<f64>> = (0..n).map(|i| (i % 11 != 3).then_some(noise(i, 3) as f64 / 7.0)).collect();
    let whole: Vec<Option<i64>> = (0..n).map(|i| (i % 13 != 4).then_some(noise(i, 5) % 23)).collect();
    let number: Vec<Option<f64>> = (0..n)
        .map(|i| (i % 29 != 1).then_some((noise(i, 3) * (i % 5 + 1)) as f64 + noise(i, 7) as f64 / 9.0))
        .collect();
    let yes: Vec<Option<bool>> = (0..n).map(|i| Some(noise(i, 3) + noise(i, 11) / 4 > 50 + 3 * (i % 5))).collect();
    let name: Vec<&str> = (0..n).map(|i| ["x", "y", "z"][(noise(i, 3) / 33 % 3) as usize]).collect();
    batch(vec![
        ("gaps", Arc::new(Float64Array::from(gaps))),
        ("whole", Arc::new(Int64Array::from(whole))),
        ("site", Arc::new(StringArray::from(site))),
        ("day", Arc::new((0..n).map(|i| Some((i % 40) as i32)).collect::<Date32Array>())),
        ("flag", Arc::new((0..n).map(|i| Some(i % 4 == 1)).collect::<BooleanArray>())),
        ("number", Arc::new(Float64Array::from(number))),
        ("yes", Arc::new(BooleanArray::from(yes))),
        ("name", Arc::new(StringArray::from(name))),
    ])
}

fn without(rows: &RecordBatch, names: &[&str]) -> RecordBatch {
    let fields = rows.schema_ref().fields().iter().enumerate();
    let kept: Vec<usize> =
        fields.filter(|(_, f)| !names.contains(&f.name().as_str())).map(|(place, _)| place).collect();
    rows.project(&kept).unwrap()
}

/// The columns of [`sites`] that are features, the groups, and one target.
fn sites_for(target: &str) -> RecordBatch {
    let others: Vec<&str> = ["number", "yes", "name"].into_iter().filter(|name| *name != target).collect();
    without(&sites(), &others)
}

fn of_site(rows: &RecordBatch, site: Option<&str>) -> RecordBatch {
    let sites = rows.column_by_name("site").unwrap().as_string::<i32>();
    let mask: BooleanArray = sites.iter().map(|value| Some(value == site)).collect();
    without(&filter_record_batch(rows, &mask).unwrap(), &["site"])
}

fn key(site: Option<&str>) -> Vec<ArrayRef> {
    vec![Arc::new(StringArray::from(vec![site]))]
}

/// The feature columns in the model's order.
fn features(model: &dyn Evaluator, rows: &RecordBatch) -> Vec<ArrayRef> {
    let names = model.signature().features.iter().map(|feature| feature.name.as_str());
    names.map(|name| rows.column_by_name(name).unwrap().clone()).collect()
}

const CASES: [(&str, &str); 5] = [
    ("linear_regression", "number"),
    ("decision_tree", "number"),
    ("logistic_regression", "yes"),
    ("logistic_regression", "name"),
    ("decision_tree", "name"),
];

fn splits() -> [Split; 4] {
    [Split::None, Split::Random(0.3), Split::Time { column: "day".into(), held_out: 0.2 }, Split::Column("flag".into())]
}

#[test]
fn a_groups_model_is_the_one_of_its_rows_alone_byte_for_byte() {
    for (algorithm, target) in CASES {
        for split in splits() {
            let rows = sites_for(target);
            let request = Request { split, ..request(algorithm, target, &["site"]) };
            let trained = run(&request, &rows).unwrap();
            assert_eq!(trained.partitions.unwrap().groups, 5);
            assert_eq!(trained.partitions.unwrap().fallback, 0);
            for site in SITES {
                let lone = run(&alone(&request), &of_site(&rows, site)).unwrap();
                assert!(onnx(&trained, &key(site)) == lone.artifact, "{algorithm} of {target} for {site:?}");
            }
        }
    }
}

#[test]
fn predictions_are_those_of_each_groups_model_for_runs_and_for_scattered_rows() {
    for (algorithm, target) in CASES {
        let rows = sites_for(target);
        let request = request(algorithm, target, &["site"]);
        let trained = run(&request, &rows).unwrap();
        let model = model(&trained);
        // Scattered, as they are; then by group.
        let by_site = UInt32Array::from_iter_values((0..300).map(|i| i % 60 * 5 + i / 60));
        for rows in [rows.clone(), take_record_batch(&rows, &by_site).unwrap()] {
            let all = model.predict(&features(&model, &rows), rows.num_rows()).unwrap();
            let proba =
                (target != "number").then(|| model.predict_proba(&features(&model, &rows), rows.num_rows()).unwrap());
            let found = batch(vec![("all", all), ("site", rows.column_by_name("site").unwrap().clone())]);
            for site in SITES {
                let own = of_site(&rows, site);
                let lone = load(&run(&alone(&request), &own).unwrap().artifact).unwrap();
                let expected = lone.predict(&features(lone.as_ref(), &own), own.num_rows()).unwrap();
                assert_eq!(of_site(&found, site).column(0), &expected, "{algorithm} of {target} for {site:?}");
                if let Some(proba) = &proba {
                    let all = batch(vec![("p", proba.clone()), ("site", found.column(1).clone())]);
                    let expected = lone.predict_proba(&features(lone.as_ref(), &own), own.num_rows()).unwrap();
                    assert_eq!(of_site(&all, site).column(0), &expected);
                }
            }
        }
    }
}

struct Threads(usize);

impl Watch for Threads {
    fn cancelled(&self) -> bool {
        false
    }
    fn progress(&self, _done: f64) {}
    fn reserve(&self, _bytes: usize) -> Result<()> {
        Ok(())
    }
    fn threads(&self) -> usize {
        self.0
    }
}

fn shas(request: &Request, batches: Vec<RecordBatch>, threads: usize) -> Vec<String> {
    let schema = batches[0].schema();
    let trained = train(request, &schema, batches, &Threads(threads)).unwrap();
    let mut shas: Vec<String> = trained.parts.iter().map(|part| part.sha256.clone()).collect();
    shas.push(String::from_utf8(trained.artifact).unwrap());
    shas.extend(trained.metrics.iter().map(|metric| format!("{} {:?}", metric.name, metric.value)));
    shas
}

#[test]
fn order_batches_and_threads_do_not_matter() {
    for (algorithm, target) in CASES {
        for split in splits() {
            for columns in [&["site"][..], &["site", "flag"]] {
                if columns.contains(&"flag") && split == Split::Column("flag".into()) {
                    continue;
                }
                let rows = sites_for(target);
                let request = Request { split: split.clone(), ..request(algorithm, target, columns) };
                let expected = shas(&request, vec![rows.clone()], 1);
                let shuffled = UInt32Array::from_iter_values((0..300).map(|i| i * 7 % 300));
                let shuffled = take_record_batch(&rows, &shuffled).unwrap();
                for (size, threads) in [(300, 2), (1, 1), (7, 8)] {
                    let batches = (0..300).step_by(size).map(|start| shuffled.slice(start, size.min(300 - start)));
                    assert_eq!(shas(&request, batches.collect(), threads), expected, "{request:?} {size} {threads}");
                }
            }
        }
    }
}

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

/// An algorithm that panics for one group and fails for another.
struct Fragile;

impl Algorithm for Fragile {
    fn name(&self) -> &'static str {
        "fragile"
    }
    fn doc(&self) -> &'static str {
        "breaks"
    }
    fn parameters(&self) -> &'static [Specification] {
        &[]
    }
    fn task(&self, _target: ValueType, _parameters: &Parameters) -> std::result::Result<Task, &'static str> {
        Ok(Task::Regression)
    }
    fn fit(&self, rows: &Rows, context: &Context<'_>) -> Result<Fitted> {
        match rows.features[0][0] {
            x if x >= 100.0 && rows.len() == 20 => panic!("a library broke"),
            _ => crate::train::linear_regression::LinearRegression.fit(rows, context),
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
    let trained = super::train(&plan, &request, &partition, vec![rows], None, &Threads(2)).unwrap();
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

/// The groups of some rows.
fn keys(rows: &RecordBatch) -> KeySet {
    let mut keys = KeySet::new(rows.schema_ref(), &["site".to_owned()]).unwrap();
    keys.add(rows).unwrap();
    keys
}

fn refreshed(request: &Request, older: &Trained, changed: &KeySet, rows: &RecordBatch) -> Result<Trained> {
    let parts: Vec<(String, Vec<u8>)> =
        older.parts.iter().map(|part| (part.sha256.clone(), part.bytes.clone())).collect();
    let older = Refresh { manifest: &older.artifact, parts: &parts, changed };
    let rows = vec![changed.filter(rows).unwrap()];
    refresh(request, rows[0].schema_ref(), rows.clone(), &older, &Patient)
}

#[test]
fn a_refresh_trains_what_changed_and_carries_the_rest_over() {
    let all = sites_for("number");
    let request = without_fallback(request("linear_regression", "number", &["site"]));
    // The older version knows neither `c`, nor the last rows of `a`; it knows `z`, whose rows are gone.
    let sites = all.column_by_name("site").unwrap().as_string::<i32>();
    let kept = |row: usize, site: Option<&str>| site != Some("c") && (site != Some("a") || row < 200);
    let mask: BooleanArray = sites.iter().enumerate().map(|(row, site)| Some(kept(row, site))).collect();
    let before = filter_record_batch(&all, &mask).unwrap();
    let gone = {
        let mut columns = of_site(&all, Some("b")).columns().to_vec();
        columns.insert(2, Arc::new(StringArray::from(vec!["z"; columns[0].len()])));
        RecordBatch::try_new(before.schema(), columns).unwrap()
    };
    let before = arrow::compute::concat_batches(&before.schema(), [&before, &gone]).unwrap();
    let older = run(&request, &before).unwrap();
    assert_eq!(older.partitions.unwrap().groups, 5);
    let changed: BooleanArray = sites.iter().map(|site| Some(matches!(site, Some("a" | "c")))).collect();
    let mut changed = keys(&filter_record_batch(&all, &changed).unwrap());
    changed.add(&gone).unwrap();
    let fresh = refreshed(&request, &older, &changed, &all).unwrap();
    assert_eq!(fresh.partitions.map(|p| (p.groups, p.fitted)), Some((5, 2)));
    // Without a model over all groups, nothing is left of the older version: it is a training of all rows.
    let anew = run(&request, &all).unwrap();
    assert_eq!(String::from_utf8(fresh.artifact).unwrap(), String::from_utf8(anew.artifact).unwrap());
    assert_eq!(fresh.parts, anew.parts);
}

#[test]
fn a_refresh_keeps_the_model_over_all_and_learns_new_classes() {
    let all = sites_for("name");
    let request = request("decision_tree", "name", &["site"]);
    let names = all.column_by_name("name").unwrap().as_string::<i32>();
    let site = all.column_by_name("site").unwrap().as_string::<i32>();
    // In the older version `a` has no `y`, and no other site has one either.
    let mask: BooleanArray = names.iter().map(|name| Some(name != Some("y"))).collect();
    let older = run(&request, &filter_record_batch(&all, &mask).unwrap()).unwrap();
    assert_eq!(older.signature.classes.len(), 2);
    let mask: BooleanArray =
        names.iter().zip(site).map(|(name, site)| Some(name != Some("y") || site == Some("a"))).collect();
    let rows = filter_record_batch(&all, &mask).unwrap();
    let changed: BooleanArray =
        rows.column_by_name("site").unwrap().as_string::<i32>().iter().map(|site| Some(site == Some("a"))).collect();
    let changed = keys(&filter_record_batch(&rows, &changed).unwrap());
    let fresh = refreshed(&request, &older, &changed, &rows).unwrap();
    assert_eq!(fresh.signature.classes.len(), 3);
    for site in SITES {
        let lone = run(&alone(&request), &of_site(&rows, site)).unwrap();
        assert!(onnx(&fresh, &key(site)) == lone.artifact, "{site:?}");
    }
    let unseen = key(Some("unseen"));
    assert!(onnx(&fresh, &unseen) == onnx(&older, &unseen));
    let other = Request { parameters: vec![("max_depth".into(), Value::Integer(1))], ..request };
    let error = refreshed(&other, &older, &changed, &rows).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Input);
}
