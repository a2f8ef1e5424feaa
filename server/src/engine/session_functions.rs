//! Functions about the statement itself: who runs it, in which schema, on which server, when; and what type a value has.
//!
//! Tools call them before anything else. Every statement plans with functions of its own, so that the answers are
//! constants of the plan; in a view they are those of the session that reads it. It knows nothing of how somebody
//! proved who they are.

use std::hash::Hash;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::DATAFUSION_VERSION;
use datafusion::common::DataFusionError;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

use super::CATALOG;
use super::context::StatementContext;
use crate::lake::types::sql_name;

/// The functions whose value another session, another day or another version of Limn would not have.
pub(super) const CHANGING: &[&str] = &[
    "current_user",
    "session_user",
    "current_schema",
    "current_database",
    "current_catalog",
    "version",
    LOCAL_TIMESTAMP,
];
const LOCAL_TIMESTAMP: &str = "localtimestamp";
const TYPE_OF: [&str; 2] = ["pg_typeof", "typeof"];

/// The functions of a statement.
pub(super) fn functions(ctx: &StatementContext) -> impl Iterator<Item = ScalarUDF> {
    let principal = ctx.principal.0.clone();
    let version = format!("Limn {} (DataFusion {DATAFUSION_VERSION})", env!("CARGO_PKG_VERSION"));
    // The standard tells the users apart where roles are changed, which Limn does not know.
    let texts = [
        ("current_user", principal.clone()),
        ("session_user", principal),
        ("current_schema", ctx.session.schema()),
        ("current_database", CATALOG.to_string()),
        ("current_catalog", CATALOG.to_string()),
        ("version", version),
    ];
    let texts = texts.map(|(name, text)| {
        ScalarUDF::new_from_impl(Text { name, text, signature: Signature::nullary(Volatility::Stable) })
    });
    let types = TYPE_OF
        .map(|name| ScalarUDF::new_from_impl(TypeOf { name, signature: Signature::any(1, Volatility::Immutable) }));
    let now = ScalarUDF::new_from_impl(LocalTimestamp { signature: Signature::nullary(Volatility::Stable) });
    texts.into_iter().chain(types).chain([now])
}

/// A function that answers one text.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Text {
    name: &'static str,
    text: String,
    signature: Signature,
}

impl ScalarUDFImpl for Text {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        Ok(ColumnarValue::Scalar(ScalarValue::Utf8(Some(self.text.clone()))))
    }
}

/// The name of its argument's type, as `DESCRIBE` shows it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct TypeOf {
    name: &'static str,
    signature: Signature,
}

impl ScalarUDFImpl for TypeOf {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        let name = args.arg_fields.first().map(|field| sql_name(field.data_type()));
        Ok(ColumnarValue::Scalar(ScalarValue::Utf8(name)))
    }
}

/// When the statement began, on the session's clock, which is UTC's.
#[derive(Debug, PartialEq, Eq, Hash)]
struct LocalTimestamp {
    signature: Signature,
}

impl ScalarUDFImpl for LocalTimestamp {
    fn name(&self) -> &str {
        LOCAL_TIMESTAMP
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(DataType::Timestamp(TimeUnit::Microsecond, None))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        Err(DataFusionError::Internal("a statement without a beginning has no `localtimestamp`".into()))
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult, DataFusionError> {
        Ok(match info.query_execution_start_time() {
            None => ExprSimplifyResult::Original(args),
            Some(begun) => {
                let value = ScalarValue::TimestampMicrosecond(Some(begun.timestamp_micros()), None);
                ExprSimplifyResult::Simplified(Expr::Literal(value, None))
            }
        })
    }
}
