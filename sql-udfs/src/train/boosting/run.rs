//! The iterations of a boosting: gradients, a tree for each score, its leaf values, and when to stop.

use std::sync::atomic::{AtomicU32, Ordering};

use super::loss::Loss;
use super::order::quantile;
use super::state::{Gradients, Pass, Role, State, Targets, add_all};
use crate::model::trees::{Tree, Trees};
use crate::train::algorithm::{Context, Fitted};
use crate::train::random::{Purpose, Random, uniform};
use crate::train::rows::{READ_SHARE, Rows};
use crate::train::target::Target;
use crate::train::tree::bins::{self, Column, Fineness};
use crate::train::tree::boosted::{self, Data, Grown, Leaf, Rules, Spare};
use crate::train::tree::cells::{Narrow, Units, Wide, pack};
use crate::train::tree::cut::{Criterion, Search};
use crate::train::tree::draft::{Draft, check_size};
use crate::train::tree::histogram::Words;
use crate::train::{FITTED_SHARE, Metric};
use crate::{Error, Result};

/// What a statement asks for.
#[derive(Debug, Clone)]
pub(in crate::train) struct Settings {
    pub loss: Loss,
    pub learning_rate: f64,
    pub iterations: usize,
    pub depth_max: usize,
    pub leaves_max: Option<usize>,
    pub rows_min: usize,
    pub weight_min: f64,
    pub l2: f64,
    /// The share of the rows that each tree learns from.
    pub subsample: f64,
    pub features_per_cut: usize,
    pub bins_max: usize,
    /// Iterations without improvement after which to stop.
    pub patience: Option<usize>,
    pub validation_share: f64,
    pub tolerance: f64,
    /// By design column; empty where nothing is constrained.
    pub directions: Vec<i8>,
}

/// Rows of no effect that the mean of each text is taken with.
const TEXT_SMOOTHING: f64 = 10.0;
/// Rows of a leaf that are summed up, or told their leaf, at once.
const ROWS_PER_PIECE: usize = 1 << 14;
/// Added to the weight of a leaf, so that one of no weight predicts nothing.
const WEIGHT_MIN: f64 = 1e-15;

/// Fits.
pub(in crate::train) fn fit(settings: &Settings, rows: &Rows, context: &Context<'_>) -> Result<Fitted> {
    let columns = bins::bin(rows, Fineness::of(settings.bins_max), context)?;
    let words = Words::new(&columns, rows.len(), context)?;
    let roles = roles(settings, rows, context.seed);
    let scale = scale(settings.loss, &rows.target);
    let scaled: Vec<f64> = match &rows.target {
        Target::Numbers(target) if scale != 1.0 => target.iter().map(|value| value / scale).collect(),
        _ => Vec::new(),
    };
    let targets = match &rows.target {
        Target::Numbers(_) if scale != 1.0 => Targets::Numbers(&scaled),
        Target::Numbers(target) => Targets::Numbers(target),
        Target::Classes(codes) => Targets::Classes(codes),
        Target::None(_) => return Err(Error::internal("expected a target, found none")),
    };
    let n = rows.len();
    let scores = settings.loss.scores();
    // Scores, gradients, cells, rows in two orders and leaves.
    context.watch.reserve(n * (8 * scores + 16 + 2 * size_of::<u32>() + 4 + 1 + usize::from(scores > 1) * 8))?;
    let state = State { loss: settings.loss, target: targets, weights: rows.weights.as_deref(), roles: &roles };
    let learn: Vec<u32> = (0..n as u32).filter(|row| roles[*row as usize] == Role::Learn).collect();
    let mut run = Run {
        settings,
        context,
        state,
        columns: &columns,
        words: &words,
        learn,
        leaves: (0..n).map(|_| AtomicU32::new(u32::MAX)).collect(),
        gradients: Gradients::default(),
        narrow: Vec::new(),
        narrow_spare: Spare::default(),
        wide: Vec::new(),
        wide_spare: Spare::default(),
        drafts: Vec::new(),
        nodes: 0,
        loss_scale: if settings.loss == Loss::Squared { scale * scale } else { scale },
        metrics: Vec::new(),
    };
    let mut base = run.bases();
    run.iterate(&base)?;
    let Run { drafts, metrics, .. } = run;
    let in_own_units = |(mut draft, factor): (Draft, f64)| {
        draft.leaves.iter_mut().for_each(|value| *value *= scale);
        draft.finish(&columns, factor * scale * scale)
    };
    let trees: Vec<Tree> = drafts.into_iter().map(in_own_units).collect();
    base.iter_mut().for_each(|base| *base *= scale);
    let kernel = Trees::new(trees, 1, base, settings.loss.finish(), columns.len())?;
    Ok(Fitted { kernel: Box::new(kernel), metrics })
}

/// Targets beyond it, and those below one over it, are scaled so that their squares stay in range.
const TARGET_MAX: f64 = 1e100;

/// A power of two by which targets are divided while they are learned, where the loss takes any.
fn scale(loss: Loss, target: &Target) -> f64 {
    let (true, Target::Numbers(target)) = (loss.is_flat(), target) else { return 1.0 };
    let greatest = target.iter().fold(0.0, |greatest: f64, value| greatest.max(value.abs()));
    match greatest > 0.0 && !(1.0 / TARGET_MAX..=TARGET_MAX).contains(&greatest) {
        true => libm::ldexp(1.0, libm::frexp(greatest).1.clamp(-1022, 1023)),
        false => 1.0,
    }
}

/// Which rows trees learn from.
fn roles(settings: &Settings, rows: &Rows, seed: u64) -> Vec<Role> {
    let validates = settings.patience.is_some();
    let seed = Random::new(seed, Purpose::Validation, 0).bits();
    let role = |row: usize| match rows.weight(row) > 0.0 {
        false => Role::Rest,
        true if validates && uniform(seed, row as u64) < settings.validation_share => Role::Validate,
        true => Role::Learn,
    };
    let mut roles: Vec<Role> = (0..rows.len()).map(role).collect();
    // Of a few rows all may have been drawn: then what is learned from is measured on.
    if !roles.contains(&Role::Learn) {
        roles.iter_mut().filter(|role| **role == Role::Validate).for_each(|role| *role = Role::Learn);
    }
    roles
}

struct Run<'a> {
    settings: &'a Settings,
    context: &'a Context<'a>,
    state: State<'a>,
    columns: &'a [Column],
    words: &'a Words,
    /// The rows that trees learn from.
    learn: Vec<u32>,
    /// The leaf of each row in the tree that was grown last.
    leaves: Vec<AtomicU32>,
    gradients: Gradients,
    narrow: Vec<Narrow>,
    narrow_spare: Spare<Narrow>,
    wide: Vec<Wide>,
    wide_spare: Spare<Wide>,
    /// Trees, and what their gains are multiplied by.
    drafts: Vec<(Draft, f64)>,
    nodes: usize,
    /// What losses are multiplied by to be those of the target as it is.
    loss_scale: f64,
    metrics: Vec<Metric>,
}

impl Run<'_> {
    fn bases(&self) -> Vec<f64> {
        let loss = self.settings.loss;
        let of_class = |class: u32| {
            let row = |row: &u32| {
                let row = *row as usize;
                (self.state.target.of(row, class), self.state.weights.map_or(1.0, |weights| weights[row]))
            };
            let mut rows: Vec<(f64, f64)> = self.learn.iter().map(row).collect();
            loss.base(&mut rows, self.state.weights.is_some())
        };
        match loss {
            Loss::Softmax(classes) => (0..classes as u32).map(of_class).collect(),
            _ => vec![of_class(1)],
        }
    }

    fn iterate(&mut self, base: &[f64]) -> Result<()> {
        let n = self.state.roles.len();
        let (learned, validated) = self.weights();
        let mut scores: Vec<Vec<f64>> = base.iter().map(|base| vec![*base; n]).collect();
        let mut norms = if base.len() > 1 { vec![0.0; n] } else { Vec::new() };
        self.gradients.first = vec![0.0; n];
        if !self.settings.loss.is_flat() || self.state.weights.is_some() {
            self.gradients.second = vec![0.0; n];
        }
        let mut pass = self.measure(&mut scores, &mut norms, &[]);
        let mut stopping = Stopping::new(pass.losses[1] / validated);
        for iteration in 1..=self.settings.iterations {
            self.context.check_cancelled()?;
            let random =
                |class: usize| Random::new(self.context.seed, Purpose::Cuts, (iteration * base.len() + class) as u64);
            let rows = self.sample(iteration as u64);
            let mut values = Vec::new();
            for class in 0..base.len() {
                if base.len() > 1 {
                    let scores = &scores[class];
                    pass = self.state.of_class(class, scores, &norms, &mut self.gradients, self.context);
                }
                values = self.tree(rows.clone(), &pass, &scores[class], random(class))?;
                if base.len() > 1 {
                    add_all(&mut scores[class], &self.leaves, &values, self.context);
                }
            }
            pass = self.measure(&mut scores, &mut norms, &values);
            let losses = [pass.losses[0] / learned, pass.losses[1] / validated];
            if losses.iter().any(|loss| loss.is_infinite()) || losses[0].is_nan() {
                return Err(Error::input(format!(
                    "the boosting diverged in iteration {iteration}: its loss is {}",
                    losses[0]
                ))
                .with_hint("lower the learning_rate, or scale the target"));
            }
            self.record(iteration, losses);
            let share = iteration as f64 / self.settings.iterations as f64;
            self.context.watch.progress(READ_SHARE + (FITTED_SHARE - READ_SHARE) * share);
            if let Some(patience) = self.settings.patience {
                let measured = if validated > 0.0 { losses[1] } else { losses[0] };
                if stopping.stops(iteration, measured, self.settings.tolerance, patience) {
                    break;
                }
            }
        }
        if self.settings.patience.is_some() {
            self.drafts.truncate(stopping.best.max(1) * base.len());
            self.metrics.push(Metric { name: "iterations".to_owned(), value: stopping.best.max(1) as f64, step: 0 });
        }
        Ok(())
    }

    /// What the rows weigh that trees learn from, and those that early stopping measures on.
    fn weights(&self) -> (f64, f64) {
        let of = |role: Role| {
            let rows = (0..self.state.roles.len()).filter(|row| self.state.roles[*row] == role);
            rows.map(|row| self.state.weights.map_or(1.0, |weights| weights[row])).sum()
        };
        (of(Role::Learn), of(Role::Validate))
    }

    fn record(&mut self, iteration: usize, losses: [f64; 2]) {
        let names = ["train_loss", "validation_loss"];
        for (name, value) in
            names.into_iter().zip(losses.map(|loss| loss * self.loss_scale)).filter(|(_, loss)| loss.is_finite())
        {
            self.metrics.push(Metric { name: name.to_owned(), value, step: iteration as i64 });
        }
    }

    /// Losses of all rows; for one score also its gradients, after leaf values are added to it.
    fn measure(&mut self, scores: &mut [Vec<f64>], norms: &mut [f64], values: &[f64]) -> Pass {
        match scores {
            [scores] => self.state.advance(scores, &self.leaves, values, &mut self.gradients, self.context),
            _ => self.state.normalise(scores, norms, self.context),
        }
    }

    /// The rows that a tree learns from.
    fn sample(&self, iteration: u64) -> Vec<u32> {
        if self.settings.subsample >= 1.0 {
            return self.learn.clone();
        }
        let seed = Random::new(self.context.seed, Purpose::Rows, iteration).bits();
        let drawn = |row: &&u32| uniform(seed, u64::from(**row)) < self.settings.subsample;
        let rows: Vec<u32> = self.learn.iter().filter(drawn).copied().collect();
        if rows.is_empty() { self.learn.clone() } else { rows }
    }

    /// Grows a tree and tells each row its leaf; gives the values of the leaves.
    fn tree(&mut self, rows: Vec<u32>, pass: &Pass, scores: &[f64], random: Random) -> Result<Vec<f64>> {
        let drawn = rows.len();
        let (greatest, mean) = (pass.first.0, pass.first.1 / self.learn.len() as f64);
        let units = Units::new(drawn, greatest, if self.gradients.second.is_empty() { 1.0 } else { pass.second_max });
        let settings = self.settings;
        let search = Search {
            units: &units,
            criterion: Criterion::Squares { l2: settings.l2 },
            rows_min: settings.rows_min as u64,
            weight_min: settings.weight_min,
            must_gain: true,
            smoothing: TEXT_SMOOTHING,
        };
        let rules = Rules {
            depth_max: settings.depth_max,
            leaves_max: settings.leaves_max,
            search,
            features_per_cut: settings.features_per_cut,
            directions: &settings.directions,
        };
        let data = Data { columns: self.columns, words: self.words };
        let context = self.context;
        let Gradients { first, second } = &self.gradients;
        let grown = if second.is_empty() && units.narrow_suffices(mean) {
            pack(first, None, &units, &mut self.narrow, context)?;
            boosted::grow(data, &self.narrow, rows, &rules, random, &mut self.narrow_spare, context)?
        } else {
            let weights = Some(second.as_slice()).filter(|second| !second.is_empty());
            pack(first, weights, &units, &mut self.wide, context)?;
            boosted::grow(data, &self.wide, rows, &rules, random, &mut self.wide_spare, context)?
        };
        let values = self.settle(&grown, &units, scores);
        if drawn < self.state.roles.len() {
            self.walk_others(&grown, drawn);
        }
        let mut draft = grown.draft;
        draft.leaves.copy_from_slice(&values);
        self.nodes += draft.cuts.len() + 1;
        check_size(self.nodes, 1)?;
        let scale = units.gradient_scale;
        self.drafts.push((draft, scale * scale / 2.0));
        Ok(values)
    }

    /// The values of leaves; each row learns which leaf it is in.
    fn settle(&self, grown: &Grown, units: &Units, scores: &[f64]) -> Vec<f64> {
        let mut pieces: Vec<(usize, &[u32])> = Vec::new();
        for (number, leaf) in grown.leaves.iter().enumerate() {
            pieces.extend(grown.rows[leaf.start..leaf.end].chunks(ROWS_PER_PIECE).map(|rows| (number, rows)));
        }
        let Gradients { first, second } = &self.gradients;
        let one = |(number, rows): (usize, &[u32])| {
            let (mut gradient, mut weight) = (0.0, 0.0);
            for row in rows {
                let row = *row as usize;
                self.leaves[row].store(number as u32, Ordering::Relaxed);
                if !second.is_empty() {
                    gradient += first[row];
                    weight += second[row];
                }
            }
            (number, gradient, weight)
        };
        let parts = match grown.rows.len() < ROWS_PER_PIECE {
            true => pieces.into_iter().map(one).collect(),
            false => self.context.workers.map_each(pieces, one),
        };
        let mut sums = vec![(0.0, 0.0); grown.leaves.len()];
        for (number, gradient, weight) in parts {
            sums[number].0 += gradient;
            sums[number].1 += weight;
        }
        if let Some(share) = self.settings.loss.leaf_quantile() {
            let value = |number: usize| self.leaf_quantile(&grown.leaves[number], &grown.rows, scores, share);
            return self.context.workers.map(grown.leaves.len(), value);
        }
        let value = |(leaf, (gradient, weight)): (&Leaf, &(f64, f64))| {
            let scale = units.gradient_scale;
            let (gradient, weight) = match second.is_empty() {
                true => (leaf.sums.gradient * scale, leaf.sums.weight),
                false => (*gradient, *weight),
            };
            let value = -gradient / (weight + self.settings.l2 + WEIGHT_MIN);
            self.settings.learning_rate * value.clamp(leaf.bounds.low * scale, leaf.bounds.high * scale)
        };
        grown.leaves.iter().zip(&sums).map(value).collect()
    }

    /// A quantile of what is left to predict in a leaf.
    fn leaf_quantile(&self, leaf: &Leaf, rows: &[u32], scores: &[f64], share: f64) -> f64 {
        let residual = |row: &u32| {
            let row = *row as usize;
            let weight = self.state.weights.map_or(1.0, |weights| weights[row]);
            (self.state.target.of(row, 1) - scores[row], weight)
        };
        let mut residuals: Vec<(f64, f64)> = rows[leaf.start..leaf.end].iter().map(residual).collect();
        self.settings.learning_rate * quantile(&mut residuals, self.state.weights.is_some(), share)
    }

    /// Tells the rows that the tree did not learn from which leaf they come to.
    fn walk_others(&self, grown: &Grown, drawn: usize) {
        let all = self.state.roles.len();
        let mut learned = vec![false; if drawn < all { all } else { 0 }];
        grown.rows.iter().for_each(|row| learned[*row as usize] = true);
        self.context.workers.map(all.div_ceil(ROWS_PER_PIECE), |piece| {
            let start = piece * ROWS_PER_PIECE;
            let end = all.min(start + ROWS_PER_PIECE);
            for (row, learned) in (start..end).zip(&learned[start.min(learned.len())..]) {
                if !learned {
                    self.leaves[row].store(grown.draft.walk(self.columns, row) as u32, Ordering::Relaxed);
                }
            }
        });
    }
}

/// When no iteration has been better for too long.
struct Stopping {
    best: usize,
    loss: f64,
}

impl Stopping {
    fn new(loss: f64) -> Self {
        Stopping { best: 0, loss: if loss.is_nan() { f64::INFINITY } else { loss } }
    }

    fn stops(&mut self, iteration: usize, loss: f64, tolerance: f64, patience: usize) -> bool {
        if loss < self.loss - tolerance {
            (self.best, self.loss) = (iteration, loss);
        }
        iteration - self.best >= patience
    }
}
