//! What each training row weighs: its own weight, times its class's.

use super::parameter::{CLASS_WEIGHT, Parameters};
use super::places::Places;
use super::plan::Plan;
use super::rows::Source;
use super::target::{Target, display};
use crate::model::signature::ClassLabel;
use crate::{Error, Result};

/// The weights of the training rows, or `None` where all weigh the same.
pub(super) fn read(
    plan: &Plan,
    source: &mut Source<'_>,
    places: &Places,
    target: &Target,
    classes: &[ClassLabel],
) -> Result<Option<Vec<f64>>> {
    let mut weights = match &plan.weight {
        None => None,
        Some(column) => {
            let arrays = source.take(column);
            let [weights, _] = source.placed(arrays, places)?;
            check(&column.feature.name, &weights)?;
            Some(weights)
        }
    };
    if let (Some(of_classes), Target::Classes(codes)) = (ClassWeights::new(&plan.parameters, classes)?, target) {
        weights = Some(of_classes.weigh(weights, codes, classes.len(), |code| code));
    }
    Ok(weights)
}

/// What each class weighs.
pub(super) enum ClassWeights {
    /// Inverse to the weight of its rows.
    Balanced,
    /// As it was written.
    Written(Vec<f64>),
}

impl ClassWeights {
    /// What the parameters say, or `None` where all classes weigh the same.
    pub fn new(parameters: &Parameters, classes: &[ClassLabel]) -> Result<Option<Self>> {
        match parameters.text(CLASS_WEIGHT.name) {
            None => Ok(None),
            Some(_) if classes.is_empty() => Ok(None),
            Some("balanced") => Ok(Some(ClassWeights::Balanced)),
            Some(text) => written(text, classes).map(ClassWeights::Written).map(Some),
        }
    }

    /// The weights of rows with the weights `own` and the classes `codes`; `place` is a code's place among the classes
    /// that the weights were written for.
    pub fn weigh(
        &self,
        own: Option<Vec<f64>>,
        codes: &[u32],
        classes: usize,
        place: impl Fn(usize) -> usize,
    ) -> Vec<f64> {
        let own = |row: usize| own.as_ref().map_or(1.0, |weights| weights[row]);
        let of_class: Vec<f64> = match self {
            ClassWeights::Balanced => {
                let mut sums = vec![0.0; classes];
                codes.iter().enumerate().for_each(|(row, code)| sums[*code as usize] += own(row));
                let all: f64 = sums.iter().sum();
                sums.iter().map(|sum| all / (classes as f64 * sum)).collect()
            }
            ClassWeights::Written(weights) => (0..classes).map(|code| weights[place(code)]).collect(),
        };
        codes.iter().enumerate().map(|(row, code)| own(row) * of_class[*code as usize]).collect()
    }
}

/// Fails where weights are none.
pub(super) fn check(name: &str, weights: &[f64]) -> Result<()> {
    if let Some(odd) = weights.iter().find(|weight| !(weight.is_finite() && **weight >= 0.0)) {
        return Err(Error::input(format!(
            "weight column `{name}` has the value {odd}: expected finite numbers of at least 0"
        )));
    }
    match weights.iter().any(|weight| *weight > 0.0) {
        true => Ok(()),
        false => Err(Error::input(format!("weight column `{name}` is 0 in all {} training rows", weights.len()))),
    }
}

/// Weights as they are written: a JSON object of numbers above 0 by class; a class that is not in it weighs 1.
fn written(text: &str, classes: &[ClassLabel]) -> Result<Vec<f64>> {
    let expected = || {
        Error::input(format!(
            "parameter `class_weight`: expected 'balanced' or weights by class as JSON, such as '{{\"yes\": 5}}', found \
             '{text}'"
        ))
    };
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).map_err(|_| expected())?;
    let mut weights = vec![1.0; classes.len()];
    let names: Vec<String> = classes.iter().map(name).collect();
    for (class, weight) in &object {
        let weight = weight.as_f64().filter(|weight| *weight > 0.0 && weight.is_finite()).ok_or_else(expected)?;
        match names.iter().position(|name| name == class) {
            Some(position) => weights[position] = weight,
            None => {
                let known: Vec<String> = classes.iter().take(12).map(display).collect();
                return Err(Error::unknown("class", class, names.iter().map(String::as_str))
                    .with_hint(format!("the classes are {}", known.join(", "))));
            }
        }
    }
    Ok(weights)
}

fn name(class: &ClassLabel) -> String {
    match class {
        ClassLabel::Boolean(flag) => flag.to_string(),
        ClassLabel::BigInt(number) => number.to_string(),
        ClassLabel::Text(text) => text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_by_class_are_read() {
        let classes = ["no", "yes"].map(|text| ClassLabel::Text(text.to_owned()));
        assert_eq!(written(r#"{"yes": 5}"#, &classes).unwrap(), [1.0, 5.0]);
        for text in [r#"{"yes": 0}"#, r#"{"yes": "5"}"#, "heavy", r#"["yes"]"#, r#"{"maybe": 2}"#] {
            assert!(written(text, &classes).is_err(), "{text}");
        }
        assert_eq!(written(r#"{"7": 2.5}"#, &[ClassLabel::BigInt(7), ClassLabel::BigInt(8)]).unwrap(), [2.5, 1.0]);
    }

    #[test]
    fn weights_must_be_finite_and_not_all_zero() {
        assert!(check("w", &[0.0, 2.0]).is_ok());
        for weights in [vec![0.0, 0.0], vec![-1.0, 1.0], vec![f64::NAN], vec![f64::INFINITY]] {
            assert!(check("w", &weights).is_err(), "{weights:?}");
        }
    }
}
