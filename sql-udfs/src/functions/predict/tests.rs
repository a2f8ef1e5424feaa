//! PREDICT as DataFusion sees it: types, names, identity, scalars and arrays.

use std::collections::hash_map::DefaultHasher;

use arrow::array::{Array, AsArray, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow::datatypes::{Field, Float64Type};
use arrow::record_batch::RecordBatch;
use datafusion_common::config::ConfigOptions;
use datafusion_expr::{col, lit};

use super::*;
use crate::model::evaluator::load;
use crate::train::{Request, Split, Watch, sha256_hex, train};

struct Patient;

impl Watch for Patient {
    fn cancelled(&self) -> bool {
        false
    }
    fn progress(&self, _done: f64) {}
    fn reserve(&self, _bytes: usize) -> Result<()> {
        Ok(())
    }
}

/// A model of `y = 2 · size + 10 · flag + 1` (features DOUBLE, BIGINT, BOOLEAN), or of whether that is above 12.
fn model(algorithm: &str) -> Arc<BoundModel> {
    let size: Vec<f64> = (0..40).map(|i| f64::from(i % 10)).collect();
    let count: Vec<i64> = (0..40).map(|i| i * i % 7).collect();
    let flag: Vec<bool> = (0..40).map(|i| i / 10 % 2 == 0).collect();
    let y: Vec<f64> = size.iter().zip(&flag).map(|(s, f)| 2.0 * s + if *f { 11.0 } else { 1.0 }).collect();
    let target: ArrayRef = match algorithm {
        "linear_regression" => Arc::new(Float64Array::from(y)),
        _ => Arc::new(StringArray::from_iter_values(y.iter().map(|y| if *y > 12.0 { "high" } else { "low" }))),
    };
    let columns: [(&str, ArrayRef); 4] = [
        ("size", Arc::new(Float64Array::from(size))),
        ("count", Arc::new(Int64Array::from(count))),
        ("flag", Arc::new(BooleanArray::from(flag))),
        ("y", target),
    ];
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let request = Request {
        algorithm: Some(algorithm.to_owned()),
        parameters: vec![],
        target: Some("y".to_owned()),
        split: Split::None,
        seed: 0,
        partition: None,
    };
    let trained = train(&request, &rows.schema(), vec![rows], &Patient).unwrap();
    Arc::new(BoundModel {
        name: "demand".to_owned(),
        version: 3,
        sha256: sha256_hex(&trained.artifact),
        evaluator: load(&trained.artifact).unwrap(),
    })
}

fn value(algorithm: &str) -> ScalarUDF {
    function("predict_1", "demand@prod", Output::Value, model(algorithm))
}

fn invoke(udf: &ScalarUDF, args: Vec<ColumnarValue>, rows: usize) -> ColumnarValue {
    let arg_fields = args.iter().map(|arg| Arc::new(Field::new("a", arg.data_type(), true))).collect();
    let return_field = Arc::new(Field::new("r", udf.return_type(&[]).unwrap(), true));
    let config_options = Arc::new(ConfigOptions::default());
    udf.invoke_with_args(ScalarFunctionArgs { args, arg_fields, number_rows: rows, return_field, config_options })
        .unwrap()
}

fn coerced(found: &[DataType]) -> std::result::Result<Vec<DataType>, String> {
    let function = value("linear_regression");
    let types = function.coerce_types(found).unwrap();
    match function.return_type(&types) {
        Ok(_) => Ok(types),
        Err(datafusion_common::DataFusionError::External(error)) => Err(error.downcast::<Error>().unwrap().to_string()),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn numbers_widen_and_keep_their_fractions() {
    use DataType::{Boolean, Decimal128, Float32, Float64, Int8, Int64, Null, UInt64};
    let expected = vec![Float64, Int64, Boolean];
    assert_eq!(coerced(&[Int8, Int8, Boolean]).unwrap(), expected);
    assert_eq!(coerced(&[Decimal128(10, 2), Int64, Null]).unwrap(), expected);
    // 2.5 given for a BIGINT feature must not become 2, nor a large unsigned number an error.
    assert_eq!(coerced(&[Float32, Float32, Boolean]).unwrap(), [Float64, Float64, Boolean]);
    assert_eq!(coerced(&[Float64, UInt64, Boolean]).unwrap(), [Float64, Float64, Boolean]);
    assert_eq!(coerced(&[]).unwrap(), []);
}

#[test]
fn times_stand_for_times_without_losing_any() {
    let zoned = DataType::Timestamp(TimeUnit::Nanosecond, Some("+02:00".into()));
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    assert_eq!(accepted(ValueType::Timestamp, &zoned), Some(micros.clone()));
    assert_eq!(accepted(ValueType::Timestamp, &DataType::Date32), Some(micros.clone()));
    assert_eq!(accepted(ValueType::Date, &DataType::Date64), Some(DataType::Date32));
    for (expected, found) in [
        (ValueType::Date, micros),
        (ValueType::Date, DataType::Utf8),
        (ValueType::Double, DataType::Boolean),
        (ValueType::Boolean, DataType::Int64),
        (ValueType::BigInt, DataType::Date32),
    ] {
        assert_eq!(accepted(expected, &found), None, "{expected:?} {found}");
    }
}

#[test]
fn wrong_arguments_are_named() {
    use DataType::{Boolean, Float64, Int64, Utf8};
    assert_eq!(
        coerced(&[Float64, Utf8, Boolean]).unwrap_err(),
        "feature `count` of model `demand` version 3: expected BIGINT, found TEXT\n\
         hint: cast it: CAST(… AS BIGINT)"
    );
    assert_eq!(
        coerced(&[Float64, Int64, DataType::new_list(Float64, true)]).unwrap_err(),
        "feature `flag` of model `demand` version 3: expected BOOLEAN, found List(Float64)\n\
         hint: cast it: CAST(… AS BOOLEAN)"
    );
    assert_eq!(
        coerced(&[Float64]).unwrap_err(),
        "model `demand` version 3 takes 3 features, found 1: expected `size` DOUBLE, `count` BIGINT, `flag` BOOLEAN\n\
         hint: predict('demand@prod') takes them by name"
    );
    assert!(coerced(&[Float64, Int64, Boolean, Boolean]).unwrap_err().contains("found 4"));
    let proba = function("p", "demand", Output::Probabilities, model("linear_regression"));
    let error = proba.return_type(&[]).unwrap_err().to_string();
    assert!(error.contains("model `demand` version 3 is a regressor: predict_proba expects a classifier"), "{error}");
}

#[test]
fn the_column_is_called_as_it_was_written() {
    let udf = value("linear_regression");
    let name = |args: Vec<Expr>| udf.call(args).schema_name().to_string();
    assert_eq!(
        name(vec![col("size"), col("t.count"), lit(true)]),
        "predict('demand@prod', size, t.count, Boolean(true))"
    );
    assert_eq!(name(vec![]), "predict('demand@prod')");
    let proba = function("p7", "it's", Output::Probabilities, model("decision_tree"));
    assert_eq!(proba.call(vec![col("a")]).schema_name().to_string(), "predict_proba('it''s', a)");
    assert_eq!((udf.name(), proba.name()), ("predict_1", "p7"));
}

#[test]
fn functions_are_equal_when_they_compute_and_name_the_same() {
    let hash = |udf: &ScalarUDF| {
        let mut hasher = DefaultHasher::new();
        udf.hash(&mut hasher);
        hasher.finish()
    };
    let (a, b) = (value("linear_regression"), value("linear_regression"));
    assert!(a == b && hash(&a) == hash(&b));
    let bound = model("linear_regression");
    for other in [
        function("predict_2", "demand@prod", Output::Value, bound.clone()),
        function("predict_1", "demand", Output::Value, bound.clone()),
        function("predict_1", "demand@prod", Output::Probabilities, bound.clone()),
        function("predict_1", "demand@prod", Output::Value, Arc::new(BoundModel { version: 4, ..(*bound).clone() })),
        value("decision_tree"),
    ] {
        assert!(a != other);
    }
    assert_eq!(model_of(&a).unwrap().version, 3);
    let stranger = ScalarUDF::new_from_impl(Stranger(CallSignature::nullary(Volatility::Immutable)));
    assert!(model_of(&stranger).is_none());
    assert_eq!(a.signature().volatility, Volatility::Immutable);
}

/// A function that is not ours.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Stranger(CallSignature);

impl ScalarUDFImpl for Stranger {
    fn name(&self) -> &str {
        "stranger"
    }
    fn signature(&self) -> &CallSignature {
        &self.0
    }
    fn return_type(&self, _arg_types: &[DataType]) -> PlanResult<DataType> {
        Ok(DataType::Int64)
    }
    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        Ok(ColumnarValue::Scalar(ScalarValue::Int64(Some(1))))
    }
}

#[test]
fn arrays_scalars_slices_and_nothing_are_scored() {
    let udf = value("linear_regression");
    let size: ArrayRef = Arc::new(Float64Array::from(vec![Some(99.0), Some(1.0), None, Some(3.0)]).slice(1, 3));
    let count = ColumnarValue::Scalar(ScalarValue::Int64(Some(2)));
    let flag: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]));
    let found = invoke(&udf, vec![ColumnarValue::Array(size), count, ColumnarValue::Array(flag)], 3);
    let found = found.to_array(3).unwrap();
    // Missing values count as the means: 4.5 for the size, 0.5 for the flag.
    for (found, expected) in found.as_primitive::<Float64Type>().values().iter().zip([13.0, 10.0, 12.0]) {
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }
    let scalars = [ScalarValue::Float64(Some(1.0)), ScalarValue::Float64(Some(2.5)), ScalarValue::Boolean(Some(true))];
    match invoke(&udf, scalars.map(ColumnarValue::Scalar).to_vec(), 3) {
        ColumnarValue::Scalar(ScalarValue::Float64(Some(found))) => assert!((found - 13.0).abs() < 1e-9),
        other => panic!("expected a scalar, found {other:?}"),
    }
    let empty = |array: ArrayRef| ColumnarValue::Array(array.slice(0, 0));
    let none = vec![
        empty(Arc::new(Float64Array::from(vec![1.0]))),
        empty(Arc::new(Int64Array::from(vec![1]))),
        empty(Arc::new(BooleanArray::from(vec![true]))),
    ];
    assert_eq!(invoke(&udf, none, 0).to_array(0).unwrap().len(), 0);
}

#[test]
fn a_classifier_gives_text_and_lists() {
    let scalars = || {
        [ScalarValue::Float64(Some(9.0)), ScalarValue::Int64(None), ScalarValue::Boolean(Some(true))]
            .map(ColumnarValue::Scalar)
            .to_vec()
    };
    match invoke(&value("decision_tree"), scalars(), 1) {
        ColumnarValue::Scalar(ScalarValue::Utf8(Some(label))) => assert_eq!(label, "high"),
        other => panic!("{other:?}"),
    }
    let proba = function("p", "demand", Output::Probabilities, model("decision_tree"));
    let found = invoke(&proba, scalars(), 1).to_array(1).unwrap();
    assert_eq!(found.as_list::<i32>().value(0).as_primitive::<Float64Type>().values(), &[1.0, 0.0]);
}

#[test]
fn without_arguments_it_plans_but_does_not_run() {
    let udf = value("linear_regression");
    assert_eq!(udf.return_type(&[]).unwrap(), DataType::Float64);
    let return_field = Arc::new(Field::new("r", DataType::Float64, true));
    let config_options = Arc::new(ConfigOptions::default());
    let args = ScalarFunctionArgs { args: vec![], arg_fields: vec![], number_rows: 1, return_field, config_options };
    let error = udf.invoke_with_args(args).unwrap_err();
    let datafusion_common::DataFusionError::External(error) = error else { panic!("{error}") };
    assert_eq!(error.downcast::<Error>().unwrap().class(), crate::ErrorClass::Internal);
}
