//! Trees as ONNX operators, written and read back.
//!
//! All trees are one `TreeEnsemble` of ai.onnx.ml 5 with 64-bit thresholds, which ONNX Runtime has from 1.21 on. Where
//! a leaf has one number, the operator adds them up. Where it has one for each sum, the operator says which leaf each
//! tree arrives at, and `Gather` takes its numbers from a table.
//! <https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsemble.html>

use super::{Child, Finish, Split, Test, Tree, Trees};
use crate::Result;
use crate::model::design::Design;
use crate::model::onnx::builder::GraphBuilder;
use crate::model::onnx::hex;
use crate::model::onnx::tensor::data_type;
use crate::model::onnx::view::{GraphView, malformed};
use crate::model::onnx::{Attribute, Node, Tensor};
use crate::model::outputs::{self, LABEL, PREDICTION, PROBABILITIES, SCORE};
use crate::model::signature::{Signature, Task};

const OPERATOR: &str = "TreeEnsemble";
/// The metadata with what is made of the sums.
const FINISH: &str = "limn.finish";
/// The metadata with the training rows of each leaf. The operator's `nodes_hitrates` cannot have them: ONNX's checker
/// wants 32-bit floats there, ONNX Runtime wants the type of the thresholds.
const LEAF_ROWS: &str = "limn.leaf_rows";
/// The metadata with the training rows of each split, where they are not what its leaves have together.
const NODE_ROWS: &str = "limn.node_rows";
/// The metadata with the score above which a row is an anomaly.
const THRESHOLD: &str = "limn.threshold";
/// The metadata with the gain of each split.
const GAINS: &str = "limn.gains";
/// `nodes_modes`: the branch for `x <= threshold`.
const BRANCH_LEQ: u8 = 0;
/// `nodes_modes`: the branch for values of a set.
const BRANCH_MEMBER: u8 = 6;
/// `aggregate_function`: the sum over trees.
const SUM: i64 = 1;
/// By what log-odds are multiplied to become the scores of two classes.
const HALVES: [f64; 2] = [-0.5, 0.5];

/// Writes the trees.
pub(super) fn write(model: &Trees, signature: &Signature, graph: &mut GraphBuilder) {
    write_counts(model, graph);
    let inputs = graph.design(&signature.features);
    let sums =
        if model.leaf_width == 1 { write_sums(model, &inputs, graph) } else { write_rows(model, &inputs, graph) };
    let base = graph.constant(Tensor::of_doubles(&[1, model.base.len()], &model.base), "limn.base");
    let add = |graph: &mut GraphBuilder, name: &str| graph.node("Add", &[&sums, &base], vec![], name);
    let along_classes = vec![Attribute::of_int("axis", 1)];
    match model.finish {
        Finish::Sum | Finish::Mean => {
            let name = if signature.classes.is_empty() { PREDICTION } else { PROBABILITIES };
            let result = if model.finish == Finish::Sum {
                add(graph, name)
            } else {
                let total = add(graph, "limn.total");
                let count = Tensor::of_doubles(&[1, 1], &[model.trees.len() as f64]);
                let count = graph.constant(count, "limn.trees");
                graph.node("Div", &[&total, &count], vec![], name)
            };
            match signature.classes.is_empty() {
                true => outputs::declare_prediction(graph, &result),
                false => outputs::declare_classes(graph, signature, &result),
            }
        }
        Finish::Exp => {
            let logarithm = add(graph, "limn.logarithm");
            let prediction = graph.node("Exp", &[&logarithm], vec![], PREDICTION);
            outputs::declare_prediction(graph, &prediction);
        }
        Finish::Logistic => {
            // As in linear models: unlike `1 - Sigmoid`, this keeps the digits of small probabilities.
            let log_odds = add(graph, "limn.log_odds");
            let halves = graph.constant(Tensor::of_doubles(&[1, 2], &HALVES), "limn.halves");
            let both = graph.node("Mul", &[&log_odds, &halves], vec![], "limn.scores");
            let probabilities = graph.node("Softmax", &[&both], along_classes, PROBABILITIES);
            outputs::declare_classes(graph, signature, &probabilities);
        }
        Finish::Softmax => {
            let scores = add(graph, "limn.scores");
            let probabilities = graph.node("Softmax", &[&scores], along_classes, PROBABILITIES);
            outputs::declare_classes(graph, signature, &probabilities);
        }
        Finish::Isolation { expected, threshold } => {
            let total = add(graph, "limn.total");
            write_isolation(model, expected, threshold, &total, graph);
        }
    }
}

/// `2 ^ (-(total / trees) / expected)`, and whether it is above the threshold. The label is chosen by the total, whose
/// digits every reader of ONNX has, and not by the score, whose last digit is each library's own.
fn write_isolation(model: &Trees, expected: f64, threshold: f64, total: &str, graph: &mut GraphBuilder) {
    let lone =
        |graph: &mut GraphBuilder, value: f64, name: &str| graph.constant(Tensor::of_doubles(&[1, 1], &[value]), name);
    let count = lone(graph, model.trees.len() as f64, "limn.trees");
    let expected = lone(graph, expected, "limn.expected");
    graph.metadata(THRESHOLD, hex::floats([threshold].into_iter()));
    let cut = lone(graph, greatest_anomaly(model), "limn.cut");
    let two = lone(graph, 2.0, "limn.two");
    let mean = graph.node("Div", &[total, &count], vec![], "limn.mean");
    let share = graph.node("Div", &[&mean, &expected], vec![], "limn.share");
    let exponent = graph.node("Neg", &[&share], vec![], "limn.exponent");
    let score = graph.node("Pow", &[&two, &exponent], vec![], SCORE);
    let short = graph.node("LessOrEqual", &[total, &cut], vec![], "limn.short");
    let axis = graph.constant(Tensor::of_int64s(&[1], &[1]), "limn.axis");
    let short = graph.node("Squeeze", &[&short, &axis], vec![], "limn.anomaly");
    let yes = graph.constant(Tensor::of_int64s(&[1], &[-1]), "limn.yes");
    let no = graph.constant(Tensor::of_int64s(&[1], &[1]), "limn.no");
    let label = graph.node("Where", &[&short, &yes, &no], vec![], LABEL);
    outputs::declare_anomaly(graph, &label, &score);
}

/// The greatest total of path lengths whose score is above the threshold; -1 where none is.
fn greatest_anomaly(model: &Trees) -> f64 {
    let is_anomaly = |bits: u64| {
        let mut out = [0.0; 2];
        model.finish(&mut [f64::from_bits(bits)], &mut out);
        out[0] < 0.0
    };
    // Numbers from 0 up are in the order of their bits.
    let (mut low, mut high) = (0, f64::MAX.to_bits());
    if !is_anomaly(low) {
        return -1.0;
    }
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        match is_anomaly(middle) {
            true => low = middle,
            false => high = middle - 1,
        }
    }
    f64::from_bits(low)
}

/// The sums where each leaf has one number: `[N, sums]`.
fn write_sums(model: &Trees, inputs: &str, graph: &mut GraphBuilder) -> String {
    let sums = model.base.len();
    let targets = model.trees.iter().enumerate();
    let targets = targets.flat_map(|(number, tree)| vec![(number % sums) as i64; tree.leaf_rows.len()]).collect();
    let weights: Vec<f64> = model.trees.iter().flat_map(|tree| tree.leaves.iter().copied()).collect();
    graph.ml_node(OPERATOR, &[inputs], attributes(model, sums, targets, &weights), "limn.sums")
}

/// The sums where each leaf has a number for each: the rows of a table of all leaves, added up.
fn write_rows(model: &Trees, inputs: &str, graph: &mut GraphBuilder) -> String {
    let targets = model.trees.iter().enumerate();
    let targets: Vec<i64> = targets.flat_map(|(number, tree)| vec![number as i64; tree.leaf_rows.len()]).collect();
    let numbers: Vec<f64> = (0..targets.len()).map(|leaf| leaf as f64).collect();
    let table: Vec<f64> = model.trees.iter().flat_map(|tree| tree.leaves.iter().copied()).collect();
    let table = graph.constant(Tensor::of_doubles(&[targets.len(), model.leaf_width], &table), "limn.leaves");
    let attributes = attributes(model, model.trees.len(), targets, &numbers);
    let leaves = graph.ml_node(OPERATOR, &[inputs], attributes, "limn.arrived");
    let to_int64 = vec![Attribute::of_int("to", i64::from(data_type::INT64))];
    let leaves = graph.node("Cast", &[&leaves], to_int64, "limn.leaf_numbers");
    let rows = graph.node("Gather", &[&table, &leaves], vec![Attribute::of_int("axis", 0)], "limn.leaf_rows");
    let over_trees = graph.constant(Tensor::of_int64s(&[1], &[1]), "limn.over_trees");
    graph.node("ReduceSum", &[&rows, &over_trees], vec![Attribute::of_int("keepdims", 0)], "limn.sums")
}

/// The splits of a tree. The operator needs one: a tree that is one leaf asks a question whose answer does not matter.
fn or_lone(tree: &Tree) -> &[Split] {
    const LONE: &[Split] = &[Split {
        feature: 0,
        test: Test::AtMost(0.0),
        missing_follows_yes: false,
        yes: Child::Leaf(0),
        no: Child::Leaf(0),
        rows: 0,
        gain: 0.0,
    }];
    if tree.splits.is_empty() { LONE } else { &tree.splits }
}

/// What the operator is told: nodes and leaves of all trees are numbered through.
fn attributes(model: &Trees, n_targets: usize, targets: Vec<i64>, leaf_weights: &[f64]) -> Vec<Attribute> {
    let (mut nodes, mut leaves) = (0, 0);
    let mut roots = Vec::with_capacity(model.trees.len());
    let mut splits: Vec<(&Split, usize, usize)> = Vec::new();
    for tree in &model.trees {
        roots.push(nodes as i64);
        splits.extend(or_lone(tree).iter().map(|split| (split, nodes, leaves)));
        nodes += or_lone(tree).len();
        leaves += tree.leaf_rows.len();
    }
    let ints = |name: &str, value: &dyn Fn(&Split) -> i64| {
        Attribute::of_ints(name, splits.iter().map(|(split, _, _)| value(split)).collect())
    };
    let children = |name: &str, child: &dyn Fn(&Split) -> Child| {
        let number = |(split, nodes, leaves): &(&Split, usize, usize)| match child(split) {
            Child::Node(number) => (nodes + number) as i64,
            Child::Leaf(number) => (leaves + number) as i64,
        };
        Attribute::of_ints(name, splits.iter().map(number).collect())
    };
    let is_leaf = |child: Child| i64::from(matches!(child, Child::Leaf(_)));
    let doubles = |name: &str, values: &[f64]| Attribute::of_tensor(name, Tensor::of_doubles(&[values.len()], values));
    let (mut thresholds, mut modes, mut members) = (Vec::new(), Vec::new(), Vec::new());
    for (split, _, _) in &splits {
        match &split.test {
            Test::AtMost(threshold) => {
                thresholds.push(*threshold);
                modes.push(BRANCH_LEQ);
            }
            Test::AnyOf(codes) => {
                thresholds.push(0.0);
                modes.push(BRANCH_MEMBER);
                members.extend(codes.iter().map(|code| f64::from(*code)));
                members.push(f64::NAN);
            }
        }
    }
    let mut attributes = vec![
        Attribute::of_int("aggregate_function", SUM),
        Attribute::of_ints("leaf_targetids", targets),
        doubles("leaf_weights", leaf_weights),
    ];
    if !members.is_empty() {
        attributes.push(doubles("membership_values", &members));
    }
    attributes.extend([
        Attribute::of_int("n_targets", n_targets as i64),
        ints("nodes_falseleafs", &|split| is_leaf(split.no)),
        children("nodes_falsenodeids", &|split| split.no),
        ints("nodes_featureids", &|split| split.feature as i64),
        ints("nodes_missing_value_tracks_true", &|split| i64::from(split.missing_follows_yes)),
        Attribute::of_tensor("nodes_modes", Tensor::of_uint8s(&[splits.len()], &modes)),
        doubles("nodes_splits", &thresholds),
        ints("nodes_trueleafs", &|split| is_leaf(split.yes)),
        children("nodes_truenodeids", &|split| split.yes),
        Attribute::of_int("post_transform", 0),
        Attribute::of_ints("tree_roots", roots),
    ]);
    attributes
}

fn write_counts(model: &Trees, graph: &mut GraphBuilder) {
    let finish = match model.finish {
        Finish::Sum => "sum",
        Finish::Mean => "mean",
        Finish::Logistic => "logistic",
        Finish::Softmax => "softmax",
        Finish::Exp => "exp",
        Finish::Isolation { .. } => "isolation",
    };
    graph.metadata(FINISH, finish.to_owned());
    graph.metadata(LEAF_ROWS, hex::counts(model.trees.iter().flat_map(|tree| tree.leaf_rows.iter().copied())));
    let splits = || model.trees.iter().flat_map(|tree| &tree.splits);
    let as_leaves = |tree: &Tree| tree.splits.iter().map(|split| split.rows).eq(rows_of_leaves(tree));
    if !model.trees.iter().all(as_leaves) {
        graph.metadata(NODE_ROWS, hex::counts(splits().map(|split| split.rows)));
    }
    if splits().any(|split| split.gain.to_bits() != 0) {
        graph.metadata(GAINS, hex::floats(splits().map(|split| split.gain)));
    }
}

/// The rows of the leaves below each split, added up.
fn rows_of_leaves(tree: &Tree) -> Vec<u64> {
    let mut rows = vec![0_u64; tree.splits.len()];
    for (number, split) in tree.splits.iter().enumerate().rev() {
        let below = |child: Child| match child {
            Child::Node(next) => rows.get(next).copied().unwrap_or_default(),
            Child::Leaf(leaf) => tree.leaf_rows.get(leaf).copied().unwrap_or_default(),
        };
        rows[number] = below(split.yes).wrapping_add(below(split.no));
    }
    rows
}

/// Reads what [`write`] writes.
pub(crate) fn read(view: &GraphView<'_>, signature: &Signature) -> Result<Trees> {
    let columns = Design::new(&signature.features).width();
    let base = view.constant("limn.base")?.doubles()?;
    let node = view.only_node(OPERATOR)?;
    let (leaf_width, leaves) = match view.constant("limn.leaves") {
        Ok(table) => (base.len(), table.doubles()?),
        Err(_) => (1, node.tensor("leaf_weights")?.doubles()?),
    };
    let lone = |name: &str| match view.constant(name)?.doubles()?.as_slice() {
        [value] => Ok(*value),
        other => Err(malformed(format!("expected one number in `{name}`, found {}", other.len()))),
    };
    let (finish, fits) = match view.metadata_text(FINISH).unwrap_or_default() {
        "sum" => (Finish::Sum, one_for_each(signature, base.len())),
        "mean" => (Finish::Mean, one_for_each(signature, base.len())),
        "logistic" => (Finish::Logistic, signature.task == Task::Classification && signature.classes.len() == 2),
        "softmax" => (Finish::Softmax, signature.task == Task::Classification && signature.classes.len() == base.len()),
        "exp" => (Finish::Exp, signature.task == Task::Regression),
        "isolation" => {
            let text = view.metadata_text(THRESHOLD).unwrap_or_default();
            let threshold = hex::read_floats(THRESHOLD, text)?.first().copied().unwrap_or_default();
            let expected = lone("limn.expected")?;
            (Finish::Isolation { expected, threshold }, signature.task == Task::Anomaly)
        }
        other => return Err(malformed(format!("expected what is made of the sums in `{FINISH}`, found `{other}`"))),
    };
    if !fits {
        let task = signature.task.name();
        return Err(malformed(format!("expected sums that fit a {task}, found {}", base.len())));
    }
    let trees = read_trees(node, view, leaf_width, &leaves)?;
    Trees::new(trees, leaf_width, base, finish, columns)
}

fn one_for_each(signature: &Signature, sums: usize) -> bool {
    match signature.task {
        Task::Regression => sums == 1,
        Task::Classification => sums == signature.classes.len(),
        Task::Clustering | Task::Anomaly | Task::Reduction => false,
    }
}

/// Cuts the operator's nodes and leaves into trees.
fn read_trees(node: &Node, view: &GraphView<'_>, width: usize, leaves: &[f64]) -> Result<Vec<Tree>> {
    let mut splits = read_splits(node)?;
    let roots = node.ints("tree_roots")?;
    let roots: Vec<usize> = roots.iter().map(|root| index(*root)).collect::<Result<_>>()?;
    let leaf_rows = hex::read_counts(LEAF_ROWS, view.metadata_text(LEAF_ROWS).unwrap_or_default())?;
    let sound = roots.first() == Some(&0) && roots.is_sorted_by(|a, b| a < b) && roots.last() < Some(&splits.len());
    if !sound || width == 0 || leaf_rows.len().checked_mul(width) != Some(leaves.len()) {
        return Err(malformed(format!("expected trees one after another with {} leaves", leaf_rows.len())));
    }
    let mut trees = Vec::with_capacity(roots.len());
    let mut first_leaf = 0_usize;
    for (number, root) in roots.iter().enumerate().rev() {
        let mut own = splits.split_off(*root);
        let is_lone = own.len() == 1 && own[0].yes == own[0].no;
        let tree_leaves = if is_lone { 1 } else { own.len() + 1 };
        first_leaf += tree_leaves;
        let start = leaf_rows.len().checked_sub(first_leaf);
        let start = start.ok_or_else(|| malformed(format!("expected more leaves in the tree {number}")))?;
        for child in own.iter_mut().flat_map(|split| [&mut split.yes, &mut split.no]) {
            let (number, first) = match child {
                Child::Node(number) => (number, *root),
                Child::Leaf(number) => (number, start),
            };
            let inside = number.checked_sub(first);
            *number = inside.ok_or_else(|| malformed("a tree's node leads to another tree".to_owned()))?;
        }
        if is_lone {
            own.clear();
        }
        let rows = leaf_rows[start..start + tree_leaves].to_vec();
        let numbers = leaves[start * width..(start + tree_leaves) * width].to_vec();
        trees.push(Tree { splits: own, leaves: numbers, leaf_rows: rows });
    }
    if first_leaf != leaf_rows.len() {
        return Err(malformed(format!("expected {first_leaf} leaves, found {}", leaf_rows.len())));
    }
    trees.reverse();
    read_counts(&mut trees, view)?;
    Ok(trees)
}

/// The rows and gains of splits.
fn read_counts(trees: &mut [Tree], view: &GraphView<'_>) -> Result<()> {
    let count: usize = trees.iter().map(|tree| tree.splits.len()).sum();
    let rows: Vec<u64> = match view.metadata_text(NODE_ROWS) {
        Some(text) => hex::read_counts(NODE_ROWS, text)?,
        None => trees.iter().flat_map(rows_of_leaves).collect(),
    };
    let gains = match view.metadata_text(GAINS) {
        Some(text) => hex::read_floats(GAINS, text)?,
        None => vec![0.0; count],
    };
    if rows.len() != count || gains.len() != count {
        return Err(malformed(format!("expected rows and gains of {count} splits")));
    }
    let splits = trees.iter_mut().flat_map(|tree| &mut tree.splits);
    for ((split, rows), gain) in splits.zip(rows).zip(gains) {
        (split.rows, split.gain) = (rows, gain);
    }
    Ok(())
}

fn index(value: i64) -> Result<usize> {
    usize::try_from(value).map_err(|_| malformed(format!("a node has the number {value}")))
}

fn read_splits(node: &Node) -> Result<Vec<Split>> {
    let thresholds = node.tensor("nodes_splits")?.doubles()?;
    let modes = node.tensor("nodes_modes")?.uint8s()?;
    let features = node.ints("nodes_featureids")?;
    let missing = node.ints("nodes_missing_value_tracks_true")?;
    let (yes, yes_leaf) = (node.ints("nodes_truenodeids")?, node.ints("nodes_trueleafs")?);
    let (no, no_leaf) = (node.ints("nodes_falsenodeids")?, node.ints("nodes_falseleafs")?);
    let count = thresholds.len();
    let lengths = [modes.len(), features.len(), missing.len(), yes.len(), yes_leaf.len(), no.len(), no_leaf.len()];
    if lengths.iter().any(|length| *length != count) {
        return Err(malformed(format!("expected {count} values for each attribute of `{OPERATOR}`")));
    }
    let members = match node.attribute("membership_values") {
        Ok(_) => node.tensor("membership_values")?.doubles()?,
        Err(_) => Vec::new(),
    };
    let mut members = members.split(|value| value.is_nan());
    let child = |number: i64, leaf: i64| match leaf {
        0 => index(number).map(Child::Node),
        _ => index(number).map(Child::Leaf),
    };
    let mut splits = Vec::with_capacity(count);
    for i in 0..count {
        let test = match modes[i] {
            BRANCH_MEMBER => {
                let codes = members.next().unwrap_or_default().iter().map(|code| *code as u8);
                Test::AnyOf(codes.collect())
            }
            _ => Test::AtMost(thresholds[i]),
        };
        splits.push(Split {
            feature: index(features[i])?,
            test,
            missing_follows_yes: missing[i] != 0,
            yes: child(yes[i], yes_leaf[i])?,
            no: child(no[i], no_leaf[i])?,
            rows: 0,
            gain: 0.0,
        });
    }
    Ok(splits)
}
