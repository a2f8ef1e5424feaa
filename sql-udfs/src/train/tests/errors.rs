//! What a user reads when a training cannot be.

use arrow::array::{BinaryArray, NullArray};

use super::*;
use crate::ErrorClass;
use crate::ErrorClass::{Input, NotFound};
use crate::train::plan::Plan;
use crate::train::testing::{Fragile, Threads};
use crate::train::{check, train_one};

/// The class, the text and the hint of a request that does not even need rows to fail.
fn refused(request: &Request, rows: &RecordBatch) -> (crate::ErrorClass, String) {
    let error = check(request, rows.schema_ref()).unwrap_err();
    // A training says the same as a check.
    assert_eq!(run(request, rows).unwrap_err().to_string(), error.to_string());
    (error.class(), error.to_string())
}

fn failed(request: &Request, columns: Vec<(&str, ArrayRef)>) -> String {
    let rows = batch(columns);
    check(request, rows.schema_ref()).unwrap();
    let error = run(request, &rows).unwrap_err();
    assert_eq!(error.class(), Input);
    error.to_string()
}

fn simple() -> RecordBatch {
    batch(vec![("temperature", known(&[1.0, 2.0])), ("demand", known(&[3.0, 5.0]))])
}

#[test]
fn unknown_names_offer_the_nearest() {
    let rows = simple();
    let found = refused(&request("linear_regresion", "demand"), &rows);
    let names: Vec<&str> = crate::train::algorithms().map(|algorithm| algorithm.name).collect();
    let text = format!(
        "unknown algorithm `linear_regresion`, the nearest is `linear_regression`\nhint: the algorithms are {}",
        names.join(", ")
    );
    assert_eq!(found, (NotFound, text));
    let found = refused(&request("linear_regression", "demnad"), &rows);
    let text = "unknown target column `demnad`, the nearest is `demand`\n\
                hint: the query gives the columns `temperature`, `demand`";
    assert_eq!(found, (NotFound, text.to_owned()));
    let found = refused(&with(request("linear_regression", "demand"), "alhpa", Value::Double(1.0)), &rows);
    let text = "unknown parameter of linear_regression `alhpa`, the nearest is `alpha`\n\
                hint: linear_regression has the parameters `fit_intercept`, `alpha`, `sample_weight`, `missing`";
    assert_eq!(found, (NotFound, text.to_owned()));
    let split = Split::Time { column: "tempretature".into(), held_out: 0.2 };
    let found = refused(&Request { split, ..request("linear_regression", "demand") }, &rows);
    assert!(found.1.starts_with("unknown time column `tempretature`, the nearest is `temperature`"), "{}", found.1);
}

#[test]
fn parameters_say_what_they_expect() {
    let rows = simple();
    let tree = || request("decision_tree", "demand");
    let linear = || request("linear_regression", "demand");
    for (request, text) in [
        (
            with(tree(), "max_depth", Value::Integer(0)),
            "parameter `max_depth` of decision_tree: expected a whole number from 1 to 64, or NULL, found 0",
        ),
        (
            with(tree(), "max_depth", Value::Text("deep".into())),
            "parameter `max_depth` of decision_tree: expected a whole number from 1 to 64, or NULL, found 'deep'",
        ),
        (
            with(tree(), "criterion", Value::Text("mse".into())),
            "parameter `criterion` of decision_tree: expected 'squared_error' or 'gini' or 'entropy', or NULL, found 'mse'",
        ),
        (
            with(tree(), "criterion", Value::Text("GINI".into())),
            "parameter `criterion` of decision_tree: expected 'squared_error' for a regression, found 'gini'",
        ),
        (
            with(linear(), "alpha", Value::Double(-1.0)),
            "parameter `alpha` of linear_regression: expected a number of at least 0, found -1.0",
        ),
        (
            with(linear(), "alpha", Value::Double(f64::NAN)),
            "parameter `alpha` of linear_regression: expected a number of at least 0, found NaN",
        ),
        (
            with(linear(), "fit_intercept", Value::Null),
            "parameter `fit_intercept` of linear_regression: expected TRUE or FALSE, found NULL",
        ),
        (
            with(with(linear(), "alpha", Value::Integer(1)), "Alpha", Value::Integer(2)),
            "the parameter `alpha` is given twice",
        ),
    ] {
        assert_eq!(refused(&request, &rows), (Input, text.to_owned()));
    }
    let nothing = with(tree(), "max_depth", Value::Null);
    check(&nothing, rows.schema_ref()).unwrap();
}

#[test]
fn targets_must_fit_the_algorithm() {
    let rows = mixed();
    for (request, text) in [
        (
            request("linear_regression", "name"),
            "target `name` has type TEXT, linear_regression expects a number\n\
             hint: logistic_regression, gradient_boosting and decision_tree learn classes",
        ),
        (
            request("logistic_regression", "number"),
            "target `number` has type DOUBLE, logistic_regression expects BOOLEAN, TEXT or BIGINT\n\
             hint: linear_regression, gradient_boosting and decision_tree learn numbers",
        ),
        (
            request("decision_tree", "day"),
            "target `day` has type DATE, decision_tree expects a number, BOOLEAN or TEXT",
        ),
        (
            Request { algorithm: None, ..request("", "day") },
            "target `day` has type DATE, linear_regression expects a number",
        ),
        (
            Request { target: None, ..request("linear_regression", "") },
            "expected a target for linear_regression, found none\nhint: add `TARGET column`",
        ),
        (
            Request { target: None, algorithm: None, ..request("", "") },
            "expected a target, found none\nhint: add `TARGET column`",
        ),
        (
            with(request("decision_tree", "name"), "task", Value::Text("regression".into())),
            "target `name` has type TEXT, decision_tree expects a number for task 'regression'\n\
             hint: logistic_regression, gradient_boosting and decision_tree learn classes",
        ),
    ] {
        assert_eq!(refused(&request, &rows), (Input, text.to_owned()));
    }
    let odd = batch(vec![("x", known(&[1.0])), ("y", Arc::new(BinaryArray::from_vec(vec![b"a"])))]);
    let text = "target `y` has type Binary, expected a number, a boolean or text";
    assert_eq!(refused(&request("decision_tree", "y"), &odd), (Input, text.to_owned()));
}

#[test]
fn features_must_be_numbers_and_there_must_be_some() {
    let odd = batch(vec![("x", Arc::new(NullArray::new(2))), ("y", known(&[1.0, 2.0]))]);
    let text = "feature `x` has type Null, expected a number, a boolean, a date, a timestamp or text\n\
                hint: leave it out of the query, or make numbers of it";
    assert_eq!(refused(&request("linear_regression", "y"), &odd), (Input, text.to_owned()));
    let alone = batch(vec![("y", known(&[1.0, 2.0]))]);
    let text = "expected at least one feature, found no column beside the target `y`\n\
                hint: select the columns to learn from as well";
    assert_eq!(refused(&request("linear_regression", "y"), &alone), (Input, text.to_owned()));
    let twice = batch(vec![("x", known(&[1.0])), ("x", known(&[1.0])), ("y", known(&[1.0]))]);
    let text = "two columns of the training query are called `x`\nhint: give one of them another name with AS";
    assert_eq!(refused(&request("linear_regression", "y"), &twice), (Input, text.to_owned()));
    let unnamed = batch(vec![("", known(&[1.0])), ("y", known(&[1.0]))]);
    let text = "column 1 has no name: a feature needs one\nhint: give it one with AS";
    assert_eq!(refused(&request("linear_regression", "y"), &unnamed), (Input, text.to_owned()));
}

#[test]
fn splits_must_fit_their_column() {
    let rows = mixed_for("number");
    let split = |split| Request { split, ..request("linear_regression", "number") };
    let by_time = |column: &str, held_out| split(Split::Time { column: column.to_owned(), held_out });
    for (request, text) in [
        (by_time("whole", 0.2), "time column `whole`: expected DATE or TIMESTAMP, found BIGINT"),
        (by_time("number", 0.2), "the time column `number` is the target: expected another column"),
        (by_time("day", 1.0), "the share that is held out: expected 0 to below 1, found 1"),
        (split(Split::Random(-0.5)), "the share that is held out: expected 0 to below 1, found -0.5"),
        (split(Split::Random(f64::NAN)), "the share that is held out: expected 0 to below 1, found NaN"),
        (split(Split::Column("whole".into())), "split column `whole`: expected BOOLEAN, found BIGINT"),
    ] {
        assert_eq!(refused(&request, &rows), (Input, text.to_owned()));
    }
}

#[test]
fn rows_must_be_there_and_vary() {
    let linear = || request("linear_regression", "y");
    for (request, x, y, text) in [
        (linear(), vec![], vec![], "expected rows to train on, found none: the query gave 0 rows"),
        (
            linear(),
            vec![Some(1.0), Some(2.0)],
            vec![None, None],
            "expected rows to train on, found none: the query gave 2 rows, and `y` is NULL in each",
        ),
        (
            linear(),
            vec![Some(1.0), Some(2.0)],
            vec![Some(7.5), Some(7.5)],
            "target `y` is constant: it is 7.5 in all 2 training rows\n\
             hint: a model needs at least two values to tell apart",
        ),
        (
            linear(),
            vec![None, None],
            vec![Some(1.0), Some(2.0)],
            "feature `x` is NULL in all 2 training rows\nhint: leave it out of the query",
        ),
        (
            linear(),
            vec![Some(f64::NAN), None],
            vec![Some(1.0), Some(2.0)],
            "feature `x` is NULL in all 2 training rows\nhint: leave it out of the query",
        ),
        (
            linear(),
            vec![Some(1.0), Some(f64::NEG_INFINITY)],
            vec![Some(1.0), Some(2.0)],
            "feature `x` has an infinite value: expected finite numbers or NULL",
        ),
        (
            linear(),
            vec![Some(1.0), Some(2.0)],
            vec![Some(f64::NAN), Some(2.0)],
            "target `y` has the value NaN: expected finite numbers or NULL",
        ),
        (
            linear(),
            vec![Some(1.0), Some(2.0)],
            vec![Some(f64::INFINITY), Some(2.0)],
            "target `y` has the value inf: expected finite numbers or NULL",
        ),
    ] {
        assert_eq!(failed(&request, vec![("x", doubles(&x)), ("y", doubles(&y))]), text);
    }
    let none = run(&linear(), &batch(vec![("x", known(&[])), ("y", known(&[]))]).slice(0, 0)).unwrap_err();
    let no_batches = train(&linear(), simple().project(&[0, 1]).unwrap().schema_ref(), vec![], &Patient);
    assert!(no_batches.is_err() && none.class() == Input);
}

#[test]
fn a_class_alone_and_a_split_of_everything_are_refused() {
    let text: ArrayRef = Arc::new(StringArray::from(vec!["a", "a"]));
    let columns = || vec![("x", known(&[1.0, 2.0])), ("y", text.clone())];
    assert_eq!(
        failed(&request("logistic_regression", "y"), columns()),
        "target `y` is constant: it is 'a' in all 2 training rows\n\
         hint: a model needs at least two values to tell apart"
    );
    let all: ArrayRef = Arc::new(BooleanArray::from(vec![true, true]));
    let columns = vec![("x", known(&[1.0, 2.0])), ("y", known(&[1.0, 2.0])), ("held", all)];
    let request_all = Request { split: Split::Column("held".into()), ..request("linear_regression", "y") };
    assert_eq!(
        failed(&request_all, columns),
        "expected rows to train on, found none: all 2 are held out\n\
         hint: hold out a smaller share, or none with SPLIT NONE"
    );
    let many: ArrayRef = Arc::new((0..1001).collect::<Int64Array>());
    let x: Vec<f64> = (0..1001).map(f64::from).collect();
    assert_eq!(
        failed(&request("decision_tree", "y"), vec![("x", known(&x)), ("y", many)]),
        "target `y` has more than 1000 different values: expected classes\n\
         hint: a number with that many values is learned by regression"
    );
}

#[test]
fn a_panic_in_a_library_is_an_error_of_the_training() {
    for threads in [1, 2] {
        let values: Vec<f64> = (0..40).map(|i| 100.0 + f64::from(i)).collect();
        let rows = batch(vec![("x", known(&values)), ("y", known(&values))]);
        let request = request("linear_regression", "y");
        let mut plan = Plan::new(&request, rows.schema_ref()).unwrap();
        plan.algorithm = &Fragile;
        let error = train_one(&plan, &request, vec![rows], &Threads(threads)).unwrap_err();
        assert_eq!((error.class(), error.message()), (ErrorClass::Internal, "its training failed: a library broke"));
    }
}
