//! `UPDATE`, `DELETE` and `MERGE`, and the inserts that replace some of what is there.
//!
//! Each attempt of such a statement is planned anew on the version that it is going to change, while nobody else writes
//! to the table: the query that finds the rows sees that version, and so does every subquery that reads the table.
//! DataFusion's own hooks for these statements are never reached. It writes nothing itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::logical_expr::LogicalPlan;
use datafusion::scalar::ScalarValue;
use tokio::sync::Mutex;

use super::catalog::{Scope, TableRead};
use super::change_plan::{self, Built};
use super::context::{Snapshots, StatementContext};
use super::execute::{notes, until_commit};
use super::insert::writable;
use super::lineage::Writing;
use super::open::Inner;
use super::plan::{self, Planned};
use super::{Answer, output};
use crate::lake::{ChangePlan, ChangeTarget, CommitNotes, Relation, RowChange, is_temporary};
use crate::sql::ObjectRef;
use crate::sql::change::Change;
use crate::sql::insert::Insert;
use crate::sql::transaction::AppTransaction;
use crate::{Error, Result};

/// A statement that changes rows.
#[derive(Clone)]
pub(super) enum Changing {
    /// `UPDATE`, `DELETE`, `MERGE`.
    Change(Change),
    /// `INSERT … REPLACE WHERE` and `INSERT OVERWRITE … PARTITION`.
    Insert(Box<Insert>),
}

/// The query of a statement, planned on what its table is now; for its description.
pub(super) async fn planned(scope: Scope, changing: &Changing, name: &ObjectRef) -> Result<Planned> {
    let relation = target(&scope, name)?;
    let target = scope.inner.lake.change_target(&relation).await?;
    let ctx = at(&scope.ctx, &relation, target.version);
    Ok(change_plan::build(&scope.inner, &ctx, changing, &target).await?.planned)
}

fn target(scope: &Scope, name: &ObjectRef) -> Result<Arc<Relation>> {
    let name = scope.named(name);
    writable(scope, &name)?;
    scope.relation(&name)
}

/// The same statement on this version of its table; what else it reads is read as it is now.
fn at(ctx: &StatementContext, relation: &Relation, version: u64) -> StatementContext {
    let (_, models) = ctx.snapshots.to_lists();
    let snapshots = Snapshots::from_lists(vec![(relation.id.clone(), version)], models);
    StatementContext { snapshots, ..ctx.clone() }
}

/// Runs a statement; the answer counts rows.
pub(super) async fn run(
    scope: Scope,
    changing: Changing,
    name: &ObjectRef,
    parameters: &[ScalarValue],
) -> Result<Answer> {
    let (inner, ctx) = (Arc::clone(&scope.inner), scope.ctx.clone());
    let relation = target(&scope, name)?;
    let mut notes = notes(&ctx);
    if let Changing::Insert(insert) = &changing {
        notes.transactions.extend(insert.transaction.clone().map(AppTransaction::into_pair));
    }
    let gate = notes.gate.clone();
    let attempts = Arc::new(Attempts {
        inner: Arc::clone(&inner),
        ctx: ctx.clone(),
        changing,
        relation: relation.clone(),
        parameters: parameters.to_vec(),
        lineage: Mutex::default(),
    });
    let changed = inner.lake.change(&relation, attempts.clone(), notes);
    let changed = until_commit(&ctx, &gate, changed).await;
    if let Some(lineage) = attempts.lineage.lock().await.take() {
        lineage.end(changed.as_ref().ok().filter(|_| gate.is_passed()).map(|written| written.version)).await;
    }
    output::count(changed?.rows)
}

/// One statement's attempts.
struct Attempts {
    inner: Arc<Inner>,
    ctx: StatementContext,
    changing: Changing,
    relation: Arc<Relation>,
    parameters: Vec<ScalarValue>,
    /// The lineage of the attempt that is under way.
    lineage: Mutex<Option<Writing>>,
}

#[async_trait]
impl RowChange for Attempts {
    async fn plan(&self, target: &ChangeTarget) -> Result<ChangePlan> {
        self.ctx.check()?;
        let ctx = at(&self.ctx, &self.relation, target.version);
        let Built { planned, kind, added, deletes_may_repeat, must_meet, finish } =
            change_plan::build(&self.inner, &ctx, &self.changing, target).await?;
        let plan = plan::bound(&planned.state, planned.plan.clone(), &self.parameters)?;
        let rows: LogicalPlan = finish.apply(&planned.state, plan, target)?;
        let info = self.lineage(&ctx, &planned).await?;
        Ok(ChangePlan { rows, state: planned.writing(), info, kind, added, deletes_may_repeat, must_meet })
    }
}

impl Attempts {
    /// Begins the lineage of an attempt, in the place of the one before.
    async fn lineage(&self, ctx: &StatementContext, planned: &Planned) -> Result<BTreeMap<String, String>> {
        if is_temporary(&self.relation.id) {
            return Ok(BTreeMap::new());
        }
        let mut kept = self.lineage.lock().await;
        if let Some(before) = kept.take() {
            before.end(None).await;
        }
        let mut notes = CommitNotes::default();
        let mut reads = match planned.sources.is_empty() {
            true => planned.scope.reads(),
            false => planned.sources.clone(),
        };
        if let (Changing::Change(_), Some(version)) = (&self.changing, ctx.snapshots.table(&self.relation.id)) {
            // Values are computed from the table's own rows, which are read without its name.
            let own = TableRead { name: self.relation.name.clone(), id: self.relation.id.clone(), version };
            if !reads.contains(&own) {
                reads.push(own);
            }
        }
        *kept = Some(Writing::begin(&self.inner, ctx, reads, &self.relation.name, &mut notes).await?);
        Ok(notes.info)
    }
}

/// The name of the table that an `INSERT` writes to.
pub(super) fn inserted_into(insert: &Insert) -> Result<ObjectRef> {
    match &insert.statement.table {
        sqlparser::ast::TableObject::TableName(name) => crate::sql::statement::object_ref(name),
        other => Err(Error::input(format!("expected a table to write to, found `{other}`"))),
    }
}
