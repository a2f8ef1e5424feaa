//! Functions that read a JSON text, at a path or as a whole.
//!
//! A path is `$.a.b[0]`, or a key, or an index from 0 (below 0 from the end). What a path does not find is NULL. It
//! knows nothing of Arrow's nested types.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, ListBuilder, StringArray, StringBuilder,
};
use arrow::datatypes::{DataType, Field, Int64Type};
use datafusion_common::{Result, ScalarValue, plan_err};
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::{answer, parsed, rows_of, text_argument, texts};
use crate::json::Json;
use crate::json::parse::parse;
use crate::json::path::Path;

/// What a function reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Read {
    Extract,
    ExtractText,
    Scalar,
    Lenient,
    Kind,
    Length,
    Keys,
    Exists,
    Valid,
    Parse,
    TryParse,
    GetText,
    GetInteger,
    GetDouble,
    GetBoolean,
}

/// Whether a function takes a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Takes {
    Nothing,
    Maybe,
    Path,
}

const FUNCTIONS: [(&str, &[&str], Read, Takes); 15] = [
    ("json_extract", &["json_query", "json_extract_path"], Read::Extract, Takes::Path),
    ("json_extract_string", &["json_extract_path_text"], Read::ExtractText, Takes::Path),
    ("json_value", &["json_extract_scalar"], Read::Scalar, Takes::Path),
    ("get_json_object", &[], Read::Lenient, Takes::Path),
    ("json_type", &["json_typeof"], Read::Kind, Takes::Maybe),
    ("json_array_length", &[], Read::Length, Takes::Maybe),
    ("json_keys", &["json_object_keys"], Read::Keys, Takes::Maybe),
    ("json_exists", &[], Read::Exists, Takes::Path),
    ("json_valid", &[], Read::Valid, Takes::Nothing),
    ("parse_json", &[], Read::Parse, Takes::Nothing),
    ("try_parse_json", &[], Read::TryParse, Takes::Nothing),
    ("json_get_str", &[], Read::GetText, Takes::Path),
    ("json_get_int", &[], Read::GetInteger, Takes::Path),
    ("json_get_float", &[], Read::GetDouble, Takes::Path),
    ("json_get_bool", &[], Read::GetBoolean, Takes::Path),
];

/// All of them.
pub(super) fn functions() -> impl IntoIterator<Item = ScalarUDF> {
    FUNCTIONS.map(|(name, aliases, read, takes)| {
        let signature = Signature::user_defined(Volatility::Immutable);
        let aliases = aliases.iter().map(|alias| (*alias).to_string()).collect();
        ScalarUDF::new_from_impl(ReadJson { name, aliases, read, takes, signature })
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ReadJson {
    name: &'static str,
    aliases: Vec<String>,
    read: Read,
    takes: Takes,
    signature: Signature,
}

impl ScalarUDFImpl for ReadJson {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let name = self.name;
        let path = match (given, self.takes) {
            ([_], Takes::Nothing | Takes::Maybe) => None,
            ([_, path], Takes::Maybe | Takes::Path) => Some(path),
            (_, Takes::Nothing) => return plan_err!("expected `{name}(json)`, found {} arguments", given.len()),
            (_, Takes::Maybe) => {
                return plan_err!("expected `{name}(json)` or `{name}(json, path)`, found {} arguments", given.len());
            }
            (_, Takes::Path) => return plan_err!("expected `{name}(json, path)`, found {} arguments", given.len()),
        };
        let mut types = vec![text_argument(name, &given[0])?];
        match path {
            None => {}
            Some(path) if path.is_integer() && self.read != Read::Lenient => types.push(DataType::Int64),
            Some(path) if path.is_string() || path.is_null() => types.push(DataType::Utf8),
            Some(_) => return plan_err!("expected a path as a text or an index as the second argument of `{name}`"),
        }
        Ok(types)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.read {
            Read::Length | Read::GetInteger => DataType::Int64,
            Read::GetDouble => DataType::Float64,
            Read::Valid | Read::Exists | Read::GetBoolean => DataType::Boolean,
            Read::Keys => DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))),
            _ => DataType::Utf8,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = rows_of(&args.args, args.number_rows);
        let Some(first) = args.args.first() else { return plan_err!("expected a JSON text in `{}`", self.name) };
        let json = texts(first, rows)?;
        let paths = match args.args.get(1) {
            None => Paths::One(Some(Path::default())),
            Some(path) => Paths::of(path, rows, self.read == Read::Lenient)?,
        };
        answer(self.column(&json, &paths)?, &args.args)
    }
}

/// The path of each row.
enum Paths {
    One(Option<Path>),
    Each(Vec<Option<Path>>),
}

impl Paths {
    fn of(argument: &ColumnarValue, rows: usize, only_paths: bool) -> Result<Self> {
        let read = |text: &str| match only_paths {
            true => Ok(Path::parse(text)?),
            false => Ok(Path::or_key(text)?),
        };
        match argument {
            ColumnarValue::Scalar(ScalarValue::Int64(index)) => Ok(Paths::One(index.map(Path::index))),
            ColumnarValue::Scalar(text) => Ok(Paths::One(text.try_as_str().flatten().map(read).transpose()?)),
            ColumnarValue::Array(array) => {
                let array = Arc::clone(array);
                debug_assert_eq!(array.len(), rows);
                if let Some(indices) = array.as_primitive_opt::<Int64Type>() {
                    return Ok(Paths::Each(indices.iter().map(|index| index.map(Path::index)).collect()));
                }
                let paths = array.as_string::<i32>().iter().map(|text| text.map(read).transpose());
                Ok(Paths::Each(paths.collect::<Result<_>>()?))
            }
        }
    }

    fn at(&self, row: usize) -> Option<&Path> {
        match self {
            Paths::One(path) => path.as_ref(),
            Paths::Each(paths) => paths.get(row).and_then(Option::as_ref),
        }
    }
}

/// What `read` says of the value at the end of each row's path.
fn each<T>(json: &StringArray, paths: &Paths, read: impl Fn(&Json<'_>) -> Option<T>) -> Result<Vec<Option<T>>> {
    let one = |row: usize| {
        let Some(path) = paths.at(row).filter(|_| !json.is_null(row)) else { return Ok(None) };
        Ok(path.find(&parsed(json.value(row))?).and_then(&read))
    };
    (0..json.len()).map(one).collect()
}

/// The same, where a text that is no JSON is NULL.
fn each_lenient<T>(json: &StringArray, paths: &Paths, read: impl Fn(&Json<'_>) -> Option<T>) -> Vec<Option<T>> {
    let one = |row: usize| {
        let path = paths.at(row).filter(|_| !json.is_null(row))?;
        path.find(&parse(json.value(row)).ok()?).and_then(&read)
    };
    (0..json.len()).map(one).collect()
}

fn any_text(value: &Json<'_>) -> Option<String> {
    value.to_text()
}

fn scalar(value: &Json<'_>) -> Option<String> {
    match value {
        Json::Array(_) | Json::Object(_) => None,
        other => other.to_text(),
    }
}

impl ReadJson {
    fn column(&self, json: &StringArray, paths: &Paths) -> Result<ArrayRef> {
        let strings = |values: Vec<Option<String>>| -> ArrayRef { Arc::new(StringArray::from(values)) };
        Ok(match self.read {
            Read::Extract | Read::Parse => strings(each(json, paths, |value| Some(value.to_string()))?),
            Read::TryParse => strings(each_lenient(json, paths, |value| Some(value.to_string()))),
            Read::ExtractText => strings(each(json, paths, any_text)?),
            Read::Lenient => strings(each_lenient(json, paths, any_text)),
            Read::Scalar => strings(each(json, paths, scalar)?),
            Read::Kind => strings(each(json, paths, |value| Some(value.kind().to_string()))?),
            Read::GetText => strings(each(json, paths, |value| match value {
                Json::Text(text) => Some(text.to_string()),
                _ => None,
            })?),
            Read::Length => Arc::new(Int64Array::from(each(json, paths, |value| match value {
                Json::Array(values) => i64::try_from(values.len()).ok(),
                _ => None,
            })?)),
            Read::GetInteger => Arc::new(Int64Array::from(each(json, paths, |value| match value {
                Json::Number(digits) => digits.parse().ok(),
                _ => None,
            })?)),
            Read::GetDouble => Arc::new(Float64Array::from(each(json, paths, |value| match value {
                Json::Number(digits) => digits.parse().ok().filter(|number: &f64| number.is_finite()),
                _ => None,
            })?)),
            Read::GetBoolean => Arc::new(BooleanArray::from(each(json, paths, |value| match value {
                Json::Boolean(value) => Some(*value),
                _ => None,
            })?)),
            Read::Exists => exists(json, paths)?,
            Read::Valid => {
                Arc::new(json.iter().map(|text| text.map(|text| parse(text).is_ok())).collect::<BooleanArray>())
            }
            Read::Keys => keys(each(json, paths, |value| {
                Some(value.keys()?.into_iter().map(str::to_string).collect::<Vec<String>>())
            })?),
        })
    }
}

/// Whether there is a value at the end of each row's path, `null` too.
fn exists(json: &StringArray, paths: &Paths) -> Result<ArrayRef> {
    let one = |row: usize| {
        let Some(path) = paths.at(row).filter(|_| !json.is_null(row)) else { return Ok(None) };
        Ok(Some(path.find(&parsed(json.value(row))?).is_some()))
    };
    Ok(Arc::new((0..json.len()).map(one).collect::<Result<BooleanArray>>()?))
}

fn keys(rows: Vec<Option<Vec<String>>>) -> ArrayRef {
    let mut lists = ListBuilder::new(StringBuilder::new());
    for row in rows {
        let is_valid = row.is_some();
        row.into_iter().flatten().for_each(|key| lists.values().append_value(key));
        lists.append(is_valid);
    }
    Arc::new(lists.finish())
}
