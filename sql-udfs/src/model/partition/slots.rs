//! A graph apart: its shape, and the constants that differ from group to group.
//!
//! A slot is a constant of the graph, an attribute of integers or a tensor of an operator, or a text of the metadata. A
//! template is the ONNX model of the first group of its shape; of every other group only the slots that differ from the
//! template's are kept. It works for every kernel, because it knows nothing of any.

use crate::model::artifact::SIGNATURE;
use crate::model::onnx::tensor::data_type;
use crate::model::onnx::view::malformed;
use crate::model::onnx::{Model, Tensor};
use crate::{Error, Result};

/// The place of a slot in a graph.
enum Place<'a> {
    Tensor(&'a mut Tensor),
    Integers(&'a mut Vec<i64>),
    Text(&'a mut String),
}

/// Calls `visit` for each slot of a model, in a fixed order.
fn visit(model: &mut Model, mut visit: impl FnMut(Place<'_>)) {
    if let Some(graph) = &mut model.graph {
        for tensor in graph.initializers.iter_mut().filter(|tensor| is_flat(tensor.data_type)) {
            visit(Place::Tensor(tensor));
        }
        for attribute in graph.nodes.iter_mut().flat_map(|node| &mut node.attributes) {
            if let Some(tensor) = attribute.tensor.as_mut().filter(|tensor| is_flat(tensor.data_type)) {
                visit(Place::Tensor(tensor));
            }
            if !attribute.ints.is_empty() {
                visit(Place::Integers(&mut attribute.ints));
            }
        }
    }
    for entry in model.metadata.iter_mut().filter(|entry| entry.key != SIGNATURE) {
        visit(Place::Text(&mut entry.value));
    }
}

/// What is in a slot.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Slot {
    /// A tensor, with its type: its shape and its values.
    Tensor {
        /// `TensorProto.DataType`.
        data_type: i32,
        /// The length of each axis.
        dims: Vec<i64>,
        /// Its bytes.
        raw: Vec<u8>,
        /// Its texts.
        strings: Vec<Vec<u8>>,
    },
    /// Integers of an attribute.
    Integers(Vec<i64>),
    /// A text of the metadata.
    Text(String),
}

/// A model without what is in its slots, and that.
#[derive(Debug, Clone)]
pub(crate) struct Apart {
    /// The model with empty slots, and an empty signature.
    pub blank: Model,
    /// What was in them.
    pub slots: Vec<Slot>,
}

/// Takes a model apart.
pub(crate) fn take_apart(mut model: Model) -> Apart {
    let mut slots = Vec::new();
    visit(&mut model, |place| {
        slots.push(match place {
            Place::Tensor(tensor) => Slot::Tensor {
                data_type: tensor.data_type,
                dims: std::mem::take(&mut tensor.dims),
                raw: std::mem::take(&mut tensor.raw),
                strings: std::mem::take(&mut tensor.strings),
            },
            // One number is left, so that the slot is found again.
            Place::Integers(integers) => Slot::Integers(std::mem::replace(integers, vec![0])),
            Place::Text(text) => Slot::Text(std::mem::take(text)),
        });
    });
    if let Some(entry) = model.metadata.iter_mut().find(|entry| entry.key == SIGNATURE) {
        entry.value = String::new();
    }
    Apart { blank: model, slots }
}

/// Puts slots into a model of their shape, in place of what is in its own.
pub(crate) fn put_in(model: &mut Model, slots: Vec<Slot>, signature: Option<String>) {
    let mut slots = slots.into_iter();
    visit(model, |place| match (place, slots.next()) {
        (Place::Tensor(tensor), Some(Slot::Tensor { dims, raw, strings, .. })) => {
            (tensor.dims, tensor.raw, tensor.strings) = (dims, raw, strings);
        }
        (Place::Integers(integers), Some(Slot::Integers(values))) => *integers = values,
        (Place::Text(text), Some(Slot::Text(value))) => *text = value,
        _ => {}
    });
    let entry = model.metadata.iter_mut().find(|entry| entry.key == SIGNATURE);
    if let (Some(entry), Some(signature)) = (entry, signature) {
        entry.value = signature;
    }
}

/// Slots as columns of numbers and texts: what a row of the groups' file has of a group.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Flat {
    /// For each slot -1 where it is the template's; otherwise a tensor's rank, dimensions and length, or a length.
    pub shapes: Vec<i64>,
    /// All 64-bit floats, slot after slot.
    pub doubles: Vec<f64>,
    /// All 64-bit integers.
    pub integers: Vec<i64>,
    /// All values of other types.
    pub bytes: Vec<u8>,
    /// All texts.
    pub texts: Vec<String>,
}

/// What stands for a slot that is the template's.
const SAME: i64 = -1;

impl Flat {
    /// The slots of a model that differ from the template's.
    pub fn new(slots: &[Slot], template: &[Slot]) -> Self {
        let mut flat = Flat::default();
        for (slot, template) in slots.iter().zip(template) {
            match slot == template {
                true => flat.shapes.push(SAME),
                false => flat.push(slot),
            }
        }
        flat
    }

    fn push(&mut self, slot: &Slot) {
        match slot {
            Slot::Tensor { data_type, dims, raw, strings } => {
                self.shapes.push(dims.len() as i64);
                self.shapes.extend(dims);
                match *data_type {
                    data_type::DOUBLE => {
                        let values = raw.as_chunks::<8>().0;
                        self.shapes.push(values.len() as i64);
                        self.doubles.extend(values.iter().map(|bytes| f64::from_le_bytes(*bytes)));
                    }
                    data_type::INT64 => {
                        let values = raw.as_chunks::<8>().0;
                        self.shapes.push(values.len() as i64);
                        self.integers.extend(values.iter().map(|bytes| i64::from_le_bytes(*bytes)));
                    }
                    data_type::STRING => {
                        self.shapes.push(strings.len() as i64);
                        // Texts of ours are UTF-8: they come from columns.
                        self.texts.extend(strings.iter().map(|text| String::from_utf8_lossy(text).into_owned()));
                    }
                    data_type => {
                        self.shapes.push((raw.len() / width(data_type)) as i64);
                        self.bytes.extend(raw);
                    }
                }
            }
            Slot::Integers(values) => {
                self.shapes.push(values.len() as i64);
                self.integers.extend(values);
            }
            Slot::Text(text) => {
                self.shapes.push(1);
                self.texts.push(text.clone());
            }
        }
    }

    /// About how many bytes it takes.
    pub fn bytes(&self) -> usize {
        let words = self.shapes.len() + self.doubles.len() + self.integers.len();
        words * 8 + self.bytes.len() + self.texts.iter().map(|text| text.len() + 24).sum::<usize>()
    }
}

/// [`Flat`] as it is read: every length is checked against what is there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FlatView<'a> {
    /// [`Flat::shapes`].
    pub shapes: &'a [i64],
    /// [`Flat::doubles`].
    pub doubles: &'a [f64],
    /// [`Flat::integers`].
    pub integers: &'a [i64],
    /// [`Flat::bytes`].
    pub bytes: &'a [u8],
}

impl FlatView<'_> {
    /// The slots of a group; those that it does not have are the template's.
    pub fn slots(mut self, template: &[Slot], texts: &mut dyn Iterator<Item = &str>) -> Result<Vec<Slot>> {
        let slots = template.iter().map(|like| self.slot(like, texts)).collect::<Result<Vec<_>>>()?;
        let left = self.shapes.len() + self.doubles.len() + self.integers.len() + self.bytes.len();
        match left == 0 && texts.next().is_none() {
            true => Ok(slots),
            false => Err(malformed("expected the constants of its graph for a group, found more".to_owned())),
        }
    }

    fn slot(&mut self, like: &Slot, texts: &mut dyn Iterator<Item = &str>) -> Result<Slot> {
        let first = take(&mut self.shapes, 1)?[0];
        if first == SAME {
            return Ok(like.clone());
        }
        let count = length(first)?;
        Ok(match like {
            Slot::Tensor { data_type, .. } => {
                let dims = take(&mut self.shapes, count)?.to_vec();
                let length = length(take(&mut self.shapes, 1)?[0])?;
                let product = dims.iter().try_fold(1_i64, |product, dim| product.checked_mul(*dim));
                if product != i64::try_from(length).ok() || dims.iter().any(|dim| *dim < 0) {
                    return Err(malformed(format!("expected a tensor of {dims:?}, found {length} values")));
                }
                let (mut raw, mut strings) = (Vec::new(), Vec::new());
                match *data_type {
                    data_type::DOUBLE => {
                        raw = take(&mut self.doubles, length)?.iter().flat_map(|v| v.to_le_bytes()).collect();
                    }
                    data_type::INT64 => {
                        raw = take(&mut self.integers, length)?.iter().flat_map(|v| v.to_le_bytes()).collect();
                    }
                    data_type::STRING => {
                        for _ in 0..length {
                            strings.push(texts.next().ok_or_else(short)?.as_bytes().to_vec());
                        }
                    }
                    data_type => {
                        raw = take(&mut self.bytes, length.checked_mul(width(data_type)).ok_or_else(short)?)?.to_vec();
                    }
                }
                Slot::Tensor { data_type: *data_type, dims, raw, strings }
            }
            // A slot without integers would not be found again.
            Slot::Integers(_) if count == 0 => return Err(short()),
            Slot::Integers(_) => Slot::Integers(take(&mut self.integers, count)?.to_vec()),
            Slot::Text(_) if count != 1 => return Err(short()),
            Slot::Text(_) => Slot::Text(texts.next().ok_or_else(short)?.to_owned()),
        })
    }
}

/// Whether tensors of that type go into the columns; others stay in the template.
fn is_flat(data_type: i32) -> bool {
    use data_type::{BOOL, DOUBLE, FLOAT, INT64, STRING, UINT8};
    matches!(data_type, BOOL | DOUBLE | FLOAT | INT64 | STRING | UINT8)
}

/// Bytes of a value of a type that has no column of its own.
fn width(data_type: i32) -> usize {
    if data_type == data_type::FLOAT { 4 } else { 1 }
}

fn take<'a, T>(values: &mut &'a [T], count: usize) -> Result<&'a [T]> {
    let (taken, rest) = values.split_at_checked(count).ok_or_else(short)?;
    *values = rest;
    Ok(taken)
}

fn length(value: i64) -> Result<usize> {
    usize::try_from(value).map_err(|_| malformed(format!("expected a length, found {value}")))
}

fn short() -> Error {
    malformed("expected the constants of its graph for a group, found fewer".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::artifact;
    use crate::model::linear::{Linear, Link};
    use crate::model::signature::{Feature, Missing, Signature, Task, ValueType};
    use crate::model::trees::{Child, Finish, Split, Test, Tree, Trees};

    fn models() -> Vec<Model> {
        let signature = Signature {
            task: Task::Regression,
            target: Some(Feature::new("y", ValueType::Double)),
            features: vec![Feature::new("a", ValueType::Double)],
            classes: vec![],
            missing: Missing::Learned,
        };
        let linear = |weight: f64| Linear {
            means: vec![1.0],
            weights: vec![vec![weight]],
            intercepts: vec![0.5],
            link: Link::Identity,
        };
        let tree = |splits: usize| {
            let split = |i: usize| Split {
                feature: 0,
                test: Test::AtMost(i as f64),
                missing_follows_yes: true,
                yes: Child::Leaf(i),
                no: if i + 1 == splits { Child::Leaf(splits) } else { Child::Node(i + 1) },
                rows: 9,
                gain: 0.5,
            };
            let (splits, leaves) = ((0..splits).map(split).collect(), vec![0.25; splits + 1]);
            let tree = Tree { splits, leaf_rows: vec![3; leaves.len()], leaves };
            Trees::new(vec![tree], 1, vec![0.0], Finish::Sum, 1).unwrap()
        };
        let bytes = |kernel: &dyn crate::model::kernel::Kernel| {
            artifact::write(kernel, &signature, "x", &[("p".to_owned(), crate::train::Value::Null)]).unwrap()
        };
        let all = [bytes(&linear(2.0)), bytes(&linear(3.0)), bytes(&tree(1)), bytes(&tree(3))];
        all.iter().map(|bytes| Model::decode_from_bytes(bytes).unwrap()).collect()
    }

    #[test]
    fn models_of_one_shape_differ_in_slots_alone_and_come_back() {
        let models = models();
        let apart: Vec<Apart> = models.iter().cloned().map(take_apart).collect();
        assert_eq!(apart[0].blank, apart[1].blank);
        assert_ne!(apart[0].blank, apart[2].blank);
        // Trees of other sizes have the same shape.
        assert_eq!(apart[2].blank, apart[3].blank);
        for (template, group) in [(0, 1), (0, 0), (2, 3), (3, 2)] {
            let flat = Flat::new(&apart[group].slots, &apart[template].slots);
            let view =
                FlatView { shapes: &flat.shapes, doubles: &flat.doubles, integers: &flat.integers, bytes: &flat.bytes };
            let slots = view.slots(&apart[template].slots, &mut flat.texts.iter().map(String::as_str)).unwrap();
            let mut model = models[template].clone();
            put_in(&mut model, slots, None);
            assert_eq!(model, models[group]);
        }
        // The weight alone differs.
        let flat = Flat::new(&apart[1].slots, &apart[0].slots);
        assert_eq!((flat.doubles, flat.integers.len(), flat.texts.len()), (vec![3.0], 0, 0));
    }

    #[test]
    fn lengths_that_lie_are_errors() {
        let apart: Vec<Apart> = models().into_iter().map(take_apart).collect();
        let flat = Flat::new(&apart[3].slots, &apart[2].slots);
        let read = |flat: &Flat| {
            let view =
                FlatView { shapes: &flat.shapes, doubles: &flat.doubles, integers: &flat.integers, bytes: &flat.bytes };
            view.slots(&apart[2].slots, &mut flat.texts.iter().map(String::as_str))
        };
        assert!(read(&flat).is_ok());
        for at in 0..flat.shapes.len() {
            for value in [-2, 1 << 40, i64::MAX, i64::MIN] {
                let mut odd = flat.clone();
                odd.shapes[at] = value;
                assert!(read(&odd).is_err(), "{at}: {value}");
            }
        }
        let mut long = flat.clone();
        long.doubles.push(1.0);
        assert!(read(&long).is_err());
        let mut short = flat;
        short.integers.pop();
        assert!(read(&short).is_err());
    }
}
