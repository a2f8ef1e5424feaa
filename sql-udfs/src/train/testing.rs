//! What the unit tests of algorithms share: a watch that allows everything, and a fit without tables.

use super::algorithm::{Algorithm, Context, Fitted};
use super::parameter::{Parameters, Specification};
use super::rows::Rows;
use super::workers::Workers;
use super::{Value, Watch};
use crate::Result;
use crate::model::signature::{Task, ValueType};

/// Never cancels, always has memory.
pub(crate) struct Patient;

impl Watch for Patient {
    fn cancelled(&self) -> bool {
        false
    }

    fn progress(&self, done: f64) {
        assert!((0.0..=1.0).contains(&done), "{done}");
    }

    fn reserve(&self, _bytes: usize) -> Result<()> {
        Ok(())
    }
}

/// Computes on so many threads.
pub(crate) struct Threads(pub usize);

impl Watch for Threads {
    fn cancelled(&self) -> bool {
        false
    }

    fn progress(&self, _done: f64) {}

    fn reserve(&self, _bytes: usize) -> Result<()> {
        Ok(())
    }

    fn threads(&self) -> usize {
        self.0
    }
}

/// The parameters with the given ones replaced.
pub(crate) fn parameters(algorithm: &dyn Algorithm, given: &[(&str, Value)]) -> Parameters {
    let given: Vec<(String, Value)> = given.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Parameters::resolve(algorithm.name(), algorithm.parameters(), &given).unwrap()
}

/// Fits.
pub(crate) fn fit(algorithm: &dyn Algorithm, rows: &Rows, classes: usize, parameters: &Parameters) -> Fitted {
    fit_on(&Workers::new(1).unwrap(), algorithm, rows, classes, parameters).unwrap()
}

/// Fits on some threads.
pub(crate) fn fit_on(
    workers: &Workers,
    algorithm: &dyn Algorithm,
    rows: &Rows,
    classes: usize,
    parameters: &Parameters,
) -> Result<Fitted> {
    let columns: Vec<String> = (0..rows.features.len()).map(|i| format!("x{i}")).collect();
    algorithm.fit(rows, &Context { parameters, classes, seed: 0, columns: &columns, workers, watch: &Patient })
}

/// What needs a context and no parameters.
pub(crate) fn with_context<T>(work: impl FnOnce(&Context<'_>) -> T) -> T {
    let parameters = Parameters::resolve("", &[], &[]).unwrap();
    let workers = Workers::new(1).unwrap();
    work(&Context { parameters: &parameters, classes: 0, seed: 0, columns: &[], workers: &workers, watch: &Patient })
}

/// A linear regression that panics where the first row has an `x` of 100 or more.
pub(crate) struct Fragile;

impl Algorithm for Fragile {
    fn name(&self) -> &'static str {
        "fragile"
    }
    fn doc(&self) -> &'static str {
        "breaks"
    }
    fn parameters(&self) -> &'static [Specification] {
        &[]
    }
    fn task(&self, _target: ValueType, _parameters: &Parameters) -> std::result::Result<Task, &'static str> {
        Ok(Task::Regression)
    }
    fn fit(&self, rows: &Rows, context: &Context<'_>) -> Result<Fitted> {
        assert!(rows.features[0][0] < 100.0, "a library broke");
        super::linear_regression::LinearRegression.fit(rows, context)
    }
}
