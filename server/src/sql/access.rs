//! Expressions that the planner does not know, spelled as those that it does.
//!
//! `json -> 'key'` and `json ->> 'key'` are functions, `list[1].field` is `list[1]['field']`, and `CURRENT_SCHEMA` is
//! called without parentheses. It resolves nothing.

use sqlparser::ast::{
    AccessExpr, BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments,
    Ident, ObjectName, Subscript, Value,
};

use super::dialect::fold;

/// Spells one expression out; what is within it is for the caller.
pub(super) fn spell_out(expr: &mut Expr) {
    match expr {
        Expr::Identifier(ident)
            if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("current_schema") =>
        {
            *expr = called_without_parentheses(ident.clone());
        }
        Expr::BinaryOp { left, op: BinaryOperator::Arrow, right } => *expr = called("json_extract", left, right),
        Expr::BinaryOp { left, op: BinaryOperator::LongArrow, right } => {
            *expr = called("json_extract_string", left, right);
        }
        Expr::CompoundFieldAccess { root, access_chain } => {
            // Up to the first bracket names may be those of tables, which the planner tells apart.
            let is_name = matches!(root.as_ref(), Expr::Identifier(_) | Expr::CompoundIdentifier(_));
            let names =
                access_chain.iter().take_while(|access| is_name && matches!(access, AccessExpr::Dot(_))).count();
            access_chain.iter_mut().skip(names).for_each(field_by_name);
        }
        _ => {}
    }
}

/// `left -> right` and `left ->> right` as the functions that they are.
fn called(name: &str, left: &mut Expr, right: &mut Expr) -> Expr {
    let argument = |expr: &mut Expr| {
        let taken = std::mem::replace(expr, Expr::Identifier(Ident::new("")));
        FunctionArg::Unnamed(FunctionArgExpr::Expr(taken))
    };
    let args = vec![argument(left), argument(right)];
    let list = FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() };
    match called_without_parentheses(Ident::new(name)) {
        Expr::Function(function) => Expr::Function(Function { args: FunctionArguments::List(list), ..function }),
        other => other,
    }
}

/// `(…).field`, which the planner knows as `(…)['field']` only.
fn field_by_name(access: &mut AccessExpr) {
    if let AccessExpr::Dot(Expr::Identifier(name)) = access {
        let index = Expr::Value(Value::SingleQuotedString(fold(name)).with_empty_span());
        *access = AccessExpr::Subscript(Subscript::Index { index });
    }
}

/// The standard's functions of this kind are keywords; the parser knows all but `current_schema`.
fn called_without_parentheses(name: Ident) -> Expr {
    Expr::Function(Function {
        name: ObjectName::from(vec![name]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::None,
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}
