//! One model for each group of rows, in one pass: `PARTITION BY`.
//!
//! Rows are read once. A group's rows keep the canonical order that they would have alone, with the same split and seed,
//! so a group's model is the one that a training of its rows alone gives. Groups are fitted in parallel, each on one
//! thread, and written in the order of their keys: the same bytes for any order, batches and threads.
//!
//! # Layout
//! - `order`: which rows are of which group, in canonical order, split; `data`: all values as numbers
//! - `group`: the fit of one group; `assemble`: groups into an artifact
//! - `carried`: groups of an older version, where only some are trained again

mod assemble;
mod carried;
mod data;
mod group;
mod order;
#[cfg(test)]
mod tests;

use std::sync::Mutex;

use arrow::record_batch::RecordBatch;

use self::assemble::{Assembly, Frame, Group};
use self::carried::Carried;
pub(super) use self::carried::Older;
use self::data::{Data, Known, numbers};
use self::group::{FallbackModel, Outcome, Scratch, Shared};
use self::order::{Batches, Order, first_of_all, order};
use super::plan::{Column, Plan};
use super::rows::plain;
use super::weights::ClassWeights;
use super::workers::Workers;
use super::{FITTED_SHARE, Metric, Part, Partition, Partitions, Request, Trained, Watch, rows, sha256_hex, signature};
use crate::limits::{FALLBACK_ROWS_MAX, GROUPS_PER_ROUND, TRAINING_ROWS_MAX};
use crate::model::artifact;
use crate::model::partition::manifest::Fallback;
use crate::model::partition::members::own_signature;
use crate::model::signature::{Feature, Signature};
use crate::{Error, Result};

/// Bytes for each row beside its values: its hash, its group, its number, and half of that again while groups are found.
const BYTES_PER_ROW: usize = 16 + 4 + 4 + 12;

/// Trains one model for each group.
pub(super) fn train(
    plan: &Plan,
    request: &Request,
    partition: &Partition,
    batches: Vec<RecordBatch>,
    older: Option<&Older<'_>>,
    watch: &dyn Watch,
) -> Result<Trained> {
    let workers = Workers::new(watch.threads())?;
    let parameters = plan.parameters.clone().into_inner();
    let parameters_text = artifact::parameters_text(&parameters)?;
    if let Some(older) = older {
        older.check(plan, partition, &parameters_text)?;
    }
    let mut batches = columns(plan, batches, &workers, watch)?;
    let total = batches.total();
    if total == 0 && older.is_none() {
        return Err(rows::no_rows(plan, 0));
    }
    let decider = plan.split.as_ref().map(|column| numbers(&batches.columns[column.position], &batches)).transpose()?;
    let order = order(plan, request, &batches, decider.as_deref())?;
    drop(decider);
    if order.rows.is_empty() && older.is_none() {
        return Err(rows::no_rows(plan, total));
    }
    let known = older.map(|older| &older.model.manifest().signature);
    let known = known.map(|known| Known { features: &known.features, classes: &known.classes });
    let data = Data::read(plan, &mut batches, &order, known.as_ref())?;
    drop(batches);
    watch.progress(rows::READ_SHARE);
    let whole = signature(plan, data.features.clone(), data.classes.clone());
    let class_weights = ClassWeights::new(&plan.parameters, &data.classes)?;
    let shared = Shared {
        plan,
        data: &data,
        signature: &whole,
        parameters_text: &parameters_text,
        class_weights: class_weights.as_ref(),
        seed: request.seed,
    };
    let (fallback_model, fallback, fallback_part) = match (older, partition.fallback) {
        (Some(older), _) => older.fallback(&data.classes)?,
        (None, true) => fallback(&shared, &order, &workers, watch)?,
        (None, false) => (None, Fallback::None, None),
    };
    let columns = features(&plan.partition);
    let mut assembly = Assembly::new(&columns)?;
    let groups = Groups { shared: &shared, order: &order, min_rows: partition.min_rows, fallback: fallback_model };
    let mut carried = older.map(|older| Carried::new(older, &data.classes)).transpose()?;
    let mut push = |group: Group| assembly.push(group, |classes| own_signature_json(&whole, classes));
    groups.fit(&workers, watch, |group| {
        if let Some(carried) = &mut carried {
            carried.write(Some(&group.key), watch, &mut push)?;
        }
        push(group)
    })?;
    if let Some(carried) = &mut carried {
        carried.write(None, watch, &mut push)?;
    }
    if let (false, None, Some(reason)) = (assembly.has_models(), &fallback_part, &assembly.first_reason) {
        let all = order.keys.len();
        return Err(Error::input(format!("none of the {all} groups can be trained; the first of them: {reason}")));
    }
    let frame = Frame {
        algorithm: plan.algorithm.name(),
        parameters: parameters_text.clone(),
        signature: whole.clone(),
        partition_by: columns.clone(),
        min_rows: partition.min_rows,
        fallback,
        fallback_part,
    };
    let made = assembly.finish(frame)?;
    watch.progress(1.0);
    let all = columns.into_iter().chain(whole.features.iter().cloned()).collect();
    Ok(Trained {
        algorithm: plan.algorithm.name(),
        parameters,
        signature: Signature { features: all, ..whole },
        artifact: made.manifest,
        parts: made.parts,
        partitions: Some(Partitions {
            groups: made.groups,
            fallback: made.groups - made.trained,
            fitted: order.keys.len() as u64,
        }),
        rows_train: made.rows,
        rows_held_out: made.rows_held_out,
        rows_dropped: (total - order.rows.len()) as u64,
        metrics: made.metrics,
    })
}

/// The batches as columns, and the memory that they will need reserved.
fn columns<'a>(
    plan: &Plan,
    batches: Vec<RecordBatch>,
    workers: &'a Workers,
    watch: &'a dyn Watch,
) -> Result<Batches<'a>> {
    let rows: Vec<usize> = batches.iter().map(RecordBatch::num_rows).collect();
    let total: usize = rows.iter().sum();
    if total > TRAINING_ROWS_MAX {
        return Err(Error::exhausted(format!("expected at most {TRAINING_ROWS_MAX} training rows, found {total}")));
    }
    // Columns are let go one by one as their numbers stand, so what the numbers take beyond them counts, and two at once.
    let held: usize = batches.iter().map(RecordBatch::get_array_memory_size).sum();
    let numbers = total * size_of::<f64>() * (plan.features.len() + plan.roles().count());
    watch.reserve(total * (BYTES_PER_ROW + 2 * size_of::<f64>()) + numbers.saturating_sub(held))?;
    let width = plan.positions().into_iter().chain(plan.partition.iter().map(|column| column.position)).max();
    let width = width.map_or(0, |greatest| greatest + 1);
    let mut columns = vec![Vec::with_capacity(batches.len()); width];
    for batch in batches {
        for (column, array) in columns.iter_mut().zip(batch.columns()) {
            column.push(plain(array)?);
        }
    }
    Ok(Batches { columns, rows, workers, watch })
}

fn features(columns: &[Column]) -> Vec<Feature> {
    columns.iter().map(|column| column.feature.clone()).collect()
}

/// The signature of a model with some of the classes, as its metadata has it.
fn own_signature_json(whole: &Signature, classes: &[i64]) -> Result<String> {
    serde_json::to_string(&own_signature(whole, classes)?).map_err(|error| Error::internal(error.to_string()))
}

/// The model over all groups; where there can be none, why.
fn fallback(
    shared: &Shared<'_>,
    order: &Order,
    workers: &Workers,
    watch: &dyn Watch,
) -> Result<(Option<FallbackModel>, Fallback, Option<Part>)> {
    let data = shared.data;
    let chosen = first_of_all(order, FALLBACK_ROWS_MAX, |row| data.is_usable(row));
    if chosen.is_empty() {
        return Ok((None, Fallback::Failed("no row can be learned from".to_owned()), None));
    }
    watch.reserve(chosen.len() * 8 * (data.names.len() + 2))?;
    match group::fallback(shared, &chosen, workers, watch)? {
        Err(reason) => Ok((None, Fallback::Failed(reason), None)),
        Ok(learned) => {
            let bytes = learned.model.encode_to_bytes();
            let sha256 = sha256_hex(&bytes);
            let fallback = Fallback::Model { sha256: sha256.clone(), rows: chosen.len() as u64 };
            let model = FallbackModel { kernel: learned.kernel, classes: learned.classes };
            Ok((Some(model), fallback, Some(Part { sha256, bytes })))
        }
    }
}

/// All groups, to be fitted.
struct Groups<'a> {
    shared: &'a Shared<'a>,
    order: &'a Order,
    min_rows: u64,
    fallback: Option<FallbackModel>,
}

impl Groups<'_> {
    /// Fits all groups; `each` gets them in ascending order of their keys, round by round.
    fn fit(&self, workers: &Workers, watch: &dyn Watch, mut each: impl FnMut(Group) -> Result<()>) -> Result<()> {
        let count = self.order.keys.len();
        let idle: Mutex<Vec<Scratch>> = Mutex::new(Vec::new());
        for start in (0..count).step_by(GROUPS_PER_ROUND) {
            let end = count.min(start + GROUPS_PER_ROUND);
            let outcomes = workers.try_map(end - start, |place| {
                let waiting = idle.lock().ok().and_then(|mut idle| idle.pop());
                let mut scratch = waiting.map_or_else(|| Scratch::new(self.shared.data), Ok)?;
                let outcome = self.fit_one(start + place, &mut scratch, watch);
                if let Ok(mut idle) = idle.lock() {
                    idle.push(scratch);
                }
                outcome
            })?;
            for (place, outcome) in outcomes.into_iter().enumerate() {
                each(self.group(start + place, outcome))?;
            }
            watch.progress(rows::READ_SHARE + (FITTED_SHARE - rows::READ_SHARE) * end as f64 / count as f64);
        }
        Ok(())
    }

    fn fit_one(&self, group: usize, scratch: &mut Scratch, watch: &dyn Watch) -> Result<Outcome> {
        let extent = &self.order.extents[group];
        let rows = [&self.order.rows[extent.train.clone()], &self.order.rows[extent.held_out.clone()]];
        let count = extent.all().len();
        let too_small = (count as u64) < self.min_rows;
        let refusal = too_small.then(|| format!("it has {count} rows, expected at least {}", self.min_rows));
        scratch.fit(self.shared, rows, refusal, self.fallback.as_ref(), watch)
    }

    fn group(&self, group: usize, outcome: Outcome) -> Group {
        let extent = &self.order.extents[group];
        let last = |metric: &Metric| metric.step == 0;
        let metrics = outcome.metrics.into_iter().filter(last).map(|metric| (metric.name, metric.value)).collect();
        Group {
            key: self.order.keys[group].clone(),
            model: outcome.model,
            rows: extent.train.len() as u64,
            rows_held_out: extent.held_out.len() as u64,
            metrics,
            text: None,
        }
    }
}
