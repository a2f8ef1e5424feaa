//! The JSON functions: what a JSON text holds, and texts to values and back.
//!
//! They go by the names of Spark, BigQuery, DuckDB and PostgreSQL. NULL in is NULL out. A text that is no JSON is an
//! error that shows it, except where the function is there to ask (`json_valid`) or to go on (`get_json_object`,
//! `try_parse_json`, `try_from_json`). It knows nothing of plans.
//!
//! # Layout
//! - `read`: functions over a JSON text and a path; `convert`: `to_json`, `from_json`; `build`: `json_object`, `json_array`

mod build;
mod convert;
mod read;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::DataType;
use datafusion_common::{DataFusionError, Result, ScalarValue, plan_err};
use datafusion_expr::{ColumnarValue, ScalarUDF};

pub use convert::TypeOfText;

use crate::Error;
use crate::json::Json;
use crate::json::decode::{Rules, shortened};
use crate::json::parse::parse;

/// All of them. `type_of` reads the type that `from_json` is told; `rules` say how it reads times.
pub fn functions(type_of: TypeOfText, rules: Rules) -> Vec<ScalarUDF> {
    let read = read::functions().into_iter().chain(build::functions());
    read.chain(convert::functions(type_of, rules)).collect()
}

/// A text as JSON, or an error that shows it.
fn parsed(text: &str) -> Result<Json<'_>> {
    parse(text).map_err(|fault| {
        let error = Error::input(format!("malformed JSON `{}`: {fault}", shortened(text)));
        DataFusionError::from(error.with_hint("json_valid() finds such rows; try_parse_json() makes NULL of them"))
    })
}

/// The text type that an argument of type `given` is read as.
fn text_argument(function: &str, given: &DataType) -> Result<DataType> {
    match given {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => Ok(DataType::Utf8),
        DataType::Dictionary(_, values) => text_argument(function, values),
        DataType::Struct(_) | DataType::List(_) | DataType::Map(_, _) => {
            plan_err!("expected a JSON text in `{function}`, found a list, struct or map; to_json() makes a text of it")
        }
        _ => plan_err!("expected a JSON text in `{function}`, found a value of another type"),
    }
}

/// The argument as texts, one per row.
fn texts(argument: &ColumnarValue, rows: usize) -> Result<StringArray> {
    Ok(argument.clone().into_array(rows)?.as_string::<i32>().clone())
}

/// A result: one value where all arguments are.
fn answer(array: ArrayRef, arguments: &[ColumnarValue]) -> Result<ColumnarValue> {
    let is_constant = arguments.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
    match is_constant && array.len() == 1 {
        true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)),
        false => Ok(ColumnarValue::Array(array)),
    }
}

/// The rows that the result of these arguments has.
fn rows_of(arguments: &[ColumnarValue], rows: usize) -> usize {
    match arguments.iter().any(|argument| matches!(argument, ColumnarValue::Array(_))) {
        true => rows,
        false => 1,
    }
}
