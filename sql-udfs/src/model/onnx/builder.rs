//! Writes a graph: inputs for the features, nodes one after another, outputs, metadata.
//!
//! Names of inputs are the features' names; all other names give way to them, so that a feature may be called
//! `prediction`. It knows nothing of algorithms.

use std::collections::BTreeSet;

use super::tensor::data_type;
use super::{Attribute, Dimension, Entry, Graph, Model, Node, OperatorSet, Shape, Tensor, TensorType, Type, ValueInfo};
use super::{ML_DOMAIN, PRODUCER, attribute_kind};
use crate::model::signature::{Categories, CategoryForm, Feature};

/// The version of the standard operators that we write.
const OPSET: i64 = 17;
/// The version of the machine learning operators that we write: the first with `TreeEnsemble`.
const ML_OPSET: i64 = 5;
/// The file format's version where only standard operators are used, for old readers.
const IR_VERSION: i64 = 8;
/// The file format's version that came with [`ML_OPSET`].
const ML_IR_VERSION: i64 = 10;

/// The code of a text that the model does not know.
const UNKNOWN_CODE: i64 = -1;
/// The code of NULL.
const NULL_CODE: i64 = -2;

/// What stands for NULL in a text input of a graph: `\N`, or that with as many `_` behind it as tell it from a category.
pub(crate) fn null_text(categories: &[String]) -> String {
    let mut text = "\\N".to_owned();
    while categories.contains(&text) {
        text.push('_');
    }
    text
}

/// A graph that is being written.
#[derive(Debug)]
pub(crate) struct GraphBuilder {
    names: BTreeSet<String>,
    graph: Graph,
    metadata: Vec<Entry>,
}

impl GraphBuilder {
    /// A graph whose inputs are the features, each a column `[N, 1]` of 64-bit floats or of texts.
    pub(crate) fn new(features: &[Feature]) -> Self {
        let mut builder = GraphBuilder { names: BTreeSet::new(), graph: Graph::default(), metadata: Vec::new() };
        builder.graph.name = "model".to_owned();
        for feature in features {
            builder.names.insert(feature.name.clone());
            let elem_type = if feature.categories.is_some() { data_type::STRING } else { data_type::DOUBLE };
            builder.graph.inputs.push(value_info(&feature.name, elem_type, Some(1)));
        }
        builder
    }

    /// The design columns side by side, `[N, columns]`: numbers as they are, texts as codes or indicators, NaN where
    /// something is missing. Texts have no NULL in ONNX: it is given as [`null_text`].
    pub(crate) fn design(&mut self, features: &[Feature]) -> String {
        let mut columns = Vec::new();
        for feature in features {
            columns.push(match &feature.categories {
                None => feature.name.clone(),
                Some(categories) => self.texts(&feature.name, categories),
            });
        }
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        self.node("Concat", &columns, vec![Attribute::of_int("axis", 1)], "limn.features")
    }

    /// The design columns of one text feature.
    fn texts(&mut self, name: &str, categories: &Categories) -> String {
        let null = null_text(&categories.values);
        let texts = categories.values.iter().map(String::as_str).chain([null.as_str()]);
        let codes = (0..categories.values.len() as i64).chain([NULL_CODE]).collect();
        let attributes = vec![
            Attribute::of_int("default_int64", UNKNOWN_CODE),
            Attribute::of_strings("keys_strings", texts),
            Attribute::of_ints("values_int64s", codes),
        ];
        let code = self.ml_node("LabelEncoder", &[name], attributes, &format!("limn.code.{name}"));
        let nan = self.constant(Tensor::of_doubles(&[1, 1], &[f64::NAN]), &format!("limn.nan.{name}"));
        let to_double = vec![Attribute::of_int("to", i64::from(data_type::DOUBLE))];
        match categories.form {
            CategoryForm::Codes => {
                let zero = self.constant(Tensor::of_int64s(&[1, 1], &[0]), &format!("limn.zero.{name}"));
                let missing = self.node("Less", &[&code, &zero], vec![], &format!("limn.unknown.{name}"));
                let number = self.node("Cast", &[&code], to_double, &format!("limn.number.{name}"));
                self.node("Where", &[&missing, &nan, &number], vec![], &format!("limn.text.{name}"))
            }
            CategoryForm::Indicators => {
                let all: Vec<i64> = (0..categories.values.len() as i64).collect();
                let all = self.constant(Tensor::of_int64s(&[1, all.len()], &all), &format!("limn.codes.{name}"));
                let null = self.constant(Tensor::of_int64s(&[1, 1], &[NULL_CODE]), &format!("limn.null.{name}"));
                let missing = self.node("Equal", &[&code, &null], vec![], &format!("limn.unknown.{name}"));
                let equal = self.node("Equal", &[&code, &all], vec![], &format!("limn.is.{name}"));
                let number = self.node("Cast", &[&equal], to_double, &format!("limn.number.{name}"));
                self.node("Where", &[&missing, &nan, &number], vec![], &format!("limn.text.{name}"))
            }
        }
    }

    /// A constant; gives its name.
    pub(crate) fn constant(&mut self, mut tensor: Tensor, name: &str) -> String {
        tensor.name = self.unique(name);
        let name = tensor.name.clone();
        self.graph.initializers.push(tensor);
        name
    }

    /// A standard operator with one output; gives the output's name.
    pub(crate) fn node(&mut self, op_type: &str, inputs: &[&str], attributes: Vec<Attribute>, output: &str) -> String {
        self.push(op_type, "", inputs, attributes, output)
    }

    /// A machine learning operator with one output; gives the output's name.
    pub(crate) fn ml_node(&mut self, op: &str, inputs: &[&str], attributes: Vec<Attribute>, output: &str) -> String {
        self.push(op, ML_DOMAIN, inputs, attributes, output)
    }

    /// Declares a value as an output: `[N]`, or `[N, width]`.
    pub(crate) fn output(&mut self, name: &str, elem_type: i32, width: Option<usize>) {
        self.graph.outputs.push(value_info(name, elem_type, width));
    }

    /// Adds a text by name.
    pub(crate) fn metadata(&mut self, key: &str, value: String) {
        self.metadata.push(Entry { key: key.to_owned(), value });
    }

    /// The model.
    pub(crate) fn finish(self) -> Model {
        let ml = self.graph.nodes.iter().any(|node| node.domain == ML_DOMAIN);
        let mut opset_import = vec![OperatorSet { domain: String::new(), version: OPSET }];
        if ml {
            opset_import.push(OperatorSet { domain: ML_DOMAIN.to_owned(), version: ML_OPSET });
        }
        Model {
            ir_version: if ml { ML_IR_VERSION } else { IR_VERSION },
            producer_name: PRODUCER.to_owned(),
            graph: Some(self.graph),
            opset_import,
            metadata: self.metadata,
        }
    }

    fn push(&mut self, op: &str, domain: &str, inputs: &[&str], attributes: Vec<Attribute>, output: &str) -> String {
        let output = self.unique(output);
        self.graph.nodes.push(Node {
            inputs: inputs.iter().map(|input| (*input).to_owned()).collect(),
            outputs: vec![output.clone()],
            name: output.clone(),
            op_type: op.to_owned(),
            attributes,
            domain: domain.to_owned(),
        });
        output
    }

    fn unique(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        while !self.names.insert(name.clone()) {
            name.push('_');
        }
        name
    }
}

fn value_info(name: &str, elem_type: i32, width: Option<usize>) -> ValueInfo {
    let mut dims = vec![Dimension { value: None, param: Some("N".to_owned()) }];
    dims.extend(width.map(|width| Dimension { value: Some(width as i64), param: None }));
    let tensor = TensorType { elem_type, shape: Some(Shape { dims }) };
    ValueInfo { name: name.to_owned(), value_type: Some(Type { tensor: Some(tensor) }) }
}

impl Attribute {
    /// An integer.
    pub(crate) fn of_int(name: &str, value: i64) -> Self {
        Attribute { name: name.to_owned(), int: Some(value), kind: attribute_kind::INT, ..Self::default() }
    }

    /// Texts.
    pub(crate) fn of_strings<'a>(name: &str, values: impl Iterator<Item = &'a str>) -> Self {
        let strings = values.map(|value| value.as_bytes().to_vec()).collect();
        Attribute { name: name.to_owned(), strings, kind: attribute_kind::STRINGS, ..Self::default() }
    }

    /// Integers.
    pub(crate) fn of_ints(name: &str, values: Vec<i64>) -> Self {
        Attribute { name: name.to_owned(), ints: values, kind: attribute_kind::INTS, ..Self::default() }
    }

    /// A tensor.
    pub(crate) fn of_tensor(name: &str, mut tensor: Tensor) -> Self {
        tensor.name = name.to_owned();
        Attribute { name: name.to_owned(), tensor: Some(tensor), kind: attribute_kind::TENSOR, ..Self::default() }
    }
}
