//! `current_user` and `session_user`: who runs the statement, as a text.
//!
//! Every statement plans with functions of its own, so that the name is a constant of the plan. It knows nothing of how
//! somebody proved who they are.

use std::hash::Hash;

use arrow::datatypes::DataType;
use datafusion::common::DataFusionError;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::scalar::ScalarValue;

use super::context::Principal;

/// The names of the function; the standard tells them apart where roles are changed, which Limn does not know.
pub(super) const NAMES: [&str; 2] = ["current_user", "session_user"];

#[derive(Debug, PartialEq, Eq, Hash)]
struct CurrentUser {
    name: &'static str,
    principal: String,
    signature: Signature,
}

/// The functions of a statement that `principal` runs.
pub(super) fn functions(principal: &Principal) -> impl Iterator<Item = ScalarUDF> {
    NAMES.into_iter().map(|name| {
        let signature = Signature::nullary(Volatility::Stable);
        ScalarUDF::new_from_impl(CurrentUser { name, principal: principal.0.clone(), signature })
    })
}

impl ScalarUDFImpl for CurrentUser {
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
        Ok(ColumnarValue::Scalar(ScalarValue::Utf8(Some(self.principal.clone()))))
    }
}
