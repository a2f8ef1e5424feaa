//! `poisson_regression`, `gamma_regression` and `tweedie_regression`: counts and amounts, whose spread grows with their
//! mean.
//!
//! The objective is scikit-learn's, half the mean deviance plus `½ alpha |w|²` in the features' own units with a free
//! intercept. The target is first divided by a power of two near its mean, so that neither the deviance nor the point at
//! which a fit has converged depends on the target's unit.

mod loss;

use self::loss::Deviance;
use super::Value;
use super::algorithm::{Algorithm, Context, Fitted};
use super::least_squares::finite;
use super::linear_regression::{FIT_INTERCEPT, regression};
use super::logistic_regression::{MAX_ITER, TOL};
use super::minimise::{Patience, minimise};
use super::parameter::{Default, Kind, MISSING_MEAN, Parameters, SAMPLE_WEIGHT, Specification};
use super::rows::Rows;
use super::sums::{Penalty, Problem};
use crate::model::linear::Link;
use crate::model::signature::{Task, ValueType};
use crate::{Error, Result};

/// The variance is the mean.
pub(crate) struct PoissonRegression;

/// The variance is the mean squared.
pub(crate) struct GammaRegression;

/// The variance is a power of the mean.
pub(crate) struct TweedieRegression;

const ALPHA: Specification = Specification {
    name: "alpha",
    kind: Kind::DoubleFrom(0.0),
    default: Default::Double(1.0),
    doc: "what half the sum of squared weights is multiplied by, beside half the mean deviance",
};

const POWER: Specification = Specification {
    name: "power",
    kind: Kind::DoubleBetween(0.0, 3.0),
    default: Default::Double(0.0),
    doc: "the power of the mean that the variance goes with: 0 (normal), 1 (Poisson), between 1 and 2, 2 (gamma), up to \
          3 (inverse Gaussian)",
};

const LINK: Specification = Specification {
    name: "link",
    kind: Kind::Choice(&["auto", "identity", "log"]),
    default: Default::Text("auto"),
    doc: "what of the mean is a weighted sum: itself or its logarithm; 'auto' is itself for power 0, else its logarithm",
};

static ONE_POWER: &[Specification] = &[ALPHA, FIT_INTERCEPT, MAX_ITER, TOL, SAMPLE_WEIGHT, MISSING_MEAN];

static ANY_POWER: &[Specification] = &[POWER, LINK, ALPHA, FIT_INTERCEPT, MAX_ITER, TOL, SAMPLE_WEIGHT, MISSING_MEAN];

impl Algorithm for PoissonRegression {
    fn name(&self) -> &'static str {
        "poisson_regression"
    }

    fn doc(&self) -> &'static str {
        "counts: the logarithm of the mean is a weighted sum of the features, the variance is the mean"
    }

    fn parameters(&self) -> &'static [Specification] {
        ONE_POWER
    }

    fn task(&self, target: ValueType, _parameters: &Parameters) -> std::result::Result<Task, &'static str> {
        regression(target)
    }

    fn fit(&self, rows: &Rows, context: &Context<'_>) -> Result<Fitted> {
        fit(self.name(), rows, 1.0, true, context)
    }
}

impl Algorithm for GammaRegression {
    fn name(&self) -> &'static str {
        "gamma_regression"
    }

    fn doc(&self) -> &'static str {
        "amounts: the logarithm of the mean is a weighted sum of the features, the variance is the mean squared"
    }

    fn parameters(&self) -> &'static [Specification] {
        ONE_POWER
    }

    fn task(&self, target: ValueType, _parameters: &Parameters) -> std::result::Result<Task, &'static str> {
        regression(target)
    }

    fn fit(&self, rows: &Rows, context: &Context<'_>) -> Result<Fitted> {
        fit(self.name(), rows, 2.0, true, context)
    }
}

impl Algorithm for TweedieRegression {
    fn name(&self) -> &'static str {
        "tweedie_regression"
    }

    fn doc(&self) -> &'static str {
        "numbers whose variance is a power of their mean, of which a weighted sum is the logarithm or the mean itself"
    }

    fn parameters(&self) -> &'static [Specification] {
        ANY_POWER
    }

    fn task(&self, target: ValueType, _parameters: &Parameters) -> std::result::Result<Task, &'static str> {
        regression(target)
    }

    fn settle(&self, parameters: &mut Parameters, _task: Task) -> Result<()> {
        let power = parameters.double(POWER.name);
        match power > 0.0 && power < 1.0 {
            // No distribution has a variance that goes with such a power.
            true => Err(Error::input(format!(
                "parameter `power` of tweedie_regression: expected 0 or a number from 1 to 3, found {power:?}"
            ))),
            false => {
                parameters.replace(LINK.name, "auto", Value::Text(link(power, "auto").to_owned()));
                Ok(())
            }
        }
    }

    fn fit(&self, rows: &Rows, context: &Context<'_>) -> Result<Fitted> {
        let power = context.parameters.double(POWER.name);
        let log = link(power, context.parameters.text(LINK.name).unwrap_or("auto")) == "log";
        fit(self.name(), rows, power, log, context)
    }
}

fn link(power: f64, given: &str) -> &str {
    match given {
        "auto" if power == 0.0 => "identity",
        "auto" => "log",
        given => given,
    }
}

fn fit(name: &str, rows: &Rows, power: f64, log: bool, context: &Context<'_>) -> Result<Fitted> {
    let target = rows.target.numbers()?;
    check(name, target, power)?;
    let parameters = context.parameters;
    let mean = weighted_mean(target, rows.weights.as_deref(), f64::abs);
    // Without a constant term a logarithm cannot make up for another unit.
    let constant = parameters.boolean(FIT_INTERCEPT.name);
    let unit = if constant || !log { libm::ldexp(1.0, libm::ilogb(mean).clamp(-1000, 1000)) } else { 1.0 };
    let deviance = Deviance { target, per_unit: 1.0 / unit, power, log };
    // In the unit of the target the deviance is this much greater, and so the penalty's share less.
    let deviance_unit = libm::pow(unit, 2.0 - power);
    let alpha = match parameters.double(ALPHA.name) {
        alpha if alpha > 0.0 && log => alpha / deviance_unit,
        alpha if alpha > 0.0 => alpha * libm::pow(unit, power),
        _ => 0.0,
    };
    let typical = weighted_mean(target, rows.weights.as_deref(), |value| value / unit);
    let start = match log {
        true => libm::log(typical),
        false => typical,
    };
    if !start.is_finite() {
        return Err(Error::input(format!(
            "{name} with a logarithmic link expects a target whose mean is above 0, found a mean of {}",
            typical * unit
        )));
    }
    let intercept = constant.then_some(start);
    if intercept.is_none() && !log && power > 0.0 {
        return Err(Error::input(format!(
            "parameter `fit_intercept` of {name}: expected TRUE beside link = 'identity' and a power above 0, found FALSE"
        ))
        .with_hint("without a constant term the mean could not be above 0 in every row to begin with"));
    }
    let penalty = Penalty { squared: alpha, absolute: 0.0 };
    let problem = Problem::new(rows, deviance, intercept, penalty, context)?;
    let patience = Patience {
        iterations_max: parameters.integer(MAX_ITER.name).unwrap_or(usize::MAX),
        tolerance: parameters.double(TOL.name),
    };
    let minimum = minimise(&problem, patience, context)?;
    let mut model = problem.model(&minimum.at, if log { Link::Exp } else { Link::Identity });
    match log {
        true if constant => model.intercepts.iter_mut().for_each(|i| *i += libm::log(unit)),
        true => {}
        false => model.weights.iter_mut().flatten().chain(&mut model.intercepts).for_each(|w| *w *= unit),
    }
    Ok(Fitted { kernel: Box::new(finite(model)?), metrics: minimum.metrics(deviance_unit) })
}

fn check(name: &str, target: &[f64], power: f64) -> Result<()> {
    let (least, expected) = match power {
        power if power >= 2.0 => (f64::from_bits(1), "above 0"),
        power if power >= 1.0 => (0.0, "of at least 0"),
        _ => return Ok(()),
    };
    match target.iter().find(|value| **value < least) {
        None => Ok(()),
        Some(odd) => Err(Error::input(format!("{name} expects a target {expected}, found the value {odd}"))
            .with_hint("leave out such rows with WHERE, or use linear_regression")),
    }
}

fn weighted_mean(values: &[f64], weights: Option<&[f64]>, of: impl Fn(f64) -> f64) -> f64 {
    let weight = |row: usize| weights.map_or(1.0, |weights| weights[row]);
    let total: f64 = weights.map_or(values.len() as f64, |weights| weights.iter().sum());
    // Shares first: a sum of the values might leave the range of floats.
    values.iter().enumerate().map(|(row, value)| of(*value) * (weight(row) / total)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kernel::Kernel;
    use crate::train::random::uniform;
    use crate::train::target::Target;
    use crate::train::testing::{fit_on, parameters};
    use crate::train::workers::Workers;

    /// Two features and a target above 0 that goes with them, in some unit.
    fn rows(unit: f64, whole: bool) -> Rows {
        let n = 200;
        let a: Vec<f64> = (0..n).map(|i| 4.0 * uniform(1, i)).collect();
        let b: Vec<f64> = (0..n).map(|i| 1e6 + 10.0 * uniform(2, i)).collect();
        let mean = |i: usize| (0.4 * a[i] - 0.1 * (b[i] - 1e6)).exp() * (0.2 + 2.0 * uniform(3, i as u64));
        let target = (0..n as usize).map(|i| unit * if whole { mean(i).floor() } else { mean(i) }).collect();
        Rows::new(vec![a, b], Target::Numbers(target))
    }

    fn kernel(algorithm: &dyn Algorithm, rows: &Rows, given: &[(&str, Value)]) -> Result<Fitted> {
        let mut parameters = parameters(algorithm, given);
        algorithm.settle(&mut parameters, Task::Regression)?;
        fit_on(&Workers::new(2).unwrap(), algorithm, rows, 0, &parameters)
    }

    fn predicted(kernel: &dyn Kernel, columns: &[Vec<f64>]) -> Vec<f64> {
        let mut out = vec![0.0; columns[0].len()];
        kernel.score(&columns.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut out);
        out
    }

    /// The weights, by the predictions one step aside.
    fn weights(kernel: &dyn Kernel, log: bool) -> Vec<f64> {
        let sum = |a: f64, b: f64| {
            let mean = predicted(kernel, &[vec![a], vec![b]])[0];
            if log { mean.ln() } else { mean }
        };
        let origin = sum(1.0, 1e6);
        vec![sum(2.0, 1e6) - origin, sum(1.0, 1e6 + 1.0) - origin]
    }

    /// The gradient of the objective, from its definition: the mean of (mean - y) / mean^power · d mean / d w, and alpha w.
    fn check(algorithm: &dyn Algorithm, rows: &Rows, power: f64, log: bool, alpha: f64, given: &[(&str, Value)]) {
        let fitted = kernel(algorithm, rows, given).unwrap();
        let converged = fitted.metrics.iter().find(|m| m.name == "converged").unwrap().value;
        assert_eq!(converged, 1.0, "{power} {log}: {:?}", fitted.metrics);
        let means = predicted(fitted.kernel.as_ref(), &rows.features);
        let target = rows.target.numbers().unwrap();
        let total: f64 = (0..rows.len()).map(|row| rows.weight(row)).sum();
        let part = |x: &dyn Fn(usize) -> f64| {
            let of_row = |i: usize| {
                let inner = if log { means[i] } else { 1.0 };
                rows.weight(i) * (means[i] - target[i]) / means[i].powf(power) * inner * x(i)
            };
            (0..rows.len()).map(of_row).sum::<f64>() / total
        };
        let typical = target.iter().sum::<f64>() / rows.len() as f64;
        let unit = typical.powf(if log { 2.0 - power } else { 1.0 - power });
        assert!(part(&|_| 1.0).abs() < 1e-7 * unit, "{power} {log}: {}", part(&|_| 1.0) / unit);
        for ((column, weight), centre) in rows.features.iter().zip(weights(fitted.kernel.as_ref(), log)).zip([2.0, 1e6])
        {
            let gradient = part(&|i| column[i] - centre) + alpha * weight;
            assert!(gradient.abs() < 1e-6 * unit.max(alpha * weight.abs()), "{power} {log}: {gradient} {weight}");
        }
    }

    #[test]
    fn the_gradient_of_the_objective_vanishes_at_the_fit() {
        for alpha in [0.0, 0.01, 1.0] {
            let given = [("alpha", Value::Double(alpha))];
            check(&PoissonRegression, &rows(1.0, true), 1.0, true, alpha, &given);
            check(&GammaRegression, &rows(1.0, false), 2.0, true, alpha, &given);
            let weighted = Rows { weights: Some((0..200).map(|i| f64::from(i % 3)).collect()), ..rows(1.0, true) };
            check(&PoissonRegression, &weighted, 1.0, true, alpha, &given);
            for (power, link) in
                [(0.0, "auto"), (0.0, "log"), (1.0, "identity"), (1.5, "auto"), (2.0, "identity"), (3.0, "log")]
            {
                let given = [given[0].clone(), ("power", Value::Double(power)), ("link", Value::Text(link.into()))];
                let log = link == "log" || link == "auto" && power > 0.0;
                // An inverse Gaussian's expected curvature is not its own: steps are many.
                let given = [&given[..], &[("max_iter", Value::Integer(5000))]].concat();
                check(&TweedieRegression, &rows(1.0, false), power, log, alpha, &given);
            }
        }
    }

    #[test]
    fn the_unit_of_the_target_does_not_matter_to_an_unpenalised_fit() {
        let expected = weights(
            kernel(&GammaRegression, &rows(1.0, false), &[("alpha", Value::Integer(0))]).unwrap().kernel.as_ref(),
            true,
        );
        for unit in [1e-300, 1e-9, 1e12, 1e295] {
            for algorithm in [&GammaRegression as &dyn Algorithm, &PoissonRegression] {
                let fitted = kernel(algorithm, &rows(unit, false), &[("alpha", Value::Integer(0))]).unwrap();
                assert_eq!(fitted.metrics[0].value, 1.0, "{unit}");
                let found = weights(fitted.kernel.as_ref(), true);
                assert!(found.iter().all(|weight| weight.is_finite()), "{unit}: {found:?}");
                if algorithm.name() == "gamma_regression" {
                    assert!((found[0] - expected[0]).abs() < 1e-6, "{unit}: {found:?} {expected:?}");
                }
            }
        }
    }

    #[test]
    fn targets_outside_the_distribution_are_refused_by_value() {
        let rows = |odd: f64| Rows::new(vec![vec![1.0, 2.0, 3.0]], Target::Numbers(vec![1.0, 2.0, odd]));
        let refused = |algorithm: &dyn Algorithm, odd: f64, given: &[(&str, Value)]| {
            kernel(algorithm, &rows(odd), given).err().map(|error| error.message().to_owned())
        };
        let text = "poisson_regression expects a target of at least 0, found the value -1";
        assert_eq!(refused(&PoissonRegression, -1.0, &[]).as_deref(), Some(text));
        assert_eq!(refused(&PoissonRegression, 0.0, &[]), None);
        let text = "gamma_regression expects a target above 0, found the value 0";
        assert_eq!(refused(&GammaRegression, 0.0, &[]).as_deref(), Some(text));
        assert_eq!(refused(&TweedieRegression, -1.0, &[]), None);
        let power = [("power", Value::Double(0.5))];
        let text = "parameter `power` of tweedie_regression: expected 0 or a number from 1 to 3, found 0.5";
        assert_eq!(refused(&TweedieRegression, 3.0, &power).as_deref(), Some(text));
        let negative = [("link", Value::Text("log".into()))];
        assert!(refused(&TweedieRegression, -9.0, &negative).unwrap().contains("mean is above 0"));
    }

    #[test]
    fn constant_and_dependent_features_do_no_harm() {
        let mut rows = rows(1.0, true);
        rows.features.push(rows.features[0].clone());
        rows.features.push(vec![5.0; 200]);
        let fitted = kernel(&PoissonRegression, &rows, &[("alpha", Value::Integer(0))]).unwrap();
        assert_eq!(fitted.metrics[0].value, 1.0);
        let sum =
            |a: f64, c: f64, d: f64| predicted(fitted.kernel.as_ref(), &[vec![a], vec![1e6], vec![c], vec![d]])[0].ln();
        // The two equal features share their weight; the constant one has none.
        assert!((sum(2.0, 1.0, 5.0) - sum(1.0, 2.0, 5.0)).abs() < 1e-9);
        assert_eq!(sum(1.0, 1.0, 5.0), sum(1.0, 1.0, 500.0));
    }
}
