//! `json_object('key', value, …)` and `json_array(value, …)`: values of any type as one JSON text.
//!
//! NULL is written as `null`, as `to_json` does within a value. It knows nothing of paths.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::datatypes::DataType;
use datafusion_common::{Result, plan_err};
use datafusion_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use super::{answer, rows_of};
use crate::Error;
use crate::json::encode;

/// What a function makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Build {
    Object,
    Array,
}

/// All of them.
pub(super) fn functions() -> impl IntoIterator<Item = ScalarUDF> {
    [("json_object", "json_build_object", Build::Object), ("json_array", "json_build_array", Build::Array)].map(
        |(name, alias, build)| {
            let signature = TypeSignature::OneOf(vec![TypeSignature::Nullary, TypeSignature::UserDefined]);
            let signature = Signature::new(signature, Volatility::Immutable);
            ScalarUDF::new_from_impl(BuildJson { name, aliases: vec![alias.into()], build, signature })
        },
    )
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct BuildJson {
    name: &'static str,
    aliases: Vec<String>,
    build: Build,
    signature: Signature,
}

impl ScalarUDFImpl for BuildJson {
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
        if self.build == Build::Object && given.len() % 2 == 1 {
            return plan_err!("expected keys and values by turns in `{name}`, found {} arguments", given.len());
        }
        let coerced = |(at, data_type): (usize, &DataType)| match self.build {
            Build::Object if at % 2 == 0 => match data_type.is_string() {
                true => Ok(DataType::Utf8),
                false => plan_err!("expected a text as key {} of `{name}`, found a value of another type", at / 2 + 1),
            },
            _ => match encode::is_writable(data_type) {
                true => Ok(data_type.clone()),
                false => plan_err!(
                    "`{name}` cannot write a value of this type; encode(value, 'base64') makes a text of BINARY"
                ),
            },
        };
        given.iter().enumerate().map(coerced).collect()
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = rows_of(&args.args, args.number_rows);
        let columns = args.args.iter().map(|column| column.clone().into_array(rows));
        let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
        let mut texts = StringBuilder::new();
        for row in 0..rows {
            let mut out = String::new();
            match self.build {
                Build::Object => object(&columns, row, &mut out)?,
                Build::Array => array(&columns, row, &mut out)?,
            }
            texts.append_value(out);
        }
        answer(Arc::new(texts.finish()), &args.args)
    }
}

fn object(columns: &[ArrayRef], row: usize, out: &mut String) -> Result<()> {
    out.push('{');
    for (n, pair) in columns.chunks(2).enumerate() {
        let [key, value] = pair else { continue };
        if key.is_null(row) {
            return Err(Error::input("expected a text as a key of `json_object`, found NULL").into());
        }
        out.push_str(if n == 0 { "" } else { "," });
        encode::key(key.as_string::<i32>().value(row), out)?;
        out.push(':');
        encode::value(value, row, out)?;
    }
    out.push('}');
    Ok(())
}

fn array(columns: &[ArrayRef], row: usize, out: &mut String) -> Result<()> {
    out.push('[');
    for (n, value) in columns.iter().enumerate() {
        out.push_str(if n == 0 { "" } else { "," });
        encode::value(value, row, out)?;
    }
    out.push(']');
    Ok(())
}
