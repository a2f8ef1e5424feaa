//! Z-order: rows sorted so that near values of several columns at once lie near each other in the files.
//!
//! Each column's values are put into buckets of about equally many rows, by bounds that a sample of them gives; the
//! bits of a row's buckets, taken in turns, are what the rows are sorted by. So a column of large numbers counts no
//! more than one of small ones, and every type that can be compared takes part.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt64Array};
use arrow::compute::{concat, take};
use arrow::datatypes::DataType;
use arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::common::{Column, DataFusionError};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, LogicalPlanBuilder, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::physical_plan::execute_stream;
use futures::TryStreamExt;

use crate::limits::{BATCH_ROWS, Z_ORDER_BUCKETS_LOG2, Z_ORDER_SAMPLE_ROWS};
use crate::{Error, Result};

/// The order of rows by some columns.
#[derive(Debug)]
pub struct ZOrder {
    columns: Vec<Column>,
    bounds: Vec<Bounds>,
}

/// The upper ends of one column's buckets, as comparable bytes.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounds {
    data_type: DataType,
    ends: Vec<OwnedRow>,
}

impl ZOrder {
    /// Learns the bounds from a sample of the rows of `plan`.
    pub async fn learn(plan: &LogicalPlan, columns: &[String], state: &SessionState) -> Result<Self> {
        let named = |name: &String| {
            let found = plan.schema().columns().into_iter().find(|column| column.name == *name);
            found.ok_or_else(|| Error::internal(format!("column `{name}` got lost")))
        };
        let columns = columns.iter().map(named).collect::<Result<Vec<_>>>()?;
        let values =
            LogicalPlanBuilder::from(plan.clone()).project(columns.iter().cloned().map(Expr::Column))?.build()?;
        let physical = state.create_physical_plan(&values).await?;
        let mut batches = execute_stream(physical, state.task_ctx())?;
        let mut sample = Sample::new(columns.len());
        while let Some(batch) = batches.try_next().await? {
            sample.add(batch.columns())?;
        }
        let bounds = sample.columns.iter().map(Bounds::new).collect::<Result<Vec<_>>>()?;
        Ok(ZOrder { columns, bounds })
    }

    /// The rows of `plan` in this order.
    pub fn sort(self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let arguments: Vec<Expr> = self.columns.iter().cloned().map(Expr::Column).collect();
        let signature = Signature::any(arguments.len(), Volatility::Immutable);
        let place = ScalarUDF::new_from_impl(Place { bounds: self.bounds.into(), signature });
        let by = place.call(arguments).sort(true, false);
        Ok(LogicalPlanBuilder::from(plan).sort([by])?.build()?)
    }
}

/// Rows spread evenly over all that came, no more than twice [`Z_ORDER_SAMPLE_ROWS`] of them.
struct Sample {
    columns: Vec<ArrayRef>,
    /// One of so many rows is taken.
    stride: usize,
    /// Rows until the next one that is taken.
    skip: usize,
    width: usize,
}

impl Sample {
    fn new(width: usize) -> Self {
        Sample { columns: Vec::new(), stride: 1, skip: 0, width }
    }

    fn rows(&self) -> usize {
        self.columns.first().map_or(0, |column| column.len())
    }

    fn add(&mut self, batch: &[ArrayRef]) -> Result<()> {
        let rows = batch.first().map_or(0, |column| column.len());
        let chosen: UInt64Array = (self.skip..rows).step_by(self.stride).map(|row| row as u64).collect();
        let next = self.skip + chosen.len() * self.stride;
        self.skip = next.saturating_sub(rows);
        let taken = batch.iter().map(|column| take(column, &chosen, None)).collect::<Result<Vec<_>, _>>()?;
        self.columns = match self.columns.is_empty() {
            true => taken,
            false => {
                let both = self.columns.iter().zip(&taken);
                both.map(|(old, new)| concat(&[old.as_ref(), new.as_ref()])).collect::<Result<Vec<_>, _>>()?
            }
        };
        debug_assert_eq!(self.columns.len(), self.width);
        while self.rows() > 2 * Z_ORDER_SAMPLE_ROWS {
            let every_other: UInt64Array = (0..self.rows()).step_by(2).map(|row| row as u64).collect();
            self.columns =
                self.columns.iter().map(|column| take(column, &every_other, None)).collect::<Result<Vec<_>, _>>()?;
            self.stride *= 2;
        }
        Ok(())
    }
}

impl Bounds {
    fn new(values: &ArrayRef) -> Result<Self> {
        let data_type = values.data_type().clone();
        let converter = converter(&data_type)?;
        let rows = converter.convert_columns(std::slice::from_ref(values))?;
        let mut sorted: Vec<OwnedRow> = rows.iter().map(|row| row.owned()).collect();
        sorted.sort_unstable();
        let buckets = 1 << Z_ORDER_BUCKETS_LOG2;
        let ends = (1..buckets).filter_map(|bucket| sorted.get(bucket * sorted.len() / buckets).cloned());
        let mut ends: Vec<OwnedRow> = ends.collect();
        ends.dedup();
        Ok(Bounds { data_type, ends })
    }

    /// The bucket of each value.
    fn buckets(&self, values: &ArrayRef) -> Result<Vec<u64>> {
        let converter = converter(&self.data_type)?;
        let rows = converter.convert_columns(std::slice::from_ref(values))?;
        let bucket = |row: arrow::row::Row<'_>| self.ends.partition_point(|end| end.row() <= row) as u64;
        // Where many values are equal there are few buckets, and these must differ in their first bits too.
        let spread = (1_u64 << Z_ORDER_BUCKETS_LOG2) / (self.ends.len() as u64 + 1);
        Ok(rows.iter().map(|row| bucket(row) * spread).collect())
    }
}

fn converter(data_type: &DataType) -> Result<RowConverter> {
    Ok(RowConverter::new(vec![SortField::new(data_type.clone())])?)
}

/// The bits of several buckets in turns, the first bits first.
fn interleaved(buckets: &[u64]) -> u64 {
    let mut place = 0;
    for bit in (0..Z_ORDER_BUCKETS_LOG2).rev() {
        for bucket in buckets {
            place = place << 1 | (bucket >> bit) & 1;
        }
    }
    place
}

/// The function that gives a row its place.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Place {
    bounds: Arc<[Bounds]>,
    signature: Signature,
}

impl ScalarUDFImpl for Place {
    fn name(&self) -> &str {
        "z_order_place"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> datafusion::common::Result<DataType> {
        Ok(DataType::UInt64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> datafusion::common::Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let mut all = Vec::with_capacity(columns.len());
        for (values, bounds) in columns.iter().zip(self.bounds.iter()) {
            let values = arrow::compute::cast(values, &bounds.data_type)?;
            all.push(bounds.buckets(&values).map_err(|error| DataFusionError::External(Box::new(error)))?);
        }
        let place = |row: usize| {
            let buckets: Vec<u64> = all.iter().filter_map(|buckets| buckets.get(row).copied()).collect();
            interleaved(&buckets)
        };
        let places: UInt64Array = (0..args.number_rows).map(place).collect();
        Ok(ColumnarValue::Array(Arc::new(places)))
    }
}

const _: () = assert!(BATCH_ROWS < Z_ORDER_SAMPLE_ROWS, "a sample has rows of more than one batch");

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray};

    use super::*;

    #[test]
    fn bits_come_in_turns() {
        let top = 1 << (Z_ORDER_BUCKETS_LOG2 - 1);
        let width = u64::from(Z_ORDER_BUCKETS_LOG2) * 2;
        assert_eq!(interleaved(&[top, 0]), 1 << (width - 1));
        assert_eq!(interleaved(&[0, top]), 1 << (width - 2));
        assert_eq!(interleaved(&[1, 1]), 3);
    }

    #[test]
    fn buckets_hold_about_equally_many_values_of_any_type() {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values((0..10_000).map(|n| n * n)));
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..10_000).map(|n| format!("{n:05}"))));
        for values in [numbers, texts] {
            let bounds = Bounds::new(&values).unwrap();
            let buckets = bounds.buckets(&values).unwrap();
            assert!(buckets.is_sorted());
            let middle = buckets.iter().filter(|bucket| **bucket < 1 << (Z_ORDER_BUCKETS_LOG2 - 1)).count();
            assert!((4_900..5_100).contains(&middle), "{middle}");
        }
    }

    #[test]
    fn few_values_differ_in_their_first_bits() {
        let values: ArrayRef = Arc::new(Int64Array::from_iter_values((0..1_000).map(|n| n % 2)));
        let bounds = Bounds::new(&values).unwrap();
        let buckets = bounds.buckets(&values).unwrap();
        assert!(buckets[1] >= 1 << (Z_ORDER_BUCKETS_LOG2 - 1) && buckets[0] < buckets[1], "{buckets:?}");
    }

    #[test]
    fn a_sample_is_spread_over_all_rows_and_bounded() {
        let mut sample = Sample::new(1);
        for batch in 0..100 {
            let values = (0..8_192).map(|n| batch * 8_192 + n);
            sample.add(&[Arc::new(Int64Array::from_iter_values(values)) as ArrayRef]).unwrap();
        }
        let rows = sample.rows();
        assert!(rows > Z_ORDER_SAMPLE_ROWS / 2 && rows <= 2 * Z_ORDER_SAMPLE_ROWS, "{rows}");
    }
}
