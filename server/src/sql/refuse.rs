//! Clauses that the parser reads and that nothing behind it would honour.
//!
//! DataFusion drops some clauses silently (`TABLESAMPLE`, `FOR UPDATE`, hints); an ignored clause is a wrong answer, so
//! each is an error here, at any depth of a query. Version clauses are not among them: [`super::scan`] takes them out.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, FunctionArguments, JoinOperator, Query, Select, SetExpr, TableAlias, TableFactor, Visit, Visitor,
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
        refuse(!query.locks.is_empty(), "FOR UPDATE or FOR SHARE")?;
        refuse(query.for_clause.is_some(), "FOR XML, FOR JSON or FOR BROWSE")?;
        refuse(query.settings.is_some(), "SETTINGS")?;
        refuse(query.format_clause.is_some(), "FORMAT")?;
        refuse(query.fetch.is_some(), "FETCH")?;
        if let SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) = query.body.as_ref() {
            return refuse(true, "INSERT, UPDATE, DELETE or MERGE inside a query");
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> Flow {
        refuse(!select.optimizer_hints.is_empty(), "optimizer hint")?;
        refuse(select.select_modifiers.is_some(), "SELECT modifier")?;
        refuse(select.top.is_some(), "TOP")?;
        refuse(select.exclude.is_some(), "EXCLUDE")?;
        refuse(select.into.is_some(), "SELECT INTO")?;
        refuse(!select.lateral_views.is_empty(), "LATERAL VIEW")?;
        refuse(select.prewhere.is_some(), "PREWHERE")?;
        refuse(!select.connect_by.is_empty(), "CONNECT BY")?;
        refuse(!select.cluster_by.is_empty(), "CLUSTER BY")?;
        refuse(!select.distribute_by.is_empty(), "DISTRIBUTE BY")?;
        refuse(!select.sort_by.is_empty(), "SORT BY")?;
        refuse(select.value_table_mode.is_some(), "SELECT AS VALUE or AS STRUCT")?;
        for join in select.from.iter().flat_map(|from| &from.joins) {
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

fn table_alias(alias: Option<&TableAlias>) -> Flow {
    let Some(alias) = alias else { return ControlFlow::Continue(()) };
    refuse(alias.at.is_some(), "AT index alias")?;
    refuse(alias.columns.iter().any(|column| column.data_type.is_some()), "types in a table alias")
}
