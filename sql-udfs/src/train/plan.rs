//! A request against a schema: what is checked before a query runs, and what a training then does.
//!
//! It sees names and types, never rows.

use arrow::datatypes::Schema;

use super::algorithm::{self, Algorithm};
use super::parameter::{CLASS_WEIGHT, Parameters, SAMPLE_WEIGHT};
use super::{Request, Split};
use crate::limits::{FEATURES_MAX, PARTITION_COLUMNS_MAX};
use crate::model::partition::keys::is_key_type;
use crate::model::signature::{Feature, Task, ValueType};
use crate::{Error, Result};

/// A checked request. Columns are positions in the schema.
pub(super) struct Plan {
    pub algorithm: &'static dyn Algorithm,
    pub parameters: Parameters,
    pub task: Task,
    pub target: Option<Column>,
    pub features: Vec<Column>,
    /// The column that decides what is held out, for a split by time or by column.
    pub split: Option<Column>,
    /// The column with the weight of each row.
    pub weight: Option<Column>,
    /// The group columns.
    pub partition: Vec<Column>,
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
        let without = named.and_then(|algorithm| algorithm.task_without_target());
        let target = match (request.target.as_deref(), without, named) {
            (Some(name), None, _) => Some(target_column(schema, name)?),
            (None, Some(_), _) => None,
            (Some(_), Some(_), Some(algorithm)) => {
                return Err(Error::input(format!("{} takes no target, found one", algorithm.name()))
                    .with_hint("leave out `TARGET`, and the column too, unless it is a feature"));
            }
            (_, _, named) => {
                let purpose = named.map(|algorithm| format!(" for {}", algorithm.name())).unwrap_or_default();
                return Err(
                    Error::input(format!("expected a target{purpose}, found none")).with_hint("add `TARGET column`")
                );
            }
        };
        let of_target = |target: &Column| algorithm::by_target(target.feature.value_type);
        let algorithm = match (named, &target) {
            (Some(algorithm), _) => algorithm,
            (None, Some(target)) => of_target(target),
            (None, None) => return Err(Error::internal("expected a target or an algorithm, found neither")),
        };
        let mut parameters = Parameters::resolve(algorithm.name(), algorithm.parameters(), &request.parameters)?;
        let task = match (&target, without) {
            (Some(target), _) => algorithm
                .task(target.feature.value_type, &parameters)
                .map_err(|expected| wrong_target(&target.feature, algorithm, expected))?,
            (None, Some(task)) => task,
            (None, None) => return Err(Error::internal("expected a target or a task without one, found neither")),
        };
        algorithm.settle(&mut parameters, task)?;
        if parameters.text(CLASS_WEIGHT.name).is_some() && task != Task::Classification {
            return Err(Error::input(format!(
                "parameter `class_weight` of {}: expected a target of classes, found a {}",
                algorithm.name(),
                task.name()
            )));
        }
        let split = split_column(&request.split, schema, target.as_ref())?;
        let weight = parameters.text(SAMPLE_WEIGHT.name).map(|name| weight_column(schema, name, target.as_ref()));
        let weight = weight.transpose()?;
        let mut taken: Vec<usize> = [&target, &split, &weight].into_iter().flatten().map(|c| c.position).collect();
        let names = request.partition.iter().flat_map(|partition| &partition.columns);
        let partition = names.map(|name| partition_column(schema, name, &mut taken)).collect::<Result<Vec<_>>>()?;
        if partition.len() > PARTITION_COLUMNS_MAX {
            return Err(Error::exhausted(format!(
                "expected at most {PARTITION_COLUMNS_MAX} group columns, found {}",
                partition.len()
            )));
        }
        let features = feature_columns(schema, &taken, target.as_ref())?;
        Ok(Plan { algorithm, parameters, task, target, features, split, weight, partition })
    }

    /// The positions of all columns that a model learns from, in the schema's order.
    pub fn positions(&self) -> Vec<usize> {
        let columns = self.features.iter().chain(self.roles());
        let mut positions: Vec<usize> = columns.map(|column| column.position).collect();
        positions.sort_unstable();
        positions
    }

    /// The columns that are no features and must be known in every row that is used.
    pub fn roles(&self) -> impl Iterator<Item = &Column> {
        [&self.target, &self.split, &self.weight].into_iter().flatten()
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
        Some(value_type) => Ok(Column { position, feature: Feature::new(name, value_type) }),
        None => {
            Err(Error::input(format!("target `{name}` has type {data_type}, expected a number, a boolean or text")))
        }
    }
}

fn wrong_target(target: &Feature, algorithm: &dyn Algorithm, expected: &str) -> Error {
    let (found, name) = (target.value_type.sql_name(), algorithm.name());
    let error = Error::input(format!("target `{}` has type {found}, {name} expects {expected}", target.name));
    match target.value_type {
        ValueType::Boolean | ValueType::Text => {
            error.with_hint("logistic_regression, gradient_boosting and decision_tree learn classes")
        }
        ValueType::Double => error.with_hint("linear_regression, gradient_boosting and decision_tree learn numbers"),
        _ => error,
    }
}

/// The column with the weight of each row.
fn weight_column(schema: &Schema, name: &str, target: Option<&Column>) -> Result<Column> {
    let position = position(schema, "weight column", name)?;
    if target.is_some_and(|target| target.position == position) {
        return Err(Error::input(format!("the weight column `{name}` is the target: expected another column")));
    }
    let data_type = schema.field(position).data_type();
    match ValueType::of(data_type) {
        Some(value_type @ (ValueType::Double | ValueType::BigInt)) => {
            Ok(Column { position, feature: Feature::new(name, value_type) })
        }
        found => Err(Error::input(format!(
            "weight column `{name}`: expected a number, found {}",
            found.map_or_else(|| data_type.to_string(), |found| found.sql_name().to_owned())
        ))),
    }
}

/// A column that tells groups apart; it joins the columns that are `taken`.
fn partition_column(schema: &Schema, name: &str, taken: &mut Vec<usize>) -> Result<Column> {
    let position = position(schema, "group column", name)?;
    if taken.contains(&position) {
        return Err(Error::input(format!("the group column `{name}` has a purpose already: expected another column")));
    }
    let data_type = schema.field(position).data_type();
    match ValueType::of(data_type) {
        Some(value_type) if is_key_type(value_type) => {
            taken.push(position);
            Ok(Column { position, feature: Feature::new(name, value_type) })
        }
        found => Err(Error::input(format!(
            "group column `{name}`: expected TEXT, BIGINT, BOOLEAN or DATE, found {}",
            found.map_or_else(|| data_type.to_string(), |found| found.sql_name().to_owned())
        ))
        .with_hint("cast it in the training query, and in the same way where PREDICT is called")),
    }
}

fn split_column(split: &Split, schema: &Schema, target: Option<&Column>) -> Result<Option<Column>> {
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
    if target.is_some_and(|target| target.position == position) {
        return Err(Error::input(format!("the {kind} `{name}` is the target: expected another column")));
    }
    let data_type = schema.field(position).data_type();
    match (split, ValueType::of(data_type)) {
        (Split::Time { .. }, Some(value_type @ (ValueType::Date | ValueType::Timestamp)))
        | (Split::Column(_), Some(value_type @ ValueType::Boolean)) => {
            Ok(Some(Column { position, feature: Feature::new(name, value_type) }))
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

fn feature_columns(schema: &Schema, taken: &[usize], target: Option<&Column>) -> Result<Vec<Column>> {
    let mut features = Vec::new();
    for (position, field) in schema.fields().iter().enumerate().filter(|(position, _)| !taken.contains(position)) {
        let name = field.name();
        match ValueType::of(field.data_type()) {
            Some(value_type) if !name.is_empty() => {
                features.push(Column { position, feature: Feature::new(name, value_type) });
            }
            Some(_) => {
                return Err(Error::input(format!("column {} has no name: a feature needs one", position + 1))
                    .with_hint("give it one with AS"));
            }
            None => {
                return Err(Error::input(format!(
                    "feature `{name}` has type {}, expected a number, a boolean, a date, a timestamp or text",
                    field.data_type()
                ))
                .with_hint("leave it out of the query, or make numbers of it"));
            }
        }
    }
    match features.len() {
        0 => Err(Error::input(match target {
            Some(target) => {
                format!("expected at least one feature, found no column beside the target `{}`", target.feature.name)
            }
            None => "expected at least one feature, found no column".to_owned(),
        })
        .with_hint("select the columns to learn from as well")),
        count if count > FEATURES_MAX => {
            Err(Error::exhausted(format!("expected at most {FEATURES_MAX} features, found {count}")))
        }
        _ => Ok(features),
    }
}
