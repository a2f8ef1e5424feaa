//! Models made at random, with the rows that are hard for them: what every evaluator and every graph must agree on.
//!
//! Thresholds and values are drawn from the same few numbers, infinities, zeros of both signs and the least numbers
//! above zero among them, so that rows lie exactly at thresholds all the time.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, StringArray};

use super::design::Design;
use super::linear::{Linear, Link};
use super::signature::{Categories, CategoryForm, ClassLabel, Feature, Missing, Signature, Task, ValueType};
use super::trees::{Child, Finish, Split, Test, Tree, Trees};

/// Random numbers by a counter.
#[derive(Debug)]
pub(crate) struct Dice(pub u64);

impl Dice {
    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as usize % end
    }

    /// A number of [-1, 1).
    pub fn number(&mut self) -> f64 {
        self.below(1 << 30) as f64 / (1 << 29) as f64 - 1.0
    }

    /// One of the values.
    pub fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }
}

/// The numbers that thresholds and values are drawn from.
const HARD: [f64; 15] = [
    f64::NEG_INFINITY,
    -1e300,
    -2.5,
    -1.0,
    -f64::MIN_POSITIVE,
    -5e-324,
    -0.0,
    0.0,
    5e-324,
    f64::MIN_POSITIVE,
    0.1,
    1.0,
    1.0000000000000002,
    1e300,
    f64::INFINITY,
];

/// Texts that features know.
pub(crate) fn texts(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("t{i:03}ü")).collect()
}

/// Numbers, and texts of a few and of many categories in this form.
pub(crate) fn features(form: CategoryForm) -> Vec<Feature> {
    let text = |name: &str, count| Feature {
        categories: Some(Categories { form, values: texts(count), others: 0 }),
        ..Feature::new(name, ValueType::Text)
    };
    let numbers = ["a", "größe", "prediction"].map(|name| Feature::new(name, ValueType::Double));
    numbers.into_iter().chain([text("few", 3), text("many", 200)]).collect()
}

/// The columns of `features` for so many rows.
pub(crate) fn rows(dice: &mut Dice, features: &[Feature], count: usize) -> Vec<ArrayRef> {
    let mut columns: Vec<ArrayRef> = Vec::new();
    for feature in features {
        if let Some(categories) = &feature.categories {
            let mut text = || match dice.below(8) {
                0 => None,
                1 => Some("another"),
                _ => Some(categories.values[dice.below(categories.values.len())].as_str()),
            };
            columns.push(Arc::new((0..count).map(|_| text()).collect::<StringArray>()));
        } else {
            let value = |_| hard_value(dice);
            columns.push(Arc::new((0..count).map(value).collect::<Float64Array>()));
        }
    }
    columns
}

fn hard_value(dice: &mut Dice) -> Option<f64> {
    match dice.below(10) {
        0 => None,
        1 => Some(f64::NAN),
        2 => Some(dice.number() * 3.0),
        3 => Some(dice.pick(&HARD).next_up()),
        4 => Some(dice.pick(&HARD).next_down()),
        _ => Some(dice.pick(&HARD)),
    }
}

/// How a random tree's features are cut.
fn test(dice: &mut Dice, feature: &Feature) -> Test {
    let Some(categories) = &feature.categories else {
        let value = if dice.below(4) == 0 { dice.number() * 3.0 } else { dice.pick(&HARD) };
        return Test::AtMost(value);
    };
    let share = 1 + dice.below(6);
    let mut codes: Vec<u8> = (0..categories.values.len() as u8).filter(|_| dice.below(7) < share).collect();
    if codes.is_empty() {
        codes.push(0);
    }
    Test::AnyOf(codes)
}

/// A tree of so many leaves, of any shape, with leaves of `width` numbers.
pub(crate) fn tree(dice: &mut Dice, features: &[Feature], leaves: usize, width: usize) -> Tree {
    let mut made = Tree::default();
    // Parts of the tree that are still to be made, with how many leaves each gets and who leads there.
    let mut parts: Vec<(usize, Option<(usize, bool)>)> = vec![(leaves, None)];
    while !parts.is_empty() {
        let next = if dice.below(2) == 0 { 0 } else { parts.len() - 1 };
        let (count, parent) = parts.remove(next);
        let child = if count == 1 {
            made.leaf_rows.push(dice.below(1000) as u64);
            made.leaves.extend((0..width).map(|_| dice.number()));
            Child::Leaf(made.leaf_rows.len() - 1)
        } else {
            let feature = dice.below(features.len());
            made.splits.push(Split {
                feature,
                test: test(dice, &features[feature]),
                missing_follows_yes: dice.below(2) == 0,
                yes: Child::Leaf(0),
                no: Child::Leaf(0),
                rows: 0,
                gain: dice.number(),
            });
            let number = made.splits.len() - 1;
            // Some trees are chains, others are even.
            let left = if dice.below(5) == 0 { 1 } else { (count / 2).max(1) + dice.below(count.div_ceil(4)) };
            let left = left.min(count - 1);
            parts.push((left, Some((number, true))));
            parts.push((count - left, Some((number, false))));
            Child::Node(number)
        };
        if let Some((number, is_yes)) = parent {
            let split = &mut made.splits[number];
            *if is_yes { &mut split.yes } else { &mut split.no } = child;
        }
    }
    made
}

/// A signature of that many classes over `features`; 0 is a regression.
pub(crate) fn signature(task: Task, classes: usize, features: Vec<Feature>) -> Signature {
    let classes: Vec<ClassLabel> = match classes {
        2 => vec![ClassLabel::Boolean(false), ClassLabel::Boolean(true)],
        3 => ["a", "b", "ü"].map(|text| ClassLabel::Text(text.to_owned())).to_vec(),
        _ => (0..classes as i64).map(|class| ClassLabel::BigInt(class * 10 - 5)).collect(),
    };
    let value_type = match classes.first() {
        None => ValueType::Double,
        Some(ClassLabel::Boolean(_)) => ValueType::Boolean,
        Some(ClassLabel::Text(_)) => ValueType::Text,
        Some(ClassLabel::BigInt(_)) => ValueType::BigInt,
    };
    let target = matches!(task, Task::Regression | Task::Classification).then(|| Feature::new("y", value_type));
    Signature { task, target, features, classes, missing: Missing::Learned }
}

/// Trees of every kind, a name for each.
pub(crate) fn all_trees(seed: u64) -> Vec<(String, Signature, Trees)> {
    let dice = &mut Dice(seed);
    let isolation = Finish::Isolation { expected: 1.5, threshold: 0.51 };
    let mut made = Vec::new();
    for (name, task, classes, finish, width, base) in [
        ("sum", Task::Regression, 0, Finish::Sum, 1, vec![0.25]),
        ("mean", Task::Regression, 0, Finish::Mean, 1, vec![0.0]),
        ("exp", Task::Regression, 0, Finish::Exp, 1, vec![-1.0]),
        ("logistic", Task::Classification, 2, Finish::Logistic, 1, vec![0.5]),
        ("softmax", Task::Classification, 3, Finish::Softmax, 1, vec![0.1, -0.1, 0.0]),
        ("forest", Task::Classification, 3, Finish::Mean, 3, vec![0.0; 3]),
        ("tree", Task::Classification, 4, Finish::Sum, 4, vec![0.0; 4]),
        ("isolation", Task::Anomaly, 0, isolation, 1, vec![0.0]),
    ] {
        for leaves in [1, 2, 8, 64, 200, 300] {
            let features = features(CategoryForm::Codes);
            let trees = if name == "tree" { 1 } else { base.len() * 4 };
            let sizes = |dice: &mut Dice| if leaves == 1 { 1 } else { leaves / 2 + dice.below(leaves / 2) + 1 };
            let trees = (0..trees).map(|_| {
                let leaves = sizes(dice);
                tree(dice, &features, leaves, width)
            });
            let trees: Vec<Tree> = trees.collect();
            let columns = features.len();
            let trees = Trees::new(trees, width, base.clone(), finish, columns).unwrap();
            made.push((format!("{name}_{leaves}"), signature(task, classes, features), trees));
        }
    }
    made
}

/// Linear models of every link over numbers and texts as indicators, some columns without a weight.
pub(crate) fn all_linear(seed: u64) -> Vec<(String, Signature, Linear)> {
    let dice = &mut Dice(seed);
    let mut made = Vec::new();
    for (name, task, classes, link, sums) in [
        ("identity", Task::Regression, 0, Link::Identity, 1),
        ("exp", Task::Regression, 0, Link::Exp, 1),
        ("logistic", Task::Classification, 2, Link::Logistic, 1),
        ("softmax", Task::Classification, 3, Link::Softmax, 3),
    ] {
        for unused in [0, 3] {
            let features = features(CategoryForm::Indicators);
            let columns = Design::new(&features).width();
            let mut numbers = |count: usize| -> Vec<f64> { (0..count).map(|_| dice.number()).collect() };
            let mut weights: Vec<Vec<f64>> = (0..sums).map(|_| numbers(columns)).collect();
            // A third of the columns, the second number and the fewer of the texts among them.
            let without = |column: usize| unused > 0 && (column % unused == 1 || (3..6).contains(&column));
            for weights in &mut weights {
                (0..columns).filter(|column| without(*column)).for_each(|column| weights[column] = 0.0);
            }
            let model = Linear { means: numbers(columns), weights, intercepts: numbers(sums), link };
            made.push((format!("linear_{name}_{unused}"), signature(task, classes, features), model));
        }
    }
    made
}

/// Writes rows and what a model makes of them, for a reader of ONNX to compare with.
pub(crate) fn dump(directory: &std::path::Path, name: &str, signature: &Signature, rows: &[ArrayRef], scores: &[f64]) {
    use arrow::array::AsArray;
    let column = |(feature, array): (&Feature, &ArrayRef)| match &feature.categories {
        Some(categories) => {
            let null = super::onnx::builder::null_text(&categories.values);
            let text = |text: Option<&str>| text.unwrap_or(&null).to_owned();
            serde_json::json!(array.as_string::<i32>().iter().map(text).collect::<Vec<String>>())
        }
        None => {
            let values = array.as_primitive::<arrow::datatypes::Float64Type>().iter();
            let bits = values.map(|v| v.unwrap_or(f64::NAN).to_bits().to_string());
            serde_json::json!(bits.collect::<Vec<String>>())
        }
    };
    let columns: Vec<serde_json::Value> = signature.features.iter().zip(rows).map(column).collect();
    let bits: Vec<String> = scores.iter().map(|score| score.to_bits().to_string()).collect();
    let names: Vec<&str> = signature.features.iter().map(|feature| feature.name.as_str()).collect();
    let text = serde_json::json!({ "task": signature.task.name(), "names": names, "columns": columns, "scores": bits });
    std::fs::write(directory.join(format!("{name}.json")), text.to_string()).unwrap();
}
