//! The algorithms for distances and densities under what may happen to any training: threads, arrival, cancellation,
//! exhausted memory, and rows that say little or too much.

use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::UInt32Array;
use arrow::compute::take_record_batch;

use super::*;
use crate::ErrorClass;
use crate::model::evaluator::load;
use crate::train::{Watch, sha256_hex};

/// Every algorithm of this kind with parameters that make it work.
fn requests() -> Vec<Request> {
    let text = |text: &str| Value::Text(text.to_owned());
    let without = |algorithm: &str| Request { target: None, ..request(algorithm, "") };
    vec![
        request("gaussian_nb", "class"),
        with(without("kmeans"), "n_clusters", Value::Integer(3)),
        with(with(without("kmeans"), "init", text("random")), "n_init", Value::Integer(2)),
        with(without("gaussian_mixture"), "n_components", Value::Integer(2)),
        with(with(without("gaussian_mixture"), "n_components", Value::Integer(2)), "covariance_type", text("tied")),
        with(with(without("gaussian_mixture"), "n_components", Value::Integer(2)), "covariance_type", text("diag")),
        with(with(without("dbscan"), "eps", Value::Double(3.0)), "min_samples", Value::Integer(3)),
        without("pca"),
        request("svm", "class"),
        with(request("svm", "class"), "kernel", text("linear")),
        with(request("svm", "number"), "max_iter", Value::Integer(2000)),
    ]
}

/// Rows with gaps, a constant column and one that follows from another.
fn rows(count: u32) -> RecordBatch {
    let wave = |i: u32, step: u32| f64::from(i * step % 101) / 10.0;
    let a: Vec<Option<f64>> = (0..count).map(|i| (i % 13 != 5).then_some(wave(i, 7))).collect();
    let b: Vec<f64> = (0..count).map(|i| wave(i * i % 499, 3) + if i % 3 == 0 { 40.0 } else { 0.0 }).collect();
    let twice: Vec<f64> = b.iter().map(|v| v * 2.0 - 1.0).collect();
    let class: Vec<String> = (0..count).map(|i| ["a", "b", "ü"][(i % 3).min(i % 7 % 3) as usize].to_owned()).collect();
    batch(vec![
        ("a", doubles(&a)),
        ("b", known(&b)),
        ("twice", known(&twice)),
        ("same", known(&vec![0.1; count as usize])),
        ("class", Arc::new(StringArray::from(class))),
        ("number", known(&(0..count).map(|i| wave(i, 11)).collect::<Vec<f64>>())),
    ])
}

/// The columns that are features, and the target.
fn for_request(request: &Request, rows: &RecordBatch) -> RecordBatch {
    let keep = |name: &str| !["class", "number"].contains(&name) || request.target.as_deref() == Some(name);
    let schema = rows.schema();
    let kept: Vec<usize> = (0..rows.num_columns()).filter(|i| keep(schema.field(*i).name())).collect();
    rows.project(&kept).unwrap()
}

/// Counts questions; says yes from some question on, and refuses memory from some reservation on.
struct Limited {
    threads: usize,
    asked: AtomicUsize,
    cancelled_from: usize,
    reserved: AtomicUsize,
    refused_from: usize,
}

impl Limited {
    fn new(threads: usize, cancelled_from: usize, refused_from: usize) -> Self {
        let none = || AtomicUsize::new(0);
        Limited { threads, asked: none(), cancelled_from, reserved: none(), refused_from }
    }
}

impl Watch for Limited {
    fn cancelled(&self) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed) >= self.cancelled_from
    }

    fn progress(&self, done: f64) {
        assert!((0.0..=1.0).contains(&done));
    }

    fn reserve(&self, bytes: usize) -> Result<()> {
        match self.reserved.fetch_add(1, Ordering::Relaxed) >= self.refused_from {
            true => Err(crate::Error::exhausted(format!("no {bytes} bytes left"))),
            false => Ok(()),
        }
    }

    fn threads(&self) -> usize {
        self.threads
    }
}

fn told(trained: &Trained) -> String {
    let metrics: Vec<String> = trained.metrics.iter().map(|m| format!("{}={:?}", m.name, m.value)).collect();
    format!("{} {}", sha256_hex(&trained.artifact), metrics.join(","))
}

#[test]
fn threads_and_arrival_do_not_matter() {
    for request in requests() {
        let svm = request.algorithm.as_deref() == Some("svm");
        let rows = for_request(&request, &rows(if svm { 400 } else { 9_001 }));
        let count = rows.num_rows() as u32;
        let split = |split: Split| Request { split, ..request.clone() };
        for request in [split(Split::None), split(Split::Random(0.25))] {
            let expected = told(&run(&request, &rows).unwrap());
            for threads in [2, 8] {
                let watch = Limited::new(threads, usize::MAX, usize::MAX);
                let trained = train(&request, rows.schema_ref(), vec![rows.clone()], &watch).unwrap();
                assert_eq!(told(&trained), expected, "{threads} threads: {request:?}");
            }
            let order = UInt32Array::from_iter_values((0..count).map(|i| (i * 7 + 3) % count));
            let shuffled = take_record_batch(&rows, &order).unwrap();
            let batches =
                (0..count as usize).step_by(97).map(|from| shuffled.slice(from, 97.min(count as usize - from)));
            let trained = train(&request, rows.schema_ref(), batches.collect(), &Patient).unwrap();
            assert_eq!(told(&trained), expected, "{request:?}");
        }
    }
}

#[test]
fn a_training_stops_wherever_it_is_told_to() {
    for request in requests() {
        let rows = for_request(&request, &rows(150));
        let free = Limited::new(2, usize::MAX, usize::MAX);
        train(&request, rows.schema_ref(), vec![rows.clone()], &free).unwrap();
        let (asked, reserved) = (free.asked.into_inner(), free.reserved.into_inner());
        assert!(asked > 5 && reserved > 0, "{request:?}");
        for from in (0..asked).step_by(1 + asked / 50) {
            let watch = Limited::new(2, from, usize::MAX);
            let error = train(&request, rows.schema_ref(), vec![rows.clone()], &watch).unwrap_err();
            assert_eq!(error.class(), ErrorClass::Cancelled, "{request:?}");
        }
        for from in 0..reserved {
            let watch = Limited::new(2, usize::MAX, from);
            let error = train(&request, rows.schema_ref(), vec![rows.clone()], &watch).unwrap_err();
            assert_eq!(error.class(), ErrorClass::Exhausted, "{request:?}");
        }
    }
}

/// Trains, and scores the training rows and odd ones; nothing is NaN.
fn scores_of(request: &Request, rows: &RecordBatch) -> Result<()> {
    let trained = run(request, rows)?;
    assert!(trained.metrics.iter().all(|metric| metric.value.is_finite()), "{request:?}");
    let model = load(&trained.artifact).unwrap();
    let features: Vec<ArrayRef> = trained
        .signature
        .features
        .iter()
        .map(|feature| {
            let known = rows.column_by_name(&feature.name).unwrap();
            let odd = doubles(&[None, Some(f64::INFINITY), Some(f64::NEG_INFINITY), Some(-0.0), Some(5e-324)]);
            arrow::compute::concat(&[known, &odd]).unwrap()
        })
        .collect();
    let count = rows.num_rows() + 5;
    let predicted = model.predict(&features, count).unwrap();
    assert_eq!((predicted.len(), predicted.null_count()), (count, 0));
    let numbers = match model.predict_proba(&features, count) {
        Ok(lists) => lists,
        Err(_) => predicted,
    };
    if let Some(lists) = numbers.as_any().downcast_ref::<arrow::array::ListArray>() {
        let values = lists.values().as_any().downcast_ref::<Float64Array>().unwrap();
        assert!(values.iter().all(|value| value.is_some_and(|value| !value.is_nan())), "{request:?}");
    }
    Ok(())
}

#[test]
fn more_features_than_rows_and_a_thousand_of_them() {
    let value = |i: u32, j: u32| f64::from((i * 37 + j * 11 + i * j) % 19);
    let mut columns: Vec<(String, ArrayRef)> =
        (0..1_000).map(|j| (format!("x{j}"), known(&(0..12).map(|i| value(i, j)).collect::<Vec<f64>>()))).collect();
    columns.push(("class".into(), Arc::new(StringArray::from(["n", "y", "n", "y"].repeat(3)))));
    columns.push(("number".into(), known(&(0..12).map(f64::from).collect::<Vec<f64>>())));
    let rows = batch(columns.iter().map(|(name, array)| (name.as_str(), array.clone())).collect());
    for request in requests() {
        let request = match request.algorithm.as_deref() {
            Some("dbscan") => Request { parameters: vec![("eps".into(), Value::Double(1e3))], ..request },
            Some("gaussian_mixture") if request.parameters.len() == 1 => {
                with(request, "covariance_type", Value::Text("spherical".into()))
            }
            _ => request,
        };
        scores_of(&request, &for_request(&request, &rows)).unwrap();
    }
}

#[test]
fn one_row_and_rows_that_are_all_the_same() {
    for request in requests().into_iter().filter(|request| request.target.is_none()) {
        for count in [1, 40] {
            let rows = batch(vec![("a", known(&vec![3.5; count])), ("b", known(&vec![-1e300; count]))]);
            let few = Request {
                parameters: request
                    .parameters
                    .iter()
                    .map(|(name, value)| match name.as_str() {
                        "n_clusters" | "n_components" | "min_samples" => (name.clone(), Value::Integer(1)),
                        "init" => (name.clone(), Value::Text("k-means++".into())),
                        _ => (name.clone(), value.clone()),
                    })
                    .filter(|(name, _)| request.algorithm.as_deref() != Some("kmeans") || name != "n_clusters")
                    .chain(
                        (request.algorithm.as_deref() == Some("kmeans"))
                            .then(|| ("n_clusters".to_owned(), Value::Integer(1))),
                    )
                    .collect(),
                ..request.clone()
            };
            match scores_of(&few, &rows) {
                Ok(()) => {}
                // Variances of rows of 1e300 that do not vary, beside a `reg_covar` of 1e-6: nothing is left of it.
                Err(error) => assert!(error.message().contains("no spread"), "{few:?}: {error}"),
            }
        }
    }
}

#[test]
fn columns_of_any_size_make_a_model_or_a_clear_error() {
    for scale in [1e300, 1e-300, 1e-320] {
        for request in requests() {
            let rows = rows(90);
            let scaled = |name: &str| -> ArrayRef {
                let column =
                    rows.column_by_name(name).unwrap().as_any().downcast_ref::<Float64Array>().unwrap().clone();
                Arc::new(column.iter().map(|value| value.map(|value| value * scale)).collect::<Float64Array>())
            };
            let rows = batch(vec![
                ("a", scaled("a")),
                ("b", scaled("b")),
                ("plain", rows.column_by_name("a").unwrap().clone()),
                ("class", rows.column_by_name("class").unwrap().clone()),
                ("number", rows.column_by_name("number").unwrap().clone()),
            ]);
            if let Err(error) = scores_of(&request, &for_request(&request, &rows)) {
                assert_eq!(error.class(), ErrorClass::Input, "{request:?}: {error}");
                assert!(error.hint().is_some(), "{request:?}: {error}");
            }
        }
    }
}

#[test]
fn a_clustering_takes_no_target_and_names_what_it_expects() {
    let rows = for_request(&request("svm", "class"), &rows(20));
    let error = run(&request("kmeans", "class"), &rows).unwrap_err();
    assert_eq!(error.message(), "kmeans takes no target, found one");
    let pca = |value: Value| with(Request { target: None, ..request("pca", "") }, "n_components", value);
    let error = run(&pca(Value::Integer(0)), &rows.project(&[0, 1]).unwrap()).unwrap_err();
    let text = "parameter `n_components` of pca: expected a whole number from 1, or a share above 0 and up to 1, or NULL, \
                found 0";
    assert_eq!(error.message(), text);
}
