//! The target's values: numbers, or codes of classes in ascending order.
//!
//! Classes are those of the training rows: a class that only held-out rows have cannot be learned, and counts as missed
//! when the model is measured.

use std::collections::HashMap;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Int64Type};

use super::plan::{Column, Plan};
use super::rows::Source;
use crate::limits::CLASSES_MAX;
use crate::model::columns::strict_cast;
use crate::model::signature::{ClassLabel, Task, ValueType};
use crate::{Error, Result};

/// The code of a class that no training row has.
pub(crate) const UNSEEN: u32 = u32::MAX;

/// The target of some rows.
#[derive(Debug)]
pub(crate) enum Target {
    /// Finite numbers.
    Numbers(Vec<f64>),
    /// Positions in the classes, or [`UNSEEN`].
    Classes(Vec<u32>),
    /// No target, for so many rows.
    None(usize),
}

impl Target {
    /// The numbers of a regression's target.
    pub fn numbers(&self) -> Result<&[f64]> {
        match self {
            Target::Numbers(values) => Ok(values),
            _ => Err(Error::internal("expected a target of numbers, found another")),
        }
    }

    /// The codes of a classification's target.
    pub fn classes(&self) -> Result<&[u32]> {
        match self {
            Target::Classes(codes) => Ok(codes),
            _ => Err(Error::internal("expected a target of classes, found another")),
        }
    }
}

/// The targets of the training rows and the held-out rows, and the classes.
pub(super) fn read(plan: &Plan, source: &mut Source<'_>, parts: [&[u32]; 2]) -> Result<([Target; 2], Vec<ClassLabel>)> {
    let Some(target) = &plan.target else { return Ok((parts.map(|rows| Target::None(rows.len())), Vec::new())) };
    match plan.task {
        Task::Classification => {
            let (parts, classes) = classes(target, source, parts)?;
            Ok((parts.map(Target::Classes), classes))
        }
        _ => Ok((numbers(target, source, parts)?.map(Target::Numbers), Vec::new())),
    }
}

fn numbers(target: &Column, source: &mut Source<'_>, parts: [&[u32]; 2]) -> Result<[Vec<f64>; 2]> {
    let name = &target.feature.name;
    let values = source.numbers(target)?;
    let parts = parts.map(|rows| rows.iter().map(|row| values[*row as usize]).collect::<Vec<f64>>());
    if let Some(odd) = parts.iter().flatten().find(|value| !value.is_finite()) {
        return Err(Error::input(format!("target `{name}` has the value {odd}: expected finite numbers or NULL")));
    }
    let first = parts[0].first().copied().unwrap_or_default();
    match parts[0].iter().all(|value| *value == first) {
        true => Err(constant(name, &first.to_string(), parts[0].len())),
        false => Ok(parts),
    }
}

/// The error of a target with one value.
pub(super) fn constant(name: &str, value: &str, rows: usize) -> Error {
    Error::input(format!("target `{name}` is constant: it is {value} in all {rows} training rows"))
        .with_hint("a model needs at least two values to tell apart")
}

fn classes(target: &Column, source: &mut Source<'_>, parts: [&[u32]; 2]) -> Result<([Vec<u32>; 2], Vec<ClassLabel>)> {
    let name = &target.feature.name;
    let (codes, labels) = encode(target, source)?;
    let mut seen = vec![false; labels.len()];
    parts[0].iter().for_each(|row| seen[codes[*row as usize] as usize] = true);
    let mut order: Vec<u32> = (0..labels.len() as u32).filter(|code| seen[*code as usize]).collect();
    order.sort_by(|a, b| ascending(&labels[*a as usize], &labels[*b as usize]));
    if let [only] = order.as_slice() {
        return Err(constant(name, &display(&labels[*only as usize]), parts[0].len()));
    }
    let mut position = vec![UNSEEN; labels.len()];
    order.iter().enumerate().for_each(|(new, old)| position[*old as usize] = new as u32);
    let parts = parts.map(|rows| rows.iter().map(|row| position[codes[*row as usize] as usize]).collect());
    let classes = order.iter().map(|old| labels[*old as usize].clone()).collect();
    Ok((parts, classes))
}

/// A code for each row in the order of arrival, and the label of each code. A NULL has the code 0, and is in no part.
fn encode(target: &Column, source: &Source<'_>) -> Result<(Vec<u32>, Vec<ClassLabel>)> {
    let mut encoder = Encoder { name: &target.feature.name, codes: Vec::new(), labels: Vec::new() };
    let (mut texts, mut numbers): (HashMap<String, u32>, HashMap<i64, u32>) = Default::default();
    for array in source.batches(target.position) {
        source.check_cancelled()?;
        match target.feature.value_type {
            ValueType::Text => {
                let array = strict_cast(array, &DataType::Utf8)?;
                for text in array.as_string::<i32>() {
                    encoder.add(text, &mut texts, str::to_owned, |text| ClassLabel::Text(text.to_owned()))?;
                }
            }
            ValueType::Boolean => {
                for flag in array.as_boolean() {
                    let flag = flag.map(i64::from);
                    encoder.add(flag.as_ref(), &mut numbers, |flag| *flag, |flag| ClassLabel::Boolean(*flag == 1))?;
                }
            }
            _ => {
                let array = strict_cast(array, &DataType::Int64)?;
                for number in array.as_primitive::<Int64Type>() {
                    encoder.add(number.as_ref(), &mut numbers, |n| *n, |n| ClassLabel::BigInt(*n))?;
                }
            }
        }
    }
    Ok((encoder.codes, encoder.labels))
}

struct Encoder<'a> {
    name: &'a str,
    codes: Vec<u32>,
    labels: Vec<ClassLabel>,
}

impl Encoder<'_> {
    fn add<Q: ?Sized + std::hash::Hash + Eq, K: std::borrow::Borrow<Q> + std::hash::Hash + Eq>(
        &mut self,
        value: Option<&Q>,
        known: &mut HashMap<K, u32>,
        key: impl Fn(&Q) -> K,
        label: impl Fn(&Q) -> ClassLabel,
    ) -> Result<()> {
        let Some(value) = value else {
            self.codes.push(0);
            return Ok(());
        };
        let code = match known.get(value) {
            Some(code) => *code,
            None if self.labels.len() == CLASSES_MAX => {
                return Err(Error::input(format!(
                    "target `{}` has more than {CLASSES_MAX} different values: expected classes",
                    self.name
                ))
                .with_hint("a number with that many values is learned by regression"));
            }
            None => {
                let code = self.labels.len() as u32;
                known.insert(key(value), code);
                self.labels.push(label(value));
                code
            }
        };
        self.codes.push(code);
        Ok(())
    }
}

/// The order of classes.
pub(super) fn ascending(a: &ClassLabel, b: &ClassLabel) -> std::cmp::Ordering {
    match (a, b) {
        (ClassLabel::Boolean(a), ClassLabel::Boolean(b)) => a.cmp(b),
        (ClassLabel::BigInt(a), ClassLabel::BigInt(b)) => a.cmp(b),
        (ClassLabel::Text(a), ClassLabel::Text(b)) => a.cmp(b),
        // A target has one type.
        _ => std::cmp::Ordering::Equal,
    }
}

pub(super) fn display(label: &ClassLabel) -> String {
    match label {
        ClassLabel::Boolean(flag) => flag.to_string().to_uppercase(),
        ClassLabel::BigInt(number) => number.to_string(),
        ClassLabel::Text(text) => format!("'{text}'"),
    }
}
