//! Trainings from batches to artifacts: the same bytes for the same rows, errors, and what a reader of the artifact gets.

mod determinism;
mod errors;
mod results;
mod shapes;
mod trees;

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;

use super::testing::Patient;
use super::{Request, Split, Trained, Value, train};
use crate::Result;

/// A request without parameters that holds nothing out.
fn request(algorithm: &str, target: &str) -> Request {
    Request {
        algorithm: Some(algorithm.to_owned()),
        parameters: Vec::new(),
        target: Some(target.to_owned()),
        split: Split::None,
        seed: 1,
        partition: None,
    }
}

fn with(mut request: Request, name: &str, value: Value) -> Request {
    request.parameters.push((name.to_owned(), value));
    request
}

fn doubles(values: &[Option<f64>]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

fn known(values: &[f64]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn run(request: &Request, batch: &RecordBatch) -> Result<Trained> {
    train(request, batch.schema_ref(), vec![batch.clone()], &Patient)
}

/// 300 rows of every type that a feature or a target may have, with gaps and duplicates.
fn mixed() -> RecordBatch {
    let n = 300_i64;
    let every = |k: i64| (0..n).map(move |i| (i, i % k != 0));
    let gaps: Vec<Option<f64>> = every(7).map(|(i, some)| some.then_some((i * 37 % 50) as f64 / 3.0)).collect();
    let whole: Vec<Option<i64>> = every(11).map(|(i, some)| some.then_some(i * i % 23)).collect();
    let number: Vec<Option<f64>> =
        every(29).map(|(i, some)| some.then_some((i % 50) as f64 + (i % 3) as f64)).collect();
    let flags: Vec<Option<bool>> = every(31).map(|(i, some)| some.then_some(i * 37 % 50 > 20 || i % 9 == 0)).collect();
    let texts: Vec<&str> = (0..n).map(|i| ["alpha", "größe", "beta", "größe"][(i * i % 23 / 6) as usize]).collect();
    batch(vec![
        ("gaps", doubles(&gaps)),
        ("whole", Arc::new(Int64Array::from(whole))),
        ("flag", Arc::new((0..n).map(|i| Some(i % 4 == 1)).collect::<BooleanArray>())),
        ("day", Arc::new((0..n).map(|i| Some((i % 40) as i32)).collect::<Date32Array>())),
        ("number", doubles(&number)),
        ("yes", Arc::new(BooleanArray::from(flags))),
        ("name", Arc::new(StringArray::from(texts))),
    ])
}

/// Columns of [`mixed`] that can be features, and one target.
fn mixed_for(target: &str) -> RecordBatch {
    let all = mixed();
    let keep = |name: &&str| ["gaps", "whole", "flag", "day", target].contains(name);
    let names: Vec<&str> = all.schema_ref().fields().iter().map(|f| f.name().as_str()).filter(|n| keep(n)).collect();
    let positions: Vec<usize> = names.iter().map(|name| all.schema_ref().index_of(name).unwrap()).collect();
    all.project(&positions).unwrap()
}
