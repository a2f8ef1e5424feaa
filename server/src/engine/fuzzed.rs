//! What holds for any text and any artifact: the grammar of `TRAIN MODEL` and of `PREDICT`, and the artifacts' reader.
//!
//! As the edge's `fuzzed` does for what a client's bytes reach first: the crate `fuzz/` compiles this file with the
//! parsers alone, and its corpus runs through the same functions in a test. A broken promise is a panic here.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema};
use limn_sql_udfs::ErrorClass;
use limn_sql_udfs::model::evaluator;
use limn_sql_udfs::model::reference::{ModelRef, check_model_name};
use limn_sql_udfs::model::signature::{Task, ValueType};
use limn_sql_udfs::train::{Request, Split, Value};

use crate::sql::{self, Statement, scan};
use crate::{Class, Error};

/// A target by the name of its corpus.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 3] = [("train", train), ("predict", predict), ("artifact", artifact)];

/// Rows that a model which was read is asked to score.
const ROWS: usize = 4;

/// A user's text is the user's error, and never the server's.
fn is_the_users(error: &Error) {
    assert!(
        matches!(error.class(), Class::Input | Class::NotFound | Class::Unsupported | Class::Exhausted),
        "{error:?}"
    );
    assert!(!error.message().is_empty());
}

fn is_the_artifacts(class: ErrorClass) {
    assert!(matches!(class, ErrorClass::Input | ErrorClass::Unsupported | ErrorClass::Exhausted), "{class:?}");
}

/// A statement's text: refused, or a training whose clauses are what the library takes or refuses.
pub fn train(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let train = match sql::parse(text) {
        Ok(Statement::Train(train)) => train,
        Ok(_) => return,
        Err(error) => return is_the_users(&error),
    };
    assert!(check_model_name(&train.model).is_ok());
    assert!(train.seed.is_none_or(|seed| i64::try_from(seed).is_ok()));
    if let Split::Random(share) | Split::Time { held_out: share, .. } = &train.split {
        assert!((0.0..1.0).contains(share), "{share}");
    }
    for (at, (name, value)) in train.parameters.iter().enumerate() {
        assert!(train.parameters[..at].iter().all(|(known, _)| known != name), "`{name}` twice");
        assert!(!matches!(value, Value::Double(value) if !value.is_finite()), "{value:?}");
    }
    let request = Request {
        algorithm: train.algorithm,
        parameters: train.parameters,
        target: train.target,
        split: train.split,
        seed: train.seed.unwrap_or(0),
        partition: None,
    };
    if let Err(error) = limn_sql_udfs::train::check(&request, &schema()) {
        let class = error.class();
        assert!(matches!(class, ErrorClass::NotFound | ErrorClass::Input | ErrorClass::Unsupported), "{error:?}");
    }
}

/// What the corpus's trainings read.
fn schema() -> Schema {
    let field = |name: &str, kind: DataType| Field::new(name, kind, true);
    Schema::new(vec![
        field("x", DataType::Float64),
        field("n", DataType::Int64),
        field("flag", DataType::Boolean),
        field("kind", DataType::Utf8),
        field("day", DataType::Date32),
        field("y", DataType::Float64),
    ])
}

/// A query's text: refused, or its predictions are found, each once, and none is left in it.
pub fn predict(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut query = match sql::parse(text) {
        Ok(Statement::Query(query)) => query,
        Ok(_) => return,
        Err(error) => return is_the_users(&error),
    };
    let found = match scan::scan(&mut *query) {
        Ok(found) => found,
        Err(error) => return is_the_users(&error),
    };
    for (at, call) in found.predictions.iter().enumerate() {
        assert!(found.predictions[..at].iter().all(|other| other.generated != call.generated), "{call:?}");
        if let Err(error) = ModelRef::parse(&call.reference) {
            assert_eq!(error.class(), ErrorClass::Input, "{error:?}");
        }
    }
    // What was put in their place is taken for no call once more.
    if let Ok(again) = scan::scan(&mut *query) {
        assert!(again.predictions.is_empty(), "{:?}", again.predictions);
    }
}

/// An artifact: refused, or a model that scores whatever its features may be.
pub fn artifact(bytes: &[u8]) {
    let model = match evaluator::load(bytes) {
        Ok(model) => model,
        Err(error) => return is_the_artifacts(error.class()),
    };
    let signature = model.signature();
    let features: Vec<ArrayRef> = signature.features.iter().map(|feature| column(feature.value_type)).collect();
    match model.predict(&features, ROWS) {
        Ok(predicted) => {
            assert_eq!((predicted.len(), predicted.null_count()), (ROWS, 0));
            assert_eq!(predicted.data_type(), &signature.prediction_type());
        }
        Err(error) => is_the_artifacts(error.class()),
    }
    match model.predict_proba(&features, ROWS) {
        Ok(given) => assert_eq!((given.len(), given.data_type()), (ROWS, &signature.probability_type())),
        // A regression has none.
        Err(error) => {
            is_the_artifacts(error.class());
            assert!(signature.task != Task::Anomaly, "{error:?}");
        }
    }
}

/// An ordinary value, a large one, a small one, and NULL.
fn column(kind: ValueType) -> ArrayRef {
    match kind {
        ValueType::Double => {
            Arc::new(Float64Array::from(vec![Some(1.5), Some(f64::INFINITY), Some(-5e-324), None])) as ArrayRef
        }
        ValueType::BigInt => Arc::new(Int64Array::from(vec![Some(3), Some(i64::MAX), Some(0), None])),
        ValueType::Boolean => Arc::new(BooleanArray::from(vec![Some(true), Some(false), Some(true), None])),
        ValueType::Date => Arc::new(Date32Array::from(vec![Some(1), Some(i32::MAX), Some(-1), None])),
        ValueType::Timestamp => {
            Arc::new(TimestampMicrosecondArray::from(vec![Some(1), Some(i64::MAX), Some(-1), None]))
        }
        ValueType::Text => Arc::new(StringArray::from(vec![Some("a"), Some("ünseen"), Some(""), None])),
    }
}

#[cfg(test)]
mod tests {
    use arrow::record_batch::RecordBatch;
    use limn_sql_udfs::Result;
    use limn_sql_udfs::train::{self as learn, Watch};

    use super::*;

    /// Places at which each artifact is cut and changed.
    const PLACES: usize = 60;

    struct Free;

    impl Watch for Free {
        fn cancelled(&self) -> bool {
            false
        }

        fn progress(&self, _done: f64) {}

        fn reserve(&self, _bytes: usize) -> Result<()> {
            Ok(())
        }
    }

    /// A small model of every algorithm, by a number, by classes or without a target, with a text feature.
    fn artifacts() -> Vec<(&'static str, Vec<u8>)> {
        let numbers = |step: i64| Float64Array::from_iter_values((0..24).map(|i| (i * step % 11) as f64));
        let texts = |of: &[&str]| StringArray::from_iter_values((0..24).map(|i| of[i * 5 % 7 % of.len()]));
        let columns: [(&str, ArrayRef); 4] = [
            ("x", Arc::new(numbers(3))),
            ("kind", Arc::new(texts(&["a", "b", "c"]))),
            ("y", Arc::new(numbers(7))),
            ("label", Arc::new(texts(&["no", "yes"]))),
        ];
        let mut found = Vec::new();
        for algorithm in learn::algorithms() {
            for target in [Some("y"), Some("label"), None] {
                let kept = columns.iter().filter(|(name, _)| !["y", "label"].contains(name) || Some(*name) == target);
                let batch = RecordBatch::try_from_iter(kept.cloned()).unwrap();
                let request = Request {
                    algorithm: Some(algorithm.name.to_owned()),
                    parameters: Vec::new(),
                    target: target.map(str::to_owned),
                    split: Split::None,
                    seed: 1,
                    partition: None,
                };
                if let Ok(trained) = learn::train(&request, &batch.schema(), vec![batch], &Free) {
                    found.push((algorithm.name, trained.artifact));
                }
            }
        }
        found
    }

    #[test]
    fn cut_and_changed_artifacts_of_every_algorithm_break_no_promise() {
        let all = artifacts();
        assert!(all.len() >= learn::algorithms().count() - 1, "{} artifacts", all.len());
        for (name, whole) in all {
            assert!(evaluator::load(&whole).is_ok(), "{name}");
            for place in (0..PLACES).map(|at| at * (whole.len() - 1) / (PLACES - 1)) {
                let changed =
                    |by: u8| whole.iter().enumerate().map(move |(at, b)| if at == place { b ^ by } else { *b });
                let hostile =
                    [whole[..place].to_vec(), changed(1).collect(), changed(0x80).collect(), changed(0xff).collect()];
                for bytes in hostile {
                    let kept = std::panic::catch_unwind(|| artifact(&bytes));
                    assert!(kept.is_ok(), "{name}, cut or changed at {place} of {}", whole.len());
                }
            }
        }
    }
}
