//! A request against a schema: what is checked before a query runs, and what a training then does.
//!
//! It sees names and types, never rows.

use arrow::datatypes::Schema;

use super::algorithm::{self, Algorithm};
use super::parameter::Parameters;
use super::{Request, Split};
use crate::limits::FEATURES_MAX;
use crate::model::signature::{Feature, Task, ValueType};
use crate::{Error, Result};

/// A checked request. Columns are positions in the schema.
pub(super) struct Plan {
    pub algorithm: &'static dyn Algorithm,
    pub parameters: Parameters,
    pub task: Task,
    pub target: Column,
    pub features: Vec<Column>,
    /// The column that decides what is held out, for a split by time or by column.
    pub split: Option<Column>,
}

/// A column with its place.
pub(super) struct Column {
    pub position: usize,
    pub feature: Feature,
}

impl Plan {
    /// Checks a request. `NotFound` for unknown names, `Input` for wrong types and values.
    pub fn new(request: &Request, schema: &Schema) -> Result<Self> {
        check_names(schema)?;
        let named = request.algorithm.as_deref().map(algorithm::by_name).transpose()?;
        let target = request.target.as_deref().ok_or_else(|| {
            let purpose = named.map(|algorithm| format!(" for {}", algorithm.name())).unwrap_or_default();
            Error::input(format!("expected a target{purpose}, found none")).with_hint("add `TARGET column`")
        })?;
        let target = target_column(schema, target)?;
        let algorithm = named.unwrap_or_else(|| algorithm::by_target(target.feature.value_type));
        let mut parameters = Parameters::resolve(algorithm.name(), algorithm.parameters(), &request.parameters)?;
        let task = algorithm
            .task(target.feature.value_type, &parameters)
            .map_err(|expected| wrong_target(&target.feature, algorithm.name(), expected))?;
        algorithm.settle(&mut parameters, task)?;
        let split = split_column(&request.split, schema, &target)?;
        let features = feature_columns(schema, &target, split.as_ref())?;
        Ok(Plan { algorithm, parameters, task, target, features, split })
    }

    /// The positions of all columns that a training reads, in the schema's order.
    pub fn positions(&self) -> Vec<usize> {
        let others = self.features.iter().chain(&self.split).map(|column| column.position);
        let mut positions: Vec<usize> = others.chain([self.target.position]).collect();
        positions.sort_unstable();
        positions
    }
}

fn check_names(schema: &Schema) -> Result<()> {
    let mut names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Error::input(format!("two columns of the training query are called `{}`", pair[0]))
            .with_hint("give one of them another name with AS")),
        None => Ok(()),
    }
}

fn position(schema: &Schema, kind: &str, name: &str) -> Result<usize> {
    let names = || schema.fields().iter().map(|field| field.name().as_str());
    names().position(|known| known == name).ok_or_else(|| {
        let list: Vec<String> = names().take(12).map(|name| format!("`{name}`")).collect();
        let rest = if schema.fields().len() > 12 { ", …" } else { "" };
        Error::unknown(kind, name, names()).with_hint(format!("the query gives the columns {}{rest}", list.join(", ")))
    })
}

fn target_column(schema: &Schema, name: &str) -> Result<Column> {
    let position = position(schema, "target column", name)?;
    let data_type = schema.field(position).data_type();
    match ValueType::of(data_type) {
        Some(value_type) => Ok(Column { position, feature: Feature { name: name.to_owned(), value_type } }),
        None => {
            Err(Error::input(format!("target `{name}` has type {data_type}, expected a number, a boolean or text")))
        }
    }
}

fn wrong_target(target: &Feature, algorithm: &str, expected: &str) -> Error {
    let found = target.value_type.sql_name();
    let error = Error::input(format!("target `{}` has type {found}, {algorithm} expects {expected}", target.name));
    match target.value_type {
        ValueType::Boolean | ValueType::Text if algorithm == "linear_regression" => {
            error.with_hint("logistic_regression and decision_tree learn classes")
        }
        ValueType::Double => error.with_hint("linear_regression and decision_tree learn numbers"),
        _ => error,
    }
}

fn split_column(split: &Split, schema: &Schema, target: &Column) -> Result<Option<Column>> {
    let share = |f: f64| match (0.0..1.0).contains(&f) {
        true => Ok(()),
        false => Err(Error::input(format!("the share that is held out: expected 0 to below 1, found {f}"))),
    };
    let (name, kind) = match split {
        Split::None => return Ok(None),
        Split::Random(f) => return share(*f).map(|()| None),
        Split::Time { column, held_out } => {
            share(*held_out)?;
            (column, "time column")
        }
        Split::Column(column) => (column, "split column"),
    };
    let position = position(schema, kind, name)?;
    if position == target.position {
        return Err(Error::input(format!("the {kind} `{name}` is the target: expected another column")));
    }
    let data_type = schema.field(position).data_type();
    match (split, ValueType::of(data_type)) {
        (Split::Time { .. }, Some(value_type @ (ValueType::Date | ValueType::Timestamp)))
        | (Split::Column(_), Some(value_type @ ValueType::Boolean)) => {
            Ok(Some(Column { position, feature: Feature { name: name.clone(), value_type } }))
        }
        (Split::Time { .. }, found) => Err(Error::input(format!(
            "time column `{name}`: expected DATE or TIMESTAMP, found {}",
            found.map_or_else(|| data_type.to_string(), |found| found.sql_name().to_owned())
        ))),
        (_, found) => Err(Error::input(format!(
            "split column `{name}`: expected BOOLEAN, found {}",
            found.map_or_else(|| data_type.to_string(), |found| found.sql_name().to_owned())
        ))),
    }
}

fn feature_columns(schema: &Schema, target: &Column, split: Option<&Column>) -> Result<Vec<Column>> {
    let mut features = Vec::new();
    for (position, field) in schema.fields().iter().enumerate() {
        if position == target.position || split.is_some_and(|split| split.position == position) {
            continue;
        }
        let name = field.name().clone();
        match ValueType::of(field.data_type()) {
            Some(ValueType::Text) => {
                return Err(Error::input(format!(
                    "feature `{name}` has type TEXT, expected a number, a boolean, a date or a timestamp"
                ))
                .with_hint(format!(
                    "leave it out of the query, or make numbers of it, such as `CASE \"{name}\" WHEN '…' THEN 1 ELSE 0 END`"
                )));
            }
            Some(value_type) if !name.is_empty() => {
                features.push(Column { position, feature: Feature { name, value_type } });
            }
            Some(_) => {
                return Err(Error::input(format!("column {} has no name: a feature needs one", position + 1))
                    .with_hint("give it one with AS"));
            }
            None => {
                return Err(Error::input(format!(
                    "feature `{name}` has type {}, expected a number, a boolean, a date or a timestamp",
                    field.data_type()
                ))
                .with_hint("leave it out of the query, or make numbers of it"));
            }
        }
    }
    match features.len() {
        0 => Err(Error::input(format!(
            "expected at least one feature, found no column beside the target `{}`",
            target.feature.name
        ))
        .with_hint("select the columns to learn from as well")),
        count if count > FEATURES_MAX => {
            Err(Error::exhausted(format!("expected at most {FEATURES_MAX} features, found {count}")))
        }
        _ => Ok(features),
    }
}
