//! Partitioned trainings: each group as if it were alone, whatever becomes of the others, and the same bytes always.

mod alone;
mod refreshing;
mod trouble;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{ArrayRef, AsArray, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray, UInt32Array};
use arrow::compute::{filter_record_batch, take_record_batch};
use arrow::datatypes::Float64Type;
use arrow::record_batch::RecordBatch;

use crate::model::evaluator::{Evaluator, load};
use crate::model::partition::{KeySet, PartitionedModel};
use crate::train::algorithm::Algorithm;
use crate::train::parameter::Parameters;
use crate::train::plan::Plan;
use crate::train::testing::{Fragile, Patient, Threads};
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
