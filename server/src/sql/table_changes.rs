//! `table_changes('table', first version[, last version])`.
//!
//! A version is a number, or a time in place of it. It resolves nothing.

use sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, TableVersion, Value};

use super::dialect::{Cursor, literal_of};
use super::scan::{VersionClause, version_clause};
use super::statement::{ObjectRef, object_ref};
use crate::{Error, Result};

/// One parsed call.
#[derive(Debug, Clone)]
pub struct ChangesCall {
    /// The generated table name in [`super::scan::GENERATED_SCHEMA`].
    pub generated: String,
    /// The table.
    pub table: ObjectRef,
    /// The first version.
    pub from: VersionClause,
    /// The last; the latest without.
    pub to: Option<VersionClause>,
}

const FORM: &str = "expected `table_changes('table', first version[, last version])`";

impl ChangesCall {
    /// Reads the arguments.
    pub fn parse(generated: String, arguments: &[FunctionArg]) -> Result<Self> {
        let plain = |argument: &FunctionArg| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(expr.clone()),
            other => Err(Error::input(format!("{FORM}, found `{other}`"))),
        };
        let given = arguments.iter().map(plain).collect::<Result<Vec<Expr>>>()?;
        let (table, from, to) = match given.as_slice() {
            [table, from] => (table, from, None),
            [table, from, to] => (table, from, Some(to)),
            other => return Err(Error::input(format!("{FORM}, found {} arguments", other.len()))),
        };
        let Some(Value::SingleQuotedString(name)) = literal_of(table) else {
            return Err(Error::input(format!("expected a table in quotes in `table_changes`, found `{table}`")));
        };
        let mut cursor = Cursor::new(&name)?;
        let table = object_ref(&cursor.object_name("a table in quotes in `table_changes`")?)?;
        cursor.end()?;
        Ok(ChangesCall { generated, table, from: point(from)?, to: to.map(point).transpose()? })
    }
}

/// A version by its number, or by a time.
fn point(expr: &Expr) -> Result<VersionClause> {
    match literal_of(expr) {
        Some(Value::Number(_, _)) => version_clause(TableVersion::VersionAsOf(expr.clone())),
        _ => Ok(VersionClause::Timestamp(Box::new(expr.clone()))),
    }
}
