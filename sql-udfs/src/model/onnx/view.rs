//! Reads a graph backwards from an output: which node gives a value, which constant a name stands for.
//!
//! A reader follows the pattern that it knows and fails with the operator's name where the graph has another one. Names
//! in a hostile graph may be missing, doubled or circular: each look-up is checked, and no look-up recurses.

use std::collections::HashMap;

use super::{Attribute, Graph, Model, Node, Tensor};
use crate::{Error, Result};

/// A graph with its values by name.
#[derive(Debug)]
pub(crate) struct GraphView<'a> {
    model: &'a Model,
    graph: &'a Graph,
    producers: HashMap<&'a str, &'a Node>,
    constants: HashMap<&'a str, &'a Tensor>,
}

impl<'a> GraphView<'a> {
    /// Indexes a model's graph; fails where there is none or a value is given twice.
    pub(crate) fn new(model: &'a Model) -> Result<Self> {
        let graph = model.graph.as_ref().ok_or_else(|| malformed("expected a graph, found none".to_owned()))?;
        let mut view = GraphView { model, graph, producers: HashMap::new(), constants: HashMap::new() };
        for node in &graph.nodes {
            for output in &node.outputs {
                if view.producers.insert(output, node).is_some() {
                    return Err(malformed(format!("the value `{output}` is given twice")));
                }
            }
        }
        for tensor in &graph.initializers {
            if view.constants.insert(&tensor.name, tensor).is_some()
                || view.producers.contains_key(tensor.name.as_str())
            {
                return Err(malformed(format!("the value `{}` is given twice", tensor.name)));
            }
        }
        Ok(view)
    }

    /// The model's metadata text of that name.
    pub(crate) fn metadata_text(&self, key: &str) -> Option<&'a str> {
        self.model.metadata.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
    }

    /// The names of the graph's outputs.
    pub(crate) fn outputs(&self) -> Vec<&'a str> {
        self.graph.outputs.iter().map(|output| output.name.as_str()).collect()
    }

    /// The names of the graph's inputs that are no constants.
    pub(crate) fn inputs(&self) -> Vec<&'a str> {
        let names = self.graph.inputs.iter().map(|input| input.name.as_str());
        names.filter(|name| !self.constants.contains_key(name)).collect()
    }

    /// The first node whose operator is in none of the lists.
    pub(crate) fn operator_not_in(&self, known: &[&str]) -> Option<&'a str> {
        self.graph.nodes.iter().map(|node| node.op_type.as_str()).find(|op| !known.contains(op))
    }

    /// Whether the graph has this operator.
    pub(crate) fn has_operator(&self, op_type: &str) -> bool {
        self.graph.nodes.iter().any(|node| node.op_type == op_type)
    }

    /// The operator that gives `value`, or the empty text for an input or a constant.
    pub(crate) fn operator_of(&self, value: &str) -> &'a str {
        self.producers.get(value).map_or("", |node| node.op_type.as_str())
    }

    /// The inputs of the node that gives `value`, which must be an `op_type` with `N` inputs.
    pub(crate) fn inputs_of<const N: usize>(&self, value: &str, op_type: &str) -> Result<[&'a str; N]> {
        let node = self.node(value, op_type)?;
        let inputs: Vec<&str> = node.inputs.iter().map(String::as_str).collect();
        <[&str; N]>::try_from(inputs)
            .map_err(|found| malformed(format!("expected {N} inputs of `{op_type}`, found {}", found.len())))
    }

    /// The node that gives `value`, which must be an `op_type`.
    pub(crate) fn node(&self, value: &str, op_type: &str) -> Result<&'a Node> {
        match self.producers.get(value) {
            Some(node) if node.op_type == op_type => Ok(node),
            Some(node) => Err(Error::unsupported(format!(
                "the operator `{}` is not supported in this place of a graph: expected `{op_type}`",
                node.op_type
            ))),
            None => Err(malformed(format!("expected `{op_type}` to give the value `{value}`, found no operator"))),
        }
    }

    /// The constant of that name.
    pub(crate) fn constant(&self, name: &str) -> Result<&'a Tensor> {
        self.constants.get(name).copied().ok_or_else(|| malformed(format!("there is no constant `{name}`")))
    }
}

impl Node {
    /// The attribute of that name.
    pub(crate) fn attribute(&self, name: &str) -> Result<&Attribute> {
        self.attributes
            .iter()
            .find(|attribute| attribute.name == name)
            .ok_or_else(|| malformed(format!("`{}` has no attribute `{name}`", self.op_type)))
    }

    /// The integers of an attribute.
    pub(crate) fn ints(&self, name: &str) -> Result<&[i64]> {
        Ok(&self.attribute(name)?.ints)
    }

    /// The integer of an attribute.
    pub(crate) fn int(&self, name: &str) -> Result<i64> {
        self.attribute(name)?.int.ok_or_else(|| malformed(format!("`{name}` of `{}` is no integer", self.op_type)))
    }

    /// The tensor of an attribute.
    pub(crate) fn tensor(&self, name: &str) -> Result<&Tensor> {
        let tensor = self.attribute(name)?.tensor.as_ref();
        tensor.ok_or_else(|| malformed(format!("`{name}` of `{}` is no tensor", self.op_type)))
    }
}

/// The error of a graph that no reader of ONNX could run.
pub(crate) fn malformed(what: String) -> Error {
    Error::input(format!("malformed model: {what}"))
}
