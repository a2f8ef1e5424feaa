//! A tree as ONNX operators, written and read back.
//!
//! `TreeEnsemble` of ai.onnx.ml 5 with 64-bit thresholds, which ONNX Runtime has from 1.21 on (`TreeEnsembleRegressor`
//! gives 32-bit results). A leaf of it has one number: the prediction of a regressor; of a classifier the leaf's number,
//! by which `Gather` takes the row of probabilities.
//! <https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsemble.html>

use super::{Child, Split, Tree};
use crate::Result;
use crate::limits::TREE_NODES_MAX;
use crate::model::design::Design;
use crate::model::kernel::Kernel;
use crate::model::onnx::builder::GraphBuilder;
use crate::model::onnx::tensor::data_type;
use crate::model::onnx::view::{GraphView, malformed};
use crate::model::onnx::{Attribute, Node, Tensor};
use crate::model::outputs::{self, PREDICTION, PROBABILITIES};
use crate::model::signature::{Signature, Task};

/// The operator by which a tree is recognised.
pub(crate) const OPERATOR: &str = "TreeEnsemble";
/// The metadata with the training rows of each node. The operator's `nodes_hitrates` cannot have them: ONNX's checker
/// wants 32-bit floats there, ONNX Runtime wants the type of the thresholds.
const NODE_ROWS: &str = "limn.node_rows";
/// `nodes_modes`: the branch for `x <= threshold`.
const BRANCH_LEQ: u8 = 0;
/// `aggregate_function`: the sum over trees.
const SUM: i64 = 1;

/// Writes the tree.
pub(super) fn write(tree: &Tree, signature: &Signature, graph: &mut GraphBuilder) {
    let rows: Vec<String> = or_lone(tree.splits()).iter().map(|split| split.rows.to_string()).collect();
    graph.metadata(NODE_ROWS, rows.join(" "));
    let inputs = graph.design(&signature.features);
    match signature.task {
        Task::Regression | Task::Clustering | Task::Anomaly | Task::Reduction => {
            let prediction = graph.ml_node(OPERATOR, &[&inputs], attributes(tree, tree.leaves()), PREDICTION);
            outputs::declare_prediction(graph, &prediction);
        }
        Task::Classification => {
            let leaf_count = tree.leaves().len() / tree.width();
            let numbers: Vec<f64> = (0..leaf_count).map(|leaf| leaf as f64).collect();
            let leaf = graph.ml_node(OPERATOR, &[&inputs], attributes(tree, &numbers), "limn.leaf");
            let to_int64 = vec![Attribute::of_int("to", i64::from(data_type::INT64))];
            let leaf = graph.node("Cast", &[&leaf], to_int64, "limn.leaf_number");
            let axis = graph.constant(Tensor::of_int64s(&[1], &[1]), "limn.axis");
            let leaf = graph.node("Squeeze", &[&leaf, &axis], vec![], "limn.leaf_row");
            let table = Tensor::of_doubles(&[leaf_count, tree.width()], tree.leaves());
            let table = graph.constant(table, "limn.leaf_probabilities");
            let by_row = vec![Attribute::of_int("axis", 0)];
            let probabilities = graph.node("Gather", &[&table, &leaf], by_row, PROBABILITIES);
            outputs::declare_classes(graph, signature, &probabilities);
        }
    }
}

/// The splits, of which the operator needs one: a tree that is one leaf asks a question whose answer does not matter.
fn or_lone(splits: &[Split]) -> &[Split] {
    const LONE: &[Split] = &[Split {
        feature: 0,
        threshold: 0.0,
        missing_follows_yes: false,
        yes: Child::Leaf(0),
        no: Child::Leaf(0),
        rows: 0,
    }];
    if splits.is_empty() { LONE } else { splits }
}

fn attributes(tree: &Tree, leaf_weights: &[f64]) -> Vec<Attribute> {
    let splits = or_lone(tree.splits());
    let ints = |name: &str, value: &dyn Fn(&Split) -> i64| Attribute::of_ints(name, splits.iter().map(value).collect());
    let number = |child: Child| match child {
        Child::Node(n) | Child::Leaf(n) => n as i64,
    };
    let is_leaf = |child: Child| i64::from(matches!(child, Child::Leaf(_)));
    let doubles = |name: &str, values: &[f64]| Attribute::of_tensor(name, Tensor::of_doubles(&[values.len()], values));
    let thresholds: Vec<f64> = splits.iter().map(|split| split.threshold).collect();
    vec![
        Attribute::of_int("aggregate_function", SUM),
        Attribute::of_ints("leaf_targetids", vec![0; leaf_weights.len()]),
        doubles("leaf_weights", leaf_weights),
        Attribute::of_int("n_targets", 1),
        ints("nodes_falseleafs", &|split| is_leaf(split.no)),
        ints("nodes_falsenodeids", &|split| number(split.no)),
        ints("nodes_featureids", &|split| split.feature as i64),
        ints("nodes_missing_value_tracks_true", &|split| i64::from(split.missing_follows_yes)),
        Attribute::of_tensor("nodes_modes", Tensor::of_uint8s(&[splits.len()], &vec![BRANCH_LEQ; splits.len()])),
        doubles("nodes_splits", &thresholds),
        ints("nodes_trueleafs", &|split| is_leaf(split.yes)),
        ints("nodes_truenodeids", &|split| number(split.yes)),
        Attribute::of_int("post_transform", 0),
        Attribute::of_ints("tree_roots", vec![0]),
    ]
}

/// Reads what [`write`] writes.
pub(crate) fn read(view: &GraphView<'_>, signature: &Signature) -> Result<Tree> {
    let columns = Design::new(&signature.features).width();
    let node = view.only_node(OPERATOR)?;
    let rows = view.metadata_text(NODE_ROWS).unwrap_or_default().split_whitespace().map(str::parse);
    let rows: Vec<u64> = rows
        .collect::<std::result::Result<_, _>>()
        .map_err(|e| malformed(format!("expected whole numbers in `{NODE_ROWS}`: {e}")))?;
    let splits = splits(node, &rows)?;
    match signature.task {
        Task::Classification => {
            let table = view.constant("limn.leaf_probabilities")?.doubles()?;
            Tree::new(splits, table, signature.classes.len(), columns)
        }
        _ => Tree::new(splits, node.tensor("leaf_weights")?.doubles()?, 1, columns),
    }
}

fn splits(node: &Node, rows: &[u64]) -> Result<Vec<Split>> {
    let thresholds = node.tensor("nodes_splits")?.doubles()?;
    let features = node.ints("nodes_featureids")?;
    let missing = node.ints("nodes_missing_value_tracks_true")?;
    let (yes, yes_leaf) = (node.ints("nodes_truenodeids")?, node.ints("nodes_trueleafs")?);
    let (no, no_leaf) = (node.ints("nodes_falsenodeids")?, node.ints("nodes_falseleafs")?);
    let count = thresholds.len();
    let lengths = [rows.len(), features.len(), missing.len(), yes.len(), yes_leaf.len(), no.len(), no_leaf.len()];
    if lengths.iter().any(|length| *length != count) || count > TREE_NODES_MAX {
        return Err(malformed(format!("expected {count} values for each attribute of `{OPERATOR}`")));
    }
    let index = |value: i64| usize::try_from(value).map_err(|_| malformed(format!("a node has the number {value}")));
    let child = |number: i64, leaf: i64| match leaf {
        0 => index(number).map(Child::Node),
        _ => index(number).map(Child::Leaf),
    };
    let split = |i: usize| {
        Ok(Split {
            feature: index(features[i])?,
            threshold: thresholds[i],
            missing_follows_yes: missing[i] != 0,
            yes: child(yes[i], yes_leaf[i])?,
            no: child(no[i], no_leaf[i])?,
            rows: rows[i],
        })
    };
    (0..count).map(split).collect()
}
