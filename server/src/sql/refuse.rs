//! Clauses that the parser reads and that nothing behind it would honour.
//!
//! DataFusion drops some clauses silently (`TABLESAMPLE`, `FOR UPDATE`, hints); an ignored clause is a wrong answer, so
//! each is an error here, at any depth of a query. Version clauses are not among them: [`super::scan`] takes them out.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Cte, Expr, FunctionArguments, GroupByExpr, JoinOperator, LimitClause, OrderBy, OrderByKind, Query, Select,
    SelectItem, SetExpr, SetOperator, SetQuantifier, TableAlias, TableFactor, Visit, Visitor,
};

use crate::{Error, Result};

/// An error for the first clause in `query` that would be ignored.
pub fn query(query: &Query) -> Result<()> {
    match query.visit(&mut Leftovers) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// The same for an expression, and the queries inside it.
pub fn expression(expr: &Expr) -> Result<()> {
    match expr.visit(&mut Leftovers) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Leftovers;

type Flow = ControlFlow<Error>;

fn refuse(present: bool, clause: &str) -> Flow {
    match present {
        true => ControlFlow::Break(Error::unsupported(format!("the clause `{clause}` is not supported"))),
        false => ControlFlow::Continue(()),
    }
}

impl Visitor for Leftovers {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &Query) -> Flow {
        // All fields by name: one that a later parser adds does not compile before somebody has decided on it.
        let Query {
            with,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        refuse(!locks.is_empty(), "FOR UPDATE or FOR SHARE")?;
        refuse(for_clause.is_some(), "FOR XML, FOR JSON or FOR BROWSE")?;
        refuse(settings.is_some(), "SETTINGS")?;
        refuse(format_clause.is_some(), "FORMAT")?;
        refuse(fetch.is_some(), "FETCH")?;
        refuse(!pipe_operators.is_empty(), "|>")?;
        let by = matches!(limit_clause, Some(LimitClause::LimitOffset { limit_by, .. }) if !limit_by.is_empty());
        refuse(by, "LIMIT … BY")?;
        order(order_by.as_ref())?;
        for cte in with.iter().flat_map(|with| &with.cte_tables) {
            let Cte { alias, query: _, from, materialized, closing_paren_token: _ } = cte;
            refuse(from.is_some(), "FROM after a common table expression")?;
            refuse(materialized.is_some(), "MATERIALIZED")?;
            table_alias(Some(alias))?;
        }
        multisets(body)?;
        if let SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) = body.as_ref() {
            return refuse(true, "INSERT, UPDATE, DELETE or MERGE inside a query");
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> Flow {
        let Select {
            select_token: _,
            optimizer_hints,
            // What the planner honours.
            distinct: _,
            from,
            selection: _,
            having: _,
            named_window: _,
            qualify: _,
            // How clauses that are refused or honoured were written.
            top_before_distinct: _,
            window_before_qualify: _,
            flavor: _,
            projection,
            group_by,
            select_modifiers,
            top,
            exclude,
            into,
            lateral_views,
            prewhere,
            connect_by,
            cluster_by,
            distribute_by,
            sort_by,
            value_table_mode,
        } = select;
        refuse(!optimizer_hints.is_empty(), "optimizer hint")?;
        refuse(select_modifiers.is_some(), "SELECT modifier")?;
        refuse(top.is_some(), "TOP")?;
        refuse(exclude.is_some(), "EXCLUDE")?;
        refuse(into.is_some(), "SELECT INTO")?;
        refuse(!lateral_views.is_empty(), "LATERAL VIEW")?;
        refuse(prewhere.is_some(), "PREWHERE")?;
        refuse(!connect_by.is_empty(), "CONNECT BY")?;
        refuse(!cluster_by.is_empty(), "CLUSTER BY")?;
        refuse(!distribute_by.is_empty(), "DISTRIBUTE BY")?;
        refuse(!sort_by.is_empty(), "SORT BY")?;
        refuse(value_table_mode.is_some(), "SELECT AS VALUE or AS STRUCT")?;
        let modifiers = match group_by {
            GroupByExpr::All(modifiers) | GroupByExpr::Expressions(_, modifiers) => modifiers,
        };
        refuse(!modifiers.is_empty(), "WITH ROLLUP, WITH CUBE or WITH TOTALS")?;
        for item in projection {
            if let SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) = item {
                refuse(options.opt_ilike.is_some(), "ILIKE after `*`")?;
            }
        }
        for join in from.iter().flat_map(|from| &from.joins) {
            refuse(join.global, "GLOBAL")?;
            refuse(matches!(join.join_operator, JoinOperator::AsOf { .. }), "ASOF JOIN")?;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> Flow {
        match factor {
            TableFactor::Table {
                with_hints,
                with_ordinality,
                partitions,
                json_path,
                sample,
                index_hints,
                alias,
                ..
            } => {
                refuse(!with_hints.is_empty(), "WITH (hint)")?;
                refuse(*with_ordinality, "WITH ORDINALITY")?;
                refuse(!partitions.is_empty(), "PARTITION")?;
                refuse(json_path.is_some(), "JSON path after a table")?;
                refuse(sample.is_some(), "TABLESAMPLE")?;
                refuse(!index_hints.is_empty(), "index hint")?;
                table_alias(alias.as_ref())
            }
            TableFactor::Derived { sample, alias, .. } => {
                refuse(sample.is_some(), "TABLESAMPLE")?;
                table_alias(alias.as_ref())
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> Flow {
        match expr {
            Expr::Function(function) => refuse(
                !matches!(function.parameters, FunctionArguments::None),
                "parameters before a function's arguments",
            ),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// `EXCEPT ALL` and `INTERSECT ALL` count how often a row is there; the planner's joins do not.
fn multisets(body: &SetExpr) -> Flow {
    let SetExpr::SetOperation { op, set_quantifier, left, right } = body else { return ControlFlow::Continue(()) };
    let counts = matches!(set_quantifier, SetQuantifier::All | SetQuantifier::AllByName);
    refuse(counts && matches!(op, SetOperator::Except | SetOperator::Minus), "EXCEPT ALL")?;
    refuse(counts && matches!(op, SetOperator::Intersect), "INTERSECT ALL")?;
    multisets(left)?;
    multisets(right)
}

fn order(order_by: Option<&OrderBy>) -> Flow {
    let Some(OrderBy { kind, interpolate }) = order_by else { return ControlFlow::Continue(()) };
    refuse(interpolate.is_some(), "INTERPOLATE")?;
    let OrderByKind::Expressions(expressions) = kind else { return ControlFlow::Continue(()) };
    refuse(expressions.iter().any(|expr| expr.with_fill.is_some()), "WITH FILL")
}

fn table_alias(alias: Option<&TableAlias>) -> Flow {
    let Some(alias) = alias else { return ControlFlow::Continue(()) };
    refuse(alias.at.is_some(), "AT index alias")?;
    refuse(alias.columns.iter().any(|column| column.data_type.is_some()), "types in a table alias")
}
