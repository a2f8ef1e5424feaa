//! The artifact as a whole: a graph with its signature, algorithm and parameters, to bytes and back.
//!
//! Nothing in it depends on time, on a run or on the build, so equal models have equal bytes. It knows the kernels that
//! there are, and nothing of how they were fitted.

use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::evaluator::Evaluator;
use super::kernel::{Kernel, NativeEvaluator};
use super::onnx::Model;
use super::onnx::builder::GraphBuilder;
use super::onnx::view::{GraphView, malformed};
use super::signature::{ClassLabel, Signature, Task, ValueType};
use super::{linear, tree};
use crate::limits::{CLASSES_MAX, FEATURES_MAX};
use crate::train::Value;
use crate::{Error, Result};

const SIGNATURE: &str = "limn.signature";
const ALGORITHM: &str = "limn.algorithm";
const PARAMETERS: &str = "limn.parameters";

/// Writes an artifact.
pub(crate) fn write(
    kernel: &dyn Kernel,
    signature: &Signature,
    algorithm: &str,
    parameters: &[(String, Value)],
) -> Result<Vec<u8>> {
    let mut graph = GraphBuilder::new(&signature.features);
    kernel.write(signature, &mut graph);
    let json = |error: serde_json::Error| Error::internal(error.to_string());
    graph.metadata(ALGORITHM, algorithm.to_owned());
    graph.metadata(PARAMETERS, serde_json::to_string(&InOrder(parameters)).map_err(json)?);
    graph.metadata(SIGNATURE, serde_json::to_string(signature).map_err(json)?);
    Ok(graph.finish().encode_to_bytes())
}

/// Reads an artifact and chooses what evaluates it.
pub(crate) fn load(artifact: &[u8]) -> Result<Arc<dyn Evaluator>> {
    let (signature, kernel) = read(artifact)?;
    Ok(Arc::new(NativeEvaluator::new(signature, kernel)))
}

/// Reads an artifact's signature and kernel.
pub(crate) fn read(artifact: &[u8]) -> Result<(Signature, Box<dyn Kernel>)> {
    let model = Model::decode_from_bytes(artifact)?;
    let view = GraphView::new(&model)?;
    let is_tree = view.has_operator(tree::OPERATOR);
    let known = if is_tree { tree::OPERATORS } else { linear::OPERATORS };
    if let Some(operator) = view.operator_not_in(known) {
        return Err(Error::unsupported(format!("the operator `{operator}` is not supported by any evaluator")));
    }
    let signature = read_signature(&view)?;
    let kernel: Box<dyn Kernel> = match is_tree {
        true => Box::new(tree::read(&view, &signature)?),
        false => Box::new(linear::read(&view, &signature)?),
    };
    Ok((signature, kernel))
}

fn read_signature(view: &GraphView<'_>) -> Result<Signature> {
    let text = view.metadata_text(SIGNATURE).ok_or_else(|| {
        Error::unsupported(format!("a model without `{SIGNATURE}` in its metadata is not supported"))
            .with_hint("train the model with TRAIN MODEL")
    })?;
    let signature: Signature =
        serde_json::from_str(text).map_err(|e| malformed(format!("expected a signature in `{SIGNATURE}`: {e}")))?;
    let names: Vec<&str> = signature.features.iter().map(|feature| feature.name.as_str()).collect();
    if names != view.inputs() || names.is_empty() || names.len() > FEATURES_MAX {
        return Err(malformed(format!("expected the inputs {names:?}, found {:?}", view.inputs())));
    }
    let classes = &signature.classes;
    let of_target = |class: &ClassLabel| match class {
        ClassLabel::Boolean(_) => signature.target.value_type == ValueType::Boolean,
        ClassLabel::BigInt(_) => signature.target.value_type == ValueType::BigInt,
        ClassLabel::Text(_) => signature.target.value_type == ValueType::Text,
    };
    let fits = match signature.task {
        Task::Regression => classes.is_empty(),
        Task::Classification => (2..=CLASSES_MAX).contains(&classes.len()) && classes.iter().all(of_target),
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
