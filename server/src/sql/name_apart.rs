//! Columns of one name: generated names in their place, for a planner that wants each name once.
//!
//! `SELECT a, a`, `SELECT *, a` and `SELECT CAST(a AS INT), CAST(a AS BIGINT)` are queries that tools write. Each column
//! that may share its name gets a generated one here; whoever plans the query gives the first names back to the result.
//! In a subquery none of them keeps its name, so that a reference to it finds nothing rather than one of several. This
//! only sees text: it takes more columns for equal than are, which costs nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, FunctionArgumentList, FunctionArguments, Ident, OrderByKind, Query, Select, SelectItem, SetExpr, TypedString,
    VisitMut, VisitorMut,
};

use super::dialect::fold;

/// What generated names begin with.
const PREFIX: &str = "__limn_column_";

/// What was renamed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Apart {
    /// The generated names, with the alias that stood there, where one did.
    pub renamed: BTreeMap<String, Option<String>>,
    /// The names that several columns of one query have, folded.
    pub shared: BTreeSet<String>,
}

/// Gives generated names to the columns of a statement or query that may share theirs.
pub fn name_apart(node: &mut impl VisitMut) -> Apart {
    let mut namer = Namer::default();
    let ControlFlow::Continue(()) = node.visit(&mut namer);
    namer.apart
}

#[derive(Default)]
struct Namer {
    apart: Apart,
    depth: usize,
}

impl VisitorMut for Namer {
    type Break = Infallible;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Infallible> {
        let outermost = self.depth == 0;
        self.depth += 1;
        let Query { body, order_by, .. } = query;
        let replaced = self.body(body, outermost);
        if let Some(OrderByKind::Expressions(orders)) = order_by.as_mut().map(|order| &mut order.kind) {
            for order in orders {
                refer(&mut order.expr, &replaced);
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Infallible> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }
}

/// Aliases that stood in a SELECT list, and the generated names that stand there now.
type Replaced = BTreeMap<String, String>;

impl Namer {
    fn body(&mut self, body: &mut SetExpr, outermost: bool) -> Replaced {
        match body {
            SetExpr::Select(select) => self.select(select, outermost),
            SetExpr::SetOperation { left, right, .. } => {
                let replaced = self.body(left, outermost);
                self.body(right, outermost);
                replaced
            }
            SetExpr::Query(query) if outermost => self.body(&mut query.body, outermost),
            _ => Replaced::new(),
        }
    }

    fn select(&mut self, select: &mut Select, outermost: bool) -> Replaced {
        let is_wildcard =
            |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
        let beside_all = outermost && select.projection.iter().any(is_wildcard);
        if !outermost && select.projection.iter().any(is_wildcard) {
            self.again(select);
            return Replaced::new();
        }
        let keys: Vec<Option<String>> = select.projection.iter().map(key_of_item).collect();
        let mut replaced = Replaced::new();
        for (n, key) in keys.iter().enumerate() {
            let Some(key) = key else { continue };
            let same: Vec<usize> = (0..keys.len()).filter(|other| keys[*other].as_ref() == Some(key)).collect();
            let alike = same.iter().all(|other| expr_of(&select.projection[*other]) == expr_of(&select.projection[n]));
            let is_shared = match same.as_slice() {
                [_] => false,
                // What refers to one of several that are the same means any of them.
                [first, ..] if outermost && alike => *first != n,
                _ => {
                    self.apart.shared.insert(key.clone());
                    true
                }
            };
            if is_shared || beside_all {
                self.rename(&mut select.projection[n], &mut replaced);
            }
        }
        if let Some(condition) = &mut select.qualify {
            refer(condition, &replaced);
        }
        for shared in &self.apart.shared {
            replaced.remove(shared);
        }
        replaced
    }

    /// Renames the columns beside the wildcard of a subquery that are among its own: those without a relation. Whatever
    /// refers to such a name means either of the two.
    fn again(&mut self, select: &mut Select) {
        if !select.projection.iter().any(|item| matches!(item, SelectItem::Wildcard(_))) {
            return;
        }
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(Expr::Identifier(_)) = item {
                self.rename(item, &mut Replaced::new());
            }
        }
    }

    fn rename(&mut self, item: &mut SelectItem, replaced: &mut Replaced) {
        let generated = format!("{PREFIX}{}", self.apart.renamed.len());
        let alias = Ident::with_quote('"', generated.clone());
        let written = match item {
            SelectItem::UnnamedExpr(expr) => {
                let expr = std::mem::replace(expr, Expr::Identifier(alias.clone()));
                *item = SelectItem::ExprWithAlias { expr, alias };
                None
            }
            SelectItem::ExprWithAlias { alias: written, .. } => {
                let written = std::mem::replace(written, alias);
                replaced.insert(fold(&written), generated.clone());
                Some(fold(&written))
            }
            _ => return,
        };
        self.apart.renamed.insert(generated, written);
    }
}

/// The name that a column has or is taken to have; `None` for wildcards and what has its generated name already.
fn key_of_item(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::UnnamedExpr(expr) => Some(key(expr)),
        SelectItem::ExprWithAlias { alias, .. } if !alias.value.starts_with(PREFIX) => Some(fold(alias)),
        _ => None,
    }
}

fn expr_of(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr.to_string()),
        _ => None,
    }
}

/// An expression without what the planner leaves out of names: casts, parentheses, relations, what is around a column.
fn key(expr: &Expr) -> String {
    struct Bare;
    impl VisitorMut for Bare {
        type Break = Infallible;

        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Infallible> {
            loop {
                *expr = match expr {
                    Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => {
                        std::mem::replace(inner.as_mut(), Expr::Identifier(Ident::new("")))
                    }
                    Expr::TypedString(TypedString { value, .. }) => Expr::Value(value.clone()),
                    Expr::CompoundIdentifier(parts) => match parts.last() {
                        Some(last) => Expr::Identifier(last.clone()),
                        None => return ControlFlow::Continue(()),
                    },
                    Expr::Subquery(query) => column_of(query),
                    Expr::Exists { .. } => Expr::Identifier(Ident::new("(exists)")),
                    Expr::Function(function) if matches!(function.args, FunctionArguments::None) => {
                        let none = FunctionArgumentList { duplicate_treatment: None, args: vec![], clauses: vec![] };
                        function.args = FunctionArguments::List(none);
                        return ControlFlow::Continue(());
                    }
                    Expr::Identifier(ident) => {
                        *ident = Ident::new(fold(ident));
                        return ControlFlow::Continue(());
                    }
                    _ => return ControlFlow::Continue(()),
                };
            }
        }
    }
    let mut bare = expr.clone();
    let ControlFlow::Continue(()) = bare.visit(&mut Bare);
    bare.to_string().to_lowercase()
}

/// A scalar subquery is called as its column is.
fn column_of(query: &Query) -> Expr {
    let item = match query.body.as_ref() {
        SetExpr::Select(select) => select.projection.first(),
        _ => None,
    };
    match item {
        Some(SelectItem::UnnamedExpr(expr)) => expr.clone(),
        Some(SelectItem::ExprWithAlias { alias, .. }) => Expr::Identifier(alias.clone()),
        _ => Expr::Identifier(Ident::new("(subquery)")),
    }
}

/// Puts generated names in the place of the aliases that they replaced.
fn refer(expr: &mut Expr, replaced: &Replaced) {
    struct Referrer<'a>(&'a Replaced);
    impl VisitorMut for Referrer<'_> {
        type Break = Infallible;

        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Infallible> {
            if let Expr::Identifier(ident) = expr
                && let Some(generated) = self.0.get(&fold(ident))
            {
                *ident = Ident::with_quote('"', generated.clone());
            }
            ControlFlow::Continue(())
        }
    }
    let ControlFlow::Continue(()) = expr.visit(&mut Referrer(replaced));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Statement, parse};

    fn apart(sql: &str) -> (String, Apart) {
        let Ok(Statement::Query(mut query)) = parse(sql) else { panic!("{sql} is no query") };
        let apart = name_apart(query.as_mut());
        (query.to_string(), apart)
    }

    #[test]
    fn distinct_names_stay() {
        for sql in ["SELECT a, b, a + 1 FROM t ORDER BY a", "SELECT * FROM t", "SELECT a AS x, b AS y FROM t"] {
            assert_eq!(apart(sql), (sql.to_string(), Apart::default()));
        }
    }

    #[test]
    fn equal_columns_keep_the_first_name() {
        let (text, found) = apart("SELECT a, a, CAST(1 AS INT), 1 FROM t ORDER BY a");
        let expected = "SELECT a, a AS \"__limn_column_0\", CAST(1 AS INT) AS \"__limn_column_1\", \
            1 AS \"__limn_column_2\" FROM t ORDER BY a";
        assert_eq!(text, expected);
        assert_eq!(found.shared, BTreeSet::from(["1".to_string()]));
    }

    #[test]
    fn in_a_subquery_none_keeps_its_name() {
        let (text, found) = apart("SELECT count(*) FROM (SELECT t.a, a FROM t) AS q");
        assert_eq!(
            text,
            "SELECT count(*) FROM (SELECT t.a AS \"__limn_column_0\", a AS \"__limn_column_1\" FROM t) AS q"
        );
        assert_eq!(found.shared, BTreeSet::from(["a".to_string()]));
    }

    #[test]
    fn a_column_beside_all_columns_is_one_of_them() {
        let (text, found) = apart("SELECT * FROM (SELECT *, a, u.a, b AS c FROM t) AS q");
        let expected = "SELECT * FROM (SELECT *, a AS \"__limn_column_0\", u.a, b AS c FROM t) AS q";
        assert_eq!((text.as_str(), found.shared), (expected, BTreeSet::new()));
    }

    #[test]
    fn beside_a_wildcard_an_alias_is_still_what_orders() {
        let (text, found) = apart("SELECT *, upper(x) AS x FROM t QUALIFY x > 1 ORDER BY x, y");
        let expected = "SELECT *, upper(x) AS \"__limn_column_0\" FROM t QUALIFY \"__limn_column_0\" > 1 \
            ORDER BY \"__limn_column_0\", y";
        assert_eq!(text, expected);
        assert_eq!(found.renamed, BTreeMap::from([("__limn_column_0".to_string(), Some("x".to_string()))]));
    }
}
