//! What is in the models of groups, as rows: those of each group's own model with the group beside them.
//!
//! A table is made model by model with what is made of a single one; it knows no algorithm.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;

use super::evaluator::PartitionedModel;
use super::keys;
use super::members::{Member, own_signature};
use crate::limits::CONTENTS_ROWS_MAX;
use crate::model::kernel::Kernel;
use crate::model::signature::Signature;
use crate::{Error, Result};

/// The rows of one model, where it has such.
pub(super) type RowsOf = fn(&dyn Kernel, &Signature) -> Result<Option<RecordBatch>>;

/// The rows of all groups' own models, group by group: `partition`, the group as in `system.model_partitions`, then what
/// `rows_of` gives. Those of the model over all groups come last and have no partition. `None` where there are none.
pub(super) fn rows(model: &PartitionedModel, rows_of: RowsOf) -> Result<Option<RecordBatch>> {
    let columns = &model.manifest().partition_by;
    let mut batches = Vec::new();
    let mut count = 0;
    let mut add = |partition: Option<String>, member: &Member| -> Result<()> {
        let places: Vec<i64> = match &member.places {
            Some(places) => places.iter().map(|place| i64::from(*place)).collect(),
            None => (0..model.manifest().signature.classes.len() as i64).collect(),
        };
        let signature = own_signature(&model.manifest().signature, &places)?;
        let Some(rows) = rows_of(member.kernel.as_ref(), &signature)? else { return Ok(()) };
        count += rows.num_rows();
        if count > CONTENTS_ROWS_MAX {
            let what = format!("expected at most {CONTENTS_ROWS_MAX} rows of what is in a model's groups, found more");
            return Err(Error::exhausted(what).with_hint("export the model of a group: EXPORT MODEL … PARTITION (…)"));
        }
        batches.push(beside(partition, &rows)?);
        Ok(())
    };
    for block in 0..model.members().blocks() {
        let first = model.members().first(block);
        for (row, member) in model.members().block(block)?.iter().enumerate() {
            if let Some(member) = member {
                add(Some(keys::json(columns, &model.key(first + row))), member)?;
            }
        }
    }
    if let Some(member) = model.fallback() {
        add(None, member)?;
    }
    let Some(first) = batches.first() else { return Ok(None) };
    Ok(Some(concat_batches(&first.schema(), &batches)?))
}

/// A model's rows with its group before them.
fn beside(partition: Option<String>, rows: &RecordBatch) -> Result<RecordBatch> {
    let mut fields = vec![Arc::new(Field::new("partition", DataType::Utf8, true))];
    fields.extend(rows.schema().fields().iter().cloned());
    let partition: ArrayRef = match partition {
        Some(text) => Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, rows.num_rows()))),
        None => Arc::new(StringArray::new_null(rows.num_rows())),
    };
    let mut columns = vec![partition];
    columns.extend(rows.columns().iter().cloned());
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}
