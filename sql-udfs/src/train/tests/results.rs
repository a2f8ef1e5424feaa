//! What a training gives beside bytes: counts, parameters, metrics; and that its artifact predicts what was measured.

use arrow::array::{Array, AsArray, LargeStringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Float64Type};

use super::*;
use crate::model::evaluator::load;
use crate::model::signature::{ClassLabel, Task, ValueType};

fn metric(trained: &Trained, name: &str) -> Option<f64> {
    trained.metrics.iter().find(|metric| metric.name == name).map(|metric| metric.value)
}

#[test]
fn a_line_through_known_points() {
    // y = 2x + 1 with the last point 4 too high, held out by the column.
    let held: ArrayRef = Arc::new(BooleanArray::from(vec![false, false, false, true]));
    let rows = batch(vec![("x", known(&[1.0, 2.0, 3.0, 4.0])), ("y", known(&[3.0, 5.0, 7.0, 13.0])), ("held", held)]);
    let request = Request { split: Split::Column("held".into()), ..request("linear_regression", "y") };
    let trained = run(&request, &rows).unwrap();
    assert_eq!((trained.rows_train, trained.rows_held_out, trained.rows_dropped), (3, 1, 0));
    let names: Vec<&str> = trained.metrics.iter().map(|m| m.name.as_str()).collect();
    // One held-out row has no variance, so no r2.
    assert_eq!(names, ["rmse", "mae", "mse", "train_rmse", "train_mae", "train_r2", "train_mse"]);
    assert!((metric(&trained, "rmse").unwrap() - 4.0).abs() < 1e-12);
    assert!(metric(&trained, "train_rmse").unwrap() < 1e-12);
    assert!((metric(&trained, "train_r2").unwrap() - 1.0).abs() < 1e-12);
    let parameters: Vec<String> = trained.parameters.iter().map(|(n, v)| format!("{n}={v}")).collect();
    assert_eq!(parameters, ["fit_intercept=true", "alpha=0.0", "sample_weight=null", "missing=mean"]);

    let model = load(&trained.artifact).unwrap();
    assert_eq!(model.signature(), &trained.signature);
    let found = model.predict(&[doubles(&[Some(10.0), None])], 2).unwrap();
    // A missing x counts as the mean of the three training rows, 2.
    let found = found.as_primitive::<Float64Type>();
    assert!((found.value(0) - 21.0).abs() < 1e-9 && (found.value(1) - 5.0).abs() < 1e-9);
    assert!(model.predict_proba(&[known(&[1.0])], 1).is_err());
    assert_eq!(model.predict(&[known(&[])], 0).unwrap().len(), 0);
}

#[test]
fn rows_without_a_target_or_a_split_are_dropped_and_counted() {
    let held: ArrayRef = Arc::new(BooleanArray::from(vec![Some(false), None, Some(false), Some(true), Some(false)]));
    let y = doubles(&[Some(1.0), Some(2.0), None, Some(4.0), Some(5.0)]);
    let rows = batch(vec![("x", known(&[1.0, 2.0, 3.0, 4.0, 5.0])), ("y", y), ("held", held)]);
    let request = Request { split: Split::Column("held".into()), ..request("linear_regression", "y") };
    let trained = run(&request, &rows).unwrap();
    assert_eq!((trained.rows_train, trained.rows_held_out, trained.rows_dropped), (2, 1, 2));
}

#[test]
fn the_last_share_of_time_is_held_out() {
    let time: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![30, 10, 50, 20, 40]));
    let rows =
        batch(vec![("t", time), ("x", known(&[3.0, 1.0, 5.0, 2.0, 4.0])), ("y", known(&[3.0, 1.0, 9.0, 2.0, 4.0]))]);
    let split = Split::Time { column: "t".into(), held_out: 0.2 };
    let trained = run(&Request { split, ..request("linear_regression", "y") }, &rows).unwrap();
    assert_eq!((trained.rows_train, trained.rows_held_out), (4, 1));
    // The row at 50 is held out: the line is y = x, and misses it by 4.
    assert!((metric(&trained, "mae").unwrap() - 4.0).abs() < 1e-9);
    let names: Vec<&str> = trained.signature.features.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["x"]);
}

#[test]
fn classifiers_answer_in_the_targets_type_with_their_classes_in_order() {
    for (algorithm, target, data_type) in [
        ("logistic_regression", "yes", DataType::Boolean),
        ("decision_tree", "name", DataType::Utf8),
        ("decision_tree", "whole", DataType::Int64),
    ] {
        let rows = mixed_for(target);
        let trained = run(&request(algorithm, target), &rows).unwrap();
        assert_eq!(trained.signature.task, Task::Classification);
        let model = load(&trained.artifact).unwrap();
        let features: Vec<ArrayRef> = trained
            .signature
            .features
            .iter()
            .map(|feature| rows.column_by_name(&feature.name).unwrap().clone())
            .collect();
        let labels = model.predict(&features, rows.num_rows()).unwrap();
        assert_eq!(labels.data_type(), &data_type);
        assert_eq!(labels.null_count(), 0);
        let probabilities = model.predict_proba(&features, rows.num_rows()).unwrap();
        assert_eq!(probabilities.data_type(), &trained.signature.probability_type());
        for row in 0..rows.num_rows() {
            let of_row = probabilities.as_list::<i32>().value(row);
            let sum: f64 = of_row.as_primitive::<Float64Type>().values().iter().sum();
            assert!((sum - 1.0).abs() < 1e-12);
        }
        let actual = rows.column_by_name(target).unwrap();
        let known: Vec<usize> = (0..rows.num_rows()).filter(|row| actual.is_valid(*row)).collect();
        let right = known.iter().filter(|row| labels.slice(**row, 1).to_data() == actual.slice(**row, 1).to_data());
        let accuracy = right.count() as f64 / known.len() as f64;
        assert_eq!(metric(&trained, "train_accuracy"), Some(accuracy), "{algorithm} {target}");
    }
    let trained = run(&request("decision_tree", "name"), &mixed_for("name")).unwrap();
    let texts = ["alpha", "beta", "größe"].map(|text| ClassLabel::Text(text.to_owned()));
    assert_eq!(trained.signature.classes, texts);
}

#[test]
fn the_algorithm_follows_from_the_target() {
    for (target, algorithm) in [
        ("number", "linear_regression"),
        ("whole", "linear_regression"),
        ("yes", "logistic_regression"),
        ("name", "logistic_regression"),
    ] {
        let request = Request { algorithm: None, ..request("", target) };
        assert_eq!(run(&request, &mixed_for(target)).unwrap().algorithm, algorithm);
    }
    let rows = mixed_for("whole");
    let settled = |request: &Request| {
        let trained = run(request, &rows).unwrap();
        (trained.signature.task, trained.parameters)
    };
    let (task, parameters) = settled(&request("decision_tree", "whole"));
    assert_eq!(task, Task::Classification);
    assert!(parameters.contains(&("criterion".to_owned(), Value::Text("gini".to_owned()))));
    let (task, parameters) =
        settled(&with(request("decision_tree", "whole"), "task", Value::Text("regression".into())));
    assert_eq!(task, Task::Regression);
    assert!(parameters.contains(&("criterion".to_owned(), Value::Text("squared_error".to_owned()))));
}

#[test]
fn other_widths_of_a_type_train_the_same_model() {
    use arrow::array::{DictionaryArray, Float32Array, Int32Array};
    use arrow::datatypes::Int8Type;
    let wide =
        batch(vec![("x", known(&[1.0, 2.0, 4.0, 8.0])), ("y", Arc::new(StringArray::from(vec!["a", "b", "a", "b"])))]);
    let narrow = batch(vec![
        ("x", Arc::new(Float32Array::from(vec![1.0, 2.0, 4.0, 8.0]))),
        ("y", Arc::new(LargeStringArray::from(vec!["a", "b", "a", "b"]))),
    ]);
    let keys: DictionaryArray<Int8Type> = vec!["a", "b", "a", "b"].into_iter().collect();
    let dictionary = batch(vec![("x", known(&[1.0, 2.0, 4.0, 8.0])), ("y", Arc::new(keys))]);
    let bytes = |rows| run(&request("logistic_regression", "y"), rows).unwrap().artifact;
    assert_eq!(bytes(&wide), bytes(&narrow));
    assert_eq!(bytes(&wide), bytes(&dictionary));
    let ints = batch(vec![("x", Arc::new(Int32Array::from(vec![1, 2, 4]))), ("y", known(&[1.0, 2.0, 5.0]))]);
    let trained = run(&request("linear_regression", "y"), &ints).unwrap();
    assert_eq!(trained.signature.features[0].value_type, ValueType::BigInt);
}

#[test]
fn a_feature_may_have_any_name() {
    for name in ["prediction", "limn.features", "N", "größe (m²)", "a b"] {
        let rows = batch(vec![(name, known(&[1.0, 2.0, 3.0])), ("y", known(&[1.0, 2.0, 3.0]))]);
        let model = load(&run(&request("linear_regression", "y"), &rows).unwrap().artifact).unwrap();
        assert_eq!(model.signature().features[0].name, name);
    }
}

#[test]
fn a_detector_measures_how_many_rows_are_anomalies() {
    // 99 rows beside each other and one far away: contamination asks for about every tenth.
    let values: Vec<f64> = (0..100).map(|i| if i == 0 { 1e6 } else { f64::from(i * 37 % 99) }).collect();
    let rows = batch(vec![("x", known(&values))]);
    let request = with(request("isolation_forest", ""), "contamination", Value::Double(0.1));
    let trained = run(&Request { target: None, ..request }, &rows).unwrap();
    let metric = |name: &str| trained.metrics.iter().find(|metric| metric.name == name).unwrap().value;
    let labels = load(&trained.artifact).unwrap().predict(rows.columns(), 100).unwrap();
    let anomalies = labels.as_primitive::<arrow::datatypes::Int64Type>().values().iter().filter(|v| **v == -1).count();
    assert_eq!(metric("train_anomaly_share"), anomalies as f64 / 100.0);
    assert!((1..=10).contains(&anomalies), "{anomalies}");
    assert_eq!(labels.as_primitive::<arrow::datatypes::Int64Type>().value(0), -1);
    assert!((0.0..1.0).contains(&metric("train_mean_score")));
}
