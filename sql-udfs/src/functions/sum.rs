//! `sum` over BIGINT that adds in 128 bits and fails where the total does not fit, instead of wrapping round.
//!
//! It takes the place of DataFusion's `sum` over that type once a plan's types are known, and keeps its name. Sums that
//! leave BIGINT on the way and come back are right. It knows nothing of plans.
//!
//! Source: ISO/IEC 9075-2, `<set function specification>`, General Rules: numeric value out of range.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Int64Array, Int64Builder};
use arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Int64Type};
use datafusion_common::{Result, ScalarValue, exec_datafusion_err};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
};

/// The total on its way: every total of 64-bit values fits, for there are never 2^63 rows.
const STATE: DataType = DataType::Decimal128(38, 0);

/// `sum(BIGINT)`: one BIGINT, NULL over no values.
pub fn exact_sum() -> AggregateUDF {
    AggregateUDF::new_from_impl(ExactSum { signature: Signature::exact(vec![DataType::Int64], Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ExactSum {
    signature: Signature,
}

impl AggregateUDFImpl for ExactSum {
    fn name(&self) -> &str {
        "sum"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Total::default()))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format_state_name(args.name, "sum"), STATE, true))])
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Totals::default()))
    }

    fn create_sliding_accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Total::default()))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }
}

fn fitting(total: i128) -> Result<i64> {
    i64::try_from(total).map_err(|_| exec_datafusion_err!("integer overflow: the sum `{total}` does not fit Int64"))
}

fn total_of(values: &Int64Array) -> i128 {
    match values.null_count() {
        0 => values.values().iter().map(|value| i128::from(*value)).sum(),
        _ => values.iter().flatten().map(i128::from).sum(),
    }
}

fn decimals(values: impl Iterator<Item = Option<i128>>) -> Result<ArrayRef> {
    Ok(Arc::new(Decimal128Array::from_iter(values).with_precision_and_scale(38, 0)?))
}

/// The total of one group, or of a window that moves.
#[derive(Debug, Default)]
struct Total {
    total: i128,
    values: usize,
}

impl Accumulator for Total {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values[0].as_primitive::<Int64Type>();
        self.total += total_of(values);
        self.values += values.len() - values.null_count();
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values[0].as_primitive::<Int64Type>();
        self.total -= total_of(values);
        self.values -= values.len() - values.null_count();
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for total in states[0].as_primitive::<Decimal128Type>().iter().flatten() {
            self.total += total;
            self.values += 1;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Decimal128((self.values > 0).then_some(self.total), 38, 0)])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let total = (self.values > 0).then(|| fitting(self.total)).transpose()?;
        Ok(ScalarValue::Int64(total))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// The totals of many groups; `None` for groups that have had no value.
#[derive(Debug, Default)]
struct Totals {
    totals: Vec<Option<i128>>,
}

impl Totals {
    fn add(&mut self, group: usize, value: i128) {
        let total = &mut self.totals[group];
        *total = Some(total.unwrap_or(0) + value);
    }
}

fn passes(filter: Option<&BooleanArray>, row: usize) -> bool {
    filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
}

impl GroupsAccumulator for Totals {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total_groups: usize,
    ) -> Result<()> {
        self.totals.resize(total_groups, None);
        let values = values[0].as_primitive::<Int64Type>();
        match (filter, values.null_count()) {
            (None, 0) => {
                groups.iter().zip(values.values()).for_each(|(group, value)| self.add(*group, (*value).into()))
            }
            _ => {
                for (row, (group, value)) in groups.iter().zip(values.iter()).enumerate() {
                    if let Some(value) = value.filter(|_| passes(filter, row)) {
                        self.add(*group, value.into());
                    }
                }
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let totals = emit_to.take_needed(&mut self.totals);
        let mut sums = Int64Builder::with_capacity(totals.len());
        for total in totals {
            sums.append_option(total.map(fitting).transpose()?);
        }
        Ok(Arc::new(sums.finish()))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![decimals(emit_to.take_needed(&mut self.totals).into_iter())?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total_groups: usize) -> Result<()> {
        self.totals.resize(total_groups, None);
        let states = states[0].as_primitive::<Decimal128Type>();
        for (group, total) in groups.iter().zip(states.iter()) {
            if let Some(total) = total {
                self.add(*group, total);
            }
        }
        Ok(())
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let values = values[0].as_primitive::<Int64Type>().iter().enumerate();
        Ok(vec![decimals(values.map(|(row, value)| value.filter(|_| passes(filter, row)).map(i128::from)))?])
    }

    fn size(&self) -> usize {
        self.totals.capacity() * size_of::<Option<i128>>()
    }
}
