//! The dialect: text to statements, and the rewrites that a statement needs before it can be planned.
//!
//! DataFusion's SQL with `"` quoting identifiers, plus version clauses, models, and the lakehouse's own statements.
//! A clause that is parsed and not honoured would be a wrong answer, so every leftover is an error. It executes nothing
//! and looks nothing up.
//!
//! # Layout
//! - [`dialect`]: tokens, and the parser over them
//! - [`statement`]: what a statement can be, and the dispatch on its first words
//! - [`train`], [`refresh`], `partition`, [`table`], [`model`], [`show`], [`copy`], [`user`], [`kill`]: one file per family
//!   of statements
//! - [`insert`], [`change`], [`merge`]: statements that change rows; [`change_query`]: the queries that find what they change
//! - [`alter`], [`care`]: statements that shape a table and care for it
//! - [`refuse`]: clauses that parse and mean nothing here
//! - [`scan`]: finds versioned tables, file functions and PREDICT calls in a query, and puts names in their place
//! - [`table_changes`]: the arguments of that function
//! - [`placeholder`]: `?` to `$n`
//! - [`digits`], [`doubles`]: numbers that a double does not hold, and doubles beside decimals
//! - [`name_apart`]: columns of one name
//! - [`overflow`]: integer arithmetic that fails instead of wrapping
//! - [`redact()`]: a text without its secrets

mod access;
pub mod alter;
pub mod care;
pub mod change;
pub mod change_query;
pub mod copy;
pub mod dialect;
pub mod digits;
pub mod doubles;
pub mod insert;
pub mod kill;
pub mod merge;
pub mod model;
pub mod name_apart;
pub mod overflow;
mod partition;
pub mod placeholder;
mod redact;
pub mod refresh;
pub mod refuse;
pub mod scan;
pub mod show;
pub mod statement;
pub mod table;
pub mod table_changes;
pub mod train;
pub mod transaction;
pub mod user;

pub use redact::redact;
pub use statement::{ObjectRef, Statement, parse};
