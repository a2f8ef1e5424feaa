//! `gaussian_nb`: classes by a normal distribution of each feature in each class.
//!
//! Means and variances are scikit-learn's `GaussianNB`'s: weighted, with the share `var_smoothing` of the greatest
//! variance of a feature added to each. They are found in two passes, block by block, and kept as standard deviations, so
//! that no square leaves the range of numbers.

use super::algorithm::{Algorithm, Context, Fitted};
use super::parameter::{CLASS_WEIGHT, Default, Kind, MISSING_MEAN, Parameters, SAMPLE_WEIGHT, Specification};
use super::points::{self, Scaling};
use super::rows::Rows;
use crate::limits::ROWS_PER_BLOCK;
use crate::model::filled::Filled;
use crate::model::gaussian_nb::GaussianNb as Model;
use crate::model::signature::{Task, ValueType};
use crate::{Error, Result};

/// How far from 1 the sum of given shares may be: as written with a few digits.
const PRIORS_TOLERANCE: f64 = 1e-6;

/// The algorithm.
pub(crate) struct GaussianNb;

static PARAMETERS: &[Specification] = &[
    Specification {
        name: "var_smoothing",
        kind: Kind::DoubleFrom(0.0),
        default: Default::Double(1e-9),
        doc: "the share of the greatest variance of a feature that is added to every variance",
    },
    Specification {
        name: "priors",
        kind: Kind::Text,
        default: Default::Null,
        doc: "the shares of the classes in ascending order as JSON, such as '[0.9, 0.1]'; NULL for those of the rows",
    },
    SAMPLE_WEIGHT,
    CLASS_WEIGHT,
    MISSING_MEAN,
];

impl Algorithm for GaussianNb {
    fn name(&self) -> &'static str {
        "gaussian_nb"
    }

    fn doc(&self) -> &'static str {
        "classes by a normal distribution of each feature in each class"
    }

    fn parameters(&self) -> &'static [Specification] {
        PARAMETERS
    }

    fn task(&self, target: ValueType, _parameters: &Parameters) -> std::result::Result<Task, &'static str> {
        match target {
            ValueType::Boolean | ValueType::Text | ValueType::BigInt => Ok(Task::Classification),
            _ => Err("BOOLEAN, TEXT or BIGINT"),
        }
    }

    fn fit(&self, rows: &Rows, context: &Context<'_>) -> Result<Fitted> {
        let codes = rows.target.classes()?;
        let classes = context.classes;
        let filled = points::fill(rows, Scaling::EachColumn, context)?;
        let mut of_classes = vec![0.0; classes];
        codes.iter().enumerate().for_each(|(row, code)| of_classes[*code as usize] += rows.weight(row));
        let priors = match context.parameters.text("priors") {
            Some(text) => written(text, classes)?,
            None => {
                let all: f64 = of_classes.iter().sum();
                of_classes.iter().map(|weight| weight / all).collect()
            }
        };
        let distribution = |column: usize| {
            context.check_cancelled()?;
            distribution(rows, codes, column, &filled, &of_classes, context)
        };
        let columns = context.workers.try_map(filled.width(), distribution)?;
        context.check_cancelled()?;
        Ok(Fitted::new(model(filled, &columns, &priors, &of_classes, context)?, vec![]))
    }
}

/// What is known of a column: of each class and of all rows.
struct Distribution {
    means: Vec<f64>,
    /// Standard deviations, without smoothing.
    spreads: Vec<f64>,
    /// The standard deviation of all rows, which do not weigh.
    overall: f64,
}

fn distribution(
    rows: &Rows,
    codes: &[u32],
    column: usize,
    filled: &Filled,
    of_classes: &[f64],
    context: &Context<'_>,
) -> Result<Distribution> {
    let classes = of_classes.len();
    let values = &rows.features[column];
    // Sums of `value(row, class)` by class, within blocks and then over them.
    let sums = |value: &dyn Fn(f64, usize) -> f64| -> Result<Vec<f64>> {
        let mut sums = vec![0.0; classes];
        let mut block_sums = vec![0.0; classes];
        for (number, block) in values.chunks(ROWS_PER_BLOCK).enumerate() {
            context.check_cancelled()?;
            block_sums.fill(0.0);
            let start = number * ROWS_PER_BLOCK;
            for (row, known) in (start..).zip(block) {
                let class = codes[row] as usize;
                block_sums[class] += rows.weight(row) * value(filled.value(column, *known), class);
            }
            sums.iter_mut().zip(&block_sums).for_each(|(sum, block)| *sum += block);
        }
        Ok(sums)
    };
    let share = |sum: f64, class: usize| if of_classes[class] > 0.0 { sum / of_classes[class] } else { 0.0 };
    let rough: Vec<f64> = sums(&|value, _| value)?.into_iter().enumerate().map(|(c, sum)| share(sum, c)).collect();
    let rest = sums(&|value, class| value - rough[class])?;
    let means: Vec<f64> = rough.iter().zip(rest).enumerate().map(|(c, (rough, rest))| rough + share(rest, c)).collect();
    let squares = sums(&|value, class| (value - means[class]) * (value - means[class]))?;
    let spreads = squares.into_iter().enumerate().map(|(class, sum)| share(sum, class).sqrt()).collect();
    let centre = filled.value(column, f64::NAN);
    let square = |value: &f64| (filled.value(column, *value) - centre) * (filled.value(column, *value) - centre);
    let blocks = values.chunks(ROWS_PER_BLOCK).map(|block| block.iter().map(square).sum::<f64>());
    let overall = (blocks.sum::<f64>() / values.len() as f64).sqrt();
    Ok(Distribution { means, spreads, overall })
}

fn model(
    filled: Filled,
    columns: &[Distribution],
    priors: &[f64],
    of_classes: &[f64],
    context: &Context<'_>,
) -> Result<Model> {
    let (classes, width) = (priors.len(), columns.len());
    let (mut centres, mut inverses) = (vec![0.0; classes * width], vec![0.0; classes * width]);
    let mut offsets: Vec<f64> = priors.iter().map(|prior| libm::log(*prior)).collect();
    // In the features' own units, in which the greatest is the greatest.
    let overall = columns.iter().zip(&filled.scales).map(|(column, scale)| column.overall / scale);
    let smoothing = context.parameters.double("var_smoothing").sqrt() * overall.fold(0.0, f64::max);
    for (column, Distribution { means, spreads, overall }) in columns.iter().enumerate() {
        let smoothing = (smoothing * filled.scales[column]).min(f64::MAX);
        // The same value in every row tells nothing, whatever is added to its variance.
        if *overall == 0.0 {
            continue;
        }
        for class in (0..classes).filter(|class| of_classes[*class] > 0.0) {
            let inverse = 1.0 / libm::hypot(spreads[class], smoothing);
            if !inverse.is_finite() {
                return Err(Error::input(format!(
                    "`{}` is constant in a class: its variance is 0",
                    context.columns.get(column).map_or("", String::as_str)
                ))
                .with_hint("raise the parameter `var_smoothing`, or leave the feature out"));
            }
            centres[class * width + column] = means[class];
            inverses[class * width + column] = inverse;
            offsets[class] += libm::log(inverse);
        }
    }
    Ok(Model { filled, centres, inverses, offsets })
}

/// The shares of the classes as they are written.
fn written(text: &str, classes: usize) -> Result<Vec<f64>> {
    let expected = || {
        Error::input(format!(
            "parameter `priors` of gaussian_nb: expected {classes} numbers of at least 0 as JSON whose sum is 1, one for \
             each class, found '{text}'"
        ))
    };
    let priors: Vec<f64> = serde_json::from_str(text).map_err(|_| expected())?;
    let sum: f64 = priors.iter().sum();
    let sound = priors.iter().all(|prior| *prior >= 0.0) && (sum - 1.0).abs() <= PRIORS_TOLERANCE;
    match sound && priors.len() == classes {
        true => Ok(priors),
        false => Err(expected()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Value;
    use crate::train::target::Target;
    use crate::train::testing::{fit, parameters};

    fn probabilities(rows: &Rows, classes: usize, given: &[(&str, Value)], at: &[&[f64]]) -> Vec<f64> {
        let fitted = fit(&GaussianNb, rows, classes, &parameters(&GaussianNb, given));
        let mut out = vec![0.0; at[0].len() * classes];
        fitted.kernel.score(at, &mut out);
        out
    }

    /// Means 2 and 8, variances 1 and 4 by the definition.
    fn simple() -> Rows {
        Rows::new(vec![vec![1.0, 3.0, 6.0, 10.0]], Target::Classes(vec![0, 0, 1, 1]))
    }

    #[test]
    fn two_normal_distributions_by_hand() {
        let density = |x: f64, mean: f64, sd: f64| (-((x - mean) / sd).powi(2) / 2.0).exp() / sd;
        let none = [("var_smoothing", Value::Integer(0))];
        for x in [0.0, 2.0, 4.5, 9.0] {
            let found = probabilities(&simple(), 2, &none, &[&[x]]);
            let (a, b) = (density(x, 2.0, 1.0), density(x, 8.0, 2.0));
            assert!((found[1] - b / (a + b)).abs() < 1e-14, "{x}: {found:?}");
        }
        // Shares of 9 to 1 in place of 1 to 1.
        let given = [("var_smoothing", Value::Integer(0)), ("priors", Value::Text("[0.9, 0.1]".into()))];
        let found = probabilities(&simple(), 2, &given, &[&[4.5]]);
        let (a, b) = (0.9 * density(4.5, 2.0, 1.0), 0.1 * density(4.5, 8.0, 2.0));
        assert!((found[0] - a / (a + b)).abs() < 1e-14);
    }

    #[test]
    fn a_weight_counts_as_that_many_rows() {
        let weighed = Rows { weights: Some(vec![2.0, 1.0, 1.0, 3.0]), ..simple() };
        let repeated =
            Rows::new(vec![vec![1.0, 1.0, 3.0, 6.0, 10.0, 10.0, 10.0]], Target::Classes(vec![0, 0, 0, 1, 1, 1, 1]));
        let none = [("var_smoothing", Value::Integer(0))];
        let at: &[&[f64]] = &[&[0.0, 4.0, 5.0, 20.0]];
        let (left, right) = (probabilities(&weighed, 2, &none, at), probabilities(&repeated, 2, &none, at));
        left.iter().zip(right).for_each(|(l, r)| assert!((l - r).abs() < 1e-14, "{l} {r}"));
    }

    #[test]
    fn constant_and_huge_and_tiny_features_do_no_harm() {
        let features = vec![vec![7.0; 4], vec![1e300, 3e300, 6e300, 10e300], vec![1e-300, 3e-300, 6e-300, 10e-300]];
        let rows = Rows::new(features, Target::Classes(vec![0, 0, 1, 1]));
        let none = [("var_smoothing", Value::Integer(0))];
        let alone = probabilities(&simple(), 2, &none, &[&[4.0, 5.0]]);
        let found = probabilities(&rows, 2, &none, &[&[1e9, f64::NAN], &[4e300, 5e300], &[4e-300, 5e-300]]);
        // Both features say the same, so the odds are squared.
        for (row, alone) in found.chunks(2).zip(alone.chunks(2)) {
            assert!((row[1] / row[0] / (alone[1] / alone[0]).powi(2) - 1.0).abs() < 1e-12, "{row:?}");
        }
        for value in [f64::INFINITY, f64::MAX, f64::NEG_INFINITY, f64::NAN] {
            let row = probabilities(&rows, 2, &[], &[&[value], &[value], &[value]]);
            assert!((row[0] + row[1] - 1.0).abs() < 1e-12, "{row:?}");
        }
    }

    #[test]
    fn a_variance_of_zero_is_an_error_with_a_way_out() {
        let rows = Rows::new(vec![vec![1.0, 1.0, 2.0, 3.0]], Target::Classes(vec![0, 0, 1, 1]));
        let given = parameters(&GaussianNb, &[("var_smoothing", Value::Integer(0))]);
        let workers = crate::train::workers::Workers::new(1).unwrap();
        let error = crate::train::testing::fit_on(&workers, &GaussianNb, &rows, 2, &given).err().unwrap();
        assert_eq!(error.message(), "`x0` is constant in a class: its variance is 0");
        let found = probabilities(&rows, 2, &[], &[&[1.0, 1.1]]);
        assert!(found[0] > 0.999 && found[3] > 0.999, "{found:?}");
    }

    #[test]
    fn shares_are_checked() {
        assert_eq!(written("[0.5, 0.5]", 2).unwrap(), [0.5, 0.5]);
        for text in ["[0.5]", "[0.5, 0.6]", "[1.5, -0.5]", "half", "{\"a\": 1}"] {
            assert!(written(text, 2).is_err(), "{text}");
        }
    }
}
