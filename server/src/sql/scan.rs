//! Finds what a query needs resolved before it can be planned, and puts names in its place.
//!
//! Versioned tables, file functions and `PREDICT` calls all need I/O or the registry, which planning has not. This pass
//! takes each out of the query, leaves a generated name, and lists what the name must mean. It resolves nothing.

use std::ops::ControlFlow;

use datafusion::scalar::ScalarValue;
use sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgOperator,
    FunctionArguments, Ident, ObjectName, ObjectNamePart, TableAlias, TableFactor, TableVersion, Value, VisitMut,
    VisitorMut,
};

use super::access;
use super::dialect::{fold, literal_of};
use super::statement::{ObjectRef, object_ref};
use super::table_changes::ChangesCall;
use limn_sql_udfs::functions::predict::Output;

use crate::{Error, Result};

/// The schema in which generated table names live; no user schema can have it.
pub const GENERATED_SCHEMA: &str = "__limn";

/// What a query needs resolved.
#[derive(Debug, Default)]
pub struct Found {
    /// Tables at a version.
    pub versions: Vec<VersionedTable>,
    /// Calls of `read_csv`, `read_parquet`, `read_json`, `read_binary` and `read_text`.
    pub files: Vec<FileCall>,
    /// Calls of `table_changes`.
    pub changes: Vec<ChangesCall>,
    /// Calls of `model_coefficients` and `model_trees`.
    pub contents: Vec<ContentsCall>,
    /// The names of table functions that DataFusion knows, folded; they are no tables.
    pub functions: Vec<String>,
    /// The names of the functions that expressions call, folded.
    pub called: Vec<String>,
    /// Calls of `PREDICT` and `PREDICT_PROBA`.
    pub predictions: Vec<PredictCall>,
}

/// A table at a version.
#[derive(Debug, Clone)]
pub struct VersionedTable {
    /// The generated table name in [`GENERATED_SCHEMA`].
    pub generated: String,
    /// The table.
    pub table: ObjectRef,
    /// Which version.
    pub clause: VersionClause,
}

/// A version clause.
#[derive(Debug, Clone, PartialEq)]
pub enum VersionClause {
    /// `VERSION AS OF n`, `t@vN`.
    Version(u64),
    /// `TIMESTAMP AS OF expr`, `FOR SYSTEM_TIME AS OF expr`.
    Timestamp(Box<Expr>),
}

/// Which file function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFunction {
    /// `read_csv`.
    Csv,
    /// `read_parquet`.
    Parquet,
    /// `read_json`.
    Json,
    /// `read_binary`.
    Binary,
    /// `read_text`.
    Text,
}

/// A call of a file function.
#[derive(Debug, Clone)]
pub struct FileCall {
    /// The generated table name in [`GENERATED_SCHEMA`].
    pub generated: String,
    /// The function.
    pub function: FileFunction,
    /// The path or glob.
    pub path: String,
    /// Named arguments, names folded.
    pub options: Vec<(String, ScalarValue)>,
}

/// What of a model is read as a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    /// `model_coefficients`: the weights of a linear model.
    Coefficients,
    /// `model_trees`: the nodes of trees.
    Trees,
}

/// A call of a function that reads a model as a table.
#[derive(Debug, Clone)]
pub struct ContentsCall {
    /// The generated table name in [`GENERATED_SCHEMA`].
    pub generated: String,
    /// What is read.
    pub contents: Contents,
    /// The model reference as written.
    pub reference: String,
}

/// A call of `PREDICT` or `PREDICT_PROBA`; equal calls share one entry.
#[derive(Debug, Clone, PartialEq)]
pub struct PredictCall {
    /// The generated function name.
    pub generated: String,
    /// The model reference as written.
    pub reference: String,
    /// Which function.
    pub output: Output,
    /// How the features are given.
    pub features: FeatureArguments,
}

/// How a `PREDICT` call gives its features.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeatureArguments {
    /// One argument per feature.
    Positional,
    /// By name, from all columns in scope.
    InScope,
    /// By name, from the columns of one relation.
    Relation(String),
}

/// Takes everything that needs resolving out of a statement or query.
pub fn scan(node: &mut impl VisitMut) -> Result<Found> {
    let mut scanner = Scanner { found: Found::default() };
    match node.visit(&mut scanner) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(scanner.found),
    }
}

struct Scanner {
    found: Found,
}

impl VisitorMut for Scanner {
    type Break = Error;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        let done = match factor {
            TableFactor::Table { name, alias, args: None, version, .. } => self.table(name, alias, version),
            TableFactor::Table { name, alias, args: Some(arguments), version, .. } => {
                let called = name.to_string().to_lowercase();
                let generated = match contents_function(&called) {
                    _ if version.is_some() => None,
                    Some(contents) => Some(self.contents(contents, &called, &arguments.args)),
                    None => (called == "table_changes").then(|| self.changes(&arguments.args)),
                };
                if let Some(generated) = generated {
                    let generated = match generated {
                        Ok(generated) => generated,
                        Err(error) => return ControlFlow::Break(error),
                    };
                    rename(name, alias, &generated, &called);
                    if let TableFactor::Table { args, .. } = factor {
                        *args = None;
                    }
                    return ControlFlow::Continue(());
                }
                match file_function(&called) {
                    Ok(Some(function)) if version.is_none() => match self.file(function, &called, &arguments.args) {
                        Ok(generated) => {
                            rename(name, alias, &generated, &called);
                            let TableFactor::Table { args, .. } = factor else { return ControlFlow::Continue(()) };
                            *args = None;
                            Ok(())
                        }
                        Err(error) => Err(error),
                    },
                    Ok(_) if version.is_some() => Err(Error::input(format!(
                        "expected a version clause on a table, found one on the function `{called}`"
                    ))),
                    Ok(_) => {
                        self.found.functions.push(called);
                        Ok(())
                    }
                    Err(error) => Err(error),
                }
            }
            TableFactor::Function { name, .. } => match file_function(&name.to_string().to_lowercase()) {
                Ok(None) => {
                    self.found.functions.push(name.to_string().to_lowercase());
                    Ok(())
                }
                Ok(Some(_)) => Err(Error::unsupported(format!("`LATERAL {name}` is not supported"))),
                Err(error) => Err(error),
            },
            _ => Ok(()),
        };
        flow(done)
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        access::spell_out(expr);
        match expr {
            Expr::Function(function) => flow(self.function(function)),
            // Of two parameters nothing says that they are texts, and the planner would not go on.
            Expr::BinaryOp { left, op: BinaryOperator::StringConcat, right }
                if is_parameter(left) && is_parameter(right) =>
            {
                let parameter = std::mem::replace(left.as_mut(), Expr::Identifier(Ident::new("")));
                **left = Expr::Cast {
                    kind: CastKind::Cast,
                    expr: Box::new(parameter),
                    data_type: DataType::Text,
                    array: false,
                    format: None,
                };
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

fn is_parameter(expr: &Expr) -> bool {
    matches!(literal_of(expr), Some(Value::Placeholder(_)))
}

fn flow(done: Result<()>) -> ControlFlow<Error> {
    match done {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    }
}

impl Scanner {
    fn table(
        &mut self,
        name: &mut ObjectName,
        alias: &mut Option<TableAlias>,
        version: &mut Option<TableVersion>,
    ) -> Result<()> {
        if name.0.len() > 1 {
            // A catalog that does not exist is said so here; what is left over would be "not found" without a reason.
            object_ref(name)?;
        }
        let suffix = version_suffix(name)?;
        let clause = match (version.take(), suffix) {
            (None, None) => return Ok(()),
            (Some(_), Some(_)) => return Err(Error::input("expected one version of a table, found two")),
            (None, Some((bare, version))) => {
                *name = bare;
                VersionClause::Version(version)
            }
            (Some(written), None) => version_clause(written)?,
        };
        let table = object_ref(name)?;
        let shown = table.name.clone();
        let generated = format!("version_{}", self.found.versions.len());
        self.found.versions.push(VersionedTable { generated: generated.clone(), table, clause });
        rename(name, alias, &generated, &shown);
        Ok(())
    }

    fn file(&mut self, function: FileFunction, called: &str, arguments: &[FunctionArg]) -> Result<String> {
        let mut path = None;
        let mut options = Vec::new();
        for argument in arguments {
            match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) if path.is_none() => match literal_of(expr) {
                    Some(Value::SingleQuotedString(text)) => path = Some(text),
                    _ => return Err(Error::input(format!("expected a path in quotes in `{called}`, found `{expr}`"))),
                },
                FunctionArg::Named { name, arg: FunctionArgExpr::Expr(expr), operator } => {
                    options.push((fold(name), option_value(called, &fold(name), expr, operator)?));
                }
                FunctionArg::ExprNamed { name: Expr::Identifier(name), arg: FunctionArgExpr::Expr(expr), operator } => {
                    options.push((fold(name), option_value(called, &fold(name), expr, operator)?));
                }
                other => {
                    return Err(Error::input(format!("expected `name => literal` in `{called}`, found `{other}`")));
                }
            }
        }
        let path =
            path.ok_or_else(|| Error::input(format!("expected a path in quotes in `{called}`, found nothing")))?;
        let generated = format!("file_{}", self.found.files.len());
        self.found.files.push(FileCall { generated: generated.clone(), function, path, options });
        Ok(generated)
    }

    fn changes(&mut self, arguments: &[FunctionArg]) -> Result<String> {
        let generated = format!("changes_{}", self.found.changes.len());
        self.found.changes.push(ChangesCall::parse(generated.clone(), arguments)?);
        Ok(generated)
    }

    fn contents(&mut self, contents: Contents, called: &str, arguments: &[FunctionArg]) -> Result<String> {
        let reference = match arguments {
            [only] => model_reference(called, Some(only))?,
            _ => return Err(Error::input(format!("expected one model in quotes in `{called}`"))),
        };
        let generated = format!("contents_{}", self.found.contents.len());
        self.found.contents.push(ContentsCall { generated: generated.clone(), contents, reference });
        Ok(generated)
    }

    fn function(&mut self, function: &mut Function) -> Result<()> {
        let called = match function.name.0.as_slice() {
            [ObjectNamePart::Identifier(ident)] => fold(ident),
            _ => return Ok(()),
        };
        let output = match called.as_str() {
            "predict" => Output::Value,
            "predict_proba" => Output::Probabilities,
            "explain_predict" | "forecast" | "ml_predict" => {
                return Err(Error::unsupported(format!("the function `{called}` is not supported yet")));
            }
            _ => {
                self.found.called.push(called);
                return Ok(());
            }
        };
        let plain = function.filter.is_none()
            && function.over.is_none()
            && function.null_treatment.is_none()
            && function.within_group.is_empty();
        let FunctionArguments::List(list) = &mut function.args else {
            return Err(Error::input(format!("expected `{called}('model', …)`")));
        };
        if !plain || list.duplicate_treatment.is_some() || !list.clauses.is_empty() {
            return Err(Error::input(format!(
                "expected plain arguments in `{called}`: it takes no FILTER, OVER, DISTINCT or ORDER BY"
            )));
        }
        let reference = model_reference(&called, list.args.first())?;
        list.args.remove(0);
        let features = feature_arguments(&called, &mut list.args)?;
        let generated = self.prediction(reference, output, features);
        function.name = ObjectName::from(vec![Ident::with_quote('"', generated)]);
        Ok(())
    }

    fn prediction(&mut self, reference: String, output: Output, features: FeatureArguments) -> String {
        let same =
            |call: &&PredictCall| call.reference == reference && call.output == output && call.features == features;
        if let Some(known) = self.found.predictions.iter().find(same) {
            return known.generated.clone();
        }
        let generated = format!("__predict_{}", self.found.predictions.len());
        self.found.predictions.push(PredictCall { generated: generated.clone(), reference, output, features });
        generated
    }
}

fn model_reference(called: &str, argument: Option<&FunctionArg>) -> Result<String> {
    match argument {
        Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))) => match literal_of(expr) {
            Some(Value::SingleQuotedString(text)) => Ok(text),
            Some(Value::Placeholder(name)) => Err(Error::unsupported(format!(
                "expected a model in quotes as the first argument of `{called}`, found the parameter `{name}`"
            ))),
            _ => Err(Error::input(format!(
                "expected a model in quotes as the first argument of `{called}`, found `{expr}`"
            ))),
        },
        Some(other) => Err(Error::input(format!(
            "expected a model in quotes as the first argument of `{called}`, found `{other}`"
        ))),
        None => Err(Error::input(format!("expected a model in quotes as the first argument of `{called}`"))),
    }
}

fn feature_arguments(called: &str, arguments: &mut Vec<FunctionArg>) -> Result<FeatureArguments> {
    let features = match arguments.as_slice() {
        [] | [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)] => FeatureArguments::InScope,
        [FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(name))] => {
            FeatureArguments::Relation(object_ref(name)?.name)
        }
        plain if plain.iter().all(|a| matches!(a, FunctionArg::Unnamed(FunctionArgExpr::Expr(_)))) => {
            return Ok(FeatureArguments::Positional);
        }
        _ => {
            return Err(Error::input(format!("expected columns, `t.*` or nothing after the model in `{called}`")));
        }
    };
    arguments.clear();
    Ok(features)
}

/// `t@v3` unquoted: the bare name and the version. A quoted name that contains `@v` is a name.
fn version_suffix(name: &ObjectName) -> Result<Option<(ObjectName, u64)>> {
    let Some(ObjectNamePart::Identifier(last)) = name.0.last() else { return Ok(None) };
    if last.quote_style.is_some() {
        return Ok(None);
    }
    let Some((bare, version)) = last.value.rsplit_once('@') else { return Ok(None) };
    let digits = version.strip_prefix(['v', 'V']).unwrap_or_default();
    let Ok(version) = digits.parse::<u64>() else {
        return Err(Error::input(format!("expected a version as `{bare}@v3`, found `{}`", last.value)));
    };
    let mut parts = name.0.clone();
    parts.pop();
    parts.push(ObjectNamePart::Identifier(Ident::new(bare)));
    Ok(Some((ObjectName(parts), version)))
}

pub(super) fn version_clause(version: TableVersion) -> Result<VersionClause> {
    match version {
        TableVersion::VersionAsOf(expr) => match literal_of(&expr) {
            Some(Value::Number(digits, _)) => match digits.parse() {
                Ok(version) => Ok(VersionClause::Version(version)),
                Err(_) => Err(Error::input(format!("expected a version number from 0, found `{digits}`"))),
            },
            _ => Err(Error::input(format!("expected a version number, found `{expr}`"))),
        },
        TableVersion::TimestampAsOf(expr) | TableVersion::ForSystemTimeAsOf(expr) => {
            Ok(VersionClause::Timestamp(Box::new(expr)))
        }
        TableVersion::Function(function) => {
            Err(Error::unsupported(format!("the clause `{function}` is not supported"))
                .with_hint("write `t VERSION AS OF n` or `t TIMESTAMP AS OF '…'`"))
        }
        TableVersion::Changes { .. } => Err(Error::unsupported("the clause `CHANGES` is not supported")),
    }
}

fn contents_function(called: &str) -> Option<Contents> {
    match called {
        "model_coefficients" => Some(Contents::Coefficients),
        "model_trees" => Some(Contents::Trees),
        _ => None,
    }
}

fn file_function(called: &str) -> Result<Option<FileFunction>> {
    match called {
        "read_csv" => Ok(Some(FileFunction::Csv)),
        "read_parquet" => Ok(Some(FileFunction::Parquet)),
        "read_json" => Ok(Some(FileFunction::Json)),
        "read_binary" => Ok(Some(FileFunction::Binary)),
        "read_text" => Ok(Some(FileFunction::Text)),
        "forecast" => Err(Error::unsupported(format!("the table function `{called}` is not supported yet"))),
        _ => Ok(None),
    }
}

fn option_value(called: &str, name: &str, expr: &Expr, operator: &FunctionArgOperator) -> Result<ScalarValue> {
    let arrow = matches!(
        operator,
        FunctionArgOperator::RightArrow | FunctionArgOperator::Equals | FunctionArgOperator::Assignment
    );
    match literal_of(expr).filter(|_| arrow).and_then(scalar) {
        Some(value) => Ok(value),
        None => Err(Error::input(format!("expected a literal for the option `{name}` of `{called}`, found `{expr}`"))),
    }
}

/// A literal as a value: text, boolean, whole number or other number.
pub fn scalar(literal: Value) -> Option<ScalarValue> {
    match literal {
        Value::SingleQuotedString(text) => Some(ScalarValue::from(text)),
        Value::Boolean(value) => Some(ScalarValue::from(value)),
        Value::Number(digits, _) => match digits.parse::<i64>() {
            Ok(integer) => Some(ScalarValue::from(integer)),
            Err(_) => digits.parse::<f64>().ok().map(ScalarValue::from),
        },
        Value::Null => Some(ScalarValue::Null),
        _ => None,
    }
}

/// Puts a generated name in a table's place and keeps the old one as its alias.
fn rename(name: &mut ObjectName, alias: &mut Option<TableAlias>, generated: &str, shown: &str) {
    *name = ObjectName::from(vec![Ident::with_quote('"', GENERATED_SCHEMA), Ident::with_quote('"', generated)]);
    if alias.is_none() {
        *alias =
            Some(TableAlias { explicit: true, name: Ident::with_quote('"', shown), columns: Vec::new(), at: None });
    }
}
