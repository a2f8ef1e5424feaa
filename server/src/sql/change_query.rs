//! The queries that find what a statement changes.
//!
//! `UPDATE` and `DELETE` become a `SELECT` of the target's rows, `MERGE` one over its join with the source, so that
//! conditions and values mean in them what they mean in any query, subqueries included. Each row of the answer says
//! which row of the target it is for ([`FILE`], [`ROW`]), what happens to it ([`ACTION`], or of a merge [`CLAUSE`]), and the
//! values that it gets. It resolves no name.

use sqlparser::ast::{
    self, BinaryOperator, CaseWhen, CastKind, Expr, Ident, Join, JoinConstraint, JoinOperator, Query, SelectItem,
    SetExpr, TableAlias, TableFactor, Value,
};

use super::change::{Assignment, Delete, Target, Update};
use super::dialect::{Cursor, literal_of};
use super::merge::{Action, Matching, Merge};
use super::refuse;
use super::scan::GENERATED_SCHEMA;
use super::statement::{Statement, parse};
use crate::error::unknown;
use crate::{Error, Result};

/// The generated name of the target's rows.
pub const TARGET: &str = "target";
/// The generated name of a merge's source.
pub const SOURCE: &str = "merge_source";
/// The column of the target that has a row's file.
pub const FILE: &str = "__limn_file";
/// The column of the target that has a row's place in its file.
pub const ROW: &str = "__limn_row";
/// The column of the answer that says what happens.
pub const ACTION: &str = "__limn_action";
/// The column of the source that is never NULL.
pub const FROM_SOURCE: &str = "__limn_source";

/// The column of the answer to [`merge`] that has the number of the clause that is done, from 1.
pub const CLAUSE: &str = "__limn_clause";

/// In [`ACTION`]: the row gets values.
const UPDATE: i64 = 1;
/// In [`ACTION`]: the row goes.
const DELETE: i64 = 2;

/// A column of the target: its name, and its type as SQL writes it.
#[derive(Debug, Clone)]
pub struct TargetColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    pub sql_type: String,
}

/// The rows that a `DELETE` takes away; of an `INSERT … REPLACE WHERE` too.
pub fn delete(delete: &Delete) -> Result<Query> {
    let mut query = select(vec![target_factor(&delete.target)], delete.condition.clone())?;
    project(&mut query, identity(&delete.target, ACTION, number(DELETE)));
    Ok(query)
}

/// The rows that an `UPDATE` changes, whole.
pub fn update(update: &Update, columns: &[TargetColumn]) -> Result<Query> {
    known(&update.assignments, columns)?;
    let mut query = select(vec![target_factor(&update.target)], update.condition.clone())?;
    let mut items = identity(&update.target, ACTION, number(UPDATE));
    for column in columns {
        let value = match update.assignments.iter().find(|assignment| assignment.column == column.name) {
            Some(assignment) => typed(assignment.value.clone(), column)?,
            None => of(&update.target.alias, &column.name),
        };
        items.push(named(value, &column.name));
    }
    project(&mut query, items);
    Ok(query)
}

/// What a column of the answer to [`merge`] is called: the value of column `column` in clause `clause`, counted from 1,
/// or with clause 0 the value that it has.
pub fn merge_column(clause: usize, column: usize) -> String {
    format!("__limn_{clause}_{column}")
}

/// The pairs and single rows of a `MERGE` with what happens to them; rows to which nothing happens have no action.
///
/// `columns` are the target's, those first that it has already, which are `existing`; `source` names the source's.
pub fn merge(merge: &Merge, columns: &[TargetColumn], existing: usize, source: &[String]) -> Result<Query> {
    let mut query = select(vec![source_factor(merge)], None)?;
    let join = Join { relation: target_factor(&merge.target), global: false, join_operator: join(merge) };
    if let SetExpr::Select(select) = query.body.as_mut()
        && let Some(from) = select.from.first_mut()
    {
        from.joins.push(join);
    }
    let mut items = identity(&merge.target, CLAUSE, which(merge));
    for (index, column) in columns.iter().enumerate().take(existing) {
        let own = of(&merge.target.alias, &column.name);
        items.push(named(own, &merge_column(0, index)));
    }
    for (number, clause) in (1..).zip(&merge.clauses) {
        for assignment in assigned(merge, &clause.action, columns, source)? {
            let Some(index) = columns.iter().position(|column| column.name == assignment.column) else { continue };
            let value = typed(assignment.value, &columns[index])?;
            let value = case(vec![(is_clause(merge, number), value)]);
            items.push(named(value, &merge_column(number, index)));
        }
    }
    project(&mut query, items);
    Ok(query)
}

/// The columns that a clause gives values to, with the values; `None` of a deletion.
pub fn assigned(
    merge: &Merge,
    action: &Action,
    columns: &[TargetColumn],
    source: &[String],
) -> Result<Vec<Assignment>> {
    let all = || -> Result<Vec<Assignment>> {
        let mut all = Vec::new();
        for column in columns {
            let same = |name: &&String| name.to_lowercase() == column.name.to_lowercase();
            match source.iter().find(same) {
                Some(name) => {
                    let value = of(&merge.source_alias, name);
                    all.push(Assignment { column: column.name.clone(), value });
                }
                None if merge.evolve => {}
                None => {
                    return Err(Error::input(format!(
                        "`*` needs every column of the target in the source, which has no `{}`",
                        column.name
                    ))
                    .with_hint("name the columns, or `MERGE WITH SCHEMA EVOLUTION`"));
                }
            }
        }
        Ok(all)
    };
    match action {
        Action::Delete => Ok(Vec::new()),
        Action::UpdateAll | Action::InsertAll => all(),
        Action::Update(assignments) | Action::Insert(assignments) => {
            known(assignments, columns)?;
            Ok(assignments.clone())
        }
    }
}

/// What rows of one side alone are asked for: planned without the other side, so that a column of it is an error.
pub fn one_sided(merge: &Merge, matching: Matching) -> Result<Option<Query>> {
    let mut items = Vec::new();
    for clause in merge.clauses.iter().filter(|clause| clause.matching == matching) {
        items.extend(clause.condition.iter().cloned());
        if let Action::Insert(assignments) | Action::Update(assignments) = &clause.action {
            items.extend(assignments.iter().map(|assignment| assignment.value.clone()));
        }
    }
    if items.is_empty() {
        return Ok(None);
    }
    let factor = match matching {
        Matching::BySourceOnly => source_factor(merge),
        Matching::Matched | Matching::ByTargetOnly => target_factor(&merge.target),
    };
    let mut query = select(vec![factor], None)?;
    let items = items.into_iter().enumerate().map(|(index, item)| named(item, &merge_column(0, index)));
    project(&mut query, items.collect());
    Ok(Some(query))
}

/// The source as a query.
pub fn source(merge: &Merge) -> Result<Query> {
    let query = select(vec![merge.source.clone()], None)?;
    refuse::query(&query)?;
    Ok(query)
}

fn known(assignments: &[Assignment], columns: &[TargetColumn]) -> Result<()> {
    let stranger = assignments.iter().find(|a| !columns.iter().any(|column| column.name == a.column));
    match stranger {
        Some(stranger) => Err(unknown("column", &stranger.column, columns.iter().map(|column| column.name.as_str()))),
        None => Ok(()),
    }
}

/// The number of the clause that a row or pair meets first, of those for its kind.
fn which(merge: &Merge) -> Expr {
    case(
        (1..)
            .zip(&merge.clauses)
            .map(|(index, clause)| {
                let kind = kind(merge, clause.matching);
                let test = match &clause.condition {
                    Some(condition) => and(kind, Expr::Nested(Box::new(condition.clone()))),
                    None => kind,
                };
                (test, number(index))
            })
            .collect(),
    )
}

fn is_clause(merge: &Merge, index: usize) -> Expr {
    let index = i64::try_from(index).unwrap_or(i64::MAX);
    Expr::BinaryOp { left: Box::new(which(merge)), op: BinaryOperator::Eq, right: Box::new(number(index)) }
}

/// Whether a row of the join is of this kind. A side that is not there is NULL in its column that never is.
fn kind(merge: &Merge, matching: Matching) -> Expr {
    let target = Box::new(of(&merge.target.alias, ROW));
    let source = Box::new(of(&merge.source_alias, FROM_SOURCE));
    match matching {
        Matching::Matched => and(Expr::IsNotNull(source), Expr::IsNotNull(target)),
        Matching::BySourceOnly => Expr::IsNull(target),
        Matching::ByTargetOnly => Expr::IsNull(source),
    }
}

fn join(merge: &Merge) -> JoinOperator {
    let on = JoinConstraint::On(merge.on.clone());
    let has = |matching| merge.clauses.iter().any(|clause| clause.matching == matching);
    match (has(Matching::BySourceOnly), has(Matching::ByTargetOnly)) {
        (false, false) => JoinOperator::Inner(on),
        (true, false) => JoinOperator::LeftOuter(on),
        (false, true) => JoinOperator::RightOuter(on),
        (true, true) => JoinOperator::FullOuter(on),
    }
}

/// A parameter alone says nothing of its type, so the column does.
fn typed(value: Expr, column: &TargetColumn) -> Result<Expr> {
    if !matches!(literal_of(&value), Some(Value::Placeholder(_))) {
        return Ok(value);
    }
    let Ok(mut cursor) = Cursor::new(&column.sql_type) else { return Ok(value) };
    match cursor.parser.parse_data_type() {
        Ok(data_type) => {
            let expr = Box::new(value);
            Ok(Expr::Cast { kind: CastKind::Cast, expr, data_type, array: false, format: None })
        }
        Err(_) => Ok(value),
    }
}

fn identity(target: &Target, called: &str, action: Expr) -> Vec<SelectItem> {
    vec![named(of(&target.alias, FILE), FILE), named(of(&target.alias, ROW), ROW), named(action, called)]
}

/// `SELECT … FROM factors WHERE condition`, by what the parser makes of such a text.
fn select(factors: Vec<TableFactor>, condition: Option<Expr>) -> Result<Query> {
    let Statement::Query(mut query) = parse("SELECT * FROM t")? else {
        return Err(Error::internal("a SELECT was not parsed as a query"));
    };
    match query.body.as_mut() {
        SetExpr::Select(select) => {
            let plain = factors.into_iter().map(|relation| ast::TableWithJoins { relation, joins: Vec::new() });
            select.from = plain.collect();
            select.selection = condition;
            Ok(*query)
        }
        _ => Err(Error::internal("a SELECT was not parsed as one")),
    }
}

fn project(query: &mut Query, items: Vec<SelectItem>) {
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.projection = items;
    }
}

fn target_factor(target: &Target) -> TableFactor {
    generated(TARGET, &target.alias)
}

fn source_factor(merge: &Merge) -> TableFactor {
    generated(SOURCE, &merge.source_alias)
}

fn generated(name: &str, alias: &Ident) -> TableFactor {
    let name = ast::ObjectName::from(vec![Ident::with_quote('"', GENERATED_SCHEMA), Ident::with_quote('"', name)]);
    TableFactor::Table {
        name,
        alias: Some(TableAlias { explicit: true, name: alias.clone(), columns: Vec::new(), at: None }),
        args: None,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    }
}

fn of(relation: &Ident, column: &str) -> Expr {
    Expr::CompoundIdentifier(vec![relation.clone(), Ident::with_quote('"', column)])
}

fn named(expr: Expr, name: &str) -> SelectItem {
    SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', name) }
}

fn number(number: i64) -> Expr {
    Expr::Value(Value::Number(number.to_string(), false).into())
}

fn and(left: Expr, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op: BinaryOperator::And, right: Box::new(right) }
}

fn case(branches: Vec<(Expr, Expr)>) -> Expr {
    let conditions = branches.into_iter().map(|(condition, result)| CaseWhen { condition, result }).collect();
    Expr::Case {
        case_token: ast::helpers::attached_token::AttachedToken::empty(),
        end_token: ast::helpers::attached_token::AttachedToken::empty(),
        operand: None,
        conditions,
        else_result: None,
    }
}
