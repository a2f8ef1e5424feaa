//! The target's values: numbers, or codes of classes in ascending order.
//!
//! Classes are those of the training rows: a class that only held-out rows have cannot be learned, and counts as missed
//! when the model is measured.

use std::collections::HashMap;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Int64Type};

use super::places::Places;
use super::plan::{Column, Plan};
use super::rows::Source;
use super::workers::Workers;
use crate::limits::{CLASSES_MAX, ROWS_PER_PIECE};
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
pub(super) fn read(
    plan: &Plan,
    source: &mut Source<'_>,
    places: &Places,
    workers: &Workers,
) -> Result<([Target; 2], Vec<ClassLabel>)> {
    let Some(target) = &plan.target else {
        let held_out = places.len() - places.train();
        return Ok(([places.train(), held_out].map(Target::None), Vec::new()));
    };
    match plan.task {
        Task::Classification => {
            let (parts, classes) = classes(target, source, places, workers)?;
            Ok((parts.map(Target::Classes), classes))
        }
        _ => Ok((numbers(target, source, places)?.map(Target::Numbers), Vec::new())),
    }
}

fn numbers(target: &Column, source: &mut Source<'_>, places: &Places) -> Result<[Vec<f64>; 2]> {
    let name = &target.feature.name;
    let arrays = source.take(target);
    let parts = source.placed(arrays, places)?;
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

fn classes(
    target: &Column,
    source: &Source<'_>,
    places: &Places,
    workers: &Workers,
) -> Result<([Vec<u32>; 2], Vec<ClassLabel>)> {
    let name = &target.feature.name;
    let pieces = workers.try_map(source.rows().div_ceil(ROWS_PER_PIECE), |piece| {
        let from = piece * ROWS_PER_PIECE;
        encode(target, source, from, source.rows().min(from + ROWS_PER_PIECE))
    })?;
    // Pieces number the labels as they find them: all labels in ascending order give each its final number.
    let mut labels: Vec<ClassLabel> = pieces.iter().flat_map(|piece| piece.labels.iter().cloned()).collect();
    labels.sort_by(ascending);
    labels.dedup();
    if labels.len() > CLASSES_MAX {
        return Err(too_many(name));
    }
    let mut all = vec![0; places.len()];
    for (piece, from) in pieces.iter().zip((0..).step_by(ROWS_PER_PIECE)) {
        source.check_cancelled()?;
        let place = |label| labels.partition_point(|known| ascending(known, label).is_lt()) as u32;
        let numbers: Vec<u32> = piece.labels.iter().map(place).collect();
        // A NULL has the code 0, and goes nowhere.
        let number = |code: &u32| numbers.get(*code as usize).copied().unwrap_or_default();
        places.put(from, piece.codes.iter().map(number), &mut all);
    }
    let mut parts = places.part(all);
    let mut seen = vec![false; labels.len()];
    parts[0].iter().for_each(|code| seen[*code as usize] = true);
    let mut found = labels.iter().zip(&seen).filter(|(_, seen)| **seen);
    if let (Some((only, _)), None) = (found.next(), found.next()) {
        return Err(constant(name, &display(only), parts[0].len()));
    }
    let mut position = vec![UNSEEN; labels.len()];
    let known = (0..labels.len()).filter(|code| seen[*code]);
    (0..).zip(known).for_each(|(new, old)| position[old] = new);
    for code in parts.iter_mut().flatten() {
        *code = position[*code as usize];
    }
    let classes = labels.into_iter().zip(seen).filter(|(_, seen)| *seen).map(|(label, _)| label).collect();
    Ok((parts, classes))
}

/// A code for each of some rows in the order of arrival, and the label of each code.
fn encode<'a>(target: &'a Column, source: &Source<'_>, from: usize, to: usize) -> Result<Encoder<'a>> {
    let codes = Vec::with_capacity(to - from);
    let mut encoder = Encoder { name: &target.feature.name, codes, labels: Vec::new() };
    let (mut texts, mut numbers): (HashMap<String, u32>, HashMap<i64, u32>) = Default::default();
    source.for_each_slice(target.position, from, to, |_, array| {
        source.check_cancelled()?;
        match target.feature.value_type {
            ValueType::Text => {
                let array = strict_cast(array, &DataType::Utf8)?;
                for text in array.as_string::<i32>() {
                    encoder.add(text, &mut texts, str::to_owned, |text| ClassLabel::Text(text.to_owned()))?;
                }
            }
            ValueType::Boolean => {
                encoder.labels = vec![ClassLabel::Boolean(false), ClassLabel::Boolean(true)];
                encoder.codes.extend(array.as_boolean().iter().map(|flag| u32::from(flag.unwrap_or_default())));
            }
            _ => {
                let array = strict_cast(array, &DataType::Int64)?;
                for number in array.as_primitive::<Int64Type>() {
                    encoder.add(number.as_ref(), &mut numbers, |n| *n, |n| ClassLabel::BigInt(*n))?;
                }
            }
        }
        Ok(())
    })?;
    Ok(encoder)
}

/// Numbers labels as it finds them.
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
                return Err(too_many(self.name));
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

fn too_many(name: &str) -> Error {
    Error::input(format!("target `{name}` has more than {CLASSES_MAX} different values: expected classes"))
        .with_hint("a number with that many values is learned by regression")
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
