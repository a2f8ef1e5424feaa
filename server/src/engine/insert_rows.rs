//! `INSERT INTO t VALUES (…)` with many rows of parameters: one plan over all of them, so one commit.
//!
//! Drivers bind a batch in one message; a commit for each of its rows would take a file and a log entry each. A statement
//! whose parameters stand anywhere else is left to be run row by row. It knows nothing of the commit.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::cast_with_options;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::format::DEFAULT_CAST_OPTIONS;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, Result as PlanResult, TableReference};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Projection, Values, WriteOp};
use datafusion::scalar::ScalarValue;

use super::plan;
use crate::lake::types::sql_name;
use crate::{Error, Result};

/// The relation that stands for the bound rows; no statement can name it.
const BOUND: &str = "bound rows";

/// The plan of an `INSERT` with all `rows` in the place of its one row of `VALUES`; `None` for every other statement.
///
/// An error where the rows are not of the parameters' number, or a value is not of its parameter's type.
pub(super) fn over(plan: &LogicalPlan, rows: &[RecordBatch]) -> Result<Option<LogicalPlan>> {
    if !is_plain(plan) {
        return Ok(None);
    }
    let types: Vec<DataType> =
        plan::parameters(plan)?.into_iter().map(|known| known.unwrap_or(DataType::Utf8)).collect();
    if let Some(wrong) = rows.iter().find(|batch| batch.num_columns() != types.len()) {
        let found = wrong.num_columns();
        return Err(Error::input(format!("expected {} bound parameters, found {found}", types.len())));
    }
    let rows = Arc::new(table(rows, &types)?);
    let whole = plan.clone().transform_up(|node| match node {
        LogicalPlan::Values(values) => Ok(Transformed::yes(selected(values, &rows)?)),
        other => Ok(Transformed::yes(other.recompute_schema()?)),
    });
    Ok(Some(whole.data()?))
}

/// Whether the plan appends one row of `VALUES`, with its parameters there and nothing but casts above: then the rows
/// of many executions are those of one over many.
fn is_plain(plan: &LogicalPlan) -> bool {
    let LogicalPlan::Dml(dml) = plan else { return false };
    if dml.op != WriteOp::Insert(InsertOp::Append) {
        return false;
    }
    let mut node = dml.input.as_ref();
    while let LogicalPlan::Projection(Projection { expr, input, .. }) = node {
        let has_parameter = |expr: &Expr| expr.exists(|part| Ok(matches!(part, Expr::Placeholder(_)))).unwrap_or(true);
        if expr.iter().any(has_parameter) {
            return false;
        }
        node = input.as_ref();
    }
    matches!(node, LogicalPlan::Values(values) if values.values.len() == 1)
}

/// The row of `VALUES` as a query over the bound rows.
fn selected(values: Values, rows: &Arc<MemTable>) -> PlanResult<LogicalPlan> {
    let names: Vec<String> = values.schema.fields().iter().map(|field| field.name().clone()).collect();
    let row = values.values.into_iter().next().unwrap_or_default();
    let columns: PlanResult<Vec<Expr>> = row
        .into_iter()
        .zip(names)
        .map(|(expr, name)| {
            let column = expr.transform_up(|expr| match expr {
                Expr::Placeholder(Placeholder { id, .. }) => {
                    Ok(Transformed::yes(Expr::Column(Column::new(Some(TableReference::bare(BOUND)), id))))
                }
                other => Ok(Transformed::no(other)),
            });
            column.data().map(|column| column.alias(name))
        })
        .collect();
    let source = provider_as_source(Arc::<MemTable>::clone(rows));
    LogicalPlanBuilder::scan(TableReference::bare(BOUND), source, None)?.project(columns?)?.build()
}

/// The bound rows as a table of columns `$1`, `$2`, … of the parameters' types.
fn table(rows: &[RecordBatch], types: &[DataType]) -> Result<MemTable> {
    let fields = types.iter().enumerate().map(|(n, known)| Field::new(format!("${}", n + 1), known.clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let mut before = 0;
    let mut batches = Vec::with_capacity(rows.len());
    for batch in rows {
        let columns: Result<Vec<ArrayRef>> =
            batch.columns().iter().zip(types).enumerate().map(|(n, (array, to))| cast(array, to, n, before)).collect();
        batches.push(RecordBatch::try_new(Arc::clone(&schema), columns?)?);
        before += batch.num_rows();
    }
    Ok(MemTable::try_new(schema, vec![batches])?)
}

/// A column of values for the parameter `number` (from 0). The error names the first row whose value does not fit;
/// `before` rows came in earlier batches.
fn cast(array: &ArrayRef, to: &DataType, number: usize, before: usize) -> Result<ArrayRef> {
    let failed = match cast_with_options(array, to, &DEFAULT_CAST_OPTIONS) {
        Ok(cast) => return Ok(cast),
        Err(error) => error,
    };
    for row in 0..array.len() {
        let value = ScalarValue::try_from_array(array, row)?;
        if value.cast_to(to).is_err() {
            let expected = format!("expected {} for the parameter `${}`, found `{value}`", sql_name(to), number + 1);
            return Err(Error::input(expected).context(format!("row {} of the bound parameters", before + row + 1)));
        }
    }
    Err(failed.into())
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray};
    use datafusion::prelude::SessionContext;

    use super::*;

    async fn planned(sql: &str) -> LogicalPlan {
        let ctx = SessionContext::new();
        ctx.sql("CREATE TABLE t (a BIGINT, b TEXT)").await.unwrap();
        ctx.state().create_logical_plan(sql).await.unwrap()
    }

    fn rows(texts: &[&str]) -> Vec<RecordBatch> {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..texts.len() as i64));
        let texts: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
        vec![RecordBatch::try_from_iter(vec![("x", texts), ("y", numbers)]).unwrap()]
    }

    #[tokio::test]
    async fn values_take_all_rows_and_their_expressions_stay() {
        let plan = planned("INSERT INTO t (b, a) VALUES ($2, $1 + 10)").await;
        let LogicalPlan::Dml(dml) = over(&plan, &rows(&["1", "2"])).unwrap().unwrap() else { panic!("no INSERT") };
        let frame = SessionContext::new().execute_logical_plan(dml.input.as_ref().clone()).await.unwrap();
        let shown = arrow::util::pretty::pretty_format_batches(&frame.collect().await.unwrap()).unwrap().to_string();
        let expected = ["+----+---+", "| a  | b |", "+----+---+", "| 11 | 0 |", "| 12 | 1 |", "+----+---+"];
        assert_eq!(shown.lines().collect::<Vec<_>>(), expected);
    }

    #[tokio::test]
    async fn the_row_that_does_not_fit_is_named() {
        let plan = planned("INSERT INTO t VALUES ($1, $2)").await;
        let two = [rows(&["1", "2"]), rows(&["3", "x"])].concat();
        let error = over(&plan, &two).unwrap_err();
        let expected = "row 4 of the bound parameters: expected BIGINT for the parameter `$1`, found `x`";
        assert_eq!((error.class(), error.message()), (crate::Class::Input, expected));
    }

    #[tokio::test]
    async fn other_statements_are_left_alone() {
        for sql in [
            "INSERT INTO t SELECT a, $2 FROM t WHERE a = $1",
            "INSERT INTO t VALUES ($1, $2), ($1, $2)",
            "INSERT INTO t SELECT count(*), max(w) FROM (VALUES ($1, $2)) AS w (v, w)",
            "INSERT OVERWRITE t VALUES ($1, $2)",
        ] {
            assert!(over(&planned(sql).await, &rows(&["1", "2"])).unwrap().is_none(), "{sql}");
        }
    }
}
