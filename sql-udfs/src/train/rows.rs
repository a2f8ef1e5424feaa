//! Batches become matrices: canonical order, split, one column of 64-bit floats per feature.
//!
//! Every check that needs the values is here. Each source column is let go as soon as its matrix column stands, so that
//! a training holds its data about once.

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;

use super::plan::{Column, Plan};
use super::split;
use super::target::{self, Target};
use super::{Request, Watch, canonical, categories, weights};
use crate::limits::TRAINING_ROWS_MAX;
use crate::model::columns::{doubles, strict_cast};
use crate::model::design::Design;
use crate::model::signature::{CategoryForm, ClassLabel, Feature, ValueType};
use crate::{Error, Result};

/// Rows that a model is fitted on, or measured on, in canonical order.
#[derive(Debug)]
pub(crate) struct Rows {
    /// The design columns; NaN is missing, nothing is infinite.
    pub features: Vec<Vec<f64>>,
    /// For each design column the number of texts that its values are codes of; 0 for a column of numbers.
    pub categories: Vec<usize>,
    /// What is to be predicted.
    pub target: Target,
    /// The weight of each row, where not all weigh the same.
    pub weights: Option<Vec<f64>>,
}

impl Rows {
    /// Rows of numbers that weigh the same.
    #[cfg(test)]
    pub fn new(features: Vec<Vec<f64>>, target: Target) -> Self {
        Rows { categories: vec![0; features.len()], features, target, weights: None }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        match &self.target {
            Target::Numbers(values) => values.len(),
            Target::Classes(codes) => codes.len(),
            Target::None(rows) => *rows,
        }
    }

    /// The weight of a row.
    pub fn weight(&self, row: usize) -> f64 {
        self.weights.as_ref().map_or(1.0, |weights| weights[row])
    }

    /// The feature columns as slices.
    pub fn columns(&self) -> Vec<&[f64]> {
        self.features.iter().map(Vec::as_slice).collect()
    }
}

/// All that a training learns from and is measured on.
pub(super) struct Matrices {
    pub train: Rows,
    pub held_out: Rows,
    /// The classes of the training rows in ascending order; empty for a regression.
    pub classes: Vec<ClassLabel>,
    /// The features with their categories.
    pub features: Vec<Feature>,
    /// The names of the design columns.
    pub columns: Vec<String>,
    pub dropped: usize,
}

/// Reads all rows.
pub(super) fn read(plan: &Plan, request: &Request, batches: Vec<RecordBatch>, watch: &dyn Watch) -> Result<Matrices> {
    let total: usize = batches.iter().map(RecordBatch::num_rows).sum();
    if total > TRAINING_ROWS_MAX {
        return Err(Error::exhausted(format!("expected at most {TRAINING_ROWS_MAX} training rows, found {total}")));
    }
    // A hash and a sort entry and two row numbers and one column in arrival order; then the matrices.
    watch.reserve(total * (16 + 24 + 8 + 8) + total * 8 * (plan.features.len() + 1))?;
    let width = batches.first().map_or(0, RecordBatch::num_columns);
    let mut source = Source { columns: vec![Vec::with_capacity(batches.len()); width], rows: total, watch };
    for batch in batches {
        for (column, array) in source.columns.iter_mut().zip(batch.columns()) {
            column.push(plain(array)?);
        }
    }
    let order = source.canonical_order(plan)?;
    let dropped = total - order.len();
    if order.is_empty() {
        return Err(no_rows(plan, total));
    }
    let times = plan.split.as_ref().map(|column| source.numbers(column)).transpose()?;
    let (train, held_out) = split::apply(&request.split, request.seed, order, times);
    if train.is_empty() {
        return Err(Error::input(format!(
            "expected rows to train on, found none: all {} are held out",
            held_out.len()
        ))
        .with_hint("hold out a smaller share, or none with SPLIT NONE"));
    }
    let parts = [train.as_slice(), held_out.as_slice()];
    let (targets, classes) = target::read(plan, &mut source, parts)?;
    let weights = weights::read(plan, &mut source, &parts, &targets[0], &classes)?;
    let form = plan.algorithm.texts();
    let mut made = Made { form, ..Made::default() };
    for (number, column) in plan.features.iter().enumerate() {
        made.add(column, &mut source, parts)?;
        watch.progress(READ_SHARE * (number + 1) as f64 / plan.features.len() as f64);
    }
    if plan.parameters.text("missing") == Some("error") {
        made.refuse_missing()?;
    }
    let [train_target, held_out_target] = targets;
    let Made { columns: [train_columns, held_out_columns], categories, features, names, .. } = made;
    let held_out =
        Rows { features: held_out_columns, categories: categories.clone(), target: held_out_target, weights: None };
    let train = Rows { features: train_columns, categories, target: train_target, weights };
    Ok(Matrices { train, held_out, classes, features, columns: names, dropped })
}

/// Design columns as they are made, feature by feature.
struct Made {
    form: CategoryForm,
    /// For the training and the held-out rows.
    columns: [Vec<Vec<f64>>; 2],
    categories: Vec<usize>,
    features: Vec<Feature>,
    names: Vec<String>,
}

impl Default for Made {
    fn default() -> Self {
        let form = CategoryForm::Indicators;
        Made { form, columns: Default::default(), categories: vec![], features: vec![], names: vec![] }
    }
}

impl Made {
    fn add(&mut self, column: &Column, source: &mut Source<'_>, parts: [&[u32]; 2]) -> Result<()> {
        let mut feature = column.feature.clone();
        if feature.value_type != ValueType::Text {
            let [train, held_out] = source.feature(column, parts)?;
            self.columns[0].push(train);
            self.columns[1].push(held_out);
            self.categories.push(0);
            self.names.push(feature.name.clone());
            self.features.push(feature);
            return Ok(());
        }
        let categories = categories::find(&feature.name, source.batches(column.position), parts[0], self.form)?;
        let count = categories.values.len();
        match self.form {
            CategoryForm::Codes => {
                self.categories.push(count);
                self.names.push(feature.name.clone());
            }
            CategoryForm::Indicators => {
                self.categories.extend(std::iter::repeat_n(0, count));
                self.names.extend(categories.values.iter().map(|text| format!("{}={text}", feature.name)));
            }
        }
        feature.categories = Some(categories);
        let design = Design::new(std::slice::from_ref(&feature));
        source.watch.reserve(source.rows * design.width() * 2 * size_of::<f64>())?;
        let mut columns: Vec<Vec<f64>> = vec![Vec::with_capacity(source.rows); design.width()];
        for array in source.take(column) {
            source.check_cancelled()?;
            let expanded = design.expand(0, &array)?;
            columns.iter_mut().zip(expanded).for_each(|(all, batch)| all.extend(batch));
        }
        for values in columns {
            for (made, rows) in self.columns.iter_mut().zip(parts) {
                made.push(rows.iter().map(|row| values[*row as usize]).collect());
            }
        }
        self.features.push(feature);
        Ok(())
    }

    fn refuse_missing(&self) -> Result<()> {
        let missing = |columns: &[Vec<f64>], at: usize| columns[at].iter().any(|value| value.is_nan());
        let odd = (0..self.names.len()).find(|at| self.columns.iter().any(|columns| missing(columns, *at)));
        match odd {
            None => Ok(()),
            Some(at) => Err(Error::input(format!(
                "`{}` is NULL in some rows, which the parameter `missing = 'error'` refuses",
                self.names[at]
            ))),
        }
    }
}

/// A column without a dictionary, which sources may put around repeated values.
pub(super) fn plain(array: &ArrayRef) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::Dictionary(_, values) => strict_cast(array, values),
        _ => Ok(array.clone()),
    }
}

/// How much of a training's progress the reading is.
pub(super) const READ_SHARE: f64 = 0.4;

/// The query's columns, batch by batch.
pub(super) struct Source<'a> {
    columns: Vec<Vec<ArrayRef>>,
    rows: usize,
    watch: &'a dyn Watch,
}

impl Source<'_> {
    /// The rows whose target and split column are known, in canonical order.
    fn canonical_order(&self, plan: &Plan) -> Result<Vec<u32>> {
        let mut hashes = vec![canonical::EMPTY; self.rows];
        for position in plan.positions() {
            let mut start = 0;
            for array in self.batches(position) {
                self.check_cancelled()?;
                let end = start + array.len();
                canonical::absorb_column(array, &mut hashes[start..end])?;
                start = end;
            }
        }
        let mut kept = vec![true; self.rows];
        for column in plan.roles() {
            let mut kept = kept.iter_mut();
            for array in self.batches(column.position) {
                for (row, kept) in (0..array.len()).zip(&mut kept) {
                    *kept &= !array.is_null(row);
                }
            }
        }
        self.check_cancelled()?;
        Ok(canonical::order(&hashes, |row| kept[row]))
    }

    /// The batches of a column.
    pub fn batches(&self, position: usize) -> &[ArrayRef] {
        self.columns.get(position).map_or(&[], Vec::as_slice)
    }

    /// The batches of a column, which is let go.
    fn take(&mut self, column: &Column) -> Vec<ArrayRef> {
        self.columns.get_mut(column.position).map(std::mem::take).unwrap_or_default()
    }

    /// A column as numbers in the order of arrival; the column is let go.
    pub fn numbers(&mut self, column: &Column) -> Result<Vec<f64>> {
        let mut values = Vec::with_capacity(self.rows);
        for array in self.take(column) {
            self.check_cancelled()?;
            // Negative zero equals zero in the canonical order, so it must not differ from it afterwards.
            values.extend(doubles(&array)?.iter().map(|value| value + 0.0));
        }
        Ok(values)
    }

    /// A feature for the training and the held-out rows.
    fn feature(&mut self, column: &Column, parts: [&[u32]; 2]) -> Result<[Vec<f64>; 2]> {
        let values = self.numbers(column)?;
        let parts = parts.map(|rows| rows.iter().map(|row| values[*row as usize]).collect::<Vec<f64>>());
        let name = &column.feature.name;
        if parts.iter().flatten().any(|value| value.is_infinite()) {
            return Err(Error::input(format!(
                "feature `{name}` has an infinite value: expected finite numbers or NULL"
            )));
        }
        if parts[0].iter().all(|value| value.is_nan()) {
            return Err(Error::input(format!("feature `{name}` is NULL in all {} training rows", parts[0].len()))
                .with_hint("leave it out of the query"));
        }
        Ok(parts)
    }

    /// Fails where the caller has cancelled.
    pub fn check_cancelled(&self) -> Result<()> {
        match self.watch.cancelled() {
            true => Err(Error::cancelled()),
            false => Ok(()),
        }
    }
}

pub(super) fn no_rows(plan: &Plan, total: usize) -> Error {
    let roles: Vec<String> = plan.roles().map(|column| format!("`{}`", column.feature.name)).collect();
    match total {
        0 => Error::input("expected rows to train on, found none: the query gave 0 rows"),
        _ => Error::input(format!(
            "expected rows to train on, found none: the query gave {total} rows, and {} is NULL in each",
            roles.join(" or ")
        )),
    }
}
