//! The query of a statement that changes rows, and the columns that the lake wants of it.
//!
//! A merge's values come one column for each clause, so that none is computed for a row of another clause, and are put
//! together here, each in the type of its column. It runs nothing.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use datafusion::common::Column;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::ViewTable;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::conditional_expressions::CaseBuilder;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast, lit};
use datafusion::scalar::ScalarValue;

use super::catalog::{Scope, TableRead};
use super::change::Changing;
use super::context::StatementContext;
use super::open::Inner;
use super::plan::{self, Planned};
use super::{change_insert, columns};
use crate::lake::types::{sql_name, storage_schema};
use crate::lake::{ChangeKind, ChangeTarget, RowAction};
use crate::sql::change::Change;
use crate::sql::change_query::{
    self, ACTION, CLAUSE, FILE, FROM_SOURCE, ROW, SOURCE, TARGET, TargetColumn, merge_column,
};
use crate::sql::merge::{Action, Matching, Merge};
use crate::{Error, Result};

/// A statement's query, and what is to be known of it.
pub(super) struct Built {
    /// The query.
    pub planned: Planned,
    pub kind: ChangeKind,
    /// Columns that the table gets.
    pub added: Vec<Arc<Field>>,
    pub deletes_may_repeat: bool,
    pub must_meet: Option<String>,
    /// What makes the lake's columns of the query's.
    pub finish: Finish,
}

/// From the columns of a query to those that the lake wants.
pub(super) enum Finish {
    /// They are so already.
    Done,
    /// Each column has its value, some of which were given by the statement.
    Values {
        /// The columns that the statement gives values to.
        given: Vec<String>,
    },
    /// A merge.
    Merge {
        /// What each clause does.
        clauses: Vec<Outcome>,
        /// Columns that the table gets.
        added: Vec<Arc<Field>>,
    },
}

/// What a clause of a merge does.
pub(super) struct Outcome {
    action: i64,
    /// The columns that it gives values to.
    given: Vec<String>,
}

/// Plans the query of a statement on this version of its table.
pub(super) async fn build(
    inner: &Arc<Inner>,
    ctx: &StatementContext,
    changing: &Changing,
    target: &ChangeTarget,
) -> Result<Built> {
    let mut scope = Scope::new(inner, ctx);
    scope.generated.insert(TARGET.into(), Arc::clone(&target.rows));
    match changing {
        Changing::Change(Change::Delete(delete)) => {
            let query = change_query::delete(delete)?;
            let planned = plan::query(scope, query).await?;
            Ok(plain(planned, ChangeKind::Delete, Finish::Done))
        }
        Changing::Change(Change::Update(update)) => {
            let query = change_query::update(update, &columns_of(&target.schema))?;
            let given = update.assignments.iter().map(|assignment| assignment.column.clone()).collect();
            let planned = plan::query(scope, query).await?;
            Ok(plain(planned, ChangeKind::Update, Finish::Values { given }))
        }
        Changing::Change(Change::Merge(merge)) => build_merge(scope, merge, target).await,
        Changing::Insert(insert) => change_insert::build(scope, insert, target).await,
    }
}

fn plain(planned: Planned, kind: ChangeKind, finish: Finish) -> Built {
    Built { planned, kind, added: Vec::new(), deletes_may_repeat: false, must_meet: None, finish }
}

fn columns_of(schema: &Schema) -> Vec<TargetColumn> {
    let column =
        |field: &Arc<Field>| TargetColumn { name: field.name().clone(), sql_type: sql_name(field.data_type()) };
    schema.fields().iter().map(column).collect()
}

async fn build_merge(mut scope: Scope, merge: &Merge, target: &ChangeTarget) -> Result<Built> {
    let (source, source_reads, reads_files) = source(&scope, merge).await?;
    let fields: Vec<Arc<Field>> =
        source.schema().fields().iter().filter(|f| f.name() != FROM_SOURCE).cloned().collect();
    columns::each_once(&Schema::new(fields.clone()))?;
    scope.generated.insert(SOURCE.into(), Arc::new(ViewTable::new(source, None)));
    let added = match merge.evolve {
        true => added(merge, target, &fields)?,
        false => Vec::new(),
    };
    let all: Vec<Arc<Field>> = target.schema.fields().iter().chain(&added).cloned().collect();
    let columns = columns_of(&Schema::new(all));
    let names: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
    for matching in [Matching::BySourceOnly, Matching::ByTargetOnly] {
        if let Some(query) = change_query::one_sided(merge, matching)? {
            let side = match matching {
                Matching::BySourceOnly => "`WHEN NOT MATCHED` has only the source's columns",
                _ => "`WHEN NOT MATCHED BY SOURCE` has only the target's columns",
            };
            plan::query(scope.clone(), query).await.map_err(|error| error.context(side))?;
        }
    }
    let query = change_query::merge(merge, &columns, target.schema.fields().len(), &names)?;
    let mut clauses = Vec::with_capacity(merge.clauses.len());
    for clause in &merge.clauses {
        let assigned = change_query::assigned(merge, &clause.action, &columns, &names)?;
        let action = match clause.action {
            Action::Update(_) | Action::UpdateAll => RowAction::UPDATE,
            Action::Delete => RowAction::DELETE,
            Action::Insert(_) | Action::InsertAll => RowAction::INSERT,
        };
        clauses.push(Outcome { action, given: assigned.into_iter().map(|assignment| assignment.column).collect() });
    }
    let mut planned = plan::query(scope, query).await?;
    refuse_volatile(&planned.plan)?;
    planned.sources = planned.scope.reads();
    for read in source_reads {
        if !planned.sources.contains(&read) {
            planned.sources.push(read);
        }
    }
    planned.reads_files |= reads_files;
    let matched: Vec<_> = merge.clauses.iter().filter(|clause| clause.matching == Matching::Matched).collect();
    // As in Delta: rows that all go, whatever the source says, may be named twice.
    let deletes_may_repeat =
        matches!(matched.as_slice(), [only] if only.condition.is_none() && matches!(only.action, Action::Delete));
    let finish = Finish::Merge { clauses, added: added.clone() };
    Ok(Built { planned, kind: ChangeKind::Merge, added, deletes_may_repeat, must_meet: None, finish })
}

/// The source's rows with a column that is never NULL, what was read for them, and whether that were files.
async fn source(scope: &Scope, merge: &Merge) -> Result<(LogicalPlan, Vec<TableRead>, bool)> {
    let own = Scope::new(&scope.inner, &scope.ctx);
    let planned = plan::query(own, change_query::source(merge)?).await?;
    let plan = planned.names.apply(planned.plan)?;
    let mut all: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
    all.push(lit(true).alias(FROM_SOURCE));
    let plan = LogicalPlanBuilder::from(plan).project(all)?.build()?;
    Ok((plan, planned.scope.reads(), planned.reads_files))
}

/// The columns that the target gets from the source: of `*` all that it does not have, else those that are named.
fn added(merge: &Merge, target: &ChangeTarget, source: &[Arc<Field>]) -> Result<Vec<Arc<Field>>> {
    let all = merge.clauses.iter().any(|clause| matches!(clause.action, Action::UpdateAll | Action::InsertAll));
    let named = |name: &str| {
        merge.clauses.iter().any(|clause| match &clause.action {
            Action::Update(assignments) | Action::Insert(assignments) => assignments.iter().any(|a| a.column == name),
            _ => false,
        })
    };
    let has =
        |name: &str| target.schema.fields().iter().any(|field| field.name().to_lowercase() == name.to_lowercase());
    let new: Vec<Field> = source
        .iter()
        .filter(|field| !has(field.name()) && (all || named(field.name())))
        .map(|field| Field::new(field.name(), field.data_type().clone(), true))
        .collect();
    Ok(storage_schema(&Schema::new(new))?.fields().iter().cloned().collect())
}

/// Clauses are told apart, and their values computed, by conditions that are written several times.
fn refuse_volatile(plan: &LogicalPlan) -> Result<()> {
    let mut found = None;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            if found.is_none() && expr.is_volatile() {
                found = Some(());
            }
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    match found {
        None => Ok(()),
        Some(()) => Err(Error::unsupported(
            "functions such as `random()`, which give another value at each call, are \
                                            not supported in the conditions and values of `MERGE`",
        )
        .with_hint("put them into the source's query")),
    }
}

impl Finish {
    /// The lake's columns of the query's.
    pub(super) fn apply(&self, state: &SessionState, plan: LogicalPlan, target: &ChangeTarget) -> Result<LogicalPlan> {
        match self {
            Finish::Done => Ok(plan),
            Finish::Values { given } => {
                let mut all = vec![column(FILE), column(ROW), column(ACTION)];
                for field in target.schema.fields() {
                    all.push(cast(column(field.name()), field.data_type().clone()).alias(field.name()));
                }
                let plan = LogicalPlanBuilder::from(plan).project(all)?.build()?;
                generate(state, plan, target, &[], |name| (!given.iter().any(|given| given == name)).then(|| lit(true)))
            }
            Finish::Merge { clauses, added } => merged(state, plan, target, clauses, added),
        }
    }
}

fn merged(
    state: &SessionState,
    plan: LogicalPlan,
    target: &ChangeTarget,
    clauses: &[Outcome],
    added: &[Arc<Field>],
) -> Result<LogicalPlan> {
    let numbered = || (1_i64..).zip(clauses);
    let actions = numbered().map(|(number, clause)| (lit(number), lit(clause.action)));
    let mut all = vec![column(FILE), column(ROW), by_clause(actions.collect())?.alias(ACTION), column(CLAUSE)];
    let existing = target.schema.fields().len();
    let writes = clauses.iter().any(|clause| clause.action != RowAction::DELETE);
    for (index, field) in target.schema.fields().iter().chain(added).enumerate().filter(|_| writes) {
        let mut values = Vec::with_capacity(clauses.len());
        for (number, clause) in numbered() {
            let of = usize::try_from(number).unwrap_or_default();
            let value = match clause.given.contains(field.name()) {
                true => cast(column(&merge_column(of, index)), field.data_type().clone()),
                false if clause.action == RowAction::UPDATE && index < existing => {
                    cast(column(&merge_column(0, index)), field.data_type().clone())
                }
                false => lit(ScalarValue::try_from(field.data_type())?),
            };
            values.push((lit(number), value));
        }
        all.push(by_clause(values)?.alias(field.name()));
    }
    let changed = column(CLAUSE).is_not_null();
    let plan = LogicalPlanBuilder::from(plan).filter(changed)?.project(all)?.build()?;
    let computed = |name: &str| {
        let own: Vec<Expr> = numbered()
            .filter(|(_, clause)| clause.action != RowAction::DELETE && !clause.given.iter().any(|given| given == name))
            .map(|(number, _)| lit(number))
            .collect();
        (!own.is_empty()).then(|| column(CLAUSE).in_list(own, false))
    };
    match writes {
        true => generate(state, plan, target, added, computed),
        false => {
            let places = [FILE, ROW, ACTION].map(column);
            Ok(LogicalPlanBuilder::from(plan).project(places)?.build()?)
        }
    }
}

/// The value of the clause that is done.
fn by_clause(values: Vec<(Expr, Expr)>) -> Result<Expr> {
    let (whens, thens) = values.into_iter().unzip();
    Ok(CaseBuilder::new(Some(Box::new(column(CLAUSE))), whens, thens, None).end()?)
}

/// The places, the action and the columns, in which those that follow from others get their values where `computed`
/// says so.
pub(super) fn generate(
    state: &SessionState,
    plan: LogicalPlan,
    target: &ChangeTarget,
    added: &[Arc<Field>],
    computed: impl Fn(&str) -> Option<Expr>,
) -> Result<LogicalPlan> {
    let mut all = [FILE, ROW, ACTION].map(column).to_vec();
    for field in target.schema.fields().iter().chain(added) {
        let own = column(field.name());
        let expression = target.generated.iter().find(|(name, _)| name == field.name());
        let value = match (expression, computed(field.name())) {
            (Some((_, text)), Some(condition)) => {
                let value = state.create_logical_expr(text, plan.schema())?;
                let value = cast(value, field.data_type().clone());
                CaseBuilder::new(None, vec![condition], vec![value], Some(Box::new(own))).end()?
            }
            _ => own,
        };
        all.push(value.alias(field.name()));
    }
    Ok(LogicalPlanBuilder::from(plan).project(all)?.build()?)
}

/// A column by its name as it is.
pub(super) fn column(name: &str) -> Expr {
    Expr::Column(Column::from_name(name))
}
