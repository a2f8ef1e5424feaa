//! A graph with its constants by name.
//!
//! A reader takes what was learned from here; that the graph computes what it should is `artifact`'s to check. Names in a
//! hostile graph may be missing or doubled: each look-up is checked.

use std::collections::HashMap;

use super::{Attribute, Graph, Model, Node, Tensor};
use crate::{Error, Result};

/// A graph with its values by name.
#[derive(Debug)]
pub(crate) struct GraphView<'a> {
    model: &'a Model,
    graph: &'a Graph,
    constants: HashMap<&'a str, &'a Tensor>,
}

impl<'a> GraphView<'a> {
    /// Indexes a model's graph; fails where there is none or a value is given twice.
    pub(crate) fn new(model: &'a Model) -> Result<Self> {
        let graph = model.graph.as_ref().ok_or_else(|| malformed("expected a graph, found none".to_owned()))?;
        let mut view = GraphView { model, graph, constants: HashMap::new() };
        for tensor in &graph.initializers {
            if view.constants.insert(&tensor.name, tensor).is_some() {
                return Err(malformed(format!("the value `{}` is given twice", tensor.name)));
            }
        }
        Ok(view)
    }

    /// The model's metadata text of that name.
    pub(crate) fn metadata_text(&self, key: &str) -> Option<&'a str> {
        self.model.metadata.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
    }

    /// The names of the graph's inputs that are no constants.
    pub(crate) fn inputs(&self) -> Vec<&'a str> {
        let names = self.graph.inputs.iter().map(|input| input.name.as_str());
        names.filter(|name| !self.constants.contains_key(name)).collect()
    }

    /// The constant that is called `name`, or that with `_` behind it where an input has the name.
    pub(crate) fn constant(&self, name: &str) -> Result<&'a Tensor> {
        let mut name = name.to_owned();
        while self.graph.inputs.iter().any(|input| input.name == name) {
            name.push('_');
        }
        let found = self.constants.get(name.as_str()).copied();
        found.ok_or_else(|| malformed(format!("there is no constant `{name}`")))
    }

    /// The one node with this operator.
    pub(crate) fn only_node(&self, op_type: &str) -> Result<&'a Node> {
        let mut nodes = self.graph.nodes.iter().filter(|node| node.op_type == op_type);
        match (nodes.next(), nodes.next()) {
            (Some(node), None) => Ok(node),
            _ => Err(malformed(format!("expected one operator `{op_type}`"))),
        }
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
