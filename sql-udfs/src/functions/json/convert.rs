//! `to_json`: a value of any type as a JSON text; `from_json` and `try_from_json`: a JSON text as a value of a type.
//!
//! The type is a text in SQL's own words, `'BIGINT[]'` or `'a BIGINT, b STRUCT<c TEXT>'`, because a result's type must be
//! known before there is a row. It knows nothing of how types are parsed.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::{Result, ScalarValue, internal_err, plan_err};
use datafusion_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::{answer, parsed, rows_of, text_argument, texts};
use crate::Error;
use crate::json::decode::{Rules, column, is_readable};
use crate::json::encode;
use crate::json::parse::parse;

/// Reads the type that `from_json` is told.
pub type TypeOfText = fn(&str) -> Result<DataType>;

/// All of them.
pub(super) fn functions(type_of: TypeOfText, rules: Rules) -> impl IntoIterator<Item = ScalarUDF> {
    let from = |name, lenient| {
        let signature = Signature::user_defined(Volatility::Immutable);
        ScalarUDF::new_from_impl(FromJson { name, lenient, type_of, rules, signature })
    };
    let signature = Signature::any(1, Volatility::Immutable);
    let to = ToJson { aliases: vec!["to_json_string".into()], signature };
    [ScalarUDF::new_from_impl(to), from("from_json", false), from("try_from_json", true)]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ToJson {
    aliases: Vec<String>,
    signature: Signature,
}

impl ScalarUDFImpl for ToJson {
    fn name(&self) -> &str {
        "to_json"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        match given {
            [only] if encode::is_writable(only) => Ok(DataType::Utf8),
            _ => {
                plan_err!("`to_json` cannot write a value of this type; encode(value, 'base64') makes a text of BINARY")
            }
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(value) = args.args.first() else { return plan_err!("expected a value in `to_json`") };
        let array = value.clone().into_array(rows_of(&args.args, args.number_rows))?;
        answer(Arc::new(StringArray::from(encode::texts(&array)?)), &args.args)
    }
}

#[derive(Debug)]
struct FromJson {
    name: &'static str,
    /// Whether what does not fit is NULL.
    lenient: bool,
    type_of: TypeOfText,
    rules: Rules,
    signature: Signature,
}

// There is one function of each name.
impl PartialEq for FromJson {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for FromJson {}

impl Hash for FromJson {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for FromJson {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            [json, as_type] => Ok(vec![text_argument(self.name, json)?, text_argument(self.name, as_type)?]),
            _ => plan_err!("expected `{}(json, 'type')`, found {} arguments", self.name, given.len()),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        internal_err!("the type of `{}` depends on its second argument", self.name)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let text = args.scalar_arguments.get(1).copied().flatten().and_then(ScalarValue::try_as_str).flatten();
        let Some(text) = text else {
            return plan_err!("expected a type in quotes as the second argument of `{}`, as 'BIGINT[]'", self.name);
        };
        let data_type = (self.type_of)(text)?;
        match is_readable(&data_type) {
            true => Ok(Arc::new(Field::new(self.name, data_type, true))),
            false => plan_err!("`{}` cannot read values of type `{text}`; read them as TEXT", self.name),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = rows_of(&args.args, args.number_rows);
        let Some(json) = args.args.first() else { return plan_err!("expected a JSON text in `{}`", self.name) };
        let json = texts(json, rows)?;
        let data_type = args.return_field.data_type();
        let array = match self.lenient {
            true => self.fitting(&json, data_type)?,
            false => self.all(&json, data_type)?,
        };
        answer(array, &args.args)
    }
}

impl FromJson {
    fn all(&self, json: &StringArray, data_type: &DataType) -> Result<ArrayRef> {
        let values: Vec<_> = json.iter().map(|text| text.map(parsed).transpose()).collect::<Result<_>>()?;
        let values: Vec<_> = values.iter().map(Option::as_ref).collect();
        column(data_type, &values, &self.rules).map_err(|wrong| {
            let at = if wrong.path.is_empty() { String::new() } else { format!(" at `{}`", wrong.path) };
            let expected = wrong.expected.map(|expected| format!("a value of type {expected}")).unwrap_or_default();
            let error = Error::input(format!("`from_json`{at}: expected {expected}, found `{}`", wrong.found));
            error.with_hint("try_from_json() makes NULL of a text that does not fit").into()
        })
    }

    /// Every row by itself: one that does not fit is NULL and the others are not.
    fn fitting(&self, json: &StringArray, data_type: &DataType) -> Result<ArrayRef> {
        let mut values: Vec<_> = json.iter().map(|text| text.and_then(|text| parse(text).ok())).collect();
        for value in &mut values {
            if column(data_type, &[value.as_ref()], &self.rules).is_err() {
                *value = None;
            }
        }
        let values: Vec<_> = values.iter().map(Option::as_ref).collect();
        match column(data_type, &values, &self.rules) {
            Ok(array) => Ok(array),
            Err(_) => internal_err!("a row that fits by itself does not fit beside others"),
        }
    }
}
