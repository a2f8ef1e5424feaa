//! The values of all rows as numbers, column by column in the order of arrival, from which each group's rows are taken.
//!
//! Categories and classes are those of the training rows of all groups, so that all groups' models have one design. Texts
//! stay codes until a group's rows are taken: indicators of all rows at once would be many columns.

use arrow::array::ArrayRef;

use super::order::{Batches, Order};
use crate::limits::CLASSES_MAX;
use crate::model::columns::doubles;
use crate::model::design::{Design, indicator};
use crate::model::partition::keys::{Coder, KeyValue};
use crate::model::signature::{CategoryForm, ClassLabel, Feature, Task, ValueType};
use crate::train::categories;
use crate::train::places::Places;
use crate::train::plan::{Column, Plan};
use crate::train::rows::Rows;
use crate::train::target::{self, Target, UNSEEN};
use crate::{Error, Result};

/// One feature's values.
pub(super) struct Values {
    /// Numbers, or codes of texts: -1 for a text that no model knows.
    numbers: Vec<f64>,
    /// How many design columns of indicators the codes become; `None` where the numbers are the design column.
    indicators: Option<usize>,
    /// Whether there is an infinite value.
    infinite: bool,
}

/// All values.
pub(super) struct Data {
    /// The features, with categories.
    pub features: Vec<Feature>,
    /// The names of the design columns.
    pub names: Vec<String>,
    /// [`Rows::categories`].
    pub categories: Vec<usize>,
    /// The classes of the training rows of all groups, in ascending order.
    pub classes: Vec<ClassLabel>,
    values: Vec<Values>,
    target: Goal,
    weights: Option<Vec<f64>>,
}

/// The target of all rows.
enum Goal {
    Numbers(Vec<f64>),
    /// Places among the classes, or [`UNSEEN`].
    Classes(Vec<u32>),
    None,
}

/// What is known before, where a model is refreshed.
pub(super) struct Known<'a> {
    /// The features with their categories, which stay.
    pub features: &'a [Feature],
    /// The classes, to which others may be added.
    pub classes: &'a [ClassLabel],
}

impl Data {
    /// Reads all columns; each is let go as soon as its numbers stand.
    pub fn read(plan: &Plan, batches: &mut Batches<'_>, order: &Order, known: Option<&Known<'_>>) -> Result<Self> {
        let form = plan.algorithm.texts();
        let texts = plan.features.iter().any(|column| column.feature.value_type == ValueType::Text);
        let places = (texts && known.is_none()).then(|| {
            let train = order.extents.iter().flat_map(|extent| &order.rows[extent.train.clone()]);
            Places::new(batches.total(), &train.copied().collect::<Vec<u32>>(), &[])
        });
        let (target, classes) = goal(plan, batches, order, known)?;
        let weights =
            plan.weight.as_ref().map(|column| numbers(&batches.columns[column.position], batches)).transpose()?;
        let work: Vec<(&Column, Vec<ArrayRef>)> = plan
            .features
            .iter()
            .map(|column| (column, std::mem::take(&mut batches.columns[column.position])))
            .collect();
        let batches = &*batches;
        let of_known = |name: &str| known.and_then(|known| known.features.iter().find(|feature| feature.name == name));
        let read = batches.workers.map_each(work, |(column, arrays)| -> Result<(Feature, Values)> {
            batches.check_cancelled()?;
            let mut feature = column.feature.clone();
            if feature.value_type == ValueType::Text {
                feature.categories = match (of_known(&feature.name), &places) {
                    (Some(known), _) => known.categories.clone(),
                    (None, Some(places)) => Some(categories::find(&feature.name, &arrays, places, form)?),
                    (None, None) => return Err(Error::internal("expected the feature's categories, found none")),
                };
            }
            let values = values(&feature, &arrays, batches)?;
            Ok((feature, values))
        });
        let read = read.into_iter().collect::<Result<Vec<_>>>()?;
        let mut data =
            Data { features: vec![], names: vec![], categories: vec![], classes, values: vec![], target, weights };
        for (feature, values) in read {
            data.add(feature, values);
        }
        Ok(data)
    }

    fn add(&mut self, feature: Feature, values: Values) {
        match &feature.categories {
            Some(texts) if texts.form == CategoryForm::Indicators => {
                self.categories.extend(texts.values.iter().map(|_| 0));
                self.names.extend(texts.values.iter().map(|text| format!("{}={text}", feature.name)));
            }
            texts => {
                self.categories.push(texts.as_ref().map_or(0, |texts| texts.values.len()));
                self.names.push(feature.name.clone());
            }
        }
        self.features.push(feature);
        self.values.push(values);
    }

    /// Whether a model could learn from the row.
    pub fn is_usable(&self, row: u32) -> bool {
        let row = row as usize;
        let target = match &self.target {
            Goal::Numbers(values) => values[row].is_finite(),
            Goal::Classes(_) | Goal::None => true,
        };
        let weight = |weights: &Vec<f64>| weights[row].is_finite() && weights[row] >= 0.0;
        target
            && self.weights.as_ref().is_none_or(weight)
            && self.values.iter().all(|values| !values.infinite || !values.numbers[row].is_infinite())
    }

    /// Puts the values of some rows into `out`, whose vectors are used again.
    pub fn take(&self, rows: &[u32], weights: bool, out: &mut Rows) {
        let mut next = out.features.iter_mut();
        let mut column = |values: &mut dyn Iterator<Item = f64>| {
            if let Some(column) = next.next() {
                column.clear();
                column.extend(values);
            }
        };
        for values in &self.values {
            let at = |row: &u32| values.numbers[*row as usize];
            match values.indicators {
                None => column(&mut rows.iter().map(at)),
                Some(count) => {
                    (0..count).for_each(|code| column(&mut rows.iter().map(|row| indicator(at(row), code))));
                }
            }
        }
        match (&self.target, &mut out.target) {
            (Goal::Numbers(values), Target::Numbers(out)) => {
                out.clear();
                out.extend(rows.iter().map(|row| values[*row as usize]));
            }
            (Goal::Classes(values), Target::Classes(out)) => {
                out.clear();
                out.extend(rows.iter().map(|row| values[*row as usize]));
            }
            (_, target) => *target = Target::None(rows.len()),
        }
        let own = self.weights.as_ref().filter(|_| weights);
        out.weights = own.map(|values| rows.iter().map(|row| values[*row as usize]).collect());
    }

    /// Rows without rows, for [`Data::take`].
    pub fn empty_rows(&self) -> Rows {
        Rows {
            features: vec![Vec::new(); self.names.len()],
            categories: self.categories.clone(),
            target: match self.target {
                Goal::Numbers(_) => Target::Numbers(Vec::new()),
                Goal::Classes(_) => Target::Classes(Vec::new()),
                Goal::None => Target::None(0),
            },
            weights: None,
        }
    }
}

/// A column as numbers.
pub(super) fn numbers(arrays: &[ArrayRef], batches: &Batches<'_>) -> Result<Vec<f64>> {
    let mut values = Vec::with_capacity(batches.total());
    for array in arrays {
        batches.check_cancelled()?;
        // Negative zero equals zero in the canonical order, so it must not differ from it afterwards.
        values.extend(doubles(array)?.iter().map(|value| value + 0.0));
    }
    Ok(values)
}

fn values(feature: &Feature, arrays: &[ArrayRef], batches: &Batches<'_>) -> Result<Values> {
    let Some(categories) = &feature.categories else {
        let numbers = numbers(arrays, batches)?;
        let infinite = numbers.iter().any(|value| value.is_infinite());
        return Ok(Values { numbers, indicators: None, infinite });
    };
    let design = Design::new(std::slice::from_ref(feature));
    let mut numbers = Vec::with_capacity(batches.total());
    for array in arrays {
        batches.check_cancelled()?;
        numbers.extend(design.numbers(0, array)?);
    }
    let indicators = (categories.form == CategoryForm::Indicators).then_some(categories.values.len());
    Ok(Values { numbers, indicators, infinite: false })
}

/// The target, and the classes.
fn goal(
    plan: &Plan,
    batches: &Batches<'_>,
    order: &Order,
    known: Option<&Known<'_>>,
) -> Result<(Goal, Vec<ClassLabel>)> {
    let Some(column) = &plan.target else { return Ok((Goal::None, Vec::new())) };
    let arrays = &batches.columns[column.position];
    if plan.task != Task::Classification {
        return Ok((Goal::Numbers(numbers(arrays, batches)?), Vec::new()));
    }
    let mut coder = Coder::new(1);
    let mut codes = Vec::with_capacity(batches.total());
    for array in arrays {
        batches.check_cancelled()?;
        codes.extend(coder.grow(std::slice::from_ref(&column.feature), std::slice::from_ref(array))?);
        // NULL may be among them.
        if coder.len() > CLASSES_MAX + 1 {
            return Err(Error::input(format!(
                "target `{}` has more than {CLASSES_MAX} different values: expected classes",
                column.feature.name
            ))
            .with_hint("a number with that many values is learned by regression"));
        }
    }
    let labels: Vec<Option<ClassLabel>> = (0..coder.len() as u32).map(|code| label(coder.key(code))).collect();
    let mut seen = vec![false; labels.len()];
    for extent in &order.extents {
        order.rows[extent.train.clone()].iter().for_each(|row| seen[codes[*row as usize] as usize] = true);
    }
    let of_rows = labels.iter().zip(&seen).filter(|(_, seen)| **seen).filter_map(|(label, _)| label.clone());
    let mut classes: Vec<ClassLabel> = known.map(|known| known.classes.to_vec()).unwrap_or_default();
    classes.extend(of_rows);
    classes.sort_by(target::ascending);
    classes.dedup();
    let place = |label: &Option<ClassLabel>| {
        let found = label.as_ref().and_then(|label| classes.iter().position(|class| class == label));
        found.map_or(UNSEEN, |place| place as u32)
    };
    let places: Vec<u32> = labels.iter().map(place).collect();
    codes.iter_mut().for_each(|code| *code = places[*code as usize]);
    Ok((Goal::Classes(codes), classes))
}

fn label(key: Vec<KeyValue>) -> Option<ClassLabel> {
    match key.into_iter().next() {
        Some(KeyValue::Boolean(flag)) => Some(ClassLabel::Boolean(flag)),
        Some(KeyValue::Number(number)) => Some(ClassLabel::BigInt(number)),
        Some(KeyValue::Text(text)) => Some(ClassLabel::Text(text)),
        Some(KeyValue::Null) | None => None,
    }
}
