//! `MERGE [WITH SCHEMA EVOLUTION] INTO t USING source ON condition WHEN …`.
//!
//! All clause kinds of Delta, with `UPDATE SET *` and `INSERT *`, which sqlparser does not know. The order of clauses
//! means what it does there: of each kind the first whose condition holds is done.

use sqlparser::ast::{Expr, Ident, TableAlias, TableFactor};
use sqlparser::tokenizer::Token;

use super::change::{self, Assignment, Change, Target};
use super::dialect::Cursor;
use super::statement::Statement;
use super::{refuse, statement};
use crate::{Error, Result};

/// One parsed `MERGE`.
#[derive(Debug, Clone)]
pub struct Merge {
    /// The table that is changed.
    pub target: Target,
    /// What it is compared with: a table or a query.
    pub source: TableFactor,
    /// What expressions call the source.
    pub source_alias: Ident,
    /// Which rows belong together.
    pub on: Expr,
    /// `WITH SCHEMA EVOLUTION`: columns that only the source has become the target's.
    pub evolve: bool,
    /// What happens to rows, in the order of writing.
    pub clauses: Vec<Clause>,
}

/// Which rows a clause is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matching {
    /// `WHEN MATCHED`: pairs of a row of the target and one of the source.
    Matched,
    /// `WHEN NOT MATCHED [BY TARGET]`: rows of the source alone.
    BySourceOnly,
    /// `WHEN NOT MATCHED BY SOURCE`: rows of the target alone.
    ByTargetOnly,
}

/// One `WHEN … THEN …`.
#[derive(Debug, Clone)]
pub struct Clause {
    /// For which rows.
    pub matching: Matching,
    /// `AND condition`.
    pub condition: Option<Expr>,
    /// What happens.
    pub action: Action,
}

/// What happens to a row.
#[derive(Debug, Clone)]
pub enum Action {
    /// `UPDATE SET column = value, …`.
    Update(Vec<Assignment>),
    /// `UPDATE SET *`: every column gets the source's of its name.
    UpdateAll,
    /// `DELETE`.
    Delete,
    /// `INSERT (column, …) VALUES (value, …)`.
    Insert(Vec<Assignment>),
    /// `INSERT *`.
    InsertAll,
}

/// Parses a statement that begins with `MERGE`.
pub fn parse(mut cursor: Cursor<'_>) -> Result<Statement> {
    cursor.expect_words(&["MERGE"])?;
    let evolve = cursor.words(&["WITH", "SCHEMA", "EVOLUTION"]);
    cursor.expect_words(&["INTO"])?;
    let target = change::target(&mut cursor, &["USING"])?;
    cursor.expect_words(&["USING"])?;
    let source = cursor.parser.parse_table_factor()?;
    let source_alias = source_alias(&source)?;
    if super::dialect::fold(&source_alias) == super::dialect::fold(&target.alias) {
        return Err(Error::input(format!("the target and the source are both called `{}`", target.alias.value))
            .with_hint("give one of them another name with `AS`"));
    }
    cursor.expect_words(&["ON"])?;
    let on = cursor.parser.parse_expr()?;
    refuse::expression(&on)?;
    let mut clauses = Vec::new();
    while cursor.words(&["WHEN"]) {
        clauses.push(clause(&mut cursor, &target)?);
    }
    if clauses.is_empty() {
        return Err(cursor.expected("`WHEN`"));
    }
    cursor.end()?;
    unreachable_clauses(&clauses)?;
    let merge = Merge { target, source, source_alias, on, evolve, clauses };
    Ok(Statement::Change(Change::Merge(Box::new(merge))))
}

fn source_alias(source: &TableFactor) -> Result<Ident> {
    match source {
        TableFactor::Table { alias: Some(TableAlias { name, .. }), .. }
        | TableFactor::Derived { alias: Some(TableAlias { name, .. }), .. } => Ok(name.clone()),
        TableFactor::Table { name, args: None, .. } => {
            let name = statement::object_ref(name)?.name;
            // `t@v3` is called `t`, as it is in a query.
            let bare = name.split_once('@').map_or(name.as_str(), |(bare, _)| bare);
            Ok(Ident::with_quote('"', bare))
        }
        TableFactor::Table { .. } | TableFactor::Derived { .. } => {
            Err(Error::input("the source of `MERGE` needs a name").with_hint("write `USING (SELECT …) AS s`"))
        }
        _ => Err(Error::unsupported("expected a table or a query as the source of `MERGE`")
            .with_hint("write `USING (SELECT …) AS s`")),
    }
}

fn clause(cursor: &mut Cursor<'_>, target: &Target) -> Result<Clause> {
    let matching = if cursor.words(&["NOT", "MATCHED", "BY", "SOURCE"]) {
        Matching::ByTargetOnly
    } else if cursor.words(&["NOT", "MATCHED", "BY", "TARGET"]) || cursor.words(&["NOT", "MATCHED"]) {
        Matching::BySourceOnly
    } else if cursor.words(&["MATCHED"]) {
        Matching::Matched
    } else {
        return Err(cursor.expected("`MATCHED` or `NOT MATCHED`"));
    };
    let condition = change::condition(cursor, "AND")?;
    cursor.expect_words(&["THEN"])?;
    let action = match (matching, cursor.peek_word().as_deref()) {
        (Matching::BySourceOnly, Some("INSERT")) => insert(cursor, target)?,
        (Matching::BySourceOnly, _) => return Err(cursor.expected("`INSERT` for rows that the target does not have")),
        (_, Some("DELETE")) => {
            cursor.words(&["DELETE"]);
            Action::Delete
        }
        (_, Some("UPDATE")) => update(cursor, target, matching)?,
        _ => return Err(cursor.expected("`UPDATE` or `DELETE`")),
    };
    Ok(Clause { matching, condition, action })
}

fn update(cursor: &mut Cursor<'_>, target: &Target, matching: Matching) -> Result<Action> {
    cursor.expect_words(&["UPDATE"])?;
    cursor.expect_words(&["SET"])?;
    match (cursor.token(&Token::Mul), matching) {
        (false, _) => Ok(Action::Update(change::assignments(cursor, target)?)),
        (true, Matching::Matched) => Ok(Action::UpdateAll),
        (true, _) => Err(Error::input(
            "`UPDATE SET *` needs a row of the source, which rows that are not matched by it \
                                       have not",
        )),
    }
}

fn insert(cursor: &mut Cursor<'_>, target: &Target) -> Result<Action> {
    cursor.expect_words(&["INSERT"])?;
    if cursor.token(&Token::Mul) {
        return Ok(Action::InsertAll);
    }
    if cursor.parser.peek_token().token != Token::LParen {
        return Err(cursor.expected("`*` or the columns to insert, `(a, b) VALUES (…)`"));
    }
    let columns = listed(cursor, |cursor| change::column(cursor, target))?;
    cursor.expect_words(&["VALUES"])?;
    let values = listed(cursor, change::value)?;
    if columns.len() != values.len() {
        let (columns, values) = (columns.len(), values.len());
        return Err(Error::input(format!("expected {columns} values for {columns} columns, found {values}")));
    }
    let mut all: Vec<Assignment> = Vec::with_capacity(columns.len());
    for (column, value) in columns.into_iter().zip(values) {
        if all.iter().any(|known| known.column == column) {
            return Err(Error::input(format!("expected each column once in `INSERT`, found `{column}` twice")));
        }
        all.push(Assignment { column, value });
    }
    Ok(Action::Insert(all))
}

/// `(item, …)`.
fn listed<T>(cursor: &mut Cursor<'_>, mut item: impl FnMut(&mut Cursor<'_>) -> Result<T>) -> Result<Vec<T>> {
    cursor.expect_token(&Token::LParen)?;
    let mut items = vec![item(cursor)?];
    while cursor.token(&Token::Comma) {
        items.push(item(cursor)?);
    }
    cursor.expect_token(&Token::RParen)?;
    Ok(items)
}

/// A clause after one of its kind without a condition is never reached.
fn unreachable_clauses(clauses: &[Clause]) -> Result<()> {
    for (index, clause) in clauses.iter().enumerate() {
        let last = !clauses.iter().skip(index + 1).any(|later| later.matching == clause.matching);
        if clause.condition.is_none() && !last {
            let kind = match clause.matching {
                Matching::Matched => "WHEN MATCHED",
                Matching::BySourceOnly => "WHEN NOT MATCHED",
                Matching::ByTargetOnly => "WHEN NOT MATCHED BY SOURCE",
            };
            return Err(Error::input(format!("only the last `{kind}` may be without a condition")));
        }
    }
    Ok(())
}
