//! From a parsed query to a logical plan whose every name is resolved.
//!
//! The order matters: what needs I/O (versions, files, models) is taken out of the query and resolved first, then
//! DataFusion plans the rest, then by-name features are put into `PREDICT` calls, then parameters get their values. It
//! executes nothing.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::execution::{FunctionRegistry, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::scalar::ScalarValue;
use limn_sql_udfs::functions::predict;
use sqlparser::ast;

use super::catalog::{Scope, StatementCatalogs, TableRead};
use super::columns::{self, ColumnNames};
use super::context::StatementContext;
pub(super) use super::parameters::{bound, described, types as parameters};
use super::{care, features, memory, models, session_functions};
use crate::error::unknown;
use crate::lake::TableName;
use crate::lake::files::{Content, CsvOptions, JsonOptions, open_content, open_csv, open_json, open_parquet};
use crate::sql::scan::{FileCall, FileFunction, Found, PredictCall, scan};
use crate::sql::{ObjectRef, Statement, digits, parse};
use crate::{Error, Result};

/// A planned statement with the state that plans and runs it.
pub(super) struct Planned {
    /// The plan, before any optimisation.
    pub plan: LogicalPlan,
    /// The state that plans, with the statement's own catalog and functions. Its environment is the one that all
    /// share: to give it another it would have to be built anew, every function of it, at each statement.
    pub state: SessionState,
    /// Where the plan runs: the shared environment with the statement's own memory.
    pub environment: Arc<RuntimeEnv>,
    /// What the columns are called outside of the plan.
    pub names: ColumnNames,
    /// What names mean, and what was read.
    pub scope: Arc<Scope>,
    /// Whether files outside the lake were read.
    pub reads_files: bool,
    /// What the query of an `INSERT` read; its scope has read the target too.
    pub sources: Vec<TableRead>,
}

impl Planned {
    /// Gives it the memory of the statement that runs it, which need not be the one that planned it.
    pub fn belongs_to(&mut self, ctx: &StatementContext) {
        let inner = &self.scope.inner;
        self.environment =
            memory::environment(inner.base.runtime_env(), inner.statement_bytes, Arc::clone(&ctx.memory));
    }

    /// What a physical plan runs in. Functions were resolved when it was planned, so it needs none by name but to list
    /// them, in `information_schema`.
    pub fn task(&self) -> Arc<TaskContext> {
        let (id, config) = (self.scope.ctx.query_id.clone(), self.state.config().clone());
        let environment = Arc::clone(&self.environment);
        let (scalar, higher_order, aggregate, window) = match self.scope.is_live() {
            false => Default::default(),
            true => (
                self.state.scalar_functions().clone(),
                self.state.higher_order_functions().clone(),
                self.state.aggregate_functions().clone(),
                self.state.window_functions().clone(),
            ),
        };
        Arc::new(TaskContext::new(None, id, config, scalar, higher_order, aggregate, window, environment))
    }

    /// A state for those who run plans by themselves, and take the environment from it: writers.
    pub fn writing(&self) -> SessionState {
        SessionStateBuilder::new_from_existing(self.state.clone())
            .with_session_id(self.scope.ctx.query_id.clone())
            .with_runtime_env(Arc::clone(&self.environment))
            .build()
    }
}

/// Plans a query or an `INSERT`.
pub(super) async fn statement(scope: Scope, statement: ast::Statement) -> Result<Planned> {
    let mut statement = statement;
    let found = scan(&mut statement)?;
    digits::keep(&mut statement)?;
    planned(scope, statement, found).await
}

/// Plans a query.
pub(super) async fn query(scope: Scope, query: ast::Query) -> Result<Planned> {
    statement(scope, ast::Statement::Query(Box::new(query))).await
}

impl Planned {
    /// The columns that the result has, as the analysed plan says their types.
    pub(super) fn columns(&self, analysed: &LogicalPlan) -> Schema {
        self.names.restore(analysed.schema().as_arrow())
    }
}

/// Plans the stored text of a view in the view's own scope.
pub(super) async fn view(scope: Scope, sql: &str) -> Result<LogicalPlan> {
    match parse(sql)? {
        Statement::Query(parsed) => {
            let planned = query(scope, *parsed).await?;
            planned.names.apply(planned.plan)
        }
        _ => Err(Error::internal("a stored view is not a query")),
    }
}

async fn planned(mut scope: Scope, statement: ast::Statement, found: Found) -> Result<Planned> {
    let reads_files = !found.files.is_empty();
    for versioned in &found.versions {
        let name = scope.named(&versioned.table);
        let at = care::point(&scope, &versioned.clause)?;
        let provider = scope.table(&name, at).await?;
        scope.generated.insert(versioned.generated.clone(), provider);
    }
    for file in &found.files {
        let provider = open_file(file).await?;
        scope.generated.insert(file.generated.clone(), provider);
    }
    for call in &found.changes {
        let to = call.to.as_ref().map(|to| care::point(&scope, to)).transpose()?;
        let provider = scope.changes(&scope.named(&call.table), care::point(&scope, &call.from)?, to).await?;
        scope.generated.insert(call.generated.clone(), provider);
    }
    for call in &found.contents {
        let provider = models::contents(&scope, call).await?;
        scope.generated.insert(call.generated.clone(), provider);
    }
    scope.functions = found.functions;
    let scope = Arc::new(scope);
    let mut state = state_for(&scope);
    // From here on `now()` is one instant; without a start it cannot be computed at all.
    state.mark_start_execution();
    for function in session_functions::functions(&scope.ctx) {
        state.register_udf(Arc::new(function))?;
    }
    for call in &found.predictions {
        let model = models::bind(&scope.inner, &scope.ctx, &call.reference).await?;
        let function = predict::function(&call.generated, &call.reference, call.output, model);
        state.register_udf(Arc::new(function))?;
    }
    let planned = columns::plan(&state, statement).await;
    let (plan, names) =
        planned.map_err(|error| unknown_function(&state, &found.called).unwrap_or_else(|| Error::from(error)))?;
    let plan = match by_name(&found.predictions) {
        calls if calls.is_empty() => plan,
        calls => features::fill_in(plan, &calls)?,
    };
    let inner = &scope.inner;
    let environment =
        memory::environment(inner.base.runtime_env(), inner.statement_bytes, Arc::clone(&scope.ctx.memory));
    Ok(Planned { plan, state, environment, names, scope, reads_files, sources: Vec::new() })
}

/// The reason why a query could not be planned, where it is a function that nobody knows.
///
/// DataFusion says so too, but which name it offers instead depends on the order of a hash map.
fn unknown_function(state: &SessionState, called: &[String]) -> Option<Error> {
    let mut known: Vec<&str> = state.scalar_functions().keys().map(String::as_str).collect();
    known.extend(state.aggregate_functions().keys().map(String::as_str));
    known.extend(state.window_functions().keys().map(String::as_str));
    known.extend(state.higher_order_functions().keys().map(String::as_str));
    known.sort_unstable();
    let stranger = called.iter().find(|name| !known.contains(&name.as_str()) && *name != "unnest")?;
    Some(unknown("function", stranger, known))
}

fn by_name(predictions: &[PredictCall]) -> HashMap<String, PredictCall> {
    use crate::sql::scan::FeatureArguments;
    predictions
        .iter()
        .filter(|call| call.features != FeatureArguments::Positional)
        .map(|call| (call.generated.clone(), call.clone()))
        .collect()
}

/// The shared state with the statement's own catalog and current schema.
fn state_for(scope: &Arc<Scope>) -> SessionState {
    let mut state = scope.inner.base.clone();
    state.config_mut().options_mut().catalog.default_schema = scope.planner_schema().to_string();
    state.register_catalog_list(Arc::new(StatementCatalogs(Arc::clone(scope))));
    state
}

/// A name with its schema.
pub(super) fn qualified(schema: &str, name: &ObjectRef) -> TableName {
    TableName { schema: name.schema.clone().unwrap_or_else(|| schema.to_string()), table: name.name.clone() }
}

async fn open_file(call: &FileCall) -> Result<Arc<dyn datafusion::catalog::TableProvider>> {
    match call.function {
        FileFunction::Csv => open_csv(&call.path, CsvOptions::parse(&call.options)?).await,
        FileFunction::Parquet => match call.options.first() {
            Some((name, _)) => Err(Error::input(format!("unknown option `{name}` of `read_parquet`, it has none"))),
            None => open_parquet(&call.path).await,
        },
        FileFunction::Json => open_json(&call.path, JsonOptions::parse(&call.options)?).await,
        FileFunction::Binary => open_content(&call.path, Content::Binary, &call.options).await,
        FileFunction::Text => open_content(&call.path, Content::Text, &call.options).await,
    }
}

/// The value of a constant expression as an instant, in microseconds since 1970 (UTC).
pub(super) fn instant_micros(scope: &Scope, expr: &ast::Expr) -> Result<i64> {
    use datafusion::common::DFSchema;
    use datafusion::logical_expr::simplify::SimplifyContext;
    use datafusion::optimizer::simplify_expressions::ExprSimplifier;
    let state = &scope.inner.base;
    let schema = Arc::new(DFSchema::empty());
    let wanted = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some("UTC".into()));
    let not_constant =
        || Error::input(format!("expected a constant instant such as '2026-01-31T12:00:00Z', found `{expr}`"));
    let planned = state.create_logical_expr(&expr.to_string(), &schema).map_err(|error| {
        let error = Error::from(error);
        error.context("a version clause")
    })?;
    let cast = Expr::Cast(datafusion::logical_expr::Cast::new(Box::new(planned), wanted));
    let context = SimplifyContext::builder()
        .with_schema(Arc::clone(&schema))
        .with_config_options(Arc::clone(state.config_options()))
        .with_current_time()
        .build();
    let simplifier = ExprSimplifier::new(context);
    let simplified = simplifier.coerce(cast, &schema).and_then(|coerced| simplifier.simplify(coerced));
    match simplified {
        Ok(Expr::Literal(ScalarValue::TimestampMicrosecond(Some(micros), _), _)) => Ok(micros),
        _ => Err(not_constant()),
    }
}
