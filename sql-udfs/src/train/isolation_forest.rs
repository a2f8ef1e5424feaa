//! `isolation_forest`: how few cuts by chance set a row apart from the others (Liu, Ting & Zhou 2008).
//!
//! Each tree cuts a small sample of the rows by a feature and at a place by chance; a leaf says how many cuts led to it, and
//! how many more would part its rows. A missing value takes a side by chance. Texts are divided by chance.

use super::algorithm::{Algorithm, Context, Fitted};
use super::forest::{count_or_share, usable};
use super::parameter::{Default, Kind, MISSING_BRANCH, Parameters, Specification};
use super::random::{Purpose, Random};
use super::rows::{READ_SHARE, Rows};
use super::sample::Sample;
use super::tree_parameters::N_ESTIMATORS;
use super::{FITTED_SHARE, Metric};
use crate::limits::{SCORE_ROWS_PER_BLOCK, TREE_DEPTH_MAX};
use crate::model::kernel::Kernel;
use crate::model::signature::{CategoryForm, Task, ValueType};
use crate::model::trees::{Child, Finish, Split, Test, Tree, Trees};
use crate::{Error, Result};

/// The algorithm.
pub(crate) struct IsolationForest;

/// Rows that each tree cuts where nothing is said: the paper finds more to be of no use.
const SAMPLE: usize = 256;
/// The score above which a row is an anomaly where nothing is said: that of a row that is as easily set apart as most, and
/// what rounding may add to it, so that of equal rows none is one.
const THRESHOLD: f64 = 0.5 + 1e-9;
/// Euler's constant.
const EULER: f64 = 0.577_215_664_901_532_9;

static PARAMETERS: &[Specification] = &[
    N_ESTIMATORS,
    Specification {
        name: "max_samples",
        kind: Kind::CountShareOrChoice(&["auto"]),
        default: Default::Text("auto"),
        doc: "rows that each tree cuts, as a count or a share; 'auto' for 256, or all where there are fewer",
    },
    Specification {
        name: "contamination",
        kind: Kind::AboveOrChoice(0.0, &["auto"]),
        default: Default::Text("auto"),
        doc: "the share of the training rows that are anomalies, up to 0.5; 'auto' for those with a score above 0.5",
    },
    Specification {
        name: "max_features",
        kind: Kind::CountShareOrChoice(&[]),
        default: Default::Double(1.0),
        doc: "features that each tree cuts by, as a count or a share",
    },
    Specification {
        name: "bootstrap",
        kind: Kind::Boolean,
        default: Default::Boolean(false),
        doc: "whether each tree draws its rows with replacement",
    },
    MISSING_BRANCH,
];

impl Algorithm for IsolationForest {
    fn name(&self) -> &'static str {
        "isolation_forest"
    }

    fn doc(&self) -> &'static str {
        "rows that few cuts by chance set apart from the others"
    }

    fn parameters(&self) -> &'static [Specification] {
        PARAMETERS
    }

    fn texts(&self) -> CategoryForm {
        CategoryForm::Codes
    }

    fn task_without_target(&self) -> Option<Task> {
        Some(Task::Anomaly)
    }

    fn task(&self, _target: ValueType, _parameters: &Parameters) -> std::result::Result<Task, &'static str> {
        Err("no target")
    }

    fn settle(&self, parameters: &mut Parameters, _task: Task) -> Result<()> {
        match parameters.number("contamination").filter(|share| *share > 0.5) {
            None => Ok(()),
            Some(share) => Err(Error::input(format!(
                "parameter `contamination` of isolation_forest: expected a share up to 0.5, or 'auto', found {share}"
            ))),
        }
    }

    fn fit(&self, rows: &Rows, context: &Context<'_>) -> Result<Fitted> {
        let parameters = context.parameters;
        let usable = usable(rows);
        let sample = match parameters.text("max_samples") {
            Some(_) => SAMPLE.min(usable.len()),
            None => count_or_share(parameters, "max_samples", usable.len()),
        };
        let count = parameters.integer("n_estimators").unwrap_or(1);
        let features = count_or_share(parameters, "max_features", rows.features.len());
        context.watch.reserve(context.workers.threads() * (usable.len() + sample) * size_of::<u32>())?;
        let with_replacement = parameters.boolean("bootstrap");
        let trees: Vec<Tree> = context.workers.try_map(count, |tree| {
            context.check_cancelled()?;
            let chosen = Random::new(context.seed, Purpose::Rows, tree as u64);
            let mut rows_of_tree = Sample::new(&usable, sample, with_replacement, None, chosen).rows;
            let mut random = Random::new(context.seed, Purpose::Cuts, tree as u64);
            let mut columns: Vec<usize> = (0..rows.features.len()).collect();
            random.shuffle(&mut columns, features);
            columns.truncate(features);
            Ok(grow(rows, &mut rows_of_tree, &columns, random))
        })?;
        context.watch.progress((READ_SHARE + FITTED_SHARE) / 2.0);
        let expected = if sample < 2 { 1.0 } else { expected_path(sample) };
        let make = |trees, threshold| {
            Trees::new(trees, 1, vec![0.0], Finish::Isolation { expected, threshold }, rows.features.len())
        };
        let model = make(trees, THRESHOLD)?;
        let Some(share) = parameters.number("contamination") else { return Ok(Fitted::new(model, vec![])) };
        let threshold = threshold(&model, rows, share, context)?;
        let metrics = vec![Metric { name: "threshold".to_owned(), value: threshold, step: 0 }];
        Ok(Fitted { kernel: Box::new(make(model.trees, threshold)?), metrics })
    }
}

/// The score that so great a share of the training rows is above.
fn threshold(model: &Trees, rows: &Rows, share: f64, context: &Context<'_>) -> Result<f64> {
    context.watch.reserve(3 * rows.len() * size_of::<f64>())?;
    let columns = rows.columns();
    let blocks = context.workers.try_map(rows.len().div_ceil(SCORE_ROWS_PER_BLOCK), |block| {
        context.check_cancelled()?;
        let start = block * SCORE_ROWS_PER_BLOCK;
        let end = rows.len().min(start + SCORE_ROWS_PER_BLOCK);
        let columns: Vec<&[f64]> = columns.iter().map(|column| &column[start..end]).collect();
        let mut out = vec![0.0; 2 * (end - start)];
        model.score_block(&columns, &mut out);
        Ok(out.chunks_exact(2).map(|row| row[1]).collect::<Vec<f64>>())
    })?;
    let mut scores = blocks.concat();
    scores.sort_unstable_by(f64::total_cmp);
    let place = (1.0 - share) * (scores.len() - 1) as f64;
    let (lower, upper) = (scores[place.floor() as usize], scores[place.ceil() as usize]);
    Ok(lower + (upper - lower) * (place - place.floor()))
}

/// The comparisons that a search in a random tree of so many rows takes on average until it fails.
fn expected_path(rows: usize) -> f64 {
    match rows {
        0 | 1 => 0.0,
        2 => 1.0,
        rows => {
            let rows = rows as f64;
            2.0 * (libm::log(rows - 1.0) + EULER) - 2.0 * (rows - 1.0) / rows
        }
    }
}

/// A tree that is as deep as a balanced one of these rows would be.
fn grow(rows: &Rows, sample: &mut [u32], columns: &[usize], mut random: Random) -> Tree {
    let depth_max = (sample.len().max(2).next_power_of_two().ilog2() as usize).min(TREE_DEPTH_MAX);
    let mut tree = Tree::default();
    let mut columns = columns.to_vec();
    let mut open = vec![(0, sample.len(), 0, None)];
    let alone = sample.len() < 2;
    while let Some((start, end, depth, place)) = open.pop() {
        let node = &mut sample[start..end];
        let cut = if depth < depth_max && node.len() > 1 { cut(rows, node, &mut columns, &mut random) } else { None };
        let child = match cut {
            None => {
                // Where there is but one row, it is as easily set apart as most.
                let path = if alone { 1.0 } else { depth as f64 + expected_path(node.len()) };
                tree.leaves.push(path);
                tree.leaf_rows.push(node.len() as u64);
                Child::Leaf(tree.leaves.len() - 1)
            }
            Some((split, middle)) => {
                let number = tree.splits.len();
                tree.splits.push(split);
                open.push((start + middle, end, depth + 1, Some((number, false))));
                open.push((start, start + middle, depth + 1, Some((number, true))));
                Child::Node(number)
            }
        };
        match place {
            Some((parent, true)) => tree.splits[parent].yes = child,
            Some((parent, false)) => tree.splits[parent].no = child,
            None => {}
        }
    }
    tree
}

/// Cuts some rows by chance, and moves those of the `yes` side to the front; gives how many they are. Nothing where no
/// feature varies.
fn cut(rows: &Rows, node: &mut [u32], columns: &mut [usize], random: &mut Random) -> Option<(Split, usize)> {
    for tried in 0..columns.len() {
        let other = tried + random.below(columns.len() - tried);
        columns.swap(tried, other);
        let feature = columns[tried];
        let values = &rows.features[feature];
        let known = |row: &&u32| !values[**row as usize].is_nan();
        let missing = node.iter().filter(|row| !known(row)).count();
        let test = match rows.categories[feature] {
            0 => place(node.iter().filter(known).map(|row| values[*row as usize]), missing > 0, random),
            _ => division(node.iter().filter(known).map(|row| values[*row as usize] as u8), missing > 0, random),
        };
        let Some(test) = test else { continue };
        let by_chance = random.below(2) == 0;
        let passes = |row: u32| match &test {
            Test::AtMost(threshold) => values[row as usize] <= *threshold,
            Test::AnyOf(codes) => codes.iter().any(|code| f64::from(*code) == values[row as usize]),
        };
        let known_yes = node.iter().filter(|row| passes(**row)).count();
        let known_no = node.len() - missing - known_yes;
        let missing_follows_yes = match (missing, known_yes, known_no) {
            (0, yes, no) => yes >= no,
            (_, _, 0) => false,
            _ => by_chance,
        };
        let yes = |row: u32| passes(row) || (missing_follows_yes && values[row as usize].is_nan());
        node.sort_by_key(|row| !yes(*row));
        let middle = known_yes + if missing_follows_yes { missing } else { 0 };
        let (yes, no, count) = (Child::Leaf(0), Child::Leaf(0), node.len() as u64);
        return Some((Split { feature, test, missing_follows_yes, yes, no, rows: count, gain: 0.0 }, middle));
    }
    None
}

/// A threshold between the least and the greatest value, or above all where the rest is missing.
fn place(values: impl Iterator<Item = f64>, missing: bool, random: &mut Random) -> Option<Test> {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low < high {
        let share = random.uniform();
        let threshold = low * (1.0 - share) + high * share;
        return Some(Test::AtMost(threshold.clamp(low, high.next_down())));
    }
    (missing && low == high).then_some(Test::AtMost(f64::INFINITY))
}

/// Some of the texts, but not all; or all where the rest is missing.
fn division(codes: impl Iterator<Item = u8>, missing: bool, random: &mut Random) -> Option<Test> {
    let mut present: Vec<u8> = codes.collect();
    present.sort_unstable();
    present.dedup();
    let count = match present.len() {
        0 => return None,
        1 if missing => 1,
        1 => return None,
        several => 1 + random.below(several - 1),
    };
    let all = present.len();
    random.shuffle(&mut present, all);
    present.truncate(count);
    present.sort_unstable();
    Some(Test::AnyOf(present))
}

#[cfg(test)]
mod tests {
    use super::super::Value;
    use super::super::target::Target;
    use super::super::testing::{fit, parameters};
    use super::*;

    fn scores(rows: &Rows, given: &[(&str, Value)]) -> (Vec<f64>, Vec<f64>) {
        let fitted = fit(&IsolationForest, rows, 0, &parameters(&IsolationForest, given));
        let mut out = vec![0.0; 2 * rows.len()];
        fitted.kernel.score(&rows.columns(), &mut out);
        out.chunks_exact(2).map(|row| (row[0], row[1])).unzip()
    }

    fn cloud(n: usize) -> Rows {
        let mut random = Random::new(1, Purpose::Rows, 0);
        let mut column = || (0..n).map(|_| random.uniform() + random.uniform()).collect::<Vec<f64>>();
        let mut features = vec![column(), column()];
        features.iter_mut().for_each(|values| values[0] = 9.0);
        Rows::new(features, Target::None(n))
    }

    #[test]
    fn paths_by_the_paper() {
        assert_eq!((expected_path(1), expected_path(2)), (0.0, 1.0));
        // 2 H(255) - 2 · 255/256, with the harmonic number by its definition.
        let harmonic: f64 = (1..256).map(|i| 1.0 / f64::from(i)).sum();
        assert!((expected_path(256) - (2.0 * harmonic - 510.0 / 256.0)).abs() < 5e-3);
    }

    #[test]
    fn what_lies_apart_is_found() {
        let rows = cloud(1_000);
        let (labels, found) = scores(&rows, &[]);
        assert!(found[0] > 0.7 && labels[0] == -1.0, "{}", found[0]);
        assert!(found[1..].iter().all(|score| *score < found[0]));
        assert!(found.iter().zip(&labels).all(|(score, label)| (*score > 0.5) == (*label == -1.0)));
        // As many are anomalies as are said to be.
        let (labels, _) = scores(&rows, &[("contamination", Value::Double(0.1))]);
        assert_eq!(labels.iter().filter(|label| **label == -1.0).count(), 100);
    }

    #[test]
    fn missing_values_and_texts_take_part() {
        let mut rows = cloud(500);
        (100..200).for_each(|row| rows.features[0][row] = f64::NAN);
        let texts = (0..500).map(|row| if row == 7 { 2.0 } else { f64::from(row % 2) }).collect();
        rows.features.push(texts);
        rows.categories.push(3);
        let (_, found) = scores(&rows, &[("n_estimators", Value::Integer(300)), ("max_samples", Value::Double(0.9))]);
        let mean = found.iter().sum::<f64>() / 500.0;
        assert!(found[0] > mean && found[7] > mean, "{} {} {mean}", found[0], found[7]);
    }

    #[test]
    fn rows_that_are_alone_or_equal_are_no_anomalies() {
        for rows in [vec![3.0], vec![3.0; 50], vec![f64::NAN; 4]] {
            let n = rows.len();
            let (labels, found) = scores(&Rows::new(vec![rows], Target::None(n)), &[]);
            assert_eq!(labels, vec![1.0; n]);
            assert!(found.iter().all(|score| (score - 0.5).abs() < 1e-12), "{found:?}");
        }
    }
}
