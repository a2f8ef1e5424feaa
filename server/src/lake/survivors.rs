//! Writes the files of a change of rows: the rows that changed or came, and those of touched files that stay.
//!
//! Both are streams, so memory holds a bit for each row of the touched files and nothing else of the table. Where the
//! table has a change data feed, the rows before and after are written beside. It knows nothing of the commit.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray, new_null_array};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use deltalake_core::Path;
use deltalake_core::kernel::{Add, AddCDCFile};
use deltalake_core::table::state::DeltaTableState;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStore;
use object_store::prefix::PrefixStore;
use tokio::sync::mpsc;

use super::constraints::Constraints;
use super::data_files::DataFiles;
use super::marks::{Mark, Marks};
use super::numbered::{Files, Numbered};
use super::rewrite::{RowAction, streams};
use super::rows;
use super::table::Table;
use crate::limits::CHANGE_BATCHES_QUEUED_MAX;
use crate::{Error, Result};

/// Where Delta has the files of a change data feed.
const CHANGES: &str = "_change_data";
/// The columns before the values: file, row, action.
const PLACES: usize = 3;

/// A change that is being written.
pub struct Rewriting<'a> {
    pub table: &'a Arc<Table>,
    pub before: &'a DeltaTableState,
    pub files: Arc<Files>,
    pub partition_by: Vec<String>,
    /// Whether the table has a change data feed.
    pub follows_changes: bool,
    /// The columns of what is written.
    pub schema: SchemaRef,
    /// Those of them that the table gets only now.
    pub added: Vec<String>,
    pub constraints: Constraints,
    pub name: String,
    pub deletes_may_repeat: bool,
}

/// A change that is written.
#[derive(Debug, Default)]
pub struct Rewritten {
    pub adds: Vec<Add>,
    pub changes: Vec<AddCDCFile>,
    /// The files with a row that changed, by their numbers.
    pub touched: Vec<usize>,
    pub updated: u64,
    pub deleted: u64,
    pub inserted: u64,
    pub copied: u64,
}

impl Rewritten {
    /// Where the new files lie, for a table at `home`.
    pub fn paths(&self, home: &str) -> Vec<Path> {
        let added = self.adds.iter().map(|add| &add.path);
        let paths = added.chain(self.changes.iter().map(|change| &change.path));
        paths.filter_map(|path| Path::parse(format!("{home}/{path}")).ok()).collect()
    }
}

/// What both streams know and count.
struct Shared {
    schema: SchemaRef,
    /// Those of the columns that the table gets only now.
    added: Vec<String>,
    constraints: Constraints,
    name: String,
    deletes_may_repeat: bool,
    /// The schema of changes, where they are followed.
    changes: Option<SchemaRef>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    marks: Marks,
    counts: Rewritten,
    /// Marked rows that were left out of what stays.
    left_out: u64,
}

/// What a batch becomes: rows to write, and their changes.
#[derive(Default)]
struct Step {
    rows: Option<RecordBatch>,
    changes: Vec<RecordBatch>,
}

impl Rewriting<'_> {
    /// Runs the query and writes what comes of it.
    pub async fn run(self, plan: &LogicalPlan, state: &SessionState) -> Result<Rewritten> {
        let task = Arc::new(TaskContext::from(state));
        let found = state.create_physical_plan(plan).await?;
        let found = CoalescePartitionsExec::new(found).execute(0, task.clone())?;
        let changes = self.follows_changes.then(|| change_schema(&self.schema));
        let shared = Arc::new(Shared {
            schema: self.schema.clone(),
            added: self.added,
            constraints: self.constraints,
            name: self.name,
            deletes_may_repeat: self.deletes_may_repeat,
            changes: changes.clone(),
            state: Mutex::default(),
        });
        let (sender, receiver) = mpsc::channel(CHANGE_BATCHES_QUEUED_MAX);
        let sender = changes.is_some().then_some(sender);
        let stay = Stay {
            table: self.table.clone(),
            before: self.before.clone(),
            files: self.files.clone(),
            state: state.clone(),
            task,
            shared: shared.clone(),
        };
        let batches = written(found, stay, sender);
        let store = self.table.log_store().object_store(None);
        let files = DataFiles::of_stream(batches, self.schema.clone(), &self.partition_by, store.clone());
        let (files, changed) = match changes {
            None => (files.await?, DataFiles::default()),
            Some(schema) => {
                let store: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(store, CHANGES));
                let queued = futures::stream::unfold(receiver, |mut receiver| async move {
                    let batch: Option<RecordBatch> = receiver.recv().await;
                    batch.map(|batch| (Ok(batch), receiver))
                });
                let changed = DataFiles::of_stream(queued.fuse().boxed(), schema, &self.partition_by, store);
                match tokio::join!(files, changed) {
                    (Ok(files), Ok(changed)) => (files, changed),
                    // A queue that nobody reads is the other's failure.
                    (_, Err(error)) | (Err(error), _) => return Err(error),
                }
            }
        };
        let mut done = std::mem::take(&mut *shared.lock());
        if done.left_out != done.marks.count() {
            let (left_out, marked) = (done.left_out, done.marks.count());
            return Err(Error::internal(format!("expected to leave out {marked} rows, left out {left_out}")));
        }
        done.counts.touched = done.marks.files();
        done.counts.adds = files.into_adds();
        done.counts.changes = changed.into_adds().into_iter().map(as_change).collect();
        Ok(done.counts)
    }
}

fn as_change(add: Add) -> AddCDCFile {
    AddCDCFile {
        path: format!("{CHANGES}/{}", add.path),
        size: add.size,
        partition_values: add.partition_values,
        data_change: false,
        tags: None,
    }
}

fn change_schema(schema: &SchemaRef) -> SchemaRef {
    let kind = Arc::new(Field::new("_change_type", DataType::Utf8, true));
    let columns = schema.fields().iter().map(|field| Arc::new(Field::clone(field).with_nullable(true)));
    Arc::new(Schema::new(columns.chain([kind]).collect::<Vec<_>>()))
}

/// What it takes to read the touched files again.
struct Stay {
    table: Arc<Table>,
    before: DeltaTableState,
    files: Arc<Files>,
    state: SessionState,
    task: Arc<TaskContext>,
    shared: Arc<Shared>,
}

/// The rows to write: first what the query found, then what stays of the files that it touched.
fn written(
    found: SendableRecordBatchStream,
    stay: Stay,
    sender: Option<mpsc::Sender<RecordBatch>>,
) -> BoxStream<'static, Result<RecordBatch>> {
    let shared = stay.shared.clone();
    let changed = found.map(move |batch| shared.changed(&batch?));
    let kept = futures::stream::once(async move {
        let shared = stay.shared.clone();
        let rows = stay.read().await?;
        Ok::<_, Error>(rows.map(move |batch| shared.kept(&batch?)))
    });
    let steps = changed.chain(kept.try_flatten());
    let rows = steps.and_then(move |step| {
        let sender = sender.clone();
        async move {
            for changes in step.changes {
                if let Some(sender) = &sender
                    && sender.send(changes).await.is_err()
                {
                    return Err(Error::internal("nobody writes the changes"));
                }
            }
            Ok(step.rows)
        }
    });
    rows.try_filter_map(|rows| std::future::ready(Ok(rows))).boxed()
}

impl Stay {
    /// The rows of the touched files with their places.
    async fn read(self) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let touched = self.shared.lock().marks.files();
        if touched.is_empty() {
            return Ok(futures::stream::empty().boxed());
        }
        let rows = Numbered::new(&self.table, &self.before, &self.files, &touched, streams()).await?;
        let plan = rows.scan(&self.state, None, &[], None).await?;
        let rows = CoalescePartitionsExec::new(plan).execute(0, self.task)?;
        Ok(rows.map_err(Error::from).boxed())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks the rows of a batch of the query, and gives those that are to be written.
    fn changed(&self, batch: &RecordBatch) -> Result<Step> {
        let [files, rows, actions, values @ ..] = batch.columns() else {
            return Err(Error::internal("a change came without its places"));
        };
        let (files, rows, actions) = (numbers(files)?, numbers(rows)?, numbers(actions)?);
        let mut writes = Vec::with_capacity(batch.num_rows());
        {
            let mut state = self.lock();
            for row in 0..batch.num_rows() {
                let place = (!files.is_null(row) && !rows.is_null(row)).then(|| (files.value(row), rows.value(row)));
                let action = (!actions.is_null(row)).then(|| actions.value(row));
                writes.push(self.count(&mut state, place, action)?);
            }
        }
        if values.is_empty() {
            return Ok(Step::default());
        }
        let kept = BooleanArray::from(writes);
        let values = RecordBatch::try_new(self.nullable(), values.to_vec())?;
        let written = filter_record_batch(&values, &kept)?;
        let written = rows::checked(written, &self.schema, &self.constraints, &self.name)?;
        let changes = match &self.changes {
            None => Vec::new(),
            Some(schema) => {
                let kinds =
                    actions.iter().zip(&kept).filter(|(_, kept)| *kept == Some(true)).map(|(action, _)| {
                        if action == Some(RowAction::INSERT) { "insert" } else { "update_postimage" }
                    });
                vec![labelled(&written, kinds, schema)?]
            }
        };
        Ok(Step { rows: Some(written), changes })
    }

    /// Notes what happens to one row; whether it is written.
    fn count(&self, state: &mut State, place: Option<(i64, i64)>, action: Option<i64>) -> Result<bool> {
        let updated = match (place, action) {
            (None, Some(RowAction::INSERT)) => {
                state.counts.inserted += 1;
                return Ok(true);
            }
            (Some(_), Some(RowAction::UPDATE)) => true,
            (Some(_), Some(RowAction::DELETE)) => false,
            _ => return Err(Error::internal("a change came without a place or an action")),
        };
        let index = |number: i64| usize::try_from(number).map_err(|_| Error::internal("a place below zero"));
        let (file, row) = place.unwrap_or_default();
        if state.marks.mark(index(file)?, index(row)?, updated) {
            state.counts.updated += u64::from(updated);
            state.counts.deleted += u64::from(!updated);
            return Ok(updated);
        }
        match self.deletes_may_repeat && !updated {
            true => Ok(false),
            false => {
                Err(Error::input(format!("a row of `{}` is matched by more than one row of the source", self.name))
                    .with_hint(
                        "leave one row for each key in the source, for instance with `GROUP BY` or `row_number()`",
                    ))
            }
        }
    }

    /// The rows of a batch of a touched file that stay.
    fn kept(&self, batch: &RecordBatch) -> Result<Step> {
        let width = batch.num_columns() - (PLACES - 1);
        let (files, rows) = (numbers(batch.column(width))?, numbers(batch.column(width + 1))?);
        let mut marks = Vec::with_capacity(batch.num_rows());
        {
            let mut state = self.lock();
            for (file, row) in files.iter().zip(rows.iter()) {
                let index = |number: Option<i64>| number.and_then(|number| usize::try_from(number).ok());
                let (Some(file), Some(row)) = (index(file), index(row)) else {
                    return Err(Error::internal("a row came without its place"));
                };
                marks.push(state.marks.of(file, row));
            }
            let stay = marks.iter().filter(|mark| **mark == Mark::None).count() as u64;
            state.counts.copied += stay;
            state.left_out += marks.len() as u64 - stay;
        }
        let whole = self.stored(batch)?;
        let stay: BooleanArray = marks.iter().map(|mark| Some(*mark == Mark::None)).collect();
        let rows = filter_record_batch(&whole, &stay)?;
        let rows = RecordBatch::try_new(self.schema.clone(), rows.columns().to_vec())?;
        let changes = match &self.changes {
            None => Vec::new(),
            Some(schema) => {
                let gone: BooleanArray = marks.iter().map(|mark| Some(*mark != Mark::None)).collect();
                let kinds = marks.iter().filter(|mark| **mark != Mark::None).map(|mark| match mark {
                    Mark::Updated => "update_preimage",
                    _ => "delete",
                });
                vec![labelled(&filter_record_batch(&whole, &gone)?, kinds, schema)?]
            }
        };
        Ok(Step { rows: Some(rows), changes })
    }

    /// The columns of a batch in the types and the order of the table; columns that it gets are NULL.
    fn stored(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        for field in self.schema.fields() {
            columns.push(match batch.column_by_name(field.name()) {
                Some(column) => cast(column, field.data_type())?,
                None if self.added.contains(field.name()) => new_null_array(field.data_type(), batch.num_rows()),
                None => return Err(Error::internal(format!("a file was read without the column `{}`", field.name()))),
            });
        }
        Ok(RecordBatch::try_new(self.nullable(), columns)?)
    }

    /// The columns without what is asked of them.
    fn nullable(&self) -> SchemaRef {
        let columns = self.schema.fields().iter().map(|field| Arc::new(Field::clone(field).with_nullable(true)));
        Arc::new(Schema::new(columns.collect::<Vec<_>>()))
    }
}

fn numbers(column: &ArrayRef) -> Result<Int64Array> {
    Ok(cast(column, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

/// Rows with what happened to them.
fn labelled<'a>(rows: &RecordBatch, kinds: impl Iterator<Item = &'a str>, schema: &SchemaRef) -> Result<RecordBatch> {
    let kinds: StringArray = kinds.map(Some).collect();
    let columns = rows.columns().iter().cloned().chain([Arc::new(kinds) as ArrayRef]).collect();
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}
