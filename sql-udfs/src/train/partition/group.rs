//! The fit of one group, which may fail without harm to the others.
//!
//! A group's rows are taken from the columns of all, checked as a training of their own would check them, and fitted on
//! one thread. A panic in a fit is caught; a cancellation, and memory that the pool refuses, end the whole training.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::data::Data;
use crate::model::artifact;
use crate::model::kernel::Kernel;
use crate::model::onnx::Model;
use crate::model::partition::members::own_signature;
use crate::model::partition::slots::{Apart, take_apart};
use crate::model::signature::{Signature, Task};
use crate::train::algorithm::{Algorithm, Context};
use crate::train::plan::Plan;
use crate::train::rows::Rows;
use crate::train::target::{self, Target, UNSEEN};
use crate::train::unwinding::caught;
use crate::train::weights::{self, ClassWeights};
use crate::train::workers::Workers;
use crate::train::{Metric, Watch, metrics};
use crate::{Error, Result};

/// What all groups' fits share.
pub(super) struct Shared<'a> {
    pub plan: &'a Plan,
    pub data: &'a Data,
    /// What a group's model takes and gives, with the classes of all groups.
    pub signature: &'a Signature,
    /// The parameters as the graph has them.
    pub parameters_text: &'a str,
    pub class_weights: Option<&'a ClassWeights>,
    pub seed: u64,
}

/// A model that was fitted.
pub(super) struct Learned {
    pub kernel: Box<dyn Kernel>,
    /// Its classes, as places in those of all groups.
    pub classes: Vec<i64>,
    /// Its graph.
    pub model: Model,
    /// Held-out metrics, training metrics, and numbers about the fit.
    pub metrics: Vec<Metric>,
}

/// What came of a group.
pub(super) struct Outcome {
    /// The model's graph apart and its classes, or why there is none.
    pub model: Result<(Apart, Vec<i64>), String>,
    /// The metrics of what answers for the group.
    pub metrics: Vec<Metric>,
}

/// The model over all groups, which is measured on groups without one of their own.
pub(super) struct FallbackModel {
    pub kernel: Box<dyn Kernel>,
    pub classes: Vec<i64>,
}

/// Vectors that are used for one group after another.
pub(super) struct Scratch {
    train: Rows,
    held_out: Rows,
    workers: Workers,
    reserved: Reserved,
}

/// What the fits that use one [`Scratch`] have reserved: the most that one of them needed.
#[derive(Default)]
struct Reserved {
    now: AtomicUsize,
    most: AtomicUsize,
    refused: Mutex<Option<Error>>,
}

/// A group's side of the training's watch: its memory is free again when it is done.
struct GroupWatch<'a> {
    outer: &'a dyn Watch,
    reserved: &'a Reserved,
}

impl Watch for GroupWatch<'_> {
    fn cancelled(&self) -> bool {
        self.outer.cancelled()
    }

    fn progress(&self, _done: f64) {}

    fn reserve(&self, bytes: usize) -> Result<()> {
        let now = self.reserved.now.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let most = self.reserved.most.fetch_max(now, Ordering::Relaxed);
        let Err(error) = self.outer.reserve(now.saturating_sub(most)) else { return Ok(()) };
        if let Ok(mut refused) = self.reserved.refused.lock() {
            *refused = Some(error.clone());
        }
        Err(error)
    }
}

impl Scratch {
    /// Nothing yet.
    pub fn new(data: &Data) -> Result<Self> {
        let reserved = Reserved::default();
        Ok(Scratch { train: data.empty_rows(), held_out: data.empty_rows(), workers: Workers::new(1)?, reserved })
    }

    /// Fits a group and measures what answers for it; `refusal` says why it shall not be fitted.
    pub fn fit(
        &mut self,
        shared: &Shared<'_>,
        rows: [&[u32]; 2],
        refusal: Option<String>,
        fallback: Option<&FallbackModel>,
        watch: &dyn Watch,
    ) -> Result<Outcome> {
        if watch.cancelled() {
            return Err(Error::cancelled());
        }
        self.reserved.now.store(0, Ordering::Relaxed);
        let learned = match refusal {
            Some(reason) => Err(Error::input(reason)),
            None => {
                // What a panic leaves half done are vectors that the next group fills anew.
                caught(|| self.learn(shared, rows, watch))
            }
        };
        if watch.cancelled() {
            return Err(Error::cancelled());
        }
        if let Some(refused) = self.reserved.refused.lock().ok().and_then(|mut refused| refused.take()) {
            return Err(refused);
        }
        match learned {
            Ok(Learned { model, classes, metrics, .. }) => {
                Ok(Outcome { model: Ok((take_apart(model), classes)), metrics })
            }
            Err(error) => {
                let metrics = match fallback {
                    Some(fallback) => self.measure_fallback(shared, fallback, rows, watch)?,
                    None => Vec::new(),
                };
                Ok(Outcome { model: Err(error.message().to_owned()), metrics })
            }
        }
    }

    fn learn(&mut self, shared: &Shared<'_>, rows: [&[u32]; 2], watch: &dyn Watch) -> Result<Learned> {
        let watch = GroupWatch { outer: watch, reserved: &self.reserved };
        let [train, held_out] = [&mut self.train, &mut self.held_out];
        shared.data.take(rows[0], true, train);
        shared.data.take(rows[1], false, held_out);
        learn(shared, train, held_out, &self.workers, &watch)
    }

    fn measure_fallback(
        &mut self,
        shared: &Shared<'_>,
        fallback: &FallbackModel,
        rows: [&[u32]; 2],
        watch: &dyn Watch,
    ) -> Result<Vec<Metric>> {
        let watch = GroupWatch { outer: watch, reserved: &self.reserved };
        let context = shared.context(fallback.classes.len(), &self.workers, &watch);
        let mut metrics = Vec::new();
        for (rows, prefix, out) in [(rows[0], "train_", &mut self.train), (rows[1], "", &mut self.held_out)] {
            let usable: Vec<u32> = rows.iter().copied().filter(|row| shared.data.is_usable(*row)).collect();
            shared.data.take(&usable, false, out);
            if let Target::Classes(codes) = &mut out.target {
                localize(codes, &fallback.classes);
            }
            metrics.extend(metrics::measure(fallback.kernel.as_ref(), out, prefix, &context)?);
        }
        Ok(metrics)
    }
}

/// Fits the model over all groups on the workers. The inner error is a text that says why there can be none.
pub(super) fn fallback(
    shared: &Shared<'_>,
    rows: &[u32],
    workers: &Workers,
    watch: &dyn Watch,
) -> Result<Result<Learned, String>> {
    let (mut train, mut held_out) = (shared.data.empty_rows(), shared.data.empty_rows());
    shared.data.take(rows, true, &mut train);
    let reserved = Reserved::default();
    let own = GroupWatch { outer: watch, reserved: &reserved };
    let learned = caught(|| learn(shared, &mut train, &mut held_out, workers, &own));
    if watch.cancelled() {
        return Err(Error::cancelled());
    }
    // Memory that is not there is no property of the rows.
    match reserved.refused.into_inner() {
        Ok(Some(refused)) => Err(refused),
        _ => Ok(learned.map_err(|error| error.message().to_owned())),
    }
}

impl<'a> Shared<'a> {
    fn context(&self, classes: usize, workers: &'a Workers, watch: &'a dyn Watch) -> Context<'a> {
        let (parameters, columns) = (&self.plan.parameters, &self.data.names);
        Context { parameters, classes, seed: self.seed, workers, columns, watch }
    }
}

/// Checks, fits, and measures.
fn learn(
    shared: &Shared<'_>,
    train: &mut Rows,
    held_out: &mut Rows,
    workers: &Workers,
    watch: &dyn Watch,
) -> Result<Learned> {
    let classes = check_target(shared, train, held_out)?;
    check_features(shared, train, held_out)?;
    if let (Some(weights), Some(column)) = (&train.weights, &shared.plan.weight) {
        weights::check(&column.feature.name, weights)?;
    }
    if let (Some(of_classes), Target::Classes(codes)) = (shared.class_weights, &train.target) {
        let place = |code: usize| classes[code] as usize;
        train.weights = Some(of_classes.weigh(train.weights.take(), codes, classes.len(), place));
    }
    let context = Context {
        parameters: &shared.plan.parameters,
        classes: classes.len(),
        seed: shared.seed,
        workers,
        columns: &shared.data.names,
        watch,
    };
    let algorithm: &dyn Algorithm = shared.plan.algorithm;
    let fitted = algorithm.fit(train, &context)?;
    let mut metrics = metrics::measure(fitted.kernel.as_ref(), held_out, "", &context)?;
    metrics.extend(metrics::measure(fitted.kernel.as_ref(), train, "train_", &context)?);
    metrics.extend(fitted.metrics);
    let signature = own_signature(shared.signature, &classes)?;
    let model = artifact::encode(fitted.kernel.as_ref(), &signature, algorithm.name(), shared.parameters_text)?;
    Ok(Learned { kernel: fitted.kernel, classes, model, metrics })
}

/// The classes of the training rows, by which the targets' codes are numbered from here on.
fn check_target(shared: &Shared<'_>, train: &mut Rows, held_out: &mut Rows) -> Result<Vec<i64>> {
    let rows = train.len();
    if rows == 0 {
        return Err(Error::input(format!("all its {} rows are held out", held_out.len())));
    }
    let name = shared.plan.target.as_ref().map_or("", |target| target.feature.name.as_str());
    match (&mut train.target, &mut held_out.target) {
        (Target::Numbers(values), Target::Numbers(others)) => {
            if let Some(odd) = values.iter().chain(others.iter()).find(|value| !value.is_finite()) {
                return Err(Error::input(format!(
                    "target `{name}` has the value {odd}: expected finite numbers or NULL"
                )));
            }
            let first = values[0];
            match values.iter().all(|value| *value == first) {
                true => Err(target::constant(name, &first.to_string(), rows)),
                false => Ok(Vec::new()),
            }
        }
        (Target::Classes(codes), Target::Classes(others)) => {
            let mut seen = vec![false; shared.signature.classes.len()];
            codes.iter().for_each(|code| seen[*code as usize] = true);
            let classes: Vec<i64> =
                seen.iter().zip(0_i64..).filter(|(seen, _)| **seen).map(|(_, place)| place).collect();
            if let [only] = classes.as_slice() {
                let only = &shared.signature.classes[*only as usize];
                return Err(target::constant(name, &target::display(only), rows));
            }
            localize(codes, &classes);
            localize(others, &classes);
            Ok(classes)
        }
        _ => match shared.signature.task {
            Task::Regression | Task::Classification => Err(Error::internal("expected a target, found none")),
            Task::Clustering | Task::Anomaly | Task::Reduction => Ok(Vec::new()),
        },
    }
}

/// Numbers codes of all groups' classes by some of these.
fn localize(codes: &mut [u32], classes: &[i64]) {
    let place = |code: u32| classes.binary_search(&i64::from(code)).map_or(UNSEEN, |place| place as u32);
    codes.iter_mut().for_each(|code| *code = place(*code));
}

fn check_features(shared: &Shared<'_>, train: &Rows, held_out: &Rows) -> Result<()> {
    let refuse_missing = shared.plan.parameters.text("missing") == Some("error");
    let columns = train.features.iter().zip(&held_out.features).zip(&shared.data.names);
    for ((values, others), name) in columns {
        let (mut infinite, mut missing) = (false, 0);
        for value in values {
            infinite |= value.is_infinite();
            missing += usize::from(value.is_nan());
        }
        if infinite || others.iter().any(|value| value.is_infinite()) {
            return Err(Error::input(format!(
                "feature `{name}` has an infinite value: expected finite numbers or NULL"
            )));
        }
        if missing == values.len() {
            return Err(Error::input(format!("feature `{name}` is NULL in all {missing} training rows")));
        }
        if refuse_missing && (missing > 0 || others.iter().any(|value| value.is_nan())) {
            return Err(Error::input(format!(
                "`{name}` is NULL in some rows, which the parameter `missing = 'error'` refuses"
            )));
        }
    }
    Ok(())
}
