//! `svm`: classes or numbers by support vectors, for thousands of rows.
//!
//! scikit-learn's `SVC` and `SVR`: the same objective, the same stopping rule, a machine for each pair of classes. Time and
//! memory grow with the square of the rows, so there is a limit to them. Features are not standardised, which is the
//! query's to do.

mod gram;
mod smo;

use super::Value;
use super::algorithm::{Algorithm, Context, Fitted};
use super::parameter::{CLASS_WEIGHT, Default, Kind, MISSING_MEAN, Parameters, SAMPLE_WEIGHT, Specification};
use super::points::{Points, Scaling, progress};
use super::rows::Rows;
use super::target::Target;
use crate::limits::{SVM_CACHE_BYTES_MAX, SVM_COEFFICIENTS_MAX, SVM_ROWS_MAX};
use crate::model::filled::FAR;
use crate::model::signature::{Task, ValueType};
use crate::model::svm::{DEGREE_MAX, Function, Svm as Model, pairs};
use crate::{Error, Result};

use self::gram::Gram;
use self::smo::{Problem, Solution, Variable};

/// The algorithm.
pub(crate) struct Svm;

const REGRESSION: &str = "regression";
const CLASSIFICATION: &str = "classification";

static PARAMETERS: &[Specification] = &[
    Specification {
        name: "c",
        kind: Kind::DoubleAbove(0.0),
        default: Default::Double(1.0),
        doc: "the weight of errors against the width of the margin",
    },
    Specification {
        name: "kernel",
        kind: Kind::Choice(&["rbf", "linear", "poly", "sigmoid"]),
        default: Default::Text("rbf"),
        doc: "how alike two rows are: exp(-gamma · distance²), the product, its power, or its hyperbolic tangent",
    },
    Specification {
        name: "gamma",
        kind: Kind::AboveOrChoice(0.0, &["scale", "auto"]),
        default: Default::Text("scale"),
        doc: "the factor of rbf, poly and sigmoid: 'scale' for 1 / (features · variance), 'auto' for 1 / features",
    },
    Specification {
        name: "degree",
        kind: Kind::Integer(0, DEGREE_MAX as i64),
        default: Default::Integer(3),
        doc: "the power of poly",
    },
    Specification {
        name: "coef0",
        kind: Kind::DoubleBetween(-1e100, 1e100),
        default: Default::Double(0.0),
        doc: "the constant of poly and sigmoid",
    },
    Specification {
        name: "epsilon",
        kind: Kind::DoubleFrom(0.0),
        default: Default::Double(0.1),
        doc: "errors up to it do not count; of a regression",
    },
    Specification {
        name: "tol",
        kind: Kind::DoubleAbove(0.0),
        default: Default::Double(1e-3),
        doc: "the fit has converged when no pair of rows violates the optimum's conditions by more",
    },
    Specification {
        name: "max_iter",
        kind: Kind::Integer(-1, i64::MAX),
        default: Default::Integer(-1),
        doc: "steps after which a machine stops, converged or not; -1 for a hundred times its rows, ten million at least",
    },
    Specification {
        name: "task",
        kind: Kind::Choice(&[REGRESSION, CLASSIFICATION]),
        default: Default::Null,
        doc: "what to learn; NULL for regression of a DOUBLE target and classification of any other",
    },
    SAMPLE_WEIGHT,
    CLASS_WEIGHT,
    MISSING_MEAN,
];

impl Algorithm for Svm {
    fn name(&self) -> &'static str {
        "svm"
    }

    fn doc(&self) -> &'static str {
        "classes or numbers by support vectors, for thousands of rows"
    }

    fn parameters(&self) -> &'static [Specification] {
        PARAMETERS
    }

    fn task(&self, target: ValueType, parameters: &Parameters) -> std::result::Result<Task, &'static str> {
        use ValueType::{BigInt, Boolean, Double, Text};
        match (parameters.text("task"), target) {
            (Some(REGRESSION), Double | BigInt) | (None, Double) => Ok(Task::Regression),
            (Some(REGRESSION), _) => Err("a number for task 'regression'"),
            (Some(_) | None, Boolean | Text | BigInt) => Ok(Task::Classification),
            (Some(_), _) => Err("BOOLEAN, TEXT or BIGINT for task 'classification'"),
            (None, _) => Err("a number, BOOLEAN or TEXT"),
        }
    }

    fn settle(&self, parameters: &mut Parameters, task: Task) -> Result<()> {
        let name = if task == Task::Classification { CLASSIFICATION } else { REGRESSION };
        parameters.settle("task", Value::Text(name.to_owned()));
        Ok(())
    }

    fn fit(&self, rows: &Rows, context: &Context<'_>) -> Result<Fitted> {
        if rows.len() > SVM_ROWS_MAX {
            return Err(Error::exhausted(format!(
                "expected at most {SVM_ROWS_MAX} training rows for svm, found {}",
                rows.len()
            ))
            .with_hint("train on a sample, or by gradient_boosting, random_forest or logistic_regression"));
        }
        let points = Points::new(rows, Scaling::All, context)?;
        let function = function(&points, context)?;
        let machines = match &rows.target {
            Target::Numbers(target) => vec![of_numbers(rows, target, &points, function, context)?],
            Target::Classes(codes) => of_pairs(rows, codes, &points, function, context)?,
            Target::None(_) => return Err(Error::internal("expected a target, found none")),
        };
        let converged = machines.iter().all(|machine| machine.solution.converged);
        let iterations: usize = machines.iter().map(|machine| machine.solution.iterations).sum();
        let (model, vectors) = model(&machines, points, function, context)?;
        let metrics = vec![
            ("support_vectors", vectors as f64),
            ("iterations", iterations as f64),
            ("converged", if converged { 1.0 } else { 0.0 }),
        ];
        Ok(Fitted::new(model, metrics))
    }
}

/// The function of scaled points that is the one asked for of the points themselves.
fn function(points: &Points, context: &Context<'_>) -> Result<Function> {
    let parameters = context.parameters;
    let (width, scale) = (points.width() as f64, points.scale());
    let gamma = match (parameters.number("gamma"), parameters.text("gamma")) {
        (Some(gamma), _) => gamma / scale / scale,
        (None, Some("auto")) => 1.0 / width / scale / scale,
        _ => match variance(points) {
            0.0 => 1.0 / scale / scale,
            variance => 1.0 / (width * variance),
        },
    };
    let coef0 = parameters.double("coef0");
    let function = match parameters.text("kernel") {
        Some("linear") => Function::Polynomial { gamma: 1.0 / scale / scale, coef0: 0.0, degree: 1 },
        Some("poly") => Function::Polynomial { gamma, coef0, degree: parameters.integer("degree").unwrap_or(3) as u32 },
        Some("sigmoid") => Function::Sigmoid { gamma, coef0 },
        // Beyond this, points that differ are as unlike as they can be.
        _ => Function::Rbf { gamma: gamma.min(FAR) },
    };
    let far = match function {
        Function::Polynomial { gamma, .. } | Function::Sigmoid { gamma, .. } => gamma > FAR,
        Function::Linear | Function::Rbf { .. } => false,
    };
    match far {
        false => Ok(function),
        true => Err(Error::input("the products of rows are beyond the range of numbers")
            .with_hint("divide the features by their size, or choose the kernel 'rbf'")),
    }
}

/// The variance of all numbers of all points around their one mean.
fn variance(points: &Points) -> f64 {
    let count = points.values().len() as f64;
    let width = points.width();
    let sum = |of: &dyn Fn(f64) -> f64| {
        let blocks = (0..points.blocks()).map(|block| points.block(block));
        let of_block = |rows: std::ops::Range<usize>| -> f64 {
            points.values()[rows.start * width..rows.end * width].iter().map(|value| of(*value)).sum()
        };
        blocks.map(of_block).sum::<f64>()
    };
    let rough = sum(&|value| value) / count;
    let mean = rough + sum(&|value| value - rough) / count;
    sum(&|value| (value - mean) * (value - mean)) / count
}

/// A machine: rows with their weights in its sum.
struct Machine {
    rows: Vec<u32>,
    solution: Solution,
}

fn of_numbers(
    rows: &Rows,
    target: &[f64],
    points: &Points,
    function: Function,
    context: &Context<'_>,
) -> Result<Machine> {
    let parameters = context.parameters;
    let (c, epsilon) = (parameters.double("c"), parameters.double("epsilon"));
    let used: Vec<u32> = (0..rows.len() as u32).filter(|row| rows.weight(*row as usize) > 0.0).collect();
    let one_sided = |sign: f64| {
        used.iter().enumerate().map(move |(at, row)| Variable {
            point: at,
            sign,
            slope: epsilon - sign * target[*row as usize],
            bound: (c * rows.weight(*row as usize)).min(FAR),
        })
    };
    let variables = one_sided(1.0).chain(one_sided(-1.0)).collect();
    let gram = Gram::new(points, &used, function, SVM_CACHE_BYTES_MAX, Some(context.workers));
    context.watch.reserve(gram.bytes_max() + used.len() * 2 * VARIABLE_BYTES)?;
    let solution = solve(gram, variables, context)?;
    Ok(Machine { rows: used, solution })
}

/// What is kept of a variable beside the cache.
const VARIABLE_BYTES: usize = size_of::<Variable>() + 3 * size_of::<f64>();

/// A machine for each pair of classes, in which the first is above 0.
fn of_pairs(
    rows: &Rows,
    codes: &[u32],
    points: &Points,
    function: Function,
    context: &Context<'_>,
) -> Result<Vec<Machine>> {
    let c = context.parameters.double("c");
    let pairs: Vec<(usize, usize)> = pairs(context.classes).collect();
    let alone = pairs.len() == 1;
    // How much each machine remembers decides how long it takes, and nothing else.
    let bytes_max = if alone { SVM_CACHE_BYTES_MAX } else { SVM_CACHE_BYTES_MAX / context.workers.threads().max(1) };
    let all = rows.len() * rows.len() * size_of::<f64>();
    context.watch.reserve(all.min(SVM_CACHE_BYTES_MAX) + 2 * rows.len() * VARIABLE_BYTES)?;
    let done = std::sync::atomic::AtomicUsize::new(0);
    let work = |number: usize| {
        let (first, second) = pairs[number];
        let of_pair = |row: &u32| [first, second].contains(&(codes[*row as usize] as usize));
        let used: Vec<u32> =
            (0..rows.len() as u32).filter(|row| of_pair(row) && rows.weight(*row as usize) > 0.0).collect();
        let variable = |(at, row): (usize, &u32)| Variable {
            point: at,
            sign: if codes[*row as usize] as usize == first { 1.0 } else { -1.0 },
            slope: -1.0,
            bound: (c * rows.weight(*row as usize)).min(FAR),
        };
        let variables = used.iter().enumerate().map(variable).collect();
        let gram = Gram::new(points, &used, function, bytes_max, alone.then_some(context.workers));
        let solution = solve(gram, variables, context)?;
        let before = done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        progress(context, (before + 1) as f64 / pairs.len() as f64);
        Ok(Machine { rows: used, solution })
    };
    match alone {
        true => Ok(vec![work(0)?]),
        false => context.workers.try_map(pairs.len(), work),
    }
}

fn solve(gram: Gram<'_>, variables: Vec<Variable>, context: &Context<'_>) -> Result<Solution> {
    let tolerance = context.parameters.double("tol");
    let iterations_max = context.parameters.integer("max_iter").unwrap_or((100 * variables.len()).max(10_000_000));
    smo::solve(Problem { gram, variables, tolerance, iterations_max }, context)
}

/// The model of all machines: the rows that have a weight in one of them, or the first row with none.
fn model(machines: &[Machine], points: Points, function: Function, context: &Context<'_>) -> Result<(Model, usize)> {
    let mut used = vec![false; points.len()];
    for machine in machines {
        let weighed = machine.rows.iter().zip(&machine.solution.weights).filter(|(_, weight)| **weight != 0.0);
        weighed.for_each(|(row, _)| used[*row as usize] = true);
    }
    let count = used.iter().filter(|used| **used).count();
    if count == 0 {
        used[0] = true;
    }
    let mut place = vec![0; points.len()];
    let vectors: Vec<usize> = (0..points.len()).filter(|row| used[*row]).collect();
    vectors.iter().enumerate().for_each(|(at, row)| place[*row] = at);
    if vectors.len() * machines.len() > SVM_COEFFICIENTS_MAX {
        return Err(Error::exhausted(format!(
            "expected at most {SVM_COEFFICIENTS_MAX} weights of support vectors in an svm, found {} for each of {} pairs of \
             classes",
            vectors.len(),
            machines.len()
        ))
        .with_hint("train on fewer rows or classes, or by gradient_boosting"));
    }
    context.watch.reserve(vectors.len() * (machines.len() + points.width()) * size_of::<f64>())?;
    let mut coefficients = vec![0.0; vectors.len() * machines.len()];
    for (number, machine) in machines.iter().enumerate() {
        for (row, weight) in machine.rows.iter().zip(&machine.solution.weights).filter(|(_, weight)| **weight != 0.0) {
            coefficients[place[*row as usize] * machines.len() + number] = *weight;
        }
    }
    let vectors: Vec<f64> = vectors.iter().flat_map(|row| points.row(*row).iter().copied()).collect();
    let offsets = machines.iter().map(|machine| -machine.solution.rho).collect();
    let model = Model { filled: points.filled, vectors, coefficients, offsets, function, classes: context.classes };
    let linear = context.parameters.text("kernel") == Some("linear");
    Ok((if linear { flatten(model)? } else { model }, count))
}

/// Sums of products are products with a sum: a linear machine needs one vector.
fn flatten(model: Model) -> Result<Model> {
    let (width, sums) = (model.filled.width(), model.offsets.len());
    let Function::Polynomial { gamma, .. } = model.function else { return Ok(model) };
    let mut vectors = vec![0.0; sums * width];
    for (vector, coefficients) in model.vectors.chunks_exact(width).zip(model.coefficients.chunks_exact(sums)) {
        for (sum, coefficient) in vectors.chunks_exact_mut(width).zip(coefficients).filter(|(_, c)| **c != 0.0) {
            sum.iter_mut().zip(vector).for_each(|(sum, value)| *sum += coefficient * value * gamma);
        }
    }
    if vectors.iter().any(|value| value.is_nan() || value.abs() > FAR) {
        return Err(Error::input("the weights of the linear machine are beyond the range of numbers")
            .with_hint("divide the features by their size"));
    }
    let coefficients = (0..sums * sums).map(|at| f64::from(at % sums == at / sums)).collect();
    Ok(Model { vectors, coefficients, function: Function::Linear, ..model })
}

#[cfg(test)]
mod tests;
