//! Artifacts as bytes: what is written, what is read back, and what hostile bytes do (nothing).

mod shapes;

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};

use super::artifact;
use super::design::Design;
use super::evaluator::load;
use super::kernel::Kernel;
use super::linear::{Linear, Link};
use super::onnx::{Entry, Model};
use super::signature::{ClassLabel, Feature, Missing, Signature, Task, ValueType};
use super::specimens::{self, Dice};
use super::trees::{Child, Finish, Split, Test, Tree, Trees};
use crate::ErrorClass;
use crate::train::Value;

fn signature(classes: Vec<ClassLabel>) -> Signature {
    let feature = |name: &str, value_type| Feature::new(name, value_type);
    let (task, value_type) = match classes.first() {
        None => (Task::Regression, ValueType::Double),
        Some(ClassLabel::Boolean(_)) => (Task::Classification, ValueType::Boolean),
        Some(ClassLabel::BigInt(_)) => (Task::Classification, ValueType::BigInt),
        Some(ClassLabel::Text(_)) => (Task::Classification, ValueType::Text),
    };
    let features = vec![feature("a", ValueType::Double), feature("größe", ValueType::BigInt)];
    Signature { task, target: Some(feature("y", value_type)), features, classes, missing: Missing::Learned }
}

fn linear(link: Link, sums: usize) -> Box<dyn Kernel> {
    let weights = (0..sums).map(|sum| vec![0.1 + sum as f64, -2.0]).collect();
    let intercepts = (0..sums).map(|sum| sum as f64).collect();
    Box::new(Linear { means: vec![1.0, 1e300], weights, intercepts, link })
}

fn tree(width: usize) -> Box<dyn Kernel> {
    let split = |feature, threshold, missing_follows_yes, yes, no, rows| Split {
        feature,
        test: Test::AtMost(threshold),
        missing_follows_yes,
        yes,
        no,
        rows,
        gain: 0.5,
    };
    let splits = vec![
        split(1, 0.5, true, Child::Leaf(0), Child::Node(1), 10),
        split(0, f64::INFINITY, false, Child::Leaf(1), Child::Leaf(2), 7),
    ];
    let leaves = (0..3 * width).map(|i| i as f64 / 10.0).collect();
    trees(Tree { splits, leaves, leaf_rows: vec![3, 4, 3] }, width)
}

fn trees(tree: Tree, width: usize) -> Box<dyn Kernel> {
    Box::new(Trees::new(vec![tree], width, vec![0.0; width], Finish::Sum, 2).unwrap())
}

/// One artifact of each shape.
fn artifacts() -> Vec<(Vec<u8>, Signature, Box<dyn Kernel>)> {
    let text = ["a", "b", "ü"].map(|text| ClassLabel::Text(text.to_owned())).to_vec();
    let flags = vec![ClassLabel::Boolean(false), ClassLabel::Boolean(true)];
    let numbers = [-1, 4, 7].map(ClassLabel::BigInt).to_vec();
    let lone = trees(Tree { splits: vec![], leaves: vec![4.5], leaf_rows: vec![10] }, 1);
    let cases = vec![
        (signature(vec![]), linear(Link::Identity, 1)),
        (signature(vec![]), linear(Link::Exp, 1)),
        (signature(flags.clone()), linear(Link::Logistic, 1)),
        (signature(text.clone()), linear(Link::Softmax, 3)),
        (signature(vec![]), tree(1)),
        (signature(vec![]), lone),
        (signature(flags), tree(2)),
        (signature(numbers), tree(3)),
        (signature(text), tree(3)),
    ];
    let parameters = [("alpha".to_owned(), Value::Double(0.5)), ("a".to_owned(), Value::Null)];
    let write = |(signature, kernel): (Signature, Box<dyn Kernel>)| {
        let bytes = artifact::write(kernel.as_ref(), &signature, "some_algorithm", &parameters).unwrap();
        (bytes, signature, kernel)
    };
    cases.into_iter().chain(shapes::kernels()).map(write).collect()
}

fn scores(kernel: &dyn Kernel) -> Vec<u64> {
    let columns: [&[f64]; 2] = [&[0.3, f64::NAN, 7.0, -1.0, 1e9], &[1.0, f64::NAN, 0.5, f64::INFINITY, -2.0]];
    let mut out = vec![0.0; 5 * kernel.width()];
    kernel.score(&columns, &mut out);
    out.iter().map(|score| score.to_bits()).collect()
}

#[test]
fn what_is_written_is_read_back_bit_for_bit() {
    for (bytes, signature, kernel) in artifacts() {
        let (read_signature, read) = artifact::read(&bytes).unwrap();
        assert_eq!(read_signature, signature);
        assert_eq!(scores(read.as_ref()), scores(kernel.as_ref()));
        // Writing what was read gives the same bytes, the counts of rows in the metadata included.
        let parameters = [("alpha".to_owned(), Value::Double(0.5)), ("a".to_owned(), Value::Null)];
        assert_eq!(artifact::write(read.as_ref(), &signature, "some_algorithm", &parameters).unwrap(), bytes);
    }
}

#[test]
fn linear_models_of_texts_are_read_back_and_need_only_what_has_a_weight() {
    let directory = std::env::var_os("LIMN_SPECIMENS").map(std::path::PathBuf::from);
    for (name, signature, model) in specimens::all_linear(5) {
        let bytes = artifact::write(&model, &signature, "some_algorithm", &[]).unwrap();
        let (_, read) = artifact::read(&bytes).unwrap();
        assert_eq!(artifact::write(read.as_ref(), &signature, "some_algorithm", &[]).unwrap(), bytes, "{name}");
        let rows = 1000;
        let arrays = specimens::rows(&mut Dice(3), &signature.features, rows);
        let design = Design::new(&signature.features);
        let (columns, mut scratch) = (design.read(&arrays, &[true; 5]).unwrap(), design.scratch());
        let mut out = vec![0.0; rows * read.width()];
        read.score(&columns.block(0, rows, &mut scratch), &mut out);
        let used = load(&bytes).unwrap().used_features();
        match name.ends_with("_0") {
            true => assert_eq!(used, [true; 5]),
            false => assert_eq!(used, [true, false, true, false, true]),
        }
        if let Some(directory) = &directory {
            std::fs::write(directory.join(format!("{name}.onnx")), &bytes).unwrap();
            specimens::dump(directory, &name, &signature, &arrays, &out);
        }
    }
}

#[test]
fn metadata_is_in_order_and_has_nothing_that_changes() {
    let (bytes, _, _) = artifacts().remove(0);
    let model = Model::decode_from_bytes(&bytes).unwrap();
    let text = |key: &str| model.metadata.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str());
    assert_eq!(text("limn.algorithm"), Some("some_algorithm"));
    assert_eq!(text("limn.parameters"), Some(r#"{"alpha":"0.5","a":"null"}"#));
    assert_eq!(
        text("limn.signature"),
        Some(concat!(
            r#"{"task":"regression","target":{"name":"y","value_type":"double"},"#,
            r#""features":[{"name":"a","value_type":"double"},{"name":"größe","value_type":"bigint"}]}"#
        ))
    );
    assert_eq!(text("limn.kernel"), Some("linear"));
    assert_eq!((model.producer_name.as_str(), model.metadata.len(), model.ir_version), ("limn", 4, 8));
}

#[test]
fn operators_and_models_of_others_are_unsupported_by_name() {
    let (bytes, _, _) = artifacts().remove(0);
    let change = |edit: &dyn Fn(&mut Model)| {
        let mut model = Model::decode_from_bytes(&bytes).unwrap();
        edit(&mut model);
        load(&model.encode_to_bytes()).unwrap_err()
    };
    let error = change(&|model| model.graph.as_mut().unwrap().nodes[3].op_type = "Conv".to_owned());
    assert_eq!(error.class(), ErrorClass::Unsupported);
    assert_eq!(error.to_string(), "the operator `Conv` is not supported in this place of a graph: expected `MatMul`");
    let error = change(&|model| model.graph.as_mut().unwrap().nodes[3].op_type = "Mul".to_owned());
    assert_eq!(error.class(), ErrorClass::Unsupported);
    assert_eq!(error.to_string(), "the operator `Mul` is not supported in this place of a graph: expected `MatMul`");
    let error = change(&|model| model.metadata.clear());
    assert_eq!(error.class(), ErrorClass::Unsupported);
    let error = change(&|model| model.graph = None);
    assert_eq!((error.class(), error.message()), (ErrorClass::Input, "malformed model: expected a graph, found none"));
    let error = load(b"PK\x03\x04 not a model").unwrap_err();
    assert_eq!(error.class(), ErrorClass::Input);
    let error = load(b"").unwrap_err();
    assert_eq!(error.class(), ErrorClass::Input);
}

#[test]
fn inconsistent_models_are_refused() {
    for (bytes, signature, _) in artifacts() {
        let refused = |edit: &dyn Fn(&mut Model)| {
            let mut model = Model::decode_from_bytes(&bytes).unwrap();
            edit(&mut model);
            assert!(load(&model.encode_to_bytes()).is_err(), "{signature:?}");
        };
        refused(&|model| model.graph.as_mut().unwrap().inputs.reverse());
        refused(&|model| drop(model.graph.as_mut().unwrap().outputs.pop()));
        refused(&|model| drop(model.graph.as_mut().unwrap().nodes.pop()));
        refused(&|model| {
            let graph = model.graph.as_mut().unwrap();
            graph.nodes.push(graph.nodes[0].clone());
        });
        refused(&|model| {
            let entry = model.metadata.iter_mut().find(|entry| entry.key == "limn.signature").unwrap();
            *entry = Entry { value: entry.value.replace("\"task\"", "\"task"), ..entry.clone() };
        });
        refused(&|model| {
            let mut other = signature.clone();
            other.classes.push(ClassLabel::Boolean(true));
            let entry = model.metadata.iter_mut().find(|entry| entry.key == "limn.signature").unwrap();
            entry.value = serde_json::to_string(&other).unwrap();
        });
    }
}

#[test]
fn hostile_bytes_never_panic() {
    let column: ArrayRef = Arc::new(Float64Array::from(vec![Some(0.3), None, Some(1e300)]));
    let attempt = |bytes: &[u8]| {
        // What still loads must also score.
        if let Ok(model) = load(bytes) {
            let features = vec![column.clone(); model.signature().features.len()];
            let _ = model.predict(&features, 3);
            let _ = model.predict_proba(&features, 3);
        }
    };
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize
    };
    for (bytes, _, _) in artifacts() {
        (0..bytes.len()).for_each(|length| attempt(&bytes[..length]));
        for _ in 0..4_000 {
            let mut damaged = bytes.clone();
            for _ in 0..=next() % 3 {
                let at = next() % damaged.len();
                damaged[at] = next() as u8;
            }
            attempt(&damaged);
        }
    }
}
