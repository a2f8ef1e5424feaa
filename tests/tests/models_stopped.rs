//! Every algorithm stopped in the middle, at many points: cancelled, and out of memory.
//!
//! A training is run once to count how often it asks whether to go on and whether it may take memory, and then again for
//! points spread over those questions, each answered with no. It talks to the library, where each point can be hit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use limn_sql_udfs::train::{Request, Split, Trained, Watch, algorithms, train};
use limn_sql_udfs::{Error, ErrorClass as Class, Result};
use limn_tests::{Outcome, ensure, fail};

const ROWS: u32 = 3000;
/// Questions of one kind, spread over all of them, that are answered with no.
const POINTS: usize = 12;
/// Questions that a training asks at least before it is done: several while reading, and some while learning.
const QUESTIONS_MIN: usize = 3;

/// Counts questions, and says no to one of them.
#[derive(Default)]
struct Stop {
    asked: AtomicUsize,
    reserved: AtomicUsize,
    cancel_at: Option<usize>,
    refuse_at: Option<usize>,
}

impl Watch for Stop {
    fn cancelled(&self) -> bool {
        // Once cancelled, always cancelled.
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        self.cancel_at.is_some_and(|at| number >= at)
    }

    fn progress(&self, _done: f64) {}

    fn reserve(&self, _bytes: usize) -> Result<()> {
        match self.refuse_at {
            Some(at) if self.reserved.fetch_add(1, Ordering::Relaxed) == at => {
                Err(Error::exhausted("the pool is empty"))
            }
            Some(_) => Ok(()),
            None => {
                self.reserved.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    fn threads(&self) -> usize {
        2
    }
}

/// Two features, a number and two classes.
fn rows(target: Option<&str>) -> Outcome<RecordBatch> {
    let a = |i: u32| f64::from(i * 7 % 101) / 10.0;
    let b = |i: u32| f64::from(i * 13 % 97) / 10.0;
    let numbers =
        |value: &dyn Fn(u32) -> f64| Arc::new(Float64Array::from_iter_values((0..ROWS).map(value))) as ArrayRef;
    let mut columns = vec![("a", numbers(&a)), ("b", numbers(&b))];
    match target {
        Some("y") => columns.push(("y", numbers(&|i| 1.0 + a(i) + (b(i) - 4.0).abs()))),
        Some(name) => {
            let classes = (0..ROWS).map(|i| if a(i) + f64::from(i % 3) > b(i) { "yes" } else { "no" });
            columns.push((name, Arc::new(StringArray::from_iter_values(classes))));
        }
        None => {}
    }
    Ok(RecordBatch::try_from_iter(columns)?)
}

fn learn(algorithm: &str, target: Option<&str>, stop: &Stop) -> Outcome<Result<Trained>> {
    let request = Request {
        algorithm: Some(algorithm.into()),
        parameters: Vec::new(),
        target: target.map(ToOwned::to_owned),
        split: Split::Random(0.2),
        seed: 1,
        partition: None,
    };
    let batch = rows(target)?;
    Ok(train(&request, &batch.schema(), vec![batch], stop))
}

/// Points spread over so many questions, the first and the last among them.
fn points(questions: usize) -> impl Iterator<Item = usize> {
    let count = questions.min(POINTS);
    (0..count).map(move |at| at * (questions - 1) / (count - 1).max(1))
}

#[test]
fn every_algorithm_stops_wherever_it_is_told_to() -> Outcome {
    for algorithm in algorithms() {
        let name = algorithm.name;
        let mut learned = 0;
        for target in [Some("y"), Some("label"), None] {
            let whole = Stop::default();
            let trained = match learn(name, target, &whole)? {
                Ok(trained) => trained,
                Err(error) if error.class() == Class::Input && error.to_string().contains("target") => continue,
                Err(error) => return Err(fail(format!("{name} of {target:?}: {error}"))),
            };
            learned += 1;
            let (asked, reserved) = (whole.asked.into_inner(), whole.reserved.into_inner());
            println!("{name} of {target:?}: asks {asked} times whether to go on, {reserved} times for memory");
            ensure(asked >= QUESTIONS_MIN, || format!("{name}: expected {QUESTIONS_MIN} questions, found {asked}"))?;
            for at in points(asked) {
                let stopped = learn(name, target, &Stop { cancel_at: Some(at), ..Stop::default() })?;
                is(stopped, Class::Cancelled, || {
                    format!("{name} of {target:?}, cancelled at question {at} of {asked}")
                })?;
            }
            for at in points(reserved) {
                let stopped = learn(name, target, &Stop { refuse_at: Some(at), ..Stop::default() })?;
                is(stopped, Class::Exhausted, || {
                    format!("{name} of {target:?}, without memory at {at} of {reserved}")
                })?;
            }
            let again = learn(name, target, &Stop::default())?.map_err(fail)?;
            ensure(again.artifact == trained.artifact, || format!("{name}: other bytes after trainings that stopped"))?;
        }
        ensure(learned > 0, || format!("expected a target that {name} learns, found none"))?;
    }
    Ok(())
}

fn is(found: Result<Trained>, expected: Class, what: impl FnOnce() -> String) -> Outcome {
    match found {
        Err(error) if error.class() == expected => Ok(()),
        Err(error) => Err(fail(format!("{}: expected {expected:?}, found {:?}: {error}", what(), error.class()))),
        Ok(_) => Err(fail(format!("{}: expected {expected:?}, found a model", what()))),
    }
}
