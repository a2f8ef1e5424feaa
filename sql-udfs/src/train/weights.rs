//! What each training row weighs: its own weight, times its class's.

use super::parameter::CLASS_WEIGHT;
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
    if let (Some(text), Target::Classes(codes)) = (plan.parameters.text(CLASS_WEIGHT.name), target) {
        let rows = codes.len();
        let own = |row: usize| weights.as_ref().map_or(1.0, |weights: &Vec<f64>| weights[row]);
        let of_class = match text {
            "balanced" => {
                let mut sums = vec![0.0; classes.len()];
                codes.iter().enumerate().for_each(|(row, code)| sums[*code as usize] += own(row));
                let all: f64 = sums.iter().sum();
                sums.iter().map(|sum| all / (classes.len() as f64 * sum)).collect()
            }
            text => written(text, classes)?,
        };
        let weighed = (0..rows).map(|row| own(row) * of_class[codes[row] as usize]).collect();
        weights = Some(weighed);
    }
    Ok(weights)
}

fn check(name: &str, weights: &[f64]) -> Result<()> {
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
