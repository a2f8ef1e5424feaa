//! `+`, `-` and `*` over integers that fail where the result does not fit, instead of wrapping round.
//!
//! DataFusion's own operators wrap, which is a wrong answer with no sign of it. These take the operators' place in a
//! plan once its types are known; the SQL that people write does not change. It knows nothing of plans.
//!
//! Source: ISO/IEC 9075-2, `<numeric value expression>`, General Rules: data exception, numeric value out of range.

mod lanes;

use arrow::array::{Array, ArrayRef, Datum};
use arrow::compute::kernels::numeric;
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use arrow::error::ArrowError;
use datafusion_common::{Result, ScalarValue, exec_err};
use datafusion_expr::{
    ColumnarValue, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

/// The operators that can overflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Operation {
    Plus,
    Minus,
    Multiply,
}

/// `left operator right` over two integers of one type, as a function; `None` for operators that cannot wrap.
///
/// Shapes: scalars and columns of equal length, NULL where either is. Fails with an execution error that shows both
/// operands.
pub fn checked(operator: Operator) -> Option<ScalarUDF> {
    let operation = match operator {
        Operator::Plus => Operation::Plus,
        Operator::Minus => Operation::Minus,
        Operator::Multiply => Operation::Multiply,
        _ => return None,
    };
    let two_of_one_type = TypeSignature::Uniform(2, INTEGERS.to_vec());
    let signature = Signature::new(two_of_one_type, Volatility::Immutable);
    Some(ScalarUDF::new_from_impl(Checked { operation, signature }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    operation: Operation,
    signature: Signature,
}

impl Checked {
    fn apply(&self, left: &dyn Datum, right: &dyn Datum) -> Result<ArrayRef, ArrowError> {
        let whole = lanes::whole::<Int64Type>(self.operation, left, right)
            .or_else(|| lanes::whole::<Int32Type>(self.operation, left, right));
        if let Some(values) = whole {
            return Ok(values);
        }
        match self.operation {
            Operation::Plus => numeric::add(left, right),
            Operation::Minus => numeric::sub(left, right),
            Operation::Multiply => numeric::mul(left, right),
        }
    }
}

const INTEGERS: [DataType; 8] = [
    DataType::Int64,
    DataType::Int32,
    DataType::Int16,
    DataType::Int8,
    DataType::UInt64,
    DataType::UInt32,
    DataType::UInt16,
    DataType::UInt8,
];

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        match self.operation {
            Operation::Plus => "checked_add",
            Operation::Minus => "checked_subtract",
            Operation::Multiply => "checked_multiply",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [left, right] if left == right => Ok(left.clone()),
            other => exec_err!("expected two integers of one type, found {other:?}"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = args.args.as_slice() else {
            return exec_err!("expected two operands, found {}", args.args.len());
        };
        let both_scalars = matches!((left, right), (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)));
        let done = self.apply(datum(left)?.as_ref(), datum(right)?.as_ref());
        let values = done.map_err(|error| match error {
            // Without the words of the library around it; the operands are what helps.
            ArrowError::ArithmeticOverflow(text) => {
                let operands = text.rsplit(": ").next().unwrap_or_default().to_string();
                let result_type = args.return_field.data_type();
                datafusion_common::exec_datafusion_err!("integer overflow: `{operands}` does not fit {result_type}")
            }
            other => other.into(),
        })?;
        match both_scalars {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&values, 0)?)),
            false => Ok(ColumnarValue::Array(values)),
        }
    }
}

fn datum(value: &ColumnarValue) -> Result<Box<dyn Datum>> {
    Ok(match value {
        ColumnarValue::Scalar(scalar) => Box::new(scalar.to_scalar()?),
        ColumnarValue::Array(array) => Box::new(Column(ArrayRef::clone(array))),
    })
}

/// A column as an operand.
struct Column(ArrayRef);

impl Datum for Column {
    fn get(&self) -> (&dyn Array, bool) {
        (self.0.as_ref(), false)
    }
}
