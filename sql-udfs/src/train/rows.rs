//! Batches become matrices: canonical order, split, one column of 64-bit floats per feature.
//!
//! Every check that needs the values is here. Each source column is let go as soon as its matrix column stands, so that
//! a training holds its data about once.

use std::sync::{Mutex, PoisonError};

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;

use super::canonical::{self, RowHash};
use super::places::Places;
use super::plan::{Column, Plan};
use super::split;
use super::target::{self, Target};
use super::workers::Workers;
use super::{Request, Watch, categories, weights};
use crate::limits::{ROWS_PER_BLOCK, ROWS_PER_PIECE, TRAINING_ROWS_MAX};
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
pub(super) fn read(
    plan: &Plan,
    request: &Request,
    batches: Vec<RecordBatch>,
    workers: &Workers,
    watch: &dyn Watch,
) -> Result<Matrices> {
    let total: usize = batches.iter().map(RecordBatch::num_rows).sum();
    if total > TRAINING_ROWS_MAX {
        return Err(Error::exhausted(format!("expected at most {TRAINING_ROWS_MAX} training rows, found {total}")));
    }
    // A hash and a sort entry, two row numbers and a place; then the matrices.
    watch.reserve(total * (16 + 16 + 8 + 4) + total * 8 * (plan.features.len() + 1))?;
    let mut source = Source::new(batches, watch)?;
    let order = source.canonical_order(plan, workers)?;
    let dropped = total - order.len();
    if order.is_empty() {
        return Err(no_rows(plan, total));
    }
    let times = plan.split.as_ref().map(|column| source.numbers(column)).transpose()?;
    let (train, held_out) = split::apply(&request.split, request.seed, order, times, workers);
    if train.is_empty() {
        return Err(Error::input(format!(
            "expected rows to train on, found none: all {} are held out",
            held_out.len()
        ))
        .with_hint("hold out a smaller share, or none with SPLIT NONE"));
    }
    let places = Places::new(total, &train, &held_out);
    drop((train, held_out));
    let (targets, classes) = target::read(plan, &mut source, &places, workers)?;
    let weights = weights::read(plan, &mut source, &places, &targets[0], &classes)?;
    let made = Made::all(plan, &mut source, &places, workers)?;
    if plan.parameters.text("missing") == Some("error") {
        made.refuse_missing()?;
    }
    let [train_target, held_out_target] = targets;
    let Made { columns: [train_columns, held_out_columns], categories, features, names } = made;
    let held_out =
        Rows { features: held_out_columns, categories: categories.clone(), target: held_out_target, weights: None };
    let train = Rows { features: train_columns, categories, target: train_target, weights };
    Ok(Matrices { train, held_out, classes, features, columns: names, dropped })
}

/// Design columns, of one feature or of several in order.
#[derive(Default)]
struct Made {
    /// For the training and the held-out rows.
    columns: [Vec<Vec<f64>>; 2],
    categories: Vec<usize>,
    features: Vec<Feature>,
    names: Vec<String>,
}

impl Made {
    /// The design columns of all features. Each column of the source is let go as soon as its matrix columns stand.
    fn all(plan: &Plan, source: &mut Source<'_>, places: &Places, workers: &Workers) -> Result<Made> {
        let form = plan.algorithm.texts();
        let work = plan.features.iter().map(|column| (column, source.take(column))).collect();
        let done = Mutex::new(0);
        let each = workers.try_map_each(work, |(column, arrays)| {
            let made = match column.feature.value_type {
                ValueType::Text => Made::texts(column, arrays, form, source, places),
                _ => Made::numbers(column, arrays, source, places),
            }?;
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            *done += 1;
            source.watch.progress(READ_SHARE * f64::from(*done) / plan.features.len() as f64);
            Ok(made)
        })?;
        let mut all = Made::default();
        for made in each {
            all.columns.iter_mut().zip(made.columns).for_each(|(all, made)| all.extend(made));
            all.categories.extend(made.categories);
            all.features.extend(made.features);
            all.names.extend(made.names);
        }
        Ok(all)
    }

    fn numbers(column: &Column, arrays: Vec<ArrayRef>, source: &Source<'_>, places: &Places) -> Result<Made> {
        let feature = column.feature.clone();
        let [train, held_out] = source.placed(arrays, places)?;
        let name = &feature.name;
        if train.iter().chain(&held_out).any(|value| value.is_infinite()) {
            return Err(Error::input(format!(
                "feature `{name}` has an infinite value: expected finite numbers or NULL"
            )));
        }
        if train.iter().all(|value| value.is_nan()) {
            return Err(Error::input(format!("feature `{name}` is NULL in all {} training rows", train.len()))
                .with_hint("leave it out of the query"));
        }
        let names = vec![name.clone()];
        Ok(Made { columns: [vec![train], vec![held_out]], categories: vec![0], features: vec![feature], names })
    }

    fn texts(
        column: &Column,
        arrays: Vec<ArrayRef>,
        form: CategoryForm,
        source: &Source<'_>,
        places: &Places,
    ) -> Result<Made> {
        let mut feature = column.feature.clone();
        let categories = categories::find(&feature.name, &arrays, places, form)?;
        let count = categories.values.len();
        let (codes, names) = match form {
            CategoryForm::Codes => (vec![count], vec![feature.name.clone()]),
            CategoryForm::Indicators => {
                let names = categories.values.iter().map(|text| format!("{}={text}", feature.name));
                (vec![0; count], names.collect())
            }
        };
        feature.categories = Some(categories);
        let design = Design::new(std::slice::from_ref(&feature));
        source.watch.reserve(source.rows * design.width() * size_of::<f64>())?;
        let mut columns: Vec<Vec<f64>> = vec![vec![0.0; places.len()]; design.width()];
        let mut start = 0;
        for array in arrays {
            source.check_cancelled()?;
            let expanded = design.expand(0, &array)?;
            columns.iter_mut().zip(expanded).for_each(|(all, values)| places.put(start, values.into_iter(), all));
            start += array.len();
        }
        let mut made = Made { categories: codes, features: vec![feature], names, ..Made::default() };
        for values in columns {
            made.columns.iter_mut().zip(places.part(values)).for_each(|(columns, part)| columns.push(part));
        }
        Ok(made)
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
    /// The first row of each batch.
    starts: Vec<usize>,
    rows: usize,
    watch: &'a dyn Watch,
}

/// Rows of one piece: their hashes, and the keys of those that are kept.
struct Hashed {
    hashes: Vec<RowHash>,
    keys: Vec<u64>,
}

impl<'a> Source<'a> {
    fn new(batches: Vec<RecordBatch>, watch: &'a dyn Watch) -> Result<Self> {
        let width = batches.first().map_or(0, RecordBatch::num_columns);
        let columns = vec![Vec::with_capacity(batches.len()); width];
        let mut source = Source { columns, starts: Vec::with_capacity(batches.len()), rows: 0, watch };
        for batch in batches.into_iter().filter(|batch| batch.num_rows() > 0) {
            for (column, array) in source.columns.iter_mut().zip(batch.columns()) {
                column.push(plain(array)?);
            }
            source.starts.push(source.rows);
            source.rows += batch.num_rows();
        }
        Ok(source)
    }

    /// The rows whose target and split column are known, in canonical order.
    fn canonical_order(&self, plan: &Plan, workers: &Workers) -> Result<Vec<u32>> {
        let positions = plan.positions();
        let pieces = workers.try_map(self.rows.div_ceil(ROWS_PER_PIECE), |piece| {
            let start = piece * ROWS_PER_PIECE;
            self.hashed(start, self.rows.min(start + ROWS_PER_PIECE), &positions, plan)
        })?;
        let (mut hashes, mut keys) = (Vec::with_capacity(pieces.len()), Vec::with_capacity(self.rows));
        for piece in pieces {
            hashes.push(piece.hashes);
            keys.extend(piece.keys);
        }
        self.check_cancelled()?;
        let hash = |row: u32| hashes[row as usize / ROWS_PER_PIECE][row as usize % ROWS_PER_PIECE];
        Ok(canonical::order(keys, hash, workers))
    }

    fn hashed(&self, start: usize, end: usize, positions: &[usize], plan: &Plan) -> Result<Hashed> {
        let mut hashes = vec![canonical::EMPTY; end - start];
        let mut keys = Vec::with_capacity(hashes.len());
        // In blocks, whose hashes stay in the cache while one column after the other is absorbed.
        for (from, hashes) in (start..).step_by(ROWS_PER_BLOCK).zip(hashes.chunks_mut(ROWS_PER_BLOCK)) {
            self.check_cancelled()?;
            let to = from + hashes.len();
            for position in positions {
                self.for_each_slice(*position, from, to, |at, array| {
                    canonical::absorb_column(array, &mut hashes[at - from..at - from + array.len()])
                })?;
            }
            canonical::finish(hashes);
            let mut kept = vec![true; hashes.len()];
            for column in plan.roles() {
                self.for_each_slice(column.position, from, to, |at, array| {
                    if array.null_count() > 0 {
                        let kept = kept[at - from..].iter_mut();
                        kept.zip(0..array.len()).for_each(|(kept, row)| *kept &= !array.is_null(row));
                    }
                    Ok(())
                })?;
            }
            let rows = (from as u32..).zip(hashes.iter()).zip(kept).filter(|(_, kept)| *kept);
            keys.extend(rows.map(|((row, hash), _)| canonical::key(*hash, row)));
        }
        Ok(Hashed { hashes, keys })
    }

    /// Calls `visit` with the parts of a column's batches that make up the rows from `from` to below `to`, and the first
    /// row of each.
    pub fn for_each_slice(
        &self,
        position: usize,
        from: usize,
        to: usize,
        mut visit: impl FnMut(usize, &ArrayRef) -> Result<()>,
    ) -> Result<()> {
        let batches = self.batches(position);
        let first = self.starts.partition_point(|start| *start <= from).saturating_sub(1);
        for (start, array) in self.starts.iter().zip(batches).skip(first).take_while(|(start, _)| **start < to) {
            let (begin, end) = (from.max(*start), to.min(start + array.len()));
            match end - begin == array.len() {
                true => visit(begin, array)?,
                false => visit(begin, &array.slice(begin - start, end - begin))?,
            }
        }
        Ok(())
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The batches of a column.
    fn batches(&self, position: usize) -> &[ArrayRef] {
        self.columns.get(position).map_or(&[], Vec::as_slice)
    }

    /// The batches of a column, which is let go.
    pub fn take(&mut self, column: &Column) -> Vec<ArrayRef> {
        self.columns.get_mut(column.position).map(std::mem::take).unwrap_or_default()
    }

    /// A column as numbers in the order of arrival; the column is let go.
    fn numbers(&mut self, column: &Column) -> Result<Vec<f64>> {
        let mut values = Vec::with_capacity(self.rows);
        for array in self.take(column) {
            self.check_cancelled()?;
            values.extend_from_slice(&doubles(&array)?);
        }
        Ok(values)
    }

    /// A column's values for the training and the held-out rows.
    pub fn placed(&self, arrays: Vec<ArrayRef>, places: &Places) -> Result<[Vec<f64>; 2]> {
        let (mut all, mut start) = (vec![0.0; places.len()], 0);
        for array in arrays {
            self.check_cancelled()?;
            // Negative zero equals zero in the canonical order, so it must not differ from it afterwards.
            places.put(start, doubles(&array)?.iter().map(|value| value + 0.0), &mut all);
            start += array.len();
        }
        Ok(places.part(all))
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
