//! The ONNX messages that we write and read, by hand: the dozen that a model of ours needs.
//!
//! Field numbers are those of <https://github.com/onnx/onnx/blob/main/onnx/onnx-ml.proto>; fields that we neither write
//! nor read are left out and skipped when decoding. It knows nothing of what operators compute.

pub(crate) mod builder;
pub(crate) mod hex;
pub(crate) mod tensor;
pub(crate) mod view;

use prost::Message;

use crate::limits::ARTIFACT_BYTES_MAX;
use crate::{Error, Result};

/// The name that our artifacts carry as their producer; no version, which would change the bytes with the build.
pub const PRODUCER: &str = "limn";
/// The domain of the operators for classical machine learning.
pub const ML_DOMAIN: &str = "ai.onnx.ml";

/// `ModelProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Model {
    /// The version of the file format.
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    /// The software that wrote the model.
    #[prost(string, tag = "2")]
    pub producer_name: String,
    /// The computation.
    #[prost(message, optional, tag = "7")]
    pub graph: Option<Graph>,
    /// Which operator sets the nodes' names belong to.
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSet>,
    /// Texts by name.
    #[prost(message, repeated, tag = "14")]
    pub metadata: Vec<Entry>,
}

/// `GraphProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Graph {
    /// The operators, each after those that it needs.
    #[prost(message, repeated, tag = "1")]
    pub nodes: Vec<Node>,
    /// The graph's name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// The constants.
    #[prost(message, repeated, tag = "5")]
    pub initializers: Vec<Tensor>,
    /// What the graph takes.
    #[prost(message, repeated, tag = "11")]
    pub inputs: Vec<ValueInfo>,
    /// What the graph gives.
    #[prost(message, repeated, tag = "12")]
    pub outputs: Vec<ValueInfo>,
}

/// `NodeProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Node {
    /// Names of the values that go in.
    #[prost(string, repeated, tag = "1")]
    pub inputs: Vec<String>,
    /// Names of the values that come out.
    #[prost(string, repeated, tag = "2")]
    pub outputs: Vec<String>,
    /// The node's name.
    #[prost(string, tag = "3")]
    pub name: String,
    /// The operator.
    #[prost(string, tag = "4")]
    pub op_type: String,
    /// The operator's constants.
    #[prost(message, repeated, tag = "5")]
    pub attributes: Vec<Attribute>,
    /// The operator's set; empty for the standard one.
    #[prost(string, tag = "7")]
    pub domain: String,
}

/// `AttributeProto`. One of the values is set, as `kind` says.
#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    /// The attribute's name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// An integer.
    #[prost(int64, optional, tag = "3")]
    pub int: Option<i64>,
    /// A tensor.
    #[prost(message, optional, tag = "5")]
    pub tensor: Option<Tensor>,
    /// Integers.
    #[prost(int64, repeated, tag = "8")]
    pub ints: Vec<i64>,
    /// Texts.
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub strings: Vec<Vec<u8>>,
    /// `AttributeProto.AttributeType`.
    #[prost(int32, tag = "20")]
    pub kind: i32,
}

/// `TensorProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Tensor {
    /// The length of each axis.
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub dims: Vec<i64>,
    /// `TensorProto.DataType`.
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    /// Texts, which cannot be raw.
    #[prost(bytes = "vec", repeated, tag = "6")]
    pub strings: Vec<Vec<u8>>,
    /// The tensor's name.
    #[prost(string, tag = "8")]
    pub name: String,
    /// All other values, little-endian and dense.
    #[prost(bytes = "vec", tag = "9")]
    pub raw: Vec<u8>,
}

/// `ValueInfoProto`.
#[derive(Clone, PartialEq, Message)]
pub struct ValueInfo {
    /// The value's name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its type.
    #[prost(message, optional, tag = "2")]
    pub value_type: Option<Type>,
}

/// `TypeProto`, of which only tensors are known.
#[derive(Clone, PartialEq, Message)]
pub struct Type {
    /// A tensor's type.
    #[prost(message, optional, tag = "1")]
    pub tensor: Option<TensorType>,
}

/// `TypeProto.Tensor`.
#[derive(Clone, PartialEq, Message)]
pub struct TensorType {
    /// `TensorProto.DataType`.
    #[prost(int32, tag = "1")]
    pub elem_type: i32,
    /// The lengths of the axes.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<Shape>,
}

/// `TensorShapeProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Shape {
    /// One for each axis.
    #[prost(message, repeated, tag = "1")]
    pub dims: Vec<Dimension>,
}

/// `TensorShapeProto.Dimension`: a length or a name for an unknown one.
#[derive(Clone, PartialEq, Message)]
pub struct Dimension {
    /// The length.
    #[prost(int64, optional, tag = "1")]
    pub value: Option<i64>,
    /// The name.
    #[prost(string, optional, tag = "2")]
    pub param: Option<String>,
}

/// `OperatorSetIdProto`.
#[derive(Clone, PartialEq, Message)]
pub struct OperatorSet {
    /// The set's domain; empty for the standard one.
    #[prost(string, tag = "1")]
    pub domain: String,
    /// Its version.
    #[prost(int64, tag = "2")]
    pub version: i64,
}

/// `StringStringEntryProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    /// The text's name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The text.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// `AttributeProto.AttributeType`, as far as we use it.
pub(crate) mod attribute_kind {
    /// A number.
    pub const INT: i32 = 2;
    /// A tensor.
    pub const TENSOR: i32 = 4;
    /// Numbers.
    pub const INTS: i32 = 7;
    /// Texts.
    pub const STRINGS: i32 = 8;
}

impl Model {
    /// The message's bytes; equal messages have equal bytes.
    pub fn encode_to_bytes(&self) -> Vec<u8> {
        self.encode_to_vec()
    }

    /// Reads a message. Hostile bytes give an `Input` error; lengths and names are checked by whoever uses them.
    pub fn decode_from_bytes(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > ARTIFACT_BYTES_MAX {
            return Err(Error::exhausted(format!(
                "expected a model artifact of at most {ARTIFACT_BYTES_MAX} bytes, found {}",
                bytes.len()
            )));
        }
        Model::decode(bytes).map_err(|e| Error::input(format!("expected an ONNX model, found other bytes: {e}")))
    }
}
