//! Trees as artifacts, and every way to walk them beside the plain one.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, NullArray};
use arrow::compute::filter;
use arrow::datatypes::Float64Type;

use super::super::artifact;
use super::super::design::Design;
use super::super::evaluator::{self, FeatureRange, Known};
use super::super::lanes;
use super::super::onnx::{Model, Node};
use super::super::signature::{Feature, Task};
use super::super::specimens::{self, Dice};
use super::*;

/// Scores by plain steps.
fn plainly(model: &Trees, columns: &[&[f64]], rows: usize) -> Vec<u64> {
    let mut out = vec![0.0; rows * model.width()];
    let sums_per_row = model.base.len();
    for (row, out) in out.chunks_exact_mut(model.width()).enumerate() {
        let mut sums = model.base.clone();
        for (number, tree) in model.trees.iter().enumerate() {
            let leaf = Trees::leaf(tree, &|column| columns[column][row]) * model.leaf_width;
            for part in 0..model.leaf_width {
                let sum = if model.leaf_width == 1 { number % sums_per_row } else { part };
                sums[sum] += tree.leaves[leaf + part];
            }
        }
        model.finish(&mut sums, out);
    }
    out.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn what_is_written_is_read_back_and_scores_the_same() {
    let mut ways = std::collections::BTreeSet::new();
    let directory = std::env::var_os("LIMN_SPECIMENS").map(std::path::PathBuf::from);
    for (name, signature, model) in specimens::all_trees(7) {
        let bytes = artifact::write(&model, &signature, "some_algorithm", &[]).unwrap();
        let (read_signature, read) = artifact::read(&bytes).unwrap();
        assert_eq!(read_signature, signature, "{name}");
        assert_eq!(artifact::write(read.as_ref(), &signature, "some_algorithm", &[]).unwrap(), bytes, "{name}");
        ways.extend(read.describe().split(['(', ',']).nth(1).map(str::to_owned));
        let rows = 1500;
        let arrays = specimens::rows(&mut Dice(3), &signature.features, rows);
        let design = Design::new(&signature.features);
        let read_columns = design.read(&arrays, &[true; 5]).unwrap();
        let columns = read_columns.block(0, rows, &mut []);
        let expected = plainly(&model, &columns, rows);
        let mut out = vec![0.0; rows * read.width()];
        lanes::widest::each(|widest| {
            out.fill(0.0);
            read.score(&columns, &mut out);
            let found: Vec<u64> = out.iter().map(|value| value.to_bits()).collect();
            assert_eq!(found, expected, "{name} {widest}");
        });
        if let Some(directory) = &directory {
            std::fs::write(directory.join(format!("{name}.onnx")), &bytes).unwrap();
            specimens::dump(directory, &name, &signature, &arrays, &out);
        }
    }
    // Every way is among them.
    let all = ["selections of 16 bits", "selections of bytes", "walks over ranks", "walks over values"];
    assert_eq!(ways.iter().map(String::as_str).collect::<Vec<_>>(), all);
}

/// One small model of each kind, as bytes.
fn small_artifacts() -> Vec<(Vec<u8>, Signature)> {
    let small =
        specimens::all_trees(11).into_iter().filter(|(name, _, _)| name.ends_with("_1") || name.ends_with("_8"));
    small.map(|(_, s, model)| (artifact::write(&model, &s, "some_algorithm", &[]).unwrap(), s)).collect()
}

#[test]
fn hostile_bytes_never_panic() {
    let attempt = |bytes: &[u8]| {
        // What still loads must also score.
        if let Ok(model) = evaluator::load(bytes) {
            let features = specimens::rows(&mut Dice(5), &model.signature().features.clone(), 3);
            let _ = model.predict(&features, 3);
            let _ = model.predict_proba(&features, 3);
        }
    };
    let dice = &mut Dice(1);
    for (bytes, _) in small_artifacts() {
        (0..bytes.len()).step_by(7).for_each(|length| attempt(&bytes[..length]));
        for _ in 0..1_000 {
            let mut damaged = bytes.clone();
            for _ in 0..=dice.below(3) {
                let at = dice.below(damaged.len());
                damaged[at] = dice.below(256) as u8;
            }
            attempt(&damaged);
        }
    }
}

#[test]
fn cycles_and_counts_that_do_not_fit_are_refused() {
    for (bytes, signature) in small_artifacts() {
        let refused = |edit: &dyn Fn(&mut Node)| {
            let mut model = Model::decode_from_bytes(&bytes).unwrap();
            let nodes = &mut model.graph.as_mut().unwrap().nodes;
            edit(nodes.iter_mut().find(|node| node.op_type == "TreeEnsemble").unwrap());
            assert!(evaluator::load(&model.encode_to_bytes()).is_err(), "{signature:?}");
        };
        let ints = |name: &'static str, edit: fn(&mut Vec<i64>)| {
            refused(&|node| edit(&mut node.attributes.iter_mut().find(|a| a.name == name).unwrap().ints));
        };
        for name in ["nodes_truenodeids", "nodes_falsenodeids", "nodes_featureids", "tree_roots", "leaf_targetids"] {
            ints(name, |values| values[0] = -1);
            ints(name, |values| values[0] = i64::MAX);
            ints(name, |values| values.push(0));
            ints(name, |values| values.truncate(values.len() - 1));
            ints(name, |values| values.resize(1 << 16, 0));
        }
        // A node that leads to itself.
        refused(&|node| {
            for attribute in &mut node.attributes {
                match attribute.name.as_str() {
                    "nodes_trueleafs" | "nodes_truenodeids" => attribute.ints[0] = 0,
                    _ => {}
                }
            }
            let lone =
                node.attributes.iter().any(|a| a.name == "nodes_splits" && a.tensor.as_ref().unwrap().dims == [1]);
            if lone {
                node.attributes.clear();
            }
        });
    }
}

#[test]
fn a_tree_deeper_than_the_limit_is_refused() {
    let chain = |depth: usize| {
        let split = |number: usize| Split {
            feature: 0,
            test: Test::AtMost(number as f64),
            missing_follows_yes: false,
            yes: Child::Leaf(number),
            no: if number + 1 == depth { Child::Leaf(depth) } else { Child::Node(number + 1) },
            rows: 1,
            gain: 1.0,
        };
        let splits = (0..depth).map(split).collect();
        let tree = Tree { splits, leaves: vec![1.0; depth + 1], leaf_rows: vec![1; depth + 1] };
        Trees::new(vec![tree], 1, vec![0.0], Finish::Sum, 1)
    };
    assert!(chain(TREE_DEPTH_MAX).is_ok());
    assert!(chain(TREE_DEPTH_MAX + 1).is_err());
}

/// Ranges at random, and the rows of `arrays` that are within them.
fn ranges_and_rows(dice: &mut Dice, features: &[Feature], arrays: &[ArrayRef]) -> (Vec<FeatureRange>, Vec<ArrayRef>) {
    let mut kept = vec![true; arrays[0].len()];
    let mut ranges = Vec::new();
    for (feature, array) in features.iter().zip(arrays) {
        let missing = dice.below(2) == 0;
        let known = match (dice.below(3), &feature.categories) {
            (0, _) => Known::Nothing,
            (_, Some(categories)) => {
                let mut texts = vec!["another".to_owned()];
                for _ in 0..1 + dice.below(4) {
                    texts.push(categories.values[dice.below(categories.values.len())].clone());
                }
                Known::Texts(texts.split_off(dice.below(2)))
            }
            (1, None) => Known::Between(dice.pick(&[-2.5, -0.0, 0.1, 1.0]), f64::INFINITY),
            (_, None) => Known::Between(dice.pick(&[-1e300, -1.0, 0.0]), dice.pick(&[0.0, 1.0])),
        };
        for (row, kept) in kept.iter_mut().enumerate() {
            *kept &= match (&known, array.is_null(row)) {
                (_, true) => missing,
                (Known::Nothing, _) if feature.categories.is_some() => true,
                (Known::Texts(texts), _) => texts.iter().any(|text| text == array.as_string::<i32>().value(row)),
                (known, _) => match array.as_primitive::<Float64Type>().value(row) {
                    value if value.is_nan() => missing,
                    value => !matches!(known, Known::Between(low, high) if value < *low || value > *high),
                },
            };
        }
        ranges.push(FeatureRange { known, missing });
    }
    let kept = BooleanArray::from(kept);
    (ranges, arrays.iter().map(|array| filter(array, &kept).unwrap()).collect())
}

#[test]
fn what_ranges_leave_of_a_model_gives_the_same_to_rows_within_them() {
    let dice = &mut Dice(23);
    let (mut smaller, mut unused, mut compared) = (0, 0, 0);
    for (name, signature, model) in specimens::all_trees(9) {
        let evaluator = evaluator::load(&artifact::write(&model, &signature, "a", &[]).unwrap()).unwrap();
        for _ in 0..4 {
            let arrays = specimens::rows(dice, &signature.features, 1000);
            let (ranges, rows) = ranges_and_rows(dice, &signature.features, &arrays);
            let Some(special) = evaluator.specialise(&ranges) else { continue };
            smaller += 1;
            let count = rows[0].len();
            compared += count;
            let nothing: ArrayRef = Arc::new(NullArray::new(count));
            let used = special.used_features();
            unused += used.iter().filter(|used| !**used).count();
            let given: Vec<ArrayRef> =
                rows.iter().zip(used).map(|(rows, used)| Arc::clone(if used { rows } else { &nothing })).collect();
            let predicted = special.predict(&given, count).unwrap();
            assert_eq!(&predicted, &evaluator.predict(&rows, count).unwrap(), "{name} {ranges:?}");
            if signature.task != Task::Regression {
                let found = special.predict_proba(&given, count).unwrap();
                assert_eq!(&found, &evaluator.predict_proba(&rows, count).unwrap(), "{name} {ranges:?}");
            }
        }
    }
    // Most ranges leave out something, and there are rows that show that it was the right thing.
    assert!(smaller > 100 && unused > 10 && compared > 1000, "{smaller} {unused} {compared}");
}
