//! `TRAIN MODEL name REFRESH`: the training behind the latest version once more, for the groups whose data changed.
//!
//! Which groups those are, the table's log says: they are the ones that the training query gives of files that were added
//! or removed since. That holds for a query that takes each row by itself; any other is refused. The run keeps the version
//! that it started from, so that it can be done again.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema};
use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableScan};
use datafusion::physical_plan::execute_stream;
use futures::StreamExt;
use limn_sql_udfs::model::partition::{self, KeySet};
use limn_sql_udfs::model::reference::{ModelRef, Selector};

use super::catalog::Scope;
use super::context::{Snapshots, StatementContext};
use super::open::Inner;
use super::plan::{self, Planned};
use super::recorded::{self, SessionNote};
use super::session::Session;
use super::{Answer, models, output, train};
use crate::lake::types::{wire_batch, wire_schema};
use crate::limits::REFRESH_KEYS_PUSHED_MAX;
use crate::registry::{Index, ModelAlias, ModelVersion, Row, Run};
use crate::sql::refresh::Refresh;
use crate::sql::scan::GENERATED_SCHEMA;
use crate::sql::train::Train;
use crate::sql::{Statement, parse};
use crate::training::{self, Job, Older};
use crate::{Error, Result};

/// The parameter of a run with the statement that a refresh repeats.
pub(super) const STATEMENT: &str = "refresh_statement";
/// The parameter with the artifact that a refresh starts from.
pub(super) const ARTIFACT: &str = "refresh_artifact_sha256";
/// The parameter with the table version that a refresh starts from.
pub(super) const FROM: &str = "refresh_from";

/// What a refresh starts from.
pub(super) struct Base {
    /// The version, as `name/version`.
    shown: String,
    artifact_sha256: String,
    /// The training statement, with its session and parameters.
    statement: Train,
    text: String,
    parameters: Vec<ScalarValue>,
    session: SessionNote,
    /// The id of the one table, and its version.
    table: String,
    from: u64,
}

impl Base {
    /// A model's version, to be refreshed now.
    fn of(index: &Index, version: &ModelVersion) -> Result<Self> {
        let shown = format!("{}/{}", version.name, version.version);
        let Some(run) = version.run_id.as_deref().and_then(|run_id| index.run(run_id)) else {
            return Err(refused(&shown, "it was imported"));
        };
        let inputs: Vec<_> = index.inputs(&run.run_id).collect();
        let [input] = inputs.as_slice() else {
            return Err(refused(&shown, &format!("its query reads {} tables, and not one", inputs.len())));
        };
        let param = |key: &str| index.params(&run.run_id).find(|param| param.key == key).map(|p| p.value.as_str());
        let text = param(STATEMENT).or(run.statement.as_deref());
        Self::new(shown.clone(), &version.artifact_sha256, run, text, (&input.table_id, input.version))
    }

    /// What the refresh behind a run started from.
    pub(super) fn of_run(run: &Run, params: &[(String, String)], table: &str) -> Result<Self> {
        let param = |key: &str| params.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str());
        let missing = || Error::internal(format!("the run `{}` does not say what it refreshed", run.run_id));
        let from = param(FROM).and_then(|from| from.parse().ok()).ok_or_else(missing)?;
        let artifact_sha256 = param(ARTIFACT).ok_or_else(missing)?;
        Self::new(run.name.clone(), artifact_sha256, run, param(STATEMENT), (table, from))
    }

    fn new(shown: String, sha256: &str, run: &Run, text: Option<&str>, table: (&str, u64)) -> Result<Self> {
        let text = text.ok_or_else(|| refused(&shown, "its run has no statement"))?.to_string();
        let Statement::Train(mut statement) = parse(&text)? else {
            return Err(refused(&shown, "its run did not come from `TRAIN MODEL`"));
        };
        if statement.partition.is_none() {
            return Err(refused(&shown, "it has no groups").with_hint("a model without `PARTITION BY` is trained anew"));
        }
        statement.seed = run.seed.and_then(|seed| u64::try_from(seed).ok()).or(statement.seed);
        let session = run.session.as_deref().ok_or_else(|| refused(&shown, "its run does not say its session"))?;
        Ok(Base {
            artifact_sha256: sha256.to_string(),
            statement: *statement,
            text,
            parameters: run.parameters.as_deref().map(recorded::from_text).transpose()?.unwrap_or_default(),
            session: SessionNote::from_text(session)?,
            table: table.0.to_string(),
            from: table.1,
            shown,
        })
    }
}

fn refused(shown: &str, reason: &str) -> Error {
    Error::unsupported(format!("model `{shown}` cannot be refreshed: {reason}"))
}

/// Runs the statement; the answer is its one row.
pub(super) async fn run(scope: Scope, statement: Refresh, sql: &str) -> Result<Answer> {
    let inner = Arc::clone(&scope.inner);
    let (base, version) = {
        let index = inner.registry.index();
        let latest = ModelRef { name: statement.model.clone(), selector: Selector::Latest };
        let version = index.resolve(&latest)?;
        (Base::of(&index, version)?, version.clone())
    };
    let session = Session::new();
    session.set_schema(&base.session.schema);
    let snapshots = Snapshots::from_lists(Vec::new(), Vec::new());
    let ctx = StatementContext { session: Arc::new(session), snapshots, ..scope.ctx.clone() };
    let row = match job(Scope::new(&inner, &ctx), base, sql).await? {
        Some(job) => {
            let job = Job { experiment: statement.experiment, alias: statement.alias, ..job };
            training::run(&inner.registry, job).await?
        }
        None => unchanged(&inner, version, statement.alias).await?,
    };
    Ok(output::finished(row.with_schema(train::result_schema())?, Some(1)))
}

/// The answer where nothing changed: the version that there is, of which no group was trained.
async fn unchanged(inner: &Inner, version: ModelVersion, alias: Option<String>) -> Result<RecordBatch> {
    if let Some(alias) = alias {
        let row = ModelAlias { name: version.name.clone(), alias, version: version.version };
        inner.registry.transact(move |_| Ok((vec![Row::ModelAlias(row.clone())], ()))).await?;
    }
    let text = |value: Option<&str>| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
    let number =
        |value: u64| -> ArrayRef { Arc::new(Int64Array::from(vec![i64::try_from(value).unwrap_or(i64::MAX)])) };
    let columns = vec![
        text(Some(&version.name)),
        number(version.version),
        text(version.run_id.as_deref()),
        text(Some(&version.algorithm)),
        number(0),
        number(0),
        text(Some(&version.metrics)),
        text(Some(&version.artifact_sha256)),
        number(0),
    ];
    Ok(RecordBatch::try_new(Arc::new(training::result_schema()), columns)?)
}

/// Plans the training of the groups that changed, and begins to read them; `None` where none did. The table versions are
/// those of the scope's statement.
pub(super) async fn job(scope: Scope, base: Base, sql: &str) -> Result<Option<Job>> {
    let inner = Arc::clone(&scope.inner);
    let ctx = scope.ctx.clone();
    let planned = ctx.run(train::planned(scope, &base.statement)).await?;
    let to = one_table(&planned, &base)?;
    let plan = plan::bound(&planned.state, planned.plan.clone(), &base.parameters)?;
    row_by_row(&plan, &base.shown)?;
    let relation = inner.lake.find(&to.0).ok_or_else(|| Error::not_found(format!("`{}` was dropped", to.0)))?;
    let changes = match base.from == to.1 {
        true => None,
        false => ctx.run(inner.lake.changes(&relation, base.from, to.1)).await?,
    };
    let Some(changes) = changes else { return Ok(None) };
    let names = base.statement.partition.as_ref().map(|p| p.columns.clone()).unwrap_or_default();
    let mut changed: Option<KeySet> = None;
    let mut values = vec![Some(BTreeSet::new()); names.len()];
    for provider in [changes.removed, changes.added] {
        for keys in keys(&planned, &ctx, &plan, provider, &names).await? {
            let set = match &mut changed {
                Some(set) => set,
                empty => empty.insert(KeySet::new(&keys.schema(), &names)?),
            };
            set.add(&keys)?;
            keys.columns().iter().zip(&mut values).for_each(|(array, values)| few(array, values));
        }
    }
    let Some(changed) = changed.filter(|changed| !changed.is_empty()) else { return Ok(None) };
    let changed = Arc::new(changed);
    let plan = restricted(plan, &planned, &names, values)?;
    let job = train::job_of(&planned, plan, &base.statement, sql, &base.parameters).await?;
    let manifest = inner.registry.artifact(&base.artifact_sha256).await?;
    if !partition::is_partitioned(&manifest) {
        return Err(refused(&base.shown, "it has no groups"));
    }
    let parts = models::parts(&inner, &manifest).await?;
    let notes = [(STATEMENT, base.text), (ARTIFACT, base.artifact_sha256), (FROM, base.from.to_string())];
    let wanted = Arc::clone(&changed);
    let of_changed = move |batch: Result<RecordBatch>| -> Result<RecordBatch> { Ok(wanted.filter(&batch?)?) };
    Ok(Some(Job {
        batches: job.batches.map(of_changed).boxed(),
        older: Some(Older { manifest, parts, changed }),
        notes: notes.map(|(key, value)| (key.to_string(), value)).to_vec(),
        ..job
    }))
}

/// The one table that the query reads, and its version.
fn one_table(planned: &Planned, base: &Base) -> Result<(crate::lake::TableName, u64)> {
    let reads = planned.scope.reads();
    let [read] = reads.as_slice() else {
        return Err(refused(&base.shown, &format!("its query reads {} tables, and not one", reads.len())));
    };
    if !planned.scope.views().is_empty() {
        return Err(refused(&base.shown, "its query reads a view"));
    }
    if !planned.scope.ctx.snapshots.to_lists().1.is_empty() {
        return Err(refused(&base.shown, "its query calls a model"));
    }
    match read.id == base.table {
        true => Ok((read.name.clone(), read.version)),
        false => {
            Err(refused(&base.shown, &format!("`{}` is another table now", read.name))
                .with_hint("train the model anew"))
        }
    }
}

/// An error where a row of the query's result depends on more than one row of the table.
fn row_by_row(plan: &LogicalPlan, shown: &str) -> Result<()> {
    let mut culprit: Option<&str> = None;
    let mut scans = 0;
    plan.apply_with_subqueries(|node| {
        culprit = match node {
            LogicalPlan::Projection(_) | LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) => culprit,
            LogicalPlan::TableScan(scan) if scan.table_name.schema() == Some(GENERATED_SCHEMA) => {
                Some("names a version or a function in place of a table")
            }
            LogicalPlan::TableScan(scan) if scan.fetch.is_some() => Some("has a limit"),
            LogicalPlan::TableScan(_) => {
                scans += 1;
                if scans > 1 { Some("reads the table more than once") } else { culprit }
            }
            LogicalPlan::Join(_) => Some("has a join"),
            LogicalPlan::Aggregate(_) => Some("has an aggregate"),
            LogicalPlan::Distinct(_) => Some("has DISTINCT"),
            LogicalPlan::Window(_) => Some("has a window function"),
            LogicalPlan::Limit(_) => Some("has a limit"),
            LogicalPlan::Sort(_) => Some("has an order"),
            LogicalPlan::Union(_) => Some("has a union"),
            _ => Some("is more than filters and columns of a table"),
        };
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) = expr {
                    culprit = Some("has a subquery");
                    return Ok(TreeNodeRecursion::Stop);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        Ok(if culprit.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    match culprit {
        None => Ok(()),
        Some(reason) => Err(refused(shown, &format!("its query {reason}"))
            .with_hint("a query of one table with filters and columns can be refreshed; train the model anew")),
    }
}

/// The groups that the query gives of the rows of `provider`, in the place of the table's.
async fn keys(
    planned: &Planned,
    ctx: &StatementContext,
    plan: &LogicalPlan,
    provider: Arc<dyn TableProvider>,
    names: &[String],
) -> Result<Vec<RecordBatch>> {
    let source = provider_as_source(provider);
    let plan = plan.clone().transform_down(|node| match node {
        LogicalPlan::TableScan(scan) => {
            let scan = TableScan { source: Arc::clone(&source), ..scan };
            Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
        }
        other => Ok(Transformed::no(other)),
    });
    let plan = plan.data()?;
    let columns = key_columns(planned, &plan, names)?;
    let plan = LogicalPlanBuilder::from(plan).project(columns)?.distinct()?.build()?;
    let plan = planned.state.optimize(&plan)?;
    let found = plan.schema().as_arrow().clone();
    let fields = found.fields().iter().zip(names);
    let schema = wire_schema(&Schema::new(
        fields.map(|(field, name)| Field::new(name, field.data_type().clone(), true)).collect::<Vec<_>>(),
    ));
    let read = async {
        let physical = planned.state.query_planner().create_physical_plan(&plan, &planned.state).await?;
        let mut rows = execute_stream(physical, planned.task())?;
        let mut batches = Vec::new();
        while let Some(batch) = rows.next().await {
            batches.push(wire_batch(&batch.map_err(Error::from)?, &schema)?);
        }
        Ok::<_, Error>(batches)
    };
    ctx.run(read).await
}

/// The group columns in the query's result.
fn key_columns(planned: &Planned, plan: &LogicalPlan, names: &[String]) -> Result<Vec<Expr>> {
    let shown = planned.names.restore(plan.schema().as_arrow());
    let columns = plan.schema().columns();
    let column = |name: &String| {
        let place = shown.fields().iter().position(|field| field.name() == name);
        let found = place.and_then(|place| columns.get(place).cloned());
        found.map(Expr::Column).ok_or_else(|| Error::internal(format!("the query has no group column `{name}`")))
    };
    names.iter().map(column).collect()
}

/// Adds the values of a column to those that are few; `None` where they are not, or one of them is NULL.
fn few(array: &ArrayRef, values: &mut Option<BTreeSet<String>>) {
    let Some(known) = values else { return };
    let texts = arrow::compute::cast(array, &arrow::datatypes::DataType::Utf8);
    match texts {
        Ok(texts) if texts.null_count() == 0 => {
            known.extend(texts.as_string::<i32>().iter().flatten().map(str::to_string));
            if known.len() > REFRESH_KEYS_PUSHED_MAX {
                *values = None;
            }
        }
        _ => *values = None,
    }
}

/// The query with a filter that lets files without any of the groups be skipped, where they are few.
fn restricted(
    plan: LogicalPlan,
    planned: &Planned,
    names: &[String],
    values: Vec<Option<BTreeSet<String>>>,
) -> Result<LogicalPlan> {
    let columns = key_columns(planned, &plan, names)?;
    let mut builder = LogicalPlanBuilder::from(plan);
    for (column, values) in columns.into_iter().zip(values) {
        let Some(values) = values else { continue };
        let data_type = column_type(&builder, &column)?;
        let literals = values.into_iter().map(|value| ScalarValue::try_from_string(value, &data_type));
        let literals = literals.collect::<datafusion::common::Result<Vec<_>>>()?;
        let list = literals.into_iter().map(|value| Expr::Literal(value, None)).collect();
        builder = builder.filter(column.in_list(list, false))?;
    }
    Ok(builder.build()?)
}

fn column_type(builder: &LogicalPlanBuilder, column: &Expr) -> Result<arrow::datatypes::DataType> {
    use datafusion::logical_expr::ExprSchemable;
    Ok(column.get_type(builder.schema().as_ref())?)
}
