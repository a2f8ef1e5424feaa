//! The artifact as a whole: a graph with its signature, algorithm and parameters, to bytes and back.
//!
//! Nothing in it depends on time, on a run or on the build, so equal models have equal bytes. It knows the kernels that
//! there are, and nothing of how they were fitted.

use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::evaluator::Evaluator;
use super::kernel::Kernel;
use super::native::NativeEvaluator;
use super::onnx::Model;
use super::onnx::builder::GraphBuilder;
use super::onnx::view::{GraphView, malformed};
use super::signature::{ClassLabel, Signature, Task, ValueType};
use super::{dbscan, gaussian_mixture, gaussian_nb, kmeans, linear, pca, svm, trees};
use crate::limits::{CATEGORIES_MAX, CLASSES_MAX, FEATURES_MAX};
use crate::train::Value;
use crate::{Error, Result};

/// The metadata with the kernel's kind.
const KIND: &str = "limn.kernel";
/// The metadata with the signature as JSON.
pub(crate) const SIGNATURE: &str = "limn.signature";
const ALGORITHM: &str = "limn.algorithm";
const PARAMETERS: &str = "limn.parameters";

/// What a kernel is written as and who reads it back.
type Reader = fn(&GraphView<'_>, &Signature) -> Result<Box<dyn Kernel>>;

/// Every kind of kernel.
static KERNELS: &[(&str, Reader)] = &[
    (linear::KIND, |view, signature| Ok(Box::new(linear::Scorer::new(linear::read(view, signature)?)))),
    (trees::KIND, |view, signature| trees::scorer(view, signature)),
    (gaussian_nb::KIND, |view, signature| Ok(Box::new(gaussian_nb::read(view, signature)?))),
    (kmeans::KIND, |view, signature| Ok(Box::new(kmeans::read(view, signature)?))),
    (pca::KIND, |view, signature| Ok(Box::new(pca::read(view, signature)?))),
    (gaussian_mixture::KIND, |view, signature| Ok(Box::new(gaussian_mixture::read(view, signature)?))),
    (svm::KIND, |view, signature| Ok(Box::new(svm::read(view, signature)?))),
    (dbscan::KIND, |view, signature| Ok(Box::new(dbscan::read(view, signature)?))),
];

/// Writes an artifact.
pub(crate) fn write(
    kernel: &dyn Kernel,
    signature: &Signature,
    algorithm: &str,
    parameters: &[(String, Value)],
) -> Result<Vec<u8>> {
    Ok(encode(kernel, signature, algorithm, &parameters_text(parameters)?)?.encode_to_bytes())
}

/// Parameters as the metadata has them.
pub(crate) fn parameters_text(parameters: &[(String, Value)]) -> Result<String> {
    serde_json::to_string(&InOrder(parameters)).map_err(|error| Error::internal(error.to_string()))
}

/// An artifact before it is bytes.
pub(crate) fn encode(kernel: &dyn Kernel, signature: &Signature, algorithm: &str, parameters: &str) -> Result<Model> {
    let mut graph = GraphBuilder::new(&signature.features);
    kernel.write(signature, &mut graph);
    let json = |error: serde_json::Error| Error::internal(error.to_string());
    graph.metadata(KIND, kernel.kind().to_owned());
    graph.metadata(ALGORITHM, algorithm.to_owned());
    graph.metadata(PARAMETERS, parameters.to_owned());
    graph.metadata(SIGNATURE, serde_json::to_string(signature).map_err(json)?);
    Ok(graph.finish())
}

/// Reads an artifact and chooses what evaluates it.
pub(crate) fn load(artifact: &[u8]) -> Result<Arc<dyn Evaluator>> {
    let (signature, kernel) = read(artifact)?;
    Ok(Arc::new(NativeEvaluator::new(signature, kernel)))
}

/// Reads an artifact's signature and kernel.
///
/// A kernel is read by the names of its constants, and then written again: only a graph that is the one that it would
/// be written as is taken for it, so that what is computed here is what any reader of ONNX computes.
pub(crate) fn read(artifact: &[u8]) -> Result<(Signature, Box<dyn Kernel>)> {
    read_model(&Model::decode_from_bytes(artifact)?)
}

/// Reads an artifact that is decoded.
pub(crate) fn read_model(model: &Model) -> Result<(Signature, Box<dyn Kernel>)> {
    let view = GraphView::new(model)?;
    let signature = read_signature(&view)?;
    let kernel = read_kernel(&view, &signature)?;
    let text = |key: &str| view.metadata_text(key).unwrap_or_default();
    let written = encode(kernel.as_ref(), &signature, text(ALGORITHM), text(PARAMETERS))?;
    match first_difference(model, &written) {
        None => Ok((signature, kernel)),
        Some(difference) => Err(difference),
    }
}

/// Reads the kernel alone, whose signature is known: the graph around its constants is taken for granted.
pub(crate) fn read_kernel(view: &GraphView<'_>, signature: &Signature) -> Result<Box<dyn Kernel>> {
    let kind = view.metadata_text(KIND).unwrap_or_default();
    match KERNELS.iter().find(|(known, _)| *known == kind) {
        Some((_, reader)) => reader(view, signature),
        None => Err(Error::unsupported(format!("a model of the kind `{kind}` is not supported by any evaluator"))),
    }
}

/// The error of a graph that is not the one that its constants make.
fn first_difference(found: &Model, expected: &Model) -> Option<Error> {
    if found == expected {
        return None;
    }
    let nodes = |model: &Model| model.graph.as_ref().map_or(0, |graph| graph.nodes.len());
    let operators = |model: &Model| -> Vec<String> {
        model.graph.iter().flat_map(|graph| &graph.nodes).map(|node| node.op_type.clone()).collect()
    };
    let odd = operators(found).into_iter().zip(operators(expected)).find(|(found, expected)| found != expected);
    Some(match odd {
        Some((found, expected)) => Error::unsupported(format!(
            "the operator `{found}` is not supported in this place of a graph: expected `{expected}`"
        )),
        None if nodes(found) != nodes(expected) => {
            malformed(format!("expected {} operators, found {}", nodes(expected), nodes(found)))
        }
        None => malformed("expected the graph that its constants make, found another".to_owned()),
    })
}

fn read_signature(view: &GraphView<'_>) -> Result<Signature> {
    let text = view.metadata_text(SIGNATURE).ok_or_else(|| {
        Error::unsupported(format!("a model without `{SIGNATURE}` in its metadata is not supported"))
            .with_hint("train the model with TRAIN MODEL")
    })?;
    let signature: Signature =
        serde_json::from_str(text).map_err(|e| malformed(format!("expected a signature in `{SIGNATURE}`: {e}")))?;
    let names: Vec<&str> = signature.features.iter().map(|feature| feature.name.as_str()).collect();
    let categories = signature.features.iter().filter_map(|feature| feature.categories.as_ref());
    if let Some(long) = categories.map(|c| c.values.len()).find(|count| *count > CATEGORIES_MAX) {
        return Err(malformed(format!("expected at most {CATEGORIES_MAX} categories, found {long}")));
    }
    if names != view.inputs() || names.is_empty() || names.len() > FEATURES_MAX {
        return Err(malformed(format!("expected the inputs {names:?}, found {:?}", view.inputs())));
    }
    let classes = &signature.classes;
    let target = signature.target.as_ref().map(|target| target.value_type);
    let of_target = |class: &ClassLabel| match class {
        ClassLabel::Boolean(_) => target == Some(ValueType::Boolean),
        ClassLabel::BigInt(_) => target == Some(ValueType::BigInt),
        ClassLabel::Text(_) => target == Some(ValueType::Text),
    };
    let fits = match signature.task {
        Task::Regression => classes.is_empty() && target.is_some(),
        Task::Classification => (2..=CLASSES_MAX).contains(&classes.len()) && classes.iter().all(of_target),
        Task::Clustering | Task::Anomaly | Task::Reduction => classes.is_empty(),
    };
    match fits {
        true => Ok(signature),
        false => Err(malformed(format!("expected classes that fit the target, found {}", classes.len()))),
    }
}

/// Parameters as a JSON object in the algorithm's order, whatever order JSON maps have elsewhere in the build.
struct InOrder<'a>(&'a [(String, Value)]);

impl Serialize for InOrder<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            map.serialize_entry(name, &value.to_string())?;
        }
        map.end()
    }
}
